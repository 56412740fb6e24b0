"""The palette: type a few letters of what is wanted, see what can be done now, enter does it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen, Screen
from textual.widgets import Input

from mongo_dr_console.ui.later import when_drawn
from mongo_dr_console.ui.lines import Line, fitted, line, pad, with_role, wrapped
from mongo_dr_console.ui.offers import Offer, command_offers, matching, screen_offers, typed_offers
from mongo_dr_console.ui.screens.leaving import Leaving
from mongo_dr_console.ui.view import View
from mongo_dr_console.ui.widgets.lines_view import LinesView

if TYPE_CHECKING:
    from mongo_dr_console.ui.app import ConsoleApp

_ABOUT_ROWS = 2


class Palette(ModalScreen[None], Leaving[None]):
    """Every command and every key of the screen below.

    Args:
        below: The screen that it was opened on.
    """

    AUTO_FOCUS = "#typed"
    DEFAULT_CSS = """
    Palette { align: center top; }
    Palette #palette {
        width: 100; max-width: 100%; height: 85%; margin: 1 1;
        border: round $accent; background: $surface; padding: 0 1;
    }
    Palette #line { height: 1; }
    Palette #prompt { width: 2; color: $accent; text-style: bold; }
    Palette #typed { border: none; height: 1; padding: 0; background: $surface; width: 1fr; }
    Palette #found { height: 1fr; margin-top: 1; }
    Palette #about { height: 2; margin-top: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "back", id="palette.leave"),
        Binding("down", "move(1)", "next", show=False, id="palette.next"),
        Binding("up", "move(-1)", "before", show=False, id="palette.before"),
        Binding("pagedown", "move(8)", "further", show=False, id="palette.further"),
        Binding("pageup", "move(-8)", "back up", show=False, id="palette.back-up"),
    ]

    def __init__(self, below: Screen[Any]) -> None:
        super().__init__()
        self._below = below
        self._found: list[Offer] = []
        self._cursor = 0
        self._chosen = ""
        self._top = 0

    def compose(self) -> ComposeResult:
        with Vertical(id="palette"):
            with Horizontal(id="line"):
                yield LinesView([line((":", "key"))], id="prompt")
                yield Input(id="typed", placeholder="a command, or a few letters of it", compact=True)
            yield LinesView(id="found")
            yield LinesView(id="about")

    def on_mount(self) -> None:
        when_drawn(self, self._fill)

    def on_resize(self) -> None:
        when_drawn(self, self._draw)

    def show(self, view: View) -> None:
        """What can be done may have changed: the console was armed, or is no longer."""
        self._fill()

    @on(Input.Changed, "#typed")
    def _typed(self) -> None:
        self._chosen = ""
        self._fill()

    @on(Input.Submitted, "#typed")
    def _submitted(self, event: Input.Submitted) -> None:
        # What was there at the enter: a key that came right after it may stand in the field by now.
        self._fill(event.value)
        if self._found and not self._found[self._cursor].refusal:
            chosen = self._found[self._cursor]
            # After it is gone, so that what it does happens to the screen below.
            self.app.call_later(chosen.run)
            self.dismiss()

    def action_leave(self) -> None:
        """Closes the palette; nothing is done."""
        self.dismiss()

    def action_move(self, by: int) -> None:
        """Goes up or down in the list."""
        if self._found:
            self._choose(max(0, min(len(self._found) - 1, self._cursor + by)))

    def on_click(self, event: events.Click) -> None:
        rows = self.query_one("#found", LinesView)
        if event.widget is rows and self._top + event.y < len(self._found):
            self._choose(self._top + event.y)

    def _choose(self, number: int) -> None:
        self._cursor, self._chosen = number, self._found[number].name
        self._draw()

    def _fill(self, typed: str | None = None) -> None:
        if not self.is_mounted:
            return
        if typed is None:
            typed = self.query_one("#typed", Input).value
        app = cast("ConsoleApp", self.app)
        known = [*typed_offers(app, typed), *command_offers(app), *screen_offers(app, self._below)]
        self._found = matching(known, typed)
        names = [offer.name for offer in self._found]
        # The cursor stays on what it was put on, wherever that is now: enter must not run something else.
        self._cursor = names.index(self._chosen) if self._chosen in names else 0
        self._draw()

    def _draw(self) -> None:
        rows, about = self.query_one("#found", LinesView), self.query_one("#about", LinesView)
        height, width = rows.size.height, rows.size.width
        if not (height and width):
            return
        self._top = window(self._cursor, self._top, height, len(self._found))
        seen = self._found[self._top : self._top + height]
        rows.set_lines(offer_lines(seen, self._cursor - self._top, width))
        about.set_lines(about_lines(self._found, self._cursor, width))


def window(cursor: int, top: int, height: int, count: int) -> int:
    """The first row to show so that the cursor is seen and no room is wasted.

    >>> window(9, 0, 5, 20), window(2, 6, 5, 20), window(0, 3, 5, 4)
    (5, 2, 0)
    """
    top = max(0, min(top, count - height))
    return min(cursor, max(top, cursor - height + 1))


def offer_lines(found: list[Offer], cursor: int, width: int) -> list[Line]:
    """Name, keys, what it does; what cannot be done stands back and says why."""
    name = min(max((len(o.name) for o in found), default=0), max(16, width // 3))
    keys = min(max((len(o.keys) for o in found), default=0), 12)
    lines = []
    for number, offer in enumerate(found):
        mark = ">" if number == cursor else " "
        shown = f"{mark} {pad(offer.name, name)}  "
        if offer.refusal:
            row = line((f"{shown}{pad(offer.keys, keys)}  not now: {offer.refusal}", "dim"))
        else:
            row = line(shown, (pad(offer.keys, keys), "key"), f"  {offer.text}")
        row = fitted(row, width, fill=True)
        lines.append(with_role(row, "cursor") if number == cursor else row)
    return lines


def about_lines(found: list[Offer], cursor: int, width: int) -> list[Line]:
    """The whole sentence about what the cursor is on."""
    if not found:
        return wrapped("There is no such command. Esc goes back.", width, "warning")
    offer = found[cursor]
    if offer.refusal:
        return wrapped(f"Not now: {offer.refusal}", width, "warning")[:_ABOUT_ROWS]
    return wrapped(f"Enter: {offer.text}", width, "dim")[:_ABOUT_ROWS]
