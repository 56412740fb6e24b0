"""The work of an undo: the collections that a swap set aside get their names back."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pymongo.errors import PyMongoError

from mongo_dr_console.engines.builtin import views
from mongo_dr_console.engines.builtin.cutover import (
    Placement,
    can_block_writes,
    cut_over,
    names_by_uuid,
    release_write_block,
)
from mongo_dr_console.engines.builtin.restore_state import RestoreState
from mongo_dr_console.model import extjson, rawbson
from mongo_dr_console.model.catalogue import utc
from mongo_dr_console.model.namespace import Namespace, aside_name
from mongo_dr_console.model.oplogentry import raw_entry
from mongo_dr_console.model.progress import Checkpoint, Note, StepDone, StepStarted
from mongo_dr_console.model.trouble import Refused, Trouble
from mongo_dr_console.model.words import counted
from mongo_dr_console.mongo.client import Client, connect, told
from mongo_dr_console.mongo.durability import (
    Confirmation,
    TermChanged,
    forget,
    is_lost_primary,
    wait_for_primary,
)
from mongo_dr_console.mongo.identity import read_identity
from mongo_dr_console.mongo.locks import DeploymentLock
from mongo_dr_console.stores import ledger
from mongo_dr_console.stores.open import open_store
from mongo_dr_console.workers import undo_merge
from mongo_dr_console.workers.context import JobContext, JobOutcome
from mongo_dr_console.workers.placed import PlacedRestore, placed_restore
from mongo_dr_console.workers.run_restore import owner_of, target_profile
from mongo_dr_console.workers.undo_order import refuse_out_of_turn

_ATTEMPTS = 20


def run(context: JobContext) -> JobOutcome:
    """Request: ``job``, the restore to take back.

    Raises:
        Refused: Another deployment, what was set aside is gone (accepted), or a later restore has replaced
            what this one put in place.
        Failed, Unreachable: Not finished; ``jobs resume`` goes on.
    """
    restore = placed_restore(context.folder.parent, str(context.request["job"]))
    profile = target_profile(context, restore.plan)
    client = connect(profile.connection_uri())
    check_deployment(client, profile.environment, restore)
    placements, gone = undo_placements(restore), {}
    if restore.merged:
        gone = undo_merge.check_there(client, restore)
    else:
        names = _names(client, placements)
        _check_there(names, restore, placements)
        refuse_out_of_turn(names, context.folder.parent, restore.job, placements)
    lock = DeploymentLock(client, context.job, "undo", owner_of(context))
    lock.acquire()
    try:
        if restore.merged:
            result = undo_merge.take_back(context, client, restore, gone, lock)
        else:
            result = _take_back(context, client, restore, placements, lock)
    except BaseException:
        lock.leave()
        raise
    lock.release()
    _note_in_ledger(context, restore)
    return JobOutcome(result)


def _note_in_ledger(context: JobContext, restore: PlacedRestore) -> None:
    """Beside the restore's own record: whoever reads that learns that it does not count any more."""
    store = restore.plan.snapshot.store
    document = {
        "schema": "mdr.undo-record",
        "job": context.job,
        "undone": restore.job,
        "state": "undone",
        "finished_at": utc(datetime.now(UTC)),
    }
    try:
        ledger.append(open_store(store, context.profile.stores[store]), "restores", document)
    except (Trouble, OSError, KeyError) as error:
        context.report(Note(f"the undo could not be written to the ledger: {error}", "warning"))


def check_deployment(client: Client, environment: str, restore: PlacedRestore) -> None:
    """Raises Refused where this is not the deployment that the restore wrote to."""
    found = read_identity(client, environment)
    if not found.same_deployment(restore.identity):
        raise Refused(
            "other-deployment",
            f"Job {restore.job} restored {restore.identity}; this is {found}. Nothing was changed.",
            "Use the profile it was done with.",
        )


def undo_placements(restore: PlacedRestore) -> list[Placement]:
    """The places as they were: the old collections back, the restored ones set aside."""
    return [
        Placement(
            database=facts["database"],
            name=facts["name"],
            incoming=facts["outgoing"],
            outgoing=facts["incoming"],
            aside=aside_name(restore.job, f"u{number}"),
        )
        for number, facts in enumerate(restore.placements, start=1)
    ]


def _names(client: Client, placements: list[Placement]) -> dict[str, dict[str, str]]:
    """By database, what is there now: hex UUID to name."""
    try:
        return {database: names_by_uuid(client, database) for database in {p.database for p in placements}}
    except PyMongoError as error:
        raise told(error) from None


def _check_there(
    names: dict[str, dict[str, str]], restore: PlacedRestore, placements: list[Placement]
) -> None:
    gone = [p.namespace for p in placements if p.incoming is not None and p.incoming not in names[p.database]]
    if gone:
        raise Refused(
            "already-accepted",
            f"What job {restore.job} set aside is gone for {', '.join(gone[:5])}: it was accepted, or "
            "dropped by somebody. Nothing was changed.",
            "Restore from a snapshot instead: mdr restore plan",
        )
    if all(n.mode == "in-place" for n in restore.plan.namespaces):
        raise Refused(
            "no-undo",
            f"Job {restore.job} restored in place, so nothing was set aside. Nothing was changed.",
            "Its safety snapshot holds what was dropped: mdr snapshots list",
        )


def _take_back(
    context: JobContext,
    client: Client,
    restore: PlacedRestore,
    placements: list[Placement],
    lock: DeploymentLock,
) -> dict[str, Any]:
    report = lock.following(context.report)
    if RestoreState.of(context.checkpoints).blocked:
        release_write_block(client)
        report(Checkpoint("write-block", {"on": False}))
    writes = writes_since(client, restore)
    report(StepStarted("cut-over", len(placements), "collections"))
    for attempt in range(_ATTEMPTS):
        try:
            confirmation = Confirmation.begin(client, context.job, lambda text: lock.check())
            done = cut_over(
                client,
                placements,
                restore.job,
                report,
                drain=lambda: None,
                block=can_block_writes(client),
            )
            _put_views_back(client, restore)
            confirmation.confirm()
            break
        except (TermChanged, PyMongoError) as error:
            lost = isinstance(error, TermChanged) or is_lost_primary(error)
            if not lost or attempt == _ATTEMPTS - 1:
                raise told(error) if isinstance(error, PyMongoError) else _unsteady() from None
            wait_for_primary(client, 180, lock.check)
    report(StepDone("cut-over", f"{counted(len(placements), 'collection')} back by {done.way}"))
    forget(client, context.job)
    return {
        "schema": "mdr.undo",
        "undone": restore.job,
        "namespaces": [p.namespace for p in placements],
        "position": str(done.position) if done.position else None,
        "writes_since": writes,
        "set_aside": [
            {"namespace": f"{a.database}.{a.original}", "kept_as": f"{a.database}.{a.name}"}
            for a in done.set_aside
        ],
        "hint": f"Writes made since the restore are in the collections set aside, until: mdr restore accept "
        f"{restore.job}{_what_stays(restore)}",
    }


def _what_stays(restore: PlacedRestore) -> str:
    series = [n.target for n in restore.plan.namespaces if n.kind == "timeseries"]
    if not series:
        return ""
    return f". As restored, since a time series cannot be renamed, stay: {', '.join(series)}"


def _unsteady() -> Trouble:
    return Refused("primary-unsteady", "The primary was lost again and again.", "mdr jobs resume")


def writes_since(client: Client, restore: PlacedRestore) -> int | None:
    """How many operations reached the restored collections since they were put in place; None where the oplog
    does not say any more."""
    if restore.position is None:
        return 0
    uuids = {facts["incoming"] for facts in restore.placements} | {m["uuid"] for m in restore.merged}
    count = 0
    try:
        cursor: Any = client.local["oplog.rs"].find_raw_batches(
            {"ts": {"$gt": restore.position.timestamp}, "op": {"$in": ["i", "u", "d"]}}, {"ui": 1}
        )
        for batch in cursor:
            for raw in rawbson.split(batch):
                ui = raw_entry(raw).get("ui")
                count += ui is not None and bytes(ui).hex() in uuids
    except PyMongoError:
        return None
    return count


def _put_views_back(client: Client, restore: PlacedRestore) -> None:
    for view in reversed(restore.views):
        before = raw_entry(extjson.loads(view["before"])) if view["before"] else None
        views.put(client, Namespace.parse(view["name"]), before)
