"""What is asked before operations are shown, or brought back."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from textual import on
from textual.widget import Widget
from textual.widgets import Input

from mongo_dr_console.model.documentid import parse_identity
from mongo_dr_console.model.eventsearch import USUAL_RANGE
from mongo_dr_console.model.namespace import Namespace
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.trouble import WrongUse
from mongo_dr_console.ui.lines import Line, line, wrapped
from mongo_dr_console.ui.screens.dialog import DIALOG_WIDTH, Dialog, R
from mongo_dr_console.ui.widgets.lines_view import LinesView


class FieldsDialog(Dialog[R]):
    """A question that is answered by typing; it stays open for as long as the answer is none."""

    def complain(self, text: str) -> None:
        """Says why it is none."""
        self.query_one("#hint", LinesView).set_lines(wrapped(f"! {text}", DIALOG_WIDTH, "warning"))

    def field(self, name: str) -> str:
        return self.query_one(f"#{name}", Input).value.strip()

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        fields = list(self.query(Input))
        at = fields.index(event.input)
        if at + 1 < len(fields):
            fields[at + 1].focus()
        elif (answer := self.answer()) is not None:
            self.dismiss(answer)


class PositionDialog(FieldsDialog[Position]):
    """Asks for a position.

    Args:
        read: What a text for a time means.
    """

    AUTO_FOCUS = "#time"

    def __init__(self, read: Callable[[str], Position]) -> None:
        forms = "A time (2026-11-22T02:11:31Z, -10m), a position t:i, event:ID, or latest."
        super().__init__("Operations around", wrapped(forms, DIALOG_WIDTH), "Show")
        self._read = read

    def fields(self) -> Iterable[Widget]:
        yield Input("latest", id="time", compact=True)
        yield LinesView([Line()], id="hint")

    def answer(self) -> Position | None:
        try:
            return self._read(self.field("time"))
        except WrongUse as wrong:
            self.complain(f"{wrong.message} {wrong.hint}")
            return None


class RangeDialog(FieldsDialog[tuple[Position, Position | None]]):
    """Asks for a range to look for events in.

    Args:
        read: What a text for a range means.
    """

    AUTO_FOCUS = "#range"

    def __init__(self, read: Callable[[str], tuple[Position, Position | None]]) -> None:
        forms = (
            "FROM, or FROM..TO: -2d, -3d..-1d, 2026-11-20T00:00:00Z..latest. A time, a position t:i, "
            "event:ID, or latest."
        )
        super().__init__("Look for events", wrapped(forms, DIALOG_WIDTH), "Look")
        self._read = read

    def fields(self) -> Iterable[Widget]:
        yield Input(USUAL_RANGE, id="range", compact=True)
        yield LinesView([Line()], id="hint")

    def answer(self) -> tuple[Position, Position | None] | None:
        try:
            return self._read(self.field("range"))
        except WrongUse as wrong:
            self.complain(f"{wrong.message} {wrong.hint}")
            return None


@dataclass(frozen=True, slots=True)
class DocumentWanted:
    """A collection, and what the ``_id`` may be."""

    namespace: str
    identities: tuple[Any, ...]


class DocumentDialog(FieldsDialog[DocumentWanted]):
    """Asks for a document."""

    AUTO_FOCUS = "#namespace"

    def __init__(self) -> None:
        text = 'The _id plain, or as Extended JSON: 42, 65f0c0ffee00000000000001, "A-17".'
        super().__init__("The history of one document", wrapped(text, DIALOG_WIDTH), "Show")

    def fields(self) -> Iterable[Widget]:
        yield LinesView([Line(), line("Collection:")])
        yield Input(id="namespace", placeholder="database.collection", compact=True)
        yield LinesView([line("_id:")])
        yield Input(id="identity", compact=True)
        yield LinesView([Line()], id="hint")

    def answer(self) -> DocumentWanted | None:
        try:
            namespace = str(Namespace.parse(self.field("namespace")))
            if not self.field("identity"):
                self.complain("Say the _id.")
                return None
            return DocumentWanted(namespace, tuple(parse_identity(self.field("identity"))))
        except WrongUse as wrong:
            self.complain(wrong.message)
        except ValueError as error:
            self.complain(f"This is {error}: say database.collection.")
        return None


class BringBackDialog(Dialog[bool]):
    """Says what the wizard opens with; nothing is changed by it."""

    def __init__(self, text: str) -> None:
        said = [
            *wrapped(text, DIALOG_WIDTH),
            Line(),
            *wrapped(
                "Nothing is changed before the wizard's last step is confirmed.", DIALOG_WIDTH, "strong"
            ),
        ]
        super().__init__("Bring this back", said, "Open the wizard")

    def answer(self) -> bool:
        return True
