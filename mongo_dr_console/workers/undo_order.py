"""Restores of one collection are taken back in turn, the newest first."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mongo_dr_console.engines.builtin.cutover import Placement
from mongo_dr_console.model.namespace import job_that_set_aside
from mongo_dr_console.model.trouble import Refused, Trouble
from mongo_dr_console.workers.jobs import list_jobs
from mongo_dr_console.workers.placed import placed_restore


def refuse_out_of_turn(
    names: Mapping[str, Mapping[str, str]], root: Path, job: str, placements: list[Placement]
) -> None:
    """What a later restore put in place is not this one's to set aside: it would stand there as this one's,
    and go with its accept.

    Args:
        names: By database, hex UUID to name of what is there now.
        placements: Of the undo: outgoing is what the restore put in place.

    Raises:
        Refused: ``replaced-since``; nothing was changed.
    """
    for placement in placements:
        there = names[placement.database]
        live = next((uuid for uuid, name in there.items() if name == placement.name), None)
        if live is None or live in (placement.incoming, placement.outgoing):
            continue
        later = job_that_set_aside(there.get(placement.outgoing or "", "")) or _job_that_placed(root, live)
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
