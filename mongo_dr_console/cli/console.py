"""``mdr`` and ``mdr console``: the console on a profile. Textual is imported when it opens, not before."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mongo_dr_console.cli.output import has_terminal, say
from mongo_dr_console.cli.redact import Redact
from mongo_dr_console.config import (
    PRACTICE,
    Access,
    Profile,
    bearable,
    config_path,
    load_config,
    parse_duration,
    state_path,
)
from mongo_dr_console.model.trouble import Trouble, WrongUse

if TYPE_CHECKING:
    from textual.app import App

    from mongo_dr_console.cli.context import Chosen
    from mongo_dr_console.model.readings import Readings
    from mongo_dr_console.ui.app import ConsoleApp, Options
    from mongo_dr_console.ui.feed import Feed
    from mongo_dr_console.workers.pollers import Listener
    from mongo_dr_console.workers.recorder import Apart
    from mongo_dr_console.workers.recordings import Recording

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
        ring: Whether the last readings are kept in the state folder.
        replay: A recording that is shown instead of a deployment; or one of ``recordings.LAST``.
        incidents: Practice events.
        every: The list of all profiles first.
        poll: How often members are asked; None: as the profile says.
    """

    access: Access = "watch"
    theme: str | None = None
    ascii: bool = False
    mouse: bool = True
    record: Path | None = None
    ring: bool = True
    replay: Path | None = None
    incidents: Incidents = field(default_factory=dict)
    every: bool = False
    poll: timedelta | None = None


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
    no_record: Annotated[
        bool, typer.Option("--no-record", help="Keep none of what is seen in the state folder.")
    ] = False,
    replay: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Show a recording instead; 'last': the last console's; 'agent': the agent's.",
        ),
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="All profiles, a row each; enter goes into one.")
    ] = False,
    poll: Annotated[
        str | None, typer.Option(metavar="DURATION", help="How often members are asked: 500ms to 1m.")
    ] = None,
    redact: Redact = False,
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
    wanted = Wanted(
        access,
        theme,
        ascii_only,
        mouse=not no_mouse,
        record=record,
        ring=not no_record,
        replay=replay,
        every=every,
        poll=_interval(poll),
    )
    open_console(context.obj, wanted)


def _interval(text: str | None) -> timedelta | None:
    try:
        return None if text is None else bearable(parse_duration(text))
    except ValueError as error:
        raise WrongUse("usage", f"--poll {text}: {error}.", "As in --poll 5s") from None


def open_console(name: str | None, wanted: Wanted) -> None:
    """The console on the chosen profile, until it is left.

    Raises:
        WrongUse: There is no terminal, or no such profile.
    """
    from mongo_dr_console.cli.context import choose
    from mongo_dr_console.workers.recordings import read_recording

    require_terminal()
    if wanted.replay is None and (wanted.every or _several(name)):
        from mongo_dr_console.cli.profiles import run_list

        run_list(wanted)
        return
    if wanted.replay is None:
        run(choose(name), wanted)
        return
    replay = _found(wanted.replay, name)
    recording = read_recording(replay)
    run(_of_recording(recording), replace(wanted, replay=replay), recording)


def _several(name: str | None) -> bool:
    """Whether no profile is named, none is the default, and there are some: the list asks then."""
    if name is not None:
        return False
    from mongo_dr_console.cli.context import config_of

    config = load_config(config_of(None))
    return config.default_profile is None and len(config.profiles) > 1


def run(chosen: Chosen, wanted: Wanted, recording: Recording | None = None) -> None:
    """Opens the console and comes back when it is left, or when the terminal is lost."""
    from mongo_dr_console.workers.access import reaches
    from mongo_dr_console.workers.threads import run_bounded

    if not reaches(chosen.profile.access, wanted.access):
        say(
            f"mdr: profile {chosen.name!r} allows {chosen.profile.access!r}, "
            f"so the console does not get {wanted.access!r}"
        )
    ending = ending_timer()
    error = run_bounded(_run(chosen, wanted, recording, ending))
    ending.cancel()
    if error is not None:
        raise error


def ending_timer() -> threading.Timer:
    """Ends the process if leaving takes too long: the terminal is the user's again by then."""
    ending = threading.Timer(_END_SECONDS, os._exit, (1,))
    ending.daemon = True
    return ending


def require_terminal() -> None:
    """Raises WrongUse where there is no terminal for a full-screen program."""
    if not has_terminal():
        raise WrongUse("console-no-terminal", "The console needs a terminal, and this is none.", _INSTEAD)


async def _run(
    chosen: Chosen, wanted: Wanted, recording: Recording | None, ending: threading.Timer
) -> Exception | None:
    """Shows it until it is left; what it died of, if it did. From then on ``ending`` runs."""
    app = await show(chosen, wanted, recording, ending=ending)
    return app.failure


async def show(
    chosen: Chosen,
    wanted: Wanted,
    recording: Recording | None = None,
    *,
    listed: bool = False,
    ending: threading.Timer | None = None,
) -> ConsoleApp:
    """The console on a profile until it is left.

    Args:
        recording: What is shown instead of the profile.
        ending: Runs from then on.
        listed: See ``Options``.
    """
    from mongo_dr_console.ui.app import ConsoleApp
    from mongo_dr_console.ui.driver import LastingDriver
    from mongo_dr_console.workers.access import ConsoleAccess
    from mongo_dr_console.workers.desk import Desk

    if wanted.poll is not None:
        chosen = replace(chosen, profile=chosen.profile.model_copy(update={"poll": wanted.poll}))
    feed, extra = _feed(chosen, recording)
    # A recording is the past: nothing can be done about it.
    access: Access = "watch" if recording is not None else wanted.access
    desk = Desk(
        chosen.name, chosen.profile, chosen.config_file, ConsoleAccess(chosen.name, chosen.profile, access)
    )
    app = ConsoleApp(desk, feed, replace(_options(chosen, wanted, recording), listed=listed), **extra)
    recorders = [] if recording is not None else _record(chosen, wanted, app)
    app.driver_class = LastingDriver
    leave_on_signals(app)
    await app.run_async(mouse=wanted.mouse)
    if ending is not None:
        ending.start()
    for recorder in recorders:
        recorder.close()
    return app


def _feed(chosen: Chosen, recording: Recording | None) -> tuple[Feed, dict[str, Any]]:
    """Where the readings come from, and what else the app is given for it."""
    if recording is not None:
        from mongo_dr_console.workers.replay import Replay

        replay = Replay(chosen.name, chosen.profile.environment, recording.readings)
        return replay, {"clock": replay.clock}
    from mongo_dr_console.workers.latepollers import LatePollers

    return LatePollers(chosen.name, chosen.profile), {}


def _record(chosen: Chosen, wanted: Wanted, app: ConsoleApp) -> list[Apart]:
    """Writes every reading down, where that is wanted; what goes wrong with it is said once.

    Raises:
        Trouble: The file that was asked for cannot be written to.
    """
    from mongo_dr_console.workers.access import require_outside_stores
    from mongo_dr_console.workers.recorder import Apart, Recorder
    from mongo_dr_console.workers.ring import ring_of

    recorders = [ring_of(chosen.name, chosen.profile)] if wanted.ring else []
    if wanted.record is not None:
        require_outside_stores(chosen.profile, wanted.record)
        file = Recorder(wanted.record)
        recorders.append(Apart(lambda: file))
    for recorder in recorders:
        app.feed.subscribe(_saying_once(recorder, app))
    return recorders


def _saying_once(recorder: Apart, app: ConsoleApp) -> Listener:
    told: set[str] = set()

    def listen(name: str, readings: Readings) -> None:
        recorder(name, readings)
        if (error := recorder.error) and error not in told:
            told.add(error)
            app.say(error, level="warning")

    return listen


def _options(chosen: Chosen, wanted: Wanted, recording: Recording | None) -> Options:
    from mongo_dr_console.ui.app import Options

    theme, keys = settings(chosen.config_file)
    return Options(
        theme=wanted.theme or theme,
        keys=keys,
        ascii=wanted.ascii or not speaks_unicode(),
        incidents={} if recording is not None else wanted.incidents or practice_incidents(chosen),
        themes=config_path().parent / "themes",
        recorded=wanted.record,
        replayed=wanted.replay,
        reports=() if recording is None else _lost(recording),
    )


def _lost(recording: Recording) -> tuple[str, ...]:
    if not recording.lost:
        return ()
    lines = "1 line" if recording.lost == 1 else f"{recording.lost} lines"
    return (f"{lines} of this recording cannot be read and are left out: damaged, or of a newer version.",)


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
    if chosen.name != PRACTICE:
        return {}
    from mongo_dr_console.sandbox.place import Place, look

    place = Place.usual()
    if chosen.config_file.absolute() != place.config:
        return {}
    return incidents_of(place) if look(place).state == "up" else {}


def incidents_of(place: Any) -> Incidents:
    """Every practice event as a call that blocks and says what happened."""
    from mongo_dr_console.sandbox.incidents import NAMES, happen

    def telling(name: str) -> Callable[[], str]:
        return lambda: f"{name}: {happen(place, name, profile=PRACTICE).note}."

    return {name: telling(name) for name in NAMES}


def _found(replay: Path, name: str | None) -> Path:
    """The recording that was asked for by a file or a folder, or as the last one.

    Args:
        name: Of the profile; None: the last one of all that there are.

    Raises:
        WrongUse: There is none.
    """
    from mongo_dr_console.cli.context import choose
    from mongo_dr_console.workers.recordings import LAST, last_of, recordings_folder

    kind = LAST.get(str(replay))
    if kind is None:
        return replay
    try:
        chosen = choose(name)
    except Trouble:
        folder = state_path() / "recordings"
        known = [folder / name] if name else sorted(folder.glob("*"))
    else:
        folder = recordings_folder(chosen.profile)
        known = [folder / chosen.name]
    return last_of(known, kind)


def _of_recording(recording: Recording) -> Chosen:
    """The profile that a recording is of; one made up where no config here knows it."""
    from mongo_dr_console.cli.context import Chosen, choose

    first = recording.readings[0]
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
