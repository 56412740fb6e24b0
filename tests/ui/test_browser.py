"""Operations around a position, one document's history, and the ways from there back to the wizard."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from support.consolekit import SIZES, SMALL, WIDE, FakeFeed, console
from support.entrykit import Oplog, Recorded
from support.states import LONG, RTL, event, events
from support.wizardkit import desk_of, incident, wizard_of
from test_jobs import said, told, until
from textual.pilot import Pilot
from textual.widgets import Input

from mongo_dr_console.model.event import Event, EventSelector
from mongo_dr_console.model.operationpage import OperationPage, Way
from mongo_dr_console.model.position import Bound
from mongo_dr_console.model.trouble import Unreachable
from mongo_dr_console.model.wizard import Step
from mongo_dr_console.ui.app import ConsoleApp
from mongo_dr_console.ui.screens.dashboard import Dashboard
from mongo_dr_console.ui.screens.document import DocumentScreen
from mongo_dr_console.ui.screens.operation import OperationScreen
from mongo_dr_console.ui.screens.operations import OperationsScreen
from mongo_dr_console.ui.screens.wanted import BringBackDialog, DocumentDialog, PositionDialog
from mongo_dr_console.ui.widgets.operation_rows import OperationRows
from mongo_dr_console.ui.wizard.screen import WizardScreen

ODD = f"db[/].a{RTL}[red]"
SECRET = "jane@example.com"


def written() -> Oplog:
    """Inserts, a mass delete in their middle, a transaction, odd names."""
    oplog = Oplog()
    for number in range(60):
        oplog.insert("shop.orders", number)
        oplog.wait(1)
    oplog.update("shop.orders", 7, {"u": {"paid": True}})
    oplog.put("i", "crm.people", {"_id": SECRET, "name": "Jane Roe", "age": 41})
    for number in (7, 8):
        oplog.delete("shop.orders", number)
    oplog.transaction(b"s" * 16, [("i", "shop.carts", {"_id": 1}), ("d", "shop.carts", {"_id": 2})])
    oplog.put("i", ODD, {"_id": f"x{RTL}[bold]", f"k[/]{RTL}": LONG})
    oplog.drop("shop.orders")
    oplog.insert("shop.new", 1)
    return oplog


OPLOG = written()
DELETED = OPLOG.positions[62]


def deletion() -> Event:
    """The event of the two deletes."""
    first, last = OPLOG.positions[62], OPLOG.positions[63]
    own = EventSelector(first=first, last=last, op="d", namespaces=("shop.orders",))
    facts: dict[str, Any] = {"position": first, "last": last, "time": first.time, "selector": own}
    return event("de1e7ed0", 0, "shop.orders", "mass-delete", 2, **facts)


def of(*found: Event, **options: Any) -> ConsoleApp:
    app = console(incident(events=events(*found)), **options)
    desk_of(app).oplog = Recorded(OPLOG)
    return app


async def around(pilot: Pilot[Any], *words: str) -> OperationsScreen:
    screen = OperationsScreen(DELETED)
    await pilot.app.push_screen(screen)
    await until(pilot, lambda: all(word in said(pilot) for word in (*words, "▶")))
    return screen


def rows_of(app: ConsoleApp) -> OperationRows:
    return app.screen.query_one(OperationRows)


def cursor(app: ConsoleApp) -> str:
    """The operation under the cursor, in short."""
    chosen = rows_of(app).chosen
    assert chosen is not None
    return f"{chosen.operation.op} {chosen.operation.namespace} {chosen.operation.document_id}"


# How it looks


@pytest.mark.parametrize("size", SIZES, ids=["wide", "small"])
def test_the_operations_around_a_position(size: tuple[int, int], snap_compare: Any) -> None:
    async def look(pilot: Pilot[Any]) -> None:
        await around(pilot, "Operations around", f"position {DELETED}", "txn delete", "drop", "newest by now")

    assert snap_compare(of(), terminal_size=size, run_before=look)


@pytest.mark.parametrize("size", SIZES, ids=["wide", "small"])
def test_their_values_hidden(size: tuple[int, int], snap_compare: Any) -> None:
    async def look(pilot: Pilot[Any]) -> None:
        await around(pilot, "txn delete")
        await pilot.press("x")
        await until(pilot, lambda: "values are hidden" in said(pilot) and "<string>" in said(pilot))
        assert SECRET not in said(pilot) and "Jane" not in said(pilot)

    assert snap_compare(of(), terminal_size=size, run_before=look)


@pytest.mark.parametrize("by", ["config", "environment"])
async def test_what_is_hidden_for_good_no_key_shows(by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    app = of(redact=by == "config")
    if by == "environment":
        monkeypatch.setenv("MDR_REDACT", "1")
    async with app.run_test(size=WIDE) as pilot:
        await around(pilot, "txn delete", "values are hidden", "<string>")
        await pilot.press("x")
        app.run_command("hide-values")
        await until(pilot, lambda: "stay hidden" in told(app))
        await pilot.press("enter")
        await until(pilot, lambda: "values are hidden" in said(pilot) and '"ns"' in said(pilot))
        await pilot.press("x")
        assert SECRET not in said(pilot) and "Jane" not in said(pilot)


@pytest.mark.parametrize("size", SIZES, ids=["wide", "small"])
def test_one_operation_whole(size: tuple[int, int], snap_compare: Any) -> None:
    async def look(pilot: Pilot[Any]) -> None:
        await around(pilot)
        await pilot.press("up", "enter")
        await until(pilot, lambda: '"$numberInt": "41"' in said(pilot) and "insert crm.people" in said(pilot))

    assert snap_compare(of(), terminal_size=size, run_before=look)


@pytest.mark.parametrize("size", SIZES, ids=["wide", "small"])
def test_the_history_of_a_document(size: tuple[int, int], snap_compare: Any) -> None:
    async def look(pilot: Pilot[Any]) -> None:
        await pilot.app.push_screen(DocumentScreen("shop.orders", (7,)))
        words = ("shop.orders _id=7", "insert", "update", "paid", "delete", "drop", "the oldest there is")
        await until(pilot, lambda: all(word in said(pilot) for word in (*words, "▶")))

    assert snap_compare(of(), terminal_size=size, run_before=look)


@pytest.mark.parametrize("known", [True, False], ids=["event", "none"])
def test_what_bringing_back_means(known: bool, snap_compare: Any) -> None:
    words = ("merge", "not overwritten") if known else ("part of no mass delete", "Nothing live is touched")

    async def look(pilot: Pilot[Any]) -> None:
        await around(pilot)
        await pilot.press("u")
        await until(pilot, lambda: isinstance(pilot.app.screen, BringBackDialog))
        shown = " ".join(said(pilot).replace("│", " ").split())
        assert all(word in shown for word in (*words, "Open the wizard", "Nothing is changed before")), shown

    assert snap_compare(of(*([deletion()] if known else [])), terminal_size=SMALL, run_before=look)


@pytest.mark.parametrize("size", SIZES, ids=["wide", "small"])
def test_where_nothing_answers_it_is_said(size: tuple[int, int], snap_compare: Any) -> None:
    app = of()
    desk_of(app).failing["operations"] = Unreachable("x", f"No member[/] answers.{RTL}", "Look at it.")

    async def look(pilot: Pilot[Any]) -> None:
        await pilot.app.push_screen(OperationsScreen(DELETED))
        await until(pilot, lambda: "? No member[/] answers.\\u202e Look at it." in said(pilot))

    assert snap_compare(app, terminal_size=size, run_before=look)


# How one gets there, and around


async def test_from_an_event_of_the_dashboard() -> None:
    app = of(deletion())
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("5", "O")
        await until(pilot, lambda: isinstance(app.screen, OperationsScreen) and "▶" in said(pilot))
        assert cursor(app) == "d shop.orders 7"


async def test_from_a_position_that_is_typed_and_read_before_it_is_taken() -> None:
    app = of()
    async with app.run_test(size=SMALL) as pilot:
        await pilot.press("1", "O")
        await until(pilot, lambda: isinstance(app.screen, PositionDialog))
        field = app.screen.query_one(Input)
        field.value = "yesterday"
        await pilot.press("enter")
        await until(pilot, lambda: "! " in said(pilot) and "A time is" in said(pilot))
        field.value = str(DELETED)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, OperationsScreen) and "▶" in said(pilot))
        assert cursor(app) == "d shop.orders 7"


async def test_shown_between_the_two_readings_the_cursor_comes_to_the_position_all_the_same() -> None:
    app = of()
    desk, between, go_on = desk_of(app), threading.Event(), threading.Event()
    read = desk.operations

    def held(position: Any, way: Way, *more: Any) -> OperationPage:
        if way == "after":
            between.set()
            assert go_on.wait(60)
        return read(position, way, *more)

    desk.operations = held  # type: ignore[method-assign]
    async with app.run_test(size=WIDE) as pilot:
        await pilot.app.push_screen(OperationsScreen(DELETED))
        await until(pilot, between.is_set)
        assert isinstance(app.feed, FakeFeed)
        app.feed.push(app.feed.readings)
        await until(pilot, lambda: "02:10:59" in said(pilot))
        go_on.set()
        await until(pilot, lambda: "txn delete" in said(pilot))
        chosen = rows_of(app).chosen
        assert chosen is not None and chosen.operation.position == DELETED


async def test_it_pages_both_ways_and_the_cursor_stays() -> None:
    app = of()
    async with app.run_test(size=SMALL) as pilot:
        screen = await around(pilot)
        before = len(screen._window.found)
        assert not screen._window.oldest
        await pilot.press("p")
        await until(pilot, lambda: screen._window.oldest and not screen._asking)
        assert len(screen._window.found) > before and cursor(app) == "d shop.orders 7"
        await pilot.press("g")
        assert cursor(app) == "i shop.orders 0"
        more = written()
        more.insert("shop.new", 2)
        desk_of(app).oplog = Recorded(more)
        await pilot.press("n")
        await until(pilot, lambda: len(screen._window.found) == len(more.entries) + 1)
        await pilot.press("G")
        assert cursor(app) == "i shop.new 2"


async def test_the_filter_reads_anew_and_escape_takes_it_away_first() -> None:
    app = of()
    async with app.run_test(size=SMALL) as pilot:
        screen = await around(pilot)
        await pilot.press("slash", *"crm", "enter")
        await until(pilot, lambda: " in crm" in said(pilot) and not screen._asking)
        assert {f.operation.database for f in screen._window.found} == {"crm"}
        assert rows_of(app).has_focus
        await pilot.press("escape")
        await until(pilot, lambda: " in crm" not in said(pilot) and not screen._asking)
        assert app.screen is screen and len(screen._window.found) > 50
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, Dashboard))


# What is done from there


@pytest.mark.parametrize(("key", "bound"), [("b", Bound.BEFORE), ("t", Bound.THROUGH)])
async def test_the_position_is_given_to_a_wizard_that_is_opened(key: str, bound: Bound) -> None:
    app = of()
    async with app.run_test(size=SMALL) as pilot:
        await around(pilot)
        await pilot.press(key)
        await until(pilot, lambda: isinstance(app.screen, WizardScreen))
        state = wizard_of(app).state
        assert (state.way, state.text, state.bound) == ("time", str(DELETED), bound)
        assert desk_of(app).done == []


async def test_the_wizards_limit_is_looked_at_and_another_one_taken_back_to_it() -> None:
    app = of(deletion())
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("R")
        await until(pilot, lambda: isinstance(app.screen, WizardScreen))
        wizard = wizard_of(app)
        await pilot.press("enter")
        await until(pilot, lambda: wizard.step is Step.WHEN)
        await until(pilot, lambda: wizard.state.event is not None)
        await pilot.press("o")
        await until(pilot, lambda: isinstance(app.screen, OperationsScreen) and "▶" in said(pilot))
        await pilot.press("down", "enter")
        await until(pilot, lambda: isinstance(app.screen, OperationScreen))
        await pilot.press("t")
        await until(pilot, lambda: app.screen is wizard)
        state = wizard.state
        assert (state.way, state.text, state.bound) == ("time", str(OPLOG.positions[63]), Bound.THROUGH)
        await until(pilot, lambda: wizard.query_one("#time", Input).value == str(OPLOG.positions[63]))
        await pilot.press("escape", "enter", "tab")
        app.run_command("operations")
        await until(pilot, lambda: isinstance(app.screen, OperationsScreen) and "▶" in said(pilot))
        await pilot.press("u")
        await until(pilot, lambda: isinstance(app.screen, BringBackDialog))
        app.screen.query_one("#do").focus()
        await pilot.press("enter")
        await until(pilot, lambda: app.screen is wizard and wizard.step is Step.WHEN)
        assert wizard.state.mode in ("merge", "beside") and wizard.state.scope_chosen


@pytest.mark.parametrize("known", [True, False], ids=["event", "none"])
async def test_bringing_back_opens_the_wizard_after_a_question_and_changes_nothing(known: bool) -> None:
    app = of(*([deletion()] if known else []))
    async with app.run_test(size=SMALL) as pilot:
        await around(pilot)
        await pilot.press("d")
        await until(pilot, lambda: isinstance(app.screen, DocumentScreen) and "▶" in said(pilot))
        # On the delete, one before the drop.
        await pilot.press("up", "u")
        await until(pilot, lambda: isinstance(app.screen, BringBackDialog))
        assert app.focused is app.screen.query_one("#cancel")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, DocumentScreen))
        await pilot.press("u")
        await until(pilot, lambda: isinstance(app.screen, BringBackDialog))
        app.screen.query_one("#do").focus()
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, WizardScreen))
        state = wizard_of(app).state
        assert state.scope.patterns == ("shop.orders",)
        if known:
            assert state.mode == "merge" and state.event is not None and state.event.id == "de1e7ed0"
        else:
            assert (state.mode, state.text, state.bound) == ("beside", str(DELETED), Bound.BEFORE)
        assert desk_of(app).done == []


async def test_a_document_is_asked_for_by_collection_and_id() -> None:
    app = of()
    async with app.run_test(size=SMALL) as pilot:
        await pilot.press(":", *"document", "enter")
        await until(pilot, lambda: isinstance(app.screen, DocumentDialog))
        await pilot.press(*"shop.orders", "enter", "enter")
        await until(pilot, lambda: "Say the _id." in said(pilot))
        await pilot.press("7", "enter")
        await until(pilot, lambda: isinstance(app.screen, DocumentScreen) and "▶" in said(pilot))
        assert [f.operation.op for f in app.screen._found.found] == ["i", "u", "d", "c"]  # type: ignore[union-attr]


async def test_a_command_is_about_no_document() -> None:
    app = of()
    async with app.run_test(size=SMALL) as pilot:
        await around(pilot)
        await pilot.press("G", "up", "d")
        await until(pilot, lambda: "about no single document" in told(app))
        assert isinstance(app.screen, OperationsScreen)
