"""A plan for people to read."""

from __future__ import annotations

from collections.abc import Iterator

import humanize

from mongo_dr_console.model.plan import Neighbour, Plan, PlannedNamespace
from mongo_dr_console.model.position import Bound, Position
from mongo_dr_console.model.words import counted

_SIGNS = {"info": "i", "warning": "!", "danger": "✗"}
_SHOWN = 40


def plan_lines(plan: Plan) -> Iterator[str]:
    """The whole plan, a line at a time: what it is for, where it stops, what happens to what, what to beware
    of."""
    yield f"PLAN {plan.id}   nothing has been changed"
    yield f"  deployment    {plan.identity}"
    if not plan.source_identity.same_deployment(plan.identity):
        yield f"  from          {plan.source_identity}"
    yield (
        f"  base          snapshot {plan.snapshot.name} in {plan.snapshot.store}, consistent at "
        f"{when(plan.snapshot.end)}"
    )
    yield f"  limit         {_limit(plan)}"
    yield f"  last applied  {_neighbour(plan.last_applied)}"
    if plan.first_not_applied is not None:
        yield f"  not applied   {_neighbour(plan.first_not_applied)}"
    for event in plan.skipped:
        what = "brings back " if merges(plan) else "left out    "
        yield f"  {what}  {event.kind} {event.namespace} ({event.id}) at {when(event.position)}"
    yield from _collections(plan)
    yield from _costs(plan)
    for hazard in plan.hazards:
        yield f"  {_SIGNS[hazard.severity]} {hazard.severity.upper():<10}  {hazard.text}"
    yield "  steps"
    for number, step in enumerate(plan.steps, start=1):
        yield f"    {number}. {step}"
    if plan.confirm:
        yield f"  to confirm    {plan.confirm}"
    elif merges(plan):
        yield "  to confirm    nothing: no live document is replaced, and no conflict is foreseen"
    else:
        yield "  to confirm    nothing: no live collection is replaced or dropped"
    yield "  the same by hand:"
    yield f"  {plan.command}"


def merges(plan: Plan) -> bool:
    return plan.intent.mode == "merge"


def when(position: Position) -> str:
    """A position with its time, both unmistakable."""
    return f"{position} ({position.time:%Y-%m-%dT%H:%M:%SZ})"


def _limit(plan: Plan) -> str:
    limit = plan.limit
    if merges(plan):
        return "each document as it was right before the event; writes since are looked at up to the end"
    if limit.follow:
        return "follows all writes up to the cut-over itself"
    word = "before (this operation is NOT applied)" if limit.bound is Bound.BEFORE else "through (applied)"
    if limit.position.i in (0, 0xFFFFFFFF):
        edge = "the start of" if limit.bound is Bound.BEFORE else "the last operation of"
        return f"{limit.bound} {edge} {limit.position.time:%Y-%m-%dT%H:%M:%SZ}"
    return f"{word} {when(limit.position)}"


def _neighbour(neighbour: Neighbour | None) -> str:
    if neighbour is None:
        return "-"
    return f"{when(neighbour.position)}: {neighbour.text}"


def _collections(plan: Plan) -> Iterator[str]:
    yield f"  namespaces    {len(plan.namespaces)}"
    for planned in plan.namespaces[:_SHOWN]:
        yield f"    {_namespace(planned)}"
    if len(plan.namespaces) > _SHOWN:
        yield f"    and {len(plan.namespaces) - _SHOWN} more: --json shows all"
    if plan.kept:
        shown = ", ".join(plan.kept[:5]) + (" …" if len(plan.kept) > 5 else "")
        kept = counted(len(plan.kept), "live collection")
        yield f"  stays as is   {kept} that the restore does not have: {shown}"


def _namespace(planned: PlannedNamespace) -> str:
    name = planned.target if planned.source == planned.target else f"{planned.source} → {planned.target}"
    size = "" if planned.documents is None else f" about {counted(planned.documents, 'document')};"
    return f"{name} [{planned.mode}]{size} {planned.effect}"


def later_writes(plan: Plan) -> str:
    """What the result will not have."""
    if plan.later_writes is None:
        return "later writes are not known: the deployment does not answer"
    return f"{counted(plan.later_writes, 'later write')} not in the result"


def _costs(plan: Plan) -> Iterator[str]:
    yield f"  operations    {plan.operations:,} to replay; {later_writes(plan)}"
    if plan.lost_seconds:
        yield f"  goes back     {humanize.precisedelta(round(plan.lost_seconds))}"
    if plan.estimate_seconds is not None:
        seconds = humanize.precisedelta(round(plan.estimate_seconds))
        yield f"  takes about   {seconds} ({plan.estimate_basis})"
