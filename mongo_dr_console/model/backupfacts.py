"""What is known of the snapshots in the stores. Pure: built from catalogue entries, compared by size."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from mongo_dr_console.model.catalogue import SnapshotEntry
from mongo_dr_console.model.estimate import Measured
from mongo_dr_console.model.eventfacts import Restored
from mongo_dr_console.model.identity import Identity
from mongo_dr_console.model.reading import SourceError


@dataclass(frozen=True, slots=True)
class Drilled:
    """The newest drill of a deployment that succeeded: a restore test like any other.

    Args:
        at: When it began.
        kind: ``small``: of test data; ``full``: of a real snapshot.
    """

    at: datetime
    kind: str
    identity: Identity


@dataclass(frozen=True, slots=True)
class StoreFacts:
    """One store: what it holds (with an error: what was last known of it), and the restores in its ledger.

    Args:
        measured: Their work and how long they took.
        restored: What they brought back.
        undone: The jobs of those that were taken back.
        drilled: One for each deployment that the ledger has a good drill of.
    """

    name: str
    where: str
    snapshots: tuple[SnapshotEntry, ...] = ()
    error: SourceError | None = None
    taken_at: datetime | None = None
    measured: tuple[Measured, ...] = ()
    restored: tuple[Restored, ...] = ()
    undone: frozenset[str] = frozenset()
    drilled: tuple[Drilled, ...] = ()

    @property
    def problems(self) -> tuple[str, ...]:
        """Single snapshots that cannot be read, in words."""
        return tuple(f"Snapshot {s.name}: {s.problem.message}" for s in self.snapshots if s.problem)


@dataclass(frozen=True, slots=True)
class BackupFacts:
    """All stores of a profile.

    ``size_delta`` is the newest snapshot's stored size against that of the comparable one before it: 0.5 is
    half as much again, -0.5 half; None where there is nothing to compare with. ``drilled`` is the newest good
    drill of this deployment.
    """

    stores: tuple[StoreFacts, ...]
    newest: SnapshotEntry | None
    size_delta: float | None
    drilled: Drilled | None = None

    @property
    def readable(self) -> tuple[StoreFacts, ...]:
        return tuple(s for s in self.stores if s.error is None)


def newest(snapshots: Iterable[SnapshotEntry]) -> SnapshotEntry | None:
    """The newest whole snapshot: one of a few databases only does not bring a deployment back."""
    whole = [s for s in snapshots if s.scope is None and s.problem is None]
    return max(whole, key=lambda s: (s.taken_at, s.name), default=None)


def backup_facts(stores: Sequence[StoreFacts], identity: Identity | None = None) -> BackupFacts:
    """Everything together; a store with an error still shows what was last known of it.

    ``identity``: of the deployment where it is known; other deployments' snapshots in a shared store do not
    count as its backup.
    """
    snapshots = [
        s
        for store in stores
        for s in store.snapshots
        if identity is None or s.identity is None or s.identity.same_deployment(identity)
    ]
    latest = newest(snapshots)
    drills = [
        d for s in stores for d in s.drilled if identity is None or d.identity.same_deployment(identity)
    ]
    drilled = max(drills, key=lambda d: d.at, default=None)
    return BackupFacts(tuple(stores), latest, size_delta(latest, snapshots), drilled)


def comparable(one: SnapshotEntry, other: SnapshotEntry) -> bool:
    """Whether their sizes mean the same: same scope, compression, tool and deployment."""
    if one.identity and other.identity and not one.identity.same_deployment(other.identity):
        return False
    return (one.scope, one.compression, one.origin) == (other.scope, other.compression, other.origin)


def size_delta(latest: SnapshotEntry | None, snapshots: Iterable[SnapshotEntry]) -> float | None:
    """The newest one's stored size against the comparable one before it."""
    if latest is None or not latest.stored_bytes:
        return None
    # Two of a deployment at rest end at the same position: their names tell which came later.
    before = [
        s
        for s in snapshots
        if (s.taken_at, s.name) < (latest.taken_at, latest.name)
        and s.stored_bytes
        and not s.problem
        and comparable(s, latest)
    ]
    previous = max(before, key=lambda s: (s.taken_at, s.name), default=None)
    return None if previous is None else latest.stored_bytes / previous.stored_bytes - 1
