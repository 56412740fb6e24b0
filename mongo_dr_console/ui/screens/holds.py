"""The holds: what nothing may prune, why, by whom, since when."""

from __future__ import annotations

from collections.abc import Mapping
from time import monotonic
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from mongo_dr_console.model.hold import Hold
from mongo_dr_console.model.trouble import Trouble
from mongo_dr_console.ui.background import Problem, in_thread
from mongo_dr_console.ui.holdslist import chosen_hold, hold_items, holds_head
from mongo_dr_console.ui.jobpages import rule
from mongo_dr_console.ui.lines import Line, line, wrapped
from mongo_dr_console.ui.screens.page import ListScreen
from mongo_dr_console.ui.view import View
from mongo_dr_console.ui.widgets.lines_view import LinesView
from mongo_dr_console.ui.widgets.row_list import RowList

_AGAIN_SECONDS = 10.0


class _Rows(RowList):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "pick", "release", show=False, id="holds.pick"),
    ]


class HoldsScreen(ListScreen):
    """What nothing may prune, as the stores say. Keys are for the hold under the cursor."""

    ROWS = _Rows
    DEFAULT_CSS = "HoldsScreen #chosen { padding: 0 1; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "app.run_command('hold')", "hold…", id="holds.add"),
        Binding("r", "app.run_command('hold-release')", "release…", id="holds.release"),
        Binding("escape", "back", "back", id="holds.back"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._holds: tuple[Hold, ...] | None = None
        self._unread: Mapping[str, Trouble] = {}
        self._problem: Problem | None = None
        self._asked = float("-inf")

    @property
    def chosen(self) -> Hold | None:
        """The hold under the cursor."""
        return next((h for h in self._holds or () if h.id == self.rows.key), None)

    def body(self) -> ComposeResult:
        yield from super().body()
        yield LinesView(id="chosen")

    def look(self) -> None:
        """Asks the stores now."""
        self._asked = monotonic()
        self.run_worker(self._ask(), exit_on_error=False, exclusive=True, group="holds")

    def show(self, view: View) -> None:
        if self._asked + _AGAIN_SECONDS <= monotonic():
            self.look()
        super().show(view)

    def fill(self, view: View, width: int) -> None:
        self.rows.set_items(*hold_items(self._holds or (), view.now, width - 2))
        self.query_one("#chosen", LinesView).set_lines(chosen_hold(self.chosen, view.now, width))

    def head(self, view: View, width: int) -> list[Line]:
        rows: list[Line] = []
        if self._problem is not None:
            # What was known stays.
            rows = wrapped(f"? {self._problem.message} {self._problem.hint}".rstrip(), width, "unknown", "  ")
        if self._holds is None:
            text = "" if self._problem is not None else "the stores are being asked …"
            return [rule("Holds", width), *rows, line((text, "dim"))]
        head = holds_head(self._holds, self._unread, list(self.console.desk.profile.stores), width)
        return [head[0], *rows, *head[1:]]

    async def _ask(self) -> None:
        answer = await in_thread(self.console.desk.holds)
        if not self.is_attached:
            return
        self._problem = answer if isinstance(answer, Problem) else None
        if not isinstance(answer, Problem):
            self._holds, self._unread = answer
        self.show(self.console.view)

    @on(RowList.Moved)
    def _moved(self) -> None:
        self.show(self.console.view)

    @on(RowList.Picked)
    def _picked(self) -> None:
        self.console.run_command("hold-release")
