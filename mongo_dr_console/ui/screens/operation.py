"""One operation, whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import Screen

from mongo_dr_console.model.operationpage import Found
from mongo_dr_console.ui.operationslist import whole_operation
from mongo_dr_console.ui.screens.browse_commands import bring_it_back, show_document, use_position
from mongo_dr_console.ui.screens.ownkeys import OwnKeys
from mongo_dr_console.ui.view import View
from mongo_dr_console.ui.widgets.lines_view import LinesView
from mongo_dr_console.ui.widgets.status_line import StatusLine

if TYPE_CHECKING:
    from mongo_dr_console.ui.app import ConsoleApp


class OperationScreen(Screen[None]):
    """An operation as Extended JSON.

    Args:
        found: Which.
    """

    AUTO_FOCUS = "#body"
    DEFAULT_CSS = """
    OperationScreen #body {
        height: 1fr; padding: 0 0 0 1; scrollbar-size-vertical: 1; scrollbar-gutter: stable;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("b", "use(False)", "before", id="operation.before"),
        Binding("t", "use(True)", "through", id="operation.through"),
        Binding("d", "document", "document", id="operation.document"),
        Binding("u", "bring_back", "bring back…", id="operation.bring-back"),
        Binding("x", "app.run_command('hide-values')", "values", id="operation.values"),
        Binding("escape", "back", "back", id="operation.back"),
        Binding("j", "scroll(1)", "scroll down", show=False, id="operation.down"),
        Binding("k", "scroll(-1)", "scroll up", show=False, id="operation.up"),
    ]

    def __init__(self, found: Found) -> None:
        super().__init__()
        self.found = found
        self._drawn: tuple[int, bool] | None = None

    @property
    def console(self) -> ConsoleApp:
        return cast("ConsoleApp", self.app)

    def compose(self) -> ComposeResult:
        yield StatusLine(id="status")
        with VerticalScroll(id="body"):
            yield LinesView(id="text")
        yield OwnKeys()

    def on_mount(self) -> None:
        self.show(self.console.view)

    def on_resize(self) -> None:
        self.show(self.console.view)

    def show(self, view: View) -> None:
        self.query_one(StatusLine).show(view)
        width, hidden = self.size.width - 3, self.console.values_hidden
        if width > 0 and self._drawn != (width, hidden):
            # It does not change, and may be long.
            self._drawn = (width, hidden)
            self.query_one("#text", LinesView).set_lines(whole_operation(self.found, width, redacted=hidden))
        self.query_one(OwnKeys).refresh_keys()

    def action_use(self, through: bool) -> None:
        """Gives the operation's position to the restore wizard as the limit; nothing is changed by that."""
        use_position(self.console, self.found.operation, through=through)

    def action_document(self) -> None:
        """Shows every operation on the same document."""
        show_document(self.console, self.found.operation)

    def action_bring_back(self) -> None:
        """Says how what was there before it comes back, and leads to the wizard."""
        bring_it_back(self.console, self.found.operation)

    def action_back(self) -> None:
        """Back to where it was opened from."""
        if self.app.screen is self:
            self.app.pop_screen()

    def action_scroll(self, rows: int) -> None:
        """Scrolls by a row."""
        self.query_one("#body", VerticalScroll).scroll_relative(y=rows, animate=False)
