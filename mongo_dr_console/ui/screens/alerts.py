"""The alerts: what runs, what is silenced, whether messages arrive, what is over; also without an agent."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll

from mongo_dr_console.model.alertfacts import AlertFacts
from mongo_dr_console.ui.alertslist import alert_items, chosen_lines, head_lines, rest_lines
from mongo_dr_console.ui.lines import Line
from mongo_dr_console.ui.screens.page import ListScreen
from mongo_dr_console.ui.view import View
from mongo_dr_console.ui.widgets.lines_view import LinesView
from mongo_dr_console.ui.widgets.row_list import RowList


class _Rows(RowList):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "pick", "take up", id="alerts.pick", show=False),
    ]


class AlertsScreen(ListScreen):
    """What the agent warns of, who is told, what is silenced. Keys are for the alert under the cursor."""

    ROWS = _Rows
    MARGIN = 3
    DEFAULT_CSS = """
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
    def chosen(self) -> str:
        """Id of the alert under the cursor; empty: there is none."""
        return self.rows.key

    def body(self) -> ComposeResult:
        yield from super().body()
        yield LinesView(id="chosen")
        with VerticalScroll(id="rest", can_focus=False):
            yield LinesView(id="text")

    def on_mount(self) -> None:
        self.console.feed.refresh("alerts")

    def head(self, view: View, width: int) -> list[Line]:
        reading = view.readings.alerts
        error = "" if reading is None or reading.error is None else reading.error.message
        return head_lines(_facts(view), error, view.now, width)

    def fill(self, view: View, width: int) -> None:
        facts = _facts(view)
        items, header = alert_items(facts, view.now, width - 2)
        self.rows.display = bool(items)
        self.rows.set_items(items, header)
        self.query_one("#chosen", LinesView).set_lines(chosen_lines(facts, self.chosen, view.now, width))
        self.query_one("#text", LinesView).set_lines(rest_lines(facts, view.now, width))

    @on(RowList.Moved)
    def _moved(self) -> None:
        self.show(self.console.view)

    @on(RowList.Picked)
    def _picked(self) -> None:
        self.console.run_command("alert-ack")


def _facts(view: View) -> AlertFacts | None:
    reading = view.readings.alerts
    return None if reading is None else reading.value
