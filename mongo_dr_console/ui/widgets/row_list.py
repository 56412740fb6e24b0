"""A list to choose from: rows of lines with a cursor that keeps its place when the rows change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message

from mongo_dr_console.ui.lines import Line, fitted, with_role
from mongo_dr_console.ui.widgets.lines_view import LinesView

CURSOR = "▶ "


@dataclass(frozen=True, slots=True)
class RowItem:
    """A row: ``key`` says what it stands for; one without a key cannot be chosen."""

    key: str
    line: Line


class RowList(LinesView, can_focus=True):
    """Rows with a cursor.

    Enter picks the row under the cursor, space ticks it; the owner decides what either means.
    """

    DEFAULT_CSS = "RowList { height: 1fr; min-height: 1; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "up", show=False, id="list.up"),
        Binding("down,j", "move(1)", "down", show=False, id="list.down"),
        Binding("pageup", "page(-1)", "page up", show=False, id="list.pageup"),
        Binding("pagedown", "page(1)", "page down", show=False, id="list.pagedown"),
        Binding("home,g", "end(-1)", "first", show=False, id="list.first"),
        Binding("end,G", "end(1)", "last", show=False, id="list.last"),
        Binding("enter", "pick", "choose", id="list.choose"),
        Binding("space", "tick", "tick", show=False, id="list.tick"),
    ]

    @dataclass
    class OfRows(Message):
        """What a list says; which list, tells a selector of ``on``."""

        rows: RowList

        @property
        def control(self) -> RowList:
            return self.rows

    @dataclass
    class Picked(OfRows):
        """Enter, or a click, on a row."""

        key: str

    @dataclass
    class Ticked(OfRows):
        """Space on a row."""

        key: str

    @dataclass
    class Moved(OfRows):
        """The cursor is on another row."""

        key: str

    @dataclass
    class Edge(OfRows):
        """The cursor was to move past the first row, or the last one. ``way``: -1 or 1."""

        way: int

    def __init__(self, **widget: Any) -> None:
        super().__init__(**widget)
        self._items: tuple[RowItem, ...] = ()
        self._header: tuple[Line, ...] = ()
        self._cursor = 0
        self._top = 0

    @property
    def key(self) -> str:
        """What the row under the cursor stands for; empty where there is none."""
        return self._items[self._cursor].key if self._cursor < len(self._items) else ""

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(i.key for i in self._items if i.key)

    def set_items(self, items: Sequence[RowItem], header: Sequence[Line] = ()) -> None:
        """Other rows; the cursor stays on the row with its key, else near to where it was."""
        before = self.key
        grown = len(items) + len(header) != len(self._items) + len(self._header)
        self._items, self._header = tuple(items), tuple(header)
        places = [n for n, item in enumerate(self._items) if item.key and item.key == before]
        self._cursor = places[0] if places else self._near(min(self._cursor, max(0, len(items) - 1)))
        if grown and self.is_attached and self.styles.height is not None and self.styles.height.is_auto:
            self.refresh(layout=True)
        self._draw()

    def go_to(self, key: str) -> None:
        """Puts the cursor on a row."""
        for number, item in enumerate(self._items):
            if item.key == key:
                self._cursor = number
        self._draw()

    def get_content_height(self, container: Any, viewport: Any, width: int) -> int:
        return max(1, len(self._items) + len(self._header))

    def action_move(self, by: int) -> None:
        """Moves the cursor to the next row that can be chosen."""
        place = self._cursor + by
        while 0 <= place < len(self._items) and not self._items[place].key:
            place += by
        if 0 <= place < len(self._items):
            self._go(place)
        else:
            self.post_message(self.Edge(self, by))

    def action_page(self, way: int) -> None:
        """Moves the cursor by a screenful."""
        wanted = self._cursor + way * max(1, self._room - 1)
        self._go(self._near(max(0, min(wanted, len(self._items) - 1)), -way))

    def action_end(self, way: int) -> None:
        """Moves the cursor to the first or the last row."""
        self._go(self._near(0 if way < 0 else len(self._items) - 1, -way))

    def action_pick(self) -> None:
        """Chooses the row under the cursor."""
        if self.key:
            self.post_message(self.Picked(self, self.key))

    def action_tick(self) -> None:
        """Ticks the row under the cursor, or takes the tick away."""
        if self.key:
            self.post_message(self.Ticked(self, self.key))

    def on_click(self, event: events.Click) -> None:
        place = self._top + event.y - len(self._header)
        if event.y - len(self._header) >= 0 and place < len(self._items) and self._items[place].key:
            self._go(place)

    def watch_has_focus(self, has_focus: bool) -> None:
        super().watch_has_focus(has_focus)
        # Not on_focus and on_blur: these come before has_focus says so.
        self._draw()

    def on_resize(self) -> None:
        self._draw()

    @property
    def _room(self) -> int:
        return max(1, self.size.height - len(self._header))

    def _go(self, place: int) -> None:
        if self._items and place != self._cursor:
            self._cursor = place
            self.post_message(self.Moved(self, self.key))
        self._draw()

    def _near(self, place: int, way: int = 1) -> int:
        """The next row from here that can be chosen; the other way where there is none."""
        for step in (way or 1, -(way or 1)):
            at = place
            while 0 <= at < len(self._items):
                if self._items[at].key:
                    return at
                at += step
        return max(0, place)

    def _draw(self) -> None:
        if not self.size.height:
            return
        first = self._cursor if self._cursor >= 0 else 0
        # A heading above the first row is shown with it.
        if first and not any(item.key for item in self._items[:first]):
            first = 0
        self._top = max(min(self._top, first), self._cursor - self._room + 1, 0)
        self._top = min(self._top, max(0, len(self._items) - self._room))
        shown = self._items[self._top : self._top + self._room]
        width = self.size.width
        rows = [self._row(item, self._top + n, width) for n, item in enumerate(shown)]
        self.set_lines([*(fitted(Line((("  ", ""), *h.spans)), width) for h in self._header), *rows])

    def _row(self, item: RowItem, place: int, width: int) -> Line:
        here = self.has_focus and place == self._cursor and bool(item.key)
        row = fitted(Line(((CURSOR if here else "  ", ""), *item.line.spans)), width, fill=here)
        return with_role(row, "cursor") if here else row
