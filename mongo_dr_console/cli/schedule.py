"""``mdr schedule``: what the agent runs by itself, and what became of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from mongo_dr_console.cli.context import choose
from mongo_dr_console.cli.output import print_json, write_lines


def register(app: typer.Typer) -> None:
    group = typer.Typer(
        no_args_is_help=True, rich_markup_mode=None, help="What the agent runs by itself, and when."
    )
    group.command("list")(list_command)
    # A group of one command would be that command.
    group.callback()(lambda: None)
    app.add_typer(group, name="schedule")


def list_command(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Each kind of job, its last run and its next.

    With its expression, and why one waits or was skipped; also while no agent runs.
    """
    from mongo_dr_console.model.scheduleview import schedule_lines
    from mongo_dr_console.workers.schedules import read_schedule

    chosen, now = choose(context.obj), datetime.now(UTC)
    document = read_schedule(chosen.name, chosen.profile, now)
    if as_json:
        print_json(document)
    else:
        write_lines(schedule_lines(document, now))
