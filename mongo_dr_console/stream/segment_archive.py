"""The segments of a store: which there are, and reading them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from mongo_dr_console.model import rawbson
from mongo_dr_console.model.coverage import Damage
from mongo_dr_console.model.entryhead import head
from mongo_dr_console.model.identity import Identity
from mongo_dr_console.model.link import Link
from mongo_dr_console.model.position import Position, Span
from mongo_dr_console.model.segment import FOLDER, Run, Segment, SegmentHeader, SegmentName, runs, set_folder
from mongo_dr_console.model.stretch import Stretch
from mongo_dr_console.model.trouble import Failed
from mongo_dr_console.stores.store import Store, StoredObject
from mongo_dr_console.stream.keep import Left
from mongo_dr_console.stream.segment_file import read_entries, read_header

_READERS = 8
_FIELDS = set(SegmentHeader.model_fields)
_NEWEST = 200
_OLDER = 100


@dataclass(frozen=True, slots=True)
class DamagedSegment:
    """One that cannot be used, by the ends that its name says."""

    name: SegmentName
    trouble: Failed


@dataclass(frozen=True, slots=True)
class Found:
    """What a look through a store brought."""

    segments: list[Segment]
    damaged: list[DamagedSegment]


class SegmentArchive:
    """A store's segments. Headers and single entries that were read are kept: a segment never changes."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.name = f"segments:{store.name}"
        self._known: dict[StoredObject, Segment | Failed] = {}
        self._links: dict[tuple[str, Position], Link | None] = {}
        self._runs: dict[Link, Run] = {}
        self._identities: dict[Identity, Identity] = {}
        self._newest: tuple[Found, list[Run]] | None = None
        self.condemned = 0
        """How many segments turned out to be damaged while their entries were read."""
        self._lock = threading.Lock()

    def read(self, set_name: str | None = None) -> Found:
        """All segments, or those of one set, in order of their names.

        Raises:
            Unreachable: The store does not answer.
        """
        objects = self.store.list(f"{FOLDER}/" if set_name is None else set_folder(set_name))
        named = [(o, name) for o in objects if (name := SegmentName.parse(o.path)) is not None]
        with self._lock:
            new = [o for o, _ in named if o not in self._known]
            with ThreadPoolExecutor(_READERS) as pool:
                headers = list(pool.map(self._header, new))
            self._known |= zip(new, headers, strict=True)
            found = Found([], [])
            for stored, name in named:
                known = self._known[stored]
                if isinstance(known, Segment):
                    found.segments.append(known)
                elif known.code == "segment-damaged":
                    found.damaged.append(DamagedSegment(name, known))
        return found

    def _header(self, stored: StoredObject) -> Segment | Failed:
        try:
            return self._lean(read_header(self.store, stored.path))
        except Failed as trouble:
            return trouble

    def _lean(self, segment: Segment) -> Segment:
        """There are a hundred thousand, and what is the same in all of them is most of each."""
        header = segment.header
        identity = self._identities.setdefault(header.identity, header.identity)
        same = SegmentHeader.model_construct(_fields_set=_FIELDS, **{**dict(header), "identity": identity})
        return Segment(segment.path, same)

    def entries(self, segment: Segment) -> bytes:
        """All entries of a segment, compared with what its header says."""
        return read_entries(self.store, segment)

    def runs(self, set_name: str | None = None) -> tuple[list[Run], list[DamagedSegment]]:
        """The segments brought together, and those that cannot be used."""
        found = self.read(set_name)
        if self._newest is None or self._newest[0] != found:
            rows = runs(found.segments)
            self._newest = found, rows
            self._runs = {r.last: r for r in rows}
        return self._newest[1], found.damaged

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

    def condemn(self, segment: Segment, trouble: Failed) -> None:
        """What was found damaged while it was read is so for every later look."""
        with self._lock:
            for stored, known in self._known.items():
                if known == segment:
                    self._known[stored] = trouble
                    self.condemned += 1
                    return

    def link_at(self, run: Run, position: Position) -> Link | None:
        """The entry of a run at a position, None where it has none there.

        Raises:
            Failed: ``segment-damaged``.
        """
        for link in run.links:
            if link.position == position:
                return link
        segment = next(
            (s for s in run.segments if s.header.first <= position <= s.header.last.position), None
        )
        if segment is None:
            return None
        key = segment.path, position
        if key not in self._links:
            try:
                self._links[key] = _entry_at(self.entries(segment), position)
            except Failed as trouble:
                self.condemn(segment, trouble)
                raise
        return self._links[key]


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
        for segment in self._run.segments:
            header = segment.header
            if header.last.position < start:
                continue
            if header.first > end:
                return
            batch = self._archive.entries(segment)
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
