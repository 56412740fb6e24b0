"""A snapshot's own oplog, replayed on paper: what a restore to its end would make, without a server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import bson
from bson.raw_bson import RawBSONDocument

from mongo_dr_console.engines.builtin.replay_run import tracked_with
from mongo_dr_console.engines.builtin.snapshot import StoredSnapshot
from mongo_dr_console.model import rawbson
from mongo_dr_console.model.namespace import Namespace, Patterns, is_staging, known_as
from mongo_dr_console.model.oplogentry import Operation, TransactionAssembler, raw_entry
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.timeline import Staged, Timeline
from mongo_dr_console.model.trouble import Failed

_HARMLESS = (
    "createIndexes", "startIndexBuild", "commitIndexBuild", "abortIndexBuild", "dropIndexes", "collMod"
)  # fmt: skip
"""They change no document."""


@dataclass(slots=True)
class Outcome:
    """What a restore to the snapshot's end comes to.

    Args:
        collections: Those that there are in the end, with options and indexes.
        views: By name, as ``system.views`` holds them.
        written: Keys (BSON of ``_id`` alone) of the documents that the oplog writes, by namespace.
        moved: Namespaces that came, went or changed their name as a whole.
        dropped: Databases that were dropped, or met a command whose reach is not known.
    """

    collections: dict[Namespace, Staged]
    views: dict[Namespace, RawBSONDocument]
    written: dict[Namespace, set[bytes]] = field(default_factory=dict)
    moved: set[Namespace] = field(default_factory=set)
    dropped: set[str] = field(default_factory=set)

    def compares(self, namespace: Namespace) -> bool:
        """Whether the documents that the oplog does not write must be those of the snapshot."""
        return namespace not in self.moved and namespace.database not in self.dropped


def outcome_of(snapshot: StoredSnapshot, window_end: Position) -> Outcome:
    """Reads definitions and oplog; no document.

    Raises:
        Failed: ``snapshot-corrupt``, or the oplog cannot be followed, with why.
    """
    everything = Patterns(())
    tracked = tracked_with(everything.match, frozenset(), set())
    timeline = Timeline("0", tracked=tracked, wanted=everything.match, window_end=window_end)
    begun = [c for c, _, _ in snapshot.staged_collections() if tracked(c.namespace)]
    timeline.begin(begun, {n: v for n, v in snapshot.views().items() if tracked(n)})
    assembler, found = TransactionAssembler(), Outcome({}, {})
    for operation in _operations(snapshot, assembler):
        timeline.feed(operation)
        _note(found, operation)
    if assembler.incomplete:
        raise Failed(
            "transaction-incomplete",
            f"The oplog of snapshot {snapshot.reader.name} lacks a part of a transaction that was committed "
            "in it.",
        )
    found.collections = timeline.placed(lambda n: not is_staging(n.collection))
    found.views = dict(timeline.views)
    return found


def _operations(snapshot: StoredSnapshot, assembler: TransactionAssembler) -> Iterator[Operation]:
    for chunk in snapshot.oplog():
        for raw in rawbson.split(chunk):
            yield from assembler.feed(raw_entry(raw))


def _note(found: Outcome, operation: Operation) -> None:
    if operation.op == "c":
        _note_command(found, operation)
        return
    name = known_as(operation.database, operation.collection)
    key = bson.encode({"_id": operation.document_id})
    found.written.setdefault(name, set()).add(key)


def _note_command(found: Outcome, operation: Operation) -> None:
    command, body = operation.command, operation.document
    if command in ("create", "drop"):
        found.moved.add(known_as(operation.database, str(body[command])))
    elif command == "renameCollection":
        for key in ("renameCollection", "to"):
            database, _, collection = str(body[key]).partition(".")
            found.moved.add(known_as(database, collection))
    elif command not in _HARMLESS:
        found.dropped.add(operation.database)
