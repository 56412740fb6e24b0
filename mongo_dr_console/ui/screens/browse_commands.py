"""The commands that look at events and operations, and what is done from one of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mongo_dr_console.model.trouble import WrongUse
from mongo_dr_console.ui.commands import Command

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

    from mongo_dr_console.model.event import Event
    from mongo_dr_console.model.oplogentry import Operation
    from mongo_dr_console.model.position import Position
    from mongo_dr_console.model.wizard import Known, WizardState
    from mongo_dr_console.ui.app import ConsoleApp
    from mongo_dr_console.ui.wizard.screen import WizardScreen


def _operations(app: ConsoleApp) -> None:
    place = _pointed(app)
    if place is None:
        _work(app, _ask_where(app))
    else:
        _show_around(app, place)


async def _ask_where(app: ConsoleApp) -> None:
    from mongo_dr_console.ui.screens.wanted import PositionDialog

    place = await app.push_screen_wait(PositionDialog(lambda text: _read(app, text)))
    if place is not None:
        _show_around(app, place)


def _show_around(app: ConsoleApp, place: Position) -> None:
    from mongo_dr_console.ui.screens.operations import OperationsScreen

    app.push_screen(OperationsScreen(place))


def _pointed(app: ConsoleApp) -> Position | None:
    """The position that the screen is about: the wizard's limit, or the event under the cursor."""
    from mongo_dr_console.model.wizard import Step, stops_at
    from mongo_dr_console.ui.screens.dashboard import Dashboard
    from mongo_dr_console.ui.screens.events import EventsScreen
    from mongo_dr_console.ui.wizard.screen import WizardScreen

    screen = app.screen
    if isinstance(screen, EventsScreen):
        return None if screen.chosen is None else screen.chosen.position
    if isinstance(screen, WizardScreen) and screen.step is Step.WHEN:
        try:
            limit = stops_at(screen.state, screen.known)
        except WrongUse:
            return None
        return None if limit is None else limit.position
    if isinstance(screen, Dashboard):
        kind, _, name = screen.pointed.partition(":")
        event = next((e for e in _known(app).events if kind == "event" and e.id == name), None)
        return None if event is None else event.position
    return None


def _read(app: ConsoleApp, text: str) -> Position:
    from mongo_dr_console.model.position import Bound

    facts = _known(app)
    return app.desk.limit(text, Bound.BEFORE, facts.events, facts.latest).position


def _known(app: ConsoleApp) -> Known:
    from mongo_dr_console.model.wizard import known

    return known(app.view.readings, app.clock())


def _find(app: ConsoleApp) -> None:
    from mongo_dr_console.model.eventsearch import USUAL_RANGE
    from mongo_dr_console.ui.screens.events import EventsScreen

    if isinstance(app.screen, EventsScreen):
        ask_range(app)
    else:
        _find_in(app, USUAL_RANGE)


def _find_in(app: ConsoleApp, text: str) -> None:
    from mongo_dr_console.ui.screens.events import EventsScreen

    start, end = _read_range(app, text)
    if isinstance(app.screen, EventsScreen):
        app.screen.search(start, end)
    else:
        app.push_screen(EventsScreen(start, end))


def ask_range(app: ConsoleApp) -> None:
    """Asks for another range and looks through that."""
    _work(app, _ask_range(app))


async def _ask_range(app: ConsoleApp) -> None:
    from mongo_dr_console.ui.screens.events import EventsScreen
    from mongo_dr_console.ui.screens.wanted import RangeDialog

    screen = app.screen
    wanted = await app.push_screen_wait(RangeDialog(lambda text: _read_range(app, text)))
    if wanted is not None and isinstance(screen, EventsScreen):
        screen.search(*wanted)


def _read_range(app: ConsoleApp, text: str) -> tuple[Position, Position | None]:
    facts = _known(app)
    return app.desk.find_range(text, facts.events, facts.latest)


def undo_event(app: ConsoleApp, event: Event) -> None:
    """Opens the wizard with this event chosen, or goes back to the one that is open."""
    from mongo_dr_console.model.wizard import undoing

    wizard = _wizard(app)
    _walk_with(app, undoing(event, None if wizard is None else wizard.state))


def _document(app: ConsoleApp) -> None:
    _work(app, _ask_which(app))


async def _ask_which(app: ConsoleApp) -> None:
    from mongo_dr_console.ui.screens.document import DocumentScreen
    from mongo_dr_console.ui.screens.wanted import DocumentDialog

    wanted = await app.push_screen_wait(DocumentDialog())
    if wanted is not None:
        await app.push_screen(DocumentScreen(wanted.namespace, wanted.identities))


def _hide(app: ConsoleApp) -> None:
    app.hiding_values = not app.hiding_values
    app.refresh_view()


def _hidden_for_good(app: ConsoleApp) -> str:
    if not app.desk.profile.redacts:
        return ""
    return "Values of documents stay hidden here: redact = true in the config, or --redact, says so."


# From one operation


def show_document(app: ConsoleApp, operation: Operation) -> None:
    """The history of the document that it wrote."""
    from mongo_dr_console.ui.screens.document import DocumentScreen

    if operation.op == "c":
        app.say("This is a command: it is about no single document.", level="warning")
        return
    app.push_screen(DocumentScreen(operation.namespace, (operation.document_id,)))


def use_position(app: ConsoleApp, operation: Operation, *, through: bool) -> None:
    """Gives its position to the wizard as the limit; opens the wizard where it is not open."""
    from mongo_dr_console.model.position import Bound
    from mongo_dr_console.model.wizard import WizardState

    wizard = _wizard(app)
    _walk_with(
        app,
        replace(
            wizard.state if wizard is not None else WizardState(),
            way="time",
            text=str(operation.position),
            bound=Bound.THROUGH if through else Bound.BEFORE,
            settled="",
        ),
    )


def _wizard(app: ConsoleApp) -> WizardScreen | None:
    from mongo_dr_console.ui.wizard.screen import WizardScreen

    return next((s for s in app.screen_stack if isinstance(s, WizardScreen)), None)


def _walk_with(app: ConsoleApp, state: WizardState) -> None:
    """Opens the wizard with this chosen, or goes back to the one that is open."""
    from mongo_dr_console.ui.wizard.screen import open_wizard

    wizard = _wizard(app)
    if wizard is None:
        open_wizard(app, state=state)
    elif wizard.busy:
        app.say(wizard.busy, level="warning")
    else:
        while app.screen is not wizard:
            app.pop_screen()
        wizard.take(state)


def bring_it_back(app: ConsoleApp, operation: Operation) -> None:
    """Says how what was there before it comes back, and opens the wizard with that chosen."""
    _work(app, _ask_and_bring_back(app, operation))


async def _ask_and_bring_back(app: ConsoleApp, operation: Operation) -> None:
    from mongo_dr_console.model.bringback import bring_back
    from mongo_dr_console.model.eventscan import is_part
    from mongo_dr_console.ui.background import Problem, in_thread, problem_of
    from mongo_dr_console.ui.screens.wanted import BringBackDialog

    event: Event | Problem | None
    event = next((e for e in _known(app).events if is_part(operation, e)), None)
    if event is None:
        # The known ones are those of the last day.
        app.say("Looking for the event that it is part of.")
        event = await in_thread(lambda: app.desk.event_of(operation))
    if isinstance(event, Problem):
        app.say_problem(event)
        return
    try:
        proposed = bring_back(operation, event)
    except WrongUse as wrong:
        app.say_problem(problem_of(wrong))
        return
    if await app.push_screen_wait(BringBackDialog(proposed.text)):
        _walk_with(app, proposed.state)


def _work(app: ConsoleApp, work: Coroutine[Any, Any, None]) -> None:
    app.run_worker(work, exit_on_error=False, exclusive=True, group="ask")


COMMANDS: tuple[Command, ...] = (
    Command(
        "find",
        "E",
        "find events",
        "Events over days, also older than the live oplog: of the last three, or of what is typed behind it "
        "(find -10d, find -3d..-1d).",
        _find,
        group="Watching",
        choose=_find_in,
        about=lambda text: f"Look for events in {text}.",
        takes="FROM..TO",
    ),
    Command(
        "operations",
        "O",
        "operations",
        "The operations around a position: of the event under the cursor or the wizard's limit, else asks.",
        _operations,
        group="Watching",
    ),
    Command(
        "document",
        "",
        "document…",
        "Every operation on one document; asks for its collection and _id.",
        _document,
        group="Watching",
    ),
    Command(
        "hide-values",
        "",
        "hide values",
        "Leave the values of documents out, also of conflicts and bundles, or show them again.",
        _hide,
        refusal=_hidden_for_good,
        group="Watching",
    ),
)
