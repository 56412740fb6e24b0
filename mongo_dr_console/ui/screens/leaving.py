"""Screens that are left once: a second enter or esc that was on its way must not close what is below."""

from __future__ import annotations

from typing import TypeVar

from textual.await_complete import AwaitComplete
from textual.screen import Screen

R = TypeVar("R")


class Leaving(Screen[R]):
    """Its ``dismiss`` does nothing where it is not on top (any more)."""

    def dismiss(self, result: R | None = None) -> AwaitComplete:
        """Leaves the screen with a result, once."""
        return super().dismiss(result) if self.is_active else AwaitComplete()
