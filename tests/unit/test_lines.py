"""Lines for people fit a terminal, keep whole what must be copied, obey nobody's control characters."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mongo_dr_console.cli import output
from mongo_dr_console.cli.output import write_lines
from mongo_dr_console.model.foldtext import fold
from mongo_dr_console.model.jobview import JobView
from mongo_dr_console.model.resulttext import result_lines


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def narrow(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setattr(output.shutil, "get_terminal_size", lambda: type("Size", (), {"columns": columns}))


@given(st.text(alphabet="ab c.:", max_size=200), st.integers(40, 100))
def test_folding_loses_nothing_and_fits(text: str, width: int) -> None:
    folded = fold(text, width)
    assert " ".join(folded).split() == text.split()
    if all(len(word) <= width - 24 for word in text.split()):
        assert all(len(line) <= width for line in folded)


def test_a_folded_line_goes_on_under_its_text() -> None:
    line = "  stays as is   12 live collections that the restore does not have: a.b, c.d"
    first, second = fold(line, 60)
    assert first.startswith("  stays as is   12 live")
    assert second.startswith(" " * 16) and second[16] != " "


def test_a_step_goes_on_under_its_words_and_a_long_word_stays_whole() -> None:
    assert fold("    8. cut over: the live collections are set aside", 40)[1].startswith(" " * 7 + "are")
    word = "x" * 90
    assert any(line.strip() == word for line in fold(f"  base  {word}", 80))


def test_a_command_stays_whole() -> None:
    line = "  mdr --profile prod restore plan --before event:2c85fecf --ns shop.orders"
    assert fold(line, 40) == [line]


def test_only_a_terminal_gets_folded_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    narrow(monkeypatch, 40)
    line = "  limit  follows all writes up to the cut-over itself, and no further"
    pipe, terminal = io.StringIO(), Terminal()
    write_lines([line], pipe)
    write_lines([line], terminal)
    assert pipe.getvalue() == line + "\n"
    assert len(terminal.getvalue().splitlines()) == 2


def test_names_are_shown_and_not_obeyed() -> None:
    out = io.StringIO()
    write_lines(["shop.\x1b[2Jorders"], out)
    assert "\x1b" not in out.getvalue()


def view(kind: str, result: dict[str, Any] | None) -> JobView:
    return JobView("12ab34cd", kind, "prod", "me@host", datetime.now(UTC), state="done", result=result)


RESTORED: dict[str, Any] = {
    "schema": "mdr.restore",
    "snapshot": "20261122_020000",
    "store": "local",
    "namespaces": [{"from": "shop.a", "to": "shop.b", "mode": "swap"}],
    "skipped": ["2c85fecf"],
    "skipped_operations": 1200,
    "conflicts": [{"position": f"1:{n}", "namespace": "shop.a", "text": "is made again"} for n in range(7)],
    "late_conflicts": [],
    "safety_snapshot": None,
    "last_applied": "1795375872:22",
    "take_back": "mdr restore undo 12ab34cd",
    "settle": "mdr restore accept 12ab34cd",
    "set_aside": [{"namespace": "shop.b", "kept_as": "shop.aside", "uuid": "00", "expected": True}],
}


def test_a_restores_summary_says_what_conflicts_and_how_to_take_it_back() -> None:
    text = "\n".join(result_lines(view("restore", RESTORED)))
    assert "shop.a → shop.b [swap]" in text
    assert "1795375872:22 (2026-11-22T19:31:12Z)" in text
    assert "1,200 operations of 2c85fecf" in text
    assert "shop.a: is made again" in text and "and 2 more" in text
    assert "mdr restore undo 12ab34cd" in text and "mdr restore accept 12ab34cd" in text


def test_what_was_put_beside_has_no_undo() -> None:
    beside = RESTORED | {"set_aside": [], "take_back": None, "settle": None}
    assert "undo" not in "\n".join(result_lines(view("restore", beside)))


def test_a_result_of_a_kind_that_is_not_known_is_told_plainly_and_none_is_nothing() -> None:
    assert result_lines(view("other", {"schema": "x", "some_count": 1234})) == ["  some count    1,234"]
    assert result_lines(view("restore", None)) == []
