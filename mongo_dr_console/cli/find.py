"""``mdr find``: destructive events in the oplog, or the history of one document."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mongo_dr_console.cli.context import Chosen, choose
from mongo_dr_console.cli.output import print_json, write_lines
from mongo_dr_console.cli.redact import Redact
from mongo_dr_console.model.documentid import parse_identity
from mongo_dr_console.model.documents import ChangeDocument, FindDocument, HistoryDocument, Scanned
from mongo_dr_console.model.event import CHANGES, LOGINS, Event
from mongo_dr_console.model.eventscan import DEFAULT_MINIMUM, Filter
from mongo_dr_console.model.hiding import all_redacted
from mongo_dr_console.model.namespace import Namespace
from mongo_dr_console.model.position import Position, Span
from mongo_dr_console.model.trouble import Unreachable, WrongUse
from mongo_dr_console.model.when import limit_before, limit_through, names_event, parse_when
from mongo_dr_console.model.words import counted

if TYPE_CHECKING:
    from mongo_dr_console.stream.finder import Change
    from mongo_dr_console.stream.source import StreamSource

AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
_TIMES = "2026-11-22T02:11:31Z, -10m, t:i or event:ID."


def register(app: typer.Typer) -> None:
    """Adds the command."""

    @app.command(
        "find",
        help="Find drops, mass deletes and updates, and their like.\n\n"
        "Changed definitions, users and roles among them; with --id what happened to one document.",
    )
    def find(
        context: typer.Context,
        since: Annotated[str | None, typer.Option(help=f"From here on: {_TIMES}")] = None,
        until: Annotated[str | None, typer.Option(help="Up to here, included.")] = None,
        ns: Annotated[
            list[str] | None, typer.Option("--ns", help="Only these: db, db.coll, * for anything.")
        ] = None,
        identity: Annotated[
            str | None, typer.Option("--id", help="The _id of one document, plain or as Extended JSON.")
        ] = None,
        minimum: Annotated[
            int, typer.Option("--min-documents", min=1, help="Fewer deletes or updates are not a mass.")
        ] = DEFAULT_MINIMUM,
        redact: Redact = False,
        as_json: AsJson = False,
    ) -> None:
        chosen = choose(context.obj)
        patterns = tuple(ns or ())
        if identity is not None:
            namespace = _one_namespace(patterns)
            identities = parse_identity(identity)
            with open_oplog(chosen, since) as source:
                span = _span(source, since, until)
                _show_history(source, span, namespace, identities, as_json=as_json)
            return
        with open_oplog(chosen, since) as source:
            span = _span(source, since, until)
            _show_events(chosen, source, span, Filter(patterns, chosen.profile.ignored, minimum), as_json)


@contextmanager
def open_oplog(chosen: Chosen, since: str | None) -> Iterator[StreamSource]:
    """The live oplog, which is looked through on its server; what the stream kept where the deployment does
    not answer, or ``since`` lies before all that it has."""
    from mongo_dr_console.mongo.client import connect
    from mongo_dr_console.stream.live import LiveOplog
    from mongo_dr_console.workers.kept import kept_oplog

    with closing(connect(chosen.profile.connection_uri(), any_member=True)) as client:
        live = LiveOplog(client)
        try:
            window = live.windows()[0]
        except Unreachable:
            kept = kept_oplog(chosen.profile, None)
            if not kept.windows():
                raise
            typer.echo("The deployment does not answer: what the stream kept is looked through.", err=True)
            yield kept
            return
        older = None
        if since is not None and not names_event(since):
            start = parse_when(since, now=datetime.now(UTC), latest=window.end, events=None)
            if limit_before(start).position < window.start:
                older = kept_oplog(chosen.profile, client)
        yield live if older is None or not older.windows() else older


def _span(source: StreamSource, since: str | None, until: str | None) -> Span:
    """What is to be looked through: all that the source has where nothing was said."""
    from mongo_dr_console.stream.finder import find_event

    windows = source.windows()
    window = Span(windows[0].start, windows[-1].end)

    def read(text: str) -> Any:
        return parse_when(
            text,
            now=datetime.now(UTC),
            latest=window.end,
            events=lambda wanted: find_event(source, wanted),
        )

    start = limit_before(read(since)).position if since is not None else window.start
    end = limit_through(read(until)).position if until is not None else window.end
    if start > end:
        raise WrongUse("range-backwards", f"--since ({start}) lies after --until ({end}).")
    return Span(max(start, window.start), min(end, window.end))


# Events


def _show_events(chosen: Chosen, source: StreamSource, span: Span, wanted: Filter, as_json: bool) -> None:
    from mongo_dr_console.stream.finder import find_events, with_shares

    events = find_events(source, span.start, span.end, wanted, slow=True) if span.start <= span.end else []
    events = with_shares(source, events)
    if as_json:
        scanned = Scanned(start=span.start, end=span.end)
        print_json(FindDocument(profile=chosen.name, scanned=scanned, events=events))
        return
    between = f"from {moment(span.start)} to {moment(span.end)}"
    if not events:
        typer.echo(f"No destructive events {between}.")
        return
    typer.echo(f"{len(events)} event{'' if len(events) == 1 else 's'} {between}, oldest first")
    for event in events:
        write_lines(["", *event_lines(event, chosen)])


def event_lines(event: Event, chosen: Chosen) -> list[str]:
    """One event for people: what, where, how much, and the commands that go before it or leave it out."""
    command = f"mdr --profile {shlex.quote(chosen.name)}" if chosen.named else "mdr"
    is_login = event.kind in LOGINS
    scope = "--users" if is_login else f"--ns {shlex.quote(event.namespace)}"
    documents = "documents unknown" if event.documents is None else counted(event.documents, "document")
    if event.share is not None:
        documents += f", about {event.share:.0%} of the collection"
    extent = "" if event.kind in CHANGES else f"  {documents}"
    last = f" to {event.last}" if event.last != event.position else ""
    lines = [
        f"{moment(event.position)}  {event.kind}  {event.namespace}{extent}",
        f"    id {event.id}  position {event.position}{last}  {counted(event.operations, 'operation')}",
        *([f"    {event.detail}"] if event.detail else []),
        "    go back to before it:",
        f"  {command} restore plan --before event:{event.id} {scope}",
    ]
    if is_login:
        return lines
    return [
        *lines,
        "    leave it out, keep later writes:",
        f"  {command} restore plan --skip {event.id} {scope}",
        "    keep what that needs from being pruned:",
        f"  {command} hold add event:{event.id} --reason {shlex.quote(f'{event.kind} {event.namespace}')}",
    ]


def moment(position: Position) -> str:
    return position.time.strftime("%Y-%m-%dT%H:%M:%SZ")


# The history of one document


def _show_history(
    source: StreamSource, span: Span, namespace: str, identities: Sequence[Any], *, as_json: bool
) -> None:
    from mongo_dr_console.stream.finder import document_history

    changes = document_history(source, namespace, identities, span.start, span.end)
    if as_json:
        scanned = Scanned(start=span.start, end=span.end)
        history = [_change(c) for c in changes]
        print_json(HistoryDocument(namespace=namespace, scanned=scanned, history=history))
        return
    found = 0
    for change in changes:
        found += 1
        within = "  in a transaction" if change.transaction else ""
        write_lines([f"{moment(change.position)}  {change.position}  {change.text}{within}"])
    if not found:
        typer.echo(f"Nothing touched it from {moment(span.start)} to {moment(span.end)}.")


def _change(change: Change) -> ChangeDocument:
    import json

    import bson
    from bson import json_util

    from mongo_dr_console.model.operationtext import hidden

    found = bson.decode(change.raw)
    document = json_util.dumps(
        hidden(found) if all_redacted() else found, json_options=json_util.CANONICAL_JSON_OPTIONS
    )
    return ChangeDocument(
        position=change.position,
        time=change.position.time,
        operation=change.operation,
        text=change.text,
        transaction=change.transaction,
        document=json.loads(document),
    )


def _one_namespace(patterns: tuple[str, ...]) -> str:
    if len(patterns) != 1 or "*" in patterns[0]:
        raise WrongUse(
            "namespace-unsaid", "--id needs the one collection to look in.", "Say it: --ns db.coll"
        )
    try:
        return str(Namespace.parse(patterns[0]))
    except ValueError as error:
        raise WrongUse("namespace-wrong", f"This is {error}.", "Say it: --ns db.coll") from None
