"""The range strip: coverage, snapshots and events on one axis of time, one cell a slice. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from mongo_dr_console.model.catalogue import SnapshotEntry
from mongo_dr_console.model.coverage import Coverage, Gap
from mongo_dr_console.model.event import Event
from mongo_dr_console.model.position import Position

_DAY = timedelta(hours=24)
_LEAST = timedelta(minutes=10)


class Kind(StrEnum):
    """What a cell shows; of several things in one slice the first of these."""

    EVENT = "event"
    SNAPSHOT = "snapshot"
    GAP = "gap"
    COVERED = "covered"
    NOTHING = "nothing"

    @property
    def sign(self) -> str:
        return {"event": "✗", "snapshot": "▲", "gap": "░", "covered": "═", "nothing": " "}[self.value]


class Cover(StrEnum):
    """What the lane of coverage shows in a slice; no gap is ever hidden by what lies beside it."""

    COVERED = "covered"
    PART = "part"
    GAP = "gap"
    NOTHING = "nothing"

    @property
    def sign(self) -> str:
        return {"covered": "═", "part": "▒", "gap": "░", "nothing": " "}[self.value]


class Mark(StrEnum):
    """What the lane of marks shows; of several in one slice the first of these."""

    EVENT = "event"
    BRANCH = "branch"
    HELD = "held snapshot"
    SNAPSHOT = "snapshot"
    NOTHING = "nothing"

    @property
    def sign(self) -> str:
        return {"event": "✗", "branch": "◆", "held snapshot": "■", "snapshot": "▲", "nothing": " "}[
            self.value
        ]


LANE_LEGEND: tuple[tuple[str, str], ...] = (
    *((cover.sign, cover.value) for cover in (Cover.COVERED, Cover.PART, Cover.GAP)),
    *((mark.sign, mark.value) for mark in (Mark.SNAPSHOT, Mark.HELD, Mark.EVENT, Mark.BRANCH)),
)
"""Signs of both lanes and their words; ``part``: covered, with a gap in it."""

LEGEND: tuple[tuple[str, str], ...] = tuple(
    (kind.sign, kind.value) for kind in (Kind.COVERED, Kind.GAP, Kind.SNAPSHOT, Kind.EVENT)
)
"""Signs and their words, in the order in which they are explained."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One slice of time.

    Args:
        position: Where a restore to this slice goes: at an event its first operation, at a snapshot its
            end, else the first covered position; None where nothing in it can be restored to.
    """

    sign: str
    kind: Kind
    position: Position | None = None


@dataclass(frozen=True, slots=True)
class Strip:
    """The strip from ``start`` to ``end`` (which is now, as a rule).

    Args:
        cells: One a slice, all of the same length.
        labels: A row as long as the cells: times of day in UTC under their slices.
        covers: The same slices as a lane of coverage alone.
        marks: And as a lane of what happened, above it.
    """

    start: datetime
    end: datetime
    cells: tuple[Cell, ...]
    labels: str
    covers: tuple[Cover, ...] = ()
    marks: tuple[Mark, ...] = ()

    @property
    def signs(self) -> str:
        return "".join(cell.sign for cell in self.cells)

    @property
    def slice_seconds(self) -> float:
        return (self.end - self.start).total_seconds() / len(self.cells)

    def at(self, cell: int) -> Position | None:
        """Where a restore to this cell goes; None in a gap."""
        return self.cells[cell].position

    def cell(self, position: Position) -> int | None:
        """The cell in which a position lies; None where it is not on the strip."""
        return _Axis(self.start.timestamp(), self.end.timestamp(), len(self.cells)).cell(position.t)


def default_span(coverage: Coverage | None, now: datetime) -> tuple[datetime, datetime]:
    """The last day, or from the oldest covered point on where that is later; ten minutes at least."""
    oldest = now - _DAY
    if coverage is not None and coverage.ranges:
        oldest = max(oldest, min(coverage.ranges[0].start.time, now - _LEAST))
    return oldest, now


def strip(
    coverage: Coverage | None,
    snapshots: Iterable[SnapshotEntry],
    events: Iterable[Event],
    start: datetime,
    end: datetime,
    width: int,
    *,
    until_now: bool = True,
) -> Strip:
    """Everything on one axis.

    A gap and an event are seen however short they are; a stretch that is covered is not hidden by the gap
    beside it.

    Args:
        coverage: None where it is not known.
        start, end: The first slice begins at ``start``, the last one ends at ``end``; at least a second.
        width: How many cells.
        until_now: Whether ``end`` is now, which is then written under it.
    """
    snapshots, events = tuple(snapshots), tuple(events)
    axis = _Axis(start.timestamp(), max(end.timestamp(), start.timestamp() + 1), width)
    cells = [Cell(Kind.NOTHING.sign, Kind.NOTHING)] * width
    if coverage is not None:
        _put_ranges(cells, axis, coverage)
        _put_gaps(cells, axis, coverage)
    for entry in sorted((s for s in snapshots if s.restorable and s.scope is None), key=lambda s: s.taken_at):
        assert entry.end is not None
        _put(cells, axis, entry.end, Kind.SNAPSHOT, _covered(coverage, entry.end, entry.end))
    # The oldest one last: going back to before it goes back to before all of its slice.
    for event in sorted(events, key=lambda e: e.position, reverse=True):
        goal = _covered(coverage, event.before, event.position)
        _put(cells, axis, event.position, Kind.EVENT, goal)
    labels = _labels(axis, until_now=until_now)
    covers = tuple(_cover(axis, number, coverage) for number in range(width))
    marks = _marks(axis, coverage, snapshots, events)
    return Strip(start, datetime.fromtimestamp(axis.end, UTC), tuple(cells), labels, covers, marks)


@dataclass(frozen=True, slots=True)
class _Axis:
    start: float
    end: float
    width: int

    @property
    def slice(self) -> float:
        return (self.end - self.start) / self.width

    def cell(self, second: float) -> int | None:
        """The cell of a second; the very end belongs to the last one."""
        if not self.start <= second <= self.end:
            return None
        return min(self.width - 1, int((second - self.start) * self.width / (self.end - self.start)))

    def begins(self, cell: int) -> float:
        return self.start + cell * (self.end - self.start) / self.width

    def cells(self, first: float, last: float) -> range:
        """The cells that a stretch of seconds touches."""
        if last < self.start or first > self.end:
            return range(0)
        low, high = self.cell(max(first, self.start)), self.cell(min(last, self.end))
        assert low is not None and high is not None
        return range(low, high + 1)


def _cover(axis: _Axis, number: int, coverage: Coverage | None) -> Cover:
    """By the seconds that a slice has: from its begin on, up to that of the next one."""
    if coverage is None:
        return Cover.NOTHING
    low, high = axis.begins(number), axis.begins(number + 1)
    last = number == axis.width - 1
    covered = any(
        r.end.t >= low and (r.start.t < high or (last and r.start.t == high)) for r in coverage.ranges
    )
    gap = any(_in_slice(g, low, high, axis.end) for g in coverage.gaps)
    if covered:
        return Cover.PART if gap else Cover.COVERED
    return Cover.GAP if gap else Cover.NOTHING


def _in_slice(gap: Gap, low: float, high: float, now: float) -> bool:
    end = max(now, gap.start.t + 1.0) if gap.end is None else float(gap.end.t)
    if end <= gap.start.t:
        # Within one second: entries are missing between two of its ordinals.
        return low <= gap.start.t < high
    return max(low, gap.start.t) < min(high, end)


def _marks(
    axis: _Axis, coverage: Coverage | None, snapshots: Iterable[SnapshotEntry], events: Iterable[Event]
) -> tuple[Mark, ...]:
    found = [Mark.NOTHING] * axis.width
    points = [(event.position, Mark.EVENT) for event in events]
    points += [(b.end, Mark.BRANCH) for b in ([] if coverage is None else coverage.branches)]
    for entry in snapshots:
        if entry.restorable and entry.scope is None and entry.end is not None:
            points.append((entry.end, Mark.HELD if entry.holds else Mark.SNAPSHOT))
    order = list(Mark)
    for position, mark in points:
        number = axis.cell(position.t)
        if number is not None and order.index(mark) < order.index(found[number]):
            found[number] = mark
    return tuple(found)


def _put_ranges(cells: list[Cell], axis: _Axis, coverage: Coverage) -> None:
    for stretch in coverage.ranges:
        for number in axis.cells(stretch.start.t, stretch.end.t):
            if cells[number].kind is Kind.NOTHING:
                first = Position(math.ceil(axis.begins(number)), 0)
                goal = min(stretch.end, max(stretch.start, first))
                cells[number] = Cell(Kind.COVERED.sign, Kind.COVERED, goal)


def _put_gaps(cells: list[Cell], axis: _Axis, coverage: Coverage) -> None:
    newest = None if coverage.latest is None else axis.cell(coverage.latest.t)
    for gap in coverage.gaps:
        last = axis.end if gap.end is None else float(gap.end.t)
        touched = axis.cells(gap.start.t, last)
        inside = [n for n in touched if cells[n].kind is Kind.NOTHING]
        if not inside and len(touched) > 0:
            # Shorter than a slice, or across the border of two: shown where most of it lies.
            shares = {n: _share(axis, n, gap.start.t, last) for n in touched if n != newest}
            inside = [max(shares, key=lambda n: shares[n])] if shares else []
        for number in inside:
            cells[number] = Cell(Kind.GAP.sign, Kind.GAP)


def _share(axis: _Axis, cell: int, first: float, last: float) -> float:
    return min(last, axis.begins(cell + 1)) - max(first, axis.begins(cell))


def _put(cells: list[Cell], axis: _Axis, where: Position, kind: Kind, goal: Position | None) -> None:
    number = axis.cell(where.t)
    if number is not None:
        cells[number] = Cell(kind.sign, kind, goal)


def _covered(coverage: Coverage | None, needed: Position | None, goal: Position) -> Position | None:
    return goal if coverage is not None and needed is not None and coverage.covers(needed) else None


# The times below

_STEPS = (60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 14400, 21600, 43200, 86400, 172800, 604800)
_NOW = "now"


def _labels(axis: _Axis, *, until_now: bool) -> str:
    row = [" "] * axis.width
    free = axis.width
    if until_now and axis.width >= len(_NOW):
        free = axis.width - len(_NOW) - 1
        row[-len(_NOW) :] = _NOW
    step = next((s for s in _STEPS if s / axis.slice >= len(_label(0, s)) + 2), None)
    if step is None:
        return "".join(row)
    second = math.ceil(axis.start / step) * step
    while second <= axis.end:
        text, cell = _label(second, step), axis.cell(second)
        if cell is not None and cell + len(text) <= free:
            row[cell : cell + len(text)] = text
        second += step
    return "".join(row)


def _label(second: float, step: int) -> str:
    when = datetime.fromtimestamp(second, UTC)
    if step >= 86400:
        return f"{when:%m-%d}"
    return f"{when:%H}h" if step >= 3600 else f"{when:%H:%M}"
