"""One of the dashboard's panels: a frame, what it holds, and a cursor on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mongo_dr_console.ui.frame import SIDES, framed
from mongo_dr_console.ui.glyphs import ROLE_OF_LEVEL
from mongo_dr_console.ui.keymap import keys_of
from mongo_dr_console.ui.lines import Line, line
from mongo_dr_console.ui.panels import Body, Item, filtered, laid_out
from mongo_dr_console.ui.widgets.lines_view import LinesView
from mongo_dr_console.ui.widgets.status_line import level_word


class PanelView(LinesView, can_focus=True):
    """Call ``show`` with what it holds; it draws that at its own size.

    Args:
        number: Its digit.
    """

    DEFAULT_CSS = "PanelView { height: 1fr; width: 1fr; }"

    def __init__(self, number: int, **widget: Any) -> None:
        super().__init__(id=f"panel-{number}", **widget)
        self.number = number
        self.zoomed = False
        self._hint = Line()
        self._age = ""
        self._make: Callable[[int], Body] | None = None
        self._inputs: object = None
        self._made: tuple[object, int, Body] | None = None
        self._cursor = 0
        self._held: tuple[str, str] = ("", "")
        self._needle = ""

    # What it holds

    def show(self, make: Callable[[int], Body], inputs: object, age: str, hint: Line) -> None:
        """Shows what ``make`` says for a width; not asked again while width and ``inputs`` are equal.

        Args:
            age: How old its data are, in words.
            hint: Stands in the frame before level and age.
        """
        same = (self._inputs, self._age, self._hint) == (inputs, age, hint)
        self._make, self._inputs, self._age, self._hint = make, inputs, age, hint
        if not same or self._made is None:
            self.draw()

    @property
    def body(self) -> Body | None:
        """As it is shown: at this width, filtered."""
        width = self.size.width - SIDES
        if self._make is None or width < 1:
            return None
        if self._made is None or self._made[:2] != (self._inputs, width):
            self._made = (self._inputs, width, self._make(width))
        return filtered(self._made[2], self._needle)

    @property
    def item(self) -> Item | None:
        """What the cursor stands on."""
        body = self.body
        if body is None or not body.items:
            return None
        return body.items[self._place(body)]

    @property
    def needle(self) -> str:
        return self._needle

    @needle.setter
    def needle(self, text: str) -> None:
        self._needle = text
        self.draw()

    def move(self, by: int) -> None:
        """Moves the cursor by so many things, up to either end."""
        body = self.body
        if body is None or not body.items:
            return
        self._cursor = min(max(0, self._place(body) + by), len(body.items) - 1)
        self._hold(body)
        self.draw()

    # Drawing

    def draw(self) -> None:
        """Draws it anew; only the cells that changed reach the terminal."""
        body = self.body
        if body is None:
            return
        width, height = self.size
        cursor = self._place(body) if self.has_focus and body.items else None
        zoom = "" if self.zoomed else keys_of(self.app, "dashboard.zoom", "z").split()[0]
        laid = laid_out(body, max(0, height - 2), cursor, zoom=zoom)
        name = body.title if not self._needle else f"{body.title} /{self._needle}"
        self.set_lines(
            framed(
                line((name, "focus" if self.has_focus else "title")),
                self._told(body),
                laid.lines,
                width,
                height,
                focused=self.has_focus,
                cursor=laid.cursor,
            )
        )

    def _told(self, body: Body) -> Line:
        """Level and age at the right of the frame."""
        judged = (f"{body.level.glyph} {level_word(body.level)}", ROLE_OF_LEVEL[body.level])
        return line(*self._hint.spans, judged, (f"  {self._age}", "dim"))

    def on_resize(self) -> None:
        self.draw()

    def watch_has_focus(self, has_focus: bool) -> None:
        super().watch_has_focus(has_focus)
        # Not on_focus and on_blur: these come before has_focus says so.
        self.draw()

    # The cursor stays on its thing, wherever that goes: a new row above must not put another one under Enter.

    def _place(self, body: Body) -> int:
        if any(self._held):
            for at, item in enumerate(body.items):
                if _named(item) == self._held:
                    self._cursor = at
                    break
        self._cursor = min(max(0, self._cursor), max(0, len(body.items) - 1))
        return self._cursor

    def _hold(self, body: Body) -> None:
        self._held = _named(body.items[self._cursor]) if self._cursor else ("", "")


def _named(item: Item) -> tuple[str, str]:
    """By its key; a thing without one by its first words, since the others are figures that change."""
    return (item.key, "") if item.key else ("", " ".join(item.text.split()[:2]))
