"""The dashboard at both sizes: what must be read at a glance is there as whole words, and the keys do it."""

from __future__ import annotations

import gc
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.consolekit import SIZES, SMALL, WIDE, FakeFeed, console, screen_text
from support.readingkit import NOW, reading
from support.states import LONG, MEMBERS, STATES, event, events, fine
from textual.pilot import Pilot
from textual.widgets import Input

from mongo_dr_console.model.readings import Readings
from mongo_dr_console.ui.app import ConsoleApp, Options
from mongo_dr_console.ui.screens.dashboard import Dashboard
from mongo_dr_console.ui.screens.facts import FactsScreen
from mongo_dr_console.ui.widgets.lines_view import LinesView
from mongo_dr_console.ui.widgets.panel import PanelView

SnapCompare = Callable[..., bool]

EVERYWHERE = ("PRODUCTION", "RESTORE", "11:06:40Z", "RPO now", "RTO now", "? help")
WORDS: dict[str, tuple[str, ...]] = {
    "fine": ("✓ ok", "All is well", "RPO now 40s", "7 of 7 sources live", "loses nothing", "rs0", "PRIMARY"),
    "warning": ("! warning", "mongo-3.db.example:27017 is down", "DOWN", "RPO now 40s"),
    "critical": ("✗ CRITICAL", "MASS DELETE: crm.people", "R restore  +5 more: v", "drop shop.orders"),
    "dropped": (
        "! warning",
        "DATA DROPPED",
        "shop.orders",
        "restorable",
        "drop shop.orders (40,000 documents)",
    ),
    "stale": (
        "✗ CRITICAL",
        "DEPLOYMENT DOWN",
        "0 of 7 sources live",
        "(stale)",
        "?PRIMARY",
        "attempt 6",
        "11:06:48Z",
        "No member of the deployment answers",
    ),
    "empty": ("? unknown", "has not answered yet", "0 of 6 sources live", "It is not known"),
    "error": ("✗ CRITICAL", "DEPLOYMENT DOWN", "3 of 7 sources live", "No member of the deployment answers"),
    "odd": ("PROD[/]N", "rs[/]\\u202e0", "DATABASE DROPPED", "PRIMARY", "c\\n[/d]:27017", "[red]nnn"),
}


def dashboard(app: ConsoleApp) -> Dashboard:
    assert isinstance(app.screen, Dashboard)
    return app.screen


def focused(app: ConsoleApp) -> PanelView:
    assert isinstance(app.focused, PanelView)
    return app.focused


@pytest.mark.parametrize("size", SIZES, ids=("wide", "small"))
@pytest.mark.parametrize("state", STATES)
def test_every_state_at_both_sizes(state: str, size: tuple[int, int], snap_compare: SnapCompare) -> None:
    seen: list[str] = []

    async def look(pilot: Pilot[Any]) -> None:
        await pilot.pause()
        assert isinstance(pilot.app, ConsoleApp)
        seen.append(screen_text(pilot.app))

    assert snap_compare(console(STATES[state]()), terminal_size=size, run_before=look)
    words = WORDS[state] if state == "odd" else (*WORDS[state], *EVERYWHERE)
    missing = [w for w in words if w not in " ".join(seen[0].split()) and w not in seen[0]]
    assert not missing, f"{missing} not in\n{seen[0]}"
    assert "\x1b" not in seen[0] and "\u202e" not in seen[0]


@pytest.mark.parametrize("size", SIZES, ids=("wide", "small"))
@pytest.mark.parametrize("state", STATES)
async def test_every_panel_zoomed_in_every_state(state: str, size: tuple[int, int]) -> None:
    app = console(STATES[state]())
    async with app.run_test(size=size) as pilot:
        await pilot.press("z")
        for number in range(1, 7):
            await pilot.press(str(number))
            await pilot.pause()
            shown = [p.number for p in app.screen.query(PanelView) if p.display]
            assert shown == [number] and focused(app).number == number
            assert f"▶ {number} " in screen_text(app)


async def test_digits_go_to_a_panel() -> None:
    for size in SIZES:
        app = console(STATES["fine"]())
        async with app.run_test(size=size) as pilot:
            assert focused(app).number == 1
            for number in (4, 2, 6, 5, 3, 1):
                await pilot.press(str(number))
                await pilot.pause()
                assert focused(app).number == number
                assert focused(app).region.height > 3


async def test_a_small_terminal_shows_one_of_four_and_one_of_two() -> None:
    app = console(STATES["fine"]())
    async with app.run_test(size=SMALL) as pilot:
        await pilot.press("3", "6")
        await pilot.pause()
        assert [p.number for p in app.screen.query(PanelView) if p.display] == [3, 6]
        tabs = screen_text(app).splitlines()[4]
        assert tabs.split("  ")[0] == " ✓ 1 Set 3/3 up"
        assert "▶✓ 3 Backup 40s" in tabs and "✓ 2 Lag 1s" in tabs and "✓ 4 Range whole" in tabs
        await pilot.press("5")
        await pilot.pause()
        assert [p.number for p in app.screen.query(PanelView) if p.display] == [3, 5]


async def test_a_tab_has_the_level_of_its_panel() -> None:
    app = console(STATES["warning"]())
    async with app.run_test(size=SMALL) as pilot:
        for number in (1, 2, 3, 4):
            await pilot.press(str(number))
            await pilot.pause()
            tabs = next(row for row in screen_text(app).splitlines() if " 3 Backup " in row)
            frame = next(row for row in screen_text(app).splitlines() if row.startswith(f"┌▶ {number} "))
            glyph = tabs.partition("▶")[2][0]
            assert f" {glyph} " in frame, (tabs, frame)


async def test_zoom_and_back() -> None:
    app = console(STATES["fine"]())
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("5", "z")
        await pilot.pause()
        assert [p.number for p in app.screen.query(PanelView) if p.display] == [5]
        assert focused(app).size.width == WIDE[0]
        await pilot.press("escape")
        await pilot.pause()
        assert len([p for p in app.screen.query(PanelView) if p.display]) == 6
        assert focused(app).number == 5


async def test_the_cursor_moves_over_rows_and_stays_on_its_row() -> None:
    first, second = event("aaaaaaaa", 900), event("bbbbbbbb", 700, "shop.customers")
    app = console(replace(fine(), stores={}, events=events(first, second)))
    opened: list[str] = []
    app.open_key = opened.append  # type: ignore[method-assign]
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("5", "j")
        item = focused(app).item
        assert item is not None and item.key == "event:aaaaaaaa"
        assert isinstance(app.feed, FakeFeed)
        newer = event("cccccccc", 10, "shop.carts")
        app.feed.push(replace(app.feed.readings, events=events(first, second, newer)), "events")
        await pilot.pause()
        item = focused(app).item
        assert item is not None and item.key == "event:aaaaaaaa"
        await pilot.press("enter")
        assert opened == ["event:aaaaaaaa"]
        await pilot.press("up", "k", "k", "k", "enter", "G", "enter", "k", "enter")
        assert opened[1:] == ["event:cccccccc", "command:find", "event:aaaaaaaa"]


async def test_a_row_that_points_to_nothing_says_so() -> None:
    app = console(STATES["fine"]())
    async with app.run_test(size=WIDE, notifications=True) as pilot:
        await pilot.press("2", "enter")
        await pilot.pause()
        assert "opens nothing" in screen_text(app)
        assert isinstance(app.screen, Dashboard)


async def test_the_filter_keeps_rows_and_escape_clears_it() -> None:
    many = events(*(event(f"{n:08x}", 60 * n + 60, f"shop.c{n}") for n in range(12)))
    app = console(replace(fine(), events=many))
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("5", "slash")
        assert isinstance(app.focused, Input)
        await pilot.press("c", "1", "1")
        await pilot.pause()
        text = app.screen.query_one("#panel-5", PanelView).text
        assert "drop shop.c11" in text and "drop shop.c1 " not in text and "drop shop.c2" not in text
        # What is typed goes into the line: its keys are no keys now, and the footer does not say they were.
        assert "filter" not in screen_text(app).splitlines()[-1]
        await pilot.press("enter")
        await pilot.pause()
        assert focused(app).number == 5 and not app.screen.query_one("#filter", Input).display
        assert "5 Events (UTC) /c11" in screen_text(app)
        await pilot.press("escape")
        await pilot.pause()
        assert "drop shop.c2 " in screen_text(app)
        await pilot.press("slash", "z", "q", "1")
        await pilot.pause()
        assert "nothing here has “zq1”" in screen_text(app)
        await pilot.press("escape")
        await pilot.pause()
        assert focused(app).number == 5 and "drop shop.c2 " in screen_text(app)


async def test_copy_takes_the_whole_row_however_it_is_cut() -> None:
    app = console(STATES["odd"]())
    async with app.run_test(size=SMALL, notifications=True) as pilot:
        await pilot.press("1", "y")
        await pilot.pause()
        assert f"[red]{LONG}:27017" in app.clipboard and "PRIMARY" in app.clipboard
        assert "Copied:" in screen_text(app)
        await pilot.press("j", "y")
        assert "\u202e" not in app.clipboard and "b[/]:27017" in app.clipboard


async def test_all_facts() -> None:
    for size in SIZES:
        app = console(STATES["critical"]())
        async with app.run_test(size=size) as pilot:
            await pilot.press("v")
            await pilot.pause()
            assert isinstance(app.screen, FactsScreen)
            words = " ".join(screen_text(app).split())
            assert "NO MAJORITY" in words and "✗ CRITICAL" in words and "! warning" in words
            inside = " ".join(app.screen.query_one("#facts", LinesView).text.split())
            assert "18,211 documents; restorable. (events, age <5s)" in inside
            assert "the more is written on top of the loss. press R restore" in inside
            assert "Applications cannot write. press 1 replica set" in inside
            await pilot.press("escape")
            await pilot.pause()
            assert isinstance(app.screen, Dashboard)


async def test_the_key_beside_the_verdict_is_the_one_that_it_was_given_and_none_in_a_recording(
    tmp_path: Path,
) -> None:
    app = console(STATES["dropped"](), options=Options(keys={"restore": "f7"}))
    async with app.run_test(size=SMALL) as pilot:
        await pilot.pause()
        assert "f7 restore" in "\n".join(screen_text(app).splitlines()[:5])
    app = console(STATES["dropped"](), options=Options(replayed=tmp_path / "recording"))
    async with app.run_test(size=SMALL) as pilot:
        await pilot.pause()
        assert "R restore " not in "\n".join(screen_text(app).splitlines()[:5])


async def test_the_range_is_zoomed_and_moved_by_keys() -> None:
    app = console(STATES["fine"]())
    async with app.run_test(size=SMALL) as pilot:
        for key, words in (
            ("minus", "4 Restorable range, the last 6h "),
            ("o", "the last 12h "),
            ("plus", "the last 6h "),
            ("H", "6h: 02:06:40Z to 08:06:40Z"),
            ("L", "the last 6h "),
            ("i", "the last 3h "),
        ):
            await pilot.press(key)
            await pilot.pause()
            assert words in screen_text(app), key
        assert "▒ part" in screen_text(app)
        await pilot.press("z")
        await pilot.pause()
        assert "4 Range" in screen_text(app) and "▒ part" not in screen_text(app)


async def test_the_banner_says_armed_and_paused() -> None:
    for size in SIZES:
        app = console(STATES["fine"]())
        async with app.run_test(size=size) as pilot:
            app.desk.access.arm()
            await pilot.press("space")
            app.refresh_view()
            await pilot.pause()
            top = screen_text(app).splitlines()[0]
            assert "PAUSED" in top and re.search(r"ARMED (10:00|9:\d\d)", top), top
            assert "A disarm" in screen_text(app)


@pytest.mark.parametrize("access", ["watch", "operate", "restore"])
async def test_the_footer_names_only_what_can_run(access: Any) -> None:
    app = console(STATES["fine"](), started_with=access)
    async with app.run_test(size=WIDE):
        last = screen_text(app).splitlines()[-1]
        assert ("A arm" in last) == (access != "watch")
        assert last.rstrip().endswith("? help")
        assert access.upper() in screen_text(app).splitlines()[0]


async def test_a_source_that_fails_keeps_its_value_and_comes_back() -> None:
    app = console(fine())
    assert isinstance(app.feed, FakeFeed)
    async with app.run_test(size=WIDE) as pilot:
        assert "?PRIMARY" not in screen_text(app)
        app.feed.push(STATES["stale"]())
        await pilot.pause()
        text = screen_text(app)
        assert "?PRIMARY" in text and MEMBERS[0] in text and "age 41s (stale)" in text
        app.feed.push(fine())
        await pilot.pause()
        text = screen_text(app)
        assert "?PRIMARY" not in text and "(stale)" not in text
        # What happened meanwhile is told.
        assert "answers again" in text


async def test_lag_is_drawn_on_a_scale_that_stands_still() -> None:
    app = console(fine())
    assert isinstance(app.feed, FakeFeed)
    async with app.run_test(size=WIDE) as pilot:
        for second in range(1, 6):
            app.feed.push(lagging(600.0, second))
            await pilot.pause()
        text = screen_text(app)
        assert "█████" in text and "10m" in text and "scale 0 to 10s" in text


def lagging(seconds: float, later: int) -> Readings:
    known = fine()
    assert known.set is not None and known.set.value is not None
    status = known.set.value
    members = (*status.members[:2], replace(status.members[2], lag_seconds=seconds))
    changed = reading("set", replace(status, members=members), tried_at=NOW + timedelta(seconds=later))
    return replace(known, set=changed)


async def test_a_reading_with_nothing_new_but_its_times_is_left_to_the_tick() -> None:
    app = console(fine())
    assert isinstance(app.feed, FakeFeed)
    async with app.run_test(size=WIDE) as pilot:
        await pilot.pause()
        drawn: list[str] = []
        app.refresh_view = lambda: drawn.append("again")  # type: ignore[method-assign]
        known = app.feed.readings.oplog
        assert known is not None
        later = replace(known, tried_at=known.tried_at + timedelta(seconds=1), took=timedelta(seconds=2))
        app.feed.push(replace(app.feed.readings, oplog=later), "oplog")
        await pilot.pause()
        assert drawn == []
        app.feed.push(replace(app.feed.readings, oplog=replace(later, attempt=2)), "oplog")
        await pilot.pause()
        assert drawn == ["again"]


async def test_the_smallest_terminal_breaks_nothing() -> None:
    for size in ((1, 1), (10, 3), (20, 8), (40, 12), (99, 31), (100, 32), (300, 90)):
        app = console(STATES["critical"]())
        async with app.run_test(size=size) as pilot:
            await pilot.press("5", "z", "j", "z", "2")
            await pilot.pause()


async def test_a_change_of_size_keeps_what_was_chosen() -> None:
    app = console(STATES["fine"]())
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("3")
        await pilot.resize_terminal(*SMALL)
        await pilot.pause()
        assert focused(app).number == 3 and focused(app).display
        await pilot.resize_terminal(*WIDE)
        await pilot.pause()
        assert len([p for p in app.screen.query(PanelView) if p.display]) == 6


@pytest.mark.slow
async def test_two_thousand_looks_leave_nothing_behind() -> None:
    states = [STATES[name]() for name in ("fine", "critical", "stale", "odd")]
    app = console(states[0])
    assert isinstance(app.feed, FakeFeed)
    async with app.run_test(size=WIDE) as pilot:
        shown = dashboard(app)
        views = []
        for state in states:
            app.feed.readings = state
            views.append(app.view)
        widgets = len(app.screen.query("*"))
        for number in range(2_000):
            # A hundred of one moment after each other, as within a second; then another state.
            shown.show(views[number // 100 % len(views)])
            if number % 500 == 0:
                await pilot.pause()
        await pilot.pause()
        assert len(app.screen.query("*")) == widgets
        gc.collect()
        alive = sum(type(o) is PanelView for o in gc.get_objects())
        assert alive == 6


async def test_below_a_dialog_everything_stands_still_and_is_of_now_again_at_once() -> None:
    app = console(fine())
    assert isinstance(app.feed, FakeFeed)
    async with app.run_test(size=WIDE) as pilot:
        below = dashboard(app)
        await pilot.press("v")
        await pilot.pause()
        app.feed.push(STATES["stale"]())
        app.refresh_view()
        await pilot.pause()
        # Were it drawn, Textual would paint the whole screen anew for every digit that changes.
        assert "?PRIMARY" not in below.panel(1).text
        assert "DEPLOYMENT DOWN" in screen_text(app)
        await pilot.press("escape")
        await pilot.pause()
        assert "?PRIMARY" in screen_text(app)
