"""Events over days: looked for in the live oplog and in what the stream kept, the newest first."""

from __future__ import annotations

import asyncio
import threading
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from mongo_dr_console.model.event import Event
from mongo_dr_console.model.eventsearch import Looked
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.wizard import known
from mongo_dr_console.ui.background import Problem, in_thread
from mongo_dr_console.ui.eventslist import chosen_event, event_items, outlook, search_head
from mongo_dr_console.ui.lines import Line, wrapped
from mongo_dr_console.ui.screens.browse_commands import ask_range, undo_event
from mongo_dr_console.ui.screens.page import ListScreen
from mongo_dr_console.ui.view import View
from mongo_dr_console.ui.widgets.lines_view import LinesView
from mongo_dr_console.ui.widgets.row_list import RowList


class _Rows(RowList):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "pick", "undo…", id="events.open"),
    ]


class EventsScreen(ListScreen):
    """The events of a range. Keys are for the one under the cursor; leaving ends the search.

    Args:
        start, end: The range, both included; no end: to the newest entry.
    """

    ROWS = _Rows
    DEFAULT_CSS = "EventsScreen #chosen { padding: 0 1; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("o", "app.run_command('operations')", "operations", id="events.operations"),
        Binding("p", "earlier", "earlier", id="events.earlier"),
        Binding("t", "range", "range…", id="events.range"),
        Binding("h", "app.run_command('hold')", "hold…", show=False, id="events.hold"),
        Binding("escape", "back", "back", id="events.back"),
    ]

    def __init__(self, start: Position, end: Position | None) -> None:
        super().__init__()
        self.looked = Looked(start, end)
        self._problem: Problem | None = None
        self._stop = threading.Event()

    @property
    def chosen(self) -> Event | None:
        """The event under the cursor."""
        return next((e for e in self.looked.events if e.id == self.rows.key), None)

    def body(self) -> ComposeResult:
        yield from super().body()
        yield LinesView(id="chosen")

    def on_mount(self) -> None:
        self.search(self.looked.start, self.looked.end)

    def on_unmount(self) -> None:
        self._stop.set()

    def search(self, start: Position, end: Position | None, known: Looked | None = None) -> None:
        """Looks through a range, whatever is looked through now.

        Args:
            known: A search that this one goes on from, further back.
        """
        self._stop.set()
        self._stop = threading.Event()
        self._problem = None
        if known is None:
            self.looked = Looked(start, end)
        self.show(self.console.view)
        work = self._search(start, end, known, self._stop)
        self.run_worker(work, exit_on_error=False, exclusive=True, group="events")

    def fill(self, view: View, width: int) -> None:
        facts = known(view.readings, view.now)
        self.rows.set_items(*event_items(self.looked, view.readings, facts, width - 2))
        event = self.chosen
        shown = None if event is None else outlook(event, view.readings, facts)
        source = "" if event is None else self.looked.sources.get(event.id, "")
        lines = chosen_event(event, source, shown, width, max(3, self.size.height // 3))
        self.query_one("#chosen", LinesView).set_lines(lines)

    def head(self, view: View, width: int) -> list[Line]:
        rows = search_head(self.looked, width, max(2, self.size.height // 4))
        if self._problem is not None:
            # What was found stays.
            text = f"? {self._problem.message} {self._problem.hint}".rstrip()
            rows += wrapped(text, width, "unknown", "  ")
        return rows

    def not_now(self) -> set[str]:
        hidden = set() if self.looked.ended else {"events.earlier"}
        return hidden if self.chosen is not None else hidden | {"events.open", "events.operations"}

    async def _search(
        self, start: Position, end: Position | None, known: Looked | None, stop: threading.Event
    ) -> None:
        desk, loop = self.console.desk, asyncio.get_running_loop()
        told: asyncio.Queue[Looked | None] = asyncio.Queue()

        def tell(looked: Looked | None) -> None:
            loop.call_soon_threadsafe(told.put_nowait, looked)

        search = asyncio.ensure_future(in_thread(lambda: desk.find(start, end, tell, stop, known)))
        search.add_done_callback(lambda _: told.put_nowait(None))
        try:
            while (looked := await told.get()) is not None:
                self._take(looked)
            answer = await search
        finally:
            stop.set()
        if isinstance(answer, Problem):
            self._problem = answer
            self._take(self.looked.over())
        else:
            self._take(answer)

    def _take(self, looked: Looked) -> None:
        self.looked = looked
        if self.is_attached and self.app.screen is self:
            self.show(self.console.view)

    # Keys

    def action_earlier(self) -> None:
        """Looks as far back again, for what came earlier."""
        if self.looked.ended:
            self.search(self.looked.further, self.looked.end, self.looked)

    def action_range(self) -> None:
        """Asks for another range, and looks through that."""
        ask_range(self.console)

    @on(RowList.Moved)
    def _moved(self) -> None:
        self.show(self.console.view)

    @on(RowList.Picked)
    def _picked(self) -> None:
        if (event := self.chosen) is not None:
            undo_event(self.console, event)
