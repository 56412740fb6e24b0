"""The base of a restore: which snapshot, and whether the oplog continues it up to the limit."""

from __future__ import annotations

from typing import Any

from mongo_dr_console.config import Profile
from mongo_dr_console.model.catalogue import SnapshotEntry
from mongo_dr_console.model.manifest import Window
from mongo_dr_console.model.plan import BaseSnapshot, Hazard, Intent
from mongo_dr_console.model.position import Bound, Limit, Position
from mongo_dr_console.model.trouble import Refused, Trouble, WrongUse
from mongo_dr_console.mongo.oplog import majority_position
from mongo_dr_console.stores.catalogue import list_snapshots
from mongo_dr_console.stores.open import open_store
from mongo_dr_console.stores.snapshot_reader import SnapshotReader, open_snapshot
from mongo_dr_console.stream.follow import continue_from
from mongo_dr_console.workers.plan_sources import Deployments, Look, source


def find_base(
    profile: Profile, intent: Intent, deployments: Deployments, limit: Limit | None, look: Look
) -> tuple[SnapshotReader, SnapshotEntry]:
    if intent.store is not None and intent.store not in profile.stores:
        known = ", ".join(profile.stores) or "none"
        raise WrongUse("store-unknown", f"There is no store {intent.store!r}.", f"Known: {known}")
    entries = _entries(profile, intent, look)
    store, entry = (
        _named(entries, intent.snapshot) if intent.snapshot else _proposed(entries, deployments, limit, look)
    )
    _check_base(entry, intent, deployments, limit, look)
    return open_snapshot(store, entry.name), entry


def _entries(profile: Profile, intent: Intent, look: Look) -> list[tuple[Any, SnapshotEntry]]:
    """Every snapshot with its store. A store that does not answer hides none of the others' and is told in
    the plan; where no store answers, its trouble is raised."""
    entries: list[tuple[Any, SnapshotEntry]] = []
    troubles: dict[str, Trouble] = {}
    for name, config in profile.stores.items():
        if intent.store is None or intent.store == name:
            try:
                store = open_store(name, config)
                entries += [(store, entry) for entry in list_snapshots(store)]
            except Trouble as trouble:
                troubles[name] = trouble
    if troubles and not entries:
        raise next(iter(troubles.values()))
    for name, why in troubles.items():
        text = f"store {name} was not looked into, so a better base may be there: {why.message}"
        look.hazards.append(Hazard(severity="warning", code="store-unread", text=text))
    return entries


def _named(entries: list[tuple[Any, SnapshotEntry]], name: str) -> tuple[Any, SnapshotEntry]:
    named = [pair for pair in entries if pair[1].name == name]
    if not named:
        newest = ", ".join(e.name for _, e in entries[:5]) or "there is none"
        raise WrongUse("snapshot-unknown", f"There is no snapshot {name!r}.", f"Newest: {newest}")
    found = next((pair for pair in named if pair[1].problem is None), named[0])
    if found[1].problem is not None:
        raise found[1].problem
    return found


def _proposed(
    entries: list[tuple[Any, SnapshotEntry]], deployments: Deployments, limit: Limit | None, look: Look
) -> tuple[Any, SnapshotEntry]:
    fitting = [
        (store, e)
        for store, e in entries
        if e.restorable
        and e.scope is None
        and e.window is not None
        and _ends_in_time(e.window.end, limit, look)
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
    return max(fitting, key=lambda pair: (pair[1].window.end, pair[1].verified))  # type: ignore[union-attr]


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
    if not _ends_in_time(entry.window.end, limit, look):
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
    client = source(deployments)
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
        raise Refused(f"limit-in-{trouble.code}", trouble.message, trouble.hint) from None


def needs_oplog(base: BaseSnapshot, limit: Limit) -> bool:
    return limit.position > base.end
