"""Writes docs/keys.md from the console's commands and its screens' bindings, so that they cannot differ."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from textual.binding import Binding
from textual.widget import Widget

from mongo_dr_console.ui.app import COMMANDS
from mongo_dr_console.ui.keymap import screen_ids, shown_keys
from mongo_dr_console.ui.offers import sentence

TARGET = Path(__file__).parents[1] / "docs" / "keys.md"

INTRODUCTION = """# Keys

Made by `scripts/make_key_reference.py` from the console itself. A name in the first column is what `[keys]`
in the config file gives other keys to (`refresh = "f5"`, several with commas), and, for a command, what is
typed after `:`. Textual's own ctrl+q leaves the console whatever is configured.
"""


def reference() -> str:
    """The whole page."""
    parts = [INTRODUCTION, "## Commands\n", _table((c.id, c.keys, c.help) for c in COMMANDS)]
    areas: dict[str, list[tuple[str, str, str]]] = {}
    for name, keys, text in bindings():
        areas.setdefault(name.partition(".")[0], []).append((name, keys, text))
    for area, rows in sorted(areas.items()):
        parts += [f"## {area.capitalize()}\n", _table(rows)]
    return "\n".join(parts)


def bindings() -> list[tuple[str, str, str]]:
    """Id, keys and what it does of every binding of a screen or widget of ours, each id once."""
    screen_ids()
    commands = {c.id: c for c in COMMANDS}
    found: dict[str, tuple[str, str, str]] = {}
    for kind in _ours(Widget):
        for binding in kind.__dict__.get("BINDINGS", ()):
            if isinstance(binding, Binding) and binding.id:
                found.setdefault(binding.id, (binding.id, binding.key, sentence(kind, binding, commands)))
    return list(found.values())


def _ours(kind: type[Any]) -> Iterable[type[Any]]:
    for child in sorted(kind.__subclasses__(), key=lambda c: (c.__module__, c.__name__)):
        if child.__module__.startswith("mongo_dr_console."):
            yield child
        yield from _ours(child)


def _table(rows: Iterable[tuple[str, str, str]]) -> str:
    lines = ["| name | keys | does |", "|---|---|---|"]
    for name, keys, text in rows:
        shown = " ".join(f"`{key}`" for key in shown_keys(keys).split())
        lines.append(f"| `{name}` | {shown} | {text} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if it is not current")
    page = reference()
    if parser.parse_args().check:
        sys.exit(0 if TARGET.read_text(encoding="utf-8") == page else f"{TARGET} is not current.")
    TARGET.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
