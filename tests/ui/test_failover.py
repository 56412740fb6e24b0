"""The failover screen: live, past, stuck, paused, and while the agent is down."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from support import failoverstates as states
from support.consolekit import SIZES, SMALL, FakeDesk, FakeFeed, console
from support.readingkit import LIMITS, NOW, reading
from support.states import LONG, MEMBERS, RTL, fine
from test_jobs import said, until
from textual.pilot import Pilot

from mongo_dr_console.model.failover import Standing
from mongo_dr_console.model.failoverdoc import FailoverFacts, FailoverRecord
from mongo_dr_console.model.reading import SourceError
from mongo_dr_console.model.readings import Readings
from mongo_dr_console.model.verdict import Level, verdict
from mongo_dr_console.ui.app import ConsoleApp
from mongo_dr_console.ui.screens.failover import FailoverScreen


def seen(facts: FailoverFacts | None) -> Readings:
    return replace(fine(), failover=reading("failover", facts, taken_at=NOW))


def app_with(
    facts: FailoverFacts | None, *ledger: FailoverRecord, unread: tuple[str, ...] = ()
) -> ConsoleApp:
    app = console(seen(facts))
    assert isinstance(app.desk, FakeDesk)
    app.desk.ledger = (ledger, unread)
    return app


def _odd() -> ConsoleApp:
    record = states.run(why=f"[/]{RTL}\n{LONG}", from_member=f"{RTL}[red]{LONG}:1", by=f"{RTL}[/]")
    return app_with(states.monitor(text=f"[/red]{LONG}\n{RTL}", last=record))


PICTURES: dict[str, tuple[Callable[[], ConsoleApp], list[str]]] = {
    "fine": (
        lambda: app_with(states.monitor(), states.run()),
        ["✓ fine", "endpoint (file): leads to", "Run-book 1 of 1", "✓ done", "took 3s"],
    ),
    "live": (
        lambda: app_with(states.failing(states.run(1, 5))),
        ["✗ UNREACHABLE", "SILENT, 42 probes", "● under way", "● election", "running"],
    ),
    "stuck": (
        lambda: app_with(states.failing(states.stuck())),
        ["by hand: Let /etc/app/mongo-endpoint.json name", "(6 tries)", "No space left on device"],
    ),
    "lost": (
        lambda: app_with(states.monitor(), states.lost()),
        ["Lost writes", "shop.orders 7", "? store s3"],
    ),
    "paused": (
        lambda: app_with(states.paused()),
        ["! PAUSED until", "by jane@db-1", "No failover is recorded."],
    ),
    "away": (
        lambda: app_with(states.away(), states.run(), unread=("store s3 could not be asked: no answer",)),
        ["! agent on bastion-2 last seen 4m ago", "Run-book 1 of 1", "? store s3 could not be asked"],
    ),
    "none": (
        lambda: app_with(None),
        ["No failover monitor ever ran on this host", "No failover is recorded."],
    ),
    "odd": (_odd, ["Run-book 1 of 1"]),
}


async def opened(pilot: Pilot[Any]) -> None:
    await pilot.press("F")
    await until(pilot, lambda: isinstance(pilot.app.screen, FailoverScreen) and pilot.app.screen._read)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", PICTURES)
def test_looks(snap_compare: Callable[..., bool], name: str, size: tuple[int, int]) -> None:
    make, words = PICTURES[name]

    async def look(pilot: Pilot[Any]) -> None:
        await opened(pilot)
        text = ""
        for _ in range(3):
            text += said(pilot)
            pilot.app.screen.query_one("#body").scroll_page_down(animate=False)
            await pilot.pause()
        joined = " ".join(text.split())
        missing = [w for w in words if " ".join(w.split()) not in joined]
        assert not missing, said(pilot)
        pilot.app.screen.query_one("#body").scroll_home(animate=False)

    run_before: Callable[[Pilot[Any]], Awaitable[None]] = look
    assert snap_compare(make(), terminal_size=size, run_before=run_before)


async def test_a_run_book_is_followed_live_and_the_ledger_asked_when_it_ended() -> None:
    app = app_with(states.failing(states.run(1, 5)))
    async with app.run_test(size=SMALL) as pilot:
        await opened(pilot)
        feed, desk = app.feed, app.desk
        assert isinstance(feed, FakeFeed) and isinstance(desk, FakeDesk)
        asked = desk.asked.count(("failovers",))
        assert "● election" in said(pilot)
        feed.push(seen(states.failing(states.run(3, 8))), "failover")
        await until(pilot, lambda: "● endpoint" in said(pilot) and "● election" not in said(pilot))
        feed.push(seen(states.monitor(last=states.run(7, 9))), "failover")
        await until(pilot, lambda: "● endpoint" not in said(pilot) and "took 3s" in said(pilot))
        await until(pilot, lambda: desk.asked.count(("failovers",)) > asked)


async def test_older_ones_are_turned_to_and_the_newest_comes_back() -> None:
    app = app_with(states.monitor(), states.run(), states.lost())
    async with app.run_test(size=SMALL) as pilot:
        await opened(pilot)
        assert "Run-book 1 of 2" in said(pilot)
        await pilot.press("left")
        await until(pilot, lambda: "Run-book 2 of 2" in said(pilot))
        await pilot.press("left", "right", "right")
        await until(pilot, lambda: "Run-book 1 of 2" in said(pilot))
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, FailoverScreen))


def judged(facts: FailoverFacts | None, **more: Any) -> dict[str, Level]:
    found = verdict(replace(seen(facts), **more), LIMITS, NOW)
    return {f.code: f.level for f in found.facts if f.source == "failover"}


def test_the_verdict_says_what_a_person_must_know() -> None:
    assert judged(None) == {} == judged(states.monitor())
    assert judged(states.failing(states.run(1, 5))) == {"failover-running": Level.CRITICAL}
    assert judged(states.failing(states.stuck())) == {"failover-by-hand": Level.CRITICAL}
    assert judged(states.paused()) == {"failover-paused": Level.WARNING}
    assert judged(states.away()) == {"failover-monitor-gone": Level.WARNING}
    assert judged(states.away().model_copy(update={"endpoint_kind": ""})) == {}
    hidden = states.monitor(standing=Standing.ONLY_THIS_HOST, text="nothing is switched")
    assert judged(hidden) == {"primary-hidden": Level.WARNING}
    failed = states.stuck().model_copy(update={"state": "failed"})
    assert judged(states.monitor(last=failed)) == {"failover-by-hand": Level.CRITICAL}
    text = verdict(seen(states.failing(states.stuck())), LIMITS, NOW).text
    assert "NEEDS A HAND at endpoint" in text and MEMBERS[1] in text
    error = SourceError("agent-state-damaged", "It cannot be understood.")
    broken = reading("failover", None, error=error)
    assert judged(None, failover=broken) == {"failover-unknown": Level.UNKNOWN}
