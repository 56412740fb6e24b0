"""The screen of the schedule: while an agent leads, while none does, and while its store is silent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from support.consolekit import SIZES, SMALL, FakeDesk, console
from support.readingkit import NOW
from support.states import LONG, RTL, fine
from test_jobs import said, until
from textual.pilot import Pilot

from mongo_dr_console.model.lease import Leader
from mongo_dr_console.model.scheduleview import Held, RunFacts, ScheduledKind, ScheduleDocument
from mongo_dr_console.model.trouble import Unreachable
from mongo_dr_console.ui.app import ConsoleApp
from mongo_dr_console.ui.screens.schedule import ScheduleScreen

LAST = RunFacts(
    due=NOW - timedelta(hours=1),
    attempt=1,
    state="done",
    reason="",
    missed=0,
    job="0badcafe",
    host="backup-1",
    decided_at=NOW - timedelta(hours=1),
    ended_at=NOW - timedelta(minutes=50),
    fence=7,
)


def kind(name: Any = "backup", expression: str = "0 2 * * *", **changes: Any) -> ScheduledKind:
    facts: dict[str, Any] = {"next": NOW + timedelta(hours=5), "held": None, "last": LAST}
    return ScheduledKind(kind=name, expression=expression, **(facts | changes))


def last(**changes: Any) -> RunFacts:
    return LAST.model_copy(update=changes)


def schedule(*kinds: ScheduledKind, **changes: Any) -> ScheduleDocument:
    facts: dict[str, Any] = {
        "profile": "test",
        "timezone": "Europe/Berlin",
        "window": None,
        "jitter_seconds": 0,
        "leader": Leader(profile="test", host="backup-1", fence=7, since=NOW - timedelta(days=1)),
        "leading": True,
        "agent_seen_at": NOW - timedelta(seconds=2),
        "kinds": kinds,
    }
    return ScheduleDocument(**(facts | changes))


def app_with(document: ScheduleDocument | None) -> ConsoleApp:
    app = console(fine())
    assert isinstance(app.desk, FakeDesk)
    if document is None:
        app.desk.failing["schedule"] = Unreachable("store-unreachable", "Store s3 is silent.", "Wait.")
    else:
        app.desk.the_schedule = document
    return app


PICTURES: dict[str, tuple[Callable[[], ConsoleApp], list[str]]] = {
    "fine": (
        lambda: app_with(
            schedule(
                kind(),
                kind("verify", "15 * * * *", last=last(state="running", ended_at=None)),
                kind("drill", "0 4 1 * *", last=None),
            )
        ),
        ["● The agent of profile test on backup-1 leads (term 7).", "✓ backup", "● verify", "none yet"],
    ),
    "troubled": (
        lambda: app_with(
            schedule(
                kind(held=Held(due=NOW - timedelta(minutes=3), reason="the deployment has no primary")),
                kind("verify", "15 * * * *", last=last(state="lost", reason="its process on backup-2 died")),
                kind("prune", "30 3 * * *", last=last(state="skipped", reason="the window was closed")),
                kind("drill", "0 4 1 * *", last=last(missed=3)),
                window="22:00-06:00",
                jitter_seconds=600,
            )
        ),
        [
            "waits: the deployment has no primary",
            "✗ verify: the run of",
            "is lost: its process on backup-2 died",
            "! prune",
            "caught up for 3 that nobody ran",
            "22:00-06:00",
            "600 s later",
        ],
    ),
    "away": (
        lambda: app_with(schedule(kind(), leading=False, agent_seen_at=NOW - timedelta(minutes=4))),
        ["! No agent leads: the one on backup-1 was last seen 4m ago"],
    ),
    "nothing": (
        lambda: app_with(schedule(leader=None, leading=False, agent_seen_at=None)),
        ["! No agent has led here yet", "[profiles.test.schedule] is empty"],
    ),
    "silent": (lambda: app_with(None), ["? Store s3 is silent.", "Wait."]),
    "odd": (
        lambda: app_with(
            schedule(
                kind(last=last(state="failed", reason=f"[/]{RTL}\n{LONG}", host=RTL)),
                leader=Leader(profile="[red]", host=f"{RTL}{LONG}", fence=1, since=NOW),
            )
        ),
        ["✗ backup"],
    ),
}


async def opened(pilot: Pilot[Any]) -> None:
    await pilot.press("S")
    await until(
        pilot, lambda: isinstance(pilot.app.screen, ScheduleScreen) and pilot.app.screen._found is not None
    )


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", PICTURES)
def test_looks(snap_compare: Callable[..., bool], name: str, size: tuple[int, int]) -> None:
    make, words = PICTURES[name]

    async def look(pilot: Pilot[Any]) -> None:
        await opened(pilot)
        joined = " ".join(said(pilot).split())
        missing = [w for w in words if " ".join(w.split()) not in joined]
        assert not missing, said(pilot)

    run_before: Callable[[Pilot[Any]], Awaitable[None]] = look
    assert snap_compare(make(), terminal_size=size, run_before=run_before)


async def test_it_is_left_by_escape_and_offered_once() -> None:
    app = app_with(schedule(kind()))
    async with app.run_test(size=SMALL) as pilot:
        await opened(pilot)
        assert app.refusal(app.commands["schedule"])
        await pilot.press("escape")
        assert not isinstance(app.screen, ScheduleScreen)
