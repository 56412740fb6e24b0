"""``mdr`` and ``mdr console``: the console on a profile. Textual is imported when it opens, not before."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mongo_dr_console.cli.output import say
from mongo_dr_console.config import PRACTICE, Access, Profile, config_path, load_config
from mongo_dr_console.model.trouble import Trouble, WrongUse

if TYPE_CHECKING:
    from textual.app import App

    from mongo_dr_console.cli.context import Chosen
    from mongo_dr_console.model.readings import Readings
    from mongo_dr_console.ui.app import ConsoleApp, Options
    from mongo_dr_console.ui.feed import Feed

Incidents = Mapping[str, Callable[[], str]]

_END_SECONDS = 10.0
_INSTEAD = "For a pipe, a file or a cron job: mdr status, mdr status --json"


@dataclass(frozen=True, slots=True)
class Wanted:
    """How the console was asked for.

    Args:
        access: What it may do at most, within the profile's bound.
        theme: None: the config's.
        record: A file to which the readings go.
        replay: A recording that is shown instead of a deployment.
        incidents: Practice events.
        every: The list of all profiles first.
    """

    access: Access = "watch"
    theme: str | None = None
    ascii: bool = False
    mouse: bool = True
    record: Path | None = None
    replay: Path | None = None
    incidents: Incidents = field(default_factory=dict)
    every: bool = False


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("console")(console)


def console(
    context: typer.Context,
    operate: Annotated[bool, typer.Option("--operate", help="Backups and verification too.")] = False,
    allow_restore: Annotated[
        bool, typer.Option("--allow-restore", help="Everything that the profile allows.")
    ] = False,
    theme: Annotated[str | None, typer.Option(metavar="NAME", help="Its colours.")] = None,
    ascii_only: Annotated[bool, typer.Option("--ascii", help="Plain ASCII signs and frames.")] = False,
    no_mouse: Annotated[bool, typer.Option("--no-mouse", help="Leave the mouse to the terminal.")] = False,
    record: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write all readings into a file.", dir_okay=False)
    ] = None,
    replay: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Show a recording instead.", dir_okay=False)
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="All profiles, a row each; enter goes into one.")
    ] = False,
) -> None:
    """Opens the console. It only watches, unless an option says more; even then it must be armed first."""
    if operate and allow_restore:
        raise WrongUse(
            "usage",
            "--operate and --allow-restore do not go together.",
            "--allow-restore includes the other.",
        )
    if record is not None and replay is not None:
        raise WrongUse("usage", "--record and --replay do not go together.", "Leave one of them out.")
    if every and (context.obj is not None or record is not None or replay is not None):
        raise WrongUse(
            "usage",
            "--all does not go together with --profile, --record or --replay.",
            "Leave it out: a recording and --profile are of one profile.",
        )
    access: Access = "restore" if allow_restore else "operate" if operate else "watch"
    wanted = Wanted(access, theme, ascii_only, not no_mouse, record, replay, every=every)
    open_console(context.obj, wanted)


def open_console(name: str | None, wanted: Wanted) -> None:
    """The console on the chosen profile, until it is left.

    Raises:
        WrongUse: There is no terminal, or no such profile.
    """
    from mongo_dr_console.cli.context import choose

    require_terminal()
    if wanted.replay is None and (wanted.every or _several(name)):
        from mongo_dr_console.cli.profiles import run_list

        run_list(wanted)
        return
    run(choose(name) if wanted.replay is None else _of_recording(wanted.replay), wanted)


def _several(name: str | None) -> bool:
    """Whether no profile is named, none is the default, and there are some: the list asks then."""
    if name is not None:
        return False
    from mongo_dr_console.cli.context import config_of

    config = load_config(config_of(None))
    return config.default_profile is None and len(config.profiles) > 1


def run(chosen: Chosen, wanted: Wanted) -> None:
    """Opens the console and comes back when it is left, or when the terminal is lost."""
    from mongo_dr_console.workers.access import reaches
    from mongo_dr_console.workers.pollers import run_bounded

    if not reaches(chosen.profile.access, wanted.access):
        say(
            f"mdr: profile {chosen.name!r} allows {chosen.profile.access!r}, "
            f"so the console does not get {wanted.access!r}"
        )
    ending = ending_timer()
    error = run_bounded(_run(chosen, wanted, ending))
    ending.cancel()
    if error is not None:
        raise error


def ending_timer() -> threading.Timer:
    """Ends the process if leaving takes too long: the terminal is the user's again by then."""
    ending = threading.Timer(_END_SECONDS, os._exit, (1,))
    ending.daemon = True
    return ending


def has_terminal() -> bool:
    """Whether a full-screen program can be shown here."""
    streams = (sys.stdin, sys.stdout, sys.stderr)
    return all(s is not None and s.isatty() for s in streams) and os.environ.get("TERM") != "dumb"


def require_terminal() -> None:
    """Raises WrongUse where there is no terminal for a full-screen program."""
    if not has_terminal():
        raise WrongUse("console-no-terminal", "The console needs a terminal, and this is none.", _INSTEAD)


async def _run(chosen: Chosen, wanted: Wanted, ending: threading.Timer) -> Exception | None:
    """Shows it until it is left; what it died of, if it did. From then on ``ending`` runs."""
    app = await show(chosen, wanted)
    ending.start()
    return app.failure


async def show(chosen: Chosen, wanted: Wanted, *, listed: bool = False) -> ConsoleApp:
    """The console on a profile until it is left.

    Args:
        listed: See ``Options``.
    """
    from mongo_dr_console.ui.app import ConsoleApp
    from mongo_dr_console.ui.driver import LastingDriver
    from mongo_dr_console.workers.access import ConsoleAccess
    from mongo_dr_console.workers.desk import Desk

    feed, extra = _feed(chosen, wanted)
    # A recording is the past: nothing can be done about it.
    access: Access = "watch" if wanted.replay is not None else wanted.access
    desk = Desk(
        chosen.name, chosen.profile, chosen.config_file, ConsoleAccess(chosen.name, chosen.profile, access)
    )
    app = ConsoleApp(desk, feed, replace(_options(chosen, wanted), listed=listed), **extra)
    if wanted.record is not None:
        _record(wanted.record, app)
    app.driver_class = LastingDriver
    leave_on_signals(app)
    await app.run_async(mouse=wanted.mouse)
    return app


def _feed(chosen: Chosen, wanted: Wanted) -> tuple[Feed, dict[str, Any]]:
    """Where the readings come from, and what else the app is given for it."""
    if wanted.replay is not None:
        from mongo_dr_console.workers.recorder import Replay, read_recording

        replay = Replay(chosen.name, chosen.profile.environment, read_recording(wanted.replay))
        return replay, {"clock": replay.clock}
    from mongo_dr_console.workers.pollers import Pollers

    return Pollers(chosen.name, chosen.profile), {}


def _record(path: Path, app: ConsoleApp) -> None:
    """Writes every reading down; once it fails that is said, and once more when it fails otherwise."""
    from mongo_dr_console.workers.recorder import Recorder

    recorder = Recorder(path)
    told = ""

    def listen(name: str, readings: Readings) -> None:
        nonlocal told
        recorder(name, readings)
        if recorder.error not in ("", told):
            app.say(recorder.error, level="warning")
        told = recorder.error

    app.feed.subscribe(listen)


def _options(chosen: Chosen, wanted: Wanted) -> Options:
    from mongo_dr_console.ui.app import Options

    theme, keys = settings(chosen.config_file)
    return Options(
        theme=wanted.theme or theme,
        keys=keys,
        ascii=wanted.ascii or not speaks_unicode(),
        incidents={} if wanted.replay is not None else wanted.incidents or practice_incidents(chosen),
        themes=config_path().parent / "themes",
        recorded=wanted.record,
        replayed=wanted.replay,
    )


def settings(config_file: Path) -> tuple[str, Mapping[str, str]]:
    """Theme and keys: those of the user's own config also where the practice deployment is watched."""
    path = config_path() if config_path().exists() else config_file
    try:
        config = load_config(path)
    except Trouble:
        return "dark", {}
    return config.theme, config.keys


def practice_incidents(chosen: Chosen) -> Incidents:
    """What can be let happen, where the profile is the practice deployment's and that is up."""
    from mongo_dr_console.sandbox.place import Place, look

    place = Place.usual()
    if chosen.name != PRACTICE or chosen.config_file.absolute() != place.config:
        return {}
    return incidents_of(place) if look(place).state == "up" else {}


def incidents_of(place: Any) -> Incidents:
    """Every practice event as a call that blocks and says what happened."""
    from mongo_dr_console.sandbox.incidents import NAMES, happen

    def telling(name: str) -> Callable[[], str]:
        return lambda: f"{name}: {happen(place, name, profile=PRACTICE).note}."

    return {name: telling(name) for name in NAMES}


def _of_recording(path: Path) -> Chosen:
    """The profile that a recording is of; one made up where no config here knows it.

    Raises:
        WrongUse: The file is no recording.
    """
    from mongo_dr_console.cli.context import Chosen, choose
    from mongo_dr_console.workers.recorder import read_recording

    first = read_recording(path)[0]
    try:
        chosen = choose(first.profile)
    except Trouble:
        profile = Profile.model_validate({"uri": "mongodb://recording.invalid/"})
        chosen = Chosen(first.profile, profile, config_path(), named=True, alone=True)
    shown = chosen.profile.model_copy(update={"environment": first.environment})
    return replace(chosen, profile=shown)


def leave_on_signals(app: App[Any]) -> None:
    """A polite kill leaves the console; a lost terminal leaves it without a word."""

    def lost() -> None:
        # There is nobody to write to any more; what is still written must not fail.
        nowhere = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(nowhere, descriptor)
        app.exit()

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, lost)
    loop.add_signal_handler(signal.SIGTERM, app.exit)
    loop.add_signal_handler(signal.SIGINT, app.exit)


def speaks_unicode() -> bool:
    """Whether the terminal takes more than ASCII."""
    encoding = (getattr(sys.__stderr__, "encoding", None) or "").lower().replace("-", "")
    return encoding.startswith("utf")
