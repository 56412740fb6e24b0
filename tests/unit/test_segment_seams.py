"""How segments join is known from few of their headers as if all had been read."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mongo_dr_console.model.identity import Identity
from mongo_dr_console.model.link import Link
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.segment import Segment, SegmentHeader, Unread, runs
from mongo_dr_console.model.trouble import Failed
from mongo_dr_console.stores.store import Store, StoredObject
from mongo_dr_console.stream import segment_archive
from mongo_dr_console.stream.segment_archive import SegmentArchive
from mongo_dr_console.stream.segment_names import SegmentNames

T0 = 1_795_000_000
MADE = datetime(2026, 11, 22, tzinfo=UTC)
ONE, OTHER = (Identity(environment="test", set_name="rs0", replica_set_id=digit * 24) for digit in ("0", "1"))


def header(identity: Identity, before: Link, last: Link) -> SegmentHeader:
    return SegmentHeader(
        identity=identity,
        previous=before,
        first=Position(before.position.t, before.position.i + 1),
        last=last,
        count=1,
        bytes=1,
        sha256="",
        stored_bytes=1,
        stored_sha256="",
    )


def link(tick: int, term: int, whose: str = "a") -> Link:
    return Link(Position(T0 + tick * 3600, 1), term, f"{whose}{tick}-{term}")


@dataclass
class Shelf:
    """A store that has only headers, and notes which of them are read."""

    by_path: dict[str, Segment] = field(default_factory=dict)
    damaged: set[str] = field(default_factory=set)
    reads: list[str] = field(default_factory=list)
    lists: list[str] = field(default_factory=list)
    name: str = "shelf"
    dear_heads: bool = False

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        self.lists.append(prefix)
        for path in sorted(self.by_path):
            if path.startswith(prefix):
                yield StoredObject(path, 1, MADE)

    def folders(self, prefix: str = "") -> tuple[str, ...]:
        parent = prefix.strip("/") + "/"
        below = [s.path.removeprefix(parent) for s in self.segments if s.path.startswith(parent)]
        return tuple(sorted({path.partition("/")[0] for path in below}))

    def header(self, _: object, path: str) -> Segment:
        self.reads.append(path)
        if path in self.damaged:
            raise Failed("segment-damaged", path)
        return self.by_path[path]

    @property
    def segments(self) -> Sequence[Segment]:
        return tuple(self.by_path.values())

    @property
    def store(self) -> Store:
        return cast("Store", self)


def put(shelf: Shelf, identity: Identity, before: Link, last: Link) -> None:
    made = Segment(header(identity, before, last).name.path, header(identity, before, last))
    shelf.by_path.setdefault(made.path, made)


def history(chance: random.Random) -> Shelf:
    """Lines with gaps, changes of term, forks, and a second deployment that may go on where the first ended.
    A term and a position are given out once."""
    shelf, at, term, top = Shelf(), link(0, 1), 1, 1
    for tick in range(1, chance.randint(2, 60)):
        if chance.random() < 0.08:
            term = top = top + 1
        last = link(tick, term)
        if chance.random() > 0.06:
            put(shelf, ONE, at, last)
        if chance.random() < 0.06:
            fork, top = at, top + 1
            for further in range(tick, tick + chance.randint(1, 6)):
                put(shelf, ONE, fork, link(further, top))
                fork = link(further, top)
        at = last
    if chance.random() < 0.5:
        at = chance.choice([at, link(chance.randint(0, 70), term)])
        for tick in range((at.position.t - T0) // 3600 + 1, chance.randint(2, 90)):
            later = Link(Position(T0 + tick * 3600, 2), term, f"c{tick}")
            put(shelf, OTHER, at, later)
            at = later
    return shelf


@pytest.fixture
def frugal(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(segment_archive, "_READ_NEWEST", 0)
    monkeypatch.setattr(segment_archive, "_OLDER", 1)
    return monkeypatch


def paths(rows: Any) -> list[list[str]]:
    return [[s.path for s in row.segments] for row in rows]


@given(st.integers(0, 10**9))
@settings(max_examples=150)
def test_any_history_is_brought_together_as_by_all_headers(seed: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segment_archive, "_READ_NEWEST", 0)
        patch.setattr(segment_archive, "_OLDER", 1)
        shelf = history(random.Random(seed))
        patch.setattr(segment_archive, "read_header", shelf.header)
        found = SegmentArchive(shelf.store).read()
        wanted = runs(shelf.segments)
        assert sorted(paths(found.runs)) == sorted(paths(wanted))
        assert {(r.after, r.last, r.identity) for r in found.runs} == {
            (r.after, r.last, r.identity) for r in wanted
        }
        assert all(set(r.links) <= {k for w in wanted for k in w.links} for r in found.runs)


def test_of_a_long_line_few_headers_are_read_and_each_once(monkeypatch: pytest.MonkeyPatch) -> None:
    shelf, at = Shelf(), link(0, 1)
    for tick in range(1, 5000):
        put(shelf, ONE, at, link(tick, 1 + tick // 2500))
        at = link(tick, 1 + tick // 2500)
    monkeypatch.setattr(segment_archive, "read_header", shelf.header)
    archive = SegmentArchive(shelf.store)
    (row,) = archive.read().runs
    assert len(row.segments) == 4999 and row.last == at
    assert len(shelf.reads) == len(set(shelf.reads)) < 650
    assert len(row.links) == len(shelf.reads) + 1
    put(shelf, ONE, at, link(5000, 2))
    before = len(shelf.reads)
    assert archive.read().runs[0].last == link(5000, 2)
    assert len(shelf.reads) - before < 120, "the newest, and other samples"


def test_beside_a_damaged_one_its_neighbours_are_read(frugal: pytest.MonkeyPatch) -> None:
    shelf, at = Shelf(), link(0, 1)
    for tick in range(1, 40):
        put(shelf, ONE, at, link(tick, 1))
        at = link(tick, 1)
    # Both ends of the line are read, so this is found.
    shelf.damaged = {shelf.segments[-1].path, shelf.segments[0].path}
    frugal.setattr(segment_archive, "read_header", shelf.header)
    found = SegmentArchive(shelf.store).read()
    assert paths(found.runs) == [[s.path for s in shelf.segments[1:-1]]]
    assert {d.name.path for d in found.damaged} == shelf.damaged


def test_one_that_is_condemned_parts_its_neighbours(frugal: pytest.MonkeyPatch) -> None:
    shelf, at = Shelf(), link(0, 1)
    for tick in range(1, 40):
        put(shelf, ONE, at, link(tick, 1))
        at = link(tick, 1)
    frugal.setattr(segment_archive, "read_header", shelf.header)
    archive = SegmentArchive(shelf.store)
    (row,) = archive.read().runs
    middle = row.segments[20]
    assert isinstance(middle, Unread)
    archive.condemn(middle, Failed("segment-damaged", "as the test wants"))
    first, second = archive.read().runs
    assert [*first.segments, *second.segments] != list(row.segments)
    assert (first.last.position, second.after.position) == (middle.start, middle.end)
    assert archive.condemned == 1


def test_of_a_bucket_older_days_are_listed_every_ten_minutes_and_gone_ones_are_missed_at_once() -> None:
    shelf, at = Shelf(dear_heads=True), link(0, 1)
    for tick in range(1, 200):
        put(shelf, ONE, at, link(tick, 1))
        at = link(tick, 1)
    now = [0.0]
    names = SegmentNames(shelf.store, lambda: now[0])
    every = names.read("rs0")
    assert [n.stored.path for n in every] == sorted(s.path for s in shelf.segments)
    shelf.lists.clear()
    again = names.read("rs0")
    assert again == every and len(shelf.lists) == 2
    days = shelf.folders("oplog/rs0")
    shelf.by_path = {path: s for path, s in shelf.by_path.items() if f"/{days[1]}/" not in path}
    put(shelf, ONE, at, link(200, 1))
    assert [n.stored.path for n in names.read("rs0")] == sorted(s.path for s in shelf.segments)
    gone = shelf.by_path.pop(shelf.segments[30].path)
    assert gone.path in {n.stored.path for n in names.read("rs0")}
    now[0] = 601
    assert gone.path not in {n.stored.path for n in names.read("rs0")}
