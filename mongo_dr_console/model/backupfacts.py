"""What is known of the snapshots in the stores. Pure: built from catalogue entries, compared by size."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from mongo_dr_console.model.identity import Identity
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.reading import SourceError


@dataclass(frozen=True, slots=True)
class SnapshotFacts:
    """One snapshot in one store.

    Args:
        taken_at: When it was started, by its name (UTC).
        end: The position at which it is consistent; None where it has no oplog, so that it cannot be joined
            with anything and is not consistent if writes went on.
        end_hash: SHA-256 of the entry at ``end``; None for another tool's snapshot.
        scope: The databases that it has, None for all.
        verified_at, restore_tested_at: When that last succeeded; None if never.
        seconds: How long it took to make; None if not known.
        stored_bytes: What it takes in the store.
    """

    name: str
    store: str
    taken_at: datetime
    origin: str = "mongo-dr-console"
    start: Position | None = None
    end: Position | None = None
    end_term: int | None = None
    end_hash: str | None = None
    identity: Identity | None = None
    scope: tuple[str, ...] | None = None
    compression: str = ""
    documents: int | None = None
    bytes: int | None = None
    stored_bytes: int | None = None
    seconds: float | None = None
    verified_at: datetime | None = None
    restore_tested_at: datetime | None = None

    def age_seconds(self, now: datetime) -> float:
        """Since the state that it holds: its end, or where that is not known its start."""
        moment = self.taken_at if self.end is None else self.end.time
        return max(0.0, (now - moment).total_seconds())

    def comparable(self, other: SnapshotFacts) -> bool:
        """Whether their sizes mean the same: same scope, compression, tool and deployment."""
        same_deployment = (
            self.identity is None or other.identity is None or self.identity.same_deployment(other.identity)
        )
        return same_deployment and (self.scope, self.compression, self.origin) == (
            other.scope,
            other.compression,
            other.origin,
        )


@dataclass(frozen=True, slots=True)
class StoreFacts:
    """One store: what it holds, newest snapshot last, or why it cannot be read.

    ``problems`` are single snapshots that cannot be read, in words.
    """

    name: str
    where: str
    snapshots: tuple[SnapshotFacts, ...] = ()
    error: SourceError | None = None
    taken_at: datetime | None = None
    problems: tuple[str, ...] = ()

    @property
    def newest(self) -> SnapshotFacts | None:
        return newest(self.snapshots)


@dataclass(frozen=True, slots=True)
class BackupFacts:
    """All stores of a profile.

    ``size_delta`` is the newest snapshot's stored size against that of the comparable one before it: 0.5 is
    half as much again, -0.5 half; None where there is nothing to compare with.
    """

    stores: tuple[StoreFacts, ...]
    newest: SnapshotFacts | None
    size_delta: float | None

    @property
    def readable(self) -> tuple[StoreFacts, ...]:
        return tuple(s for s in self.stores if s.error is None)


def newest(snapshots: Iterable[SnapshotFacts]) -> SnapshotFacts | None:
    """The newest whole snapshot: one of a few databases only does not bring a deployment back."""
    whole = [s for s in snapshots if s.scope is None]
    return max(whole, key=lambda s: (s.end or Position(int(s.taken_at.timestamp()), 0), s.name), default=None)


def backup_facts(stores: Sequence[StoreFacts]) -> BackupFacts:
    """Everything together; a store with an error still shows what was last known of it."""
    snapshots = [s for store in stores for s in store.snapshots]
    latest = newest(snapshots)
    return BackupFacts(tuple(stores), latest, size_delta(latest, snapshots))


def size_delta(latest: SnapshotFacts | None, snapshots: Iterable[SnapshotFacts]) -> float | None:
    """The newest one's stored size against the comparable one before it."""
    if latest is None or latest.stored_bytes is None:
        return None
    before = [s for s in snapshots if s.name < latest.name and s.stored_bytes and s.comparable(latest)]
    previous = max(before, key=lambda s: s.name, default=None)
    if previous is None or not previous.stored_bytes:
        return None
    return latest.stored_bytes / previous.stored_bytes - 1
