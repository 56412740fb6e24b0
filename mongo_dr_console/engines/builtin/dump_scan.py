"""Reading one collection's documents into its file: whole, or in ranges of ``_id`` from several threads.

Where the primary is lost, what is read whole is read again from its beginning, and a range from where it was.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import bson
from bson.max_key import MaxKey
from bson.timestamp import Timestamp
from pymongo import CursorType
from pymongo.errors import OperationFailure, PyMongoError
from pymongo.read_concern import ReadConcern

from mongo_dr_console.engines.builtin.dump_ranges import Bound, find_cuts, may_be_cut, ranges, value_of
from mongo_dr_console.engines.builtin.dump_rate import Throttle
from mongo_dr_console.model import rawbson
from mongo_dr_console.model.manifest import FileEntry
from mongo_dr_console.model.namespace import Namespace
from mongo_dr_console.model.position import Position
from mongo_dr_console.mongo.batches import Batch, quick
from mongo_dr_console.mongo.client import Client, told
from mongo_dr_console.mongo.collections import ListedCollection, collection_uuid
from mongo_dr_console.mongo.durability import is_lost_primary, wait_for_primary
from mongo_dr_console.stores.snapshot_output import FileWriter

_ATTEMPTS = 5
_PRIMARY_SECONDS = 60
_BATCH_BYTES = 2 * 1024 * 1024
_BATCH_DOCUMENTS = (1, 100_000)
_PUSHED_BYTES = 32 * 1024 * 1024
"""From this size on the server sends one batch after the other without being asked for each."""
_CUT_BYTES = 256 * 1024 * 1024
_PIECE_BYTES = 128 * 1024 * 1024
_PIECES = 64

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


@dataclass(slots=True)
class Scan:
    """One collection to read.

    Args:
        entry: As it was listed.
        name: Name of the collection that is read: a time series' is that of its buckets.
        path: Of the data file.
        size: The server's estimate.
        tally: Filled while reading.
        cuts: Values of ``_id`` between its ranges; empty for one that is read whole.
        stale: What is read is of no use any more.
        dropped: It was dropped while it was read.
        pieces_left: Ranges that are not read yet.
        file: Where its ranges go.
    """

    entry: ListedCollection
    name: str
    path: str
    size: Size
    tally: Tally
    cuts: list[Any] = field(default_factory=list)
    stale: threading.Event = field(default_factory=threading.Event)
    dropped: bool = False
    pieces_left: int = 0
    file: FileWriter | None = None
    guard: threading.Lock = field(default_factory=threading.Lock)

    @property
    def namespace(self) -> Namespace:
        return Namespace(self.entry.database, self.entry.name)


class Cancelled(Exception):
    """Another thread failed or a stop was asked for."""


class Stale(Exception):
    """What was being read was renamed meanwhile."""


@dataclass(slots=True)
class Piece:
    """A range of one collection's ``_id``."""

    scan: Scan
    lower: Bound
    upper: Bound
    last: Bound = None
    """The newest ``_id`` that was written; reading goes on behind it."""
    begun: bool = False
    """Whether anything was written of it."""


class Scanner:
    """Reads collections at or after ``start``, majority-committed; used from several threads.

    A causally consistent session that was advanced to ``start`` makes any member wait until it has that
    point, so that a lagging or newly elected one never gives older data; read concern majority keeps
    documents out that could be rolled back (server-rules 12).
    """

    def __init__(
        self,
        client: Client,
        start: Position,
        cancelled: threading.Event,
        note: Callable[[str], None],
        throttle: Throttle | None = None,
        member: Client | None = None,
    ) -> None:
        self._client = client
        self._member = member
        self._throttle = throttle or Throttle(None)
        self._start = start
        self._cancelled = cancelled
        self._note = note
        self._guard = threading.Lock()
        self.newest = start.timestamp
        """The newest operation time that any of the reads saw."""

    def cut(self, scan: Scan, threads: int) -> list[Piece]:
        """The ranges in which a collection is read; one without bounds where it is read whole."""
        if threads > 1 and scan.size.bytes >= _CUT_BYTES and may_be_cut(scan.entry):
            pieces = min(_PIECES, max(threads, scan.size.bytes // _PIECE_BYTES))
            scan.cuts = find_cuts(self._reader, scan.entry.database, scan.name, pieces)
        found = [Piece(scan, lower, upper) for lower, upper in ranges(scan.cuts)]
        scan.pieces_left = len(found)
        return found

    def scan(self, scan: Scan, file: FileWriter) -> FileEntry:
        """Reads a collection whole into its file.

        Raises:
            Cancelled, Stale: See there.
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
                self._again(error, attempt, f"{scan.namespace} is read again from its beginning")
            file.restart()
            scan.tally.documents = scan.tally.bytes = 0
        return file.finish()

    def scan_piece(self, piece: Piece, file: FileWriter) -> FileEntry | None:
        """Reads a range of a collection into its file; the file is finished with the last of them.

        Raises:
            Cancelled, Stale: See there.
            Trouble: It cannot be read, or not be written.
        """
        scan = piece.scan
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                self._read_piece(piece, file)
                break
            except PyMongoError as error:
                if self._was_dropped(error, scan):
                    scan.dropped = True
                    break
                if piece.begun and piece.last is None:
                    # Its newest _id has a deprecated type, which the driver would not give back unchanged.
                    raise told(error) from None
                self._again(error, attempt, f"{scan.namespace} is read on from where it was")
        with scan.guard:
            scan.pieces_left -= 1
            if scan.pieces_left:
                return None
        if scan.dropped:
            file.restart()
            scan.tally.documents = scan.tally.bytes = 0
        return file.finish()

    def _again(self, error: PyMongoError, attempt: int, what: str) -> None:
        """Waits until it can be tried again.

        Raises:
            Trouble: It cannot.
        """
        if self._member is not None and not isinstance(error, OperationFailure):
            self._member = None
            self._note(f"{what}, and from the primary: the member that was read from is gone")
        elif attempt == _ATTEMPTS or not _passes(error):
            raise told(error) from None
        else:
            self._note(f"{what}: {told(error).message}")
        wait_for_primary(self._client, _PRIMARY_SECONDS, self._check)

    def _read(self, scan: Scan, file: FileWriter) -> None:
        for batch in self._batches(scan, None, None):
            file.write(batch)
            scan.tally.documents += rawbson.count(batch)
            scan.tally.bytes += len(batch)
            # Else it would still be there while the next one is received.
            del batch

    def _read_piece(self, piece: Piece, file: FileWriter) -> None:
        scan, resumed = piece.scan, piece.last
        for read in self._batches(scan, piece.last or piece.lower, piece.upper):
            batch = read
            if resumed is not None:
                # The lower bound is in the range, and this document was written already, if still there.
                batch = _behind(batch, resumed)
                resumed = None
            documents, last = _measured(batch)
            if not documents:
                continue
            file.append(batch)
            piece.last = value_of(last)
            with scan.guard:
                scan.tally.documents += documents
                scan.tally.bytes += len(batch)
            piece.begun = True
            del read, batch, last

    def _batches(self, scan: Scan, lower: Bound, upper: Bound) -> Iterator[Batch]:
        reader = self._reader
        collection = reader[scan.entry.database].get_collection(
            scan.name, codec_options=rawbson.RAW, read_concern=ReadConcern("majority")
        )
        pushed = scan.size.bytes >= _PUSHED_BYTES
        with reader.start_session(causal_consistency=True) as session:
            if reader is not self._client:
                with self._client.start_session() as other:
                    self._client.admin.command("ping", session=other)
                    if other.cluster_time is not None:
                        session.advance_cluster_time(other.cluster_time)
            session.advance_operation_time(self._start.timestamp)

            def find(query: dict[str, Any]) -> Any:
                # The driver's types say documents; what comes is the bytes of whole batches.
                cursor = collection.find_raw_batches(
                    query,
                    hint=[("_id", 1) if scan.cuts else ("$natural", 1)],
                    batch_size=scan.size.batch,
                    session=session,
                    cursor_type=CursorType.EXHAUST if pushed else CursorType.NON_TAILABLE,
                )
                return quick(cursor)

            batches = find({})
            if lower is not None:
                batches = batches.min([("_id", lower[0])])
            if upper is not None:
                batches = batches.max([("_id", upper[0])])
            yield from self._checked(scan, batches)
            if lower is not None and upper is None:
                # A range without an end ends before MaxKey, which may be an _id too.
                yield from self._checked(scan, find({"_id": MaxKey()}))
            self._saw(session.operation_time)

    def _checked(self, scan: Scan, batches: Any) -> Iterator[Batch]:
        with batches:
            for batch in batches:
                self._check()
                if scan.stale.is_set():
                    raise Stale
                size = len(batch)
                if size:
                    yield batch
                    del batch
                    self._throttle.passed(size, self._check)

    @property
    def _reader(self) -> Client:
        return self._member or self._client

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


def measure(client: Client, database: str, collection: str) -> Size:
    """The server's estimate; zeros where it may not be asked."""
    try:
        stats = client[database].command("collStats", collection)
        return Size(int(stats.get("count", 0)), int(stats.get("size", 0)))
    except OperationFailure:
        return Size()


def _passes(error: PyMongoError) -> bool:
    return is_lost_primary(error) or (isinstance(error, OperationFailure) and error.code in _PASSING)


def _measured(batch: Batch) -> tuple[int, Batch]:
    """How many documents a batch has, and its last one."""
    documents = at = begin = 0
    while at < len(batch):
        begin, documents = at, documents + 1
        at += int.from_bytes(batch[at : at + 4], "little")
    return documents, batch[begin:]


def _behind(batch: Batch, last: Bound) -> Batch:
    """The batch without its first document, where that has this ``_id``."""
    first = next(rawbson.split(batch), None)
    found = None if first is None else value_of(first)
    if (
        first is None
        or found is None
        or last is None
        or bson.encode({"": found[0]}) != bson.encode({"": last[0]})
    ):
        return batch
    return batch[len(first) :]
