"""Writing documents into a live collection so that no write of others can be lost.

A transaction reads at a moment up to which the oplog was looked through, so what it sees of a document is
what the events left, unless the oplog says that it was written since. Whatever is written after that moment,
also if it is taken back at once, makes the server refuse the transaction (a write conflict); then the oplog
is looked through again, up to a later moment.

The session of a transaction stands in its oplog entry, and its id is journalled before it is used: that is
how a resumed job knows what it has written already.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from bson import Binary
from bson.raw_bson import RawBSONDocument
from bson.timestamp import Timestamp
from pymongo import DeleteOne, InsertOne, ReplaceOne, UpdateOne
from pymongo.client_session import ClientSession
from pymongo.collection import Collection
from pymongo.errors import BulkWriteError, OperationFailure, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from mongo_dr_console.engines.builtin.merge_log import Written
from mongo_dr_console.engines.builtin.timestamps import empty_timestamps
from mongo_dr_console.model import rawbson
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.skip import document_key
from mongo_dr_console.model.trouble import Failed
from mongo_dr_console.mongo.client import Client
from mongo_dr_console.mongo.durability import is_lost_primary

BATCHES_PER_LOOK = 64
"""Transactions at one moment; its snapshot must not grow older than the server keeps (five minutes)."""
_PATIENCE = 12
_PAUSE_SECONDS = 0.05
_DUPLICATE_KEY = 11000
_OTHER_COLLECTION = 361
_NOT_ITS_OWN = frozenset({13, 20, 50, 91, 189, 262, 263, 371, 11600, 11601, 11602, 14031})
"""What would hit every other document too: no right, no transactions here, no time, an end, no room."""
_OPEN = "a transaction of somebody else holds it"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A document as it is to be.

    Args:
        key: Tells it, as ``document_key`` does.
        document: Its bytes.
        replaces: Whether one that is there may be replaced: the events left one.
    """

    key: bytes
    document: RawBSONDocument
    replaces: bool


@dataclass(slots=True)
class Tally:
    """What became of the documents of one collection."""

    brought_back: int = 0
    replaced: int = 0
    already: int = 0


class _At(ReadConcern):
    """A snapshot of a given moment, which the driver has no words for in a transaction."""

    def __init__(self, position: Position) -> None:
        super().__init__("snapshot")
        self._position = position

    @property
    def document(self) -> dict[str, Any]:
        return {"level": "snapshot", "atClusterTime": self._position.timestamp}


class _Refused(Exception):
    """The server took none of a batch, for a reason that is some document's own."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code, self.why = code, why


@dataclass(slots=True)
class Merger:
    """Writes batches into one collection after another.

    Args:
        client: To the deployment.
        uuid: Of the collection that is written to, hex: one that was dropped would be made by an insert.
        look: Looks through the oplog up to now; returns up to where.
        is_ours: Whether this job has written a document already; asked before ``against``.
        against: Why a document must be left alone, from what the oplog says; None: nothing does.
        begin_session: Told the id (hex) of a session before it is used.
        keep: Puts down what is about to be written.
        leave: Lists a conflict: namespace, document, why.
    """

    client: Client
    look: Callable[[], Position]
    against: Callable[[str, bytes], str | None]
    is_ours: Callable[[str, bytes], bool]
    begin_session: Callable[[str], None]
    keep: Callable[[Sequence[Written]], None]
    leave: Callable[[str, RawBSONDocument, str], None]
    uuid: str = ""
    tallies: dict[str, Tally] = field(default_factory=dict)
    _at: Position | None = None
    _batches: int = 0
    _free: list[ClientSession] = field(default_factory=list)
    _used: list[ClientSession] = field(default_factory=list)

    def write(self, namespace: str, batch: list[Wanted]) -> list[tuple[Wanted, str]]:
        """Writes what may be written. Returns those that a unique index refuses, with why: another document
        that is still to be written may make room for them.

        Raises:
            Failed: The server takes nothing, for a reason that is no document's own.
            PyMongoError: The primary was lost; what was sent may be lost, and a new look at the oplog tells.
        """
        blocked: list[tuple[Wanted, str]] = []
        parts, failures = [batch], 0
        while parts:
            part = self._open(namespace, parts.pop())
            if not part:
                continue
            try:
                self._once(namespace, part)
                failures = 0
            except _Refused as error:
                parts += self._refused(namespace, part, error, blocked)
            except OperationFailure as error:
                self._check_it_passes(error)
                failures += 1
                parts += self._again(namespace, part, failures)
        return blocked

    def _refused(
        self, namespace: str, part: list[Wanted], error: _Refused, blocked: list[tuple[Wanted, str]]
    ) -> list[list[Wanted]]:
        """What is to be tried of a part that was refused: its halves, until one document is left."""
        if len(part) > 1:
            return _halves(part)
        if error.code == _DUPLICATE_KEY and "index: _id_ " not in error.why:
            blocked.append((part[0], error.why))
        else:
            self.leave(namespace, part[0].document, error.why)
        return []

    def _check_it_passes(self, error: OperationFailure) -> None:
        """Raises it, unless it is one of a moment: a later write of others, or their open transaction."""
        if is_lost_primary(error):
            raise error
        if error.has_error_label("TransientTransactionError"):
            return
        if error.code == _OTHER_COLLECTION:
            self._look_again()
        raise error

    def _again(self, namespace: str, part: list[Wanted], failures: int) -> list[list[Wanted]]:
        """What is to be tried of a part that met the writes of others, after another look at the oplog."""
        self._look_again()
        if failures % _PATIENCE:
            time.sleep(min(_PAUSE_SECONDS * failures, 1))
            return [part]
        if len(part) > 1:
            return _halves(part)
        self.leave(namespace, part[0].document, _OPEN)
        return []

    def close(self) -> None:
        for session in (*self._free, *self._used):
            session.end_session()

    def _open(self, namespace: str, part: list[Wanted]) -> list[Wanted]:
        """Those that nothing speaks against, as far as the oplog was looked through."""
        if self._at is None or self._batches >= BATCHES_PER_LOOK:
            self._look_again()
        still = []
        for wanted in part:
            if self.is_ours(namespace, wanted.key):
                self._count(namespace, wanted.replaces)
                continue
            why = self.against(namespace, wanted.key)
            if why is None:
                still.append(wanted)
            else:
                self.leave(namespace, wanted.document, why)
        return still

    def _look_again(self) -> None:
        self._at = self.look()
        self._batches = 0
        # A session's last commit lies before this moment now; with an older snapshot it would conflict.
        self._free += self._used
        self._used.clear()

    def _tally(self, namespace: str) -> Tally:
        return self.tallies.setdefault(namespace, Tally())

    def _count(self, namespace: str, replaced: bool) -> None:
        tally = self._tally(namespace)
        tally.replaced += replaced
        tally.brought_back += not replaced

    def _session(self) -> ClientSession:
        if self._free:
            return self._free.pop()
        session = self.client.start_session(causal_consistency=False)
        self.begin_session(bytes(session.session_id["id"]).hex())
        return session

    def _once(self, namespace: str, part: list[Wanted]) -> None:
        """All of them in one transaction, or none."""
        assert self._at is not None
        database, _, name = namespace.partition(".")
        collection: Collection[Any] = self.client[database].get_collection(name, codec_options=rawbson.RAW)
        session = self._session()
        self._used.append(session)
        self._batches += 1
        session.start_transaction(_At(self._at), WriteConcern(w=1))
        try:
            self._hold(collection, session)
            live = read(collection, namespace, [w.document for w in part], session)
            fitting, odd = _sorted_out(part, live)
            to_write = [w for w in fitting if live.get(w.key) != w.document.raw]
            if to_write:
                self.keep([Written.of(namespace, w.document, live.get(w.key)) for w in to_write])
                put(collection, [(w.document, w.key in live) for w in to_write], session)
                odd += _not_as_wanted(collection, namespace, to_write, session)
                if len(odd) > len(part) - len(fitting):
                    session.abort_transaction()
                    raise _Refused(0, odd[-1][1])
                session.commit_transaction()
            else:
                session.abort_transaction()
        except BulkWriteError as error:
            _abort(session)
            raise _refusal(namespace, error) from None
        except BaseException:
            _abort(session)
            raise
        self._tally(namespace).already += len(fitting) - len(to_write)
        for wanted in to_write:
            self._count(namespace, wanted.key in live)
        for wanted, why in odd:
            self.leave(namespace, wanted.document, why)

    def _hold(self, collection: Collection[Any], session: ClientSession) -> None:
        """From here on to its end the transaction keeps others from dropping the collection.

        Raises:
            OperationFailure: It is another one by now, or none.
        """
        uuid = Binary(bytes.fromhex(self.uuid), 4)
        first = {"find": collection.name, "limit": 1, "projection": {"_id": 1}, "collectionUUID": uuid}
        collection.database.command(first, session=session)


def read(
    collection: Collection[Any], namespace: str, documents: Sequence[RawBSONDocument], session: ClientSession
) -> dict[bytes, bytes]:
    """The documents of these ``_id``s that are there, raw, by their key."""
    identities = [d["_id"] for d in documents]
    found = collection.find({"_id": {"$in": identities}}, session=session)
    return {document_key(namespace, d["_id"]): bytes(d.raw) for d in found}


def put(
    collection: Collection[Any], documents: Sequence[tuple[RawBSONDocument, bool]], session: ClientSession
) -> None:
    """Writes documents exactly as they are; with each, whether one of its ``_id`` is there.

    Raises:
        BulkWriteError: A document is refused; the transaction is over.
    """
    writes: list[InsertOne[Any] | ReplaceOne[Any] | DeleteOne | UpdateOne] = []
    for document, there in documents:
        same = {"_id": {"$eq": document["_id"]}}
        if there and any(key.startswith("$") for key in document):
            # A replacement may not have such fields; an insert may.
            writes += [DeleteOne(same), InsertOne(document)]
        elif there:
            writes.append(ReplaceOne(same, document))
        else:
            writes.append(InsertOne(document))
        empty = empty_timestamps(document)
        if empty:
            writes.append(UpdateOne(same, {"$set": dict.fromkeys(empty, Timestamp(0, 0))}))
    collection.bulk_write(writes, ordered=True, bypass_document_validation=True, session=session)


def _sorted_out(
    part: list[Wanted], live: dict[bytes, bytes]
) -> tuple[list[Wanted], list[tuple[Wanted, str]]]:
    """Those that may be written (or are as wanted), and those that may not, with why."""
    fitting, odd = [], []
    for wanted in part:
        now = live.get(wanted.key)
        if now is None or wanted.replaces or now == wanted.document.raw:
            fitting.append(wanted)
        else:
            odd.append((wanted, "another document with this _id is there"))
    return fitting, odd


def _not_as_wanted(
    collection: Collection[Any], namespace: str, wanted: list[Wanted], session: ClientSession
) -> list[tuple[Wanted, str]]:
    """Those that the server does not keep byte for byte."""
    found = read(collection, namespace, [w.document for w in wanted], session)
    why = "the server does not keep it as it was"
    return [(w, why) for w in wanted if found.get(w.key) != w.document.raw]


def _refusal(namespace: str, error: BulkWriteError) -> Exception:
    errors = (error.details or {}).get("writeErrors") or []
    if not errors:
        return error
    code, why = int(errors[0]["code"]), str(errors[0].get("errmsg", ""))[:500]
    if code in _NOT_ITS_OWN:
        return Failed(
            "document-refused",
            f"The server takes no documents for {namespace}: {why}. What was brought back so far stays.",
            "Correct that, and then: mdr jobs resume",
        )
    return _Refused(code, why)


def _abort(session: ClientSession) -> None:
    if session.in_transaction:
        try:
            session.abort_transaction()
        except PyMongoError:
            return


def _halves(part: list[Wanted]) -> list[list[Wanted]]:
    middle = len(part) // 2
    return [part[middle:], part[:middle]]
