"""Looking at operations: in the live oplog where it reaches, else in what the stream kept of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

import pymongo

from mongo_dr_console.config import Profile
from mongo_dr_console.model.operationpage import DocumentHistory, OperationPage, Way
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.trouble import Trouble
from mongo_dr_console.mongo.client import connect
from mongo_dr_console.stream import around
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
    with _source_for(profile, position, way) as source, pymongo.timeout(_ANSWER_SECONDS):
        return around.page(source, position, way, count, pattern)


def document_history(
    profile: Profile, namespace: str, identities: Sequence[Any], until: Position | None
) -> DocumentHistory:
    """The newest operations on one document; see ``stream.around.on_document``. What the live oplog does
    not reach any more is looked for in the stream, from ``until`` on back.

    Raises:
        Trouble: Neither the deployment nor a store that has it can be read.
    """
    with _source_for(profile, until, "before") as source, pymongo.timeout(_ANSWER_SECONDS):
        return around.on_document(source, namespace, identities, until)


@contextmanager
def _source_for(profile: Profile, position: Position | None, way: Way) -> Iterator[StreamSource]:
    """The live oplog where it has what lies there, else the history of all sources. Where nothing was kept
    either, what the deployment said stands."""
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
            yield kept
            return
        within = position is None or (
            position > window.start if way == "before" else position >= window.start
        )
        if within:
            yield live
            return
        kept = kept_oplog(profile, client)
        yield kept if kept.windows() else live
