"""Replaying operations into staging collections, in atomic batches of applyOps."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from bson.raw_bson import RawBSONDocument
from pymongo.errors import ExecutionTimeout, OperationFailure

from mongo_dr_console.engines.builtin.load import create_staged
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.timeline import Action, Conflict, Create, Modify, Staged, Write
from mongo_dr_console.model.trouble import Failed
from mongo_dr_console.mongo.client import Client
from mongo_dr_console.mongo.durability import is_lost_primary

BATCH_OPERATIONS = 1000
BATCH_BYTES = 8 * 1024 * 1024
ATOMIC_MS = 1000
"""Up to 6.x an atomic batch takes the global lock. It waits for every open transaction, and all that others
do on the server waits behind it; beyond this, batches go without being atomic, and without that lock."""

_MISSING_DOCUMENT = 218
_NAMESPACE_NOT_FOUND = 26


@dataclass(slots=True)
class Replayer:
    """Sends actions in order.

    Args:
        client: To the deployment that is written to; the primary.
        may_write: The last gate: whether a physical namespace belongs to this job (server-rules 5).
        describe: Words for an operation, for error texts.
        upsert_through: Updates up to this position may meet documents that later operations removed already,
            because a run before this one was here (server-rules 9).
        is_placed: Whether a collection has its final name already; what was drained before its rename is in
            it, and what came after is the applications' own.
    """

    client: Client
    may_write: Callable[[str], bool]
    describe: Callable[[Write], str]
    upsert_through: Position
    is_placed: Callable[[Staged], bool] = lambda staged: False
    conflicts: list[Conflict] = field(default_factory=list)
    applied: int = 0
    atomic: bool = True

    def send(self, actions: Iterable[Action]) -> None:
        """Applies the actions in order, each acknowledged by the primary.

        Raises:
            Failed: One of them cannot be applied; it is named.
            PyMongoError: The primary was lost; nothing since the last confirmation counts.
        """
        batch: list[Write] = []
        size = 0
        for action in actions:
            if self.is_placed(action.staged):
                continue
            if isinstance(action, Write):
                weight = _weight(action)
                if batch and (len(batch) >= BATCH_OPERATIONS or size + weight > BATCH_BYTES):
                    self._apply(batch)
                    batch, size = [], 0
                batch.append(action)
                size += weight
                continue
            self._apply(batch)
            batch, size = [], 0
            self._define(action)
        self._apply(batch)

    def _define(self, action: Create | Modify) -> None:
        self._gate(action.staged.namespace)
        if isinstance(action, Create):
            create_staged(self.client, action.staged)
        else:
            self.client[action.staged.database].command({"collMod": action.staged.name, **action.changes})

    def _apply(self, batch: list[Write]) -> None:
        if not batch:
            return
        try:
            self._command([self._entry(write) for write in batch])
        except OperationFailure as error:
            if is_lost_primary(error):
                raise
            # A CRUD batch is atomic up to 6.x: nothing of it is there. Where it is not, sending it again in
            # order from its start ends in the same state (server-rules 7).
            self._one_by_one(batch)
        self.applied += len(batch)

    def _one_by_one(self, batch: list[Write]) -> None:
        for write in batch:
            try:
                self._command([self._entry(write)])
            except OperationFailure as error:
                if is_lost_primary(error):
                    raise
                self._refused(write, error)

    def _refused(self, write: Write, error: OperationFailure) -> None:
        missing = write.op == "u" and error.code in (_MISSING_DOCUMENT, _NAMESPACE_NOT_FOUND)
        if missing and write.lenient:
            text = f"{self.describe(write)}: its document is not there without the skipped event"
            self.conflicts.append(Conflict(write.position, write.original, text))
            return
        why = "its document is missing" if missing else _message(error)
        raise Failed(
            "replay-failed",
            f"The operation at {write.position} cannot be replayed: {self.describe(write)}: {why}. "
            "Nothing live was changed.",
            "Choose another base snapshot, or a limit before this position.",
        ) from None

    def _entry(self, write: Write) -> dict[str, Any]:
        namespace = write.staged.namespace
        self._gate(namespace)
        entry: dict[str, Any] = {"op": write.op, "ns": namespace, "o": write.document}
        if write.key is not None:
            entry["o2"] = write.key
        if write.op == "u" and (write.upsert or write.position <= self.upsert_through):
            entry["b"] = True
        return entry

    def _gate(self, namespace: str) -> None:
        if not self.may_write(namespace):
            raise Failed(
                "gate",
                f"An operation for {namespace} was stopped: that is not a staging collection of this job. "
                "Nothing live was changed.",
                "This is a fault of mdr; please report it.",
            )

    def _command(self, entries: list[dict[str, Any]]) -> None:
        command = {
            "applyOps": entries,
            "alwaysUpsert": False,
            "bypassDocumentValidation": True,
            "writeConcern": {"w": 1},
        }
        if self.atomic:
            try:
                self.client.admin.command({**command, "maxTimeMS": ATOMIC_MS})
                return
            except ExecutionTimeout:
                self.atomic = False
        self.client.admin.command({**command, "allowAtomic": False})


def _weight(write: Write) -> int:
    key = len(write.key.raw) if isinstance(write.key, RawBSONDocument) else 0
    return len(write.document.raw) + key + 100


def _message(error: OperationFailure) -> str:
    text = str((error.details or {}).get("errmsg", "")) or str(error)
    return text.split(": { oplogEntry:")[0][:200]
