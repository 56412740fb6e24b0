"""What a prune would do: everything that retention decides from, gathered from all stores."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from mongo_dr_console.config import Profile
from mongo_dr_console.host import this_owner
from mongo_dr_console.model.catalogue import SnapshotEntry
from mongo_dr_console.model.coverage import branch_name, ground
from mongo_dr_console.model.hold import Hold, standing
from mongo_dr_console.model.retention import Decision, Facts, StoredSegments, decide
from mongo_dr_console.model.stretch import Stretch
from mongo_dr_console.model.trouble import Refused, Trouble
from mongo_dr_console.mongo.client import connect
from mongo_dr_console.stores import ledger
from mongo_dr_console.stores.catalogue import list_snapshots
from mongo_dr_console.stores.claims import uses
from mongo_dr_console.stores.open import choose_stores, open_answering
from mongo_dr_console.stores.pruning import begun
from mongo_dr_console.stores.store import Store
from mongo_dr_console.stream.coverage import gather
from mongo_dr_console.stream.segment_archive import SegmentArchive
from mongo_dr_console.stream.sinks import keeps_of
from mongo_dr_console.workers.index_keeping import known_of

_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class PruneLook:
    """What was found, and what becomes of it.

    Args:
        wanted: Names of the stores that are to be pruned.
        unread: What could not be asked, in words; nothing is let go for that.
    """

    stores: Mapping[str, Store]
    wanted: tuple[str, ...]
    facts: Facts
    decisions: tuple[Decision, ...]
    branches: tuple[Stretch, ...]
    unread: tuple[str, ...]


def wanted_stores(profile: Profile, store: str | None) -> dict[str, Store]:
    """The stores to be pruned.

    Raises:
        WrongUse: There is none, or none of that name.
    """
    return choose_stores(profile, [store] if store else None)


def look(profile: Profile, store: str | None = None, *, now: datetime | None = None) -> PruneLook:
    """Reads all stores, the topic and the live oplog, and decides.

    Raises:
        Refused: ``prune-blind``: a store does not answer, so it is not known what it needs of the others.
    """
    wanted = tuple(wanted_stores(profile, store))
    stores, silent = open_answering(profile)
    for name, trouble in silent.items():
        raise _blind(f"store {name}: {trouble.message}")
    entries = _entries(profile, stores)
    keeps = keeps_of(profile, stores.values())
    with ExitStack() as stack:
        client = stack.enter_context(
            closing(connect(profile.connection_uri(), any_member=True, seconds=_SECONDS))
        )
        gathered = gather(entries, client, profile.environment, keeps.values())
    unread = [f"{u.source}: {u.error.message}" for u in gathered.unread]
    if any(f"segments:{name}" == u.source for name in stores for u in gathered.unread):
        raise _blind("; ".join(unread))
    if gathered.live_error is not None:
        unread.append(f"the live oplog: {gathered.live_error.message}")
    on = ground(entries, gathered.live, gathered.stretches)
    facts = Facts(
        days={name: float(profile.stores[name].retention_days) for name in stores},
        snapshots=entries,
        segments={n: _segments(keeps[f"segments:{n}"]) for n in stores},
        ground=on,
        holds=holds_of(stores.values()),
        uses=[use for s in stores.values() for use in uses(s)],
        begun=frozenset(one for s in stores.values() for one in begun(s, entries)),
    )
    decisions = [d for d in decide(facts, now or datetime.now(UTC)) if d.store in wanted]
    return PruneLook(stores, wanted, facts, tuple(decisions), on.branches, tuple(unread))


def _entries(profile: Profile, stores: Mapping[str, Store]) -> list[SnapshotEntry]:
    entries: list[SnapshotEntry] = []
    for store in stores.values():
        try:
            entries += list_snapshots(store, known_of(profile, store))
        except Trouble as trouble:
            raise _blind(trouble.message) from None
    return entries


def _blind(why: str) -> Refused:
    return Refused(
        "prune-blind",
        f"Not everything can be read, so it is not known what is still needed: {why} Nothing was removed.",
        "Bring it back, or take it out of the profile; then prune.",
    )


def _segments(keep: object) -> StoredSegments:
    assert isinstance(keep, SegmentArchive)
    rows, damaged = keep.runs()
    return StoredSegments(rows, [d.name for d in damaged])


def holds_of(stores: Iterable[Store]) -> list[Hold]:
    """The holds that stand in any of these stores, each once. One that was released in one store, and could
    not be in another, stands.

    Raises:
        Unreachable: A store does not answer.
    """
    found: dict[str, Hold] = {}
    for store in stores:
        for hold in standing(ledger.read_all(store, "holds")):
            found.setdefault(hold.id, hold)
    return sorted(found.values(), key=lambda h: (h.at, h.id))


def hold_branches(seen: PruneLook) -> list[Hold]:
    """Puts a hold on every branch that has none yet: what shows that it is one, a live oplog that is rolled
    over one day, must not be needed for keeping it. One that a person released is not made again."""
    made = []
    for branch in seen.branches:
        name = branch_name(branch)
        hold = Hold(
            hashlib.sha256(name.encode()).hexdigest()[:8],
            f"branch {name}: writes that a forced reconfiguration dropped",
            this_owner(),
            datetime.now(UTC),
            branch.start,
            branch.end,
        )
        for store in seen.stores.values():
            if all(d.get("id") != hold.id for d in ledger.read_all(store, "holds")):
                ledger.append(store, "holds", hold.to_record())
                made.append(hold)
    return [replace(h) for h in {h.id: h for h in made}.values()]
