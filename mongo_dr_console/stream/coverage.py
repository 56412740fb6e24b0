"""Coverage for commands and jobs: the stores' snapshots and the live oplog, asked in turn.

Pollers read the same facts without blocking (``mongo.oplogstats.read_live``); what they mean is decided in
one place, ``model.coverage``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from mongo_dr_console.model import coverage as covering
from mongo_dr_console.model import rawbson
from mongo_dr_console.model.catalogue import SnapshotEntry
from mongo_dr_console.model.coverage import Coverage, Damage, LiveOplog, Unread
from mongo_dr_console.model.oplogfacts import OplogFacts
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.reading import SourceError
from mongo_dr_console.model.stretch import Stretch
from mongo_dr_console.model.trouble import Trouble
from mongo_dr_console.mongo import oplog
from mongo_dr_console.mongo.client import Client
from mongo_dr_console.mongo.identity import read_identity
from mongo_dr_console.stream.keep import Keep
from mongo_dr_console.stream.stretches import answered

_ROUNDS = 40
"""Halving finds where a stretch of so many links parted."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """Everything that coverage is made of, with every question answered."""

    snapshots: tuple[SnapshotEntry, ...]
    stretches: tuple[Stretch, ...]
    damage: tuple[Damage, ...]
    live: LiveOplog | None
    live_error: SourceError | None
    unread: tuple[Unread, ...] = ()


@dataclass(frozen=True, slots=True)
class Stored:
    """What lies outside the deployment, with every question answered, what of it is damaged, and what did not
    answer."""

    stretches: tuple[Stretch, ...]
    damage: tuple[Damage, ...]
    unread: tuple[Unread, ...] = ()


def gather(
    snapshots: Sequence[SnapshotEntry],
    client: Client | None,
    environment: str,
    keeps: Iterable[Keep] = (),
) -> Gathered:
    """Asks the stores' segments, the topic and the live oplog. The deployment may be gone.

    Args:
        snapshots: From every store that can be read.
        client: Of the source deployment; None where it is known to be gone.
        environment: Of the profile, for the identity.
        keeps: Of the stream; one that does not answer is left out.
    """
    named = {keep.name: keep for keep in keeps}
    found = stored(snapshots, named)
    live, error = None, None
    if client is not None:
        try:
            live = _asked(client, snapshots, found.stretches, environment)
        except Trouble as trouble:
            error = SourceError(trouble.code, trouble.message, trouble.hint)
    return Gathered(tuple(snapshots), found.stretches, found.damage, live, error, found.unread)


def stored(snapshots: Sequence[SnapshotEntry], keeps: Mapping[str, Keep]) -> Stored:
    """Asks each place in turn. What cannot be read is left out, and told."""
    ends = covering.wanted_hashes(snapshots)
    while True:
        found, unread = [], []
        for keep in keeps.values():
            try:
                found.append(keep.left())
            except Trouble as trouble:
                error = SourceError(trouble.code, trouble.message, trouble.hint)
                unread.append(Unread(keep.name, error))
        before = sum(keep.condemned for keep in keeps.values())
        stretches = answered([s for f in found for s in f.stretches], ends, keeps)
        # One that turns out to be damaged when it is read: its neighbours must not join over it.
        if sum(keep.condemned for keep in keeps.values()) == before:
            break
    return Stored(tuple(stretches), tuple(d for f in found for d in f.damage), tuple(unread))


def _asked(
    client: Client, snapshots: Sequence[SnapshotEntry], stretches: Sequence[Stretch], environment: str
) -> LiveOplog:
    live: LiveOplog | None = None
    wanted: tuple[Position, ...] = ()
    for _ in range(_ROUNDS):
        more = covering.wanted_hashes(snapshots, stretches, live)
        if live is not None and set(more) <= set(wanted):
            break
        wanted = tuple({*wanted, *more})
        live = live_oplog(client, wanted, environment)
    assert live is not None
    return live


def cover(gathered: Gathered, now: datetime, oplog_facts: OplogFacts | None = None) -> Coverage:
    """What can be restored to."""
    return covering.build(
        gathered.snapshots,
        gathered.live,
        now=now,
        oplog=oplog_facts,
        live_error=gathered.live_error,
        stretches=gathered.stretches,
        damage=gathered.damage,
        unread=gathered.unread,
    )


def read_coverage(
    snapshots: Sequence[SnapshotEntry],
    client: Client | None,
    environment: str,
    *,
    keeps: Iterable[Keep] = (),
    now: datetime | None = None,
) -> Coverage:
    """Both at once."""
    return cover(gather(snapshots, client, environment, keeps), now or datetime.now(UTC))


def live_oplog(client: Client, positions: Iterable[Position], environment: str) -> LiveOplog:
    """Both ends of the live oplog, and the hashes of the entries at these positions.

    Raises:
        Failed: There is no oplog.
        Refused, Unreachable: As the driver says.
    """
    oldest, newest = oplog.ends(client)
    committed, _ = oplog.majority_position(client)
    found = {
        position: None if (entry := oplog.entry_at(client, position)) is None else rawbson.entry_hash(entry)
        for position in positions
        if oldest <= position <= newest
    }
    return LiveOplog(oldest, min(newest, committed), newest, found, read_identity(client, environment))
