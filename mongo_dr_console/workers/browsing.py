"""Looking at operations: in the live oplog where it reaches, else in what the stream kept of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Any

import pymongo

from mongo_dr_console.config import Profile
from mongo_dr_console.model.event import Event
from mongo_dr_console.model.eventscan import GAP_SECONDS
from mongo_dr_console.model.operationpage import DocumentHistory, OperationPage, Way
from mongo_dr_console.model.oplogentry import Operation
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.trouble import Trouble
from mongo_dr_console.mongo.client import Client, connect
from mongo_dr_console.stream import around, finder
from mongo_dr_console.stream.live import LiveOplog
from mongo_dr_console.stream.source import StreamSource
from mongo_dr_console.workers.kept import kept_oplog

_ANSWER_SECONDS = 20.0
"""After which a member that is asked is given up."""


def operations_around(
    profile: Profile, position: Position, way: Way, count: int, pattern: str = ""
) -> OperationPage:
    """The operations before a position, or after it (it included); see ``stream.around.page``.

    Raises:
        Trouble: Neither the deployment nor a store that has it can be read.
    """
    with _oplog_at(profile, position, way) as (source, client), pymongo.timeout(_ANSWER_SECONDS):
        found = around.page(source, position, way, count, pattern)
        if way == "before" and found.ended and _older(profile, client, found.start) is not None:
            return replace(found, ended=False)
        return found


def document_history(
    profile: Profile, namespace: str, identities: Sequence[Any], until: Position | None
) -> DocumentHistory:
    """The newest operations on one document, up to ``until``; see ``stream.around.on_document``. What the
    live oplog does not reach any more is looked for in the stream.

    Raises:
        Trouble: Neither the deployment nor a store that has it can be read.
    """
    with _oplog_at(profile, until, "before") as (source, client), pymongo.timeout(_ANSWER_SECONDS):
        found = around.on_document(source, namespace, identities, until)
        if found.whole and (older := _older(profile, client, found.start)) is not None:
            return found.with_older(around.on_document(older, namespace, identities, found.before))
        return found


def event_of(profile: Profile, operation: Operation) -> Event | None:
    """The event that an operation is a part of, however long ago it was; None where it stands alone.

    Raises:
        Trouble: Neither the deployment nor a store that has it can be read.
    """
    place = operation.position
    with _oplog_at(profile, place, "after") as (source, client), pymongo.timeout(_ANSWER_SECONDS):
        found = finder.event_of(source, operation)
        if found is None or found.position.t - source.windows()[0].start.t > GAP_SECONDS:
            return found
        # It may have begun before the live oplog does.
        older = _older(profile, client, found.position)
        return (finder.event_of(older, operation) if older is not None else None) or found


@contextmanager
def _oplog_at(
    profile: Profile, position: Position | None, way: Way
) -> Iterator[tuple[StreamSource, Client | None]]:
    """The live oplog and its client where it has what lies there, else the history of all sources. Where
    nothing was kept either, what the deployment said stands."""
    with closing(
        connect(profile.connection_uri(), seconds=2, any_member=True, answer_seconds=_ANSWER_SECONDS)
    ) as client:
        live = LiveOplog(client)
        try:
            window = live.windows()[0]
        except Trouble:
            kept: StreamSource = kept_oplog(profile, None)
            if not kept.windows():
                raise
            yield kept, None
            return
        within = position is None or (
            position > window.start if way == "before" else position >= window.start
        )
        if not within and (kept := kept_oplog(profile, client)).windows():
            yield kept, None
        else:
            yield live, client


def _older(profile: Profile, client: Client | None, start: Position) -> StreamSource | None:
    """What the stream kept from before the live oplog's start; None where it has nothing older."""
    if client is None:
        return None
    kept = kept_oplog(profile, client)
    windows = kept.windows()
    return kept if windows and windows[0].start < start else None
