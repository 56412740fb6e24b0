"""Looking for events bit by bit: nothing twice, nothing missed, nothing kept that was only thought."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.entrykit import START, Oplog, Recorded

from mongo_dr_console.model.eventfacts import EventFacts
from mongo_dr_console.model.eventscan import Filter
from mongo_dr_console.model.position import Position, Span
from mongo_dr_console.model.trouble import Unreachable
from mongo_dr_console.stream.finder import find_events
from mongo_dr_console.workers.eventhunt import EventHunt

HOUR = 3600


@dataclass
class Watched(Recorded):
    """Remembers what was read, and fails where it is told to."""

    reads: list[tuple[int, int]] = field(default_factory=list)
    failing: bool = False

    def windows(self) -> list[Span]:
        self._fail()
        return super().windows()

    def read(self, start: Position, end: Position) -> Iterator[bytes]:
        self._fail()
        self.reads.append((start.t, end.t))
        return super().read(start, end)

    def _fail(self) -> None:
        if self.failing:
            raise Unreachable("deployment-unreachable", "Nobody answers.")


def hunt(**options: float) -> EventHunt:
    """One that looks no further than it must at each time."""
    return EventHunt(Filter(), **{"budget": -1.0, **options})


def ids(facts: EventFacts) -> list[str]:
    return [e.id for e in facts.events]


def a_long_day() -> tuple[Oplog, Watched]:
    """Thirty hours of writes, with a drop every six hours."""
    log = Oplog()
    for number in range(30 * 12):
        log.insert("shop.orders", number)
        if number % 72 == 10:
            log.drop(f"shop.c{number}", 5)
        log.wait(300)
    return log, Watched(log)


def test_the_newest_minutes_are_known_first_and_a_day_after_some_looks() -> None:
    log, source = a_long_day()
    looking = hunt()
    first = looking.look(source)
    newest = log.positions[-1]
    assert first.scanned_to == newest and not first.complete
    assert first.scanned_from is not None and newest.t - first.scanned_from.t == 180
    generous = hunt(budget=60.0).look(source)
    assert generous.complete and generous.scanned_from is not None
    assert newest.t - generous.scanned_from.t == 24 * HOUR
    assert ids(generous) == [e.id for e in find_events(source) if e.time.timestamp() >= newest.t - 86_400]
    assert len(ids(generous)) == 4


def test_where_events_lie_thick_a_look_at_the_newest_reads_no_more_for_that() -> None:
    log = Oplog()
    for number in range(700):
        log.insert("shop.orders", number)
        log.drop(f"shop.c{number}", 5)
        log.wait(10)
    source = Watched(log)
    found = hunt().look(source)
    assert found.events and not found.complete
    assert min(start for start, _ in source.reads) > log.positions[-1].t - 600


def test_an_idle_oplog_is_not_read_again() -> None:
    _, source = a_long_day()
    looking = hunt(budget=60.0)
    looking.look(source)
    source.reads.clear()
    looking.look(source)
    assert source.reads == []


def test_what_is_new_is_read_with_the_last_minutes_and_no_more() -> None:
    log, source = a_long_day()
    looking = hunt(budget=60.0)
    before = looking.look(source)
    source.reads.clear()
    log.drop("shop.orders", 40_000)
    after = looking.look(source)
    assert len(after.events) == len(before.events) + 1 and after.events[-1].namespace == "shop.orders"
    assert min(start for start, _ in source.reads) > log.positions[-1].t - HOUR


def test_drops_that_turn_out_to_be_a_databases_are_replaced_by_it() -> None:
    log = Oplog()
    log.insert("shop.orders", 1)
    looking, source = hunt(), Watched(log)
    log.drop("shop.a")
    log.wait(1.5)
    log.drop("shop.b")
    assert [e.kind for e in looking.look(source).events] == ["drop", "drop"]
    log.wait(20)
    log.command("shop", {"dropDatabase": 1})
    assert [e.kind for e in looking.look(source).events] == ["drop-database"]


def test_a_mass_delete_that_goes_on_stays_one_event() -> None:
    log = Oplog()
    log.insert("shop.orders", 1)
    looking, source = hunt(), Watched(log)
    counts = []
    for _ in range(4):
        for number in range(200):
            log.delete("shop.orders", number)
            log.wait(0.01)
        (event,) = looking.look(source).events
        counts.append(event.documents)
    assert counts == [200, 400, 600, 800]


def test_ignored_events_are_nobodys() -> None:
    log = Oplog()
    log.drop("tmp_1.a")
    log.drop("shop.a")
    looking = EventHunt(Filter(ignored=("tmp_*.*",)))
    assert [e.namespace for e in looking.look(Watched(log)).events] == ["shop.a"]


def test_a_failure_loses_nothing_that_was_found() -> None:
    _, source = a_long_day()
    looking = hunt(budget=60.0)
    known = looking.look(source)
    source.failing = True
    with pytest.raises(Unreachable):
        looking.look(source)
    source.failing = False
    assert looking.look(source) == known


def test_an_oplog_that_was_replaced_is_looked_through_afresh() -> None:
    _, source = a_long_day()
    looking = hunt(budget=60.0)
    looking.look(source)
    other = Oplog(now=START - 10_000)
    other.drop("crm.people")
    found = looking.look(Watched(other))
    assert [e.namespace for e in found.events] == ["crm.people"]


def test_what_is_older_than_a_day_goes() -> None:
    log = Oplog()
    log.drop("shop.old")
    log.insert("shop.orders", 1)
    looking, source = hunt(), Watched(log)
    assert len(looking.look(source).events) == 1
    log.wait(25 * HOUR)
    log.insert("shop.orders", 2)
    for _ in range(40):
        found = looking.look(source)
    assert found.events == () and found.complete


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("idDDxm"), st.sampled_from([0.1, 3.0, 30.0, 700.0]), st.booleans()),
        min_size=1,
        max_size=40,
    )
)
def test_in_the_end_it_is_what_one_look_at_everything_finds(steps: list[tuple[str, float, bool]]) -> None:
    log = Oplog()
    log.insert("shop.first", 0)
    looking, source = hunt(), Watched(log)
    for number, (what, pause, look_now) in enumerate(steps):
        _write(log, what, number)
        if look_now:
            looking.look(source)
        log.wait(pause)
    for _ in range(30):
        facts = looking.look(source)
    assert facts.complete
    assert list(facts.events) == find_events(Recorded(log))


def _write(log: Oplog, what: str, number: int) -> None:
    if what == "m":
        for one in range(150):
            log.delete("shop.orders", one)
            log.wait(0.01)
    elif what == "x":
        log.command("crm", {"dropDatabase": 1})
    elif what == "i":
        log.insert("shop.orders", number)
    else:
        log.drop(f"crm.c{number}" if what == "D" else f"shop.c{number}")
