"""The last row: the keys that do something now. What cannot run is not named; help always is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from textual.binding import Binding
from textual.screen import Screen

from mongo_dr_console.ui.commands import command_behind
from mongo_dr_console.ui.lines import Line, Span, line
from mongo_dr_console.ui.widgets.lines_view import LinesView

if TYPE_CHECKING:
    from mongo_dr_console.ui.app import ConsoleApp

_FIRST = (
    "restore",
    "arm",
    "backup",
    "replay-next",
    "replay-previous",
    "replay-step",
    "replay-back",
    "replay-speed",
)
"""Commands that come before the screen's own keys."""
_LAST = ("palette", "help")
"""They stand at the end, and are there at every width."""
_NAMES = {
    "enter": "enter",
    "escape": "esc",
    "up": "↑",
    "down": "↓",
    "left": "←",
    "right": "→",
    "space": "space",
    "tab": "tab",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """A key and what it does, in a word or two."""

    id: str
    key: str
    label: str


class Footer(LinesView):
    """One row; call ``refresh_keys`` with every view and where the focus went."""

    DEFAULT_CSS = "Footer { height: 1; dock: bottom; }"

    def refresh_keys(self) -> None:
        if self.is_attached and self.size.width:
            self.set_lines([footer_line(entries(self.screen), self.size.width)])

    def on_resize(self) -> None:
        self.refresh_keys()


def footer_line(shown: Sequence[Entry], width: int) -> Line:
    """As many keys as fit, in their order; palette and help always, at the end.

    >>> some = [Entry("restore", "R", "restore…"), Entry("zoom", "z", "zoom"), Entry("help", "?", "help")]
    >>> footer_line(some, 40).text, footer_line(some, 20).text
    (' R restore…  z zoom  ? help', ' R restore…  ? help')
    """
    last = [e for e in shown if e.id in _LAST]
    left = width + 1 - sum(_width(e) for e in last)
    kept = []
    for entry in (e for e in shown if e.id not in _LAST):
        if _width(entry) > left:
            break
        left -= _width(entry)
        kept.append(entry)
    spans: list[Span] = []
    for entry in (*kept, *last):
        spans += [("  " if spans else " ", ""), (entry.key, "key"), (f" {entry.label}", "")]
    return line(*spans)


def _width(entry: Entry) -> int:
    return line(entry.key, entry.label).width + 3


def entries(screen: Screen[Any]) -> list[Entry]:
    """What the keys do on this screen with this focus, the most important first.

    Textual's own list of active bindings knows what an input line takes for itself and which keys the user
    has given other places; a command says itself whether it can run.
    """
    app = cast("ConsoleApp", screen.app)
    found: dict[str, Entry] = {}
    for active in screen.active_bindings.values():
        binding = active.binding
        name = binding.id or binding.action
        command = app.commands.get(command_behind(binding))
        if not binding.show or not active.enabled or name in found or _typed(screen, binding):
            continue
        if app.refusal(command) if command is not None else active.node is app:
            continue
        armed = name == "arm" and app.desk.access.armed_seconds is not None
        label = "disarm" if armed else binding.description
        found[name] = Entry(name, key_name(app, binding), label)
    own = [e for e in found.values() if e.id not in app.commands]
    commands = [found[c] for c in app.commands if c in found]
    first = [e for name in _FIRST for e in commands if e.id == name]
    last = [e for name in _LAST for e in commands if e.id == name]
    return [*first, *own, *(e for e in commands if e not in first and e not in last), *last]


def _typed(screen: Screen[Any], binding: Binding) -> bool:
    """Whether the focused widget takes the key as text; Textual knows that of letters, not of ``/``."""
    if binding.key in _NAMES and binding.key != "space":
        return False  # Shown as a sign, and no sign that can be typed.
    sign = screen.app.get_key_display(replace(binding, key_display=None))
    return (
        screen.focused is not None and len(sign) == 1 and screen.focused.check_consume_key(binding.key, sign)
    )


def key_name(app: ConsoleApp, binding: Binding) -> str:
    """A key as it is written on the keyboard."""
    return binding.key_display or _NAMES.get(binding.key) or app.get_key_display(binding)
