"""Putting a hold: on what, and why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from textual.widget import Widget
from textual.widgets import Input

from mongo_dr_console.model.pruneview import HOLDS_DO_NOT_REACH
from mongo_dr_console.ui.lines import Line, line, wrapped
from mongo_dr_console.ui.screens.dialog import DIALOG_WIDTH
from mongo_dr_console.ui.screens.wanted import FieldsDialog
from mongo_dr_console.ui.widgets.lines_view import LinesView


@dataclass(frozen=True, slots=True)
class HoldWanted:
    """What was typed."""

    what: str
    reason: str


class HoldDialog(FieldsDialog[HoldWanted]):
    """Asks for both; neither may be empty.

    Args:
        what: To begin with; empty: nothing.
        reason: To begin with.
    """

    AUTO_FOCUS = "Input"

    def __init__(self, what: str, reason: str) -> None:
        text = "It is kept in every store until the hold is released."
        said = [*wrapped(text, DIALOG_WIDTH), *wrapped(HOLDS_DO_NOT_REACH, DIALOG_WIDTH, "dim")]
        super().__init__("Keep from being pruned", said, "Hold")
        self._what, self._reason = what, reason

    def fields(self) -> Iterable[Widget]:
        yield LinesView([Line(), line("What: FROM..TO, event:ID, or a snapshot's name")])
        yield Input(self._what, id="what", select_on_focus=False, compact=True)
        yield LinesView([line("Why:")])
        yield Input(self._reason, id="reason", select_on_focus=False, compact=True)
        yield LinesView([Line()], id="hint")

    def on_mount(self) -> None:
        if self._what:
            self.query_one("#reason", Input).focus()

    def answer(self) -> HoldWanted | None:
        what, reason = self.field("what"), self.field("reason")
        if not what:
            self.complain("Say what is to be kept.")
        elif not reason:
            self.complain("A hold needs a reason: whoever meets it must know why.")
        else:
            return HoldWanted(what, reason)
        return None
