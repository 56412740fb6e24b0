"""Times as people write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mongo_dr_console.model.event import Event, EventSelector
from mongo_dr_console.model.position import MAX_ORDINAL, Bound, Position
from mongo_dr_console.model.trouble import WrongUse
from mongo_dr_console.model.when import (
    When,
    event_by_id,
    limit_before,
    limit_through,
    names_event,
    needs_latest,
    parse_when,
)

NOW = datetime(2026, 11, 22, 2, 17, 5, 900_000, UTC)
LATEST = Position(1_795_313_820, 7)
T = int(datetime(2026, 11, 22, 2, 11, 31, tzinfo=UTC).timestamp())

positions = st.builds(Position, st.integers(0, MAX_ORDINAL), st.integers(0, MAX_ORDINAL))


def read(text: str) -> When:
    return parse_when(text, now=NOW, latest=LATEST)


def event(identity: str = "1a2b3c4d") -> Event:
    first, last = Position(T, 3), Position(T + 1, 9)
    return Event(
        id=identity,
        kind="mass-delete",
        position=first,
        last=last,
        time=first.time,
        namespace="shop.orders",
        operations=100,
        documents=100,
        before=Position(T, 2),
        selector=EventSelector(first=first, last=last, op="d", namespaces=("shop.orders",)),
    )


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-22T02:11:31Z",
        "2026-11-22t02:11:31z",
        "2026-11-22 02:11:31Z",
        "2026-11-22T03:11:31+01:00",
        "2026-11-21T21:41:31-04:30",
        "  2026-11-22T02:11:31Z ",
    ],
)
def test_a_whole_second_is_all_its_ordinals(text: str) -> None:
    when = read(text)
    assert (when.first, when.last) == (Position(T, 0), Position(T, MAX_ORDINAL))
    assert limit_before(when).position == Position(T, 0)
    assert limit_before(when).bound is Bound.BEFORE
    assert limit_through(when).admits(Position(T, MAX_ORDINAL))
    assert not limit_through(when).admits(Position(T + 1, 0))


@pytest.mark.parametrize(("text", "seconds"), [("-10m", 600), ("-2h", 7200), ("-1d", 86400), ("-30s", 30)])
def test_ago_counts_from_now_in_whole_seconds(text: str, seconds: int) -> None:
    assert read(text).first == Position(int(NOW.timestamp()) - seconds, 0)


@pytest.mark.parametrize("text", ["1795313491:3", "Timestamp(1795313491, 3)", "Timestamp(1795313491,3)"])
def test_a_position_means_itself_alone(text: str) -> None:
    assert read(text).first == read(text).last == Position(1795313491, 3)


def test_latest_is_the_newest_position() -> None:
    assert read("latest").first == LATEST
    assert needs_latest("latest")
    with pytest.raises(WrongUse, match="latest"):
        parse_when("latest", now=NOW, latest=None)


def test_an_event_is_left_out_whole_or_gone_through_whole() -> None:
    when = parse_when("event:1a2b3c4d", now=NOW, latest=None, events=lambda i: event_by_id([event()], i))
    assert str(limit_before(when)) == f"before {T}:3"
    assert str(limit_through(when)) == f"through {T + 1}:9"
    assert when.event == event()
    assert names_event("event:1a2b3c4d")


def test_an_event_is_found_by_the_beginning_of_its_id_if_only_one_has_it() -> None:
    both = [event("1a2b3c4d"), event("1a2bffff")]
    assert event_by_id(both, "1a2b3").id == "1a2b3c4d"
    with pytest.raises(WrongUse, match="Several"):
        event_by_id(both, "1a2b")
    for unknown in ("1a2", "9999", ""):
        with pytest.raises(WrongUse, match="no event"):
            event_by_id(both, unknown)


def test_a_naive_time_is_refused_and_shown_with_z() -> None:
    with pytest.raises(WrongUse) as caught:
        read("2026-11-22T02:11:31")
    assert caught.value.code == "time-naive"
    assert "2026-11-22T02:11:31Z" in caught.value.hint


def test_a_fraction_is_refused_and_shown_without() -> None:
    with pytest.raises(WrongUse) as caught:
        read("2026-11-22T02:11:31.5+01:00")
    assert caught.value.code == "time-fraction"
    assert "2026-11-22T02:11:31+01:00" in caught.value.hint


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "10m",
        "-10",
        "-10y",
        "-99999999d",
        "2026-11-22",
        "2026-11-22T02:11Z",
        "2026-11-22T02Z",
        "2026-13-22T02:11:31Z",
        "2026-11-22T02:11:60Z",
        "2026-11-22T02:11:31+0100",
        "2026-11-22T02:11:31+25:00",
        "1900-01-01T00:00:00Z",
        "1763777491",
        "1763777491:",
        ":3",
        "1:2:3",
        "1.5:3",
        "99999999999:1",
        "4294967296:1",
        "Timestamp(1)",
        "Timestamp(1, 2",
        "event:1a2b3c4d",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-23:59",
    ],
)
def test_anything_else_is_wrong_use_that_says_what_a_time_is(text: str) -> None:
    with pytest.raises(WrongUse) as caught:
        read(text)
    assert "event:ID" in caught.value.hint


@given(positions)
def test_a_position_reads_back(position: Position) -> None:
    for text in (str(position), f"Timestamp({position.t}, {position.i})"):
        assert read(text).first == position


@given(st.integers(0, MAX_ORDINAL), st.integers(-23 * 60 - 59, 23 * 60 + 59))
def test_the_offset_does_not_move_the_second(t: int, minutes: int) -> None:
    zone = timezone(timedelta(minutes=minutes))
    text = datetime.fromtimestamp(t, UTC).astimezone(zone).isoformat()
    when = read(text)
    assert (when.first, when.last) == (Position(t, 0), Position(t, MAX_ORDINAL))


@given(st.integers(0, MAX_ORDINAL), positions)
def test_before_and_through_part_at_the_second(t: int, position: Position) -> None:
    when = read(datetime.fromtimestamp(t, UTC).isoformat())
    before, through = limit_before(when).admits(position), limit_through(when).admits(position)
    assert before == (position.t < t)
    assert through == (position.t <= t)


@given(st.text())
def test_no_text_breaks_it(text: str) -> None:
    try:
        when = read(text)
    except WrongUse:
        return
    assert when.first <= when.last
