"""What all dialogs have: a title, lines, something to set, and two buttons with Cancel first and focused."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar, TypeVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Button

from mongo_dr_console.ui.lines import Line, wrapped
from mongo_dr_console.ui.screens.leaving import Leaving
from mongo_dr_console.ui.widgets.action_button import ActionButton
from mongo_dr_console.ui.widgets.lines_view import LinesView

DIALOG_WIDTH = 70
"""How wide the lines of a dialog may be, at every size of terminal."""

R = TypeVar("R")


class Dialog(ModalScreen[R | None], Leaving[R | None]):
    """A question over the screen; None is the answer of whoever cancels.

    Args:
        title: What it is about.
        lines: What is said; no wider than ``DIALOG_WIDTH``.
        button: What the button says that does it.
    """

    AUTO_FOCUS = "#cancel"
    DEFAULT_CSS = """
    Dialog { align: center middle; }
    Dialog #dialog {
        width: 76; max-width: 100%; height: auto; max-height: 100%;
        border: round $primary; background: $surface; padding: 0 2;
    }
    Dialog #said { height: auto; }
    Dialog #buttons { height: auto; margin-top: 1; }
    Dialog #buttons Button { margin-right: 2; min-width: 14; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "cancel", id="dialog.cancel"),
        Binding("left", "app.focus_previous", "before", show=False, id="dialog.before"),
        Binding("right", "app.focus_next", "next", show=False, id="dialog.next"),
    ]

    def __init__(self, title: str, lines: Sequence[Line], button: str) -> None:
        super().__init__()
        self._title, self._said, self._button = title, tuple(lines), button

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="dialog", can_focus=False):
            yield LinesView([*wrapped(self._title, DIALOG_WIDTH, "title"), Line(), *self._said], id="said")
            yield from self.fields()
            with Horizontal(id="buttons"):
                yield ActionButton("Cancel", id="cancel")
                yield ActionButton(self._button, id="do", variant="primary", disabled=not self.ready)

    def fields(self) -> Iterable[Widget]:
        """What can be set, between the lines and the buttons."""
        return ()

    @property
    def ready(self) -> bool:
        """Whether the button may be pressed."""
        return True

    def answer(self) -> R | None:
        """What is given back when the button is pressed; None: it stays open."""
        raise NotImplementedError

    def refresh_ready(self) -> None:
        """Wakes the button up, or puts it to sleep."""
        self.query_one("#do", Button).disabled = not self.ready

    def action_cancel(self) -> None:
        """Closes the dialog; nothing is done."""
        self.dismiss(None)

    @on(Button.Pressed, "#cancel")
    def _cancelled(self) -> None:
        self.dismiss(None)

    @on(Button.Pressed, "#do")
    def _pressed(self) -> None:
        if self.ready and (answer := self.answer()) is not None:
            self.dismiss(answer)
