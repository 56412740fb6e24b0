"""``mdr store``: what a bucket does by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mongo_dr_console.cli.context import choose
from mongo_dr_console.cli.output import print_json, write_lines
from mongo_dr_console.model.trouble import ExitCode

if TYPE_CHECKING:
    from mongo_dr_console.model.documents import LifecycleStore


def register(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The stores themselves.")
    group.callback()(lambda: None)
    group.command("lifecycle")(lifecycle_command)
    app.add_typer(group, name="store")


def lifecycle_command(
    context: typer.Context,
    store: Annotated[str | None, typer.Option("--store", help="This store only.")] = None,
    apply: Annotated[
        bool, typer.Option("--apply", help="Write the right rules; those of other prefixes stay.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """The lifecycle rules of a bucket, and which it should have.

    Retention is not left to the bucket.
    """
    from mongo_dr_console.workers.lifecycle import lifecycle

    chosen = choose(context.obj)
    if apply:
        chosen.require("operate")
    document = lifecycle(chosen.name, chosen.profile, store, apply=apply)
    if as_json:
        print_json(document)
    else:
        write_lines([line for one in document.stores for line in _lines(one)])
    if apply and any(one.problems for one in document.stores):
        raise SystemExit(int(ExitCode.PARTLY))


def _lines(one: LifecycleStore) -> list[str]:
    state = "written" if one.written else "as it should be" if one.right else "not as it should be"
    lines = [f"store {one.store} ({one.where}): {state}", *(f"  has     {rule}" for rule in one.rules)]
    if not one.rules:
        lines.append("  has     no rule")
    if not one.right:
        lines += [f"  should  {rule}" for rule in one.wanted] or ["  should  no rule"]
    return lines + [f"  {problem}" for problem in one.problems]
