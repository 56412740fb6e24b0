"""The commands that are there on every screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mongo_dr_console.model.trouble import Trouble
from mongo_dr_console.ui.background import Problem, in_thread, problem_of
from mongo_dr_console.ui.commands import Command
from mongo_dr_console.workers.access import reaches

if TYPE_CHECKING:
    from mongo_dr_console.ui.app import ConsoleApp

_PRACTICE_EVENTS = {
    "drop-collection": "Practice: somebody drops the orders.",
    "drop-database": "Practice: somebody drops the customer database.",
    "bad-update": "Practice: an update without its filter takes every product off the shelves.",
    "mass-delete": "Practice: a clean-up deletes far more reviews than was meant.",
    "kill-primary": "Practice: the primary is killed; the others elect a new one.",
    "lag": "Practice: a member applies nothing for a minute and a half.",
}
_INCIDENT_SECONDS = 15
_BUNDLE_SECONDS = 30

NOT_OF_A_RECORDING = (
    "restore",
    "backup",
    "verify",
    "jobs",
    "drills",
    "drill",
    "operations",
    "document",
    "find",
    "holds",
    "hold",
    "hold-release",
    "alert-ack",
    "alert-silence",
    "alert-unsilence",
    "arm",
    "refresh",
    "bundle",
)
"""What a recording has nothing behind for."""
RECORDED = "This is a recording: it can be looked at, and nothing can be asked or done."


def _arm(app: ConsoleApp) -> None:
    if app.desk.access.armed_seconds is not None:
        app.desk.access.disarm()
        app.say("Disarmed: nothing can be changed from here until it is armed again.")
        app.refresh_view()
        return
    from mongo_dr_console.ui.screens.arm import Arm

    app.push_screen(Arm(app.view, app.desk.name), lambda armed: _armed(app) if armed else None)


def _armed(app: ConsoleApp) -> None:
    try:
        app.desk.access.arm()
    except Trouble as trouble:
        app.say_problem(problem_of(trouble))
    app.refresh_view()


def _pause(app: ConsoleApp) -> None:
    if app.feed.paused:
        app.feed.resume()
    else:
        app.feed.pause()
    app.refresh_view()


def _refresh(app: ConsoleApp) -> None:
    app.feed.refresh()


def _bundle(app: ConsoleApp) -> None:
    app.say("The bundle is being made: what does not answer is waited for, for half a minute at most.")
    app.run_worker(_make_bundle(app), name="bundle", group="bundle", exit_on_error=False)


async def _make_bundle(app: ConsoleApp) -> None:
    made = await in_thread(lambda: app.desk.bundle(redact=app.values_hidden))
    if isinstance(made, Problem):
        app.say_problem(made)
    else:
        from mongo_dr_console.model.bundletext import bundle_lines

        app.notify("\n".join(bundle_lines(made)), markup=False, timeout=_BUNDLE_SECONDS)


def _no_bundle(app: ConsoleApp) -> str:
    made = any(w.group == "bundle" and w.is_running for w in app.workers)
    return "A bundle is being made already." if made else ""


def _needs_operate(app: ConsoleApp) -> str:
    if reaches(app.desk.access.granted, "operate"):
        return ""
    bound = app.desk.profile.access
    if not reaches(bound, "operate"):
        return f"The profile {app.desk.name!r} allows {bound!r} only."
    return "This console only watches: start it with --operate or --allow-restore."


def _palette(app: ConsoleApp) -> None:
    from mongo_dr_console.ui.screens.palette import Palette

    app.push_screen(Palette(app.screen))


def _help(app: ConsoleApp) -> None:
    from mongo_dr_console.ui.screens.help import Help

    if isinstance(app.screen, Help):
        app.say("This is help; esc goes back.")
        return
    app.push_screen(Help(app.screen))


def _themes(app: ConsoleApp) -> tuple[str, ...]:
    return tuple(app.themes.found)


def _next_theme(app: ConsoleApp) -> None:
    names = _themes(app)
    if names:
        at = names.index(app.theme) if app.theme in names else -1
        _wear(app, names[(at + 1) % len(names)])


def _wear(app: ConsoleApp, name: str) -> None:
    app.theme = name
    app.say(f'Theme {name}. To keep it: theme = "{name}" in the config file.')


def _incidents(app: ConsoleApp) -> tuple[str, ...]:
    return tuple(app.options.incidents)


def _no_practice(app: ConsoleApp) -> str:
    if not app.options.incidents:
        return "Practice events happen to the practice deployment only: mdr demo."
    if any(w.group == "incident" and w.is_running for w in app.workers):
        return "A practice event is on its way; one at a time."
    return ""


def _which_incident(app: ConsoleApp) -> None:
    app.say(f"Which one? Type it behind the name: incident {' or '.join(_incidents(app))}.")


def _incident(app: ConsoleApp, name: str) -> None:
    app.say(f"{name} is on its way.")
    app.run_worker(_let_happen(app, name), name=f"incident {name}", group="incident", exit_on_error=False)


async def _let_happen(app: ConsoleApp, name: str) -> None:
    happened = await in_thread(app.options.incidents[name])
    if isinstance(happened, Problem):
        app.say_problem(happened)
    else:
        app.notify(happened, severity="warning", markup=False, timeout=_INCIDENT_SECONDS)
    app.feed.refresh()


COMMANDS: tuple[Command, ...] = (
    Command(
        "arm",
        "A",
        "arm",
        "Arm for ten minutes, after a question; disarm at once.",
        _arm,
        _needs_operate,
        shown=True,
    ),
    Command("pause", "space", "pause", "Stop asking the sources, or go on.", _pause, shown=True),
    Command("refresh", "r", "refresh", "Ask every source now.", _refresh, shown=True),
    Command(
        "bundle",
        "I",
        "incident bundle",
        "Write what is known of an incident into one file, without secrets, for people elsewhere.",
        _bundle,
        _no_bundle,
    ),
    Command(
        "theme",
        "",
        "theme",
        "The next theme; with a name, that one.",
        _next_theme,
        choices=_themes,
        choose=_wear,
        about=lambda name: f"Wear the theme {name}.",
    ),
    Command(
        "incident",
        "",
        "practice event",
        "Let something bad happen to the practice deployment.",
        _which_incident,
        _no_practice,
        group="Practice",
        choices=_incidents,
        choose=_incident,
        about=lambda name: _PRACTICE_EVENTS.get(name, ""),
    ),
    Command("quit", "Q", "leave", "Leave; jobs go on.", lambda app: app.exit(), shown=True),
    Command("palette", "colon,ctrl+p", "commands", "Find a command by its name.", _palette, shown=True),
    Command(
        "help",
        "question_mark,f1",
        "help",
        "What can be done here, all keys, what the console costs.",
        _help,
        shown=True,
    ),
)
