"""The destructive events of the live oplog, and which of them were answered by a restore since. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError

from mongo_dr_console.model.catalogue import parse_time
from mongo_dr_console.model.event import Event
from mongo_dr_console.model.eventscan import touched
from mongo_dr_console.model.identity import Identity
from mongo_dr_console.model.planlimit import PlanLimit
from mongo_dr_console.model.position import Position, Span

KEPT = timedelta(hours=24)
"""How far back events are looked for."""


@dataclass(frozen=True, slots=True)
class EventFacts:
    """What was found so far.

    Args:
        events: Oldest first.
        scanned_from: From here on the oplog was looked through; None: not yet.
        scanned_to: Up to here.
        complete: Whether that reaches back a day, or to the oplog's start.
    """

    events: tuple[Event, ...] = ()
    scanned_from: Position | None = None
    scanned_to: Position | None = None
    complete: bool = False


@dataclass(frozen=True, slots=True)
class Restored:
    """A restore that is done.

    Args:
        job: Its id.
        at: When it ended.
        targets: What it put in place.
        skipped: Ids of the events that it left out.
        limit: Where its replay stopped; None: it is not said.
        identity: Of the deployment that it wrote to.
    """

    job: str
    at: datetime
    targets: tuple[str, ...]
    skipped: tuple[str, ...] = ()
    limit: PlanLimit | None = None
    identity: Identity | None = None

    def brought_back(self, event: Event) -> frozenset[str]:
        """Which of the event's namespaces it brought back as they were before the event, or without it."""
        if self.at < event.time:
            return frozenset()
        before = self.limit is not None and not self.limit.limit.admits(event.position)
        if event.id not in self.skipped and not before:
            return frozenset()
        return frozenset(self.targets) & to_bring_back(event)


def to_bring_back(event: Event) -> frozenset[str]:
    """The namespaces that an event destroyed or changed; none of a database that held nothing."""
    return frozenset(str(n) for n in touched(event) if n.collection != "*")


def unanswered(
    events: Iterable[Event], restores: Iterable[Restored], identity: Identity | None, now: datetime
) -> tuple[Event, ...]:
    """The events of the last day of which something was not brought back since, newest first.

    Args:
        identity: The deployment's: a restore into another one brings nothing back here.
    """
    known = tuple(restores)
    left = [e for e in events if now - e.time <= KEPT and not is_answered(e, known, identity)]
    return tuple(sorted(left, key=lambda e: (e.position, e.id), reverse=True))


def is_answered(event: Event, restores: Iterable[Restored], identity: Identity | None) -> bool:
    """Whether restores brought everything back that an event destroyed or changed."""
    here = (r for r in restores if _is_of(r, identity))
    return to_bring_back(event) <= frozenset[str]().union(*(r.brought_back(event) for r in here))


def merged(known: Iterable[Event], looked: Span, found: Iterable[Event]) -> tuple[Event, ...]:
    """What is known with what a look through a span found, oldest first. What reaches into the span is as it
    was found now: nothing of it is known better from before."""
    kept = [e for e in known if e.last < looked.start or e.position > looked.end]
    return in_order((*kept, *found))


def in_order(events: Iterable[Event]) -> tuple[Event, ...]:
    """Each once, as it was said last; oldest first."""
    return tuple(sorted({e.id: e for e in events}.values(), key=lambda e: (e.position, e.id)))


def _is_of(restore: Restored, identity: Identity | None) -> bool:
    if identity is None or restore.identity is None:
        return True
    return restore.identity.same_deployment(identity)


def restored(documents: Iterable[Mapping[str, Any]]) -> tuple[Restored, ...]:
    """From a ledger's restores: those that are done and were not undone."""
    known = list(documents)
    gone = undone(known)
    found = (restore_of(d, parse_time(d.get("finished_at")), d.get("job")) for d in known)
    return tuple(r for r in found if r is not None and r.job not in gone)


def undone(documents: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """The restores that these records of undos took back."""
    return frozenset(str(d["undone"]) for d in documents if isinstance(d.get("undone"), str))


def restore_of(result: Mapping[str, Any], at: datetime | None, job: object) -> Restored | None:
    """A restore as its result or its ledger's record tells it; None where it is neither."""
    if at is None or not str(result.get("schema")).startswith("mdr.restore"):
        return None
    if result.get("state", "done") != "done" or not isinstance(job, str):
        return None
    try:
        limit = None if result.get("limit") is None else PlanLimit.model_validate(result["limit"])
        who = None if result.get("identity") is None else Identity.model_validate(result["identity"])
    except ValidationError:
        return None
    targets = tuple(str(p["to"]) for p in _listed(result, "namespaces") if isinstance(p, dict) and "to" in p)
    return Restored(job, at, targets, tuple(str(s) for s in _listed(result, "skipped")), limit, who)


def _listed(document: Mapping[str, Any], name: str) -> list[Any]:
    value = document.get(name)
    return value if isinstance(value, list) else []
