"""Screens that have a subject of their own: the status line, what it is about, its keys; they follow the
readings."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.screen import Screen

from mongo_dr_console.ui.lines import Line
from mongo_dr_console.ui.screens.ownkeys import OwnKeys
from mongo_dr_console.ui.view import View
from mongo_dr_console.ui.widgets.lines_view import LinesView
from mongo_dr_console.ui.widgets.row_list import RowList
from mongo_dr_console.ui.widgets.status_line import StatusLine

if TYPE_CHECKING:
    from mongo_dr_console.ui.app import ConsoleApp


class SubjectScreen(Screen[None]):
    """The frame. Each screen has a binding of its own for ``back``."""

    MARGIN: ClassVar[int] = 2
    """Columns that are not the text's."""

    @property
    def console(self) -> ConsoleApp:
        return cast("ConsoleApp", self.app)

    def compose(self) -> ComposeResult:
        yield StatusLine(id="status")
        yield from self.body()
        yield OwnKeys(self.not_now)

    def body(self) -> ComposeResult:
        """What stands between status line and keys."""
        raise NotImplementedError

    def on_mount(self) -> None:
        self.show(self.console.view)

    def on_resize(self) -> None:
        self.show(self.console.view)

    def show(self, view: View) -> None:
        self.query_one(StatusLine).show(view)
        if self.size.width:
            self.draw(view, self.size.width - self.MARGIN)
        self.query_one(OwnKeys).refresh_keys()

    def draw(self, view: View, width: int) -> None:
        """Draws this moment."""
        raise NotImplementedError

    def not_now(self) -> set[str]:
        """Ids of bindings that could only say why they do nothing now."""
        return set()

    def action_back(self) -> None:
        """Back to where it was opened from."""
        if self.app.screen is self:
            self.app.pop_screen()


class PageScreen(SubjectScreen):
    """One text that can be scrolled. Each page has bindings of its own for ``scroll``."""

    MARGIN = 3
    AUTO_FOCUS = "#body"
    DEFAULT_CSS = """
    PageScreen #body {
        height: 1fr; padding: 0 0 0 1; scrollbar-size-vertical: 1; scrollbar-gutter: stable;
    }
    """

    def body(self) -> ComposeResult:
        with VerticalScroll(id="body"):
            yield LinesView(id="text")

    def draw(self, view: View, width: int) -> None:
        self.query_one("#text", LinesView).set_lines(self.lines(view, width))

    def lines(self, view: View, width: int) -> list[Line]:
        """The text."""
        raise NotImplementedError

    def action_scroll(self, rows: int) -> None:
        """Moves the text by a line."""
        self.query_one("#body", VerticalScroll).scroll_relative(y=rows, animate=False)


class ListScreen(SubjectScreen):
    """A head above rows to choose from."""

    ROWS: ClassVar[type[RowList]] = RowList
    AUTO_FOCUS = "#rows"
    DEFAULT_CSS = """
    ListScreen #head { padding: 0 1; }
    ListScreen #rows { height: 1fr; }
    """

    def body(self) -> ComposeResult:
        yield LinesView(id="head")
        yield self.ROWS(id="rows")

    @property
    def rows(self) -> RowList:
        return self.query_one("#rows", RowList)

    def draw(self, view: View, width: int) -> None:
        self.query_one("#head", LinesView).set_lines(self.head(view, width))
        self.fill(view, width)

    def head(self, view: View, width: int) -> list[Line]:
        """What stands above the rows."""
        raise NotImplementedError

    def fill(self, view: View, width: int) -> None:
        """Puts the rows in, and what else there is."""
        raise NotImplementedError
