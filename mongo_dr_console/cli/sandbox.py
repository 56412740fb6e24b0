"""``mdr sandbox`` and ``mdr demo``."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mongo_dr_console.cli.output import has_terminal, print_json, say
from mongo_dr_console.config import PRACTICE, load_config
from mongo_dr_console.model.foldtext import clean
from mongo_dr_console.model.words import moment

if TYPE_CHECKING:
    from mongo_dr_console.sandbox.incidents import Incident
    from mongo_dr_console.sandbox.place import Place

WithKafka = Annotated[
    bool, typer.Option("--kafka", help="With a Kafka broker; needs Java 17 and Maven, fetches it once.")
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]

_INCIDENTS = "drop-collection, drop-database, bad-update, mass-delete, kill-primary or lag"


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    group = typer.Typer(no_args_is_help=True, help="The practice deployment: three real mongods to break.")
    app.add_typer(group, name="sandbox")
    group.command("up")(up)
    group.command("down")(down)
    group.command("status")(status)
    group.command("incident")(incident)
    app.command("demo")(demo)


def up(kafka: WithKafka = False, as_json: AsJson = False) -> None:
    """Puts the practice deployment up.

    Three mongods, a shop, a workload, a store with a first snapshot.
    """
    from mongo_dr_console.sandbox.place import Place
    from mongo_dr_console.sandbox.practice import up as put_up

    practice = put_up(Place.usual(), say, kafka=kafka)
    if as_json:
        print_json(practice)
        return
    typer.echo(f"The practice deployment is up: set {practice.set!r}, {practice.documents:,} documents.")
    typer.echo(f"  config    {clean(practice.config)}  (profile {practice.profile!r})")
    typer.echo(f"  store     {clean(practice.store)}, snapshot {practice.snapshot}")
    if practice.kafka:
        typer.echo(f"  kafka     {practice.kafka}")
    typer.echo("\n".join(_commands_to_try()))


def down(as_json: AsJson = False) -> None:
    """Ends the practice deployment and removes its files."""
    from mongo_dr_console.model.documents import SandboxDownDocument
    from mongo_dr_console.sandbox.place import Place
    from mongo_dr_console.sandbox.practice import down as take_down

    there = take_down(Place.usual())
    if as_json:
        print_json(SandboxDownDocument(removed=there))
    else:
        typer.echo("The practice deployment is gone." if there else "There was no practice deployment.")


def status(as_json: AsJson = False) -> None:
    """What there is of the practice deployment."""
    from mongo_dr_console.sandbox.place import Place, look

    found = look(Place.usual())
    if as_json:
        print_json(found)
        return
    typer.echo(f"The practice deployment is {found.state}.")
    if found.members:
        typer.echo(f"  members   {found.members_running} of {found.members} run")
        typer.echo(f"  workload  {'runs' if found.workload_running else 'does not run'}")
    if found.kafka:
        typer.echo(f"  kafka     {found.kafka} {'runs' if found.kafka_running else 'does not run'}")
    if found.lag_until is not None:
        typer.echo(f"  lag       a member is held back until {moment(found.lag_until)}")
    if found.state == "broken":
        typer.echo(f"  Put a new one up with: {mdr()} sandbox up; clear it away with: {mdr()} sandbox down")


def incident(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help=f"One of {_INCIDENTS}.")],
    seconds: Annotated[int, typer.Option(min=1, max=3600, help="How long lag holds a member back.")] = 90,
    as_json: AsJson = False,
) -> None:
    """Lets something bad happen to it, and to no other."""
    from mongo_dr_console.sandbox.incidents import happen
    from mongo_dr_console.sandbox.place import Place

    happened = happen(Place.usual(), name, profile=context.obj, lag_seconds=seconds)
    if as_json:
        print_json(happened)
    else:
        _tell(happened)


def demo(kafka: WithKafka = False) -> None:
    """A live replica set to break and bring back, in the console.

    Puts the practice deployment up, opens the console on it, and removes it at the end.
    """
    from mongo_dr_console.sandbox.place import Place
    from mongo_dr_console.sandbox.practice import hold

    place = Place.usual()
    held = hold(place, say, kafka=kafka)
    try:
        _watch_it(place)
    finally:
        # From here on nothing but the removal itself decides when it is over.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        if held.keeper is None:
            say("The practice deployment was up before and stays.")
        else:
            say("Removing the practice deployment.")
            held.release(place)


def _watch_it(place: Place) -> None:
    """The console, or what can be told where there is no terminal for it."""
    from mongo_dr_console.cli.console import Wanted, incidents_of, run
    from mongo_dr_console.cli.context import Chosen
    from mongo_dr_console.cli.watch import watch

    profile = load_config(place.config).profiles[PRACTICE]
    with _ended_by_signals():
        if has_terminal():
            chosen = Chosen(PRACTICE, profile, place.config, named=True, alone=True)
            run(chosen, Wanted(access="restore", incidents=incidents_of(place)))
            return
        say("\n".join(_commands_to_try()))
        above = [*_commands_to_try(), "Ctrl-C here removes everything.", ""]
        watch(PRACTICE, profile, plain=False, above=above)


def mdr() -> str:
    """The command as it can be typed in another terminal that is in this folder."""
    prefix = ""
    if state := os.environ.get("MDR_STATE_DIR"):
        prefix = f"MDR_STATE_DIR={shlex.quote(str(Path(state).absolute()))} "
    beside = Path(sys.executable).with_name("mdr")
    on_path = shutil.which("mdr")
    if on_path is not None and Path(on_path).absolute() == beside:
        return f"{prefix}mdr"
    with suppress(ValueError):
        beside = beside.relative_to(Path.cwd())
    return prefix + shlex.quote(str(beside))


def _tell(happened: Incident) -> None:
    position = happened.position
    typer.echo(f"{happened.name}: {clean(happened.note)}.")
    typer.echo(f"  position  {position} ({moment(position.time)}), the first oplog entry of it")
    if happened.namespace is None:
        typer.echo(f"See it with:  {mdr()} --profile {PRACTICE} status")
        return
    typer.echo(f"  before    {happened.before.documents:,} documents in {happened.namespace}")
    chosen = f"--ns {shlex.quote(happened.namespace)}"
    command = f"{mdr()} --profile {PRACTICE}"
    typer.echo(f"Find it:\n  {command} find --since -10m")
    typer.echo(f"Go back to before it:\n  {command} restore run {chosen} --before {position}")
    typer.echo("Keep later writes too (EVENT is the id that find prints):")
    typer.echo(f"  {command} restore run {chosen} --skip EVENT")


def _commands_to_try() -> list[str]:
    command = f"{mdr()} --profile {PRACTICE}"
    return [
        "Break it and bring it back, from another terminal in this folder:",
        f"  {command} sandbox incident drop-collection",
        f"  {command} find --since -10m",
        f"  {command} restore run --ns shop.orders --skip EVENT",
        "EVENT is the id that find prints; --before event:EVENT goes back to before it.",
    ]


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """A closed terminal or a polite kill ends the demo as Ctrl-C does."""
    numbers = (signal.SIGTERM, signal.SIGHUP)
    for number in numbers:
        signal.signal(number, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        with suppress(KeyboardInterrupt):
            yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)
