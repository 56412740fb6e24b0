"""``mdr alerts``: what runs, taking it up, silence, and whether messages arrive."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from mongo_dr_console.cli.context import choose
from mongo_dr_console.cli.output import print_json, say, write_lines
from mongo_dr_console.model.trouble import ExitCode, WrongUse

if TYPE_CHECKING:
    from datetime import timedelta

    from mongo_dr_console.model.alertfacts import AckDocument, AlertFacts, SilenceDocument, WayTested

AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


def register(app: typer.Typer) -> None:
    group = typer.Typer(
        no_args_is_help=True, rich_markup_mode=None, help="What the agent warns of, and who is told."
    )
    group.command("list")(list_command)
    group.command("ack")(ack_command)
    group.command("silence")(silence_command)
    group.command("unsilence")(unsilence_command)
    group.command("test")(test_command)
    app.add_typer(group, name="alerts")


def list_command(context: typer.Context, as_json: AsJson = False) -> None:
    """The alerts, the silences, and how messages are sent."""
    from mongo_dr_console.model.alertfacts import alerts_document
    from mongo_dr_console.workers.alerting import known_alerts

    chosen = choose(context.obj)
    facts, now = known_alerts(chosen.name, chosen.profile), datetime.now(UTC)
    if as_json:
        print_json(alerts_document(chosen.name, facts, now))
    else:
        write_lines(_page(facts, now))


def ack_command(
    context: typer.Context,
    alert: Annotated[str, typer.Argument(metavar="ID", help="The alert's id, or how it begins.")],
    as_json: AsJson = False,
) -> None:
    """Take an alert up. It is not repeated until it ends or becomes worse."""
    from mongo_dr_console.model.alertfacts import AckDocument
    from mongo_dr_console.workers.alerting import acknowledge

    chosen = choose(context.obj)
    chosen.require("operate")
    found, where = acknowledge(chosen.name, chosen.profile, alert)
    said = f"Taken up: {found.name}. It is not repeated until it ends or becomes worse."
    _noted(AckDocument(alert=found, noted_in=where), said, as_json=as_json)


def silence_command(
    context: typer.Context,
    kind: Annotated[str, typer.Argument(metavar="KIND|all", help="A kind of alert, or all.")],
    lasts: Annotated[
        str | None, typer.Option("--for", metavar="DURATION", help="As 30m, 2h; else as the profile says.")
    ] = None,
    reason: Annotated[str, typer.Option("--reason", help="Why; shown wherever the silence is met.")] = "",
    as_json: AsJson = False,
) -> None:
    """Send nothing for a kind, or for all, for a time.

    What happens meanwhile is told after it.
    """
    from mongo_dr_console.model.alertfacts import SilenceDocument
    from mongo_dr_console.model.alerttext import silence_text
    from mongo_dr_console.workers.alerting import silence

    chosen = choose(context.obj)
    chosen.require("operate")
    made, where = silence(chosen.name, chosen.profile, kind, _duration(lasts), reason)
    said = f"Silenced: {silence_text(made, datetime.now(UTC))}"
    _noted(SilenceDocument(added=made, noted_in=where), said, as_json=as_json)


def unsilence_command(
    context: typer.Context,
    what: Annotated[str, typer.Argument(metavar="KIND|all|ID", help="A kind, all of them, or a silence.")],
    as_json: AsJson = False,
) -> None:
    """Take silences back: what they held back is told now."""
    from mongo_dr_console.model.alertfacts import SilenceDocument
    from mongo_dr_console.workers.alerting import unsilence

    chosen = choose(context.obj)
    chosen.require("operate")
    removed, where = unsilence(chosen.name, chosen.profile, what)
    said = f"No longer silenced: {', '.join(removed)}"
    _noted(SilenceDocument(removed=removed, noted_in=where), said, as_json=as_json)


def test_command(context: typer.Context, as_json: AsJson = False) -> None:
    """Send a test message each way, and say which worked. Partly done (5) where one did not."""
    from mongo_dr_console.model.alertfacts import AlertTestDocument
    from mongo_dr_console.workers.alerting import try_ways

    chosen = choose(context.obj)
    chosen.require("operate")
    ways = try_ways(chosen.name, chosen.profile, None)
    if as_json:
        print_json(AlertTestDocument(profile=chosen.name, ways=ways))
    else:
        write_lines(_tried(way) for way in ways)
    failed = sum(not way.worked for way in ways)
    if failed:
        raise SystemExit(int(ExitCode.FAILED if failed == len(ways) else ExitCode.PARTLY))


def _duration(text: str | None) -> timedelta | None:
    from mongo_dr_console.config import parse_duration

    try:
        return None if text is None else parse_duration(text)
    except ValueError as error:
        raise WrongUse("duration-wrong", f"--for {text}: {error}.", "As in --for 2h") from None


def _tried(way: WayTested) -> str:
    if way.trouble is None:
        return f"{way.name}: taken in {way.seconds:.1f} s"
    return f"{way.name}: FAILED: {way.trouble.message} {way.trouble.hint}"


def _noted(document: AckDocument | SilenceDocument, said: str, *, as_json: bool) -> None:
    """What was done, and who of the agents hears it."""
    from mongo_dr_console.workers.alertstate import HERE

    if as_json:
        print_json(document)
    else:
        write_lines([said])
    if document.noted_in == HERE:
        say("mdr: the store that agents share does not answer, or there is none: only an agent here hears it")


def _page(facts: AlertFacts | None, now: datetime) -> Iterator[str]:
    from mongo_dr_console.model.alerttext import agent_text, alert_cells, past_text, silence_text, way_text

    yield agent_text(facts, now)
    if facts is None:
        return
    running = facts.running_alerts
    if not running:
        yield "No alert runs."
    for alert in running:
        name, level, what, lasts, state, text = alert_cells(alert, facts, now)
        done = f" ({state})" if state else ""
        yield f"{alert.level.glyph} {name}  {level} {what} for {lasts}{done}: {text}"
    for silence in facts.state.silences:
        if now < silence.until:
            yield f"silence {silence_text(silence, now)}"
    for way in facts.ways:
        yield f"way {way_text(way, facts.waiting(way.name), now)}"
    for alert in reversed(facts.state.past[-10:]):
        yield f"past {alert.id}  {past_text(alert, now)}"
