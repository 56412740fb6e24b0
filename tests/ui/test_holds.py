"""Holds on the screen: listed, put with a reason, released by their typed id; the real ledger of a store."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.consolekit import SIZES, SMALL, WIDE, FakeDesk, console
from support.readingkit import NOW
from support.states import LONG, RTL, event, events
from support.wizardkit import incident
from test_jobs import said, told, until
from test_jobs_pictures import armed_for_ever, shows
from textual.widgets import Input

from mongo_dr_console.config import Access
from mongo_dr_console.model.hold import Hold
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.trouble import Unreachable
from mongo_dr_console.ui.app import ConsoleApp
from mongo_dr_console.ui.screens.hold import HoldDialog
from mongo_dr_console.ui.screens.holds import HoldsScreen
from mongo_dr_console.ui.screens.typed import TypedConfirmation
from mongo_dr_console.workers.desk import Desk

RANGE = Hold(
    "aaaa0001",
    "the audit of November",
    "jane@db-1",
    NOW - timedelta(hours=3),
    Position(1795313400, 1),
    Position(1795313460, 4),
)
NAMED = Hold(
    "bbbb0002", f"x{RTL}[red]{LONG}", "joe@db-2", NOW - timedelta(days=2), snapshot="20261118_110000"
)
SILENT = Unreachable("store-silent", "Store s3[/] does not answer.")
STORES: dict[str, Any] = {"local": {"type": "local", "path": "/backups/mongodb"}}

STATES: dict[str, tuple[Any, list[str]]] = {
    "some": (
        ((NAMED, RANGE), {"s3": SILENT}),
        ["Holds: 2", "bbbb0002", "the audit of", "jane@db-1", "? Store s3 was not asked", "a hold…"],
    ),
    "none": (((), {}), ["Holds: 0", "Nothing is held."]),
}


def desk(app: ConsoleApp) -> FakeDesk:
    assert isinstance(app.desk, FakeDesk)
    return app.desk


def of(state: str = "some", **options: Any) -> ConsoleApp:
    app = console(options.pop("first", None), stores=STORES, **options)
    desk(app).the_holds = STATES[state][0]
    return app


@pytest.mark.parametrize("size", SIZES, ids=["wide", "small"])
@pytest.mark.parametrize("state", STATES)
def test_the_holds(state: str, size: tuple[int, int], snap_compare: Any) -> None:
    look = shows(*STATES[state][1], make=HoldsScreen)
    assert snap_compare(armed_for_ever(of(state)), terminal_size=size, run_before=look)


def test_the_dialog(snap_compare: Any) -> None:
    words = ["Keep from being pruned", "What: FROM..TO", "Why:", "Cancel", "Hold"]
    look = shows(*words, make=HoldsScreen, keys=("a",))
    assert snap_compare(armed_for_ever(of()), terminal_size=SMALL, run_before=look)


async def test_what_was_known_stays_when_the_stores_do_not_answer_any_more() -> None:
    app = of()
    async with app.run_test(size=SMALL) as pilot:
        await pilot.press("K")
        await until(pilot, lambda: "aaaa0001" in said(pilot))
        desk(app).failing["holds"] = SILENT
        assert isinstance(app.screen, HoldsScreen)
        app.screen.look()
        await until(pilot, lambda: "? Store s3[/] does not answer." in said(pilot))
        assert "aaaa0001" in said(pilot)


@pytest.mark.parametrize(("access", "says"), [("watch", "needs 'operate'"), ("restore", "not armed")])
async def test_who_may_not_operate_puts_and_releases_nothing(access: Access, says: str) -> None:
    app = of(access=access)
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("K")
        await until(pilot, lambda: "▶" in said(pilot))
        for number, key in enumerate(("a", "r", "enter"), 1):
            await pilot.press(key)
            await until(pilot, lambda n=number: told(app).count(says) == n)
        assert isinstance(app.screen, HoldsScreen)


# On a real store


def real(tmp_path: Path, **options: Any) -> ConsoleApp:
    """A console on the real desk, with a store of its own."""
    (tmp_path / "store").mkdir()
    stores = {"local": {"type": "local", "path": str(tmp_path / "store")}}
    app = console(incident(events=events(event("de1e7ed0", 600))), stores=stores, **options)
    app.desk = Desk("test", app.desk.profile, tmp_path / "config.toml", app.desk.access)
    return armed_for_ever(app)


async def test_a_hold_on_the_event_under_the_cursor_is_put_listed_and_released(tmp_path: Path) -> None:
    app = real(tmp_path)
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("5", "h")
        await until(pilot, lambda: isinstance(app.screen, HoldDialog))
        fields = list(app.screen.query(Input))
        assert [f.value for f in fields] == ["event:de1e7ed0", "drop shop.orders"]
        fields[1].value = " "
        await pilot.press("enter")
        await until(pilot, lambda: "A hold needs a reason" in said(pilot))
        assert app.desk.holds() == ((), {})
        fields[1].value = "wanted"
        await pilot.press("enter")
        await until(pilot, lambda: "Held: " in told(app))
        ((hold,), _) = app.desk.holds()
        known = event("de1e7ed0", 600)
        assert (hold.start, hold.end, hold.reason) == (known.before, known.last, "wanted")

        await pilot.press("K")
        await until(pilot, lambda: "▶" in said(pilot) and hold.id in said(pilot))
        await pilot.press("r")
        await until(pilot, lambda: isinstance(app.screen, TypedConfirmation))
        assert app.focused is app.screen.query_one("#cancel")
        await pilot.press(*hold.id, "enter", "enter")
        await until(pilot, lambda: "Released: " in told(app))
        assert app.desk.holds() == ((), {})
        await until(pilot, lambda: "Nothing is held." in said(pilot))


async def test_what_is_no_range_is_said_and_nothing_is_put(tmp_path: Path) -> None:
    app = real(tmp_path)
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("K")
        await until(pilot, lambda: "Nothing is held." in said(pilot))
        await pilot.press("a")
        await until(pilot, lambda: isinstance(app.screen, HoldDialog))
        await pilot.press(*"yesterday", "enter", *"why", "enter")
        await until(pilot, lambda: "A time is" in told(app))
        assert app.desk.holds() == ((), {})


async def test_a_hold_is_not_released_by_another_text(tmp_path: Path) -> None:
    app = real(tmp_path)
    noted = app.desk.hold("2026-11-01T00:00:00Z..2026-11-02T00:00:00Z", "why", (), None)
    with pytest.raises(Exception, match="Nothing was changed"):
        app.desk.release(noted.hold.id, noted.hold.id[:4])
    assert len(app.desk.holds()[0]) == 1
    app.desk.access.disarm()
    for call in (
        lambda: app.desk.release(noted.hold.id, noted.hold.id),
        lambda: app.desk.hold("20261118_110000", "why", (), None),
    ):
        with pytest.raises(Exception, match="armed"):
            call()
    assert len(app.desk.holds()[0]) == 1
