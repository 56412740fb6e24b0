"""Every key of every screen, every entry of the palette and every typed command, at access watch and at
unarmed restore: nothing is started, nothing falls."""

from __future__ import annotations

import asyncio
import importlib
import pkgutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.consolekit import SMALL, FakeDesk, FakeFeed, screen_text
from support.jobkit import LOADED, LOADING, ended, hold_for_ever, make_job, restored
from support.keys import key_event
from support.wizardkit import wizard_console
from textual import events
from textual.binding import Binding
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widget import Widget

import mongo_dr_console.ui as package
from mongo_dr_console.config import Access
from mongo_dr_console.model.wizard import Step
from mongo_dr_console.ui.app import COMMANDS, ConsoleApp
from mongo_dr_console.ui.offers import offers
from mongo_dr_console.ui.screens.alerts import AlertsScreen
from mongo_dr_console.ui.screens.arm import Arm
from mongo_dr_console.ui.screens.backup import BackupDialog, CopyDialog, VerifyDialog
from mongo_dr_console.ui.screens.choice import Choice
from mongo_dr_console.ui.screens.dashboard import Dashboard
from mongo_dr_console.ui.screens.document import DocumentScreen
from mongo_dr_console.ui.screens.drill_dialog import DrillDialog
from mongo_dr_console.ui.screens.drills import DrillScreen, DrillsScreen
from mongo_dr_console.ui.screens.events import EventsScreen
from mongo_dr_console.ui.screens.facts import FactsScreen
from mongo_dr_console.ui.screens.failover import FailoverScreen
from mongo_dr_console.ui.screens.help import Help
from mongo_dr_console.ui.screens.hold import HoldDialog
from mongo_dr_console.ui.screens.holds import HoldsScreen
from mongo_dr_console.ui.screens.job import JobScreen
from mongo_dr_console.ui.screens.jobs import JobsScreen
from mongo_dr_console.ui.screens.operation import OperationScreen
from mongo_dr_console.ui.screens.operations import OperationsScreen
from mongo_dr_console.ui.screens.palette import Palette
from mongo_dr_console.ui.screens.schedule import ScheduleScreen
from mongo_dr_console.ui.screens.silence import SilenceDialog
from mongo_dr_console.ui.screens.snapshot import SnapshotScreen
from mongo_dr_console.ui.screens.typed import TypedConfirmation
from mongo_dr_console.ui.screens.wanted import BringBackDialog, DocumentDialog, PositionDialog, RangeDialog
from mongo_dr_console.ui.wizard.bases import BasesScreen
from mongo_dr_console.ui.wizard.screen import WizardScreen
from mongo_dr_console.workers import jobs

KEYS_DOC = Path(__file__).parents[2] / "docs" / "keys.md"

DONE, RUNNING = "5eed0001", "5eed0002"
"""Jobs that are there."""

Way = tuple[str, ...] | str | Step
"""From the dashboard to a screen: keys, a row's key to open, or a step of the wizard."""

SCREENS: dict[str, tuple[type[Screen[Any]], Way]] = {
    "dashboard": (Dashboard, ()),
    "facts": (FactsScreen, ("v",)),
    "failover": (FailoverScreen, ("F",)),
    "schedule": (ScheduleScreen, ("S",)),
    "help": (Help, ("?",)),
    "palette": (Palette, (":",)),
    "jobs": (JobsScreen, ("J",)),
    "alerts": (AlertsScreen, ("N",)),
    "job that is done": (JobScreen, f"job:{DONE}"),
    "job that runs": (JobScreen, f"job:{RUNNING}"),
    "snapshot": (SnapshotScreen, "snapshot:20261122_004640@local"),
    "drills": (DrillsScreen, ("D",)),
    "drill": (DrillScreen, ("D", "enter")),
    "operations": (OperationsScreen, ("5", "O")),
    "operation": (OperationScreen, ("5", "O", "enter")),
    "bring back": (BringBackDialog, ("5", "O", "u")),
    "position": (PositionDialog, ("1", "O")),
    "document": (DocumentScreen, ("5", "O", "d")),
    "which document": (DocumentDialog, (":", *"document", "enter")),
    "events over days": (EventsScreen, ("E",)),
    "which range": (RangeDialog, ("E", "t")),
    "holds": (HoldsScreen, ("K",)),
    "arm": (Arm, ("A",)),
    **{f"wizard {int(step)}": (WizardScreen, step) for step in Step},
    "wizard, a time": (WizardScreen, ("R", "enter", "t")),
    "bases": (BasesScreen, ("R", "enter", "c")),
}

ONLY_ARMED = {
    BackupDialog,
    CopyDialog,
    VerifyDialog,
    DrillDialog,
    SilenceDialog,
    HoldDialog,
    TypedConfirmation,
    Choice,
}
"""Dialogs that an unarmed console must not even open."""

ASKED = (
    "start",
    "drills",
    "plan",
    "preflight",
    "contents",
    "targets",
    "write",
    "ledger",
    "schedule",
    "operations",
    "holds",
    "events",
)
"""Groups of workers that end by themselves."""


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is done to jobs on any way, desk or not."""
    done: list[Any] = []
    make_job("restore", *LOADED, ended("done", restored()), job=DONE)
    hold_for_ever(make_job("restore", *LOADING, job=RUNNING))
    for name in ("create", "launch", "request_stop", "resume"):
        monkeypatch.setattr(jobs, name, lambda *a, name=name, **_: done.append((name, *a)))
    return done


@contextmanager
def nothing_started(app: ConsoleApp, started: list[Any]) -> Iterator[None]:
    """Fails where something was done, a dialog of an armed console opened, or anything unknown happened."""
    said: list[str] = []
    seen: set[type] = set()
    notify, push = app.notify, app.push_screen

    def pushed(screen: Any, *arguments: Any, **more: Any) -> Any:
        seen.add(type(screen))
        return push(screen, *arguments, **more)

    app.exit = lambda *_, **__: None  # type: ignore[method-assign]
    app.notify = lambda text, **more: (said.append(text), notify(text, **more))[1]  # type: ignore[method-assign]
    app.push_screen = pushed  # type: ignore[method-assign]
    assert isinstance(app.desk, FakeDesk)
    yield
    assert app.failure is None
    assert app.desk.done == [] and started == []
    assert app.desk.access.armed_seconds is None
    assert not [text for text in said if "does not know" in text]
    assert seen & ONLY_ARMED == set()


async def press(app: ConsoleApp, pilot: Pilot[Any], *keys: str) -> None:
    for key in keys:
        app._driver.send_message(key_event(app, key))  # type: ignore[union-attr]
        await pilot.pause(0)
    await settled(app, pilot)


async def settled(app: ConsoleApp, pilot: Pilot[Any]) -> None:
    """Until no call is in a thread any more; jobs are followed for ever."""
    async with asyncio.timeout(120):
        while any(w.group in ASKED and w.is_running for w in app.workers):
            await pilot.pause(0.01)
    await pilot.pause(0)


async def home(app: ConsoleApp, pilot: Pilot[Any]) -> None:
    """Back to a dashboard as it was in the beginning."""
    while len(app.screen_stack) > 2:
        await app.pop_screen()
    if isinstance(app.feed, FakeFeed) and app.feed.paused:
        app.feed.resume()
    await press(app, pilot, "escape", "escape", "1")


async def goes_to(app: ConsoleApp, pilot: Pilot[Any], kind: type[Screen[Any]], way: Way) -> bool:
    """Whether the screen could be opened."""
    await home(app, pilot)
    if isinstance(way, Step):
        await press(app, pilot, "R")
        return await walks_to(app, pilot, way)
    if isinstance(way, str):
        app.open_key(way)
        await settled(app, pilot)
    else:
        for key in way:
            await press(app, pilot, key)
            # What the screen asks when it comes up must be answered before the next key.
            await pilot.pause()
            await settled(app, pilot)
    return await shows(app, pilot, kind)


async def shows(app: ConsoleApp, pilot: Pilot[Any], kind: type[Screen[Any]]) -> bool:
    """Whether the screen comes up: a key goes from queue to queue before a screen is on top."""
    for _ in range(100):
        if isinstance(app.screen, kind):
            return True
        await pilot.pause(0.01)
    return False


async def walks_to(app: ConsoleApp, pilot: Pilot[Any], wanted: Step) -> bool:
    """From one step of the wizard to another."""
    await shows(app, pilot, WizardScreen)
    for _ in range(12):
        step = step_of(app)
        if step is None or step is wanted:
            break
        if step > wanted:
            await app.run_action("back", app.screen)
            await settled(app, pilot)
        else:
            await press(app, pilot, "enter")
    return step_of(app) is wanted


def step_of(app: ConsoleApp) -> Step | None:
    return app.screen.step if isinstance(app.screen, WizardScreen) else None


def keys_of(app: ConsoleApp) -> list[str]:
    """All that do something on the screen and on what has the focus there; the console's own ones, which are
    the same everywhere, where they matter most."""
    everywhere = (
        isinstance(app.screen, (Dashboard, JobScreen, SnapshotScreen)) or step_of(app) is Step.CONFIRM
    )
    active = app.screen.active_bindings
    return [key for key, binding in active.items() if everywhere or binding.node is not app]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "access"), [*((name, "restore") for name in SCREENS), ("dashboard", "watch"), ("arm", "watch")]
)
async def test_every_key(name: str, access: Access, started: list[Any]) -> None:
    kind, way = SCREENS[name]
    app = wizard_console(access="restore", started_with=access)
    async with app.run_test(size=SMALL) as pilot:
        with nothing_started(app, started):
            if not await goes_to(app, pilot, kind, way):
                assert (name, access) == ("arm", "watch"), screen_text(app)
                return
            screen, keys, focus = app.screen, keys_of(app), app.focused
            assert keys
            for key in keys:
                there = app.screen is screen
                if there and isinstance(way, Step):
                    there = await walks_to(app, pilot, way)
                if not there:
                    assert await goes_to(app, pilot, kind, way), (key, screen_text(app))
                    screen, focus = app.screen, app.focused
                elif focus is not None and focus.focusable:
                    screen.set_focus(focus)
                await press(app, pilot, key)
                if app.screen is not screen:
                    await press(app, pilot, "enter")
            # And once more in a row, as they come.
            await press(app, pilot, *keys)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "access"),
    [("dashboard", "watch"), ("wizard 6", "restore")],
)
async def test_every_entry_of_the_palette(name: str, access: Access, started: list[Any]) -> None:
    """Each is run as it is; on the dashboard each is typed by its name as well."""
    kind, way = SCREENS[name]
    app = wizard_console(access="restore", started_with=access)
    async with app.run_test(size=SMALL) as pilot:
        with nothing_started(app, started):
            assert await goes_to(app, pilot, kind, way), screen_text(app)
            number = len(offers(app, app.screen))
            assert number > len(COMMANDS)
            screen = app.screen
            for n in range(number):
                offer = offers(app, app.screen)[n]
                offer.run()
                await settled(app, pilot)
                there = app.screen is screen and (kind is Dashboard or await walks_to(app, pilot, way))
                assert there or await goes_to(app, pilot, kind, way), (offer.name, screen_text(app))
                screen = app.screen
            if kind is Dashboard:
                for text in [o.name for o in offers(app, app.screen)]:
                    # Letter by letter most of the time would go into drawing the list; see test_palette.
                    await press(app, pilot, ":")
                    app.post_message(events.Paste(text))
                    await press(app, pilot, "enter")
                    await home(app, pilot)


def test_no_screen_is_missing_here() -> None:
    everything()
    abstract = {"Leaving", "Dialog", "SubjectScreen", "PageScreen", "ListScreen", "FieldsDialog"}
    known = {kind for kind, _ in SCREENS.values()} | ONLY_ARMED
    assert {k.__name__ for k in ours(Screen)} - abstract == {k.__name__ for k in known}


def test_every_binding_has_an_id_of_its_own_and_a_plain_key() -> None:
    ids: dict[str, str] = {}
    for owner, binding in bindings():
        assert binding.id, (owner, binding)
        assert ids.setdefault(binding.id, owner) == owner, (binding.id, owner, ids[binding.id])
        for key in binding.key.split(","):
            plain = key.strip()
            assert "alt+" not in plain and "super+" not in plain, (owner, binding)
            assert "ctrl+" not in plain or plain == "ctrl+p", (owner, binding)


def test_every_command_is_explained() -> None:
    names = [c.id for c in COMMANDS]
    assert len(set(names)) == len(names)
    for command in COMMANDS:
        assert command.help.endswith(".") and command.help[0].isupper(), command.id
        assert command.label, command.id


def test_every_name_is_in_the_papers() -> None:
    told = KEYS_DOC.read_text(encoding="utf-8")
    names = [*(c.id for c in COMMANDS), *(str(b.id) for _, b in bindings())]
    assert [n for n in names if f"`{n}`" not in told] == []


def everything() -> None:
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        importlib.import_module(module.name)


def ours(base: type) -> set[type]:
    below = {part for kind in base.__subclasses__() for part in ours(kind)}
    return below | {k for k in base.__subclasses__() if k.__module__.startswith("mongo_dr_console.")}


def bindings() -> list[tuple[str, Binding]]:
    """Those of the console and of every screen and widget of ours."""
    everything()
    return [
        (owner.__name__, binding)
        for owner in {ConsoleApp, *ours(Widget)}
        for binding in owner.__dict__.get("BINDINGS", ())
        if isinstance(binding, Binding)
    ]
