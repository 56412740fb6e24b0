"""Help: every key that does something here, what the console costs, where its files lie."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from support.consolekit import SIZES, SMALL, WIDE, console, screen_text
from support.readingkit import DOWN, NOW, reading, readings, set_status
from support.states import STATES
from support.wizardkit import wizard_console
from textual.pilot import Pilot

from mongo_dr_console import __version__
from mongo_dr_console.ui.app import ConsoleApp, Options
from mongo_dr_console.ui.helptext import cost_lines, offer_groups, place_lines
from mongo_dr_console.ui.lines import Line
from mongo_dr_console.ui.offers import Offer, offers
from mongo_dr_console.ui.panels import HELP as PANELS
from mongo_dr_console.ui.screens.help import Help
from mongo_dr_console.ui.widgets.lines_view import LinesView


def text(lines: list[Line]) -> str:
    return "\n".join(line.text for line in lines)


def said(app: ConsoleApp) -> str:
    return app.screen.query_one("#said", LinesView).text


@pytest.mark.parametrize("width", [78, 118])
def test_a_key_its_name_and_the_whole_sentence_stand_there(width: int) -> None:
    why = "This console only watches: start it with --operate or --allow-restore."
    known = [
        Offer("refresh", "r", "Ask every source now.", "", "Console", lambda: None),
        Offer("arm", "A", "Arm for ten minutes, after a question; disarm at once.", why, "Console", print),
        Offer("theme light", "", "Wear it.", "", "Console", lambda: None),
    ]
    lines = offer_groups(known, width)
    assert all(line.width <= width for line in lines)
    whole = " ".join(text(lines).split())
    assert "r refresh Ask every source now." in whole
    for word in why.split():
        assert word in whole
    assert "theme light" not in whole


def test_the_cost_says_how_often_each_source_is_asked() -> None:
    asked = reading(
        "set", set_status(), next_try=NOW + timedelta(seconds=1.995), took=timedelta(milliseconds=5)
    )
    failed = reading("oplog", None, error=DOWN, attempt=7, next_try=NOW + timedelta(seconds=9.995))
    lines = text(cost_lines(readings(set=asked, oplog=failed), NOW, 118))
    assert "What the console costs" in lines
    assert "set" in lines and "2s" in lines and "5 ms" in lines
    assert "attempt 7" in lines
    assert "36 questions a minute" in lines
    assert "store:local" in lines


def test_before_the_first_answer_there_is_no_cost() -> None:
    nothing = replace(readings(), set=None, oplog=None, stores={}, coverage=None, jobs=None)
    for name in ("events", "lock"):
        if hasattr(nothing, name):
            nothing = replace(nothing, **{name: None})
    assert "No source has answered yet." in text(cost_lines(nothing, NOW, 78))


def test_long_places_go_on_below() -> None:
    lines = place_lines({"config": "/" + "x" * 100 + "/config.toml"}, 60)
    assert all(line.width <= 60 for line in lines)


@pytest.mark.parametrize("size", SIZES)
async def test_every_key_of_the_screen_below_is_there(size: tuple[int, int]) -> None:
    app = console()
    async with app.run_test(size=size) as pilot:
        below = offers(app, app.screen)
        await pilot.press("question_mark")
        await pilot.pause()
        assert isinstance(app.screen, Help)
        for offer in below:
            if offer.keys:
                assert offer.text.split()[-1] in said(app), offer.name
                assert set(offer.keys.split()) <= set(said(app).split()), offer.keys
        assert __version__ in said(app)
        assert str(app.desk.config_file) in said(app)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        *((str(n), PANELS[n]) for n in PANELS),
        ("R", "each finding with its remedy"),
        ("R enter t", "A time with its offset"),
        ("R enter t", "leave an event out and keep what was written since"),
        ("N", "What the agent warns of, who is told, what is silenced."),
    ],
)
async def test_it_is_about_what_has_the_focus(keys: str, words: str) -> None:
    app = wizard_console()
    async with app.run_test(size=WIDE) as pilot:
        for key in keys.split():
            await pilot.press(key)
            await pilot.pause()
        await pilot.press("f1")
        await pilot.pause()
        assert words in " ".join(said(app).split())


async def test_a_key_that_runs_a_command_says_what_that_does_and_why_not_now() -> None:
    app = console(access="operate")
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("N")
        own, command = {o.name: o for o in offers(app, app.screen)}["alerts.ack"], app.commands["alert-ack"]
        assert (own.text, own.refusal) == (command.help, app.refusal(command))
        assert "not armed" in own.refusal


@pytest.mark.parametrize("key", ["escape", "question_mark", "f1", "q"])
async def test_it_is_left_by_the_key_that_opened_it_too(key: str) -> None:
    app = console()
    async with app.run_test(size=SMALL) as pilot:
        await pilot.press("f1")
        assert isinstance(app.screen, Help)
        await pilot.press(key)
        assert not isinstance(app.screen, Help)


async def test_it_can_be_read_to_its_end_by_keys() -> None:
    app = console()
    async with app.run_test(size=SMALL) as pilot:
        await pilot.press("question_mark", "end")
        await pilot.pause()
        assert "themes" in screen_text(app)
        await pilot.press("home")
        await pilot.pause()
        assert "This screen" in screen_text(app)


async def test_keys_that_were_moved_are_shown_where_they_are() -> None:
    app = console(options=Options(keys={"refresh": "f5"}))
    async with app.run_test(size=WIDE) as pilot:
        found = {o.name: o for o in offers(app, app.screen)}
        assert found["refresh"].keys == "f5"
        await pilot.press("f5")
        assert app.feed.refreshed == [None]
        await pilot.press("r")
        assert app.feed.refreshed == [None]


async def test_the_dashboard_names_keys_as_they_were_moved() -> None:
    app = console(STATES["critical"](), options=Options(keys={"dashboard.zoom": "m", "facts": "f9"}))
    async with app.run_test(size=(60, 18)) as pilot:
        await pilot.pause()
        shown = screen_text(app)
        assert "more: f9" in shown and "more: v" not in shown
        assert ": m" in shown and ": z" not in shown


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"refreshh": "x"}, "there is no such command"),
        ({"refresh": "hyperspace"}, "is no key"),
        ({"refresh": ""}, "is no key"),
        ({"refresh": "Q"}, "is the key of 'quit'"),
    ],
)
async def test_a_wrong_key_is_reported_and_left_out(keys: dict[str, str], words: str) -> None:
    app = console(options=Options(keys=keys))
    async with app.run_test(size=WIDE, notifications=True) as pilot:
        assert any(words in n.message for n in app._notifications)
        await pilot.press("r")
        assert app.feed.refreshed == [None]


@pytest.mark.parametrize("size", SIZES)
def test_how_it_looks(size: tuple[int, int], snap_compare: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    # What differs from machine to machine has no place in a picture.
    monkeypatch.setattr("mongo_dr_console.ui.screens.help._places", lambda app: {"version": "test"})
    app = console()

    async def look(pilot: Pilot[Any]) -> None:
        await pilot.press("question_mark")
        await pilot.pause()
        text = screen_text(app)
        assert "This screen" in text
        assert "RESTORE" in text.splitlines()[0]

    assert snap_compare(app, terminal_size=size, run_before=look)
