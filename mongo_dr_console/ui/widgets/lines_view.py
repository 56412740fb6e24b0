"""A widget that shows lines and redraws only what changed in them: a second's tick costs a few bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.cells import get_character_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.dom import DOMNode
from textual.geometry import Region, Size
from textual.strip import Strip
from textual.widget import Widget

from mongo_dr_console.ui.glyphs import ascii_only
from mongo_dr_console.ui.lines import Line

_NEAR = 12
"""Cells: to go there and to set the looks anew costs about as much as to write what lies between."""


class LinesView(Widget):
    """Shows ``Line``s as they are, cut at its width. Every role has a style in CSS, ``.lines--<role>``."""

    DEFAULT_CSS = "LinesView { height: auto; width: 1fr; }"

    def __init__(self, lines: Sequence[Line] = (), **widget: Any) -> None:
        super().__init__(**widget)
        self._lines = tuple(lines)
        self._looks: dict[tuple[str, Style], Style] = {}
        self._rules: object = None

    def on_mount(self) -> None:
        self.app.theme_changed_signal.subscribe(self, lambda _: self.refresh())

    def on_unmount(self) -> None:
        # The signal would keep the widget, and with it the whole screen; Textual itself keeps what was drawn.
        self.app.theme_changed_signal.unsubscribe(self)
        self._styles_cache.clear()

    @property
    def lines(self) -> tuple[Line, ...]:
        return self._lines

    @property
    def text(self) -> str:
        """What is shown, without its looks."""
        return "\n".join(line.text for line in self._lines)

    def set_lines(self, lines: Sequence[Line]) -> None:
        """Shows other lines; only the cells that differ are drawn anew."""
        before, self._lines = self._lines, tuple(lines)
        if before == self._lines or not self.is_attached:
            return
        if len(before) != len(self._lines) and self.styles.height is not None and self.styles.height.is_auto:
            self.refresh(layout=True)
            return
        count = max(len(before), len(self._lines))
        changed = [
            region
            for y in range(count)
            for region in differences(_at(before, y), _at(self._lines, y), y, self.size.width)
        ]
        if changed:
            self.refresh(*changed)

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        base = self.rich_style
        if y >= len(self._lines):
            return Strip.blank(width, base)
        plain = bool(getattr(self.app, "ascii", False))
        segments = [
            Segment(ascii_only(text) if plain else text, self._style(role, base))
            for text, role in self._lines[y].spans
        ]
        return Strip(segments).adjust_cell_length(width, base)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return max(1, len(self._lines))

    def get_content_width(self, container: Size, viewport: Size) -> int:
        return max((line.width for line in self._lines), default=0)

    def _style(self, role: str, base: Style) -> Style:
        # Not component classes: Textual would work out all of them anew whenever the focus moves.
        if not role:
            return base
        stylesheet = self.app.stylesheet
        if self._rules is not stylesheet.rules:
            self._rules, self._looks = stylesheet.rules, {}
        if (role, base) not in self._looks:
            node = DOMNode(classes=f"lines--{role}")
            node._attach(self)
            stylesheet.apply(node, animate=False)
            self._looks[role, base] = node.rich_style
        return self._looks[role, base]


def _at(lines: Sequence[Line], y: int) -> Line:
    return lines[y] if y < len(lines) else Line()


def differences(old: Line, new: Line, y: int, width: int) -> list[Region]:
    """The cells that differ between two rows, as runs; two that are near each other are one.

    >>> row = lambda text: Line(((text, ""),))
    >>> found = differences(row("1s, as it was asked, 4s"), row("2s, as it was asked, 5s"), 7, 80)
    >>> [(run.x, run.width) for run in found]
    [(0, 1), (21, 1)]
    """
    if old == new:
        return []
    before, after = _cells(old), _cells(new)
    sizes = [get_character_cell_size(character) for character, _ in after]
    if 0 in sizes or sum(sizes) != new.width:
        return [Region(0, y, max(1, width), 1)]  # characters that join others: where a cell is, is not known
    if [get_character_cell_size(character) for character, _ in before] != sizes:
        start = 0
        while start < min(len(before), len(after)) and before[start] == after[start]:
            start += 1
        left = sum(sizes[:start])
        return [Region(left, y, max(1, width - left), 1)]
    runs: list[tuple[int, int]] = []
    left = 0
    for was, now, size in zip(before, after, sizes, strict=True):
        if was != now:
            first = runs.pop()[0] if runs and left - runs[-1][1] < _NEAR else left
            runs.append((first, left + size))
        left += size
    return [Region(first, y, end - first, 1) for first, end in runs]


def _cells(line: Line) -> list[tuple[str, str]]:
    return [(character, role) for text, role in line.spans for character in text]
