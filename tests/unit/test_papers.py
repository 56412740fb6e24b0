"""Every command that the papers name is there, with every option that they give it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from mongo_dr_console.cli import main

ROOT = Path(__file__).parents[2]
PAPERS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_BLOCK = re.compile(r"^ *```(?:sh)?\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`(mdr [^`]*)`")


def named(text: str) -> Iterator[str]:
    """The commands in a page, as they are typed."""
    yield from (" ".join(found.split()) for found in _INLINE.findall(text))
    for block in _BLOCK.findall(text):
        for line in block.splitlines():
            command = re.search(r"(?:^|[ /])mdr .*", line.partition("#")[0])
            if command is not None and not line.strip().startswith(("#", "ExecStart")):
                yield command.group().lstrip(" /")


@cache
def root() -> Any:
    return main._build()


def wrong(words: list[str]) -> str:
    """What of a command is not there; empty: all of it is."""
    command, rest = root(), iter(words)
    for word in rest:
        if word.startswith("-") and not re.fullmatch(r"-\d.*|-", word):
            option = word.partition("=")[0]
            known = {name: p for p in command.params for name in (*p.opts, *p.secondary_opts)}
            if option not in {*known, "--help"}:
                return f"{option} of {command.name}"
            if option in known and not known[option].is_flag and "=" not in word:
                next(rest, None)
        elif hasattr(command, "commands") and not word.isupper():
            if word not in command.commands:
                return f"{word} of {command.name}"
            command = command.commands[word]
    return ""


@pytest.mark.parametrize("paper", PAPERS, ids=lambda p: p.name)
def test_what_it_names_is_there(paper: Path) -> None:
    for text in named(paper.read_text(encoding="utf-8")):
        words = shlex.split(re.sub(r"\[([^\]]*)\]|…", r"\1", text).replace("'", " "), comments=True)
        choices = [w.partition("|")[0].rstrip(",.;:") for w in words[1:]]
        assert not wrong([w for w in choices if w]), f"{paper.name}: {text}"


def test_a_command_that_is_not_there_is_caught() -> None:
    assert wrong(["restore", "plan", "--befor", "x"]) == "--befor of plan"
    assert wrong(["snapshot", "list"]).startswith("snapshot of ")
    assert [text.strip() for text in named("`mdr a  b`\n```\nx=$(.venv/bin/mdr c)  # mdr d\n```")] == [
        "mdr a b",
        "mdr c)",
    ]
    assert not wrong(["--profile", "old", "restore", "plan", "--before", "-10m", "--ns", "a.b"])
