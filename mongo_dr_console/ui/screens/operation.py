"""One operation, whole."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType

from mongo_dr_console.model.operationpage import Found
from mongo_dr_console.ui.lines import Line
from mongo_dr_console.ui.operationslist import whole_operation
from mongo_dr_console.ui.screens.browse_commands import bring_it_back, show_document, use_position
from mongo_dr_console.ui.screens.page import PageScreen
from mongo_dr_console.ui.view import View


class OperationScreen(PageScreen):
    """An operation as Extended JSON.

    Args:
        found: Which.
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

    def draw(self, view: View, width: int) -> None:
        shown = width, self.console.values_hidden
        if self._drawn != shown:
            # It does not change, and may be long.
            self._drawn = shown
            super().draw(view, width)

    def lines(self, view: View, width: int) -> list[Line]:
        return whole_operation(self.found, width, redacted=self.console.values_hidden)

    def action_use(self, through: bool) -> None:
        """Gives the operation's position to the restore wizard as the limit; nothing is changed by that."""
        use_position(self.console, self.found.operation, through=through)

    def action_document(self) -> None:
        """Shows every operation on the same document."""
        show_document(self.console, self.found.operation)

    def action_bring_back(self) -> None:
        """Says how what was there before it comes back, and leads to the wizard."""
        bring_it_back(self.console, self.found.operation)
