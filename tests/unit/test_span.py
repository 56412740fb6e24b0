"""The stretch of time that a strip shows: zoomed and moved, never beyond now or before thirty days ago."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st
from support.readingkit import NOW

from mongo_dr_console.model.span import FURTHEST, SPANS, Window, nearest
from mongo_dr_console.ui.striplines import extent

HOUR = timedelta(hours=1)
steps = st.lists(st.tuples(st.sampled_from(["zoom", "about", "move"]), st.integers(-3, 3)), max_size=12)


def test_from_minutes_to_thirty_days() -> None:
    assert SPANS[0] == timedelta(minutes=10) and SPANS[-1] == timedelta(days=30)
    assert list(SPANS) == sorted(SPANS)
    assert nearest(timedelta(hours=24)).span == timedelta(days=1)
    assert nearest(timedelta(days=90)).span == FURTHEST


def test_it_follows_now_until_it_is_moved_and_again_when_moved_back() -> None:
    hour = nearest(HOUR)
    assert hour.bounds(NOW) == (NOW - HOUR, NOW)
    earlier = hour.moved(-1, NOW)
    assert earlier.bounds(NOW) == (NOW - 1.5 * HOUR, NOW - 0.5 * HOUR)
    assert earlier.bounds(NOW + HOUR) == earlier.bounds(NOW)
    assert earlier.moved(1, NOW) == hour
    assert extent(hour, NOW) == "the last 1h"
    assert extent(earlier, NOW) == "1h: 09:36:40Z to 10:36:40Z"
    assert extent(nearest(24 * HOUR).moved(-2, NOW), NOW) == "1d: 11-16 11:06:40Z to 11-17 11:06:40Z"


def test_zoomed_about_a_moment_that_stays_in_the_middle() -> None:
    about = NOW - timedelta(days=3)
    start, end = nearest(timedelta(days=7)).zoomed(-4, NOW, about).bounds(NOW)
    assert end - start == timedelta(hours=6) and start + (end - start) / 2 == about


@given(st.integers(0, len(SPANS) - 1), steps)
def test_it_never_leaves_the_last_thirty_days(size: int, moves: list[tuple[str, int]]) -> None:
    window = Window(size)
    for what, by in moves:
        if what == "move":
            window = window.moved(by, NOW)
        else:
            window = window.zoomed(by, NOW, NOW - timedelta(days=abs(by)) if what == "about" else None)
        start, end = window.bounds(NOW)
        assert NOW - FURTHEST <= start < end <= NOW and end - start == window.span
