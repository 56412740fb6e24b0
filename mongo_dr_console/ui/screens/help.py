"""Help: what can be done here, all keys, what the console costs, where its files lie."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.dom import DOMNode
from textual.screen import Screen

from mongo_dr_console import __version__
from mongo_dr_console.config import config_path, state_path
from mongo_dr_console.ui.helptext import cost_lines, offer_groups, place_lines
from mongo_dr_console.ui.later import when_drawn
from mongo_dr_console.ui.lines import Line, wrapped
from mongo_dr_console.ui.offers import offers
from mongo_dr_console.ui.panels import HELP as PANELS
from mongo_dr_console.ui.screens.leaving import Leaving
from mongo_dr_console.ui.themes import users_folder
from mongo_dr_console.ui.view import View
from mongo_dr_console.ui.widgets.footer import Footer
from mongo_dr_console.ui.widgets.lines_view import LinesView
from mongo_dr_console.ui.widgets.panel import PanelView
from mongo_dr_console.ui.widgets.status_line import StatusLine
from mongo_dr_console.workers.folders import jobs_folder

if TYPE_CHECKING:
    from mongo_dr_console.ui.app import ConsoleApp


class Help(Leaving[None]):
    """All keys, the screen's own first.

    Args:
        below: The screen that it is about.
    """

    AUTO_FOCUS = "#pages"
    DEFAULT_CSS = """
    Help #pages { height: 1fr; padding: 0 1; overflow-y: scroll; scrollbar-size-vertical: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark,f1", "leave", "back", id="help.leave"),
        Binding("down,j", "scroll('down')", "down", id="help.down"),
        Binding("up,k", "scroll('up')", "up", id="help.up"),
    ]

    def __init__(self, below: Screen[Any]) -> None:
        super().__init__()
        self._below = below
        self._view: View | None = None

    def compose(self) -> ComposeResult:
        yield StatusLine(id="status")
        with VerticalScroll(id="pages"):
            yield LinesView(id="said")
        yield Footer(id="keys")

    def on_mount(self) -> None:
        when_drawn(self, lambda: self.show(self._whole.view))

    def on_resize(self) -> None:
        when_drawn(self, self._draw)

    def show(self, view: View) -> None:
        self._view = view
        self.query_one(StatusLine).show(view)
        self.query_one(Footer).refresh_keys()
        self._draw()

    def action_leave(self) -> None:
        """Goes back to the screen that this is about."""
        self.dismiss()

    def action_scroll(self, way: str) -> None:
        """Reads on, or back."""
        pages = self.query_one("#pages", VerticalScroll)
        if way == "down":
            pages.scroll_down(animate=False)
        else:
            pages.scroll_up(animate=False)

    @property
    def _whole(self) -> ConsoleApp:
        return cast("ConsoleApp", self.app)

    def _draw(self) -> None:
        said = self.query_one("#said", LinesView)
        width = said.size.width
        if self.is_mounted and width:
            said.set_lines(self._lines(width))

    def _lines(self, width: int) -> list[Line]:
        app = self._whole
        view = self._view or app.view
        return [
            *_about(self._below, width),
            *offer_groups(offers(app, self._below), width),
            *cost_lines(view.readings, view.now, width),
            *place_lines(_places(app), width),
        ]


def _about(screen: Screen[Any], width: int) -> list[Line]:
    """What the screen is, and what has the focus in it."""
    found = wrapped(_first_sentence(screen), width, "strong")
    focused = screen.focused
    nodes = reversed(focused.ancestors_with_self) if focused is not None else ()
    return found + [row for node in nodes if (told := _help_of(node)) for row in wrapped(told, width)]


def _first_sentence(node: object) -> str:
    told = inspect.getdoc(type(node)) or ""
    return told.partition("\n\n")[0].replace("\n", " ").replace("``", "")


def _help_of(node: DOMNode) -> str:
    return PANELS[node.number] if isinstance(node, PanelView) else node.HELP or ""


def _places(app: ConsoleApp) -> dict[str, str]:
    recording = {"recording": str(app.options.recorded)} if app.options.recorded else {}
    if app.options.replayed:
        recording = {"recording": f"{app.options.replayed}, shown instead of a deployment"}
    return {
        "version": f"mongo-dr-console {__version__}",
        "profile": f"{app.desk.name} ({app.desk.profile.environment}), access {app.desk.access.granted}",
        "config": str(app.desk.config_file),
        "state": str(app.desk.profile.state_dir or state_path()),
        "jobs": str(jobs_folder(app.desk.profile)),
        **recording,
        "themes": f"{app.theme}; your own in {users_folder()}",
        "keys": f'[keys] in {config_path()}: name = keys, as in: refresh = "f5"',
    }
