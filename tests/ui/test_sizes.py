"""The smallest terminal that the console can be used in, and a large one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support.consolekit import console, screen_text
from support.states import STATES
from textual.pilot import Pilot

from mongo_dr_console.ui.app import ConsoleApp

SnapCompare = Callable[..., bool]

LEAST, LARGE = (60, 18), (200, 60)
LEAST_WORDS = ("✗ CRITICAL  MASS DELETE: crm.people", "RPO now 40s/1m", "RTO now ~41s/1h", "+5 more: v")
LARGE_WORDS = ("RTO now ~41s (16s to 2m3s) (target 1h)", "R restore  +5 more: v", "0badcafe", "gap of 12h53m")
TIME_WORDS = ("go to a", "before", "through", "═ covered", "✗ CRITICAL", "RPO now 40s")


def critical() -> ConsoleApp:
    return console(STATES["critical"]())


@pytest.mark.parametrize(
    ("size", "keys", "words"),
    [
        (LEAST, (), (*LEAST_WORDS, "(loses nothing).", "… 2 more: z", "5 Events", "6 Jobs")),
        (LARGE, (), LARGE_WORDS),
        (LEAST, ("R", "enter", "t"), TIME_WORDS),
        (LEAST, ("R", "enter", "t", "minus", "3", "0", "m"), (*TIME_WORDS, "Goes back", "(●) before")),
        (LARGE, ("R", "enter", "t"), (*TIME_WORDS, "▶ 2 What happened", "through: it is applied")),
    ],
    ids=["dashboard-least", "dashboard-large", "time-least", "time-typed-least", "time-large"],
)
def test_how_it_looks(
    snap_compare: SnapCompare, size: tuple[int, int], keys: tuple[str, ...], words: tuple[str, ...]
) -> None:
    async def there(pilot: Pilot[Any]) -> None:
        for key in keys:
            await pilot.press(key)
            await pilot.pause()
        text = screen_text(pilot.app)
        for word in words:
            assert word in text, f"{word!r} not in\n{text}"

    assert snap_compare(critical(), terminal_size=size, run_before=there)


@pytest.mark.parametrize("state", ["empty", "error", "odd", "stale"])
async def test_at_the_smallest_size_verdict_and_numbers_stay_and_every_screen_opens(state: str) -> None:
    app = console(STATES[state]())
    async with app.run_test(size=LEAST) as pilot:
        await pilot.pause()
        top = screen_text(app).splitlines()[:5]
        level = app.view.verdict.level
        assert f"{level.glyph} " in top[2] and level.word.lower() in top[2].lower()
        assert "RPO now" in top[1] and "RTO now" in top[1]
        for key in ("v", "question_mark", "colon", "J", "D", "N", "F", "4", "plus", "z", "R"):
            await pilot.press(key)
            await pilot.pause()
            await pilot.press("escape")
            await pilot.pause()
    assert app.failure is None
