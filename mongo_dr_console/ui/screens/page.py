"""A screen that is one page of lines: they follow the readings, and can be scrolled."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.screen import Screen

from mongo_dr_console.ui.screens.ownkeys import OwnKeys
from mongo_dr_console.ui.view import View
from mongo_dr_console.ui.widgets.lines_view import LinesView
from mongo_dr_console.ui.widgets.status_line import StatusLine

if TYPE_CHECKING:
    from mongo_dr_console.ui.app import ConsoleApp


class PageScreen(Screen[None]):
    """The status line, a text, the keys. Each page has bindings of its own for ``back`` and ``scroll``."""

    AUTO_FOCUS = "#body"
    DEFAULT_CSS = """
    PageScreen #body {
        height: 1fr; padding: 0 0 0 1; scrollbar-size-vertical: 1; scrollbar-gutter: stable;
    }
    """

    @property
    def console(self) -> ConsoleApp:
        return cast("ConsoleApp", self.app)

    def compose(self) -> ComposeResult:
        yield StatusLine(id="status")
        with VerticalScroll(id="body"):
            yield LinesView(id="text")
        yield OwnKeys(self.not_now)

    def on_mount(self) -> None:
        self.show(self.console.view)

    def on_resize(self) -> None:
        self.show(self.console.view)

    def show(self, view: View) -> None:
        """Draws this moment."""
        raise NotImplementedError

    def not_now(self) -> set[str]:
        """Ids of bindings that could only say why they do nothing now."""
        return set()

    def action_back(self) -> None:
        """Back to where it was opened from."""
        if self.app.screen is self:
            self.app.pop_screen()

    def action_scroll(self, rows: int) -> None:
        """Moves the text by a line."""
        self.query_one("#body", VerticalScroll).scroll_relative(y=rows, animate=False)
