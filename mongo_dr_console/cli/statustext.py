"""The text of ``mdr status``: panels as lines that fit the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from mongo_dr_console.model.foldtext import clean
from mongo_dr_console.model.present import Panel, Row, numbers_line, present
from mongo_dr_console.model.readings import EVENTS, Limits, Readings
from mongo_dr_console.model.verdict import Level, Verdict
from mongo_dr_console.model.words import UNKNOWN, moment

_MARK_WIDTH = 2
_MOST_EVENTS = 12
"""Of the older ones only the number is told."""


def lines(
    readings: Readings, verdict: Verdict, limits: Limits, now: datetime, *, width: int | None = None
) -> list[str]:
    """Everything: the verdict first, RPO and RTO second, then the consequence and a block a source.

    Args:
        width: Longer lines are cut; None leaves them whole (pipes, screen readers).
    """
    numbers = numbers_line(readings, limits, now)
    text = [
        f"{mark(verdict.level)} {verdict.text}",
        f"  {' | '.join(numbers.cells)}",
        f"  {verdict.consequence}",
        f"  profile {readings.profile}, environment {readings.environment}, {moment(now)}",
    ]
    others = [f for f in verdict.facts if f.level is not Level.FINE][1:]
    text += [f"  {mark(f.level)} {f.text}" for f in others]
    for panel in present(readings, verdict, limits, now):
        text += ["", *panel_lines(panel)]
    return [_fit(clean(line.replace("\n", " ").replace("\t", " ")), width) for line in text]


def mark(level: Level) -> str:
    """Glyph and word."""
    return f"{level.glyph} {level.word.upper() if level is Level.CRITICAL else level.word}"


def panel_lines(panel: Panel) -> list[str]:
    age = f"age {panel.age}" + (" (stale)" if panel.stale and panel.age != UNKNOWN else "")
    text = [f"{mark(panel.level)}  {panel.title} - {age}"]
    if panel.trouble:
        text.append(f"    {panel.trouble}")
    rows = panel.rows[:_MOST_EVENTS] if panel.source == EVENTS else panel.rows
    text += [f"  {line}" for line in _table(panel.header, rows)]
    if len(rows) < len(panel.rows):
        text.append(f"    and {len(panel.rows) - len(rows)} more")
    text += [f"    {_noted(row)}" for row in panel.notes]
    return text


def _noted(row: Row) -> str:
    words = "  ".join(row.cells)
    return words if row.level is None or row.level is Level.FINE else f"{mark(row.level)} {words}"


def _table(header: tuple[str, ...], rows: Sequence[Row]) -> list[str]:
    if not rows:
        return []
    grid = [header, *(r.cells for r in rows)] if header else [r.cells for r in rows]
    marks = ["", *(_glyph(r) for r in rows)] if header else [_glyph(r) for r in rows]
    columns = max(len(cells) for cells in grid)
    widths = [max(len(cells[c]) for cells in grid if c < len(cells)) for c in range(columns)]
    return [
        f"{sign:<{_MARK_WIDTH}}" + "  ".join(c.ljust(w) for c, w in zip(cells, widths, strict=False)).rstrip()
        for sign, cells in zip(marks, grid, strict=True)
    ]


def _glyph(row: Row) -> str:
    return "" if row.level is None else row.level.glyph


def _fit(line: str, width: int | None) -> str:
    if width is None or len(line) <= width:
        return line
    return line[: max(1, width - 1)] + "…"
