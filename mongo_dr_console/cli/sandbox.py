"""``mdr sandbox`` and ``mdr demo``."""

from __future__ import annotations

from typing import Annotated

import typer

from mongo_dr_console.cli.output import print_json, say

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


def register(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True, help="The practice deployment: three real mongods to break.")
    app.add_typer(group, name="sandbox")
    group.command("up")(up)
    group.command("down")(down)
    group.command("status")(status)


def up(as_json: Json = False) -> None:
    """Puts the practice deployment up: three mongods, a shop, a workload, a store with a first snapshot."""
    from mongo_dr_console.sandbox.place import Place
    from mongo_dr_console.sandbox.practice import up as put_up

    practice = put_up(Place.usual(), say)
    if as_json:
        print_json(practice)
        return
    typer.echo(f"The practice deployment is up: {practice.documents:,} documents, set {practice.set!r}.")
    typer.echo(f"  store     {practice.store}")
    typer.echo(f"  snapshot  {practice.snapshot or 'none'}")


def down(as_json: Json = False) -> None:
    """Ends every process of the practice deployment and removes its files."""
    from mongo_dr_console.sandbox.place import Place
    from mongo_dr_console.sandbox.practice import down as take_down

    there = take_down(Place.usual())
    if as_json:
        print_json({"schema": "mdr.sandbox-down", "removed": there})
    else:
        typer.echo("The practice deployment is gone." if there else "There was no practice deployment.")


def status(as_json: Json = False) -> None:
    """What there is of the practice deployment."""
    from mongo_dr_console.sandbox.place import Place, look

    found = look(Place.usual())
    if as_json:
        print_json(found)
        return
    typer.echo(f"The practice deployment is {found.state}.")
    if found.state in ("up", "broken"):
        typer.echo(f"  members   {found.members_running} of {found.members} run")
        typer.echo(f"  workload  {'runs' if found.workload_running else 'does not run'}")
