"""Replaying operations into staging collections, in batches of applyOps side by side."""

from __future__ import annotations

import functools
import struct
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import bson
from bson.raw_bson import RawBSONDocument
from pymongo.errors import ExecutionTimeout, NotPrimaryError, OperationFailure

from mongo_dr_console.engines.builtin.lanes import split
from mongo_dr_console.engines.builtin.load import create_staged
from mongo_dr_console.engines.builtin.timestamps import emptied_again, empty_timestamps
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.timeline import Action, Conflict, Create, Modify, Staged, Write
from mongo_dr_console.model.trouble import Failed
from mongo_dr_console.mongo import encoded
from mongo_dr_console.mongo.client import Client
from mongo_dr_console.mongo.durability import NOT_PRIMARY_CODES, is_lost_primary

BATCH_OPERATIONS = 1000
BATCH_BYTES = 8 * 1024 * 1024
ATOMIC_MS = 1000
"""Up to 6.x an atomic batch takes the global lock. It waits for every open transaction, and all that others
do on the server waits behind it; beyond this, batches go without being atomic, and without that lock, for a
while."""
_PAUSES = (5, 60)

LANES = 4
ATOMIC_LANES = 2
FEW = 200
"""So few writes are sent one after the other."""

_WIRE_OF_7 = 21
_VERSION = b"\x10$v\x00"
_O, _O2, _UPSERT = b"\x03o\x00", b"\x03o2\x00", b"\x08b\x00\x01"
_MISSING_DOCUMENT = 218
_NAMESPACE_NOT_FOUND = 26


@dataclass(slots=True)
class Replayer:
    """Sends actions.

    Args:
        client: To the deployment that is written to; the primary.
        may_write: The last gate: whether a physical namespace belongs to this job (server-rules 5).
        describe: Words for an operation, for error texts.
        upsert_through: Updates up to this position may meet documents that later operations removed already,
            because a run before this one was here (server-rules 9).
        is_placed: Whether a collection has its final name already; what was drained before its rename is in
            it, and what came after is the applications' own.
        is_short: Whether the server did not take all documents of the snapshot for it.
        in_order: Whether everything must go out in its order, as with unique indexes in place.
    """

    client: Client
    may_write: Callable[[str], bool]
    describe: Callable[[Write], str]
    upsert_through: Position
    is_placed: Callable[[Staged], bool] = lambda staged: False
    is_short: Callable[[Staged], bool] = lambda staged: False
    in_order: Callable[[], bool] = lambda: False
    conflicts: list[Conflict] = field(default_factory=list)
    applied: int = 0
    atomic: bool = True
    lanes: int = 0
    """Batches that are on their way side by side; found out where it is not said."""
    _pause: float = 0
    _not_before: float = 0

    def send(self, actions: Iterable[Action]) -> None:
        """Applies the actions, each acknowledged by the primary: definitions in their order with everything
        before and after, and writes between them as ``lanes.split`` lets them.

        Raises:
            Failed: One of them cannot be applied; it is named.
            PyMongoError: The primary was lost; nothing since the last confirmation counts.
        """
        writes: list[Write] = []
        for action in actions:
            if self.is_placed(action.staged):
                continue
            if isinstance(action, Write):
                writes.append(action)
                continue
            self._write(writes)
            writes = []
            self._define(action)
        self._write(writes)

    def _write(self, writes: list[Write]) -> None:
        if not writes:
            return
        for staged in {write.staged.number: write.staged for write in writes}.values():
            self._gate(staged.namespace)
        if len(writes) <= FEW or self.in_order():
            self._lane(writes)
        else:
            self._side_by_side(writes)
        self.applied += len(writes)

    def _side_by_side(self, writes: list[Write]) -> None:
        known = len(self.conflicts)
        inserts, lanes = split(writes, self._lanes())
        with ThreadPoolExecutor(max(len(lanes), 1), thread_name_prefix="lane") as pool:
            if inserts:
                # What was there already is replaced, as applyOps does it; nothing else has touched it yet.
                refused = [w for found in pool.map(self._insert, inserts.values()) for w in found]
                self._lane(refused)
            for done in [pool.submit(self._lane, lane) for lane in lanes]:
                done.result()
        self.conflicts[known:] = sorted(self.conflicts[known:], key=lambda c: c.position)

    def _lanes(self) -> int:
        """An atomic batch holds all others off, also those of applications: so there is never more than one
        in waiting. Servers from 7.0 on take several at a time."""
        if not self.lanes:
            side_by_side = int(self.client.admin.command("hello")["maxWireVersion"]) >= _WIRE_OF_7
            self.lanes = LANES if side_by_side else ATOMIC_LANES
        return self.lanes

    def _insert(self, writes: list[Write]) -> list[Write]:
        """Inserts documents by the command, many times as fast as ``applyOps``; returns those not taken."""
        database, _, name = writes[0].staged.namespace.partition(".")
        refused = []
        for batch in _batches(writes):
            command = {
                "insert": name,
                "documents": encoded.documents(b"".join(write.document.raw for write in batch)),
                "ordered": False,
                "bypassDocumentValidation": True,
                "writeConcern": {"w": 1},
            }
            try:
                reply = self.client[database].command(command)
            except OperationFailure as error:
                if is_lost_primary(error):
                    raise
                refused += batch
                continue
            for one in reply.get("writeErrors") or []:
                if one["code"] in NOT_PRIMARY_CODES:
                    raise NotPrimaryError(str(one.get("errmsg", "")), one)
                refused.append(batch[one["index"]])
        return refused

    def _lane(self, writes: list[Write]) -> None:
        for batch in _batches(writes):
            self._apply(batch)

    def _define(self, action: Create | Modify) -> None:
        self._gate(action.staged.namespace)
        if isinstance(action, Create):
            create_staged(self.client, action.staged)
        else:
            self.client[action.staged.database].command({"collMod": action.staged.name, **action.changes})

    def _apply(self, batch: list[Write]) -> None:
        try:
            self._command([entry for write in batch for entry in self._entries(write)])
        except OperationFailure as error:
            if is_lost_primary(error):
                raise
            # A CRUD batch is atomic up to 6.x: nothing of it is there. Where it is not, sending it again in
            # order from its start ends in the same state (server-rules 7).
            self._one_by_one(batch)

    def _one_by_one(self, batch: list[Write]) -> None:
        for write in batch:
            try:
                self._command(self._entries(write))
            except OperationFailure as error:
                if is_lost_primary(error):
                    raise
                self._refused(write, error)

    def _refused(self, write: Write, error: OperationFailure) -> None:
        missing = write.op == "u" and error.code in (_MISSING_DOCUMENT, _NAMESPACE_NOT_FOUND)
        short = self.is_short(write.staged)
        if missing and (write.lenient or short):
            why = "the server did not take it" if short else "it is not there without the skipped event"
            text = f"{self.describe(write)}: its document is missing: {why}"
            self.conflicts.append(Conflict(write.position, write.original, text))
            return
        why = "its document is missing" if missing else _message(error)
        raise Failed(
            "replay-failed",
            f"The operation at {write.position} cannot be replayed: {self.describe(write)}: {why}. "
            "Nothing live was changed.",
            "Choose another base snapshot, or a limit before this position.",
        ) from None

    def _entries(self, write: Write) -> list[bytes]:
        namespace = write.staged.namespace
        self._gate(namespace)
        parts = [_start(write.op, namespace)]
        if write.op == "u" and (write.upsert or write.position <= self.upsert_through):
            parts.append(_UPSERT)
        parts += [_O, bytes(write.document.raw)]
        if write.key is not None:
            parts += [_O2, bytes(write.key.raw)]
        entry = _document(parts)
        whole = write.op == "i" or (write.op == "u" and not _is_diff(write.document))
        fields = empty_timestamps(write.document) if whole else []
        if not fields:
            return [entry]
        identity = write.document["_id"] if write.key is None else write.key["_id"]
        return [entry, bson.encode(emptied_again(namespace, identity, fields))]

    def _gate(self, namespace: str) -> None:
        if not self.may_write(namespace):
            raise Failed(
                "gate",
                f"An operation for {namespace} was stopped: that is not a staging collection of this job. "
                "Nothing live was changed.",
                "This is a fault of mdr; please report it.",
            )

    def _command(self, entries: list[bytes]) -> None:
        command = {
            "applyOps": encoded.values(entries),
            "alwaysUpsert": False,
            "bypassDocumentValidation": True,
            "writeConcern": {"w": 1},
        }
        if self.atomic and time.monotonic() >= self._not_before:
            try:
                self.client.admin.command({**command, "maxTimeMS": ATOMIC_MS})
                return
            except ExecutionTimeout:
                self._pause = min(max(2 * self._pause, _PAUSES[0]), _PAUSES[1])
                self._not_before = time.monotonic() + self._pause
        self.client.admin.command({**command, "allowAtomic": False})


def _batches(writes: Iterable[Write]) -> Iterator[list[Write]]:
    batch: list[Write] = []
    size = 0
    for write in writes:
        weight = _weight(write)
        if batch and (len(batch) >= BATCH_OPERATIONS or size + weight > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(write)
        size += weight
    if batch:
        yield batch


def _is_diff(document: RawBSONDocument) -> bool:
    return bytes(document.raw).startswith(_VERSION, 4) or "$v" in document


@functools.lru_cache(maxsize=4096)
def _start(op: str, namespace: str) -> bytes:
    return bson.encode({"op": op, "ns": namespace})[4:-1]


def _document(parts: list[bytes]) -> bytes:
    # Put together once: one of the parts may be a large document.
    return b"".join((struct.pack("<i", sum(map(len, parts)) + 5), *parts, b"\x00"))


def _weight(write: Write) -> int:
    key = len(write.key.raw) if isinstance(write.key, RawBSONDocument) else 0
    return len(write.document.raw) + key + 100


def _message(error: OperationFailure) -> str:
    text = str((error.details or {}).get("errmsg", "")) or str(error)
    return text.split(": { oplogEntry:")[0][:200]
