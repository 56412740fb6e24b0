"""A button whose focus can be told without colours."""

from __future__ import annotations

from typing import Any

from textual.app import RenderResult
from textual.content import Content
from textual.geometry import Size
from textual.widgets import Button


class ActionButton(Button):
    """Does what it says; its words stand between ``▶`` and ``◀`` while it has the focus.

    Args:
        text: What it says; never markup.
        compact: In a row of its own height: ``[ Next ]``, with the focus ``[▶Next◀]``.
        further: As of ``Button``.
    """

    def __init__(self, text: str, *, compact: bool = False, **further: Any) -> None:
        super().__init__(Content(f"[ {text} ]" if compact else text), compact=compact, **further)
        self._text = text

    def get_content_width(self, container: Size, viewport: Size) -> int:
        # With room for the signs, so that the words are not broken when they come.
        return super().get_content_width(container, viewport) + (0 if self.compact else 4)

    def render(self) -> RenderResult:
        if not self.has_focus:
            return super().render()
        # On both sides, so that the words stay where they are.
        return Content(f"[▶{self._text}◀]" if self.compact else f"▶ {self._text} ◀")
