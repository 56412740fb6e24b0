"""``mdr endpoint``: where applications are led, and the switch by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mongo_dr_console.cli.context import Chosen, choose
from mongo_dr_console.cli.output import print_json, say, write_lines
from mongo_dr_console.model.trouble import ExitCode

if TYPE_CHECKING:
    from mongo_dr_console.model.failoverdoc import EndpointDocument, FailoverRecord

AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


def register(app: typer.Typer) -> None:
    group = typer.Typer(
        no_args_is_help=True, rich_markup_mode=None, help="Where applications are led, and by whom."
    )
    group.command("show")(show_command)
    group.command("switch")(switch_command)
    app.add_typer(group, name="endpoint")


def show_command(context: typer.Context, as_json: AsJson = False) -> None:
    """What the endpoint says, and who the primary is."""
    from mongo_dr_console.model.failovertext import content_text

    document = _document(choose(context.obj), None)
    if as_json:
        print_json(document)
        return
    primary = "No primary is known." if document.primary is None else f"The primary is {document.primary}"
    term = "" if document.term is None else f" in term {document.term}."
    write_lines([f"{document.where}: {content_text(document.content)}", f"{primary}{term}"])


def switch_command(
    context: typer.Context,
    to: Annotated[
        str | None, typer.Option("--to", metavar="HOST:PORT", help="Whom you mean; it must be the primary.")
    ] = None,
    lower_term: Annotated[
        bool,
        typer.Option("--lower-term", help="Also to an older term: after a forced reconfiguration only."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Lead applications to the primary of now, and tell them. It is proved first, by a write that a majority
    takes."""
    from mongo_dr_console.cli.failover import confirm
    from mongo_dr_console.model.failovertext import record_lines
    from mongo_dr_console.workers.failover_hand import need_endpoint, switch_by_hand
    from mongo_dr_console.workers.failover_state import FailoverFiles

    chosen = choose(context.obj)
    chosen.require("restore")
    where = need_endpoint(chosen.name, chosen.profile, FailoverFiles.of(chosen.name, chosen.profile)).where
    confirm(
        f"{where} will lead to {to or 'the primary of now'}.",
        f"{chosen.profile.environment}/endpoint",
        yes=yes,
    )
    record = switch_by_hand(chosen.name, chosen.profile, to, lower_term=lower_term, tell=say)
    if as_json:
        print_json(_document(chosen, record))
    else:
        write_lines(record_lines(record))
    if record.state != "done":
        switched = record.step("endpoint").state == "done"
        raise SystemExit(int(ExitCode.PARTLY if switched else ExitCode.FAILED))


def _document(chosen: Chosen, record: FailoverRecord | None) -> EndpointDocument:
    from mongo_dr_console.model.failoverdoc import EndpointDocument
    from mongo_dr_console.workers.failover_hand import leader_now, need_endpoint, probing
    from mongo_dr_console.workers.failover_state import FailoverFiles

    endpoint = need_endpoint(chosen.name, chosen.profile, FailoverFiles.of(chosen.name, chosen.profile))
    content = endpoint.read()
    with probing(chosen.profile) as probes:
        leader = leader_now(probes, 5.0)
    return EndpointDocument(
        profile=chosen.name,
        kind=endpoint.kind,
        where=endpoint.where,
        content=content,
        primary=None if leader is None else leader.member,
        term=None if leader is None else leader.term,
        record=record,
    )
