"""Which key answers a fact, and in a word or two what it does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mongo_dr_console.model.level import Fact
from mongo_dr_console.ui.keymap import PANEL, keys_for
from mongo_dr_console.ui.panels import NAMES

if TYPE_CHECKING:
    from mongo_dr_console.ui.app import ConsoleApp


@dataclass(frozen=True, slots=True)
class Answer:
    """A key as it is printed on the keyboard, and what it does."""

    key: str
    does: str


def answer_of(app: ConsoleApp, fact: Fact) -> Answer | None:
    """None where nothing answers it, or nothing can be done: in a recording."""
    if not fact.command or app.options.replayed is not None:
        return None
    keys = keys_for(app, fact.command, app.commands).split()
    return Answer(keys[0], _does(app, fact.command)) if keys else None


def _does(app: ConsoleApp, name: str) -> str:
    if name.startswith(PANEL):
        return NAMES[int(name.removeprefix(PANEL))][1].partition(" (")[0].lower()
    return app.commands[name].label.rstrip("…")
