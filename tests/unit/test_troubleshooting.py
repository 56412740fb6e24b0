"""docs/troubleshooting.md knows every error code, and no other."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import mongo_dr_console
from mongo_dr_console.engines.builtin.dump_oplog import RENAMED, UPGRADED
from mongo_dr_console.model import trouble

PACKAGE = Path(mongo_dr_console.__file__).parent
PAGE = PACKAGE.parent / "docs" / "troubleshooting.md"
KINDS = {
    name
    for name, kind in vars(trouble).items()
    if isinstance(kind, type) and issubclass(kind, trouble.Trouble)
}
# Made from other names at the place where they are raised.
COMPOSED = {"limit-in-gap", "limit-in-divergence", RENAMED, UPGRADED}
# The practice deployment and its mongods have a page of their own.
ELSEWHERE = ("sandbox/", "mongo/launch.py", "mongo/mongod.py")


def raised() -> set[str]:
    """Codes of every trouble that is made in the package: in calls of its classes, and of ``JobError``."""
    found = set(COMPOSED)
    for path in PACKAGE.rglob("*.py"):
        if path.relative_to(PACKAGE).as_posix().startswith(ELSEWHERE):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args):
                continue
            first = node.args[0]
            if node.func.id in KINDS | {"JobError"} and isinstance(first, ast.Constant):
                found.add(str(first.value))
    return found


def documented() -> set[str]:
    rows = [line.split("|")[1] for line in PAGE.read_text(encoding="utf-8").splitlines() if line[:3] == "| `"]
    return {code for row in rows for code in re.findall(r"`([a-z-]+)`", row)}


def test_every_error_code_is_explained() -> None:
    codes = raised()
    assert len(codes) > 100
    assert codes - documented() == set()


def test_no_code_is_explained_that_is_none() -> None:
    assert documented() - raised() == set()
