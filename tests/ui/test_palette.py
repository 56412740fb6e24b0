"""The palette: finds by a few letters, says what cannot be done and why, and does only what can."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from threading import Event
from typing import Any

import pytest
from support.consolekit import SIZES, SMALL, WIDE, FakeDesk, FakeFeed, console, screen_text
from textual.pilot import Pilot

from mongo_dr_console.model.trouble import Refused
from mongo_dr_console.ui.app import ConsoleApp, Options
from mongo_dr_console.ui.offers import Offer, matching, offers
from mongo_dr_console.ui.screens.palette import Palette, offer_lines


def offer(name: str, text: str = "", refusal: str = "") -> Offer:
    return Offer(name, "", text, refusal, "Console", lambda: None)


KNOWN = [
    offer("arm", "Arm for ten minutes."),
    offer("theme", "The next theme."),
    offer("theme light"),
    offer("incident drop-collection", "Practice: somebody drops the orders."),
    offer("quit", "Leave; jobs go on."),
]


@pytest.mark.parametrize(
    ("typed", "first"),
    [
        ("quit", "quit"),
        ("q", "quit"),
        ("theme", "theme"),
        ("theme li", "theme light"),
        ("li", "theme light"),
        ("drop", "incident drop-collection"),
        ("drop coll", "incident drop-collection"),
        ("orders", "incident drop-collection"),
        ("leave", "quit"),
        ("THEME", "theme"),
        ("ui", "quit"),
    ],
)
def test_a_few_letters_find_it(typed: str, first: str) -> None:
    assert matching(KNOWN, typed)[0].name == first


def test_nothing_typed_is_everything_and_nonsense_is_nothing() -> None:
    assert matching(KNOWN, "  ") == KNOWN
    assert matching(KNOWN, "xyzzy") == []
    assert matching(KNOWN, "db[/]") == []


@pytest.mark.parametrize("width", [60, 76, 96])
def test_what_cannot_be_done_stands_back_and_says_why(width: int) -> None:
    (row,) = offer_lines([offer("arm", refusal="This console only watches.")], 5, width)
    assert {role for _, role in row.spans if _.strip()} == {"dim"}
    assert "not now: This console only watches." in row.text
    assert row.width == width


async def opened(pilot: Pilot[Any], *typed: str) -> None:
    await pilot.press("colon", *typed)
    await pilot.pause()


@pytest.mark.parametrize("size", SIZES)
async def test_it_lists_every_command_and_the_screens_keys(size: tuple[int, int]) -> None:
    app = console()
    async with app.run_test(size=size) as pilot:
        names = {o.name for o in offers(app, app.screen)}
        assert set(app.commands) <= names
        assert any("." in name for name in names)
        await opened(pilot)
        text = screen_text(app)
        assert isinstance(app.screen, Palette)
        assert "a command, or a few letters of it" in text
        await pilot.press(*"arm")
        assert "Arm for ten minutes, after a question; disarm at once." in screen_text(app)


@pytest.mark.parametrize("keys", ["colon", "ctrl+p"])
async def test_its_keys_open_it_and_escape_closes_it(keys: str) -> None:
    app = console()
    async with app.run_test(size=SMALL) as pilot:
        await pilot.press(keys)
        assert isinstance(app.screen, Palette)
        await pilot.press("escape")
        assert not isinstance(app.screen, Palette)


async def test_a_typed_name_runs_its_command() -> None:
    app = console()
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot, *"theme light", "enter")
        await pilot.pause()
        assert app.theme == "light"
        assert not isinstance(app.screen, Palette)
        await opened(pilot, *"pause", "enter")
        await pilot.pause()
        assert app.feed.paused


async def test_the_arrows_choose() -> None:
    app = console()
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot, *"theme", "down", "down", "up", "down", "enter")
        await pilot.pause()
        assert app.theme == tuple(app.themes.found)[1]


async def test_enter_runs_what_the_cursor_was_put_on_even_if_the_list_changes() -> None:
    app = console()
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot, *"theme", "down", "down")
        assert isinstance(app.screen, Palette)
        # What was above it goes away.
        second = list(app.themes.found)[1]
        app.themes.found.pop(next(iter(app.themes.found)))
        app.refresh_view()
        await pilot.press("enter")
        await pilot.pause()
        assert app.theme == second


async def test_enter_on_what_cannot_be_done_does_nothing_and_says_why() -> None:
    app = console(started_with="watch")
    async with app.run_test(size=SMALL) as pilot:
        await opened(pilot, *"arm", "enter")
        await pilot.pause()
        assert isinstance(app.screen, Palette)
        assert "Not now: This console only watches" in screen_text(app)
        assert app.desk.access.armed_seconds is None


async def test_a_command_that_is_none_is_said_to_be_none() -> None:
    app = console()
    async with app.run_test(size=SMALL) as pilot:
        await opened(pilot, *"xyzzy", "enter")
        assert "There is no such command." in screen_text(app)


async def test_a_key_of_the_screen_below_is_run_there() -> None:
    app = console()
    async with app.run_test(size=WIDE) as pilot:
        below = app.screen
        own = next(o for o in offers(app, below) if o.name == "dashboard.facts" or "facts" in o.name)
        await opened(pilot, *own.name, "enter")
        await pilot.pause()
        assert not isinstance(app.screen, Palette)
        assert app.screen is not below or "facts" in screen_text(app)


async def test_practice_events_are_offered_in_a_practice_deployment_only() -> None:
    ordinary = console()
    async with ordinary.run_test(size=WIDE):
        found = [o for o in offers(ordinary, ordinary.screen) if o.name.startswith("incident")]
        (only,) = found
        assert only.refusal.startswith("Practice events happen to the practice deployment only")


async def until(pilot: Pilot[Any], condition: Any) -> None:
    async with asyncio.timeout(120):
        while not condition():
            await pilot.pause()


async def test_a_practice_event_happens_away_from_the_loop_and_is_told() -> None:
    may_end, names = Event(), ("drop-collection", "lag")

    def happens() -> str:
        may_end.wait(120)
        return "drop-collection: shop.orders [/] is gone."

    app = console(options=Options(incidents=dict.fromkeys(names, happens)))
    async with app.run_test(size=WIDE, notifications=True) as pilot:
        await opened(pilot, *"drop-coll", "enter")
        await pilot.pause()
        # The loop goes on, and a second one is refused meanwhile.
        await until(pilot, lambda: app.refusal(app.commands["incident"]) != "")
        may_end.set()
        await until(pilot, lambda: "shop.orders [/] is gone." in screen_text(app))
        assert isinstance(app.feed, FakeFeed) and None in app.feed.refreshed
        assert isinstance(app.desk, FakeDesk) and app.desk.done == []


async def test_a_practice_event_that_is_refused_says_so() -> None:
    def happens() -> str:
        raise Refused("no-practice", "The practice deployment is not up. Nothing was changed.")

    app = console(options=Options(incidents={"lag": happens}))
    async with app.run_test(size=WIDE, notifications=True) as pilot:
        await opened(pilot, *"incident lag", "enter")
        await until(pilot, lambda: "The practice deployment is not up." in screen_text(app))


async def test_what_can_be_done_is_kept_up_to_date_while_it_is_open() -> None:
    app = console(options=Options())
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot, *"arm")
        assert "not now" not in screen_text(app)
        app.commands["arm"] = replace(app.commands["arm"], refusal=lambda _: "It is late.")
        app.refresh_view()
        await pilot.pause()
        assert "Not now: It is late." in screen_text(app)


@pytest.mark.parametrize("size", SIZES)
def test_how_it_looks(size: tuple[int, int], snap_compare: Any) -> None:
    app = console(started_with="watch", options=Options(incidents={"drop-collection": str, "lag": str}))

    async def look(pilot: Pilot[Any]) -> None:
        await opened(pilot, "i", "n", "c")
        assert isinstance(app, ConsoleApp)
        assert "incident drop-collection" in screen_text(app)
        assert "Practice: somebody drops the orders." in screen_text(app)

    assert snap_compare(app, terminal_size=size, run_before=look)
