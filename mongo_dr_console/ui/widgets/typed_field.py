"""The field for what must be typed by hand before anything is destroyed: it refuses to be pasted into."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from textual import events
from textual.message import Message
from textual.widgets import Input


@runtime_checkable
class TakesLetters(Protocol):
    """A screen on which whoever begins to type means a field, wherever the focus is."""

    def field_for(self, letter: str) -> Input | None:
        """The field that a letter begins; asked before the letter is sent to anything, so that all that come
        at once are typed in their order."""
        ...


class TypedField(Input):
    """An input that knows what is wanted.

    Args:
        wanted: What must be typed, exactly; an empty text is never matched.
    """

    @dataclass
    class Matched(Message):
        """What stands in the field is now what is wanted, or is not any more."""

        field: TypedField
        matched: bool

        @property
        def control(self) -> TypedField:
            return self.field

    @dataclass
    class PasteRefused(Message):
        """Somebody tried to paste: typing is the point."""

        field: TypedField

        @property
        def control(self) -> TypedField:
            return self.field

    def __init__(self, wanted: str, **widget: Any) -> None:
        super().__init__(select_on_focus=False, **widget)
        self._wanted = wanted
        self._told = False

    @property
    def wanted(self) -> str:
        return self._wanted

    @wanted.setter
    def wanted(self, text: str) -> None:
        """Something else is wanted now: what was typed for the former is gone."""
        self._wanted = text
        self.value = ""
        self._tell()

    @property
    def matched(self) -> bool:
        return self._wanted != "" and self.value == self._wanted

    def watch_value(self) -> None:
        self._tell()

    def _tell(self) -> None:
        if self.matched != self._told:
            self._told = self.matched
            self.post_message(self.Matched(self, self.matched))

    def _on_paste(self, event: events.Paste) -> None:
        # Without prevent_default Textual would go on to Input's own handler.
        event.prevent_default()
        event.stop()
        self.post_message(self.PasteRefused(self))

    def action_paste(self) -> None:
        self.post_message(self.PasteRefused(self))
