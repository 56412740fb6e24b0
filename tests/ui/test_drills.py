"""Drills on the console: score card and list, one drill whole, and starting one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from support.consolekit import SIZES, SMALL, FakeDesk, console
from support.drillkit import drill
from support.jobkit import ended, make_job
from support.states import LONG, RTL
from test_jobs import desk, said, told, until
from textual.pilot import Pilot

from mongo_dr_console.model.drill import DrillRecord
from mongo_dr_console.model.trouble import Unreachable
from mongo_dr_console.ui.app import ConsoleApp
from mongo_dr_console.ui.screens.drill_dialog import DrillDialog
from mongo_dr_console.ui.screens.drills import DrillScreen, DrillsScreen
from mongo_dr_console.ui.screens.job import JobScreen

STORES: dict[str, Any] = {"local": {"type": "local", "path": "/backups/mongodb"}}

GOOD = [drill(hours=24 * n, rto=rto, job=f"d00000{n:02}") for n, rto in enumerate((9.4, 4, 5, 4, 4.5), 1)]
FULL = drill(hours=30, kind="full", rto=1800, rpo_seconds=None, oplog="none", job="f0000001")
FAILED = drill(
    hours=2,
    success=False,
    job="bad00001",
    lost_writes=1,
    problems=[f"caas_dr_test.orders: 1 document differs: db[/]{RTL}{LONG}", "index by_name is missing"],
)
SLOW = drill(hours=1, rto=7200, rpo_seconds=90, job="510w0001")


@dataclass
class Seen:
    """What the desk answers."""

    drills: Sequence[DrillRecord] = ()
    unread: Sequence[str] = ()
    words: Sequence[str] = field(default=())


STATES = {
    "good": Seen(
        [*GOOD, FULL], (), ["✓ ok", "small drills  5 of 5 succeeded, the last 5 succeeded", "full drills"]
    ),
    "failed": Seen(
        [FAILED, *GOOD],
        (),
        [
            "✗ CRITICAL",
            "the newest drill failed: caas",
            "THE LAST 1 FAILED",
            "✗ 2026-11-18T09:06:40Z",
            "FAILED",
            "1 of 300",
        ],
    ),
    "over": Seen([SLOW], (), ["✗ 2h OVER 1h", "✗ 1m30s OVER 1m"]),
    "old": Seen([drill(hours=24 * 40)], (), ["✗ CRITICAL", "40d old (limit 30d)", "mdr drill run"]),
    "none": Seen([], (), ["! warning", "nothing shows that a recovery would work"]),
    "unread": Seen(GOOD, ["store s3[/] could not be asked: no answer"], ["? store s3[/] could not be asked"]),
}


def of(seen: Seen, **options: Any) -> ConsoleApp:
    app = console(stores=STORES, **options)
    answers = desk(app)
    answers.the_drills = (list(seen.drills), list(seen.unread))
    return app


@pytest.mark.parametrize("size", SIZES, ids=["wide", "small"])
@pytest.mark.parametrize("state", STATES)
def test_the_drills(state: str, size: tuple[int, int], snap_compare: Any) -> None:
    seen = STATES[state]

    async def look(pilot: Pilot[Any]) -> None:
        await pilot.press("D")
        await until(pilot, lambda: all(word in said(pilot) for word in seen.words))

    assert snap_compare(of(seen), terminal_size=size, run_before=look)


@pytest.mark.parametrize("size", SIZES, ids=["wide", "small"])
@pytest.mark.parametrize(
    ("record", "words"),
    [
        (GOOD[0], ["✓ good", "small drill d0000001", "✓ 9.4s, within 1h", "0 of 300", "snapshot", "3.3s"]),
        (FAILED, ["✗ FAILED", "1 document differs:", "db[/]\\u202e", "index by_name is missing", "1 of 300"]),
        (
            drill(rto=None, rpo_seconds=None, lost_writes=None, documents=None, success=False, steps=[]),
            ["? it did not come to that", "none was begun"],
        ),
    ],
    ids=["good", "failed", "early"],
)
def test_one_drill(record: DrillRecord, words: list[str], size: tuple[int, int], snap_compare: Any) -> None:
    async def look(pilot: Pilot[Any]) -> None:
        await pilot.app.push_screen(DrillScreen(record))
        await until(pilot, lambda: all(word in said(pilot) for word in words))

    assert snap_compare(console(), terminal_size=size, run_before=look)


async def test_enter_opens_the_drill_under_the_cursor_and_back_leads_back() -> None:
    app = of(STATES["good"])
    async with app.run_test(size=SMALL) as pilot:
        await pilot.press("D")
        await until(pilot, lambda: "d0000005" in said(pilot))
        await pilot.press("down", "enter")
        await until(pilot, lambda: isinstance(app.screen, DrillScreen) and "d0000002" in said(pilot))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, DrillsScreen))


async def test_what_was_known_stays_when_the_stores_do_not_answer_any_more() -> None:
    app = of(STATES["good"])
    async with app.run_test(size=SMALL) as pilot:
        await pilot.press("D")
        await until(pilot, lambda: "d0000001" in said(pilot))
        desk(app).failing["drills"] = Unreachable("store-silent", "Store local does not answer.")
        app.screen._look()  # type: ignore[attr-defined]
        await until(pilot, lambda: "? Store local does not answer." in said(pilot))
        assert "d0000001" in said(pilot)


async def test_a_drill_is_asked_for_and_started() -> None:
    app = of(STATES["none"])
    app.desk.access.arm()
    desk(app).job_folder = make_job("drill", ended("done"))
    async with app.run_test(size=SMALL) as pilot:
        await pilot.press("D")
        await until(pilot, lambda: "nothing shows" in said(pilot))
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, DrillDialog) and "(●) small" in said(pilot))
        assert app.screen.focused is app.screen.query_one("#cancel")
        await pilot.press("shift+tab", "down", "space")
        await until(pilot, lambda: "(●) full" in said(pilot))
        await pilot.press("tab", "tab", "enter")
        await until(pilot, lambda: isinstance(app.screen, JobScreen))
        assert desk(app).done == [("drill", {"store": None, "full": True})]


@pytest.mark.parametrize("access", ["watch", "operate"])
async def test_without_access_none_is_started(access: Any) -> None:
    app = of(STATES["none"], access=access)
    async with app.run_test(size=SMALL) as pilot:
        await pilot.press("D", "n")
        await until(pilot, lambda: bool(told(app)))
        assert isinstance(app.screen, DrillsScreen)
        assert isinstance(app.desk, FakeDesk) and app.desk.done == []
