"""Read-only holds where the work is done."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.consolekit import WIDE, FakeDesk, console

from mongo_dr_console import ui
from mongo_dr_console.model.trouble import Refused
from mongo_dr_console.workers.access import ARM_SECONDS, ConsoleAccess


def test_unarmed_nothing_is_started() -> None:
    desk = console().desk
    with pytest.raises(Refused, match="not armed"):
        desk.backup([], "gzip")


def test_a_console_that_watches_cannot_be_armed() -> None:
    desk = console(started_with="watch").desk
    with pytest.raises(Refused, match="only watches"):
        desk.access.arm()


def test_the_profile_bounds_what_the_console_was_started_with() -> None:
    desk = console(access="operate", started_with="restore").desk
    desk.access.arm()
    desk.access.require("operate")
    with pytest.raises(Refused, match="allows 'operate'"):
        desk.access.require("restore")


def test_arming_ends_by_itself() -> None:
    now = [0.0]
    profile = console().desk.profile
    access = ConsoleAccess("test", profile, "restore", clock=lambda: now[0])
    access.arm()
    now[0] = ARM_SECONDS - 1
    access.require("restore")
    now[0] = ARM_SECONDS
    with pytest.raises(Refused, match="not armed"):
        access.require("restore")


async def test_the_key_asks_then_arms_and_disarms_at_once() -> None:
    app = console()
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("A")
        assert app.desk.access.armed_seconds is None
        await pilot.press("tab", "enter")
        assert app.desk.access.armed_seconds is not None
        await pilot.press("A")
        assert app.desk.access.armed_seconds is None
        assert isinstance(app.desk, FakeDesk) and app.desk.done == []


async def test_enter_and_escape_in_the_question_arm_nothing() -> None:
    app = console()
    async with app.run_test(size=WIDE) as pilot:
        for key in ("enter", "escape"):
            await pilot.press("A", key)
            assert app.desk.access.armed_seconds is None
            assert len(app.screen_stack) == 2


async def test_a_console_that_watches_is_told_how_to_be_more() -> None:
    app = console(started_with="watch")
    async with app.run_test(size=WIDE, notifications=True) as pilot:
        await pilot.press("A")
        (said,) = app._notifications
        assert "start it with --operate or --allow-restore" in said.message
        assert len(app.screen_stack) == 2


BY_THE_DESK = {
    "mongo.client": {"told"},
    "workers.access": {"ARM_SECONDS", "needed_for", "reaches"},
    "workers.alertstate": {"HERE"},
    "workers.desk": {"Compression", "Content", "Desk", "Started", "StoreChoice", "Target"},
    "workers.folders": {"jobs_folder"},
    "workers.holding": {"Noted"},
    "workers.limits": {"limits_of"},
    "workers.pollers": {"Listener"},
    "workers.replay": {"JUMPED", "Replay", "SPEEDS", "TapePosition"},
    "workers.threads": {"DaemonThreads"},
}
"""All that the console's screens have of what lies below them: words, and the desk that asks for access."""


def test_the_console_has_nothing_that_acts_but_its_desk() -> None:
    taken: dict[str, set[str]] = {}
    for module, names in imports():
        package, _, rest = module.removeprefix("mongo_dr_console.").partition(".")
        if package in ("mongo", "stores", "stream", "engines", "workers", "sandbox", "cli", "agent"):
            taken.setdefault(f"{package}.{rest}", set()).update(names)
    assert taken == BY_THE_DESK


def imports() -> Iterator[tuple[str, list[str]]]:
    """What each module of the console imports, wherever in it."""
    for path in Path(next(iter(ui.__path__))).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                yield node.module, [alias.name for alias in node.names]
            elif isinstance(node, ast.Import):
                yield from ((alias.name, ["*"]) for alias in node.names)
