"""Restores of one collection are taken back in turn, the newest first."""

from __future__ import annotations

from pathlib import Path

from pymongo.errors import PyMongoError

from mongo_dr_console.engines.builtin.cutover import Placement, names_by_uuid
from mongo_dr_console.model.namespace import job_that_set_aside
from mongo_dr_console.model.trouble import Refused, Trouble
from mongo_dr_console.mongo.client import Client, told
from mongo_dr_console.workers.jobs import list_jobs
from mongo_dr_console.workers.placed import placed_restore


def refuse_out_of_turn(client: Client, root: Path, job: str, placements: list[Placement]) -> None:
    """What a later restore put in place is not this one's to set aside: it would stand there as this one's,
    and go with its accept.

    Args:
        placements: Of the undo: outgoing is what the restore put in place.

    Raises:
        Refused: ``replaced-since``; nothing was changed.
    """
    for placement in placements:
        try:
            names = names_by_uuid(client, placement.database)
        except PyMongoError as error:
            raise told(error) from None
        live = next((uuid for uuid, name in names.items() if name == placement.name), None)
        if live is None or live in (placement.incoming, placement.outgoing):
            continue
        later = job_that_set_aside(names.get(placement.outgoing or "", "")) or _job_that_placed(root, live)
        if later and later != job:
            raise Refused(
                "replaced-since",
                f"{placement.namespace} is not what job {job} put there: the restore {later} has replaced it "
                "since. Nothing was changed.",
                f"Take that one back first: mdr restore undo {later}; where it was accepted, restore from a "
                "snapshot: mdr restore plan",
            )


def _job_that_placed(root: Path, uuid: str) -> str:
    """The restore of this host that put a collection in place; empty where none did."""
    for view in list_jobs(root):
        try:
            restore = placed_restore(root, view.job)
        except Trouble:
            continue
        if any(facts["incoming"] == uuid for facts in restore.placements):
            return restore.job
    return ""
