"""The work of an undo of a merge: its documents go again, those that were written since stay."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from pymongo.errors import PyMongoError

from mongo_dr_console.engines.builtin import merge_sessions
from mongo_dr_console.engines.builtin.merge_log import written
from mongo_dr_console.engines.builtin.merge_undo import MergeUndo
from mongo_dr_console.model.namespace import Namespace
from mongo_dr_console.model.progress import Report, StepDone, StepProgress, StepStarted
from mongo_dr_console.model.trouble import Failed, Refused
from mongo_dr_console.mongo.client import Client, told
from mongo_dr_console.mongo.collections import list_collections
from mongo_dr_console.mongo.durability import (
    Confirmation,
    TermChanged,
    forget,
    is_lost_primary,
    wait_for_primary,
)
from mongo_dr_console.mongo.locks import DeploymentLock
from mongo_dr_console.workers.context import JobContext
from mongo_dr_console.workers.placed import PlacedRestore

_ATTEMPTS = 20
_STEP = "take-back"


def check_there(client: Client, restore: PlacedRestore) -> dict[str, str]:
    """Where nothing can be taken back, with why.

    Raises:
        Refused: The merge wrote nothing, or nothing of it can be taken back.
    """
    wrote = [m for m in restore.merged if m["brought_back"] or m["replaced"]]
    if not wrote:
        raise Refused("no-undo", f"Job {restore.job} wrote no document. Nothing was changed.")
    if next(written(restore.folder), None) is None:
        raise Refused(
            "no-undo",
            f"Job {restore.job} does not have its record of what it wrote any more, so nothing tells what to "
            "take back. Nothing was changed.",
        )
    try:
        gone = {m["namespace"]: "it is another collection now" for m in wrote if not _is_there(client, m)}
    except PyMongoError as error:
        raise told(error) from None
    if len(gone) == len(wrote):
        raise Refused(
            "no-undo",
            f"What job {restore.job} merged into was dropped or replaced since: {', '.join(list(gone)[:5])}. "
            "Nothing was changed.",
        )
    return gone


def _is_there(client: Client, merged: dict[str, Any]) -> bool:
    namespace = Namespace.parse(merged["namespace"])
    listed = list_collections(client, namespace.database, indexes=False)
    return any(c.name == namespace.collection and c.uuid == merged["uuid"] for c in listed)


def take_back(
    context: JobContext,
    client: Client,
    restore: PlacedRestore,
    gone: dict[str, str],
    lock: DeploymentLock,
) -> dict[str, Any]:
    """Does it; the result's facts. Again from the start where the primary was lost: what is done is seen."""
    report: Report = lock.following(context.report)
    total = sum(m["brought_back"] + m["replaced"] for m in restore.merged)
    report(StepStarted(_STEP, total, "documents"))

    def guard() -> None:
        context.stop.check()
        lock.check()

    counts: Counter[tuple[str, str]] = Counter()
    for attempt in range(_ATTEMPTS):
        try:
            confirmation = Confirmation.begin(client, context.job, lambda text: guard())
            merge_sessions.end_open(client, context.job)
            work = MergeUndo(
                client, guard, lambda session: merge_sessions.remember(client, session, context.job)
            )
            done = 0
            for number in work.take_back(_records(restore.folder, gone)):
                done += number
                report(StepProgress(_STEP, done, max(total, done), "documents"))
            confirmation.confirm()
            counts = work.counts
            break
        except (TermChanged, PyMongoError) as error:
            lost = isinstance(error, TermChanged) or is_lost_primary(error)
            if not lost or attempt == _ATTEMPTS - 1:
                raise told(error) if isinstance(error, PyMongoError) else _unsteady() from None
            wait_for_primary(client, 180, lock.check)
    rows = [_row(merged, counts, gone) for merged in restore.merged]
    taken = sum(r["removed"] + r["put_back"] for r in rows)
    report(StepDone(_STEP, f"{taken} documents taken back"))
    forget(client, context.job)
    return {
        "schema": "mdr.undo",
        "undone": restore.job,
        "namespaces": [r["namespace"] for r in rows],
        "position": None,
        "writes_since": sum(r["changed"] for r in rows),
        "set_aside": [],
        "merged": rows,
        "hint": _hint(restore),
    }


def _records(folder: Path, gone: dict[str, str]) -> Any:
    return (record for record in written(folder) if record.namespace not in gone)


def _row(merged: dict[str, Any], counts: Counter[tuple[str, str]], gone: dict[str, str]) -> dict[str, Any]:
    name = merged["namespace"]
    words = ("removed", "put_back", "already", "changed", "refused")
    return {"namespace": name, **{w: counts[name, w] for w in words}, "not_possible": gone.get(name)}


def _hint(restore: PlacedRestore) -> str:
    made = [m["namespace"] for m in restore.merged if m["made"]] + [v["name"] for v in restore.views]
    text = "Documents that were written since the merge stay as they are."
    return text + (f" What the merge made stays: {', '.join(made)}." if made else "")


def _unsteady() -> Failed:
    return Failed("primary-unsteady", "The primary was lost again and again.", "mdr jobs resume")
