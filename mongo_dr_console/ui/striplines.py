"""A range strip as lines: the lane of what happened above the lane of what is covered. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from mongo_dr_console.model.span import Window
from mongo_dr_console.model.strip import LANE_LEGEND, Cover, Mark, Strip
from mongo_dr_console.model.words import clock, duration
from mongo_dr_console.ui.lines import Line, Role, Span, fitted, line

ROLE_OF_COVER: dict[Cover, Role] = {
    Cover.COVERED: "fine",
    Cover.PART: "warning",
    Cover.GAP: "warning",
    Cover.NOTHING: "",
}
ROLE_OF_MARK: dict[Mark, Role] = {
    Mark.EVENT: "critical",
    Mark.BRANCH: "warning",
    Mark.HELD: "info",
    Mark.SNAPSHOT: "info",
    Mark.NOTHING: "",
}


def lanes(strip: Strip, cursor: int | None = None, *, focused: bool = False) -> tuple[Line, Line]:
    """Both lanes, indented by two cells.

    Args:
        cursor: The slice that it stands on; it is seen without colours too while it is focused.
    """
    marks: list[Span] = [("  ", "")]
    covers: list[Span] = [("▶ " if focused else "  ", "")]
    for number, (mark, cover) in enumerate(zip(strip.marks, strip.covers, strict=True)):
        role: Role = "cursor" if number == cursor else ROLE_OF_COVER[cover]
        covers.append(("█" if number == cursor and focused else cover.sign, role))
        marks.append((mark.sign, ROLE_OF_MARK[mark]))
    return Line(_joined(marks)), Line(_joined(covers))


def lane_lines(strip: Strip, width: int) -> list[Line]:
    """Legend, lanes, and the times of day under them."""
    below = line((f"  {strip.labels}", "dim"))
    return [legend(strip, width), *lanes(strip), below]


def legend(strip: Strip, width: int) -> Line:
    """Signs and words; where there is no room for all, those that the strip has."""
    words: dict[str, Role] = {c.value: r for c, r in ROLE_OF_COVER.items()}
    words |= {m.value: r for m, r in ROLE_OF_MARK.items()}
    seen = {cover.value for cover in strip.covers} | {mark.value for mark in strip.marks}
    whole = _legend(LANE_LEGEND, words)
    if whole.width <= width:
        return whole
    return fitted(_legend([pair for pair in LANE_LEGEND if pair[1] in seen], words), width)


def _legend(pairs: Sequence[tuple[str, str]], roles: Mapping[str, Role]) -> Line:
    spans: list[Span] = [("  ", "")]
    for number, (sign, word) in enumerate(pairs):
        spans += [("  " if number else "", ""), (sign, roles[word]), (f" {word}", "dim")]
    return Line(tuple(spans))


def extent(window: Window, now: datetime) -> str:
    """What is looked at: how long it is, and up to when."""
    start, end = window.bounds(now)
    if window.end is None:
        return f"the last {duration(window.span.total_seconds())}"
    dated = "" if start.date() == now.date() else f"{start:%m-%d} "
    return f"{duration(window.span.total_seconds())}: {dated}{clock(start)} to {_day(end, start)}{clock(end)}"


def _day(moment: datetime, other: datetime) -> str:
    return "" if moment.date() == other.date() else f"{moment:%m-%d} "


def _joined(spans: list[Span]) -> tuple[Span, ...]:
    found: list[Span] = []
    for text, role in spans:
        if found and found[-1][1] == role:
            found[-1] = (found[-1][0] + text, role)
        else:
            found.append((text, role))
    return tuple(found)
