"""The dashboard: what can I get back to, what do I lose, how long will it take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from socket import gethostname
from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.screen import Screen
from textual.widgets import Input

from mongo_dr_console.model.foldtext import clean
from mongo_dr_console.model.present import Panel, present
from mongo_dr_console.model.readings import live_coverage
from mongo_dr_console.model.span import Window, nearest
from mongo_dr_console.model.strip import default_span
from mongo_dr_console.model.verdict import Level, worst
from mongo_dr_console.model.words import UNKNOWN
from mongo_dr_console.ui.answers import answer_of
from mongo_dr_console.ui.bannerline import banner, numbers, verdict_rows
from mongo_dr_console.ui.keymap import keys_of
from mongo_dr_console.ui.lagring import LagRing
from mongo_dr_console.ui.lines import Line
from mongo_dr_console.ui.panelbodies import body, lag_level
from mongo_dr_console.ui.panels import NAMES
from mongo_dr_console.ui.tabline import lower_hint, tab_line
from mongo_dr_console.ui.tapeline import tape_rows
from mongo_dr_console.ui.view import View
from mongo_dr_console.ui.widgets.footer import Footer
from mongo_dr_console.ui.widgets.lines_view import LinesView
from mongo_dr_console.ui.widgets.panel import PanelView

if TYPE_CHECKING:
    from mongo_dr_console.ui.app import ConsoleApp

_SMALL_WIDTH, _SMALL_HEIGHT = 100, 32
"""Below either, one of the upper panels is shown at a time, and one of the lower two."""
_MOST_ROWS = 200
"""Snapshots and jobs that a panel can be scrolled through."""
_OF_NOW = ("0s", "1s", "2s", "3s", "4s")
_RANGE = 4
_UPPER, _LOWER = (1, 2, 3, 4), (5, 6)


class Dashboard(Screen[None]):
    """Six panels below the verdict; in a small terminal two of them, chosen by their digits."""

    CSS_PATH = "dashboard.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "open", id="dashboard.open"),
        Binding("1", "choose(1)", "panel", key_display="1-6", id="dashboard.panel-1"),
        *(
            Binding(str(n), f"choose({n})", "panel", show=False, id=f"dashboard.panel-{n}")
            for n in range(2, 7)
        ),
        Binding("z", "zoom", "zoom", id="dashboard.zoom"),
        Binding("plus,i", "span(-1)", "shorter", show=False, id="dashboard.in"),
        Binding("minus,o", "span(1)", "longer", show=False, id="dashboard.out"),
        Binding("H", "earlier(-1)", "earlier", show=False, id="dashboard.earlier"),
        Binding("L", "earlier(1)", "later", show=False, id="dashboard.later"),
        Binding("slash", "filter", "filter", id="dashboard.filter"),
        Binding("y", "copy", "copy", id="dashboard.copy"),
        Binding("h", "app.run_command('hold')", "hold…", show=False, id="dashboard.hold"),
        Binding("j,down", "move(1)", "down", show=False, id="dashboard.down"),
        Binding("k,up", "move(-1)", "up", show=False, id="dashboard.up"),
        Binding("pagedown", "move(10)", "ten down", show=False, id="dashboard.page-down"),
        Binding("pageup", "move(-10)", "ten up", show=False, id="dashboard.page-up"),
        Binding("home,g", "move(-100000)", "to the top", show=False, id="dashboard.top"),
        Binding("end,G", "move(100000)", "to the bottom", show=False, id="dashboard.bottom"),
        Binding("escape", "back", "back", show=False, id="dashboard.back"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._view: View | None = None
        self._panels: Mapping[str, Panel] = {}
        self._upper, self._lower = _UPPER[0], _LOWER[0]
        self._zoomed = False
        self._window: Window | None = None
        self._host = gethostname()

    def compose(self) -> ComposeResult:
        yield LinesView(id="head")
        yield LinesView(id="tabs")
        with Container(id="panels"):
            for number in NAMES:
                yield PanelView(number)
        yield Input(id="filter", compact=True, placeholder="filter this panel; enter keeps it, esc clears it")
        yield Footer(id="keys")

    def on_mount(self) -> None:
        self._arrange()
        self.panel(1).focus()

    def on_resize(self) -> None:
        self._arrange()
        self._draw()

    @property
    def console(self) -> ConsoleApp:
        return cast("ConsoleApp", self.app)

    @property
    def small(self) -> bool:
        return self.size.width < _SMALL_WIDTH or self.size.height < _SMALL_HEIGHT

    def panel(self, number: int) -> PanelView:
        return self.query_one(f"#panel-{number}", PanelView)

    @property
    def focused_panel(self) -> PanelView:
        """The panel that keys are for: the focused one, else the chosen one."""
        return self.focused if isinstance(self.focused, PanelView) else self.panel(self._chosen)

    @property
    def pointed(self) -> str:
        """What the row under the cursor points to, as ``open_key`` takes it; empty: nothing."""
        item = self.focused_panel.item
        return "" if item is None else item.key

    # Showing

    def show(self, view: View) -> None:
        """Shows this moment."""
        before = self._view
        self._view = view
        if before is None or before.readings is not view.readings or _second(before) != _second(view):
            self._panels = self._presented(view)
        self._draw()

    def _presented(self, view: View) -> Mapping[str, Panel]:
        seen = tuple(self.console.happenings)
        found = present(view.readings, view.verdict, view.limits, view.now, seen, most=_MOST_ROWS)
        return {panel.source: panel for panel in found}

    def _draw(self) -> None:
        view = self._view
        if view is None or not self.size.width:
            return
        self.query_one("#head", LinesView).set_lines(self._head(view))
        if self.small:
            self.query_one("#tabs", LinesView).set_lines([self._tabs(view)])
        for number in NAMES:
            panel = self.panel(number)
            if panel.display:
                self._show_panel(panel, view)
        self.query_one("#keys", Footer).refresh_keys()

    def _show_panel(self, panel: PanelView, view: View) -> None:
        number, panels, ring = panel.number, self._panels, self.console.lags
        shown = panels.get(NAMES[number][0])
        # The age stands in the frame and is no reason to make the rest anew.
        window = self._window if self._zoomed else None
        inputs = (shown and replace(shown, age=""), _drawn_from(number, view, ring), window)
        hint = lower_hint(number, view, panels) if self.small and not self._zoomed else Line()
        panel.show(lambda width: body(number, view, panels, ring, width, window), inputs, _age(shown), hint)

    def _head(self, view: View) -> list[Line]:
        width = self.size.width
        stores = len(self.console.desk.profile.stores)
        first = view.verdict.first
        answer = answer_of(self.console, first) if first else None
        all_facts = keys_of(self.console, "facts", "v").split()[0]
        return [
            banner(view, width, stores=stores, host=self._host, local=local_offset()),
            numbers(view, width),
            *verdict_rows(view, width, answer=answer, all_facts=all_facts),
            *tape_rows(view, width),
        ]

    def _tabs(self, view: View) -> Line:
        levels = {n: self._level(n) for n in _UPPER}
        return tab_line(view, levels, self._upper, self.size.width)

    def _level(self, number: int) -> Level:
        panel = self._panels.get(NAMES[number][0])
        level = Level.UNKNOWN if panel is None else panel.level
        return worst((level, lag_level(self._view))) if number == 2 and self._view else level

    # Which panels there are

    @property
    def _chosen(self) -> int:
        return self.focused.number if isinstance(self.focused, PanelView) else self._upper

    def _arrange(self) -> None:
        """Shows the panels that this size and zoom have room for."""
        chosen = self.focused_panel.number
        self.set_class(self.small, "-small")
        self.set_class(self._zoomed, "-zoomed")
        for number in NAMES:
            panel = self.panel(number)
            panel.zoomed = self._zoomed
            if self._zoomed:
                panel.display = number == chosen
            else:
                panel.display = not self.small or number in (self._upper, self._lower)
            panel.set_class(number in _LOWER, "-lower")

    def on_descendant_focus(self) -> None:
        self._draw()

    # Keys

    def action_choose(self, number: int) -> None:
        """Go to a panel by its number."""
        if number in _UPPER:
            self._upper = number
        else:
            self._lower = number
        panel = self.panel(number)
        panel.display = True
        panel.focus()
        for other in NAMES:
            if self._zoomed:
                self.panel(other).display = other == number
        self.call_later(self._chosen_again)

    def _chosen_again(self) -> None:
        self._arrange()
        self._draw()

    def action_zoom(self) -> None:
        """Give the focused panel the whole middle, or take it back."""
        self._zoomed = not self._zoomed
        self._arrange()
        self._draw()

    def action_span(self, by: int) -> None:
        """Show a shorter or a longer stretch of the restorable range, from ten minutes to thirty days."""
        if (window := self._looked_at()) is not None and self._view is not None:
            self._window = window.zoomed(by, self._view.now)
            self._draw()

    def action_earlier(self, halves: int) -> None:
        """Move the stretch of the restorable range by half of it."""
        if (window := self._looked_at()) is not None and self._view is not None:
            self._window = window.moved(halves, self._view.now)
            self._draw()

    def _looked_at(self) -> Window | None:
        """The stretch that the range panel shows; it is zoomed for that. None: nothing is known yet."""
        view = self._view
        if view is None:
            return None
        if not self._zoomed or self.focused_panel.number != _RANGE:
            self.action_choose(_RANGE)
            if not self._zoomed:
                self.action_zoom()
        start, end = default_span(live_coverage(view.readings, view.now), view.now)
        return self._window or nearest(end - start)

    def action_move(self, by: int) -> None:
        """Move the cursor in the focused panel."""
        self.focused_panel.move(by)

    def action_open(self) -> None:
        """Open what the row under the cursor points to."""
        self.console.open_key(self.pointed)

    def action_copy(self) -> None:
        """Copy the row under the cursor, or the whole panel where it has none."""
        panel = self.focused_panel
        item, whole = panel.item, panel.body
        text = item.text if item is not None else "" if whole is None else whole.title
        self.app.copy_to_clipboard(clean(text))
        self.console.say(f"Copied: {text}")

    def action_filter(self) -> None:
        """Show only the rows of the focused panel that have a text in them."""
        field = self.query_one("#filter", Input)
        self._filtered = self.focused_panel
        field.value = self._filtered.needle
        field.display = True
        field.focus()

    def action_back(self) -> None:
        """Clear the filter, leave the zoom, or go back to the list of profiles."""
        panel = self._filtered if self.query_one("#filter", Input).display else self.focused_panel
        if self.query_one("#filter", Input).display or panel.needle:
            panel.needle = ""
            self._close_filter()
        elif self._zoomed:
            self.action_zoom()
        elif self.console.options.listed:
            self.console.to_list = True
            self.app.exit()

    _filtered: PanelView

    def on_input_changed(self, event: Input.Changed) -> None:
        if event.input.display:
            self._filtered.needle = event.value

    def on_input_submitted(self, _: Input.Submitted) -> None:
        self._close_filter()

    def _close_filter(self) -> None:
        self._filtered.focus()
        self.query_one("#filter", Input).display = False


def local_offset() -> timedelta | None:
    """Of this host's own time."""
    return datetime.now(UTC).astimezone().utcoffset()


def _second(view: View) -> int:
    return int(view.now.timestamp())


def _age(panel: Panel | None) -> str:
    """A panel's age for its frame; seconds of one that is of now would tick for nothing."""
    if panel is None or panel.age == UNKNOWN:
        return "age ?"
    if panel.age in _OF_NOW and not panel.stale:
        return "age <5s"
    return f"age {panel.age} (stale)" if panel.stale else f"age {panel.age}"


def _drawn_from(number: int, view: View, ring: LagRing) -> tuple[object, ...]:
    """What a panel shows besides what ``present`` says; compared by value."""
    readings = view.readings
    if number == 2:
        return readings.set, readings.oplog, ring
    if number == 4:
        minute = view.now.replace(second=0, microsecond=0)
        return readings.coverage, readings.events, tuple(readings.stores.values()), readings.jobs, minute
    return ()
