"""docs/keys.md is made from the console's own bindings, is current, and leaves none out."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
from textual.binding import Binding
from textual.dom import DOMNode

from mongo_dr_console.ui.app import COMMANDS
from mongo_dr_console.ui.keymap import screen_ids

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    path = ROOT / "scripts" / "make_key_reference.py"
    spec = importlib.util.spec_from_file_location("make_key_reference", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_the_page_is_current(script: ModuleType) -> None:
    page = (ROOT / "docs" / "keys.md").read_text(encoding="utf-8")
    assert page == script.reference(), "run scripts/make_key_reference.py"


def test_every_binding_and_command_stands_there_with_a_sentence(script: ModuleType) -> None:
    rows = re.findall(r"^\| `([\w.-]+)` \| .* \| (.*) \|$", script.reference(), re.MULTILINE)
    assert {name for name, _ in rows} == screen_ids() | {command.id for command in COMMANDS}
    assert all(text.endswith(".") for _, text in rows)


def test_no_binding_of_ours_is_without_a_name() -> None:
    screen_ids()  # imports all
    nameless, kinds = [], [DOMNode]
    while kinds:
        kind = kinds.pop()
        kinds += kind.__subclasses__()
        if kind.__module__.startswith("mongo_dr_console."):
            bindings = kind.__dict__.get("BINDINGS", ())
            nameless += [(kind, b) for b in bindings if not isinstance(b, Binding) or not b.id]
    assert not nameless


def test_no_key_of_ours_is_one_that_terminals_or_multiplexers_keep(script: ModuleType) -> None:
    keys = [key for _, known, _ in script.bindings() for key in known.split(",")]
    keys += [key for command in COMMANDS for key in command.keys.split(",")]
    assert {key for key in keys if "ctrl+" in key or "alt+" in key} == {"ctrl+p"}
