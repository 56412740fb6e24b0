"""``mdr drill``: rehearsed recoveries, and what is known of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from mongo_dr_console.cli.context import choose
from mongo_dr_console.cli.output import print_json, say, write_lines
from mongo_dr_console.model.trouble import ExitCode

if TYPE_CHECKING:
    from mongo_dr_console.config import Profile
    from mongo_dr_console.model.drill import DrillRecord

AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


def register(app: typer.Typer) -> None:
    group = typer.Typer(
        no_args_is_help=True, rich_markup_mode=None, help="Rehearse a recovery, and measure it."
    )
    group.command("run")(run_command)
    group.command("history")(history_command)
    group.command("report")(report_command)
    app.add_typer(group, name="drill")


def run_command(
    context: typer.Context,
    store: Annotated[
        str | None, typer.Option("--store", help="Where its snapshot goes; else the nearest store.")
    ] = None,
    full: Annotated[
        bool,
        typer.Option("--full", help="The newest snapshot and the stream, into a mongod of its own."),
    ] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Do not wait for its end.")] = False,
    as_json: AsJson = False,
) -> None:
    """Back up, lose and restore test data, and compare.

    In the database caas_dr_test; nothing else is touched.

    Fails (1) where anything did not come back as it was.
    """
    from mongo_dr_console.cli.attach import finish
    from mongo_dr_console.cli.jobrun import run_job
    from mongo_dr_console.stores.open import choose_stores

    chosen = choose(context.obj)
    chosen.require("restore")
    choose_stores(chosen.profile, [store] if store else None)
    view = run_job(chosen, "drill", {"store": store, "full": full}, detach=detach, as_json=as_json)
    if view is None:
        return
    if not (as_json and view.result):
        finish(view, as_json=as_json)
    print_json(view.result)
    if view.error is not None:
        say(f"mdr: {view.error.message}")
    raise SystemExit(view.exit_code)


def history_command(context: typer.Context, as_json: AsJson = False) -> None:
    """The drills that the stores know of, newest first."""
    from mongo_dr_console.model.drill import DrillHistoryDocument, history_line

    drills, unread = _read(choose(context.obj).profile)
    if as_json:
        print_json(DrillHistoryDocument(drills=drills, unread=unread))
    else:
        write_lines([history_line(drill) for drill in drills] or ["No drill is recorded."])
    _end(unread)


def report_command(context: typer.Context) -> None:
    """All drills as a Markdown page for an auditor."""
    from mongo_dr_console.model.drill import report

    chosen = choose(context.obj)
    drills, unread = _read(chosen.profile)
    write_lines(report(drills, datetime.now(UTC), chosen.name, unread).splitlines())
    _end(unread)


def _read(profile: Profile) -> tuple[list[DrillRecord], list[str]]:
    from mongo_dr_console.workers.drill_history import read_history

    return read_history(profile)


def _end(unread: list[str]) -> None:
    for text in unread:
        say(f"mdr: {text}")
    if unread:
        raise SystemExit(int(ExitCode.PARTLY))
