"""``mdr hold``: what nothing may prune."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated

import typer

from mongo_dr_console.cli.context import Chosen, choose
from mongo_dr_console.cli.output import print_json, say, write_lines
from mongo_dr_console.model.catalogue import is_snapshot_name
from mongo_dr_console.model.documents import HoldDocument, HoldsDocument
from mongo_dr_console.model.hold import Hold
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.pruneview import HOLDS_DO_NOT_REACH, hold_json, hold_range
from mongo_dr_console.model.trouble import ExitCode, Trouble
from mongo_dr_console.model.when import names_event, needs_latest, parse_when

AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


def register(app: typer.Typer) -> None:
    group = typer.Typer(
        no_args_is_help=True, rich_markup_mode=None, help="Keep snapshots and segments from being pruned."
    )
    group.command("list")(list_command)
    # A time may begin with a dash: -10m.
    group.command("add", context_settings={"ignore_unknown_options": True})(add_command)
    group.command("release")(release_command)
    app.add_typer(group, name="hold")


def list_command(context: typer.Context, as_json: AsJson = False) -> None:
    """The holds that stand, oldest first."""
    from mongo_dr_console.workers.holding import list_holds

    holds, troubles = list_holds(choose(context.obj).profile)
    if as_json:
        print_json(HoldsDocument(holds=_documents(holds), not_in=list(troubles)))
    else:
        write_lines([_line(hold) for hold in holds] or ["Nothing is held."])
    _end(troubles, "was not asked")


def add_command(
    context: typer.Context,
    what: Annotated[
        str, typer.Argument(metavar="FROM..TO", help="A range of times, event:ID, or a snapshot.")
    ],
    reason: Annotated[str, typer.Option("--reason", help="Why; shown wherever the hold is met.")],
    as_json: AsJson = False,
) -> None:
    """Keep a snapshot, or a range of positions, until it is released."""
    from mongo_dr_console.workers.holding import add_hold, list_holds, range_of

    chosen = choose(context.obj)
    chosen.require("operate")
    named = what.strip() if is_snapshot_name(what.strip()) else None
    span = None if named else range_of(what, lambda text: _read(chosen, text))
    noted = add_hold(chosen.name, chosen.profile, reason, span=span, snapshot=named)
    if as_json:
        holds, _ = list_holds(chosen.profile)
        print_json(HoldsDocument(holds=_documents(holds), added=noted.hold.id, not_in=list(noted.not_in)))
    else:
        write_lines([f"Held: {_line(noted.hold)}", HOLDS_DO_NOT_REACH])
    _end(noted.not_in, "does not know of it")


def release_command(
    context: typer.Context,
    hold: Annotated[str, typer.Argument(metavar="ID", help="The hold's id, or how it begins.")],
    as_json: AsJson = False,
) -> None:
    """Take a hold back. What it kept goes with the next prune that finds it too old."""
    from mongo_dr_console.workers.holding import list_holds, release_hold

    chosen = choose(context.obj)
    chosen.require("operate")
    noted = release_hold(chosen.name, chosen.profile, hold)
    if as_json:
        holds, _ = list_holds(chosen.profile)
        print_json(HoldsDocument(holds=_documents(holds), released=noted.hold.id, not_in=list(noted.not_in)))
    else:
        write_lines([f"Released: {_line(noted.hold)}"])
    _end(noted.not_in, "does not know of it, so it stands there")


def _read(chosen: Chosen, text: str) -> tuple[Position, Position]:
    """What one time means; the oplog is looked into only where the text needs it. Of an event the entry
    before it belongs to it: that is what a restore goes back to."""
    if not names_event(text) and not needs_latest(text):
        when = parse_when(text, now=datetime.now(UTC), latest=None)
        return when.first, when.last
    from mongo_dr_console.cli.find import open_oplog
    from mongo_dr_console.stream.finder import find_event

    with open_oplog(chosen, None) as source:
        when = parse_when(
            text,
            now=datetime.now(UTC),
            latest=source.windows()[-1].end,
            events=lambda wanted: find_event(source, wanted),
        )
    before = when.event.before if when.event is not None else None
    return before or when.first, when.last


def _documents(holds: list[Hold]) -> list[HoldDocument]:
    return [HoldDocument.model_validate(hold_json(hold)) for hold in holds]


def _line(hold: Hold) -> str:
    facts = hold_json(hold)
    return f"{hold.id}  {hold_range(facts)}: {hold.reason}  ({hold.by}, {facts['at']})"


def _end(troubles: Mapping[str, Trouble], what: str) -> None:
    for name, trouble in troubles.items():
        say(f"mdr: store {name} {what}: {trouble}")
    if troubles:
        raise SystemExit(int(ExitCode.PARTLY))
