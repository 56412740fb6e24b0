"""Oplog entries taken apart: single operations in the order in which they take effect."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from bson.raw_bson import RawBSONDocument

from mongo_dr_console.model import rawbson
from mongo_dr_console.model.position import Position

COMMAND = "$cmd"

_OWN_FIELDS = frozenset({"applyOps", "partialTxn", "prepare", "count"})
"""What the server itself writes into an ``applyOps`` entry."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation.

    Args:
        op: ``i``, ``u``, ``d`` or ``c``.
        database: Its database.
        collection: Its collection; ``$cmd`` for a command.
        document: The entry's ``o``, raw.
        key: The entry's ``o2``, raw, None if it has none.
        uuid: Hex of the collection's UUID (``ui``), None if the entry has none.
        upsert: The entry's ``b``.
        position: Where it takes effect: the entry's own position, the commit's for a transaction.
        index: Its place within that position, from 0.
        session: Hex of the writer's session id (``lsid.id``), None if it wrote without one.
        transaction: Whether it was part of a transaction.
        loose: Whether a client sent it in an ``applyOps`` command, as mongorestore does: its insert may have
            met the document, its delete may have met none.
    """

    op: str
    database: str
    collection: str
    document: RawBSONDocument
    key: RawBSONDocument | None
    uuid: str | None
    upsert: bool
    position: Position
    index: int
    session: str | None
    transaction: bool
    loose: bool = False

    @property
    def namespace(self) -> str:
        return f"{self.database}.{self.collection}"

    @property
    def command(self) -> str:
        """The command's name (its first key); empty for anything but a command."""
        return next(iter(self.document), "") if self.op == "c" else ""

    @property
    def document_id(self) -> Any:
        """The ``_id`` of the document that is written; None for a command."""
        if self.op == "u":
            return self.key.get("_id") if self.key is not None else None
        return self.document.get("_id") if self.op in "id" else None


@dataclass(slots=True)
class _Open:
    """A transaction whose commit was not seen yet."""

    first: Position
    parts: list[tuple[RawBSONDocument, Position]] = field(default_factory=list)
    whole: bool = True


@dataclass(slots=True)
class TransactionAssembler:
    """Turns entries into operations; those of a transaction come at its commit, never if it is aborted.

    Feed the entries of one oplog in order. ``incomplete`` lists the positions of commits whose earlier parts
    were not fed: their operations are missing, which a restore must treat as a hole.
    """

    incomplete: list[Position] = field(default_factory=list)
    _open: dict[tuple[bytes, int], _Open] = field(default_factory=dict)

    def feed(self, entry: RawBSONDocument) -> Iterator[Operation]:
        """The operations that take effect at this entry."""
        op = entry["op"]
        if op == "n":
            return
        position = Position.of(entry["ts"])
        if op != "c":
            yield _single(entry, position, 0, session_of(entry), transaction=False)
            return
        body = entry["o"]
        name = next(iter(body), "")
        if name in ("commitTransaction", "abortTransaction"):
            yield from self._end(entry, position, committed=name == "commitTransaction")
        elif name == "applyOps" and is_transaction(entry):
            yield from self._part(entry, body, position)
        elif name == "applyOps":
            yield from _sent_by_client(body, position, session_of(entry))
        else:
            yield _single(entry, position, 0, session_of(entry), transaction=False)

    @property
    def oldest_open(self) -> Position | None:
        """First position of the oldest transaction that is still open, None if none is."""
        return min((t.first for t in self._open.values()), default=None)

    def _part(self, entry: RawBSONDocument, body: RawBSONDocument, position: Position) -> Iterator[Operation]:
        key = _transaction_key(entry)
        transaction = self._open.get(key)
        if transaction is None:
            transaction = _Open(first=position, whole=begins(entry))
        transaction.parts.extend((inner, position) for inner in _inner(body))
        if body.get("partialTxn") or body.get("prepare"):
            self._open[key] = transaction
            return
        self._open.pop(key, None)
        yield from self._commit(transaction, position, session_of(entry))

    def _end(self, entry: RawBSONDocument, position: Position, *, committed: bool) -> Iterator[Operation]:
        transaction = self._open.pop(_transaction_key(entry), None)
        if not committed:
            return
        if transaction is None:
            self.incomplete.append(position)
            return
        yield from self._commit(transaction, position, session_of(entry))

    def _commit(self, transaction: _Open, position: Position, session: str | None) -> Iterator[Operation]:
        if not transaction.whole:
            self.incomplete.append(position)
        inner = [part for part, _ in transaction.parts]
        yield from _flatten(inner, position, session, transaction=True)


def namespaces_of(entry: RawBSONDocument) -> set[str]:
    """Every namespace that an entry names, also inside applyOps (``db.$cmd`` for commands)."""
    if entry["op"] == "c" and next(iter(entry["o"]), "") == "applyOps":
        found: set[str] = set()
        for inner in _inner(entry["o"]):
            found |= namespaces_of(inner)
        return found
    return {entry["ns"]}


def _inner(body: RawBSONDocument) -> list[RawBSONDocument]:
    return list(body["applyOps"])


def is_transaction(entry: Mapping[str, Any]) -> bool:
    """Whether an ``applyOps`` is one of a transaction, or a part of one."""
    # multiOpType 1 marks a retryable vectored write, which has lsid and txnNumber too and is no transaction.
    return "lsid" in entry and "txnNumber" in entry and entry.get("multiOpType", 0) != 1


def _transaction_key(entry: RawBSONDocument) -> tuple[bytes, int]:
    return bytes(entry["lsid"].raw), int(entry["txnNumber"])


def begins(entry: Mapping[str, Any]) -> bool:
    """Whether it is the first part of its transaction."""
    before = entry.get("prevOpTime")
    return before is None or before["ts"].time == 0


def session_of(entry: Mapping[str, Any]) -> str | None:
    """The id of the session that wrote an entry, in hex; None: it was written without one."""
    lsid = entry.get("lsid")
    return bytes(lsid["id"]).hex() if lsid is not None else None


def _flatten(
    inner: list[RawBSONDocument], position: Position, session: str | None, *, transaction: bool
) -> Iterator[Operation]:
    for index, entry in enumerate(_leaves(inner)):
        yield _single(entry, position, index, session, transaction=transaction)


def _sent_by_client(body: RawBSONDocument, position: Position, session: str | None) -> Iterator[Operation]:
    """The operations of an ``applyOps`` outside a transaction. One that a client sent has the command's other
    fields with it, and its updates upsert unless it says ``alwaysUpsert: false``, on every member."""
    operations = _flatten(_inner(body), position, session, transaction=False)
    if all(key in _OWN_FIELDS for key in body):
        yield from operations
        return
    upserts = bool(body.get("alwaysUpsert", True))
    for operation in operations:
        yield replace(operation, loose=True, upsert=operation.upsert or (upserts and operation.op == "u"))


def _leaves(entries: list[RawBSONDocument]) -> Iterator[RawBSONDocument]:
    for entry in entries:
        if entry["op"] == "c" and next(iter(entry["o"]), "") == "applyOps":
            yield from _leaves(_inner(entry["o"]))
        elif entry["op"] != "n":
            yield entry


def _single(
    entry: RawBSONDocument, position: Position, index: int, session: str | None, *, transaction: bool
) -> Operation:
    database, _, collection = entry["ns"].partition(".")
    uuid = entry.get("ui")
    return Operation(
        op=entry["op"],
        database=database,
        collection=collection,
        document=entry["o"],
        key=entry.get("o2"),
        uuid=bytes(uuid).hex() if uuid is not None else None,
        upsert=bool(entry.get("b", False)),
        position=position,
        index=index,
        session=session,
        transaction=transaction,
    )


def raw_entry(raw: bytes) -> RawBSONDocument:
    return RawBSONDocument(raw, rawbson.RAW)
