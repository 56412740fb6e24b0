"""Keys by chance: what a cat, a child, or a tired engineer would press; a seed repeats them."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

from textual import events
from textual.app import App
from textual.keys import _character_to_key, _get_unicode_name_from_key

MOVES = ("up", "down", "left", "right", "tab", "shift+tab", "pageup", "pagedown", "home", "end", "j", "k")
ODD = (
    "f1",
    "f5",
    "delete",
    "backspace",
    "ctrl+p",
    "ctrl+a",
    "ctrl+z",
    "[",
    "]",
    "\\",
    "%",
    "é",
    "漢",
    "\u202e",
)
WORDS = (
    "-10m",
    "latest",
    "event:",
    "[/]",
    "shop.orders",
    "stop",
    "2026-11-22T02:11:31Z",
    "2026-13-99",
    "1795000000:1",
    "x" * 40,
)


def phrases(luck: Random, letters: Sequence[str], typed: Sequence[str]) -> Iterator[list[str]]:
    """Keys for ever, in small groups that lead somewhere.

    Args:
        letters: The keys of commands and bindings.
        typed: What may be typed into the palette: commands by their ids.
    """
    kinds = {
        "letter": 8,
        "move": 8,
        "enter": 7,
        "escape": 3,
        "space": 2,
        "word": 2,
        "palette": 3,
        "odd": 1,
        "walk": 2,
    }
    names, weights = list(kinds), list(kinds.values())
    while True:
        match luck.choices(names, weights)[0]:
            case "letter":
                yield [luck.choice(letters)]
            case "move":
                yield [luck.choice(MOVES)] * luck.choice((1, 1, 2, 5))
            case "enter":
                yield ["enter"] * luck.choice((1, 1, 1, 3))
            case "escape":
                yield ["escape"] * luck.choice((1, 1, 2, 4))
            case "space":
                yield ["space"]
            case "word":
                yield [*luck.choice(WORDS), *luck.choice(([], ["enter"], ["tab", "enter"]))]
            case "palette":
                yield [":", *luck.choice(typed), "enter"]
            case "odd":
                yield [luck.choice(ODD)]
            case "walk":
                # Into the wizard and as far as it goes without a slip.
                yield ["escape", "escape", "escape", "R", *["enter"] * luck.randint(1, 8)]


def key_event(app: App[Any], key: str) -> events.Key:
    """The event that a terminal's key makes."""
    if len(key) == 1 and not key.isalnum():
        key = _character_to_key(key)
    character: str | None = key if len(key) == 1 else None
    if character is None:
        try:
            character = unicodedata.lookup(_get_unicode_name_from_key(key))
        except KeyError:
            character = None
    event = events.Key(key, character)
    event.set_sender(app)
    return event
