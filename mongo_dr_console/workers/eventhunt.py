"""Looking through the live oplog for destructive events, a bit at a time: the newest first, then further
back.

What was looked through is not looked through again, save for the last minute: an event goes on, and drops
turn out to be those of a dropped database.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import pymongo

from mongo_dr_console.model.event import Event
from mongo_dr_console.model.eventfacts import KEPT, EventFacts, merged
from mongo_dr_console.model.eventscan import DROP_WAIT_SECONDS, Filter
from mongo_dr_console.model.position import Position, Span
from mongo_dr_console.model.trouble import Trouble
from mongo_dr_console.stream.finder import find_events
from mongo_dr_console.stream.source import StreamSource

STEP_SECONDS = 3600
"""How much is looked through in one go at most."""
_SMALLEST_STEP = 60
"""And at first: what happened a moment ago must be known at once, however much the last hour holds."""
_AGAIN_SECONDS = DROP_WAIT_SECONDS + 10
_BUDGET_SECONDS = 1.0
_LIMIT_SECONDS = 6.0


class EventHunt:
    """What is known so far, and where to look next.

    Args:
        wanted: Which events.
        budget: For how many seconds is looked further back, once the newest is known.
        limit: After how many seconds the server gives up one look; the next one is at less.
        clock: In seconds.
    """

    def __init__(
        self,
        wanted: Filter,
        *,
        budget: float = _BUDGET_SECONDS,
        limit: float = _LIMIT_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wanted = wanted
        self._budget, self._limit, self._clock = budget, limit, clock
        self._events: tuple[Event, ...] = ()
        self._from: Position | None = None
        self._to: Position | None = None
        self._step = _SMALLEST_STEP

    def look(self, source: StreamSource) -> EventFacts:
        """What is new since the last time, then further back for as long as the budget lasts.

        Raises:
            Trouble: The newest part cannot be read; what was found before is kept.
        """
        until = self._clock() + self._budget
        with pymongo.timeout(self._limit):
            window = source.windows()[-1]
        if self._to is None or not window.start <= self._to <= window.end:
            # The oplog went past what is known, or back behind it: another history from here on.
            self._events, self._from, self._to = (), None, None
        oldest = max(window.start, _back(window.end, int(KEPT.total_seconds())))
        while self._to is None or self._to < window.end:
            self._forward(source, oldest, window.end)
            if self._clock() > until:
                break
        # One step back each time, also where the newest alone takes longer than the budget.
        while self._from is not None and self._from > oldest:
            if not self._backward(source, oldest) or self._clock() > until:
                break
        assert self._from is not None
        self._events = tuple(e for e in self._events if e.last >= oldest)
        return EventFacts(self._events, max(self._from, oldest), self._to, complete=self._from <= oldest)

    def _forward(self, source: StreamSource, oldest: Position, newest: Position) -> None:
        if self._to is None:
            start, end = max(oldest, _back(newest, self._step)), newest
        else:
            start = max(oldest, _back(self._to, _AGAIN_SECONDS))
            end = min(newest, Position(self._to.t + self._step, 0))
        self._take(Span(start, end), self._find(source, start, end))
        self._from, self._to = self._from or start, end

    def _backward(self, source: StreamSource, oldest: Position) -> bool:
        """False where that could not be read; what is newer is known all the same."""
        assert self._from is not None
        start, end = max(oldest, _back(self._from, self._step)), self._from
        try:
            self._take(Span(start, end), self._find(source, start, end))
        except Trouble:
            return False
        self._from = start
        return True

    def _find(self, source: StreamSource, start: Position, end: Position) -> list[Event]:
        try:
            with pymongo.timeout(self._limit):
                found = find_events(source, start, end, self._wanted)
        except Trouble:
            self._step = max(_SMALLEST_STEP, self._step // 2)
            raise
        self._step = min(STEP_SECONDS, self._step * 2)
        return found

    def _take(self, looked: Span, found: Iterable[Event]) -> None:
        self._events = merged(self._events, looked, found)


def _back(position: Position, seconds: int) -> Position:
    return Position(max(0, position.t - seconds), 0)
