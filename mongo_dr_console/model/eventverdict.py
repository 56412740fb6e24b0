"""What events that no restore has answered mean: what is gone, whether it can be brought back. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from mongo_dr_console.model.coverage import Coverage
from mongo_dr_console.model.event import Event, EventKind
from mongo_dr_console.model.level import Fact, Level, worst
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.rank import Rank
from mongo_dr_console.model.readings import EVENTS, Readings, open_events
from mongo_dr_console.model.remedy import remedy
from mongo_dr_console.model.words import clock, counted, duration, moment

_SAID_ONE_BY_ONE = 3

# Those of model.event.CHANGES destroy nothing, and alarm nobody.
_LOUD: dict[EventKind, str] = {
    "drop": "DATA DROPPED",
    "drop-database": "DATABASE DROPPED",
    "rename-over": "RENAMED OVER",
    "mass-delete": "MASS DELETE",
    "mass-update": "MASS UPDATE",
}


def judge_events(readings: Readings, coverage: Coverage | None, now: datetime) -> Iterator[Fact]:
    """A fact for each of the newest open events, and one for all others together. Those that destroyed no
    document come last.

    Args:
        coverage: As it is now; None: not known.
    """
    events = sorted(open_events(readings, now), key=lambda event: event.documents == 0)
    facts = [_fact(event, coverage, now) for event in events]
    yield from facts[:_SAID_ONE_BY_ONE]
    rest = facts[_SAID_ONE_BY_ONE:]
    if rest:
        lost = sum(f.rank is Rank.LOST for f in rest)
        more = f"{len(rest)} more destructive event{'' if len(rest) == 1 else 's'} in the last 24h"
        text = f"{more}, {lost} of them not restorable" if lost else more
        rank = min((f.rank for f in rest), key=lambda rank: rank.place)
        yield Fact(worst(f.level for f in rest), "events-open", EVENTS, f"{text}: mdr find", rank)


def _fact(event: Event, coverage: Coverage | None, now: datetime) -> Fact:
    ago = duration((now - event.time).total_seconds())
    count = "" if event.documents is None else f", {counted(event.documents, 'document')}"
    level, can = _restorable(event, coverage)
    what = f"{_LOUD[event.kind]}: {event.namespace} at {clock(event.time)} ({ago} ago){count}"
    if event.documents == 0:
        empty = remedy("event-empty", Rank.DRILL)
        least = Level.WARNING
        return Fact(
            least, f"event-{event.kind}", EVENTS, f"{what}; {can}", Rank.DRILL, empty.means, empty.command
        )
    rank = Rank.LOST if level is Level.CRITICAL else Rank.LOST_RESTORABLE
    return Fact(level, f"event-{event.kind}", EVENTS, f"{what}; {can}", rank)


def _restorable(event: Event, coverage: Coverage | None) -> tuple[Level, str]:
    if coverage is None:
        return Level.WARNING, "whether it can be restored is not known."
    if _covers(event, coverage):
        return Level.WARNING, "restorable."
    if coverage.live is None:
        return Level.WARNING, "whether it can be restored is not known: the live oplog cannot be read."
    return Level.CRITICAL, f"not restorable: {_why(event.before or event.position, coverage)}"


def _covers(event: Event, coverage: Coverage) -> bool:
    """Whether the state right before it can be had. Where the live oplog begins with it, or in the middle of
    it, what lies before is known from elsewhere alone."""
    if event.before is not None:
        return coverage.covers(event.before)
    return any(r.start < event.position <= r.end for r in coverage.ranges)


def _why(position: Position, coverage: Coverage) -> str:
    older = [r.end for r in coverage.ranges if r.end < position]
    if not older:
        return "no snapshot is older than it."
    gap = coverage.gap_at(position)
    nearest = f"the newest restore point before it is {moment(older[-1].time)}"
    return f"{nearest}." if gap is None else f"{nearest}. {gap.text}"
