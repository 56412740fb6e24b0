"""The practice deployment and engineers at terminals, for walks from end to end."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.engineer import Engineer
from support.practice import Practice
from support.terminal import Size


@pytest.fixture(autouse=True)
def plain_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in os.environ if n in ("NO_COLOR", "TMUX", "STY") or n.startswith("TEXTUAL")]:
        monkeypatch.delenv(name)


@pytest.fixture
def practice(
    mongod: Path, plain_terminal: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Practice]:
    # The whole shop, so that its restore is still at work when the terminal is lost.
    monkeypatch.setenv("MDR_SHOP_DIVISOR", "1")
    practice = Practice(tmp_path)
    yield practice
    practice.close()


@pytest.fixture
def sits_down(practice: Practice) -> Iterator[Callable[[Size], Engineer]]:
    """Makes an engineer at a terminal; all terminals are gone after the test."""
    engineers: list[Engineer] = []

    def sit(size: Size, **more: Any) -> Engineer:
        engineers.append(Engineer(practice.environment, size, **more))
        engineers[-1].dashboard()
        return engineers[-1]

    yield sit
    for engineer in engineers:
        engineer.terminal.kill()
