"""What the agent runs by itself: when, what became of it, and why something waits."""

from __future__ import annotations

from time import monotonic
from typing import ClassVar

from textual.binding import Binding, BindingType

from mongo_dr_console.model.scheduleview import ScheduleDocument
from mongo_dr_console.ui.background import Problem, in_thread
from mongo_dr_console.ui.jobpages import rule
from mongo_dr_console.ui.lines import Line, line, wrapped
from mongo_dr_console.ui.schedulepage import schedule_page
from mongo_dr_console.ui.screens.page import PageScreen
from mongo_dr_console.ui.view import View

_AGAIN_SECONDS = 5.0


class ScheduleScreen(PageScreen):
    """What the agent runs by itself, what became of it, and who leads; read from the agents' store, so
    that it is there also while no agent runs."""

    MARGIN = 2
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "back", id="schedule.back"),
        Binding("j", "scroll(1)", "scroll down", show=False, id="schedule.down"),
        Binding("k", "scroll(-1)", "scroll up", show=False, id="schedule.up"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._found: ScheduleDocument | Problem | None = None
        self._asked = float("-inf")

    def draw(self, view: View, width: int) -> None:
        # A recording has no store behind it.
        if self._asked + _AGAIN_SECONDS <= monotonic() and not view.recorded:
            self._asked = monotonic()
            self.run_worker(self._ask(), exit_on_error=False, exclusive=True, group="schedule")
        super().draw(view, width)

    async def _ask(self) -> None:
        self._found = await in_thread(self.console.desk.schedule)
        if self.is_attached:
            self.show(self.console.view)

    def lines(self, view: View, width: int) -> list[Line]:
        if isinstance(self._found, ScheduleDocument):
            return schedule_page(self._found, view.now, width)
        head = rule("Schedule", width)
        if isinstance(self._found, Problem):
            rows = wrapped(f"? {self._found.message}", width, "unknown", "  ")
            return [head, *rows, *(wrapped(self._found.hint, width) if self._found.hint else [])]
        text = "A recording has no schedule." if view.recorded else "it is being read …"
        return [head, line((text, "dim"))]
