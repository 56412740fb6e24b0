"""The commands about holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mongo_dr_console.ui.background import Problem, in_thread
from mongo_dr_console.ui.commands import Command
from mongo_dr_console.ui.screens.acting import refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from mongo_dr_console.model.event import Event
    from mongo_dr_console.model.hold import Hold
    from mongo_dr_console.ui.app import ConsoleApp
    from mongo_dr_console.workers.holding import Noted


def _holds(app: ConsoleApp) -> None:
    from mongo_dr_console.ui.screens.holds import HoldsScreen

    app.push_screen(HoldsScreen())


def _no_holds(app: ConsoleApp) -> str:
    listed = type(app.screen).__name__ == "HoldsScreen"
    return "This is the list of holds." if listed else ""


def _no_stores(app: ConsoleApp) -> str:
    return "" if app.desk.profile.stores else "The profile has no stores, so there is nothing to hold."


def _hold(app: ConsoleApp) -> None:
    _work(app, _ask_and_hold(app))


async def _ask_and_hold(app: ConsoleApp) -> None:
    from mongo_dr_console.model.wizard import known
    from mongo_dr_console.ui.screens.hold import HoldDialog

    wanted = await app.push_screen_wait(HoldDialog(*_subject(app)))
    if wanted is not None:
        facts = known(app.view.readings, app.clock())
        await _do(app, lambda: app.desk.hold(wanted.what, wanted.reason, facts.events, facts.latest), "Held")


def _no_hold(app: ConsoleApp) -> str:
    return _no_stores(app) or refusal(app, "operate")


def _subject(app: ConsoleApp) -> tuple[str, str]:
    """What a hold would be about and a reason to begin with: the snapshot that is looked at, the event or
    snapshot under the cursor; empty: nothing."""
    from mongo_dr_console.model.wizard import known
    from mongo_dr_console.ui.screens.dashboard import Dashboard
    from mongo_dr_console.ui.screens.events import EventsScreen
    from mongo_dr_console.ui.screens.snapshot import SnapshotScreen

    if isinstance(app.screen, EventsScreen):
        return _all_of(app.screen.chosen)
    if isinstance(app.screen, SnapshotScreen):
        return app.screen.snapshot, ""
    if not isinstance(app.screen, Dashboard):
        return "", ""
    kind, _, name = app.screen.pointed.partition(":")
    if kind == "snapshot":
        return name.rpartition("@")[0], ""
    if kind != "event":
        return "", ""
    events = known(app.view.readings, app.clock()).events
    event = next((e for e in events if e.id == name), None)
    return f"event:{name}", "" if event is None else f"{event.kind} {event.namespace}"


def _all_of(event: Event | None) -> tuple[str, str]:
    """What an event touched, with the entry before it, which a restore goes back to."""
    from mongo_dr_console.model.operationpage import just_before

    if event is None:
        return "", ""
    return f"{just_before(event.position)}..{event.last}", f"{event.kind} {event.namespace}"


def _release(app: ConsoleApp) -> None:
    _work(app, _ask_and_release(app))


async def _ask_and_release(app: ConsoleApp) -> None:
    from mongo_dr_console.ui.holdslist import release_lines
    from mongo_dr_console.ui.screens.dialog import DIALOG_WIDTH
    from mongo_dr_console.ui.screens.typed import TypedConfirmation

    hold = _chosen(app)
    if hold is None:
        return
    lines = release_lines(hold, DIALOG_WIDTH)
    typed = await app.push_screen_wait(TypedConfirmation("Release this hold?", lines, hold.id, "Release"))
    if typed is not None:
        await _do(app, lambda: app.desk.release(hold.id, typed), "Released")


def _no_release(app: ConsoleApp) -> str:
    if why := _no_hold(app):
        return why
    return "" if _chosen(app) is not None else "No hold is chosen: the list of holds has them (K)."


def _chosen(app: ConsoleApp) -> Hold | None:
    from mongo_dr_console.ui.screens.holds import HoldsScreen

    return app.screen.chosen if isinstance(app.screen, HoldsScreen) else None


async def _do(app: ConsoleApp, call: Callable[[], Noted], done: str) -> None:
    """Has it noted, and says which stores do not know of it."""
    from mongo_dr_console.ui.holdslist import keeps_text
    from mongo_dr_console.ui.screens.holds import HoldsScreen

    noted = await in_thread(call)
    if isinstance(noted, Problem):
        app.say_problem(noted)
        return
    app.say(f"{done}: {noted.hold.id}, {keeps_text(noted.hold)}.")
    for name, trouble in noted.not_in.items():
        app.say(f"Store {name} does not know of it: {trouble.message}", level="warning")
    app.feed.refresh()
    if isinstance(app.screen, HoldsScreen):
        app.screen.look()


def _work(app: ConsoleApp, work: Coroutine[Any, Any, None]) -> None:
    app.run_worker(work, exit_on_error=False, exclusive=True, group="ask")


COMMANDS: tuple[Command, ...] = (
    Command(
        "holds",
        "K",
        "holds",
        "What nothing may prune: ranges and snapshots, with reason, by whom and since when.",
        _holds,
        _no_holds,
        group="Holds",
    ),
    Command(
        "hold",
        "",
        "hold…",
        "Keep a range, an event's or a snapshot from being pruned; asks for the reason.",
        _hold,
        _no_hold,
        group="Holds",
    ),
    Command(
        "hold-release",
        "",
        "release…",
        "Take the chosen hold back; wants its id typed.",
        _release,
        _no_release,
        group="Holds",
    ),
)
