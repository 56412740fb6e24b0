"""What the list of commands says of each, in a terminal of 80 columns: whole."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from mongo_dr_console.cli import main


def groups(of: Any, name: str = "mdr") -> Iterator[tuple[str, Any]]:
    """Typer's, with their full names."""
    if hasattr(of, "commands"):
        yield name, of
        for word, one in of.commands.items():
            yield from groups(one, f"{name} {word}")


@pytest.mark.parametrize("group", [pytest.param(group, id=name) for name, group in groups(main._build())])
def test_no_summary_is_cut(group: Any) -> None:
    with group.make_context("mdr", [], resilient_parsing=True, terminal_width=80) as context:
        said = group.get_help(context)
    _, commands, rows = said.partition("Commands:")
    assert commands and [row for row in rows.splitlines() if row.endswith("...")] == []
