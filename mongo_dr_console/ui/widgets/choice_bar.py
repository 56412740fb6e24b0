"""A choice of a few, in one row: left and right choose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from rich.cells import cell_len
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message

from mongo_dr_console.ui.lines import Line, Role, Span, fit, line, shrunk
from mongo_dr_console.ui.widgets.lines_view import LinesView

_GAP = "   "
_INDENT, _SIGN = 2, 4
"""Cells before the first choice, and before the words of each."""


class ChoiceBar(LinesView, can_focus=True):
    """``(●) this  ( ) that``; exactly one is chosen.

    Args:
        choices: Keys and what is written for them.
    """

    DEFAULT_CSS = "ChoiceBar { height: 1; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "choose(-1)", "the one before", show=False, id="choice.left"),
        Binding("right,l,space", "choose(1)", "the next one", show=False, id="choice.right"),
    ]

    @dataclass
    class Chosen(Message):
        """Another one is chosen now."""

        bar: ChoiceBar
        key: str

        @property
        def control(self) -> ChoiceBar:
            return self.bar

    def __init__(self, choices: Sequence[tuple[str, str]], chosen: str = "", **widget: Any) -> None:
        super().__init__(**widget)
        self._choices = tuple(choices)
        self._chosen = chosen or self._choices[0][0]
        self._draw()

    @property
    def chosen(self) -> str:
        return self._chosen

    @chosen.setter
    def chosen(self, key: str) -> None:
        """Shows this one as chosen, without a message."""
        self._chosen = key
        self._draw()

    def action_choose(self, by: int) -> None:
        """Chooses the next one, or the one before."""
        keys = [key for key, _ in self._choices]
        self._choose(keys[(keys.index(self._chosen) + by) % len(keys)])

    def on_click(self, event: events.Click) -> None:
        left = 2
        for (key, _), (text, _) in zip(self._choices, self._marked(), strict=True):
            right = left + line(text).width
            if left <= event.x < right:
                self._choose(key)
            left = right + len(_GAP)

    def watch_has_focus(self, has_focus: bool) -> None:
        super().watch_has_focus(has_focus)
        # Not on_focus and on_blur: these come before has_focus says so.
        self._draw()

    def _choose(self, key: str) -> None:
        if key != self._chosen:
            self._chosen = key
            self._draw()
            self.post_message(self.Chosen(self, key))

    def on_resize(self) -> None:
        self._draw()

    def _marked(self) -> list[Span]:
        focused = self.has_focus
        found: list[Span] = []
        for key, text in zip((key for key, _ in self._choices), self._texts(), strict=True):
            chosen = key == self._chosen
            role: Role = ("cursor" if focused else "strong") if chosen else ""
            found.append((f"({'●' if chosen else ' '}) {text}", role))
        return found

    def _texts(self) -> list[str]:
        """What the choices say; where there is no room for all, the longest give way, and none is hidden."""
        texts = [text for _, text in self._choices]
        if not self.size.width:
            return texts
        around = _INDENT + len(_GAP) * (len(texts) - 1) + _SIGN * len(texts)
        room = max(len(texts), self.size.width - around)
        return [
            fit(text, width)
            for text, width in zip(texts, shrunk([cell_len(t) for t in texts], room), strict=True)
        ]

    def _draw(self) -> None:
        spans: list[Span] = [("▶ " if self.has_focus else "  ", "")]
        for number, span in enumerate(self._marked()):
            if number:
                spans.append((_GAP, ""))
            spans.append(span)
        self.set_lines([Line(tuple(spans))])
