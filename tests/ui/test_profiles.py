"""The list of profiles: a row each, whatever one of them does; enter goes into one, and Esc back."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.consolekit import SIZES, SMALL, FakeFeed, console, screen_text
from support.readingkit import LIMITS, NOW
from support.states import STATES
from support.terminal import Terminal
from textual.pilot import Pilot

from mongo_dr_console.model.level import Level
from mongo_dr_console.model.profilerow import profile_row
from mongo_dr_console.model.readings import Readings
from mongo_dr_console.ui.app import Options
from mongo_dr_console.ui.profiles import ProfilesApp, Watched

SnapCompare = Callable[..., bool]


def watched(name: str, state: str | None, environment: str = "production") -> Watched:
    known = Readings(name, environment) if state is None else replace(STATES[state](), profile=name)
    return Watched(name, environment, LIMITS, FakeFeed(replace(known, environment=environment)))


def several() -> list[Watched]:
    return [
        watched("billing", "fine"),
        watched("crm", "dropped"),
        watched("orders-eu-central-1", "critical"),
        watched("silent", None, "staging"),
        Watched("wrong", "test", LIMITS, None, "The profile's URI cannot be understood."),
    ]


def listed(*rows: Watched, **more: Any) -> ProfilesApp:
    return ProfilesApp(rows or several(), clock=lambda: NOW, **more)


@pytest.mark.parametrize("size", SIZES, ids=["wide", "small"])
def test_how_it_looks(snap_compare: SnapCompare, size: tuple[int, int]) -> None:
    async def on_a_bad_one(pilot: Pilot[Any]) -> None:
        await pilot.press("j", "j")
        words = screen_text(pilot.app)
        for word in ("5 profiles, 4 not well", "CRITICAL", "✓ billing", "! crm", "✗ orders-eu-c", "? silent"):
            assert word in words, word
        assert "MASS DELETE: crm.people at 10:50:00Z" in words and "loses nothing" in words

    assert snap_compare(listed(), terminal_size=size, run_before=on_a_bad_one)


async def test_enter_goes_into_the_one_under_the_cursor_and_the_list_begins_there_next_time() -> None:
    app = listed()
    async with app.run_test(size=SMALL) as pilot:
        await pilot.press("j", "enter")
        await pilot.pause()
    assert app.return_value == "crm"
    again = listed(at="crm")
    async with again.run_test(size=SMALL) as pilot:
        await pilot.pause()
        assert "▶ ! crm" in screen_text(again)
        await pilot.press("Q")
    assert again.return_value is None


async def test_a_row_follows_its_own_readings_and_r_asks_all() -> None:
    rows = several()
    app = listed(*rows)
    async with app.run_test(size=SMALL) as pilot:
        await pilot.pause()
        assert "? silent" in screen_text(app)
        feed = rows[3].feed
        assert isinstance(feed, FakeFeed)
        feed.push(replace(STATES["fine"](), profile="silent"))
        await pilot.pause()
        assert "✓ silent" in screen_text(app)
        await pilot.press("r")
        assert feed.refreshed == [None]


async def test_keys_that_were_moved_are_moved_here_too() -> None:
    rows = several()
    app = listed(*rows, keys={"refresh": "f5", "quit": "X", "nonsense": "y", "profiles.open": "space"})
    async with app.run_test(size=SMALL) as pilot:
        await pilot.pause()
        assert screen_text(app).splitlines()[-1].strip() == "space open  f5 ask all now  X leave"
        await pilot.press("r", "f5")
        assert rows[0].feed.refreshed == [None]  # type: ignore[union-attr]
        await pilot.press("X")
    assert app.return_value is None and not app.is_running


def test_a_row_says_verdict_rpo_rto_margin_and_age() -> None:
    row = profile_row(STATES["fine"](), LIMITS, NOW)
    assert row.level is Level.FINE
    assert row.cells == ("test", "production", "ok", "40s", "~41s", "1d3h", "<5s")
    later = profile_row(STATES["fine"](), LIMITS, NOW + timedelta(minutes=10))
    assert later.level is Level.UNKNOWN and later.cells[-1] == "10m"


async def test_esc_on_the_dashboard_goes_back_only_where_there_is_a_list() -> None:
    app = console(options=Options(listed=True))
    async with app.run_test(size=SMALL) as pilot:
        await pilot.press("z", "escape")
        await pilot.pause()
        assert app.is_running and not app.to_list, "the zoom is left first"
        await pilot.press("escape")
        await pilot.pause()
    assert app.to_list
    app = console()
    async with app.run_test(size=SMALL) as pilot:
        await pilot.press("escape")
        await pilot.pause()
        assert app.is_running and not app.to_list


PROFILES = """
[profiles.dead]
uri = "mongodb://127.0.0.1:1/?replicaSet=rs0"
environment = "production"
[profiles.hangs]
uri = "mongodb://10.255.255.1:1/?replicaSet=rs0"
environment = "staging"
"""


def test_in_a_terminal_into_one_and_back_and_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "config.toml"
    path.write_text(PROFILES, encoding="utf-8")
    path.chmod(0o600)
    monkeypatch.setenv("MDR_CONFIG", str(path))
    with Terminal([sys.executable, "-m", "mongo_dr_console", "console"], size=(80, 24)) as terminal:
        terminal.wait_for("2 profiles, 2 not well")
        # One is dead and says so at once. The other one hangs, which is known later, or has been by now.
        text = terminal.wait_for("DEPLOYMENT DOWN")
        assert "? hangs" in text or "✗ hangs" in text
        terminal.press("enter")
        terminal.wait_for("1 Set")
        assert "PRODUCTION" in terminal.text
        terminal.press("escape")
        terminal.wait_for("2 profiles, 2 not well")
        terminal.press("Q")
        assert terminal.wait() == 0
        assert "Traceback" not in terminal.text
