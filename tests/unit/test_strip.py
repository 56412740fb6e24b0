"""The range strip: nothing covered is made up, nothing that matters is hidden."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.readingkit import NOW, T0, at, coverage, event, live, oplog, snapshot

from mongo_dr_console.model import coverage as covering
from mongo_dr_console.model.coverage import Cause, Coverage, Gap, Range
from mongo_dr_console.model.event import Event
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.span import SPANS
from mongo_dr_console.model.strip import LANE_LEGEND, LEGEND, Cover, Kind, Mark, Strip, default_span, strip

DAY = timedelta(hours=24)


def made(*ranges: tuple[int, int], gaps: tuple[tuple[int, int | None], ...] = ()) -> Coverage:
    """Ranges and gaps in seconds ago."""
    covered = tuple(Range(at(a), at(b), ("live",)) for a, b in ranges)
    missing = tuple(
        Gap(at(a), None if b is None else at(b), Cause.ROLLED_OVER, "It is gone.") for a, b in gaps
    )
    latest = covered[-1].end if covered else None
    return Coverage(covered, missing, (), latest, None, None, None)


def kinds(found: Strip) -> str:
    return "".join(cell.kind.value[0] for cell in found.cells)


def test_a_day_with_a_gap_a_snapshot_and_an_event() -> None:
    known = made((80_000, 50_000), (30_000, 0), gaps=((50_000, 30_000),))
    found = strip(known, [snapshot(30_000)], [event(3600)], NOW - DAY, NOW, 48)
    assert found.signs == "   ══════════════════░░░░░░░░░░▲══════════════✗═"
    assert found.labels == " 12h   15h   18h   21h   00h   03h   06h     now"


def test_a_cell_leads_to_where_a_restore_goes() -> None:
    known = made((80_000, 50_000), (30_000, 0), gaps=((50_000, 30_000),))
    dropped = event(3600)
    found = strip(known, [snapshot(30_000)], [dropped], NOW - DAY, NOW, 48)
    goals = {cell.kind: cell.position for cell in found.cells}
    assert goals[Kind.EVENT] == dropped.position
    assert goals[Kind.SNAPSHOT] == at(30_000)
    assert goals[Kind.GAP] is None and goals[Kind.NOTHING] is None
    assert found.at(3) == at(80_000), "not before the range begins"
    assert found.cell(at(0)) == 47 and found.cell(at(90_000)) is None


def test_an_event_in_a_gap_is_seen_and_cannot_be_chosen() -> None:
    known = made((80_000, 50_000), (30_000, 0), gaps=((50_000, 30_000),))
    found = strip(known, [], [event(40_000)], NOW - DAY, NOW, 48)
    (number,) = [n for n, cell in enumerate(found.cells) if cell.kind is Kind.EVENT]
    assert found.at(number) is None


def test_the_oldest_of_several_events_in_one_slice_counts() -> None:
    first, second = event(3700), event(3650)
    found = strip(made((80_000, 0)), [], [first, second], NOW - DAY, NOW, 20)
    cell = found.cell(first.position)
    assert cell is not None and found.at(cell) == first.position


@pytest.mark.parametrize("border", [40_000, 43_200, 43_000])
def test_a_gap_of_a_minute_is_seen_on_a_strip_of_a_day(border: int) -> None:
    known = made((80_000, border + 30), (border - 30, 0), gaps=((border + 30, border - 30),))
    found = strip(known, [], [], NOW - DAY, NOW, 20)
    assert kinds(found).count("g") == 1


def test_a_short_range_after_a_long_gap_stays_choosable() -> None:
    known = made((80_000, 50_000), (200, 0), gaps=((50_000, 200),))
    found = strip(known, [], [], NOW - DAY, NOW, 20)
    assert found.cells[-1].kind is Kind.COVERED and found.at(19) == at(200)


def test_a_gap_without_an_end_reaches_to_now() -> None:
    found = strip(made((80_000, 50_000), gaps=((50_000, None),)), [], [], NOW - DAY, NOW, 24)
    assert kinds(found).endswith("ggggg")


def test_a_gap_whose_stretch_is_off_the_strip_is_not_drawn() -> None:
    known = made((80_000, 50_000), (30_000, 0), gaps=((50_000, 30_000),))
    assert set(kinds(strip(known, [], [], NOW - timedelta(hours=1), NOW, 30))) == {"c"}


def test_where_nothing_is_known_the_events_are_seen_all_the_same() -> None:
    assert strip(None, [], [event(60)], NOW - DAY, NOW, 24).signs == " " * 23 + "✗"


def test_snapshots_of_a_few_databases_are_no_place_to_restore_everything_from() -> None:
    found = strip(made((80_000, 0)), [snapshot(600, scope=("shop",))], [], NOW - DAY, NOW, 24)
    assert "▲" not in found.signs


def test_the_span_is_a_day_or_from_the_oldest_point_on() -> None:
    assert default_span(None, NOW) == (NOW - DAY, NOW)
    assert default_span(coverage(snapshot(3600)), NOW) == (NOW - timedelta(hours=1), NOW)
    assert default_span(coverage(snapshot(30)), NOW) == (NOW - timedelta(minutes=10), NOW)
    old = snapshot(300_000)
    whole = covering.build([old], live(400_000, old), now=NOW, oplog=oplog())
    assert default_span(whole, NOW) == (NOW - DAY, NOW)


def test_every_sign_but_nothing_is_explained() -> None:
    lanes = {value.value for kind in (Cover, Mark) for value in kind} - {"nothing"}
    assert {word for _, word in LANE_LEGEND} == lanes and len({s for s, _ in LANE_LEGEND}) == len(lanes)
    assert {word for _, word in LEGEND} == {kind.value for kind in Kind} - {"nothing"}


seconds_ago = st.integers(0, 100_000)


@st.composite
def coverages(draw: st.DrawFn) -> Coverage:
    """Ranges with gaps between them, as coverage has them."""
    ends = sorted(draw(st.lists(seconds_ago, min_size=2, max_size=10, unique=True)), reverse=True)
    pairs = [(ends[n], ends[n + 1]) for n in range(0, len(ends) - 1, 2)]
    gaps = tuple((pairs[n][1], pairs[n + 1][0]) for n in range(len(pairs) - 1))
    return made(*pairs, gaps=gaps)


@given(coverages(), st.lists(seconds_ago, max_size=5), st.integers(20, 200), st.integers(600, 90_000))
def test_no_cell_promises_what_is_not_covered_and_no_event_is_hidden(
    known: Coverage, events: list[int], width: int, length: int
) -> None:
    found_events = [event(ago) for ago in events]
    start = NOW - timedelta(seconds=length)
    found = strip(known, [], found_events, start, NOW, width)
    assert len(found.cells) == len(found.labels) == width
    for number, cell in enumerate(found.cells):
        goal = found.at(number)
        if cell.kind is Kind.COVERED:
            assert goal is not None and known.covers(goal)
            assert found.cell(goal) == number or found.slice_seconds < 1
        elif cell.kind in (Kind.GAP, Kind.NOTHING):
            assert goal is None
    _no_cover_inside_a_gap(known, found)
    _every_event_is_there(found_events, found)


@given(coverages(), st.integers(20, 200), st.integers(600, 30 * 86_400), st.integers(0, 90_000))
def test_each_slice_of_the_lane_says_what_coverage_says_of_its_seconds(
    known: Coverage, width: int, length: int, ago: int
) -> None:
    end = NOW - timedelta(seconds=ago)
    found = strip(known, [], [], end - timedelta(seconds=length), end, width)
    for number, cover in enumerate(found.covers):
        low = found.start.timestamp() + number * found.slice_seconds
        high = low + found.slice_seconds
        last = number == width - 1
        inside = [s for s in range(math.ceil(low), math.ceil(high) + 1) if s < high or (last and s == high)]
        covered = any(r.start.t <= s <= r.end.t for r in known.ranges for s in inside)
        # A slice shorter than a second may lie between two seconds of one range.
        covered = covered or any(r.start.t < low and high < r.end.t for r in known.ranges)
        gap = any(g.start.t < high and low < (g.end or at(0)).t for g in known.gaps)
        wanted = {(True, True): "part", (True, False): "covered", (False, True): "gap"}
        assert cover.value == wanted.get((covered, gap), "nothing"), (number, low, high)


@given(coverages(), st.integers(20, 120), st.sampled_from(SPANS))
def test_no_gap_is_lost_at_any_zoom(known: Coverage, width: int, span: timedelta) -> None:
    found = strip(known, [snapshot(ago) for ago in range(0, 90_000, 5_000)], [], NOW - span, NOW, width)
    for gap in known.gaps:
        middle = (gap.start.t + (gap.end or at(0)).t) // 2
        number = found.cell(Position(middle, 0))
        if number is not None and (gap.end or at(0)).t > gap.start.t:
            near = found.covers[max(0, number - 1) : number + 2]
            assert Cover.GAP in near or Cover.PART in near


def test_a_gap_within_one_second_is_seen_and_one_under_a_snapshot_too() -> None:
    whole = Range(Position(T0 - 600, 1), Position(T0 - 300, 1), ("live",))
    rest = Range(Position(T0 - 300, 9), Position(T0, 1), ("live",))
    hole = Gap(whole.end, rest.start, Cause.DAMAGED, "It is damaged.")
    known = Coverage((whole, rest), (hole,), (), rest.end, None, None, None)
    found = strip(known, [snapshot(300)], [], NOW - timedelta(seconds=600), NOW, 20)
    assert "".join(c.sign for c in found.covers) == "══════════▒═════════"
    assert "".join(m.sign for m in found.marks) == "          ▲         "


def test_a_range_that_begins_where_a_slice_ends_is_not_in_it() -> None:
    found = strip(made((300, 0)), [], [], NOW - timedelta(seconds=600), NOW, 20)
    assert "".join(c.sign for c in found.covers) == "          ══════════"


def test_of_several_marks_in_one_slice_the_worst_is_shown_and_holds_have_a_sign() -> None:
    held = snapshot(40_000, holds=("ab12",))
    bad = covering.Branch(at(60_000), at(60_000), ("kafka",), Cause.DIVERGED, "It was rolled back.")
    known = replace(made((80_000, 0)), branches=(bad,))
    dropped = event(3600)
    found = strip(known, [snapshot(3590), held, snapshot(20_000)], [dropped], NOW - DAY, NOW, 24)
    assert "".join(m.sign for m in found.marks) == "       ◆    ■     ▲    ✗"[:24]


def _no_cover_inside_a_gap(known: Coverage, found: Strip) -> None:
    begin = found.start.timestamp()
    for number, cell in enumerate(found.cells):
        low = begin + number * found.slice_seconds
        for gap in known.gaps:
            end = T0 if gap.end is None else gap.end.t
            if gap.start.t < low - 1 and low + found.slice_seconds + 1 < end:
                assert cell.kind in (Kind.GAP, Kind.EVENT)


def _every_event_is_there(events: list[Event], found: Strip) -> None:
    for one in events:
        if one.position.t >= found.start.timestamp():
            number = found.cell(one.position)
            assert number is not None and found.cells[number].kind is Kind.EVENT


@given(st.integers(20, 200), st.integers(600, 2 * 86_400), st.integers(0, 86_400))
def test_the_times_below_never_collide_and_stand_under_their_slice(
    width: int, length: int, shift: int
) -> None:
    end = datetime.fromtimestamp(T0 + shift, UTC)
    found = strip(None, [], [], end - timedelta(seconds=length), end, width)
    assert found.labels.endswith(" now") and len(found.labels) == width
    step = timedelta(seconds=found.slice_seconds)
    for word in re.finditer(r"\S+", found.labels[:-3]):
        low = found.start + step * word.start()
        hour, _, minute = word.group().removesuffix("h").partition(":")
        ticks = {(t.hour, t.minute) for t in _minutes(low, low + step)}
        assert (int(hour), int(minute or 0)) in ticks, found.labels


def _minutes(low: datetime, high: datetime) -> Iterator[datetime]:
    """The whole minutes in a slice."""
    when = low.replace(second=0, microsecond=0)
    while when <= high + timedelta(seconds=1):
        if when >= low - timedelta(seconds=1):
            yield when
        when += timedelta(minutes=1)


def test_positions_outside_have_no_cell() -> None:
    found = strip(None, [], [], NOW - DAY, NOW, 24)
    assert found.cell(Position(T0 + 10, 1)) is None
