"""Looking for events over days: the same as one look at everything finds, whatever has which part of it;
what cannot be looked at is said, and what was found stays."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any

import pytest
from support.entrykit import Oplog, Recorded

from mongo_dr_console.model.coverage import Damage, Unread
from mongo_dr_console.model.eventscan import Filter
from mongo_dr_console.model.eventsearch import Looked, gaps_in
from mongo_dr_console.model.position import Position, Span
from mongo_dr_console.model.reading import SourceError
from mongo_dr_console.model.trouble import Failed, Trouble, Unreachable, WrongUse
from mongo_dr_console.model.when import parse_range, parse_when
from mongo_dr_console.stream.finder import find_events
from mongo_dr_console.stream.history import History
from mongo_dr_console.workers.eventsearch import EventSearch, Stopped

HOUR = 3600
BORN = 1_795_000_000
SEGMENTS, TOPIC = "segments:far", "kafka"


@dataclass
class Part:
    """What one source has of an oplog; readings that reach into ``broken`` fail."""

    oplog: Oplog
    name: str
    start: Position
    end: Position
    broken: Span | None = None
    reads: list[Span] = field(default_factory=list)

    def read(self, start: Position, end: Position) -> Iterator[bytes]:
        self.reads.append(Span(start, end))
        if self.broken and start <= self.broken.end and end >= self.broken.start:
            raise Failed("segment-damaged", "A segment is damaged.")
        return Recorded(self.oplog).read(max(start, self.start), min(end, self.end))

    def windows(self) -> list[Span]:
        return [Span(self.start, self.end)]

    def hash_at(self, position: Position) -> str | None:
        raise NotImplementedError

    def go_on(self, position: Position, entry_hash: str, through: Position) -> Iterator[bytes]:
        raise NotImplementedError


@dataclass
class Scene:
    """A live oplog, what was kept, and a search through both."""

    live: Part | None
    kept: tuple[Part, ...]
    unread: dict[str, Trouble] = field(default_factory=dict)
    told: list[Looked] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)
    tell: Callable[[Looked], None] | None = None

    def history(self) -> History:
        parts = [p for p in (self.live, *self.kept) if p is not None]
        spans: list[Span] = []
        for part in sorted(parts, key=lambda p: p.start):
            if spans and part.start <= spans[-1].end:
                spans[-1] = Span(spans[-1].start, max(spans[-1].end, part.end))
            else:
                spans.append(Span(part.start, part.end))
        gone = [Unread(TOPIC, SourceError("x", "The broker does not answer."))] if self.unread else []
        return History(parts, spans, unread=gone)

    def search(self, start: Position, end: Position | None = None, known: Looked | None = None) -> Looked:
        search = EventSearch(start, end, Filter(), self._tell, self.stop, known, clock=lambda: 0.0)
        try:
            alive = search.look_at_live(Down() if self.live is None else self.live)
            if not search.complete:
                search.look_at_kept(lambda: (self.history(), self.unread))
            search.look_for_slow(self.live if alive else None)
        except Stopped:
            pass
        return search.ended()

    def _tell(self, looked: Looked) -> None:
        self.told.append(looked)
        if self.tell is not None:
            self.tell(looked)


class Down:
    name = "live"

    def windows(self) -> list[Span]:
        raise Unreachable("deployment-unreachable", "No member answers.")

    def read(self, start: Position, end: Position) -> Iterator[bytes]:
        raise NotImplementedError


@cache
def days(hours: int = 72) -> Oplog:
    """A write every ten minutes, a drop every seven hours, mass deletes and updates, and one that is slow."""
    log = Oplog(now=BORN)
    for number in range(hours * 6):
        log.insert("shop.orders", number)
        if number % 42 == 20:
            log.drop(f"shop.c{number}", 5)
        if number % 100 == 60:
            for each in range(120):
                log.delete("shop.carts", f"{number}-{each}")
        if number % 150 == 90:
            for each in range(120):
                log.update("shop.products", each, {"u": {"price": 0}})
        if 200 <= number < 260:
            for each in range(4):
                log.delete("crm.people", f"{number}-{each}")
        log.wait(600)
    return log


def at(log: Oplog, hours: float) -> Position:
    """The first position so many hours after its start."""
    return next(p for p in log.positions if p.t >= BORN + hours * HOUR)


def scene(log: Oplog, live_from: Position, kept_until: Position | None = None, **more: Any) -> Scene:
    last = log.positions[-1]
    live = Part(log, "live", live_from, last)
    return Scene(live, (Part(log, SEGMENTS, log.positions[0], kept_until or last),), **more)


def ids(looked: Looked) -> list[str]:
    return [e.id for e in looked.events]


def wanted(log: Oplog, start: Position, end: Position | None = None) -> list[str]:
    """What ``mdr find`` says."""
    return [e.id for e in find_events(Recorded(log), start, end, slow=True)]


def within(log: Oplog, kind: str) -> Position:
    """A position in the middle of the third event of a kind."""
    event = [e for e in find_events(Recorded(log)) if e.kind == kind][1]
    return log.positions[log.positions.index(event.position) + 60]


@pytest.mark.parametrize("border", ["between", "in a mass delete", "in a mass update", "in the slow one"])
def test_it_finds_what_one_look_at_everything_finds_each_once_and_whole(border: str) -> None:
    log = days()
    places = {
        "between": at(log, 40.1),
        "in a mass delete": within(log, "mass-delete"),
        "in a mass update": within(log, "mass-update"),
        "in the slow one": at(log, 37),
    }
    found = scene(log, places[border]).search(at(log, 0))
    assert ids(found) == wanted(log, at(log, 0))
    assert {e.kind for e in found.events} == {"drop", "mass-delete", "mass-update"}
    assert "crm.people" in {e.namespace for e in found.events}
    assert found.ended and found.share == 1.0 and found.missing == () and found.unread == ()
    older = {e.id for e in found.events if e.last < places[border]}
    assert {i for i, source in found.sources.items() if source == SEGMENTS} >= older
    assert set(found.sources) == set(ids(found)) and "live" in found.sources.values()


def test_only_what_reaches_into_the_range_and_the_stream_is_not_asked_without_need() -> None:
    log = days()
    case = scene(log, at(log, 30))
    found = case.search(at(log, 45), at(log, 60))
    assert ids(found) == wanted(log, at(log, 45), at(log, 60)) != []
    assert case.kept[0].reads == []


def test_it_tells_the_newest_first_and_how_far_it_has_come() -> None:
    log = days()
    case = scene(log, at(log, 40))
    case.search(at(log, 0))
    shares = [looked.share for looked in case.told]
    assert shares == sorted(shares) and shares[-1] == 1.0 and len(set(shares)) > 10
    numbers = [len(looked.events) for looked in case.told if looked.slow is None]
    assert numbers[:-1] == sorted(numbers[:-1])
    first = next(looked for looked in case.told if looked.events)
    assert first.events[-1].id == wanted(log, at(log, 0))[-1] and first.share < 0.5


def test_a_gap_is_said_and_what_lies_on_both_sides_of_it_is_found() -> None:
    log = days()
    found = scene(log, at(log, 50), at(log, 30)).search(at(log, 0))
    older, newer = wanted(log, at(log, 0), at(log, 29)), wanted(log, at(log, 50))
    assert set(older) | set(newer) <= set(ids(found))
    assert not [e for e in found.events if at(log, 31) < e.position < at(log, 50)]
    assert len(found.missing) == 1 and "Nothing has the oplog between" in found.missing[0]
    assert found.share == 1.0


def test_what_is_older_than_everything_is_said_too() -> None:
    log = days(20)
    found = scene(log, at(log, 10)).search(Position(BORN - HOUR, 0))
    assert found.missing == ("Nothing has the oplog before 2026-11-18T11:06:40Z.",) and found.share == 1.0
    assert ids(found) == wanted(log, at(log, 0))


def test_what_is_damaged_is_passed_over_and_said() -> None:
    log = days()
    case = scene(log, at(log, 50))
    damaged = at(log, 20)
    case.kept[0].broken = Span(damaged, damaged)
    found = case.search(at(log, 0))
    quick = find_events(Recorded(log))
    newer, older = [{e.id for e in quick if (e.position > damaged) is later} for later in (True, False)]
    assert newer <= set(ids(found))
    # An event is read on until it has ended, which of some is on the other side.
    assert len(older & set(ids(found))) > len(older) / 2
    passed = [text for text in found.unread if "spread over hours" not in text]
    assert 1 <= len(passed) <= 3 and all(text.endswith("A segment is damaged.") for text in passed)
    assert passed[0].startswith("2026-11-19T07:03:50Z to 2026-11-19T07:07:50Z was not looked through")
    assert found.share == 1.0


def test_a_source_that_fails_on_and_on_is_given_up_and_what_was_found_stays() -> None:
    log = days()
    case = scene(log, at(log, 50))
    case.kept[0].broken = Span(at(log, 0), at(log, 49.9))
    found = case.search(at(log, 0))
    assert set(wanted(log, at(log, 50))) <= set(ids(found))
    assert any(text.startswith("Nothing before") for text in found.unread)
    assert found.share < 0.5 and len(case.kept[0].reads) < 60


def test_without_the_deployment_what_was_kept_is_looked_through() -> None:
    log = days()
    case = scene(log, at(log, 50), unread={"s3": Unreachable("x", "It does not answer.")})
    case.live = None
    found = case.search(at(log, 0))
    assert ids(found) == wanted(log, at(log, 0))
    assert set(found.sources.values()) == {SEGMENTS}
    assert found.unread == (
        "The live oplog was not looked through: No member answers.",
        "Store s3 does not answer: It does not answer.",
        "kafka cannot be read: The broker does not answer.",
    )


def test_with_nothing_at_all_nothing_is_claimed() -> None:
    found = Scene(None, ()).search(Position(BORN, 0))
    assert found.events == () and found.reached is None and found.ended
    assert found.missing == ("Nothing has the oplog from 2026-11-18T11:06:40Z on.",)


def test_the_live_oplog_fails_midway_and_the_stream_has_the_rest() -> None:
    log = days()
    case = scene(log, at(log, 20))
    assert case.live is not None
    case.live.broken = Span(at(log, 20), at(log, 60))
    found = case.search(at(log, 25))
    assert case.kept[0].reads and any("The live oplog was not read before" in t for t in found.unread)
    # The history reads the live part first as well, and goes on in the segments where that fails.
    assert ids(found) == wanted(log, at(log, 25))


def test_it_stops_within_one_batch() -> None:
    log = days()
    case = scene(log, at(log, 50))

    def enough(looked: Looked) -> None:
        if looked.reached is not None and looked.reached < at(log, 40):
            case.stop.set()

    case.tell = enough
    found = case.search(at(log, 0))
    assert found.ended and found.reached is not None and at(log, 20) < found.reached < at(log, 40)
    assert all(e.last >= found.reached for e in found.events)
    reads = len(case.kept[0].reads)
    case.search(at(log, 0))
    assert len(case.kept[0].reads) == reads


@pytest.mark.parametrize("border", [30, 36, 47])
def test_going_on_further_back_reads_only_that_and_ends_with_the_same(border: float) -> None:
    log = days()
    case = scene(log, at(log, 50))
    first = case.search(at(log, border))
    reads = len(case.kept[0].reads)
    both = case.search(at(log, 0), None, first)
    assert ids(both) == wanted(log, at(log, 0)) and both.share == 1.0
    assert case.kept[0].reads[reads].end.t <= at(log, border).t + 300


def test_further_back_is_as_far_again() -> None:
    looked = Looked(Position(10 * HOUR, 0), newest=Position(14 * HOUR, 3))
    assert looked.further == Position(6 * HOUR, 0)
    assert Looked(Position(HOUR, 0), newest=Position(HOUR + 5, 3)).further == Position(0, 0)


def test_gaps_are_those_in_the_range_only() -> None:
    windows = [Span(Position(100, 1), Position(200, 1)), Span(Position(300, 1), Position(400, 1))]
    damage = [
        Damage(Position(210, 1), Position(220, 1), "far: torn."),
        Damage(Position(1, 1), Position(2, 1), "no"),
    ]
    assert gaps_in(windows, Position(150, 0), None, damage) == (
        "Nothing has the oplog between 1970-01-01T00:03:20Z and 1970-01-01T00:05:00Z. far: torn.",
    )
    assert gaps_in(windows, Position(310, 0), None) == ()
    assert gaps_in(windows, Position(100, 0), Position(250, 0)) == (
        "Nothing has the oplog between 1970-01-01T00:03:20Z and 1970-01-01T00:04:10Z.",
    )
    assert [t[:26] for t in gaps_in(windows, Position(50, 0), Position(500, 0))] == [
        "Nothing has the oplog betw",
        "Nothing has the oplog betw",
        "Nothing has the oplog befo",
    ]


# The range as it is typed

NOW = datetime(2026, 11, 22, 2, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("-2d", NOW.timestamp() - 2 * 86400, None),
        ("-2d..", NOW.timestamp() - 2 * 86400, None),
        (" -3d .. -1d ", NOW.timestamp() - 3 * 86400, NOW.timestamp() - 86400),
        ("1795000000:3..latest", 1795000000, 1795313400),
        ("2026-11-20T00:00:00Z..2026-11-21T00:00:00+01:00", 1795132800, 1795215600),
    ],
)
def test_a_range_is_a_time_or_two(text: str, start: float, end: float | None) -> None:
    first, last = parse_range(text, lambda one: parse_when(one, now=NOW, latest=Position(1795313400, 2)))
    assert first.t == start
    assert (None if last is None else last.t) == end


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "range-wrong"),
        ("..-1d", "range-wrong"),
        ("-1d..-2d", "range-backwards"),
        ("yesterday", "time-wrong"),
        ("-1d..2026-11-21T00:00:00", "time-naive"),
        ("-1d..-1h..-1m", "time-wrong"),
        ("latest", "time-unknown"),
    ],
)
def test_what_is_no_range_is_refused(text: str, code: str) -> None:
    with pytest.raises(WrongUse) as caught:
        parse_range(text, lambda one: parse_when(one, now=NOW, latest=None))
    assert caught.value.code == code
