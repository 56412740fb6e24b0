"""Loading a snapshot's documents into staging collections."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, TypeAlias

from bson.raw_bson import RawBSONDocument
from pymongo.collection import Collection
from pymongo.errors import CollectionInvalid, DocumentTooLarge, NotPrimaryError, OperationFailure

from mongo_dr_console.engines.builtin.pinned import create_with_uuid
from mongo_dr_console.engines.builtin.timestamps import (
    emptied_again,
    empty_timestamps,
    may_have_empty_timestamps,
)
from mongo_dr_console.model import rawbson
from mongo_dr_console.model.timeline import Staged
from mongo_dr_console.model.trouble import Failed
from mongo_dr_console.mongo import encoded
from mongo_dr_console.mongo.client import Client
from mongo_dr_console.mongo.durability import NOT_PRIMARY_CODES, is_lost_primary

BATCH_DOCUMENTS = 2000
BATCH_BYTES = 2 * 1024 * 1024
PENDING_BYTES = 24 * 1024 * 1024
"""What may be on its way at a time, but for one document; on its way it is in memory twice or three times."""
WORKERS = 4

_NAMESPACE_EXISTS = 48
_DUPLICATE_KEY = 11000
_MISSING_DOCUMENT = 218
_DOCUMENTS_OWN = frozenset(
    {2, 9, 14, 22, 52, 53, 54, 55, 56, 57, 121, 10003, 10334, 13548, 15992, 16755, 17280, 17419, 17420}
)
"""What is wrong with one document and says nothing of the next: a value, a name, a size."""

_WHY = 500
_NOT_FOR_CREATE = frozenset({"uuid", "recordIdsReplicated", "temp"})


Refuse: TypeAlias = Callable[[str, bytes], None]
"""Told why, and the raw document, of each one that was not taken; called from several threads."""


def create_staged(client: Client, staged: Staged) -> None:
    """Creates a staging collection with the options of the original; no error if it is there already, since
    its name is this job's alone. A time series' buckets are kept as ordinary documents."""
    options = {} if staged.series else create_options(staged)
    if staged.uuid is not None and staged.pinned:
        create_with_uuid(client, staged.database, staged.name, staged.uuid, options)
        return
    try:
        client[staged.database].command({"create": staged.name, **options})
    except OperationFailure as error:
        if error.code != _NAMESPACE_EXISTS:
            raise
    except CollectionInvalid:
        pass


def create_options(staged: Staged) -> dict[str, Any]:
    """What ``create`` is told, so that the collection is as the original was."""
    return {k: v for k, v in staged.options.items() if k not in _NOT_FOR_CREATE}


def is_ordered(staged: Staged) -> bool:
    """Capped collections keep their insertion order, so they get one worker (server-rules 8)."""
    return bool(staged.options.get("capped"))


def insert(
    client: Client, staged: Staged, chunks: Iterable[bytes], refuse: Refuse, *, ordered: bool = False
) -> Iterator[tuple[int, int]]:
    """Inserts documents; yields (documents, bytes) for each batch that was sent.

    Validators do not apply: what the snapshot holds is restored as it is. A document that the server does not
    take all the same goes to ``refuse``. ``ordered``: one worker, in the order in which they come.

    Raises:
        Failed: The server takes nothing, for a reason that is not the document's.
    """
    collection: Collection[Any] = client[staged.database][staged.name]
    return insert_into(collection, chunks, refuse, ordered=ordered or is_ordered(staged))


def insert_into(
    collection: Collection[Any],
    chunks: Iterable[bytes],
    refuse: Refuse,
    *,
    ordered: bool = False,
    bypass: bool = True,
) -> Iterator[tuple[int, int]]:
    """See ``insert``; ``bypass``: validators do not apply (a time series' buckets have one that is right)."""
    work = _Inserting(collection, refuse, ordered, bypass)
    workers = 1 if ordered else WORKERS
    with ThreadPoolExecutor(workers, thread_name_prefix="load") as pool:
        pending: dict[Future[tuple[int, int]], int] = {}
        try:
            for batch, documents in rawbson.batches(chunks, BATCH_DOCUMENTS, BATCH_BYTES):
                size = len(batch)
                while pending and size + sum(pending.values()) > PENDING_BYTES:
                    yield from _settled(pending)
                pending[pool.submit(work.insert, batch, documents)] = size
                # Not to be held on to while the next one is read.
                del batch
                while pending and (len(pending) >= workers * 2 or workers == 1):
                    yield from _settled(pending)
            while pending:
                yield from _settled(pending)
        finally:
            for future in pending:
                future.cancel()


def _settled(pending: dict[Future[tuple[int, int]], int]) -> list[tuple[int, int]]:
    """Waits for one at least, and takes those that are done out."""
    finished, _ = wait(pending, return_when="FIRST_COMPLETED")
    for future in finished:
        del pending[future]
    return [future.result() for future in finished]


@dataclass(frozen=True, slots=True)
class _Inserting:
    """Inserting into one collection, from several threads."""

    collection: Collection[Any]
    refuse: Refuse
    ordered: bool
    bypass: bool

    def insert(self, batch: bytes, documents: int) -> tuple[int, int]:
        self._insert_run(batch, documents)
        if may_have_empty_timestamps(batch):
            for raw in rawbson.split(batch):
                document = RawBSONDocument(raw, rawbson.RAW)
                fields = empty_timestamps(document)
                if fields:
                    self._empty_again(document, fields)
        return documents, len(batch)

    def _insert_run(self, batch: bytes, documents: int) -> None:
        """A scan that goes on while documents are written meets one twice that was deleted and inserted
        again. Either copy will do: the window has both operations, and replay over it ends in the newer."""
        while batch:
            try:
                errors = self._command(batch)
            except (DocumentTooLarge, OperationFailure) as error:
                # All of them were refused for the sake of one: one at a time tells which it is.
                if isinstance(error, OperationFailure) and error.code not in _DOCUMENTS_OWN:
                    raise
                if documents == 1:
                    self.refuse(str(error)[:_WHY], batch)
                    return
                for document in rawbson.split(batch):
                    self._insert_run(document, 1)
                return
            if not errors:
                return
            split = list(rawbson.split(batch))
            for one in errors:
                self._take(one["code"], str(one.get("errmsg", "")), split[one["index"]])
            left = split[errors[0]["index"] + 1 :] if self.ordered else []
            batch, documents = b"".join(left), len(left)

    def _command(self, batch: bytes) -> list[dict[str, Any]]:
        """Sends an insert; returns what the server said of single documents."""
        command: dict[str, Any] = {
            "insert": self.collection.name,
            "documents": encoded.documents(batch),
            "ordered": self.ordered,
            "writeConcern": {"w": 1},
        }
        if self.bypass:
            command["bypassDocumentValidation"] = True
        reply = self.collection.database.command(command)
        errors: list[dict[str, Any]] = reply.get("writeErrors") or []
        for one in errors:
            if one["code"] in NOT_PRIMARY_CODES:
                raise NotPrimaryError(str(one.get("errmsg", "")), one)
        return errors

    def _empty_again(self, document: RawBSONDocument, fields: list[str]) -> None:
        entry = emptied_again(self.collection.full_name, document["_id"], fields)
        command = {"applyOps": [entry], "alwaysUpsert": False, "allowAtomic": False}
        try:
            self.collection.database.client.admin.command({**command, "writeConcern": {"w": 1}})
        except OperationFailure as error:
            # One that was refused is not there.
            if is_lost_primary(error) or error.code != _MISSING_DOCUMENT:
                raise

    def _take(self, code: int, why: str, document: bytes) -> None:
        if code == _DUPLICATE_KEY:
            return
        if code not in _DOCUMENTS_OWN:
            raise _refused(self.collection, why)
        self.refuse(why[:_WHY], document)


def _refused(collection: Collection[Any], why: str) -> Failed:
    return Failed(
        "document-refused",
        f"The server takes no documents for {collection.full_name}: {why[:_WHY]}. Nothing live was changed.",
        "Correct that, and then: mdr jobs resume",
    )
