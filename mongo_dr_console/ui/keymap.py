"""The keys of the config (``[keys]``): which can be had, and what is wrong with the others."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterable, Mapping
from typing import Any

from textual.app import App
from textual.binding import Binding
from textual.keys import Keys, _character_to_key
from textual.widget import Widget

from mongo_dr_console.ui.commands import Command

PANEL = "dashboard.panel-"
_MODIFIED = re.compile(r"(?:(?:ctrl|alt|shift|super|hyper|meta)\+)+(.+)")
_NAMED = {str(key.value) for key in Keys} | {"space", "enter", "escape", "tab", "backspace"}
_SHOWN = {
    "colon": ":",
    "slash": "/",
    "question_mark": "?",
    "full_stop": ".",
    "comma": ",",
    "plus": "+",
    "minus": "-",
    "escape": "esc",
    "pageup": "pgup",
    "pagedown": "pgdn",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
}


def checked(keys: Mapping[str, str], commands: Iterable[Command]) -> tuple[dict[str, str], tuple[str, ...]]:
    """The keys that can be used, and what is wrong with the others, in words.

    Args:
        keys: Id = comma-separated keys, as the config has them.
        commands: Those whose keys must not be taken by two of them.
    """
    if not keys:
        return {}, ()
    table = {command.id: command for command in commands}
    known = {*table, *screen_ids()}
    good: dict[str, str] = {}
    problems: list[str] = []
    for name, wanted in keys.items():
        why = _wrong(name, wanted, known)
        if why:
            problems.append(f"Key for {name!r} was left out: {why}")
        else:
            good[name] = ",".join(_named(part) for part in wanted.split(","))
    return _without_clashes(good, table, problems), tuple(problems)


def screen_ids() -> set[str]:
    """Ids of the bindings of every screen and widget of ours."""
    import mongo_dr_console.ui as package

    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        importlib.import_module(module.name)
    return {
        binding.id
        for kind in _ours(Widget)
        for binding in kind.__dict__.get("BINDINGS", ())
        if isinstance(binding, Binding) and binding.id
    }


def shown_keys(keys: str) -> str:
    """Keys as they are printed on a keyboard.

    >>> shown_keys("colon,ctrl+p"), shown_keys("question_mark"), shown_keys("A")
    (': ctrl+p', '?', 'A')
    """
    return " ".join(_SHOWN.get(part.strip(), part.strip()) for part in keys.split(",") if part.strip())


def keys_of(app: App[Any], name: str, default: str) -> str:
    """The keys that an id has now, as they are shown."""
    return shown_keys(app._keymap.get(name, default))


def keys_for(app: App[Any], name: str, commands: Mapping[str, Command]) -> str:
    """The keys of a command or of a panel (``dashboard.panel-4``), as they are shown; empty: it has none."""
    command = commands.get(name)
    panel = name.removeprefix(PANEL)
    return keys_of(app, name, command.keys if command is not None else panel if panel != name else "")


def _ours(kind: type[Any]) -> Iterable[type[Any]]:
    for child in kind.__subclasses__():
        if child.__module__.startswith("mongo_dr_console."):
            yield child
        yield from _ours(child)


def _wrong(name: str, wanted: str, known: set[str]) -> str:
    if name not in known:
        return "there is no such command; ? in the console lists all."
    for part in wanted.split(","):
        key = part.strip()
        match = _MODIFIED.fullmatch(key)
        plain = match[1] if match else key
        if not (len(plain) == 1 or plain in _NAMED or plain in _SHOWN or _is_named_character(plain)):
            return f"{key!r} is no key such as 'x', 'f5' or 'space'."
    return ""


def _is_named_character(name: str) -> bool:
    import unicodedata

    try:
        unicodedata.lookup(name.replace("_", " ").upper())
    except KeyError:
        return False
    return True


def _named(part: str) -> str:
    key = part.strip()
    return _character_to_key(key) if len(key) == 1 else key


def _without_clashes(
    good: dict[str, str], table: Mapping[str, Command], problems: list[str]
) -> dict[str, str]:
    """A key that two commands would have is left with the one that has it already."""
    taken = {
        _named(key): command.id
        for command in table.values()
        if command.id not in good
        for key in command.keys.split(",")
        if key
    }
    kept: dict[str, str] = {}
    for name, keys in good.items():
        clash = next((key for key in keys.split(",") if taken.get(key, name) != name), None)
        if name in table and clash is not None:
            other = taken[clash]
            problems.append(f"Key for {name!r} was left out: {shown_keys(clash)!r} is the key of {other!r}.")
            continue
        kept[name] = keys
        if name in table:
            taken |= dict.fromkeys(keys.split(","), name)
    return kept
