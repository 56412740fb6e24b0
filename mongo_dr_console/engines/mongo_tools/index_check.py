"""Whether every index is as snapshot and oplog say: mongorestore says nothing of what it changes.

Up to 100.15 it leaves an empty ``partialFilterExpression`` out, and so makes another index of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mongo_dr_console.engines.builtin import indexes
from mongo_dr_console.engines.builtin.snapshot import StoredSnapshot
from mongo_dr_console.model import rawbson
from mongo_dr_console.model.namespace import Namespace, Patterns, is_staging
from mongo_dr_console.model.oplogentry import TransactionAssembler, raw_entry
from mongo_dr_console.model.plan import Plan
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.timeline import Staged, Timeline
from mongo_dr_console.mongo.client import Client
from mongo_dr_console.stores.snapshot_reader import SnapshotReader

_WRONG = {
    " is missing": "mongorestore left it out",
    " should not be there": "mongorestore made it, and it had been dropped",
    " differs": "mongorestore made another index of this name",
}


def wrong_indexes(
    client: Client, reader: SnapshotReader, oplog: Iterable[bytes], plan: Plan
) -> list[dict[str, Any]]:
    """The indexes of ordinary collections that are missing, too many or different: ``namespace``, ``index``
    and ``why``.

    Args:
        oplog: Chunks of whole entries, the window's and those after it.
    """
    found = []
    for namespace, expected in _expected(reader, oplog, plan).items():
        if expected.series:
            continue
        expected.database, expected.name = namespace.database, namespace.collection
        for text in indexes.differences(client, expected, expected.indexes):
            name, why = _told(text)
            found.append({"namespace": str(namespace), "index": name, "why": why})
    return found


def _told(text: str) -> tuple[str, str]:
    """The index and what is wrong with it.

    >>> _told("index a of b differs")
    ('a of b', 'mongorestore made another index of this name')
    """
    for end, why in _WRONG.items():
        if text.endswith(end):
            return text.removeprefix("index ").removesuffix(end), why
    return "", text


def _expected(reader: SnapshotReader, oplog: Iterable[bytes], plan: Plan) -> dict[Namespace, Staged]:
    """The collections at the limit, as the definitions in the oplog leave them."""

    def tracked(namespace: Namespace) -> bool:
        return Patterns().match(namespace) and not is_staging(namespace.collection)

    timeline = Timeline("0", tracked=tracked, window_end=plan.snapshot.end)
    collections = [c for c, _, _ in StoredSnapshot(reader).staged_collections() if tracked(c.namespace)]
    timeline.begin(collections, {})
    assembler = TransactionAssembler()
    for chunk in oplog:
        for raw in rawbson.split(chunk):
            entry = raw_entry(raw)
            if not plan.limit.limit.admits(Position.of(entry["ts"])):
                break
            if entry["op"] == "c":
                for operation in assembler.feed(entry):
                    if operation.op == "c":
                        timeline.feed(operation)
    return timeline.placed(tracked)
