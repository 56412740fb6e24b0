"""The row on top of every screen but the dashboard: where am I, may I do harm, how bad is it."""

from __future__ import annotations

from typing import Any

from rich.cells import cell_len

from mongo_dr_console.model.verdict import Level
from mongo_dr_console.model.words import UNKNOWN, clock
from mongo_dr_console.ui.glyphs import ROLE_OF_LEVEL
from mongo_dr_console.ui.lines import Line, Role, Span, fit, joined, line
from mongo_dr_console.ui.tapeline import tape_number
from mongo_dr_console.ui.view import View
from mongo_dr_console.ui.widgets.lines_view import LinesView

_LONGEST_NAME = 24


class StatusLine(LinesView):
    """One row; call ``show`` with every view."""

    DEFAULT_CSS = "StatusLine { height: 1; dock: top; }"

    def __init__(self, **widget: Any) -> None:
        super().__init__(**widget)
        self._view: View | None = None

    def show(self, view: View) -> None:
        """Shows this moment."""
        self._view = view
        if self.size.width:
            self.set_lines([status_row(view, self.size.width)])

    def on_resize(self) -> None:
        if self._view is not None:
            self.show(self._view)


def status_row(view: View, width: int) -> Line:
    """The row as a line. Names of others give way; access, the word ARMED and the verdict never do."""
    role: Role = "banner" if view.armed_seconds is None else "armed"
    level = view.verdict.level
    judged: Role = "armed" if role == "armed" else ROLE_OF_LEVEL[level]
    right = line((f" {level.glyph} {level_word(level)} ", judged))
    parts = [f"{view.access_word}{tape_number(view)}"]
    if view.armed_seconds is not None:
        parts.append(armed_text(view.armed_seconds))
    if view.paused:
        parts.append("PAUSED")
    parts.append(clock(view.now))
    tail = "".join(f" │ {part}" for part in parts)
    environment, members = view.readings.environment.upper(), _set_name(view)
    room = max(8, width - right.width - len(tail) - 4)
    longest = max(4, min(_LONGEST_NAME, room - min(cell_len(members), room // 2)))
    name: Span = (f" {fit(environment, longest)} ", "environment")
    middle = f" {fit(members, min(_LONGEST_NAME, room - min(cell_len(environment), longest)))}{tail}"
    left = line(name, (middle, role))
    row = joined(left, right, width)
    return Line(tuple((text, part or role) for text, part in row.spans))


def level_word(level: Level) -> str:
    """The level as it is written where it is looked for first: the worst one in capitals.

    >>> [level_word(level) for level in Level]
    ['ok', 'warning', 'unknown', 'CRITICAL']
    """
    return level.word.upper() if level is Level.CRITICAL else level.word


def armed_text(seconds: float) -> str:
    """How long the console is still armed.

    >>> armed_text(598.2), armed_text(3)
    ('ARMED 9:58', 'ARMED 0:03')
    """
    return f"ARMED {int(seconds) // 60}:{int(seconds) % 60:02d}"


def _set_name(view: View) -> str:
    status = None if view.readings.set is None else view.readings.set.value
    return UNKNOWN if status is None else status.set_name or UNKNOWN
