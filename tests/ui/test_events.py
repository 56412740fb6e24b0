"""Events over days on the screen: how a search looks at every moment, and the ways to it and from it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from support.consolekit import SIZES, SMALL, WIDE, FakeDesk, at_rest, console, screen_text
from support.readingkit import NOW, at, coverage, reading, snapshot, store
from support.states import LONG, RTL, event
from support.wizardkit import incident, wizard_of
from test_jobs import said, told, until
from textual.pilot import Pilot
from textual.widgets import Input

from mongo_dr_console.config import Access
from mongo_dr_console.model.event import Event
from mongo_dr_console.model.eventfacts import Restored
from mongo_dr_console.model.eventsearch import Looked
from mongo_dr_console.model.position import Bound, Position
from mongo_dr_console.model.trouble import Failed
from mongo_dr_console.model.wizard import Step
from mongo_dr_console.ui.app import ConsoleApp
from mongo_dr_console.ui.screens.dashboard import Dashboard
from mongo_dr_console.ui.screens.events import EventsScreen
from mongo_dr_console.ui.screens.hold import HoldDialog
from mongo_dr_console.ui.screens.operations import OperationsScreen
from mongo_dr_console.ui.screens.palette import Palette
from mongo_dr_console.ui.screens.wanted import RangeDialog
from mongo_dr_console.ui.wizard.screen import WizardScreen

DAY = 86_400
TINY = (60, 18)
START = at(3 * DAY)

DROP = event("d0000001", 1140)
DELETE = event("de1e7e02", 5 * 3600, "crm.people", "mass-delete", 812, share=0.4012)
ROLE = event("401e0003", DAY, "admin.system.roles", "role-change", None, detail="role shop.clerk was changed")
UPDATE = event("0bdae004", 2 * DAY - 600, "shop.products", "mass-update", 12_345, operations=12_345)
ODD = event("0dd00005", 2.5 * DAY, f"shop.x{RTL}[red]{LONG}", "drop", None)
ALL = (ODD, UPDATE, ROLE, DELETE, DROP)
SOURCES = {
    DROP.id: "live",
    DELETE.id: "live",
    ROLE.id: "segments:local",
    UPDATE.id: "segments:local",
    ODD.id: "kafka",
}
FOUND = Looked(START, None, ALL, SOURCES, START, at(0))
HALF = replace(FOUND, events=ALL[2:], reached=at(DAY + 3600))
SLOW = replace(FOUND, slow=at(2 * DAY))
NONE = replace(FOUND, events=(), sources={})
GAP = replace(
    FOUND,
    missing=(
        "Nothing has the oplog between 2026-11-20T11:00:00Z and 2026-11-20T17:30:00Z. "
        f"segments:local[/]: {RTL} torn.",
        "Nothing has the oplog before 2026-11-19T20:00:00Z.",
    ),
)
FAILED = replace(
    HALF,
    unread=(
        f"Store s3[/] does not answer: {RTL} timed out.",
        "2026-11-20T07:03:50Z to 2026-11-20T07:07:50Z was not looked through: a segment is damaged.",
        "Nothing before 2026-11-20T07:03:50Z was looked through.",
    ),
)

STATES: dict[str, tuple[Looked, bool, list[str]]] = {
    "searching": (HALF, True, ["3 events so far", "so far; back to", "%", "esc leaves", "▶"]),
    "slow ones": (SLOW, True, ["5 events so far", "spread over hours", "now at"]),
    "found": (FOUND, False, ["5 events; looked through", "mass-update", "p earlier", "operations"]),
    "nothing": (NONE, False, ["0 events", "No drop, mass delete", ":document"]),
    "gap": (GAP, False, ["! Nothing has the oplog between", "torn", "! Nothing has the oplog before"]),
    "failed": (FAILED, False, ["? Store s3[/] does not answer", "? Nothing before", "3 events"]),
}


def desk(app: ConsoleApp) -> FakeDesk:
    assert isinstance(app.desk, FakeDesk)
    return app.desk


def old_base() -> dict[str, Any]:
    """A snapshot of four days ago with oplog up to now."""
    held = (snapshot(4 * DAY, name="20261118_020000"),)
    return {
        "stores": {"store:local": reading("store:local", store(*held))},
        "coverage": reading("coverage", coverage(*held, oldest_ago=5 * DAY)),
    }


def of(state: str = "found", *known: Event, first: Any = None, **options: Any) -> ConsoleApp:
    app = console(first or incident(*known, **old_base()), **options)
    looked, hangs, _ = STATES[state]
    desk(app).searched, desk(app).search_hangs = (looked,), hangs
    return app


async def opened(pilot: Pilot[Any], *words: str) -> EventsScreen:
    screen = EventsScreen(START, None)
    await pilot.app.push_screen(screen)
    await until(pilot, lambda: all(word in flat(pilot) for word in words))
    return screen


def flat(pilot: Pilot[Any]) -> str:
    return " ".join(said(pilot).split())


async def ended(pilot: Pilot[Any], screen: EventsScreen) -> None:
    await until(pilot, lambda: screen.looked.ended)


# How it looks


@pytest.mark.parametrize("size", SIZES, ids=["wide", "small"])
@pytest.mark.parametrize("state", STATES)
def test_a_search(state: str, size: tuple[int, int], snap_compare: Any) -> None:
    async def look(pilot: Pilot[Any]) -> None:
        screen = await opened(pilot, *STATES[state][2])
        if not STATES[state][1]:
            await ended(pilot, screen)

    assert snap_compare(of(state), terminal_size=size, run_before=look)


@pytest.mark.parametrize("state", STATES)
async def test_in_the_smallest_terminal_all_that_matters_is_there(state: str) -> None:
    app = of(state)
    async with app.run_test(size=TINY) as pilot:
        looked = STATES[state][0]
        screen = await opened(pilot, "Events from", "back")
        await until(pilot, lambda: screen.looked.ended or STATES[state][1])
        await at_rest(pilot)
        shown = flat(pilot)
        if looked.events:
            assert "▶" in shown and "19m" in shown and f"Event {DROP.id}" in shown and "drop" in shown
        for text in (*looked.missing, *looked.unread)[:1]:
            assert text[:20] in shown
        if looked.unread:
            assert "more of that kind" in shown or looked.unread[-1][:20] in shown


def test_the_question_for_a_range(snap_compare: Any) -> None:
    async def look(pilot: Pilot[Any]) -> None:
        await ended(pilot, await opened(pilot, "5 events"))
        await pilot.press("t")
        await until(pilot, lambda: isinstance(pilot.app.screen, RangeDialog) and "-3d" in said(pilot))

    assert snap_compare(of(), terminal_size=SMALL, run_before=look)


async def test_each_says_what_can_be_done_about_it_and_where_it_was_read() -> None:
    app = of()
    async with app.run_test(size=WIDE) as pilot:
        await ended(pilot, await opened(pilot, "5 events"))
        words = [
            ("left out (skip); merge brings back only", "the live oplog", "about 40%"),
            ("nothing can be left out", "the segments in store local", "shop.clerk"),
            ("left out (skip)", "the segments in store local", "12,345 operations"),
            ("left out (skip)", "the topic", "documents unknown"),
        ]
        for expected in words:
            await pilot.press("down")
            await until(pilot, lambda expected=expected: all(w in flat(pilot) for w in expected))  # type: ignore[misc]


async def test_what_is_out_of_reach_or_restored_since_says_so() -> None:
    back = Restored("0badcafe", NOW - timedelta(hours=1), ("crm.people",), (DELETE.id,))
    newer = snapshot(1.5 * DAY)
    held = reading("store:local", replace(store(newer), restored=(back,)))
    base = {**old_base(), "coverage": reading("coverage", coverage(newer, oldest_ago=5 * DAY))}
    app = of(first=incident(**{**base, "stores": {"store:local": held}}))
    async with app.run_test(size=WIDE) as pilot:
        await ended(pilot, await opened(pilot, "restored since", "out of reach"))
        await pilot.press("G")
        await until(pilot, lambda: "The oldest point that can be restored to" in flat(pilot))


# How one gets there


@pytest.mark.parametrize("access", ["watch", "restore"])
async def test_by_key_with_three_days_and_escape_ends_it_and_does_nothing_else(access: Access) -> None:
    app = of("searching", access=access)
    async with app.run_test(size=SMALL) as pilot:
        await pilot.press("E")
        await until(pilot, lambda: isinstance(app.screen, EventsScreen) and "3 events so far" in flat(pilot))
        assert isinstance(app.screen, EventsScreen)
        length = app.screen.looked.start.time - app.screen.looked.start.time.replace(microsecond=0)
        assert length == timedelta() and app.screen.looked.end is None
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, Dashboard))
        await until(pilot, desk(app).stopped.is_set)
        assert desk(app).done == []


async def test_from_the_last_row_of_the_events_panel() -> None:
    app = of("found", DROP)
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("5", "G", "enter")
        await until(pilot, lambda: isinstance(app.screen, EventsScreen) and "5 events" in flat(pilot))


@pytest.mark.parametrize(
    ("typed", "start", "end"),
    [
        ("find 1795000000:1..1795000100:7", Position(1795000000, 1), Position(1795000100, 7)),
        ("Find  2026-11-18T11:06:40Z", Position(1795000000, 0), None),
    ],
)
async def test_by_the_palette_with_a_range(typed: str, start: Position, end: Position | None) -> None:
    app = of()
    async with app.run_test(size=SMALL) as pilot:
        await pilot.press(":")
        await until(pilot, lambda: isinstance(app.screen, Palette))
        app.screen.query_one(Input).value = typed
        await until(pilot, lambda: "Enter: Look for events in" in flat(pilot))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, EventsScreen) and "5 events" in flat(pilot))
        assert desk(app).asked[-1] == ("find", start, end, None)
        # And from there another one, on the same screen.
        screen = app.screen
        app.run_command("find", "1795000000:9")
        await until(pilot, lambda: desk(app).asked[-1] == ("find", Position(1795000000, 9), None, None))
        assert app.screen is screen


async def test_what_is_no_range_is_said_and_nothing_opens() -> None:
    app = of()
    async with app.run_test(size=SMALL) as pilot:
        app.run_command("find", "yesterday")
        await until(pilot, lambda: "This is not a time" in told(app))
        assert isinstance(app.screen, Dashboard)


# What is done there


async def test_another_range_is_read_before_it_is_taken() -> None:
    app = of()
    async with app.run_test(size=SMALL) as pilot:
        screen = await opened(pilot, "5 events")
        await ended(pilot, screen)
        await pilot.press("t")
        await until(pilot, lambda: isinstance(app.screen, RangeDialog))
        field = app.screen.query_one(Input)
        field.value = "-1d..-2d"
        await pilot.press("enter")
        await until(pilot, lambda: "lies after" in said(pilot))
        field.value = "1794000000:1..latest"
        await pilot.press("enter")
        await until(pilot, lambda: app.screen is screen and screen.looked.start == Position(1794000000, 1))
        assert desk(app).asked[-1][2] is not None


async def test_further_back_goes_on_from_what_is_known() -> None:
    app = of()
    async with app.run_test(size=SMALL) as pilot:
        screen = await opened(pilot, "5 events")
        await ended(pilot, screen)
        before = screen.looked
        await pilot.press("p")
        await until(pilot, lambda: desk(app).asked[-1] == ("find", at(6 * DAY, 0), None, before))
        await ended(pilot, screen)
        assert screen.looked.start == at(6 * DAY, 0)


async def test_the_wizard_opens_with_the_event_chosen_and_nothing_is_changed() -> None:
    app = of("searching", DROP)
    desk(app).searched = (FOUND,)
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot, "5 events so far")
        await pilot.press("down", "down", "down", "enter")
        await until(pilot, lambda: isinstance(app.screen, WizardScreen))
        assert wizard_of(app).state.event == UPDATE and wizard_of(app).state.way == "event"
        await pilot.press("enter")
        await until(pilot, lambda: wizard_of(app).step is Step.WHEN and "(●) mass-update" in flat(pilot))
        assert desk(app).done == []
        # Behind it the search goes on; from here another one can be taken.
        await pilot.press("escape", "escape")
        await until(pilot, lambda: isinstance(app.screen, EventsScreen))
        assert not desk(app).stopped.is_set()


async def test_users_and_roles_are_gone_back_to_before_them() -> None:
    app = of()
    async with app.run_test(size=WIDE) as pilot:
        await ended(pilot, await opened(pilot, "5 events"))
        await pilot.press("down", "down", "enter")
        await until(pilot, lambda: isinstance(app.screen, WizardScreen))
        state = wizard_of(app).state
        assert (state.way, state.text, state.bound) == ("time", f"event:{ROLE.id}", Bound.BEFORE)
        await pilot.press("enter")
        await until(pilot, lambda: f"before {ROLE.position}" in flat(pilot))


async def test_into_a_wizard_that_is_open() -> None:
    app = of("found", DROP)
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("R", "enter")
        await until(pilot, lambda: isinstance(app.screen, WizardScreen) and wizard_of(app).step is Step.WHEN)
        wizard = app.screen
        await ended(pilot, await opened(pilot, "5 events"))
        await pilot.press("down", "down", "down", "enter")
        await until(pilot, lambda: app.screen is wizard and wizard_of(app).state.event == UPDATE)


async def test_the_operations_around_it_and_a_hold_on_what_it_needs() -> None:
    app = of(stores={"local": {"type": "local", "path": "/backups/mongodb"}})
    async with app.run_test(size=WIDE) as pilot:
        screen = await opened(pilot, "5 events")
        await ended(pilot, screen)
        await pilot.press("down", "down", "down", "o")
        await until(pilot, lambda: isinstance(app.screen, OperationsScreen))
        assert isinstance(app.screen, OperationsScreen) and app.screen.place == UPDATE.position
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is screen)
        app.desk.access.arm()
        await pilot.press("h")
        await until(pilot, lambda: isinstance(app.screen, HoldDialog))
        fields = [field.value for field in app.screen.query(Input)]
        begin = f"{UPDATE.position.t}:{UPDATE.position.i - 1}"
        assert fields == [f"{begin}..{UPDATE.last}", "mass-update shop.products"]


async def test_a_search_that_breaks_says_so_and_keeps_what_it_found() -> None:
    app = of()
    find = desk(app).find

    def breaks(*arguments: Any) -> Looked:
        find(*arguments)
        raise Failed("x", f"The disk[/] is full.{RTL}", "Make room.")

    desk(app).find = breaks  # type: ignore[method-assign,assignment]
    async with app.run_test(size=SMALL) as pilot:
        screen = await opened(pilot, "? The disk[/] is full.\\u202e Make room.", "5 events")
        assert screen.looked.ended


async def test_the_cursor_stays_on_its_event_when_older_and_newer_ones_come() -> None:
    app = of("searching")
    async with app.run_test(size=WIDE) as pilot:
        screen = await opened(pilot, "3 events so far")
        await pilot.press("down")
        assert screen.chosen == DELETE
        screen._take(replace(FOUND, events=(*ALL, event("aaaa0009", 5))))
        await until(pilot, lambda: "6 events" in flat(pilot))
        assert screen.chosen == DELETE


async def test_thousands_are_cut_and_said() -> None:
    many = tuple(event(f"{n:08x}", 60_000 - n, f"tmp.c{n}") for n in range(700))
    app = of()
    desk(app).searched = (replace(FOUND, events=many),)
    async with app.run_test(size=SMALL) as pilot:
        screen = await opened(pilot, "700 events", "The newest 500 are shown")
        await pilot.press("G")
        assert screen.chosen is not None and screen.chosen.namespace == "tmp.c200"
        assert "tmp.c200" in screen_text(app)
