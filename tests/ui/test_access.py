"""Read-only holds where the work is done."""

from __future__ import annotations

import pytest
from support.consolekit import WIDE, FakeDesk, console

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
