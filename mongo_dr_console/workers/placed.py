"""What a restore job put in place, as its journal says: what undo and accept work on."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mongo_dr_console.model.identity import Identity
from mongo_dr_console.model.journal import checkpoints
from mongo_dr_console.model.plan import Plan
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.trouble import Failed, Refused
from mongo_dr_console.workers.jobs import JobFolder, find_job, load, read_lines, read_plan


@dataclass(frozen=True, slots=True)
class PlacedRestore:
    """A finished cut-over.

    Args:
        job: The restore job's id.
        plan: Its plan.
        placements: As journalled: database, name, incoming, outgoing, aside.
        position: That of the last rename; None where there was none.
        views: Views that were changed, with their definition before.
        profile: Name of the profile that was written to.
        folder: The job's.
        merged: What merge mode did, a row a collection.
    """

    job: str
    plan: Plan
    placements: list[dict[str, Any]]
    position: Position | None
    views: list[dict[str, Any]]
    profile: str
    folder: Path = Path()
    merged: list[dict[str, Any]] = field(default_factory=list)

    @property
    def identity(self) -> Identity:
        return self.plan.identity


def placed_restore(root: Path, job: str) -> PlacedRestore:
    """Reads it from the job's journal.

    Raises:
        WrongUse: There is no such job.
        Refused: It is no restore, or has put nothing in place (yet).
        Failed: Its plan or its journal is damaged.
    """
    folder: JobFolder = find_job(root, job)
    request = read_plan(folder)
    if request.kind != "restore":
        raise Refused(
            "not-a-restore",
            f"Job {folder.id} is a {request.kind}, not a restore; there is nothing to take back or settle.",
            "See: mdr jobs list",
        )
    found = {c.kind: c.facts for c in checkpoints(read_lines(folder))}
    views = [c.facts for c in checkpoints(read_lines(folder)) if c.kind == "view"]
    if "placed" not in found:
        state = load(folder).state
        raise Refused(
            "not-placed",
            f"Job {folder.id} has put nothing in place ({state}); the live collections are as they were, "
            "unless its cut-over, or its merge, was interrupted.",
            f"Finish it first: mdr jobs resume {folder.id}",
        )
    facts = found["placed"]
    try:
        plan = Plan.model_validate(request.request["plan"])
        return PlacedRestore(
            job=folder.id,
            plan=plan,
            placements=list(facts["placements"]),
            position=Position.parse(facts["position"]) if facts.get("position") else None,
            views=views,
            profile=plan.intent.to_profile or request.profile,
            folder=folder.path,
            merged=list(facts.get("merged", [])),
        )
    except (AttributeError, LookupError, TypeError, ValueError):
        raise Failed(
            "job-unreadable",
            f"What job {folder.id} put in place cannot be read: its plan or journal is damaged. Nothing was "
            "changed.",
            f"They are in {folder.path}; what it set aside is named mdr_aside_{folder.id}_….",
        ) from None
