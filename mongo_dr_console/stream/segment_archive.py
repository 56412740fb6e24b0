"""The segments of a store: which there are, and reading them."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from mongo_dr_console.model import rawbson
from mongo_dr_console.model.coverage import Damage
from mongo_dr_console.model.entryhead import head
from mongo_dr_console.model.identity import Identity
from mongo_dr_console.model.link import Link
from mongo_dr_console.model.position import Position, Span
from mongo_dr_console.model.segment import (
    Run,
    Segment,
    SegmentHeader,
    SegmentName,
    Unread,
    runs,
    seams,
)
from mongo_dr_console.model.stretch import Stretch
from mongo_dr_console.model.trouble import Failed
from mongo_dr_console.stores.store import Store, StoredObject
from mongo_dr_console.stream.keep import Left
from mongo_dr_console.stream.segment_file import damaged, read_entries, read_header
from mongo_dr_console.stream.segment_names import Named, SegmentNames

_READERS = 8
_FIELDS = set(SegmentHeader.model_fields)
_NEWEST = 200
_OLDER = 100
_READ_NEWEST = 500
"""Headers that are read in any case: what is damaged among the newest is seen before anybody reads it."""


@dataclass(frozen=True, slots=True)
class DamagedSegment:
    """One that cannot be used, by the ends that its name says."""

    name: SegmentName
    trouble: Failed


@dataclass(frozen=True, slots=True)
class Found:
    """What a look through a store brought.

    Args:
        runs: The segments brought together.
    """

    segments: list[Segment | Unread]
    damaged: list[DamagedSegment]
    runs: list[Run]


class SegmentArchive:
    """A store's segments. Headers and single entries that were read are kept: a segment never changes. Of
    most segments the name is enough, see ``model.segment.seams``: what their headers say is compared when
    their entries are read."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.name = f"segments:{store.name}"
        self._names = SegmentNames(store)
        self._known: dict[str, tuple[StoredObject, Segment | Failed]] = {}
        self._links: dict[tuple[str, Position], Link | None] = {}
        self._runs: dict[Link, Run] = {}
        self._index: RunIndex | None = None
        self._identities: dict[Identity, Identity] = {}
        self._last: tuple[Sequence[Named], Found] | None = None
        self.condemned = 0
        """How many segments turned out to be damaged while their entries were read."""
        self._lock = threading.Lock()

    def read(self, set_name: str | None = None) -> Found:
        """All segments, or those of one set, in order of their names.

        Raises:
            Unreachable: The store does not answer.
        """
        named = self._names.read(set_name)
        with self._lock:
            if self._last is None or self._last[0] != named:
                there = {n.stored.path for n in named}
                self._known = {path: known for path, known in self._known.items() if path in there}
                self._last = named, self._look(named)
            return self._last[1]

    def _look(self, named: Sequence[Named]) -> Found:
        """Reads headers until nothing is left open: what is damaged is no neighbour of anything."""
        while True:
            usable = [n for n in named if not isinstance(self._fact(n), Failed)]
            self._read_headers(usable[at] for at in seams([n.name for n in usable], _READ_NEWEST, _OLDER))
            facts = [(n, self._fact(n)) for n in named]
            segments = [
                f if isinstance(f, Segment) else n.unread for n, f in facts if not isinstance(f, Failed)
            ]
            rows = runs(segments)
            open_ = {u.path for r in rows for u in r.open_questions}
            if open_:
                self._read_headers(n for n in named if n.stored.path in open_)
            elif len(segments) == len(usable):
                # One that is gone by now is no damage.
                damaged = [
                    DamagedSegment(n.name, f)
                    for n, f in facts
                    if isinstance(f, Failed) and f.code == "segment-damaged"
                ]
                return Found(segments, damaged, rows)

    def _fact(self, named: Named) -> Segment | Failed | None:
        known = self._known.get(named.stored.path)
        return known[1] if known is not None and known[0] == named.stored else None

    def _read_headers(self, wanted: Iterable[Named]) -> None:
        new = [n.stored for n in wanted if self._fact(n) is None]
        if not new:
            return
        with ThreadPoolExecutor(_READERS) as pool:
            for stored, found in zip(new, pool.map(self._header, new), strict=True):
                self._known[stored.path] = stored, found

    def _header(self, stored: StoredObject) -> Segment | Failed:
        try:
            return self._lean(read_header(self.store, stored.path))
        except Failed as trouble:
            return trouble

    def _lean(self, segment: Segment) -> Segment:
        """What is the same in all of them is most of each."""
        header = segment.header
        identity = self._identities.setdefault(header.identity, header.identity)
        same = SegmentHeader.model_construct(_fields_set=_FIELDS, **{**dict(header), "identity": identity})
        return Segment(segment.path, same)

    def entries(self, segment: Segment) -> bytes:
        """All entries of a segment, compared with what its header says."""
        return read_entries(self.store, segment.path, segment.header)[1]

    def runs(self, set_name: str | None = None) -> tuple[list[Run], list[DamagedSegment]]:
        """The segments brought together, and those that cannot be used."""
        found = self.read(set_name)
        self._runs = {r.last: r for r in found.runs}
        return found.runs, found.damaged

    def left(self) -> Left:
        """As ``stream.keep.Keep``, from the segments' headers."""
        rows, damaged = self.runs()
        return Left(
            tuple(Stretch(self.name, _some(r.links), r.identity) for r in rows),
            tuple(Damage(d.name.start, d.name.end, f"{self.name}: {d.trouble.message}") for d in damaged),
        )

    def link_in(self, stretch: Stretch, position: Position) -> Link | None:
        """As ``stream.keep.Keep``."""
        run = self._runs.get(stretch.last)
        return None if run is None else self.link_at(run, position)

    def read_in(self, stretch: Stretch, start: Position, end: Position) -> Iterator[bytes]:
        """As ``stream.keep.Keep``."""
        run = self._runs.get(stretch.last)
        return iter(()) if run is None else SegmentSource(self, run).read(start, end)

    def condemn(self, segment: Segment | Unread, trouble: Failed) -> None:
        """What was found damaged while it was read is so for every later look."""
        with self._lock:
            named = () if self._last is None else self._last[0]
            for each in named:
                if each.stored.path == segment.path:
                    self._known[segment.path] = each.stored, trouble
                    self._last = None
                    self.condemned += 1
                    return

    def link_at(self, run: Run, position: Position) -> Link | None:
        """The entry of a run at a position, None where it has none there.

        Raises:
            Failed: ``segment-damaged``.
        """
        index = self._index
        if index is None or index.run is not run:
            index = self._index = RunIndex.of(run)
        if (link := index.links.get(position)) is not None:
            return link
        segment = index.around(position)
        if segment is None:
            return None
        key = segment.path, position
        if key not in self._links:
            try:
                self._links[key] = self._link_in(segment, run, position)
            except Failed as trouble:
                self.condemn(segment, trouble)
                raise
        return self._links[key]

    def _link_in(self, segment: Segment | Unread, run: Run, position: Position) -> Link | None:
        if position != segment.end:
            return _entry_at(self.open(segment, run)[1], position)
        header = read_header(self.store, segment.path).header
        self._require_same(segment, header, run)
        return header.last

    def open(
        self, segment: Segment | Unread, run: Run, before: Link | None = None
    ) -> tuple[SegmentHeader, bytes]:
        """Header and entries of a segment of a run.

        Args:
            before: The end of the one before it, where that is known: here it is found out where the names
                alone said that this one continues it.

        Raises:
            Failed: ``segment-damaged``, also where it is of another deployment, or does not continue.
        """
        expected = segment.header if isinstance(segment, Segment) else None
        header, entries = read_entries(self.store, segment.path, expected)
        self._require_same(segment, header, run)
        if before is not None and header.previous != before:
            raise damaged(segment.path, self.store.name, "it does not continue the one before it")
        return header, entries

    def _require_same(self, segment: Segment | Unread, header: SegmentHeader, run: Run) -> None:
        if not header.identity.same_deployment(run.identity):
            raise damaged(segment.path, self.store.name, "it is of another deployment than its neighbours")


@dataclass(frozen=True, slots=True)
class RunIndex:
    """A run in which positions are looked up, thousands of them in a hundred thousand segments.

    Args:
        links: What is known without reading, by position.
        ends: Of all segments, in order.
    """

    run: Run
    links: dict[Position, Link]
    ends: list[Position]

    @classmethod
    def of(cls, run: Run) -> RunIndex:
        return cls(run, {link.position: link for link in run.links}, [s.end for s in run.segments])

    def around(self, position: Position) -> Segment | Unread | None:
        """The segment that may have it."""
        at = bisect_left(self.ends, position)
        if at == len(self.ends) or position <= self.run.segments[at].start:
            return None
        return self.run.segments[at]


class SegmentSource:
    """One line of segments that continue each other, as ``stream.source.StreamSource``.

    Args:
        archive: Of the store.
        line: In order, each continuing the one before.
    """

    def __init__(self, archive: SegmentArchive, line: Run) -> None:
        self.name = archive.name
        self._archive, self._run = archive, line

    def windows(self) -> list[Span]:
        return [Span(self._run.first, self._run.last.position)]

    def read(self, start: Position, end: Position) -> Iterator[bytes]:
        """Whole raw entries with ``start <= ts <= end``, a segment at a time.

        Raises:
            Failed: ``segment-damaged``, before an entry of that segment is given.
        """
        before: Link | None = None
        for segment in self._run.segments:
            if segment.end < start:
                continue
            if segment.start >= end:
                return
            header, batch = self._archive.open(segment, self._run, before)
            before = header.last
            if header.first < start or header.last.position > end:
                batch = _within(batch, start, end)
            if batch:
                yield batch


def lines(archive: SegmentArchive, identity: Identity | None = None) -> list[Run]:
    """The runs of a store, of one deployment or of all."""
    found, _ = archive.runs(None if identity is None else identity.set_name)
    return [r for r in found if identity is None or r.identity.same_deployment(identity)]


def _some(links: tuple[Link, ...]) -> tuple[Link, ...]:
    """All of the newest, and some of the older ones: where a fork is looked for, it is near the end."""
    if len(links) <= _NEWEST + _OLDER:
        return links
    older = links[:-_NEWEST]
    step = len(older) // _OLDER + 1
    return (*older[::step], *links[-_NEWEST:])


def _within(batch: bytes, start: Position, end: Position) -> bytes:
    return b"".join(raw for raw in rawbson.split(batch) if start <= head(raw).position <= end)


def _entry_at(batch: bytes, position: Position) -> Link | None:
    for raw in rawbson.split(batch):
        if head(raw).position == position:
            return Link.of(raw)
    return None
