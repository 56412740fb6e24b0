"""A recording on the screen: where it stands, stepping, jumping, speed; and nothing of it in a live console.

The recording is an old one: made before there were readings of the stream, the topic, alerts and failovers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.consolekit import SIZES, SMALL, WIDE, FakeDesk, console
from support.readingkit import LIMITS
from test_alerts import named
from test_jobs import said, told, until
from textual.pilot import Pilot

from mongo_dr_console.config import Profile
from mongo_dr_console.ui.app import ConsoleApp, Options
from mongo_dr_console.ui.offers import command_offers
from mongo_dr_console.workers.recordings import read_recording
from mongo_dr_console.workers.replay import Replay

RECORDING = Path(__file__).parents[1] / "data" / "recording" / "run.jsonl"
COUNT, DROPPED, BEGAN = 245, 80, 181
KEYS = ("n", "p", "f", "b", "x")


class Timer:
    """Stands still unless a test lets time pass."""

    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def playing(path: Path = RECORDING, reports: tuple[str, ...] = ()) -> tuple[ConsoleApp, Replay, Timer]:
    timer = Timer()
    profile = Profile.model_validate({"uri": "mongodb://recording.invalid/", "environment": "practice"})
    feed = Replay("practice", "practice", read_recording(path).readings, timer=timer)
    options = Options(replayed=path, reports=reports)
    app = ConsoleApp(FakeDesk(profile, "watch"), feed, options, clock=feed.clock, limits=LIMITS)
    return app, feed, timer


async def looked_through(pilot: Pilot[Any]) -> None:
    assert isinstance(pilot.app, ConsoleApp)
    app = pilot.app
    await until(pilot, lambda: app.story is not None)


STATES: dict[str, tuple[tuple[str, ...], list[str]]] = {
    "start": ((), ["RECORDING", "reading 1 of 245", "event 0 of", "1x", "f step", "x speed"]),
    "dropped": (
        ("n",),
        ["reading 80 of 245", "event 1 of", "paused", "DATA DROPPED: shop.orders", "PAUSED"],
    ),
    "end": (("x", "n", "n", "n", "n", "n", "n"), ["10x", "restore ended: done", "reading 194 of 245"]),
}


@pytest.mark.parametrize("size", SIZES, ids=named)
@pytest.mark.parametrize("state", STATES)
def test_where_a_recording_stands(state: str, size: tuple[int, int], snap_compare: Any) -> None:
    keys, words = STATES[state]
    app, feed, _ = playing()

    async def look(pilot: Pilot[Any]) -> None:
        await looked_through(pilot)
        for key in keys:
            before = feed.position
            await pilot.press(key)
            if app.story is not None and (key == "x" or app.story.next_mark(before.number)):
                await until(pilot, lambda b=before: feed.position != b)
        app.clear_notifications()
        await until(pilot, lambda: all(word in said(pilot) for word in words))

    assert snap_compare(app, terminal_size=size, run_before=look)


async def test_a_jump_goes_to_what_happened_and_back_and_shows_the_screens_of_then() -> None:
    app, feed, _ = playing()
    async with app.run_test(size=WIDE) as pilot:
        await looked_through(pilot)
        await pilot.press("n")
        await until(pilot, lambda: feed.position.number == DROPPED)
        await until(pilot, lambda: "DATA DROPPED: shop.orders" in said(pilot))
        await until(pilot, lambda: "event 1 of" in said(pilot) and "the verdict changes: DATA" in said(pilot))
        assert feed.paused
        await pilot.press("n", "n")
        await until(pilot, lambda: feed.position.number == BEGAN)
        assert any("restore began" in h.text for h in app.happenings)
        await pilot.press("p", "p")
        await until(pilot, lambda: feed.position.number == DROPPED)
        assert not any("restore began" in h.text for h in app.happenings)
        await until(pilot, lambda: "restore began" not in said(pilot))
        await pilot.press("p")
        await until(pilot, lambda: "Nothing happened before this" in told(app))
        assert feed.position.number == DROPPED


async def test_a_step_is_one_reading_on_or_back_and_stands() -> None:
    app, feed, timer = playing()
    async with app.run_test(size=SMALL) as pilot:
        await pilot.press("f", "f", "f")
        await until(pilot, lambda: "reading 4 of 245" in said(pilot))
        await pilot.press("b")
        await until(pilot, lambda: "reading 3 of 245" in said(pilot))
        timer.seconds = 60.0
        await pilot.pause()
        assert feed.paused and feed.position.number == 3
        await pilot.press("b", "b", "b")
        await until(pilot, lambda: "This is the start of the recording" in told(app))
        feed.show(COUNT)
        await pilot.press("f")
        await until(pilot, lambda: "This is the end of the recording" in told(app))


async def test_space_lets_it_run_and_x_faster() -> None:
    app, feed, timer = playing()
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("space")
        await until(pilot, lambda: "paused" in said(pilot))
        number = feed.position.number
        await pilot.press("x", "x")
        await until(pilot, lambda: "60x" in said(pilot))
        timer.seconds = 1.0
        await pilot.press("space")
        assert feed.position.number == number
        timer.seconds = 1.5
        feed.go_at(60)
        await until(pilot, lambda: feed.position.number > DROPPED)
        await pilot.press("x")
        await until(pilot, lambda: "1x" in said(pilot) and feed.position.speed == 1)
        await pilot.press(":", *"replay-speed 10x", "enter")
        await until(pilot, lambda: feed.position.speed == 10)


async def test_other_screens_say_where_it_stands_too_and_ask_nobody() -> None:
    app, feed, _ = playing()
    async with app.run_test(size=SMALL) as pilot:
        await looked_through(pilot)
        for key, words in (("N", "RECORDING"), ("F", "RECORDING"), ("question_mark", "RECORDING")):
            feed.show(DROPPED)
            await pilot.press(key)
            await until(pilot, lambda w=words: f"{w}" in said(pilot) and f"{DROPPED}/{COUNT}" in said(pilot))
            await pilot.press("f")
            await until(pilot, lambda: f"{DROPPED + 1}/{COUNT}" in said(pilot))
            await pilot.press("escape")
        assert isinstance(app.desk, FakeDesk) and app.desk.asked == [] and app.desk.done == []


async def test_its_commands_are_offered_in_a_recording_and_nowhere_else() -> None:
    app, _, _ = playing()
    names = {"replay-next", "replay-previous", "replay-step", "replay-back", "replay-speed"}
    async with app.run_test(size=WIDE) as pilot:
        assert names <= {o.name for o in command_offers(app)}
        await pilot.press("question_mark")
        await until(pilot, lambda: "Recording" in said(pilot) or app.screen.is_active)
        await pilot.press("escape")
    live = console()
    async with live.run_test(size=WIDE) as pilot:
        assert not names & {o.name for o in command_offers(live)}
        await pilot.press(*KEYS)
        await pilot.pause()
        assert told(live) == "" and live.failure is None


async def test_a_live_console_may_give_those_keys_to_others() -> None:
    live = console(options=Options(keys={"refresh": "f5", "replay-next": "f6"}))
    async with live.run_test(size=WIDE) as pilot:
        await pilot.press("f5", "f6")
        await pilot.pause()
        assert live.feed.refreshed == [None] and told(live) == ""  # type: ignore[attr-defined]


async def test_what_could_not_be_read_is_said() -> None:
    app, _, _ = playing(reports=("3 lines of this recording cannot be read and are left out.",))
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, lambda: "3 lines of this recording" in told(app))


async def test_a_bundle_is_made_by_a_key_and_says_where_it_is_and_what_it_lacks() -> None:
    app = console(access="watch")
    async with app.run_test(size=SMALL) as pilot:
        await pilot.press("I")
        await until(pilot, lambda: "Written: /state/bundles/b.tar.gz" in told(app))
        assert "Missing: holds of store s3" in told(app)
        assert isinstance(app.desk, FakeDesk) and app.desk.asked == [("bundle",)]
    recorded, _, _ = playing()
    async with recorded.run_test(size=SMALL) as pilot:
        await pilot.press("I")
        await until(pilot, lambda: "This is a recording" in told(recorded))
        assert isinstance(recorded.desk, FakeDesk) and recorded.desk.asked == []
