"""How it looks: the status line, plain ASCII, no colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import cycle
from typing import Any

import pytest
from rich.cells import cell_len
from rich.color_triplet import ColorTriplet
from rich.style import Style
from support.consolekit import SIZES, WIDE, FakeDesk, console, screen_text
from support.readingkit import DOWN, reading, readings
from support.states import STATES
from support.wizardkit import plan
from textual.color import Color
from textual.pilot import Pilot

from mongo_dr_console.model.readings import Readings
from mongo_dr_console.ui import glyphs
from mongo_dr_console.ui.app import ConsoleApp, Options
from mongo_dr_console.ui.glyphs import ascii_only
from mongo_dr_console.ui.widgets.status_line import status_row

WORST = readings(environment="production", set=reading("set", None, error=DOWN))


@pytest.mark.parametrize("width", [80, 120])
def test_the_status_line_says_where_what_and_how_bad_in_whole_words(width: int) -> None:
    view = replace(console(WORST).view, armed_seconds=599.0, paused=True)
    text = status_row(view, width).text
    assert len(text) == width
    for word in ("PRODUCTION", "RESTORE", "ARMED 9:59", "PAUSED", "Z", "✗ CRITICAL"):
        assert word in text


def test_long_names_give_way_to_access_and_verdict() -> None:
    view = replace(console(replace(WORST, environment="e" * 200)).view, armed_seconds=3.0, paused=True)
    row = status_row(view, 80)
    assert row.width == 80
    assert "RESTORE │ ARMED 0:03 │ PAUSED" in row.text
    assert row.text.endswith("✗ CRITICAL ")


def test_an_armed_console_is_filled_with_the_environments_colour() -> None:
    calm = console().view
    assert {role for _, role in status_row(calm, 80).spans} == {"environment", "banner", "fine"}
    armed = replace(calm, armed_seconds=9.0)
    assert {role for _, role in status_row(armed, 80).spans} == {"environment", "armed"}


def opened(state: str, **options: Any) -> ConsoleApp:
    app = console(STATES[state](), options=Options(incidents={"lag": str}, **options))
    # It stays armed for exactly ten minutes: a countdown has no place in a picture.
    app.desk.access._clock = lambda: 0.0
    app.desk.access.arm()
    assert isinstance(app.desk, FakeDesk)
    app.desk.the_plan = plan()
    return app


WAYS: dict[str, tuple[str, ...]] = {
    "dashboard": (),
    "zoomed": ("4", "z"),
    "facts": ("v",),
    "palette": ("colon",),
    "help": ("question_mark",),
    "jobs": ("J",),
    "backup": ("B",),
    "preflight": ("R",),
    "what happened": ("R", "enter"),
    "at a time": ("R", "enter", "t"),
    "base": ("R", "enter", "c"),
    "scope": ("R", "enter", "enter"),
    "where to": ("R", "enter", "enter", "enter"),
    "plan": ("R", "enter", "enter", "enter", "enter"),
    "confirm": ("R", "enter", "enter", "enter", "enter", "enter"),
}


def foreign(readings: Readings) -> set[str]:
    """Signs that stand in what others named, and so may stand on the screen in any mode."""
    return {sign for sign in repr(readings) if not sign.isascii()}


@pytest.mark.slow
@pytest.mark.parametrize(("state", "size"), zip(STATES, cycle(SIZES), strict=False))
async def test_in_ascii_nothing_of_ours_is_anything_else(state: str, size: tuple[int, int]) -> None:
    allowed = foreign(STATES[state]())
    ways = WAYS if state in ("critical", "odd") else {"dashboard": (), "help": ("question_mark",)}
    for name, keys in ways.items():
        app = opened(state, ascii=True)
        async with app.run_test(size=size, notifications=True) as pilot:
            await walk(pilot, keys)
            odd = {sign for sign in screen_text(app) if not sign.isascii()} - allowed
            assert not odd, (name, odd)


async def walk(pilot: Pilot[Any], keys: Sequence[str]) -> None:
    for key in keys:
        await pilot.press(key)
        await pilot.pause()
    await pilot.pause()


def test_every_stand_in_is_as_wide_as_its_sign() -> None:
    for sign in map(chr, glyphs._ASCII):
        assert cell_len(ascii_only(sign)) == cell_len(sign) == 1, sign
        assert ascii_only(sign).isascii(), sign


NO_COLOUR_WORDS = {
    "fine": ("ok",),
    "warning": ("! warning", "ok"),
    "critical": ("CRITICAL", "! warning"),
    "stale": ("? unknown",),
    "error": ("CRITICAL", "? unknown"),
}


@pytest.mark.parametrize("size", SIZES, ids=["wide", "small"])
@pytest.mark.parametrize("state", NO_COLOUR_WORDS)
def test_without_colours_every_level_is_a_word(
    state: str, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch, snap_compare: Any
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = opened(state)
    assert app.no_color

    async def look(pilot: Pilot[Any]) -> None:
        await pilot.pause()
        text = screen_text(app)
        for word in NO_COLOUR_WORDS[state]:
            assert word in text
        assert {style.color.triplet for style in styles(app)} <= greys()

    assert snap_compare(app, terminal_size=size, run_before=look)


def styles(app: ConsoleApp) -> list[Style]:
    """Every style on the screen that has a colour, as it goes to the terminal."""
    rows = app.screen._compositor.render_strips()
    found = [segment.style for strip in rows for segment in strip if segment.style is not None]
    return [style for style in found if style.color is not None]


def greys() -> set[Any]:
    return {ColorTriplet(level, level, level) for level in range(256)}


@pytest.mark.parametrize("theme", ["light", "high-contrast", "colour-blind"])
async def test_a_theme_is_worn_from_the_start_and_changed_in_the_middle(theme: str) -> None:
    app = opened("critical", theme=theme)
    async with app.run_test(size=WIDE) as pilot:
        wanted = app.themes.found[theme].colours
        assert app.theme == theme
        assert app.screen.styles.background.hex.lower() == wanted.background.lower()
        app.run_command("theme", "dark")
        await pilot.pause()
        dark = app.themes.found["dark"].colours
        assert app.screen.styles.background.hex.lower() == dark.background.lower()


@pytest.mark.parametrize(
    ("environment", "named"), [("production", "production"), ("prod-eu1", "production"), ("x", "other")]
)
async def test_the_banner_has_its_environments_colour(environment: str, named: str) -> None:
    app = console(replace(WORST, environment=environment), environment=environment)
    app.desk.access.arm()
    async with app.run_test(size=WIDE) as pilot:
        await pilot.pause()
        wanted = Color.parse(app.themes.found["dark"].environments[named]).rich_color.triplet
        first = app.screen._compositor.render_strips()[0]
        grounds = {
            s.style.bgcolor.triplet for s in first if s.style is not None and s.style.bgcolor is not None
        }
        assert grounds == {wanted}
        assert "ARMED" in first.text
