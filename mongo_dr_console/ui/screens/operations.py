"""The operations around a position: a list that grows both ways."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input

from mongo_dr_console.model.operationpage import OperationPage, Way
from mongo_dr_console.model.operationwindow import OperationWindow
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.words import moment
from mongo_dr_console.ui.background import Problem, in_thread
from mongo_dr_console.ui.jobpages import rule
from mongo_dr_console.ui.lines import Line, line, wrapped
from mongo_dr_console.ui.operationslist import HIDDEN
from mongo_dr_console.ui.screens.page import ListScreen
from mongo_dr_console.ui.view import View
from mongo_dr_console.ui.widgets.operation_rows import OperationRows

_COUNT = 50


class OperationsScreen(ListScreen):
    """Operations before and after a position, from the live oplog, else from the stream.

    Args:
        place: The position.
    """

    ROWS = OperationRows
    DEFAULT_CSS = """
    OperationsScreen #filter { display: none; height: 1; border: none; padding: 0 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p", "more('before')", "earlier", id="operations.earlier"),
        Binding("n", "more('after')", "later", id="operations.later"),
        Binding("slash", "filter", "filter", key_display="/", id="operations.filter"),
        Binding("escape", "back", "back", id="operations.back"),
    ]

    def __init__(self, place: Position) -> None:
        super().__init__()
        self.place = place
        self._window = OperationWindow.at(place)
        self._beginning = True
        self._pattern = ""
        self._problem: Problem | None = None
        self._asking = ""

    def body(self) -> ComposeResult:
        yield from super().body()
        yield Input(id="filter", placeholder="database, database.collection, * for anything", compact=True)

    def on_mount(self) -> None:
        self._begin()

    def fill(self, view: View, width: int) -> None:
        rows, hidden = self.query_one(OperationRows), self.console.values_hidden
        rows.show_operations(self._window.found, self.place, width - 2, redacted=hidden)
        if self._beginning:
            # Each time: it may be shown when only what came before the position was read.
            self._to_place()

    def head(self, view: View, width: int) -> list[Line]:
        window = self._window
        only = f" in {self._pattern}" if self._pattern else ""
        rows = [rule(f"Operations around {moment(self.place.time)}, {self.place}{only}", width)]
        if self._problem is not None:
            rows += wrapped(
                f"? {self._problem.message} {self._problem.hint}".rstrip(), width, "unknown", "  "
            )
        for note in window.notes:
            rows += wrapped(f"! {note}", width, "warning", "  ")
        rows += wrapped(f"{window.said()}{self._asking}", width, "dim")
        if self.console.values_hidden:
            rows.append(line((HIDDEN, "dim")))
        if not window.found and not self._asking and self._problem is None:
            rows.append(line(("No operation was found there.", "dim")))
        return rows

    # Asking

    def _begin(self) -> None:
        self._window = OperationWindow.at(self.place)
        self._beginning = True
        self._ask("before", "after")

    def _ask(self, *ways: Way) -> None:
        self._asking = "; reading …"
        self.show(self.console.view)
        self.run_worker(self._read(ways), exit_on_error=False, exclusive=True, group="operations")

    async def _read(self, ways: tuple[Way, ...]) -> None:
        desk, pattern = self.console.desk, self._pattern
        for way in ways:
            position = self._window.edge(way)
            found: OperationPage | Problem = await in_thread(
                lambda way=way, position=position: desk.operations(position, way, _COUNT, pattern)  # type: ignore[misc]
            )
            if not self.is_attached:
                return
            self._problem = found if isinstance(found, Problem) else None
            if isinstance(found, Problem):
                break
            self._window = self._window.grown(way, found)
        self._asking = ""
        self.show(self.console.view)
        self._beginning = not self._window.found

    def _to_place(self) -> None:
        """The cursor on the first operation that is not before the position, else on the last one; what comes
        after it is seen too."""
        found, rows = self._window.found, self.query_one(OperationRows)
        if not found:
            return
        last = len(found) - 1
        at = next((n for n, f in enumerate(found) if f.operation.position >= self.place), last)
        rows.go_to(found[min(last, at + max(1, rows.size.height // 2))].key)
        rows.go_to(found[at].key)

    # Keys

    def action_more(self, way: Way) -> None:
        """Reads further, to what came earlier or later."""
        if not self._asking:
            self._ask(way)

    def action_filter(self) -> None:
        """Shows only the operations of some namespaces."""
        field = self.query_one("#filter", Input)
        field.display = True
        field.focus()

    @on(Input.Submitted, "#filter")
    def _filtered(self, event: Input.Submitted) -> None:
        self._take(event.value.strip())

    def action_back(self) -> None:
        """Takes the filter away, or leaves the screen."""
        field = self.query_one("#filter", Input)
        if field.display or self._pattern:
            field.value = ""
            self._take("")
        else:
            super().action_back()

    def _take(self, pattern: str) -> None:
        field = self.query_one("#filter", Input)
        self.query_one(OperationRows).focus()
        field.display = False
        if pattern != self._pattern:
            self._pattern = pattern
            self._begin()
