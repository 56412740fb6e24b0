"""Looking for events over days: in the live oplog where it reaches, then in what the stream kept; the newest
first, so that what happened a moment ago stands there at once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, nullcontext
from dataclasses import replace
from typing import Any

import pymongo

from mongo_dr_console.config import Profile
from mongo_dr_console.model.coverage import LIVE
from mongo_dr_console.model.entryhead import head
from mongo_dr_console.model.event import Event
from mongo_dr_console.model.eventfacts import in_order, merged
from mongo_dr_console.model.eventscan import DROP_WAIT_SECONDS, Filter
from mongo_dr_console.model.eventsearch import Looked, gaps_in
from mongo_dr_console.model.position import MAX_ORDINAL, Position, Span
from mongo_dr_console.model.trouble import Trouble
from mongo_dr_console.model.words import moment
from mongo_dr_console.mongo.client import connect
from mongo_dr_console.stream import finder
from mongo_dr_console.stream.batch import last_entry
from mongo_dr_console.stream.history import History
from mongo_dr_console.stream.live import LiveOplog
from mongo_dr_console.stream.source import StreamSource
from mongo_dr_console.workers.kept import kept_and_unread

_FIRST_STEP, _SMALLEST_STEP, _WIDEST_STEP = 600, 120, 6 * 3600
"""Seconds that are looked through at first, at least, and at most in one go."""
_QUICK, _LONG = 1.0, 4.0
"""A go that took less lets the next be twice as wide, one that took more half as wide."""
_SLOW_STEP = 24 * 3600
_AGAIN = DROP_WAIT_SECONDS + 10
"""Seconds that are looked through again where another source goes on: what began in it is found whole."""
_ANSWER_SECONDS = 4.0
"""After which nobody is there, and what is kept is looked at: somebody waits before an empty screen."""
_LIVE_SECONDS, _LIVE_SLOW_SECONDS = 10.0, 60.0
"""After which the server gives up one look."""
_MOST_FAILURES = 5
"""Goes in a row, after which a source is given up: each reads a minute more on both sides, so that one
damaged segment makes three fail."""
_TOLD_EACH = 0.5

Tell = Callable[[Looked], None]
Named = Callable[[Position], str]
"""The source of what stands at a position."""


class Stopped(Exception):
    """Somebody does not want to know any more."""


def search_events(
    profile: Profile,
    start: Position,
    end: Position | None,
    tell: Tell,
    stop: threading.Event,
    known: Looked | None = None,
) -> Looked:
    """Looks through a range, both ends included, for the profile's events.

    Args:
        end: None: to the newest entry.
        tell: Is given what is known, again and again.
        stop: Ends it within moments once it is set; what is known by then is returned.
        known: A search that this one goes on from, further back.

    Raises:
        Trouble: The profile says no way to the deployment. All else is told in the result.
    """
    search = EventSearch(start, end, Filter((), profile.ignored), tell, stop, known)
    uri = profile.connection_uri()
    with closing(connect(uri, seconds=2, any_member=True, answer_seconds=_LIVE_SLOW_SECONDS)) as client:
        live = LiveOplog(client, LIVE)
        try:
            alive = search.look_at_live(live)
            if not search.complete:
                search.look_at_kept(lambda: kept_and_unread(profile, client if alive else None))
            search.look_for_slow(live if alive else None)
            if alive:
                search.with_shares(live)
        except Stopped:
            pass
    return search.ended()


class EventSearch:
    """One search. See ``search_events``."""

    def __init__(
        self,
        start: Position,
        end: Position | None,
        wanted: Filter,
        tell: Tell,
        stop: threading.Event,
        known: Looked | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        began = known or Looked(start, end)
        self.looked = replace(began, start=start, missing=(), unread=(), ended=False)
        self._last = end if began.reached is None else began.reached
        self._wanted, self._tell, self._stop, self._clock = wanted, tell, stop, clock
        self._kept: History | None = None
        self._lacked: tuple[Span, str] | None = None
        self._told = float("-inf")

    @property
    def complete(self) -> bool:
        """Whether all of the range was looked through."""
        return self.looked.reached is not None and self.looked.reached <= self.looked.start

    def look_at_live(self, live: StreamSource) -> bool:
        """As far as the live oplog reaches. False where it does not answer."""
        try:
            with pymongo.timeout(_ANSWER_SECONDS):
                window = live.windows()[0]
        except Trouble as trouble:
            self._fails(f"The live oplog was not looked through: {trouble.message}")
            return False
        if (span := self._left_of(window)) is not None:
            self._walk_back(live, span, lambda _: LIVE)
        return True

    def look_at_kept(self, kept: Callable[[], tuple[History, dict[str, Trouble]]]) -> None:
        """What the live oplog does not have, or did not give."""
        self._check()
        history, unread = kept()
        windows = history.windows()
        self._kept = history
        for name, trouble in unread.items():
            self._fails(f"Store {name} does not answer: {trouble.message}")
        for source in history.unread:
            self._fails(f"{source.source} cannot be read: {source.error.message}")
        self._know(missing=gaps_in(windows, self.looked.start, self.looked.end, history.damage))
        followed = _Followed(history, windows, self._check)
        for window in reversed(windows):
            span = self._left_of(window)
            if span is not None and not self._walk_back(followed, span, history.source_of):
                return
        if self.looked.reached is not None:
            # What lies before all of them is in no source, which is said.
            self._know(reached=min(self.looked.reached, self.looked.start))

    def look_for_slow(self, live: StreamSource | None) -> None:
        """Deletes that are spread over hours, for which more is read; a day at a time."""
        if self._kept is not None:
            source = _Followed(self._kept, self._kept.windows(), self._reading_slow)
            for window in reversed(source.windows()):
                self._look_for_slow_in(source, window, self._kept.source_of)
        elif live is not None:
            self._look_for_slow_in(live, live.windows()[0], lambda _: LIVE)
        self._know(slow=None)

    def with_shares(self, live: StreamSource) -> None:
        """How much of their collections the mass deletes and updates hit, where the deployment says it."""
        self._check()
        with pymongo.timeout(_LIVE_SECONDS):
            self._know(events=tuple(finder.with_shares(live, self.looked.events)))

    def ended(self) -> Looked:
        """What was found; nothing more comes."""
        self._know(ended=True, slow=None)
        return self.looked

    # Bit by bit

    def _left_of(self, window: Span) -> Span | None:
        """What of a window is wanted and was not looked through yet."""
        low, high, reached = self.looked.start, self.looked.end or window.end, self.looked.reached
        if reached is not None and window.start >= reached:
            return None
        if reached is not None:
            high = min(high, Position(reached.t + _AGAIN, MAX_ORDINAL))
        return _within(window, low, high)

    def _walk_back(self, source: StreamSource, span: Span, named: Named) -> bool:
        """From a span's end back to its start. What cannot be read is told and passed over; False where that
        goes on and on."""
        at, step, failures = span.end, _FIRST_STEP, 0
        if self.looked.newest is None:
            self._know(newest=span.end)
        while True:
            piece, asked = Span(max(span.start, _earlier(at, step)), at), self._clock()
            wide = piece.end.t - piece.start.t
            trouble = self._look_at(source, piece, named)
            if trouble is not None and wide > _SMALLEST_STEP:
                step = max(_SMALLEST_STEP, wide // 4)
                continue
            failures = 0 if trouble is None else failures + 1
            if trouble is None:
                step = _next_step(step, self._clock() - asked)
            elif source.name == LIVE:
                # The stream has it, or it is a gap.
                self._fails(f"The live oplog was not read before {moment(at.time)}: {trouble.message}")
                return False
            else:
                self._lacks(piece, trouble)
            if failures == _MOST_FAILURES and piece.start > self.looked.start:
                self._fails(f"Nothing before {moment(piece.start.time)} was looked through.")
                return False
            self._know(reached=min(piece.start, self.looked.reached or piece.start))
            if piece.start <= span.start:
                return True
            at = piece.start

    def _look_at(self, source: StreamSource, piece: Span, named: Named) -> Trouble | None:
        """Why it cannot be looked at; None where it was."""
        self._check()
        try:
            with pymongo.timeout(_LIVE_SECONDS) if source.name == LIVE else nullcontext():
                found = finder.scan_events(source, piece.start, piece.end, self._wanted)
        except Trouble as trouble:
            return trouble
        self._take(merged(self.looked.events, piece, found), named)
        return None

    def _look_for_slow_in(self, source: StreamSource, window: Span, named: Named) -> None:
        span = _within(window, self.looked.start, self._last or window.end)
        if span is None:
            return
        at = span.end
        while True:
            self._check()
            piece = Span(max(span.start, _earlier(at, _SLOW_STEP)), at)
            self._know(slow=piece.end)
            try:
                with pymongo.timeout(_LIVE_SLOW_SECONDS) if source.name == LIVE else nullcontext():
                    self._take_slow(source, window, piece, named)
            except Trouble as trouble:
                self._lacks(piece, trouble, " for deletes that are spread over hours")
            if piece.start <= span.start:
                return
            at = piece.start

    def _take_slow(self, source: StreamSource, window: Span, piece: Span, named: Named) -> None:
        known = [e for e in self.looked.events if e.last >= piece.start and e.position <= piece.end]
        found = finder.find_slow(source, window, piece, known, self._wanted.minimum)
        self._take(in_order((*self.looked.events, *filter(self._wanted.wants, found))), named)

    def _take(self, events: Iterable[Event], named: Named) -> None:
        known, told = tuple(events), self.looked.sources
        sources = {e.id: told.get(e.id) or named(e.position) for e in known}
        self._know(events=known, sources=sources)

    # Telling

    def _check(self, _: Position | None = None) -> None:
        if self._stop.is_set():
            raise Stopped

    def _reading_slow(self, position: Position) -> None:
        self._check()
        if self._told + _TOLD_EACH <= self._clock():
            self._know(slow=position)

    def _fails(self, text: str) -> None:
        self._know(unread=tuple(dict.fromkeys((*self.looked.unread, text))))

    def _lacks(self, piece: Span, trouble: Trouble, what: str = "") -> None:
        """Pieces next to each other are told as one."""
        span, told = piece, self.looked.unread
        if self._lacked is not None and self._lacked[0].start == piece.end and self._lacked[1] in told:
            span = Span(piece.start, self._lacked[0].end)
            told = tuple(text for text in told if text != self._lacked[1])
        why = trouble.message.removesuffix("Nothing live was changed.").rstrip()
        between = f"{moment(span.start.time)} to {moment(span.end.time)}"
        text = f"{between} was not looked through{what}: {why}"
        self._lacked = span, text
        self._know(unread=(*told, text))

    def _know(self, **changes: Any) -> None:
        self.looked = replace(self.looked, **changes)
        self._told = self._clock()
        self._tell(self.looked)


class _Followed:
    """A source whose reading is followed, batch by batch."""

    def __init__(self, source: StreamSource, windows: list[Span], follow: Callable[[Position], None]) -> None:
        self.name = source.name
        self._source, self._windows, self._follow = source, windows, follow

    def windows(self) -> list[Span]:
        return list(self._windows)

    def read(self, start: Position, end: Position) -> Iterator[bytes]:
        for batch in self._source.read(start, end):
            self._follow(head(last_entry(batch)).position)
            yield batch


def _within(window: Span, low: Position, high: Position) -> Span | None:
    start, end = max(window.start, low), min(window.end, high)
    return Span(start, end) if start <= end else None


def _next_step(step: int, took: float) -> int:
    if took < _QUICK:
        return min(_WIDEST_STEP, step * 2)
    return max(_SMALLEST_STEP, step // 2) if took > _LONG else step


def _earlier(position: Position, seconds: int) -> Position:
    return Position(max(0, position.t - seconds), 0)
