"""Drills: the score card, and every drill that the stores know of; enter shows one whole."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.binding import Binding, BindingType

from mongo_dr_console.model.drill import DrillRecord
from mongo_dr_console.ui.background import Problem, in_thread
from mongo_dr_console.ui.drillspage import card_lines, drill_items, drill_lines, key_of
from mongo_dr_console.ui.jobpages import rule
from mongo_dr_console.ui.lines import Line, line, wrapped
from mongo_dr_console.ui.screens.page import ListScreen, PageScreen
from mongo_dr_console.ui.view import View
from mongo_dr_console.ui.widgets.row_list import RowList

_EVERY_SECONDS = 15.0


class _Rows(RowList):
    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "pick", "steps", id="drills.open")]


class DrillsScreen(ListScreen):
    """The drills, newest first, read from the stores' ledgers again and again."""

    ROWS = _Rows
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "app.run_command('drill')", "new drill…", id="drills.new"),
        Binding("escape", "back", "back", id="drills.back"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._drills: tuple[DrillRecord, ...] = ()
        self._unread: tuple[str, ...] = ()
        self._problem: Problem | None = None
        self._read_once = False

    def on_mount(self) -> None:
        # Textual calls that of the frame as well.
        self.set_interval(_EVERY_SECONDS, self._look)
        self._look()

    def on_screen_resume(self) -> None:
        self._look()

    def _look(self) -> None:
        """Not exclusive: a look that hangs ends by itself, and no second one is begun meanwhile."""
        if not any(w.group == "drills" and not w.is_finished for w in self.workers):
            self.run_worker(self._read(), exit_on_error=False, group="drills")

    async def _read(self) -> None:
        found = await in_thread(self.console.desk.drills)
        if not self.is_attached:
            return
        self._read_once = True
        if isinstance(found, Problem):
            # What was known stays.
            self._problem = found
        else:
            self._problem = None
            self._drills, self._unread = tuple(found[0]), tuple(found[1])
        self.show(self.console.view)

    def fill(self, view: View, width: int) -> None:
        self.rows.set_items(*drill_items(self._drills, width - 2))

    def head(self, view: View, width: int) -> list[Line]:
        rows = [rule(f"Drills: {len(self._drills)}", width)]
        if not self._read_once:
            return [*rows, line(("? the stores' ledgers are being read …", "unknown"))]
        for text in (*self._unread, *([self._problem.message] if self._problem else [])):
            rows += wrapped(f"? {text}", width, "unknown", "  ")
        if self._drills or not rows[1:]:
            rows += card_lines(self._drills, view.limits.restore_test_age, view.now, width)
        return [*rows, line()]

    @on(RowList.Picked)
    def _picked(self, picked: RowList.Picked) -> None:
        record = next((r for r in self._drills if key_of(r) == picked.key), None)
        if record is not None:
            self.app.push_screen(DrillScreen(record))


class DrillScreen(PageScreen):
    """One drill that ended: what it measured, step by step."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "back", id="drill.back"),
        Binding("j", "scroll(1)", "scroll down", show=False, id="drill.down"),
        Binding("k", "scroll(-1)", "scroll up", show=False, id="drill.up"),
    ]

    def __init__(self, record: DrillRecord) -> None:
        super().__init__()
        self._record = record

    def lines(self, view: View, width: int) -> list[Line]:
        return drill_lines(self._record, view.now, width)
