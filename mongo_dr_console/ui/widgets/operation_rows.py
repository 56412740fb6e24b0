"""Operations to choose from, with what can be done from each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual.binding import Binding, BindingType

from mongo_dr_console.model.operationpage import Found
from mongo_dr_console.model.position import Position
from mongo_dr_console.ui.operationslist import operation_items
from mongo_dr_console.ui.widgets.row_list import RowList

if TYPE_CHECKING:
    from mongo_dr_console.ui.app import ConsoleApp


class OperationRows(RowList):
    """Rows of operations; the cursor stays on its operation when others come."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "pick", "show", id="operations.show"),
        Binding("b", "use(False)", "before", id="operations.before"),
        Binding("t", "use(True)", "through", id="operations.through"),
        Binding("d", "document", "document", id="operations.document"),
        Binding("u", "bring_back", "bring back…", id="operations.bring-back"),
        Binding("x", "app.run_command('hide-values')", "values", id="operations.values"),
    ]

    def __init__(self, **widget: Any) -> None:
        super().__init__(**widget)
        self._found: dict[str, Found] = {}

    @property
    def chosen(self) -> Found | None:
        """The operation under the cursor."""
        return self._found.get(self.key)

    def show_operations(
        self, found: Sequence[Found], place: Position | None, width: int, *, redacted: bool
    ) -> None:
        """Shows these, oldest first; see ``operation_items``."""
        self._found = {f.key: f for f in found}
        self.set_items(*operation_items(found, place, width, redacted=redacted))

    def action_pick(self) -> None:
        """Shows the whole operation, as Extended JSON."""
        from mongo_dr_console.ui.screens.operation import OperationScreen

        if self.chosen is not None:
            self.app.push_screen(OperationScreen(self.chosen))

    def action_use(self, through: bool) -> None:
        """Gives the operation's position to the restore wizard as the limit; nothing is changed by that."""
        from mongo_dr_console.ui.screens.browse_commands import use_position

        if self.chosen is not None:
            use_position(self.console_app, self.chosen.operation, through=through)

    def action_document(self) -> None:
        """Shows every operation on the same document."""
        from mongo_dr_console.ui.screens.browse_commands import show_document

        if self.chosen is not None:
            show_document(self.console_app, self.chosen.operation)

    def action_bring_back(self) -> None:
        """Says how what was there before it comes back, and leads to the wizard."""
        from mongo_dr_console.ui.screens.browse_commands import bring_it_back

        if self.chosen is not None:
            bring_it_back(self.console_app, self.chosen.operation)

    @property
    def console_app(self) -> ConsoleApp:
        return cast("ConsoleApp", self.app)
