"""A question that is answered by typing: for what cannot be taken back, or cuts something short."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from textual import on
from textual.widget import Widget
from textual.widgets import Button, Input

from mongo_dr_console.ui.lines import Line, line, wrapped
from mongo_dr_console.ui.screens.dialog import DIALOG_WIDTH, Dialog
from mongo_dr_console.ui.widgets.lines_view import LinesView
from mongo_dr_console.ui.widgets.typed_field import TypedField


class TypedConfirmation(Dialog[str]):
    """Gives back what was typed, which is what was wanted; None of whoever cancels.

    Cancel has the focus, so that Enter at once does nothing; typing goes to the field all the same. Enter in
    the field goes on to the button and does not press it.

    Args:
        wanted: What must be typed, exactly.
    """

    DEFAULT_CSS = "TypedConfirmation #typed { margin-top: 0; }"

    def __init__(self, title: str, lines: Sequence[Line], wanted: str, button: str) -> None:
        ask = wrapped(f"Type {wanted} to go on:", DIALOG_WIDTH)
        super().__init__(title, [*lines, Line(), *ask], button)
        self._wanted = wanted

    def fields(self) -> Iterable[Widget]:
        yield TypedField(self._wanted, id="typed")
        yield LinesView([Line()], id="hint")

    @property
    def ready(self) -> bool:
        return self.is_mounted and self.query_one(TypedField).matched

    def answer(self) -> str:
        return self.query_one(TypedField).value

    def field_for(self, letter: str) -> Input | None:
        """Focused is Cancel; whoever begins to type means the field."""
        begins = self.is_mounted and isinstance(self.focused, Button) and letter != " "
        return self.query_one(TypedField) if begins else None

    @on(TypedField.Matched)
    def _matched(self) -> None:
        self.refresh_ready()
        self._hint("")

    @on(TypedField.PasteRefused)
    def _pasted(self) -> None:
        self._hint("Pasting is not possible here: type it.")

    @on(Input.Submitted)
    def _submitted(self) -> None:
        if self.ready:
            self.query_one("#do", Button).focus()
        else:
            self._hint(f"That is not {self._wanted}.")

    def _hint(self, text: str) -> None:
        self.query_one("#hint", LinesView).set_lines(
            wrapped(f"! {text}", DIALOG_WIDTH, "warning") if text else [line("")]
        )
