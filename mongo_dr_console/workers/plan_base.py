"""The base of a restore: which snapshot, and whether the oplog continues it up to the limit."""

from __future__ import annotations

from mongo_dr_console.config import Profile
from mongo_dr_console.model.catalogue import SnapshotEntry
from mongo_dr_console.model.manifest import Window
from mongo_dr_console.model.plan import BaseSnapshot, Hazard, Intent
from mongo_dr_console.model.position import MAX_ORDINAL, Bound, Limit, Position
from mongo_dr_console.model.trouble import Refused, Trouble, WrongUse
from mongo_dr_console.mongo.oplog import majority_position
from mongo_dr_console.stores.catalogue import list_snapshots
from mongo_dr_console.stores.copies import as_one
from mongo_dr_console.stores.open import open_answering
from mongo_dr_console.stores.snapshot_reader import SnapshotReader, open_snapshot
from mongo_dr_console.stores.store import Store
from mongo_dr_console.stream.follow import continue_from
from mongo_dr_console.workers.index_keeping import known_of
from mongo_dr_console.workers.plan_sources import Deployments, Look, history, history_between, source


def find_base(
    profile: Profile, intent: Intent, deployments: Deployments, limit: Limit | None, look: Look
) -> tuple[SnapshotReader, SnapshotEntry]:
    if intent.store is not None and intent.store not in profile.stores:
        known = ", ".join(profile.stores) or "none"
        raise WrongUse("store-unknown", f"There is no store {intent.store!r}.", f"Known: {known}")
    every, silent = _entries(profile, intent, look)
    entries = [pair for pair in every if intent.store in (None, pair[0].name)]
    if intent.store in silent:
        # What was planned to be read there is read from another copy, if there is one.
        entries = [pair for pair in every if pair[1].name == intent.snapshot]
    if silent and not entries:
        raise silent.get(intent.store or "", next(iter(silent.values())))
    store, entry = (
        _named(entries, intent.snapshot) if intent.snapshot else _proposed(entries, deployments, limit, look)
    )
    _check_base(entry, intent, deployments, limit, look)
    same = [s for s, e in every if e.checksum and (e.name, e.checksum) == (entry.name, entry.checksum)]
    others = [s for s in same if s is not store]
    return open_snapshot(as_one([store, *others]), entry.name), entry


def _entries(
    profile: Profile, intent: Intent, look: Look
) -> tuple[list[tuple[Store, SnapshotEntry]], dict[str, Trouble]]:
    """Every snapshot with its store, the nearest store first, and by name why a store does not answer. One
    that does not hides none of the others' and is told in the plan."""
    entries: list[tuple[Store, SnapshotEntry]] = []
    stores, troubles = open_answering(profile)
    for name, store in stores.items():
        try:
            entries += [(store, entry) for entry in list_snapshots(store, known_of(profile, store))]
        except Trouble as trouble:
            troubles[name] = trouble
    for name, why in troubles.items():
        if intent.store in (None, name):
            text = f"store {name} was not looked into, so a better base may be there: {why.message}"
            look.hazards.append(Hazard(severity="warning", code="store-unread", text=text))
    return entries, troubles


def _named(entries: list[tuple[Store, SnapshotEntry]], name: str) -> tuple[Store, SnapshotEntry]:
    named = [pair for pair in entries if pair[1].name == name]
    if not named:
        newest = ", ".join(e.name for _, e in entries[:5]) or "there is none"
        raise WrongUse("snapshot-unknown", f"There is no snapshot {name!r}.", f"Newest: {newest}")
    found = min(named, key=lambda pair: (pair[1].problem is not None, pair[1].known_bad))
    if found[1].problem is not None:
        raise found[1].problem
    return found


def _proposed(
    entries: list[tuple[Store, SnapshotEntry]], deployments: Deployments, limit: Limit | None, look: Look
) -> tuple[Store, SnapshotEntry]:
    fitting = [
        (store, e)
        for store, e in entries
        if e.restorable
        and not e.known_bad
        and e.scope is None
        and e.window is not None
        and _ends_in_time(e.window.end, limit, look)
        and _on_branch(e.window, deployments)
        and (
            e.identity is None
            or deployments.source_identity is None
            or e.identity.same_deployment(deployments.source_identity)
        )
    ]
    if not fitting:
        ends = [e.window.end for _, e in entries if e.window is not None]
        oldest = (
            f" The oldest snapshot ends at {min(ends)} ({min(ends).time:%Y-%m-%dT%H:%M:%SZ})." if ends else ""
        )
        what = f" to restore {limit} from" if limit else ""
        raise Refused(
            "limit-outside-coverage",
            f"There is no usable snapshot{what}.{oldest} Nothing was changed.",
            "See what can be restored to: mdr coverage; and: mdr snapshots list",
        )
    # Of several copies the nearest: that of two alike which comes first.
    return max(fitting, key=lambda pair: pair[1].window.end)  # type: ignore[union-attr]


def _on_branch(window: Window, deployments: Deployments) -> bool:
    """Of two histories, the snapshot may lie on either once they parted."""
    return deployments.branch is None or history(deployments).holds(window.end, window.end_hash)


def _ends_in_time(end: Position, limit: Limit | None, look: Look) -> bool:
    return (limit is None or limit.admits(end)) and all(end < event.position for event in look.skipped)


def _check_base(
    entry: SnapshotEntry, intent: Intent, deployments: Deployments, limit: Limit | None, look: Look
) -> None:
    if entry.window is None:
        raise Refused(
            "snapshot-without-oplog",
            f"Snapshot {entry.name} has no oplog, so it is consistent at no moment. Nothing was changed.",
            "Choose another: mdr snapshots list",
        )
    inside = _is_inside(entry, intent, limit, look)
    if inside:
        text = (
            f"the limit lies within the time in which snapshot {entry.name} was taken: what was read later "
            "is in the result too, so it is a state that never was, as with mongorestore --oplogLimit"
        )
        look.hazards.append(Hazard(severity="danger", code="limit-inside-window", text=text))
    if not inside and not _ends_in_time(entry.window.end, limit, look):
        raise Refused(
            "limit-outside-coverage",
            f"Snapshot {entry.name} is consistent from {entry.window.end} "
            f"({entry.window.end.time:%Y-%m-%dT%H:%M:%SZ}) on; the limit or the skipped event is earlier. "
            "Nothing was changed.",
            "Choose an older snapshot, or none to have one proposed.",
        )
    other = deployments.source_identity
    if entry.identity is not None and other is not None and not entry.identity.same_deployment(other):
        raise Refused(
            "other-deployment",
            f"Snapshot {entry.name} is of {entry.identity}, not of {other}. Nothing was changed.",
            "Use the profile that it belongs to, with --to for the deployment to restore into.",
        )
    if entry.identity is None:
        text = f"snapshot {entry.name} was made by mongodump and does not say of which deployment it is"
        look.hazards.append(Hazard(severity="warning", code="identity-unknown", text=text))
    if entry.scope is not None:
        text = f"snapshot {entry.name} holds only {', '.join(entry.scope)}"
        look.hazards.append(Hazard(severity="warning", code="partial-snapshot", text=text))
    if not entry.verified:
        text = f"snapshot {entry.name} was never verified; its checksums are checked while it is read"
        look.hazards.append(Hazard(severity="info", code="not-verified", text=text))


def _is_inside(entry: SnapshotEntry, intent: Intent, limit: Limit | None, look: Look) -> bool:
    """Whether the limit lies within the window of a mongodump that was named: the real mongorestore stops
    there too."""
    window = entry.window
    if window is None or limit is None or intent.snapshot is None or entry.origin != "mongodump":
        return False
    late = not limit.admits(window.end) and limit.admits(window.start)
    return late and all(window.end < event.position for event in look.skipped)


def window_of(reader: SnapshotReader) -> Window:
    assert reader.window is not None
    return reader.window


def base_facts(reader: SnapshotReader, entry: SnapshotEntry) -> BaseSnapshot:
    window = window_of(reader)
    return BaseSnapshot(
        name=entry.name,
        store=entry.store,
        checksum=reader.checksum,
        start=window.start,
        end=window.end,
        end_term=window.end_term,
        end_hash=window.end_hash,
        documents=entry.documents or 0,
        bytes=entry.bytes or entry.stored_bytes,
        origin=entry.origin,
    )


def check_reach(base: BaseSnapshot, limit: Limit, deployments: Deployments, look: Look) -> None:
    """The oplog after the base must continue it, without a gap, up to the limit."""
    if not needs_oplog(base, limit):
        return
    if deployments.source is None or deployments.branch is not None:
        _check_history(base, limit, deployments, look)
        return
    client = deployments.source
    latest = majority_position(client)[0]
    if limit.position.t > latest.t or (limit.position > latest and limit.bound is Bound.BEFORE):
        raise Refused(
            "limit-outside-coverage",
            f"The limit {limit} lies after the newest entry that a majority has, {latest} "
            f"({latest.time:%Y-%m-%dT%H:%M:%SZ}). Nothing was changed.",
            "See what can be restored to: mdr coverage",
        )
    try:
        for _ in continue_from(client, base.end, base.end_hash, base.end):
            pass
    except Trouble as trouble:
        if trouble.code not in ("gap", "divergence"):
            raise
        refused = Refused(f"limit-in-{trouble.code}", trouble.message, trouble.hint)
        if trouble.code == "divergence" or not _check_history(base, limit, deployments, look, refused):
            raise refused from None


def _check_history(
    base: BaseSnapshot, limit: Limit, deployments: Deployments, look: Look, refused: Refused | None = None
) -> bool:
    """Whether what the stream left reaches from the base to the limit, where the live oplog does not.

    Raises:
        Refused: ``refused`` where it is given, else why the limit cannot be reached.
    """
    # It may have been gathered before the limit was known, for an event that is older than the live oplog.
    known = history_between(deployments, base.end, limit.position)
    reach = known.reaches(base.end, limit.position)
    late = _is_late(limit, reach)
    if late and refused is not None:
        raise refused
    if (known.latest is None or known.latest <= base.end) and not known.missing():
        # Nothing was kept: only the deployment itself could have it.
        source(deployments)
    if late:
        raise Refused(
            "limit-outside-coverage",
            f"The limit {limit} lies after {reach} ({reach.time:%Y-%m-%dT%H:%M:%SZ}), up to where snapshot "
            f"{base.name} can be replayed from what is kept outside the deployment.{known.missing()} "
            "Nothing was changed.",
            "See what can be restored to: mdr coverage",
        )
    deployments.mixed = True
    text = f"the oplog comes from what the stream kept, in part or whole: {known.told()}"
    look.hazards.append(Hazard(severity="info", code="oplog-from-stream", text=text))
    return True


def _is_late(limit: Limit, reach: Position) -> bool:
    """Whether entries after ``reach`` are needed. A whole second's last entry has some position in it."""
    if limit.bound is Bound.BEFORE:
        return limit.position > _next(reach)
    if limit.position.i == MAX_ORDINAL:
        return limit.position.t > reach.t
    return limit.position > reach


def _next(position: Position) -> Position:
    return Position(position.t, position.i + 1)


def needs_oplog(base: BaseSnapshot, limit: Limit) -> bool:
    return limit.position > base.end
