"""Alerts on the screen: what runs, who watches, and what can be done about them, at both sizes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from support.consolekit import SMALL, WIDE, FakeDesk, FakeFeed, console
from support.readingkit import NOW, reading, readings
from support.states import LONG, RTL
from test_jobs import said, told, until
from test_jobs_pictures import armed_for_ever, shows

from mongo_dr_console.config import Access
from mongo_dr_console.model.alert import Alert, AlertState, Message, Silence
from mongo_dr_console.model.alertfacts import AlertFacts, Delivery, WayFacts
from mongo_dr_console.model.alertkind import Kind
from mongo_dr_console.model.level import Level
from mongo_dr_console.model.reading import SourceError
from mongo_dr_console.model.readings import Readings
from mongo_dr_console.ui.app import ConsoleApp
from mongo_dr_console.ui.screens.alerts import AlertsScreen
from mongo_dr_console.ui.screens.silence import SilenceDialog


def ago(**time: float) -> Any:
    return NOW - timedelta(**time)


LAG = Alert(
    id="aaaa0001",
    kind=Kind.OPLOG_LAG,
    subject="b:1",
    level=Level.CRITICAL,
    told=Level.CRITICAL,
    text="b:1 lags 2m10s behind.",
    began_at=ago(minutes=9),
    started_at=ago(minutes=8),
    told_at=ago(minutes=8),
)
AGE = Alert(
    id="aaaa0002",
    kind=Kind.BACKUP_AGE,
    level=Level.WARNING,
    told=Level.WARNING,
    text="The newest snapshot, 20261118_110000, is 14h old.",
    began_at=ago(hours=2),
    started_at=ago(hours=2),
    told_at=ago(hours=2),
    acked_by="jane@db-1",
    acked_at=ago(hours=1),
)
ODD = Alert(
    id="aaaa0003",
    kind=Kind.STORE_UNREACHABLE,
    subject=f"s3[/]{RTL}",
    level=Level.WARNING,
    text=f"Store s3: {LONG}",
    began_at=ago(minutes=1),
    started_at=ago(minutes=1),
    unknown_since=ago(seconds=30),
)
OVER = Alert(
    id="aaaa0004",
    kind=Kind.NO_PRIMARY,
    text="NO PRIMARY: 2 of 2 needed votes are up. Writes fail.",
    began_at=ago(hours=5),
    started_at=ago(hours=5),
    ended_at=ago(hours=4),
)
SILENCE = Silence(
    id="5111e0ce",
    kind="backup-age",
    until=NOW + timedelta(hours=1),
    reason="the store moves",
    by="jane@db-1",
    at=ago(hours=1),
)
FAILS = WayFacts(
    name="slack-3",
    sent=2,
    failed=4,
    trouble=SourceError("alert-not-sent", "slack-3 did not take the message: the service refused it."),
    trouble_since=ago(minutes=8),
)
WORKS = WayFacts(name="log", sent=5, sent_at=ago(minutes=8))
WAITING = Delivery(
    way="slack-3",
    next_try=NOW,
    message=Message(
        id="m1", event="start", alert=LAG.id, kind=LAG.kind, level=LAG.level, text=LAG.text, at=NOW
    ),
)


def seen(*alerts: Alert, silences: tuple[Silence, ...] = (), seconds_ago: float = 3) -> Readings:
    facts = AlertFacts(
        profile="test",
        host="dr-agent-1",
        pid=1,
        written_at=ago(seconds=seconds_ago),
        state=AlertState(alerts=alerts, silences=silences, past=(OVER,)),
        ways=(WORKS, FAILS) if alerts else (WORKS,),
        outbox=(WAITING,) if alerts else (),
    )
    return readings(alerts=reading("alerts", facts))


STATES: dict[str, tuple[Readings, list[str]]] = {
    "running": (
        seen(LAG, AGE, ODD, silences=(SILENCE,)),
        [
            "Alerts: 3 running, 1 critical",
            "✗ aaaa0001",
            "critical",
            "b:1 lags 2m10s behind.",
            "taken up by",
            "the store moves",
            "✗ slack-3: fails since 8m",
            "✓ log: 5 sent",
        ],
    ),
    "quiet": (seen(), ["✓ No alert runs.", "dr-agent-1 watches", "no-primary, until 4h ago"]),
    "gone": (
        seen(LAG, seconds_ago=240),
        ["! Nobody watches now", "dr-agent-1 was last seen 4m ago", "✗ aaaa0001"],
    ),
    "never": (readings(alerts=reading("alerts", None, taken_at=NOW)), ["! No agent has watched"]),
    "unknown": (
        readings(alerts=reading("alerts", None, error=SourceError("store-missing", "Store local: gone."))),
        ["? Which alerts run is not known: Store local: gone."],
    ),
}


def named(part: object) -> str:
    return "wide" if part == WIDE else "small" if part == SMALL else str(part)


WIDE_AND_SMALL = [("running", WIDE), *((state, SMALL) for state in STATES)]


@pytest.mark.parametrize(("state", "size"), WIDE_AND_SMALL, ids=named)
def test_the_alerts(state: str, size: tuple[int, int], snap_compare: Any) -> None:
    first, words = STATES[state]
    app = armed_for_ever(console(first))
    assert snap_compare(app, terminal_size=size, run_before=shows(*words, make=AlertsScreen))


def test_the_silence_dialog(snap_compare: Any) -> None:
    app = armed_for_ever(console(seen(LAG)))
    words = ["Silence alerts", "(●) oplog-lag", "( ) all", "(●) 2h", "Cancel", "Silence"]
    assert snap_compare(app, terminal_size=SMALL, run_before=shows(*words, make=AlertsScreen, keys=("s",)))


def desk(app: ConsoleApp) -> FakeDesk:
    assert isinstance(app.desk, FakeDesk)
    return app.desk


async def test_the_alert_under_the_cursor_is_taken_up() -> None:
    app = armed_for_ever(console(seen(LAG, ODD)))
    async with app.run_test(size=SMALL) as pilot:
        await pilot.press("N")
        await until(pilot, lambda: "2 running" in said(pilot) and "▶" in said(pilot))
        await pilot.press("down", "a")
        await until(pilot, lambda: desk(app).done)
        assert desk(app).done == [("acknowledge", "aaaa0003")]
        await until(pilot, lambda: "Taken up: store-unreachable" in told(app))
        assert isinstance(app.feed, FakeFeed) and "alerts" in app.feed.refreshed


async def test_what_is_taken_up_is_not_taken_up_twice() -> None:
    app = armed_for_ever(console(seen(AGE)))
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("N")
        await until(pilot, lambda: "▶" in said(pilot))
        await pilot.press("a")
        await until(pilot, lambda: "taken up already, by jane@db-1" in told(app))
        assert desk(app).done == []


async def test_a_kind_is_silenced_for_the_time_that_is_chosen() -> None:
    app = armed_for_ever(console(seen(LAG)))
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("N")
        await until(pilot, lambda: "▶" in said(pilot))
        await pilot.press("s")
        await until(pilot, lambda: isinstance(app.screen, SilenceDialog))
        app.screen.query_one("#lasts").focus()
        await pilot.press("down", "space")
        await until(pilot, lambda: "(●) 8h" in said(pilot))
        app.screen.query_one("#do").focus()
        await pilot.press("enter")
        await until(pilot, lambda: desk(app).done)
        assert desk(app).done == [("silence", "oplog-lag", timedelta(hours=8))]


async def test_silences_are_taken_back() -> None:
    app = armed_for_ever(console(seen(silences=(SILENCE,))))
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("N")
        await until(pilot, lambda: "the store moves" in said(pilot))
        await pilot.press("u")
        await until(pilot, lambda: desk(app).done)
        assert desk(app).done == [("unsilence", "all")]


@pytest.mark.parametrize(("access", "says"), [("watch", "needs 'operate'"), ("restore", "not armed")])
async def test_who_may_not_operate_does_nothing(access: Access, says: str) -> None:
    app = console(seen(LAG, silences=(SILENCE,)), access=access)
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("N")
        await until(pilot, lambda: "▶" in said(pilot))
        for number, key in enumerate(("a", "s", "u", "enter"), 1):
            await pilot.press(key)
            await until(pilot, lambda n=number: told(app).count(says) == n)
        assert desk(app).done == [] and desk(app).asked == []


async def test_new_alerts_come_and_the_cursor_stays_on_its_own() -> None:
    app = armed_for_ever(console(seen(AGE)))
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("N")
        await until(pilot, lambda: "1 running" in said(pilot))
        assert isinstance(app.feed, FakeFeed)
        app.feed.push(seen(LAG, AGE), "alerts")
        await until(pilot, lambda: "2 running" in said(pilot))
        assert isinstance(app.screen, AlertsScreen) and app.screen.chosen == AGE.id
