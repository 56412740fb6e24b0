"""The footer of a screen that has a subject of its own: its keys first, then the console's."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from mongo_dr_console.ui.widgets.footer import Footer, entries, footer_line

if TYPE_CHECKING:
    from mongo_dr_console.ui.app import ConsoleApp


class OwnKeys(Footer):
    """One row of keys.

    Args:
        not_now: Ids of the screen's bindings that could only say why they do nothing now.
    """

    DEFAULT_CSS = "OwnKeys { height: 1; dock: bottom; }"

    def __init__(self, not_now: Callable[[], set[str]] = set, **widget: Any) -> None:
        super().__init__(**widget)
        self._not_now = not_now

    def refresh_keys(self) -> None:
        if not self.is_attached or not self.size.width:
            return
        commands = cast("ConsoleApp", self.app).commands
        hidden = self._not_now()
        shown = [e for e in entries(self.screen) if e.id not in hidden]
        self.set_lines([footer_line(sorted(shown, key=lambda e: e.id in commands), self.size.width)])
