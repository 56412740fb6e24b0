"""Reading one collection's documents into its file, again from its beginning where the primary was lost."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from bson.timestamp import Timestamp
from pymongo.errors import OperationFailure, PyMongoError
from pymongo.read_concern import ReadConcern

from mongo_dr_console.model import rawbson
from mongo_dr_console.model.manifest import FileEntry
from mongo_dr_console.model.namespace import Namespace
from mongo_dr_console.model.position import Position
from mongo_dr_console.mongo.client import Client, told
from mongo_dr_console.mongo.collections import ListedCollection, collection_uuid
from mongo_dr_console.mongo.durability import is_lost_primary, wait_for_primary
from mongo_dr_console.stores.snapshot_writer import FileWriter

_ATTEMPTS = 5
_PRIMARY_SECONDS = 60
_BATCH_BYTES = 4 * 1024 * 1024
_BATCH_DOCUMENTS = (100, 100_000)

_QUERY_PLAN_KILLED = 175
_NAMESPACE_NOT_FOUND = 26
_PASSING = frozenset({_QUERY_PLAN_KILLED, 43, 134, 136, 237, 246, 262})
"""Cursors killed or lost, a majority view that is not there yet, a capped collection that went around."""


@dataclass(frozen=True, slots=True)
class Size:
    """What the server estimates."""

    documents: int = 0
    bytes: int = 0

    @property
    def batch(self) -> int:
        """Documents in a batch of some MiB."""
        average = max(1, self.bytes // self.documents) if self.documents else 256
        return min(max(_BATCH_DOCUMENTS[0], _BATCH_BYTES // average), _BATCH_DOCUMENTS[1])


@dataclass(slots=True)
class Tally:
    """What was written of one collection so far."""

    documents: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Scan:
    """One collection to read.

    Args:
        entry: As it was listed.
        name: Name of the collection that is read: a time series' is that of its buckets.
        path: Of the data file.
        size: The server's estimate.
        tally: Filled while reading.
    """

    entry: ListedCollection
    name: str
    path: str
    size: Size
    tally: Tally

    @property
    def namespace(self) -> Namespace:
        return Namespace(self.entry.database, self.entry.name)


class Cancelled(Exception):
    """Another thread failed or a stop was asked for."""


class Scanner:
    """Reads collections at or after ``start``, majority-committed; used from several threads.

    A causally consistent session that was advanced to ``start`` makes any member wait until it has that
    point, so that a lagging or newly elected one never gives older data; read concern majority keeps
    documents out that could be rolled back (server-rules 12).
    """

    def __init__(
        self, client: Client, start: Position, cancelled: threading.Event, note: Callable[[str], None]
    ) -> None:
        self._client = client
        self._start = start
        self._cancelled = cancelled
        self._note = note
        self._guard = threading.Lock()
        self.newest = start.timestamp
        """The newest operation time that any of the reads saw."""

    def measure(self, database: str, collection: str) -> Size:
        """The server's estimate; zeros where it may not be asked."""
        try:
            stats = self._client[database].command("collStats", collection)
            return Size(int(stats.get("count", 0)), int(stats.get("size", 0)))
        except OperationFailure:
            return Size()

    def scan(self, scan: Scan, file: FileWriter) -> FileEntry:
        """Reads a collection whole into its file.

        Raises:
            Cancelled: See there.
            Trouble: It cannot be read, or not be written.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                self._read(scan, file)
                break
            except PyMongoError as error:
                if self._was_dropped(error, scan):
                    # What was read so far is as good as nothing: replay drops it.
                    break
                if attempt == _ATTEMPTS or not _passes(error):
                    raise told(error) from None
                self._note(f"{scan.namespace} is read again from its beginning: {told(error).message}")
            file.restart()
            scan.tally.documents = scan.tally.bytes = 0
            wait_for_primary(self._client, _PRIMARY_SECONDS, self._check)
        return file.finish()

    def _read(self, scan: Scan, file: FileWriter) -> None:
        collection = self._client[scan.entry.database].get_collection(
            scan.name, codec_options=rawbson.RAW, read_concern=ReadConcern("majority")
        )
        with self._client.start_session(causal_consistency=True) as session:
            session.advance_operation_time(self._start.timestamp)
            # The driver's types say documents; what comes is the bytes of whole batches.
            batches: Iterator[Any] = collection.find_raw_batches(
                {}, hint=[("$natural", 1)], batch_size=scan.size.batch, session=session
            )
            for batch in batches:
                self._check()
                if batch:
                    file.write(batch)
                    scan.tally.documents += rawbson.count(batch)
                    scan.tally.bytes += len(batch)
            self._saw(session.operation_time)

    def _saw(self, operation_time: Timestamp | None) -> None:
        with self._guard:
            if operation_time is not None and operation_time > self.newest:
                self.newest = operation_time

    def _check(self) -> None:
        if self._cancelled.is_set():
            raise Cancelled

    def _was_dropped(self, error: PyMongoError, scan: Scan) -> bool:
        if not isinstance(error, OperationFailure):
            return False
        if error.code == _NAMESPACE_NOT_FOUND:
            return True
        if error.code != _QUERY_PLAN_KILLED or scan.entry.kind != "collection":
            return False
        try:
            return collection_uuid(self._client, scan.entry.database, scan.name) != scan.entry.uuid
        except PyMongoError:
            return False


def _passes(error: PyMongoError) -> bool:
    return is_lost_primary(error) or (isinstance(error, OperationFailure) and error.code in _PASSING)
