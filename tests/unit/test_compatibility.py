"""docs/compatibility.md names tests: each is there, and each claim has one or says that it is none."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "compatibility.md"
NAMED = re.compile(r"`((?:unit|integration|faults|ui|e2e)/test_\w+\.py)(?:::(test_\w+))?`")


def rows() -> list[list[str]]:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    cells = [[c.strip() for c in line.strip("|").split(" | ")] for line in lines if line.startswith("| ")]
    return [c for c in cells if c[0] not in ("what", "mongorestore")]


def test_every_test_that_is_named_is_there() -> None:
    named = NAMED.findall(PAGE.read_text(encoding="utf-8"))
    assert len(named) > 80
    missing = []
    for file, name in named:
        path = TESTS / file
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        if not text or (name and not re.search(rf"^ *def {name}\(", text, re.MULTILINE)):
            missing.append(f"{file}::{name}")
    assert missing == []


def test_every_claim_names_a_test_or_says_no() -> None:
    assert len(rows()) > 55
    bare = [row for row in rows() if not NAMED.search(row[-1]) and not row[1].startswith("no: ")]
    assert bare == []
