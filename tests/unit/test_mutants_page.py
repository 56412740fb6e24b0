"""docs/mutants.md names tests that there are."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "mutants.md"
_NAMED = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")


def names_in(path: Path) -> set[str]:
    """The names of a file's tests; none where there is no such file."""
    if not path.exists():
        return set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = (n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))
    return {n.name for n in functions if n.name.startswith("test_")}


def named() -> list[tuple[str, str]]:
    return [(file, test) for file, test in _NAMED.findall(PAGE.read_text(encoding="utf-8"))]


def test_every_test_that_is_named_is_there() -> None:
    found = {file: names_in(ROOT / file) for file, _ in named()}
    assert [f"{file}::{test}" for file, test in named() if test and test not in found[file]] == []
    assert [file for file in found if not (ROOT / file).exists()] == []


def test_every_rule_and_every_fault_has_its_row() -> None:
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    numbers = {int(m[1]) for line in rows if (m := re.match(r"\| (\d+) ", line))}
    assert numbers >= set(range(1, 24))
    said = [line for line in rows if "::" in line or "not there yet" in line or "no rule" in line]
    assert len(said) > 50
