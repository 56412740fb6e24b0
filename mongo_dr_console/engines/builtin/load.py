"""Loading a snapshot's documents into staging collections."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

from bson.raw_bson import RawBSONDocument
from pymongo.collection import Collection
from pymongo.errors import BulkWriteError, CollectionInvalid, OperationFailure
from pymongo.write_concern import WriteConcern

from mongo_dr_console.model import rawbson
from mongo_dr_console.model.timeline import Staged
from mongo_dr_console.model.trouble import Failed
from mongo_dr_console.mongo.client import Client

BATCH_DOCUMENTS = 2000
BATCH_BYTES = 2 * 1024 * 1024
WORKERS = 4

_NAMESPACE_EXISTS = 48
_DUPLICATE_KEY = 11000
_NOT_FOR_CREATE = frozenset({"uuid", "recordIdsReplicated", "temp"})


def create_staged(client: Client, staged: Staged) -> None:
    """Creates a staging collection with the options of the original; no error if it is there already, since
    its name is this job's alone."""
    options = {k: v for k, v in staged.options.items() if k not in _NOT_FOR_CREATE}
    try:
        client[staged.database].command({"create": staged.name, **options})
    except OperationFailure as error:
        if error.code != _NAMESPACE_EXISTS:
            raise
    except CollectionInvalid:
        pass


def is_ordered(staged: Staged) -> bool:
    """Capped collections keep their insertion order, so they get one worker (server-rules 8)."""
    return bool(staged.options.get("capped"))


def insert(client: Client, staged: Staged, chunks: Iterable[bytes]) -> Iterator[tuple[int, int]]:
    """Inserts documents; yields (documents, bytes) for each batch that was acknowledged.

    Validators do not apply: what the snapshot holds is restored as it is.

    Raises:
        Failed: A document was not taken; it is named.
    """
    collection: Collection[Any] = client[staged.database].get_collection(
        staged.name, write_concern=WriteConcern(w=1)
    )
    workers = 1 if is_ordered(staged) else WORKERS
    with ThreadPoolExecutor(workers, thread_name_prefix="load") as pool:
        pending: set[Future[tuple[int, int]]] = set()
        try:
            for batch, size in _batches(chunks):
                pending.add(pool.submit(_insert_batch, collection, batch, size, workers == 1))
                if len(pending) >= workers * 2 or workers == 1:
                    done, pending = _settled(pending, all_of_them=workers == 1)
                    yield from done
            done, pending = _settled(pending, all_of_them=True)
            yield from done
        finally:
            for future in pending:
                future.cancel()


def _settled(
    pending: set[Future[tuple[int, int]]], *, all_of_them: bool
) -> tuple[list[tuple[int, int]], set[Future[tuple[int, int]]]]:
    finished, rest = wait(pending, return_when="ALL_COMPLETED" if all_of_them else "FIRST_COMPLETED")
    return [future.result() for future in finished], set(rest)


def _batches(chunks: Iterable[bytes]) -> Iterator[tuple[list[RawBSONDocument], int]]:
    batch: list[RawBSONDocument] = []
    size = 0
    for raw in rawbson.documents(chunks):
        if batch and (len(batch) >= BATCH_DOCUMENTS or size + len(raw) > BATCH_BYTES):
            yield batch, size
            batch, size = [], 0
        batch.append(RawBSONDocument(raw, rawbson.RAW))
        size += len(raw)
    if batch:
        yield batch, size


def _insert_batch(
    collection: Collection[Any], batch: list[RawBSONDocument], size: int, ordered: bool
) -> tuple[int, int]:
    """A scan that goes on while documents are written meets one twice that was deleted and inserted again.
    Either copy will do: the window has both operations, and replay over it ends in the newer one."""
    rest = batch
    while rest:
        try:
            collection.insert_many(rest, ordered=ordered, bypass_document_validation=True)
            return len(batch), size
        except BulkWriteError as error:
            errors = error.details.get("writeErrors") or [{}]
            other = next((e for e in errors if e.get("code") != _DUPLICATE_KEY), None)
            if other is not None or error.details.get("writeConcernErrors"):
                raise _refused(collection, other or {}, error) from None
            rest = rest[errors[0]["index"] + 1 :] if ordered else []
    return len(batch), size


def _refused(collection: Collection[Any], first: dict[str, Any], error: BulkWriteError) -> Failed:
    return Failed(
        "document-refused",
        f"The server refuses a document of {collection.full_name}: {first.get('errmsg', error)}. "
        "Nothing live was changed.",
        "Check the snapshot: mdr snapshots verify --level 3",
    )
