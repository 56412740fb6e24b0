"""The alerts: what runs, what is silenced, whether messages arrive, what is over; also without an agent."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import Screen

from mongo_dr_console.ui.alertslist import alert_items, chosen_lines, head_lines, rest_lines
from mongo_dr_console.ui.screens.ownkeys import OwnKeys
from mongo_dr_console.ui.view import View
from mongo_dr_console.ui.widgets.lines_view import LinesView
from mongo_dr_console.ui.widgets.row_list import RowList
from mongo_dr_console.ui.widgets.status_line import StatusLine

if TYPE_CHECKING:
    from mongo_dr_console.ui.app import ConsoleApp


class _Rows(RowList):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "pick", "take up", id="alerts.pick", show=False),
    ]


class AlertsScreen(Screen[None]):
    """Follows the readings; the cursor is on the alert that keys are for."""

    AUTO_FOCUS = "#rows"
    DEFAULT_CSS = """
    AlertsScreen #head { padding: 0 1; }
    AlertsScreen #rows { height: auto; max-height: 40%; }
    AlertsScreen #chosen { padding: 0 1; }
    AlertsScreen #rest {
        height: 1fr; padding: 0 0 0 1; scrollbar-size-vertical: 1; scrollbar-gutter: stable;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "app.run_command('alert-ack')", "take up", id="alerts.ack"),
        Binding("s", "app.run_command('alert-silence')", "silence…", id="alerts.silence"),
        Binding("u", "app.run_command('alert-unsilence')", "end silences", id="alerts.unsilence"),
        Binding("escape", "back", "back", id="alerts.back"),
    ]

    @property
    def console(self) -> ConsoleApp:
        return cast("ConsoleApp", self.app)

    @property
    def chosen(self) -> str:
        """Id of the alert under the cursor; empty: there is none."""
        return self.query_one(RowList).key

    def compose(self) -> ComposeResult:
        yield StatusLine(id="status")
        yield LinesView(id="head")
        yield _Rows(id="rows")
        yield LinesView(id="chosen")
        with VerticalScroll(id="rest", can_focus=False):
            yield LinesView(id="text")
        yield OwnKeys(self._not_now)

    def on_mount(self) -> None:
        self.console.feed.refresh("alerts")
        self.show(self.console.view)

    def on_resize(self) -> None:
        self.show(self.console.view)

    def show(self, view: View) -> None:
        self.query_one(StatusLine).show(view)
        if not self.size.width:
            return
        width = self.size.width - 3
        reading = view.readings.alerts
        facts = None if reading is None else reading.value
        error = "" if reading is None or reading.error is None else reading.error.message
        self.query_one("#head", LinesView).set_lines(head_lines(facts, error, view.now, width))
        rows = self.query_one(RowList)
        items, header = alert_items(facts, view.now, width - 2)
        rows.display = bool(items)
        rows.set_items(items, header)
        self.query_one("#chosen", LinesView).set_lines(chosen_lines(facts, rows.key, view.now, width))
        self.query_one("#text", LinesView).set_lines(rest_lines(facts, view.now, width))
        self.query_one(OwnKeys).refresh_keys()

    def _not_now(self) -> set[str]:
        commands = self.console.commands
        names = ("ack", "silence", "unsilence")
        return {f"alerts.{name}" for name in names if self.console.refusal(commands[f"alert-{name}"])}

    @on(RowList.Moved)
    def _moved(self) -> None:
        self.show(self.console.view)

    @on(RowList.Picked)
    def _picked(self) -> None:
        self.console.run_command("alert-ack")

    def action_back(self) -> None:
        """Leaves the screen."""
        if self.app.screen is self:
            self.app.pop_screen()
