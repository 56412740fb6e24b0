"""Segments of the oplog in a store, as a sink."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress

from mongo_dr_console.model.identity import Identity
from mongo_dr_console.model.link import Link
from mongo_dr_console.model.segment import Segment, Unread, own_of, set_folder, tail
from mongo_dr_console.model.trouble import Failed, Refused
from mongo_dr_console.stores.local import LocalStore
from mongo_dr_console.stores.store import Store
from mongo_dr_console.stream.batch import Batch, one_term
from mongo_dr_console.stream.segment_archive import SegmentArchive
from mongo_dr_console.stream.segment_file import SegmentBuilder, read_entries, read_header
from mongo_dr_console.stream.sink import Alone, Leave, require

_ABANDONED_SECONDS = 600
"""From which age on a half-written object is a killed writer's: no segment takes that long to write."""


class SegmentSink:
    """Takes entries and writes segments; the protocol is ``stream.sink.StreamSink``.

    An entry is safe once its segment is closed: when it is ``max_bytes`` large (uncompressed), ``seconds``
    after its first entry came, and when the election term changes. Only the segment that is being filled is
    in memory.

    Args:
        store: Where they go.
        identity: Of the deployment.
        seconds, max_bytes: When a segment is closed.
        clock: In seconds.
        leave: Asked before each write.
    """

    def __init__(
        self,
        store: Store,
        identity: Identity,
        *,
        seconds: float,
        max_bytes: int,
        clock: Callable[[], float] = time.monotonic,
        leave: Leave | None = None,
    ) -> None:
        self.name = f"segments:{store.name}"
        self.durable: Link | None = None
        self._store, self._identity = store, identity
        self._seconds, self._max_bytes, self._clock = seconds, max_bytes, clock
        self._leave = leave or Alone()
        self._archive = SegmentArchive(store)
        self._builder: SegmentBuilder | None = None
        self._begun = 0.0
        self._after: Link | None = None

    def open(self) -> Link | None:
        """The end of the newest whole segment of this deployment. A damaged one is passed over: it is written
        again from the live oplog, beside it."""
        self._builder, self._after = None, None
        require(self._leave)
        if isinstance(self._store, LocalStore):
            self._store.root.mkdir(parents=True, exist_ok=True)
        with suppress(Refused):
            # Whoever may write there need not be allowed to clear up.
            self._store.sweep(set_folder(self._identity.set_name), _ABANDONED_SECONDS)
        self.durable = self._after = self._tail()
        return self.durable

    def _tail(self) -> Link | None:
        known = self._segments()
        while (newest := tail(known, self._identity)) is not None:
            try:
                read_entries(self._store, newest.path, newest.header)
            except Failed:
                known.remove(newest)
            else:
                return newest.header.last
        return None

    def earlier(self) -> Iterator[Link]:
        own = own_of(self._segments(), self._identity)
        for segment in sorted(own, key=lambda s: s.end, reverse=True):
            yield segment.header.last
            yield segment.header.previous

    def begin(self, after: Link) -> None:
        self._builder, self._after = None, after

    def append(self, batch: bytes) -> None:
        for part in one_term(batch):
            self._take(part)

    def _take(self, part: Batch) -> None:
        if self._builder is not None and self._builder.last.term != part.last.term:
            self._close()
        if self._builder is None:
            assert self._after is not None, "begin comes first"
            self._builder = SegmentBuilder(self._identity, self._after, self.durable, fence=self._leave.fence)
            self._begun = self._clock()
        self._builder.add(part.raw, part.last, part.count)
        if self._builder.bytes >= self._max_bytes:
            self._close()

    def tick(self) -> None:
        if self._builder is not None and self._clock() - self._begun >= self._seconds:
            self._close()

    def flush(self) -> None:
        self._close()

    def close(self) -> None:
        self._close()

    def _segments(self) -> list[Segment | Unread]:
        return self._archive.read(self._identity.set_name).segments

    def _close(self) -> None:
        """Writes the segment whole and moves ``durable``; on an error nothing was moved."""
        if self._builder is None:
            return
        builder, self._builder = self._builder, None
        header, pieces = builder.finish()
        path = header.name.path
        require(self._leave)
        if not self._store.write_if_absent(path, pieces):
            self._replace_unless_same(Segment(path, header), pieces)
        self.durable = self._after = header.last

    def _replace_unless_same(self, wanted: Segment, pieces: list[bytes]) -> None:
        """A name that is taken: by the same entries, brought by another writer, or by a damaged segment."""
        try:
            there = read_header(self._store, wanted.path)
            read_entries(self._store, there.path, there.header)
        except Failed as trouble:
            if trouble.code != "segment-damaged":
                raise
            self._store.write(wanted.path, pieces)
            return
        if there.header.sha256 != wanted.header.sha256:
            raise Failed(
                "segment-taken",
                f"{wanted.path} in store {self._store.name} holds other entries with the same ends: another "
                "deployment of the same set name writes there. Nothing was replaced.",
                "Give each deployment a store, or a prefix, of its own.",
            )
