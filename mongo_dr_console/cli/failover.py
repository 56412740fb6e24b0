"""``mdr failover``: the monitor and its run-books by hand."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from mongo_dr_console.cli.context import choose
from mongo_dr_console.cli.output import print_json, say, write_lines
from mongo_dr_console.model.trouble import ExitCode, Refused, WrongUse

if TYPE_CHECKING:
    from mongo_dr_console.model.failoverdoc import Pause

AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
_SHOWN = 10


def register(app: typer.Typer) -> None:
    group = typer.Typer(
        no_args_is_help=True, rich_markup_mode=None, help="What the failover monitor sees, did, and may do."
    )
    group.command("show")(show_command)
    group.command("test")(test_command)
    group.command("pause")(pause_command)
    group.command("resume")(resume_command)
    app.add_typer(group, name="failover")


def show_command(context: typer.Context, as_json: AsJson = False) -> None:
    """How the primary stands, and the last failovers by steps."""
    from mongo_dr_console.model.failoverdoc import FailoversDocument
    from mongo_dr_console.model.failovertext import monitor_lines, record_lines
    from mongo_dr_console.workers.failover_state import FailoverFiles, read_failovers, read_monitor

    chosen = choose(context.obj)
    now = datetime.now(UTC)
    facts = read_monitor(chosen.name, chosen.profile)
    known, unread = read_failovers(chosen.profile, FailoverFiles.of(chosen.name, chosen.profile))
    if as_json:
        print_json(
            FailoversDocument(
                profile=chosen.name,
                monitor=facts,
                alive=facts is not None and not facts.stale(now),
                failovers=known,
                unread=unread,
            )
        )
    else:
        running = [] if facts is None or facts.run is None else record_lines(facts.run)
        ended = [line for record in known[:_SHOWN] for line in record_lines(record)]
        write_lines([*monitor_lines(facts, now), *running, *(ended or ["No failover is recorded."])])
    _end(unread)


def test_command(
    context: typer.Context,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Let the primary of a healthy set step down, and measure.

    Measured is how long it takes until applications are led to the new primary; writes fail for some seconds
    meanwhile. Refuses (4) where the set is not healthy.
    """
    from mongo_dr_console.model.failovertext import stepdown_lines
    from mongo_dr_console.workers.failover_hand import check_healthy, probing, rehearse

    chosen = choose(context.obj)
    chosen.require("restore")
    with probing(chosen.profile) as probes:
        leader = check_healthy(chosen.name, chosen.profile, probes)
        wanted = f"{chosen.profile.environment}/{probes.set_name}/stepdown"
    confirm(f"{leader.member} will step down; writes fail for some seconds.", wanted, yes=yes)
    document = rehearse(chosen.name, chosen.profile, say)
    if as_json:
        print_json(document)
    else:
        write_lines(stepdown_lines(document))
    if not document.success:
        raise SystemExit(int(ExitCode.FAILED))


def pause_command(
    context: typer.Context,
    length: Annotated[
        str | None, typer.Option("--for", help="How long, as 1h; else until it is resumed.")
    ] = None,
    reason: Annotated[str, typer.Option("--reason", help="Why; shown wherever the pause is met.")] = "",
    as_json: AsJson = False,
) -> None:
    """Let the monitor watch and act no more. As during a planned work on the set."""
    from mongo_dr_console.config import parse_duration
    from mongo_dr_console.host import this_owner
    from mongo_dr_console.model.failoverdoc import Pause

    now = datetime.now(UTC)
    try:
        until = None if length is None else now + parse_duration(length)
    except ValueError as error:
        raise WrongUse("duration-wrong", f"--for {length}: {error}.", "As in: --for 1h") from None
    _write(context, Pause(paused=True, at=now, until=until, by=this_owner(), reason=reason), as_json)


def resume_command(context: typer.Context, as_json: AsJson = False) -> None:
    """Let the monitor act again. It leads applications to the primary of now."""
    from mongo_dr_console.host import this_owner
    from mongo_dr_console.model.failoverdoc import Pause

    _write(context, Pause(paused=False, at=datetime.now(UTC), by=this_owner()), as_json)


def _write(context: typer.Context, pause: Pause, as_json: bool) -> None:
    from mongo_dr_console.model.failoverdoc import PauseDocument
    from mongo_dr_console.model.failovertext import pause_lines
    from mongo_dr_console.workers.failover_pausing import put_pause

    chosen = choose(context.obj)
    chosen.require("operate")
    not_in = put_pause(chosen.name, chosen.profile, pause)
    if as_json:
        print_json(PauseDocument(profile=chosen.name, pause=pause, not_in=not_in))
    else:
        write_lines(pause_lines(pause, datetime.now(UTC)) or ["The failover monitor acts."])
    _end(not_in)


def confirm(text: str, wanted: str, *, yes: bool) -> None:
    """Asks for the typed text on a terminal.

    Raises:
        Refused: Something else was typed, or there is no terminal to ask on.
    """
    if yes:
        return
    if sys.stdin.isatty():
        say(text)
        if typer.prompt(f"Type {wanted} to confirm", default="", show_default=False, err=True) == wanted:
            return
        raise Refused("not-confirmed", f"What was typed is not {wanted!r}. Nothing was changed.")
    raise Refused("not-confirmed", f"{text} Nothing was changed.", "Confirm with: --yes")


def _end(troubles: list[str]) -> None:
    for text in troubles:
        say(f"mdr: {text}")
    if troubles:
        raise SystemExit(int(ExitCode.PARTLY))
