"""A job's claims on stores: what it reads must not be pruned under it."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager

from mongo_dr_console.host import this_boot, this_owner
from mongo_dr_console.model.jobview import JobPlan
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.progress import Note
from mongo_dr_console.model.trouble import Refused
from mongo_dr_console.stores.claims import Claimant, reading
from mongo_dr_console.stores.store import Store
from mongo_dr_console.workers.context import JobContext
from mongo_dr_console.workers.jobs import JobFolder, read_plan


def claimant_of(context: JobContext) -> Claimant:
    """This process, at work on a job."""
    plan: JobPlan = read_plan(JobFolder(context.folder))
    owner = plan.owner or this_owner()
    return Claimant(plan.kind, context.job, owner, socket.gethostname(), this_boot(), os.getpid())


@contextmanager
def reading_for(
    context: JobContext,
    stores: Iterable[Store],
    snapshot: str | None,
    *,
    start: Position | None = None,
    end: Position | None = None,
    must: bool = True,
) -> Iterator[None]:
    """Keeps a snapshot of these stores, and the segments between two positions, from being pruned.

    Args:
        must: Whether to end where a prune is removing it; else that is noted.

    Raises:
        Refused: ``snapshot-going``: a prune is removing it.
    """
    claimant = claimant_of(context)
    with ExitStack() as stack:
        for store in stores:
            try:
                stack.enter_context(
                    reading(store, claimant, context.report, snapshot=snapshot, start=start, end=end)
                )
            except Refused as refused:
                if must:
                    raise
                context.report(Note(refused.message, "warning"))
        yield
