"""The console in tests: no configuration of the user's, no colours from outside, asynchronous tests."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.consolekit import at_rest

from mongo_dr_console.ui import app


@pytest.fixture(autouse=True)
def isolated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("NO_COLOR", "TEXTUAL_THEME", "TEXTUAL_COLOR_SYSTEM", "MDR_PROFILE", "TMUX", "STY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("mongo_dr_console.ui.screens.dashboard.gethostname", lambda: "bastion-2")
    monkeypatch.setattr("mongo_dr_console.ui.screens.dashboard.local_offset", lambda: timedelta(hours=1))
    monkeypatch.setenv("TEXTUAL_ANIMATIONS", "none")
    # A cursor that blinks is another picture every half second.
    monkeypatch.setattr("textual.widgets.Input._toggle_cursor", lambda _: None)
    monkeypatch.setenv("MDR_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.setenv("MDR_STATE_DIR", str(tmp_path / "state"))


@pytest.fixture
def snap_compare(snap_compare: Callable[..., bool]) -> Callable[..., bool]:
    """Pictures are taken of a screen that stands still."""

    def compare(app: Any, *, run_before: Callable[[Any], Awaitable[None]], **more: Any) -> bool:
        async def settled(pilot: Any) -> None:
            await at_rest(pilot)
            await run_before(pilot)
            await at_rest(pilot)

        return snap_compare(app, run_before=settled, **more)

    return compare


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Runs ``async def`` tests, each in a loop of its own."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    wanted = pyfuncitem._fixtureinfo.argnames
    arguments: dict[str, Any] = {name: pyfuncitem.funcargs[name] for name in wanted}
    asyncio.run(pyfuncitem.obj(**arguments))
    return True


@pytest.fixture(autouse=True)
def one_console_of_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """A console that is alone in its process keeps what is loaded out of the collector's sight for ever; here
    that would be all the consoles before it."""
    monkeypatch.setattr(app, "_spare_the_collector", lambda: None)
