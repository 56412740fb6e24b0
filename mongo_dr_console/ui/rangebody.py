"""The panel of the restorable range: strip, newest restore point, margin, events and gaps. Pure."""

from __future__ import annotations

from datetime import datetime

from mongo_dr_console.model.coverage import Branch, Coverage, Gap, Range
from mongo_dr_console.model.event import Event
from mongo_dr_console.model.panel import Panel
from mongo_dr_console.model.readings import live_coverage, open_events
from mongo_dr_console.model.span import Window
from mongo_dr_console.model.strip import LEGEND, Kind, Strip, default_span, strip
from mongo_dr_console.model.verdict import Level, grade_least, worst
from mongo_dr_console.model.words import UNKNOWN, clock, duration
from mongo_dr_console.ui.glyphs import ROLE_OF_LEVEL
from mongo_dr_console.ui.lines import Line, Role, Span, line
from mongo_dr_console.ui.panels import NAMES, Body, Item, note_item, sentence, trouble_lines
from mongo_dr_console.ui.striplines import extent, lane_lines
from mongo_dr_console.ui.view import View

ROLE_OF_KIND: dict[Kind, Role] = {
    Kind.EVENT: "critical",
    Kind.SNAPSHOT: "info",
    Kind.GAP: "warning",
    Kind.COVERED: "fine",
    Kind.NOTHING: "",
}
_MOST_SOURCES = 2


def range_body(panel: Panel, view: View, width: int, window: Window | None = None) -> Body:
    """What can be restored to: first at a glance, then in words, what is bad before what is well.

    Args:
        window: The stretch of time that was chosen; None: the one that is shown first.
    """
    coverage = live_coverage(view.readings, view.now)
    trouble = trouble_lines(panel, width)
    title = f"4 {NAMES[4][1]}"
    if coverage is None:
        return Body(title, panel.level, trouble)
    start, end = default_span(coverage, view.now) if window is None else window.bounds(view.now)
    shown = drawn(view, coverage, start, end, width - 2, until_now=window is None or window.end is None)
    head = (*trouble, *(strip_lines(shown) if window is None else lane_lines(shown, width)))
    items = (
        _latest(panel, view, coverage, width),
        *(_event(event, coverage, view.now, width) for event in open_events(view.readings, view.now)),
        *(_gap(gap, view.now, width) for gap in reversed(coverage.gaps)),
        *(_covered(found, view.now, width) for found in reversed(coverage.ranges)),
        *(_branch(branch, view.now, width) for branch in coverage.branches),
        # The margin is told above.
        *(note_item(row, width) for row in panel.notes if not row.cells[0].startswith("margin ")),
    )
    span = duration((end - start).total_seconds() // 60 * 60) if window is None else extent(window, view.now)
    return Body(f"{title}, {span}", panel.level, head, items)


def drawn(
    view: View, coverage: Coverage, start: datetime, end: datetime, width: int, *, until_now: bool = True
) -> Strip:
    """The strip of this moment."""
    stores = [reading.value for reading in view.readings.stores.values() if reading.value is not None]
    snapshots = [entry for store in stores for entry in store.snapshots]
    events = None if view.readings.events is None else view.readings.events.value
    found = () if events is None else events.events
    return strip(coverage, snapshots, found, start, end, max(10, width), until_now=until_now)


def strip_lines(shown: Strip) -> list[Line]:
    """Legend, the strip, and the times of day under it."""
    legend: list[Span] = [("  ", "")]
    for sign, word in LEGEND:
        kind = Kind(word)
        legend += [(sign, ROLE_OF_KIND[kind]), (f" {word}   ", "dim")]
    cells: list[Span] = [("  ", "")]
    for cell in shown.cells:
        role = ROLE_OF_KIND[cell.kind]
        if cells[-1][1] == role:
            cells[-1] = (cells[-1][0] + cell.sign, role)
        else:
            cells.append((cell.sign, role))
    return [Line(tuple(legend)), Line(tuple(cells)), line((f"  {shown.labels}", "dim"))]


def _latest(panel: Panel, view: View, coverage: Coverage, width: int) -> Item:
    """The newest restore point and the margin, marked where either is bad or not of now."""
    doubt = UNKNOWN if panel.stale else ""
    latest = "none" if coverage.latest is None else when(coverage.latest.time, view.now)
    text = f"latest restorable {doubt}{latest}"
    level = Level.FINE if coverage.latest else Level.CRITICAL
    if coverage.bases:
        margin = coverage.margin_seconds
        text += f", margin {doubt or ''}{duration(margin)}".replace("??", "?")
        level = worst((level, Level.UNKNOWN if margin is None else grade_least(margin, view.limits.margin)))
    if panel.stale:
        level = Level.UNKNOWN
    role: Role = "" if level is Level.FINE else ROLE_OF_LEVEL[level]
    return sentence("" if level is Level.FINE else level.glyph, role, text, width)


def _event(event: Event, coverage: Coverage, now: datetime, width: int) -> Item:
    can = coverage.covers(event.before or event.position)
    text = f"{when(event.time, now)}  {event.kind} {event.namespace}: {'' if can else 'not '}restorable"
    return sentence(Kind.EVENT.sign, "warning" if can else "critical", text, width, f"event:{event.id}")


def _gap(gap: Gap, now: datetime, width: int) -> Item:
    end = "now" if gap.end is None else when(gap.end.time, now)
    long = UNKNOWN if gap.end is None else duration(float(gap.end.t - gap.start.t))
    text = f"gap of {long}, {when(gap.start.time, now)} to {end}: {gap.text}"
    return sentence(Kind.GAP.sign, "warning", text, width)


def _covered(found: Range, now: datetime, width: int) -> Item:
    sources = list(found.sources)
    if len(sources) > _MOST_SOURCES + 1:
        sources = [sources[0], f"{len(sources) - 2} more", sources[-1]]
    by = ", ".join(sources)
    if found.start == found.end:
        return sentence(Kind.COVERED.sign, "", f"covered {when(found.start.time, now)} only, by {by}", width)
    seconds = float(found.end.t - found.start.t)
    long = duration(seconds if seconds < 60 else seconds // 60 * 60)
    span = f"{when(found.start.time, now)} to {when(found.end.time, now)}"
    return sentence(Kind.COVERED.sign, "", f"covered {span} ({long}), by {by}", width)


def _branch(branch: Branch, now: datetime, width: int) -> Item:
    text = f"branch at {when(branch.end.time, now)}, {', '.join(branch.sources)}: {branch.text}"
    return sentence(Level.WARNING.glyph, "warning", text, width)


def when(moment: datetime, now: datetime) -> str:
    """The time of day in UTC, with its date where that is not today's."""
    return clock(moment) if moment.date() == now.date() else f"{moment:%m-%d} {clock(moment)}"
