"""Failovers: how the primary stands, where applications are led, and each run-book step by step."""

from __future__ import annotations

from time import monotonic
from typing import ClassVar

from textual.binding import Binding, BindingType

from mongo_dr_console.model.failoverdoc import FailoverFacts, FailoverRecord
from mongo_dr_console.ui.background import Problem, in_thread
from mongo_dr_console.ui.failoverpage import monitor_lines, run_lines
from mongo_dr_console.ui.lines import Line, wrapped
from mongo_dr_console.ui.screens.page import PageScreen
from mongo_dr_console.ui.view import View

_AGAIN_SECONDS = 15.0


class FailoverScreen(PageScreen):
    """How the primary stands, and each failover step by step: the one that is under way first, then those of
    the stores' ledgers, which are there also while the agent is down."""

    MARGIN = 2
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "back", id="failover.back"),
        Binding("left,h", "turn(1)", "older", id="failover.older"),
        Binding("right,l", "turn(-1)", "newer", id="failover.newer"),
        Binding("j", "scroll(1)", "scroll down", show=False, id="failover.down"),
        Binding("k", "scroll(-1)", "scroll up", show=False, id="failover.up"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._ledger: tuple[FailoverRecord, ...] = ()
        self._unread: tuple[str, ...] = ()
        self._problem: Problem | None = None
        self._asked = float("-inf")
        self._read = False
        self._chosen: str | None = None
        self._ended: str | None = None

    def draw(self, view: View, width: int) -> None:
        facts = _facts(view)
        last = None if facts is None or facts.last is None else facts.last.id
        due = self._asked + _AGAIN_SECONDS <= monotonic() or last != self._ended
        if due and not view.recorded:  # a recording has no ledger behind it
            self._asked, self._ended = monotonic(), last
            self.run_worker(self._ask(), exit_on_error=False, exclusive=True, group="ledger")
        super().draw(view, width)

    def action_turn(self, by: int) -> None:
        """Shows the run-book before or after this one."""
        known = self._known(self.console.view)
        if known:
            at = min(max(self._at(known) + by, 0), len(known) - 1)
            # The newest follows what is under way.
            self._chosen = known[at].id if at else None
            self.query_one("#body").scroll_home(animate=False)
            self.show(self.console.view)

    async def _ask(self) -> None:
        found = await in_thread(self.console.desk.failovers)
        self._read = True
        if isinstance(found, Problem):
            self._problem = found
        else:
            self._problem = None
            self._ledger, self._unread = found
        if self.is_attached:
            self.show(self.console.view)

    def lines(self, view: View, width: int) -> list[Line]:
        reading = view.readings.failover
        error = "" if reading is None or reading.error is None else reading.error.message
        rows = monitor_lines(_facts(view), error, view.now, width)
        known = self._known(view)
        if known:
            at = self._at(known)
            book = run_lines(known[at], at + 1, len(known), view.now, width)
            # What is under way comes first: on a small screen the rest is below.
            rows = [*book, Line(), *rows] if known[at].ended_at is None else [*rows, Line(), *book]
        elif self._read:
            rows += [Line(), *wrapped("No failover is recorded.", width, "dim")]
        unread = self._unread if self._problem is None else (self._problem.message,)
        return rows + [row for text in unread for row in wrapped(f"? {text}", width, "unknown", "  ")]

    def _known(self, view: View) -> tuple[FailoverRecord, ...]:
        """Newest first; one that is under way, or that no store has yet, included."""
        facts = _facts(view)
        here = [] if facts is None else [r for r in (facts.run, facts.last) if r is not None]
        by_id = {r.id: r for r in (*self._ledger, *here)}
        return tuple(sorted(by_id.values(), key=lambda r: r.started_at, reverse=True))

    def _at(self, known: tuple[FailoverRecord, ...]) -> int:
        return next((n for n, r in enumerate(known) if r.id == self._chosen), 0)

    def not_now(self) -> set[str]:
        return set() if len(self._known(self.console.view)) > 1 else {"failover.older", "failover.newer"}


def _facts(view: View) -> FailoverFacts | None:
    reading = view.readings.failover
    return None if reading is None else reading.value
