"""Taking a merge back: what it brought back goes, what it replaced comes again, where it is still as the
merge wrote it. What was written since stays. Each document is looked at in the transaction that writes it,
so doing it again after a kill comes to the same."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from bson.raw_bson import RawBSONDocument
from pymongo import DeleteOne
from pymongo.collection import Collection
from pymongo.errors import BulkWriteError, OperationFailure
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from mongo_dr_console.engines.builtin.merge_log import Written, digest
from mongo_dr_console.engines.builtin.merge_write import put
from mongo_dr_console.model import rawbson
from mongo_dr_console.model.skip import document_key
from mongo_dr_console.mongo.client import Client
from mongo_dr_console.mongo.durability import is_lost_primary

_BATCH_DOCUMENTS = 90
_BATCH_BYTES = 4 * 1024 * 1024
_HELD_SECONDS = 75.0
"""For so long another transaction may hold a document: the server ends one after a minute."""
_PAUSE_SECONDS = 0.05


@dataclass(slots=True)
class MergeUndo:
    """Args:
    client: To the deployment.
    guard: Asked between batches; raises to stop.
    begin_session: Told the id (hex) of the session before it is used.
    counts: Namespace and what became of a document: ``removed``, ``put_back``, ``already``, ``changed``,
        ``refused``.
    """

    client: Client
    guard: Callable[[], None]
    begin_session: Callable[[str], None]
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)

    def take_back(self, records: Iterable[Written]) -> Iterator[int]:
        """Yields the documents of each batch.

        Raises:
            PyMongoError: The primary was lost; start again.
        """
        with self.client.start_session(causal_consistency=False) as session:
            self.begin_session(bytes(session.session_id["id"]).hex())
            for namespace, batch in _batches(records):
                self.guard()
                database, _, name = namespace.partition(".")
                collection: Collection[Any] = self.client[database].get_collection(
                    name, codec_options=rawbson.RAW
                )
                parts, tries, patience = [batch], 0, time.monotonic() + _HELD_SECONDS
                while parts:
                    part = parts.pop()
                    try:
                        self.counts += self._once(collection, namespace, part, session)
                        tries = 0
                    except (OperationFailure, BulkWriteError) as error:
                        if session.in_transaction:
                            session.abort_transaction()
                        if is_lost_primary(error):
                            raise
                        transient = error.has_error_label("TransientTransactionError")
                        tries += 1
                        if transient and time.monotonic() < patience:
                            time.sleep(min(_PAUSE_SECONDS * tries, 1))
                            parts.append(part)
                        elif len(part) > 1:
                            middle = len(part) // 2
                            parts += [part[middle:], part[:middle]]
                            tries = 0
                        elif isinstance(error, BulkWriteError) or transient:
                            self.counts[namespace, "refused"] += 1
                        else:
                            raise
                yield len(batch)

    def _once(
        self, collection: Collection[Any], namespace: str, part: list[Written], session: Any
    ) -> Counter[tuple[str, str]]:
        found: Counter[tuple[str, str]] = Counter()
        gone: list[DeleteOne] = []
        again: list[tuple[RawBSONDocument, bool]] = []
        session.start_transaction(ReadConcern("snapshot"), WriteConcern(w=1))
        identities = [record.identity for record in part]
        live = {
            document_key(namespace, d["_id"]): bytes(d.raw)
            for d in collection.find({"_id": {"$in": identities}}, session=session)
        }
        for record in part:
            now = live.get(document_key(namespace, record.identity))
            if now == record.before:
                found[namespace, "already"] += 1
            elif now is None or digest(now) != record.digest:
                found[namespace, "changed"] += 1
            elif record.before is None:
                gone.append(DeleteOne({"_id": {"$eq": record.identity}}))
                found[namespace, "removed"] += 1
            else:
                again.append((RawBSONDocument(record.before, rawbson.RAW), True))
                found[namespace, "put_back"] += 1
        if gone:
            collection.bulk_write(gone, ordered=True, session=session)
        if again:
            put(collection, again, session)
        session.commit_transaction()
        return found


def _batches(records: Iterable[Written]) -> Iterator[tuple[str, list[Written]]]:
    """Of one namespace each. A document that stands twice in a batch is taken once: a merge that tried again
    put it down again."""
    for namespace, group in groupby(records, key=lambda record: record.namespace):
        batch: dict[bytes, Written] = {}
        size = 0
        for record in group:
            if len(batch) >= _BATCH_DOCUMENTS or size > _BATCH_BYTES:
                yield namespace, list(batch.values())
                batch, size = {}, 0
            batch[document_key(namespace, record.identity)] = record
            size += len(record.before or b"")
        if batch:
            yield namespace, list(batch.values())
