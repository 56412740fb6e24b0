"""The wizard by keys, at both sizes: nothing is started by a slip, and what was read is what is started."""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from support.consolekit import SIZES, SMALL, answered, screen_text
from support.readingkit import reading
from support.states import STATES, error, event
from support.wizardkit import DELETE, DROP, desk_of, incident, namespace, plan, wizard_console, wizard_of
from textual import events
from textual.pilot import Pilot
from textual.widgets import Button, Input

from mongo_dr_console.model.plan import Hazard, Intent, Plan
from mongo_dr_console.model.position import Bound, Limit
from mongo_dr_console.model.trouble import Refused
from mongo_dr_console.model.wizard import Base, Step, limit_of
from mongo_dr_console.ui.app import ConsoleApp
from mongo_dr_console.ui.screens.dashboard import Dashboard
from mongo_dr_console.ui.screens.job import JobScreen
from mongo_dr_console.ui.widgets.strip_view import StripView
from mongo_dr_console.ui.widgets.typed_field import TypedField
from mongo_dr_console.ui.wizard.bases import BasesScreen
from mongo_dr_console.ui.wizard.screen import WizardScreen, open_wizard
from mongo_dr_console.workers.desk import Target

both_sizes = pytest.mark.parametrize("size", SIZES, ids=("wide", "small"))
TO_EVENT = ("R", "enter", "down", "enter")
"""Up to the drop being chosen, with the focus on how to undo it."""
TO_PLAN = (*TO_EVENT, "enter", "enter", "enter")
TO_CONFIRM = (*TO_PLAN, "enter")
CONFIRM = "test/rs0/shop.orders"


@asynccontextmanager
async def walk(
    *keys: str, app: ConsoleApp | None = None, size: tuple[int, int] = SMALL, armed: bool = False
) -> AsyncIterator[tuple[ConsoleApp, Pilot[Any]]]:
    app = app or wizard_console()
    async with app.run_test(size=size) as pilot:
        if armed:
            app.desk.access.arm()
        await press(pilot, *keys)
        yield app, pilot


async def press(pilot: Pilot[Any], *keys: str) -> None:
    """A key at a time, each with what it asks the desk for."""
    for key in keys:
        await pilot.press(key)
        if any(not worker.is_finished for worker in pilot.app.workers):
            await answered(pilot)
    await answered(pilot)


def letters(text: str) -> Sequence[str]:
    return tuple(text)


def typed(app: ConsoleApp) -> TypedField:
    return app.screen.query_one(TypedField)


def restore_button(app: ConsoleApp) -> Button:
    return app.screen.query_one("#restore", Button)


def shows(app: ConsoleApp, *words: str) -> None:
    """Each stands there whole, whatever line it is broken over."""
    text = screen_text(app).replace("│", " ")
    flat = " ".join(text.split())
    missing = [w for w in words if w not in text and w not in flat]
    assert not missing, f"{missing} not in\n{text}"


@both_sizes
async def test_each_step_shows_what_it_is_for(size: tuple[int, int]) -> None:
    async with walk("R", size=size) as (app, pilot):
        shows(app, "1 Preflight", "6 Confirm", "connection: This is test/rs0.", "RPO now", "[ Next ]")
        await press(pilot, "enter")
        shows(app, "undo an event", "drop", "shop.orders", "40,000", "mass-delete", "Base", "Lost")
        await press(pilot, "down", "enter")
        shows(
            app, "(●) leave it out, keep later writes (skip)", "20261122_004640 in local", "Nothing is lost"
        )
        await press(pilot, "enter")
        shows(app, "[x]   orders", "40,000 documents", "[-] shop", "1 ticked")
        await press(pilot, "enter")
        shows(app, "(●) swap", "in-place", "beside", "undo puts them back")
        await press(pilot, "enter")
        shows(app, "PLAN 51a2b3c4", "nothing has been changed", "later writes are kept")
        await press(pilot, "enter")
        shows(app, "Restore plan 51a2b3c4", "not armed", "[▶Cancel◀]", "[ Arm ]")
        assert app.desk.access.armed_seconds is None and desk_of(app).done == []


@both_sizes
async def test_back_is_always_free_and_keeps_what_was_chosen(size: tuple[int, int]) -> None:
    async with walk(*TO_CONFIRM, size=size) as (app, pilot):
        before = wizard_of(app).state
        for step in (Step.PLAN, Step.WHERE, Step.SCOPE, Step.WHEN, Step.PREFLIGHT):
            await press(pilot, "escape")
            assert wizard_of(app).step is step
        assert wizard_of(app).state == before
        await press(pilot, "escape")
        assert isinstance(app.screen, Dashboard)
        assert desk_of(app).done == []


async def test_the_buttons_do_what_the_keys_do() -> None:
    async with walk("R") as (app, pilot):
        await pilot.click("#next")
        await answered(pilot)
        assert wizard_of(app).step is Step.WHEN
        await pilot.click("#back")
        await answered(pilot)
        assert wizard_of(app).step is Step.PREFLIGHT


async def test_a_second_wizard_is_not_opened() -> None:
    async with walk("R", "R") as (app, _):
        assert sum(isinstance(s, WizardScreen) for s in app.screen_stack) == 1
        open_wizard(app, event=DROP.id)
        assert sum(isinstance(s, WizardScreen) for s in app.screen_stack) == 1


async def test_it_can_be_opened_at_an_event_and_at_a_snapshot() -> None:
    async with walk() as (app, pilot):
        open_wizard(app, event=DROP.id)
        await answered(pilot)
        await press(pilot, "enter", "enter")
        assert wizard_of(app).step is Step.SCOPE and wizard_of(app).state.event == DROP
        await press(pilot, "escape", "escape", "escape")
        open_wizard(app, snapshot=("20261122_020140", "local"))
        await answered(pilot)
        await press(pilot, "enter", "enter")
        state = wizard_of(app).state
        assert (state.way, state.base) == ("snapshot", Base("20261122_020140", "local"))


async def test_at_a_changed_user_it_is_opened_for_the_time_before_since_nothing_can_be_left_out() -> None:
    changed = event(
        "eeeeeeee", 600, "admin.system.users", "user-change", 0, detail="user shop.app was dropped"
    )
    async with walk(app=wizard_console(incident(DROP, changed))) as (app, pilot):
        open_wizard(app, event=changed.id)
        await answered(pilot)
        state = wizard_of(app).state
        assert (state.way, state.text, state.bound) == ("time", "event:eeeeeeee", Bound.BEFORE)
        assert wizard_of(app).known.undoable == (DROP,)
        assert limit_of(state, wizard_of(app).known) == Limit(changed.position, Bound.BEFORE)


async def test_what_is_critical_does_not_keep_anybody_from_a_plan() -> None:
    from mongo_dr_console.model.finding import Finding
    from mongo_dr_console.model.level import Level

    app = wizard_console()
    desk_of(app).findings = [Finding(Level.CRITICAL, "x", "lock", "Somebody has it.", "Ask him.")]
    async with walk("R", app=app) as (app, pilot):
        shows(app, "✗ CRITICAL", "Somebody has it.", "→ Ask him.", "A plan can be made and read all the same")
        await press(pilot, "enter")
        assert wizard_of(app).step is Step.WHEN


class TestWhatHappened:
    async def test_no_step_further_without_an_event(self) -> None:
        async with walk("R", "enter", "shift+tab", "enter") as (app, _):
            assert wizard_of(app).step is Step.WHEN
            shows(app, "No event is chosen yet")

    @both_sizes
    async def test_wrong_text_is_told_at_once_and_goes_no_further(self, size: tuple[int, int]) -> None:
        async with walk("R", "enter", "t", *letters("2026-11-18T11:00:00"), size=size) as (app, pilot):
            shows(app, "has no offset", "write 2026-11-18T11:00:00Z")
            await press(pilot, "enter")
            assert wizard_of(app).step is Step.WHEN
            await press(pilot, "Z")
            shows(app, "before the start of 2026-11-18T11:00:00Z, 6m40s ago", "Goes back 6m40s")
            await press(pilot, "enter")
            assert wizard_of(app).step is Step.SCOPE

    async def test_through_says_so(self) -> None:
        async with walk("R", "enter", "t", *letters("-10m"), "tab", "right") as (app, _):
            shows(app, "(●) through: it is applied", "through the last operation of")
            assert wizard_of(app).state.bound is Bound.THROUGH

    async def test_the_strip_gives_a_position_and_skips_a_gap_saying_why(self) -> None:
        from support.readingkit import NOW, live, oplog, snapshot, store

        from mongo_dr_console.model import coverage as covering

        held = (snapshot(7000, name="20261118_091000"), snapshot(1800, name="20261118_103640"))
        cover = covering.build(held, live(3600, *held), now=NOW, oplog=oplog())
        seen = incident(
            coverage=reading("coverage", cover), stores={"store:local": reading("store:local", store(*held))}
        )
        app = wizard_console(seen)
        async with walk("R", "enter", "t", "shift+tab", "home", app=app) as (app, pilot):
            assert isinstance(app.focused, StripView)
            await press(pilot, "right")
            shows(app, "Skipped the gap from 09:10:00Z to 10:36:40Z.", "oplog that followed is gone")
            await press(pilot, "enter")
            field = app.screen.query_one("#time", Input)
            assert field.has_focus and field.value
            assert wizard_of(app).state.text == field.value

    async def test_the_base_is_proposed_and_can_be_changed_but_not_to_one_that_ends_too_late(self) -> None:
        async with walk(*TO_EVENT, "c") as (app, pilot):
            assert isinstance(app.screen, BasesScreen)
            await press(pilot, "up", "enter")
            shows(app, "It cannot be the base", "the limit is earlier")
            await press(pilot, "down", "enter")
            state = wizard_of(app).state
            assert (state.base, state.base_chosen) == (Base("20261122_004640", "local"), True)

    async def test_what_was_typed_is_still_there_after_another_way(self) -> None:
        async with walk("R", "enter", "t", *letters("-10m"), "shift+tab", "e", "t") as (app, _):
            assert app.screen.query_one("#time", Input).value == "-10m"

    async def test_later_readings_move_neither_focus_nor_cursor(self) -> None:
        async with walk("R", "enter", "down") as (app, pilot):
            focused = app.focused
            app.feed.push(
                incident(DROP, DELETE, DROP.model_copy(update={"id": "newer", "position": DROP.last}))
            )  # type: ignore[attr-defined]
            await answered(pilot)
            assert app.focused is focused
            await press(pilot, "enter")
            assert wizard_of(app).state.event == DROP


class TestScope:
    async def test_space_ticks_and_a_takes_all(self) -> None:
        async with walk(*TO_EVENT, "enter", "up", "space") as (app, pilot):
            assert wizard_of(app).state.scope.patterns == ("shop.customers", "shop.orders")
            await press(pilot, "a")
            assert wizard_of(app).state.scope.everything
            shows(app, "[x] everything")

    async def test_nothing_ticked_goes_no_further(self) -> None:
        async with walk(*TO_EVENT, "enter", "space", "enter") as (app, _):
            assert wizard_of(app).step is Step.SCOPE
            shows(app, "Nothing is chosen: tick")

    async def test_the_filter_shows_only_what_fits_and_esc_takes_it_away(self) -> None:
        async with walk(*TO_EVENT, "enter", "/", *letters("peop")) as (app, pilot):
            shows(app, "people")
            assert "customers" not in screen_text(app)
            await press(pilot, "escape")
            shows(app, "customers")
            assert wizard_of(app).step is Step.SCOPE

    @both_sizes
    async def test_a_name_that_the_snapshot_does_not_have(self, size: tuple[int, int]) -> None:
        async with walk(*TO_EVENT, "enter", "n", *letters("admin.x"), "enter", size=size) as (app, pilot):
            shows(app, "is not restored")
            await press(pilot, *["backspace"] * 7, *letters("shop.later"), "enter", "enter")
            assert wizard_of(app).state.scope.patterns == ("shop.later", "shop.orders")

    async def test_a_snapshot_that_cannot_be_read_says_so_and_names_can_be_typed(self) -> None:
        app = wizard_console()
        desk_of(app).failing["contents"] = Refused("x", "The manifest is damaged.", "Use another.")
        async with walk(*TO_EVENT, "enter", app=app) as (app, pilot):
            shows(app, "The manifest is damaged. Use another.", "shop", "orders")
            await press(pilot, "enter")
            assert wizard_of(app).step is Step.WHERE


class TestWhere:
    async def test_beside_proposes_names_that_can_be_changed(self) -> None:
        async with walk(*TO_EVENT, "enter", "enter", "down", "down") as (app, pilot):
            shows(app, "shop.orders → shop.orders_restored", "Nothing that is live is touched")
            await press(pilot, "tab", "enter", *["backspace"] * 8, *letters("old"), "enter")
            assert wizard_of(app).state.renames == ("shop.orders=shop.orders_old",)
            await press(pilot, "shift+tab", "enter")
            assert _asked(app).renames == ("shop.orders=shop.orders_old",)
            assert _asked(app).mode == "beside"

    async def test_a_name_that_cannot_be_goes_no_further(self) -> None:
        keys = ("down", "down", "tab", "enter", *["backspace"] * 20, *letters("admin.x"), "enter")
        async with walk(*TO_EVENT, "enter", "enter", *keys, "shift+tab", "enter") as (app, _):
            assert wizard_of(app).step is Step.WHERE
            shows(app, "cannot be a name")

    async def test_another_deployment_only_where_it_may_be_written_to(self) -> None:
        app = wizard_console()
        desk_of(app).others = (
            Target("drill", "drill", same=False),
            Target("locked", "x", same=False, refusal="allows 'watch'; a restore into it needs 'restore'"),
        )
        async with walk(*TO_EVENT, "enter", "enter", "shift+tab", "end", "enter", app=app) as (app, pilot):
            shows(app, "Nothing can be restored into locked")
            assert wizard_of(app).state.target is None
            await press(pilot, "up", "enter", "enter")
            assert _asked(app).to_profile == "drill"

    async def test_merge_is_offered_for_an_event_that_is_left_out(self) -> None:
        async with walk(*TO_EVENT, "enter", "enter", "end") as (app, pilot):
            shows(app, "(●) merge", "only the documents that the event removed or changed")
            await press(pilot, "enter")
            assert _asked(app).mode == "merge" and _asked(app).skip

    async def test_the_cursor_is_on_what_is_chosen_and_goes_from_list_to_list(self) -> None:
        app = wizard_console()
        desk_of(app).others = (Target("drill", "drill", same=False),)
        async with walk(*TO_EVENT, "enter", "enter", "end", "escape", "enter", app=app) as (app, pilot):
            shows(app, "▶ (●) merge")
            await press(pilot, "home", "up")
            shows(app, "▶ (●) test", "(●) swap")
            await press(pilot, "down", "down")
            shows(app, "( ) drill", "▶ (●) swap")

    async def test_of_what_is_gone_all_that_is_kept_goes_into_another_deployment(self) -> None:
        app = wizard_console(error())
        keys = ("R", "enter", "enter", "enter")
        async with walk(*keys, app=app) as (app, pilot):
            shows(app, "▶  ✗  test", "does not answer")
            await press(pilot, "enter")
            shows(app, "needs a profile of its own")
            desk_of(app).others = (Target("new", "new", same=False),)
            await press(pilot, "escape", "enter")
            shows(app, "▶ ( ) new")
            await press(pilot, "enter", "enter")
            wanted = _asked(app)
            assert (wanted.to_profile, wanted.through, wanted.namespaces) == ("new", "latest", ())

    async def test_merge_says_why_it_is_not_for_a_time(self) -> None:
        keys = ("R", "enter", "t", *letters("latest"), "enter", "a", "enter", "end")
        async with walk(*keys) as (app, pilot):
            shows(app, "merge  not for what was chosen", "Not possible: Merge brings back")
            await press(pilot, "enter")
            assert wizard_of(app).step is Step.WHERE

    async def test_in_place_says_drops(self) -> None:
        async with walk(*TO_EVENT, "enter", "enter", "down") as (app, _):
            shows(app, "DROPS the live collections", "no undo")


def _asked(app: ConsoleApp) -> Intent:
    found = [a[1] for a in desk_of(app).asked if a[0] == "plan"]
    assert isinstance(found[-1], Intent)
    return found[-1]


class TestPlan:
    async def test_hazards_stand_on_top(self) -> None:
        app = wizard_console()
        danger = Hazard(severity="danger", code="space", text="there is too little room")
        desk_of(app).the_plan = plan(hazards=[danger])
        async with walk(*TO_PLAN, app=app) as (app, _):
            text = screen_text(app)
            assert text.index("✗ DANGER   there is too little room") < text.index("PLAN 51a2b3c4")

    async def test_the_same_intent_is_not_planned_twice_and_p_plans_again(self) -> None:
        async with walk(*TO_PLAN, "escape", "enter") as (app, pilot):
            assert sum(a[0] == "plan" for a in desk_of(app).asked) == 1
            await press(pilot, "p")
            assert sum(a[0] == "plan" for a in desk_of(app).asked) == 2

    async def test_another_choice_is_planned_anew(self) -> None:
        async with walk(*TO_PLAN, "escape", "down", "enter") as (app, _):
            assert _asked(app).mode == "in-place"

    @both_sizes
    async def test_why_there_is_no_plan_and_the_way_back(self, size: tuple[int, int]) -> None:
        app = wizard_console()
        desk_of(app).failing["plan"] = Refused("gap", "The oplog has a gap.", "Choose a later snapshot.")
        async with walk(*TO_PLAN, "enter", app=app, size=size) as (app, pilot):
            assert wizard_of(app).step is Step.PLAN
            shows(app, "No plan can be made: The oplog has a gap.", "→ Choose a later snapshot.")
            shows(app, "Nothing was changed")
            del desk_of(app).failing["plan"]
            await press(pilot, "escape", "enter")
            shows(app, "PLAN 51a2b3c4")

    async def test_while_it_is_made_one_can_go_back_and_nothing_comes_later(self) -> None:
        app = wizard_console()
        desk, go = desk_of(app), threading.Event()
        quick = desk.plan

        def slow(intent: Intent) -> Plan:
            go.wait(120)
            return quick(intent)

        desk.plan = slow  # type: ignore[method-assign]
        async with walk(*TO_EVENT, "enter", "enter", app=app) as (app, pilot):
            await pilot.press("enter")
            await pilot.pause()
            shows(app, "Making the plan …")
            await pilot.press("enter")
            await pilot.pause()
            shows(app, "The plan is being made")
            for _ in range(6):
                await pilot.press("escape")
            assert isinstance(app.screen, Dashboard)
            go.set()
            await answered(pilot)
            assert isinstance(app.screen, Dashboard)

    async def test_the_command_is_copied_and_the_plan_written(self, tmp_path: Path) -> None:
        async with walk(*TO_PLAN, "y", "w") as (app, _):
            assert app.clipboard == plan().command
            file = tmp_path / "state" / "plans" / "51a2b3c4.json"
            assert json.loads(file.read_bytes()) == plan().to_json()
            assert file.stat().st_mode & 0o777 == 0o600


class TestConfirm:
    @both_sizes
    async def test_enter_at_once_cancels(self, size: tuple[int, int]) -> None:
        async with walk(*TO_CONFIRM, "enter", size=size, armed=True) as (app, _):
            assert wizard_of(app).step is Step.PLAN and desk_of(app).done == []

    @both_sizes
    async def test_typed_exactly_it_starts_and_the_job_comes_up(self, size: tuple[int, int]) -> None:
        async with walk(*TO_CONFIRM, *letters(CONFIRM), size=size, armed=True) as (app, pilot):
            assert not restore_button(app).disabled
            await press(pilot, "enter")
            assert desk_of(app).done == [] and restore_button(app).has_focus
            await press(pilot, "enter")
            assert [d[0] for d in desk_of(app).done] == ["restore"]
            assert desk_of(app).done[0][1] == {"plan": plan().to_json()}
            assert isinstance(app.screen, JobScreen)
            await press(pilot, "escape")
            assert isinstance(app.screen, Dashboard)

    @pytest.mark.parametrize("wrong", [CONFIRM[:-1], CONFIRM + "x", CONFIRM.upper(), " "])
    async def test_wrong_text_cannot_start(self, wrong: str) -> None:
        async with walk(*TO_CONFIRM, app=wizard_console(), armed=True) as (app, pilot):
            typed(app).focus()
            await press(pilot, *(k if k != " " else "space" for k in wrong), "enter")
            assert restore_button(app).disabled and typed(app).has_focus
            shows(app, f"That is not {CONFIRM}.")
            await pilot.click("#restore")
            await answered(pilot)
            assert desk_of(app).done == []

    async def test_it_cannot_be_pasted(self) -> None:
        async with walk(*TO_CONFIRM, armed=True) as (app, pilot):
            typed(app).focus()
            typed(app).post_message(events.Paste(CONFIRM))
            await answered(pilot)
            assert typed(app).value == "" and restore_button(app).disabled
            shows(app, "Pasting is not possible here: type it.")

    async def test_arming_by_the_button_leaves_the_focus_on_cancel(self) -> None:
        app = wizard_console()
        desk_of(app).the_plan = plan(namespace(live_uuid=None, effect="created"), confirm="")
        async with walk(*TO_CONFIRM, "tab", "enter", app=app) as (app, pilot):
            await press(pilot, "right", "enter")
            assert app.desk.access.armed_seconds is not None
            assert app.screen.query_one("#cancel").has_focus
            await press(pilot, "enter")
            assert desk_of(app).done == [] and wizard_of(app).step is Step.PLAN

    async def test_where_nothing_is_destroyed_nothing_is_typed(self) -> None:
        app = wizard_console()
        desk_of(app).the_plan = plan(namespace(live_uuid=None, effect="created"), confirm="")
        async with walk(*TO_CONFIRM, app=app, armed=True) as (app, pilot):
            shows(app, "nothing needs to be typed")
            assert not typed(app).display and app.screen.query_one("#cancel").has_focus
            await press(pilot, "tab", "enter")
            assert [d[0] for d in desk_of(app).done] == ["restore"]

    async def test_a_plan_that_changed_is_shown_and_asked_anew(self) -> None:
        async with walk(*TO_CONFIRM, *letters(CONFIRM), "enter", armed=True) as (app, pilot):
            desk = desk_of(app)
            desk.differences = ["shop.orders is another collection now"]
            desk.the_plan = plan(id="99999999", confirm="test/rs0/2-collections-ab12")
            await press(pilot, "enter")
            assert desk.done == []
            shows(app, "The plan has changed since you read it", "shop.orders is another collection now")
            shows(app, "Restore plan 99999999", "Type test/rs0/2-collections-ab12 to go on:")
            assert (typed(app).value, restore_button(app).disabled) == ("", True)
            assert app.screen.query_one("#cancel").has_focus
            desk.differences = []
            await press(pilot, *letters("test/rs0/2-collections-ab12"), "enter", "enter")
            assert desk.done[0][1]["plan"]["id"] == "99999999"

    async def test_disarmed_in_between_it_refuses_and_says_so(self) -> None:
        async with walk(*TO_CONFIRM, *letters(CONFIRM), "enter", armed=True) as (app, pilot):
            restore = restore_button(app)
            app.desk.access.disarm()
            restore.press()
            await answered(pilot)
            assert desk_of(app).done == []
            shows(app, "The console is not armed. Nothing was changed.")

    async def test_a_second_press_while_it_is_checked_starts_nothing_twice(self) -> None:
        app = wizard_console()
        desk, go = desk_of(app), threading.Event()
        quick = desk.changes

        def slow(wanted: Plan) -> tuple[Plan, list[str]]:
            go.wait(120)
            return quick(wanted)

        desk.changes = slow  # type: ignore[method-assign]
        async with walk(*TO_CONFIRM, *letters(CONFIRM), "enter", app=app, armed=True) as (app, pilot):
            await pilot.press("enter")
            await pilot.press("enter")
            await pilot.pause()
            go.set()
            await answered(pilot)
            assert len(desk.done) == 1

    @pytest.mark.parametrize("and_forth", [False, True])
    async def test_whoever_goes_back_while_it_is_checked_starts_nothing(self, and_forth: bool) -> None:
        app = wizard_console()
        desk, go = desk_of(app), threading.Event()
        desk.the_plan = plan(namespace(live_uuid=None, effect="created"), confirm="")
        quick = desk.changes

        def slow(wanted: Plan) -> tuple[Plan, list[str]]:
            go.wait(120)
            return quick(wanted)

        desk.changes = slow  # type: ignore[method-assign]
        async with walk(*TO_CONFIRM, "tab", app=app, armed=True) as (app, pilot):
            assert restore_button(app).has_focus
            await pilot.press("enter")
            await pilot.press("escape")
            await pilot.pause()
            assert wizard_of(app).step is Step.PLAN
            if and_forth:
                await pilot.press("enter")
                await pilot.pause()
                assert wizard_of(app).step is Step.CONFIRM
            go.set()
            await answered(pilot)
            assert desk.done == []

    @both_sizes
    @pytest.mark.parametrize(
        ("options", "says"),
        [
            ({"started_with": "watch"}, "mdr console --allow-restore"),
            ({"access": "watch"}, "The profile allows 'watch' only"),
            ({"started_with": "operate"}, "mdr console --allow-restore"),
        ],
    )
    async def test_a_console_that_may_not_says_how_it_may(
        self, options: dict[str, Any], says: str, size: tuple[int, int]
    ) -> None:
        async with walk(*TO_CONFIRM, app=wizard_console(**options), size=size) as (app, pilot):
            shows(app, says)
            assert restore_button(app).disabled and not typed(app).display
            assert not app.screen.query_one("#arm").display
            await press(pilot, "tab", "enter", "enter")
            assert desk_of(app).done == []


@pytest.mark.slow
@pytest.mark.parametrize("state", list(STATES)[::2])
async def test_it_can_be_walked_in_every_state(state: str) -> None:
    """Dead deployments and odd names included: by an event, by a time, by the snapshot."""
    async with walk("R", "enter", app=wizard_console(STATES[state]()), size=SMALL) as (app, pilot):
        for keys in (("down", "enter"), ("t", *letters("-1s")), ("shift+tab", "s", "enter")):
            await press(pilot, *keys, "enter", "n", *letters("a.b"), "enter", "enter", "enter", "enter")
            text = screen_text(app)
            assert "\x1b" not in text and "\u202e" not in text and desk_of(app).done == []
            while wizard_of(app).step is not Step.WHEN:
                await press(pilot, "escape")


async def test_before_any_source_has_answered_a_time_can_be_said_and_planned() -> None:
    from mongo_dr_console.model.readings import Readings

    app = wizard_console(Readings(profile="test", environment="test"))
    async with walk("R", "enter", *letters("-10m"), "enter", app=app) as (app, pilot):
        shows(app, "No snapshot is known")
        await press(pilot, "n", *letters("shop.orders"), "enter", "enter", "enter")
        assert _asked(app).namespaces == ("shop.orders",) and _asked(app).snapshot is None
