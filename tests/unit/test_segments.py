"""Segments: what is written is read again byte for byte, and nothing that was harmed is taken for whole."""

from __future__ import annotations

import io
import os
import random
import time
from pathlib import Path

import bson
import pytest
import zstandard
from bson import Int64
from hypothesis import given
from hypothesis import strategies as st
from support.entrykit import Oplog

from mongo_dr_console.model import rawbson
from mongo_dr_console.model.identity import Identity
from mongo_dr_console.model.link import Link
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.segment import SegmentName, runs
from mongo_dr_console.model.trouble import Failed, Refused
from mongo_dr_console.stores.local import LocalStore
from mongo_dr_console.stream.segment_archive import SegmentArchive, SegmentSource, lines
from mongo_dr_console.stream.segment_sink import SegmentSink

HERE = Identity(environment="test", set_name="rs0", replica_set_id="0" * 24)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def history(count: int, seed: int = 1, terms: int = 3) -> list[bytes]:
    """Entries of several terms and sizes."""
    chance, oplog = random.Random(seed), Oplog()
    for n in range(count):
        oplog.wait(chance.choice((0, 0, 0.3, 1)))
        oplog.put("i", "shop.orders", {"_id": n, "text": "x" * chance.randint(0, 3000)})
    found = []
    for n, raw in enumerate(oplog.entries):
        entry = bson.decode(raw)
        found.append(bson.encode({**entry, "t": Int64(1 + n * terms // count)}))
    return found


def sink_in(
    root: Path, clock: Clock | None = None, *, max_bytes: int = 20_000, seconds: float = 30
) -> SegmentSink:
    return SegmentSink(
        LocalStore("local", root), HERE, seconds=seconds, max_bytes=max_bytes, clock=clock or Clock()
    )


def put(sink: SegmentSink, entries: list[bytes], size: int = 7) -> None:
    """All but the first, which lies before them."""
    if sink.open() is None:
        sink.begin(Link.of(entries[0]))
        rest = entries[1:]
    else:
        durable = sink.durable
        assert durable is not None
        sink.begin(durable)
        rest = [e for e in entries if Link.of(e).position > durable.position]
    for at in range(0, len(rest), size):
        sink.append(b"".join(rest[at : at + size]))
        sink.tick()


def read_all(root: Path) -> list[bytes]:
    archive = SegmentArchive(LocalStore("local", root))
    (line,) = lines(archive, HERE)
    source = SegmentSource(archive, line)
    (window,) = source.windows()
    return [raw for batch in source.read(window.start, window.end) for raw in rawbson.split(batch)]


def test_what_was_written_is_read_again_and_unpacks_to_plain_bson(tmp_path: Path) -> None:
    entries, sink = history(200), sink_in(tmp_path)
    put(sink, entries)
    sink.close()
    assert sink.durable == Link.of(entries[-1])
    assert read_all(tmp_path) == entries[1:]
    paths = sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.zst"))
    names = [SegmentName.parse(p) for p in paths]
    assert len(names) > 5 and {n.term for n in names if n} == {1, 2, 3}
    plain = b""
    for path in paths:
        with zstandard.ZstdDecompressor().stream_reader(
            io.BytesIO((tmp_path / path).read_bytes()), read_across_frames=True
        ) as reader:
            plain += reader.read()
    assert plain == b"".join(entries[1:])


def test_a_segment_is_closed_by_size_by_seconds_and_by_a_change_of_term(tmp_path: Path) -> None:
    entries, clock = history(60, terms=1), Clock()
    sink = sink_in(tmp_path, clock, max_bytes=10**9, seconds=30)
    sink.begin(Link.of(entries[0]))
    sink.append(entries[1])
    sink.tick()
    assert sink.durable is None
    clock.now = 31
    sink.tick()
    assert sink.durable == Link.of(entries[1])
    later = bson.encode({**bson.decode(entries[3]), "t": Int64(2)})
    sink.append(entries[2] + later)
    assert sink.durable == Link.of(entries[2])


def test_a_writer_that_is_killed_anywhere_loses_only_what_was_not_said_to_be_safe(tmp_path: Path) -> None:
    entries = history(300)
    for cut in range(20, 320, 37):
        sink = sink_in(tmp_path)
        put(sink, entries[:cut])
        safe = sink.durable
        assert safe is None or safe in {Link.of(e) for e in read_all(tmp_path)}
        # Killed: nothing is closed. What it had half-written lies about.
        day = tmp_path / "oplog" / "rs0" / "20260101"
        day.mkdir(parents=True, exist_ok=True)
        (day / ".partial-old").write_bytes(b"half")
        os.utime(day / ".partial-old", (time.time() - 3600,) * 2)
    last = sink_in(tmp_path)
    put(last, entries)
    last.close()
    assert read_all(tmp_path) == entries[1:]
    assert not list(tmp_path.rglob(".partial-*"))


def _segments(root: Path) -> list[Path]:
    return sorted(root.rglob("*.bson.zst"))


def _cut(path: Path, _: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def _header_cut(path: Path, _: Path) -> None:
    path.write_bytes(path.read_bytes()[:40])


def _flip_body(path: Path, _: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-100] ^= 4
    path.write_bytes(data)


def _flip_header(path: Path, _: Path) -> None:
    data = bytearray(path.read_bytes())
    data[data.index(b"sha256") + 12] ^= 1
    path.write_bytes(data)


def _swap(path: Path, other: Path) -> None:
    mine, theirs = path.read_bytes(), other.read_bytes()
    path.write_bytes(theirs)
    other.write_bytes(mine)


def _foreign_body(path: Path, other: Path) -> None:
    mine, theirs = path.read_bytes(), other.read_bytes()
    size = 8 + int.from_bytes(mine[4:8], "little")
    path.write_bytes(mine[:size] + theirs[8 + int.from_bytes(theirs[4:8], "little") :])


def _empty(path: Path, _: Path) -> None:
    path.write_bytes(b"")


HARMS = (_cut, _header_cut, _flip_body, _flip_header, _swap, _foreign_body, _empty)


@pytest.mark.parametrize("harm", HARMS, ids=lambda h: h.__name__.strip("_"))
def test_a_harmed_segment_is_never_read_in_part_nor_left_out_silently(tmp_path: Path, harm: object) -> None:
    entries, sink = history(120), sink_in(tmp_path)
    put(sink, entries)
    sink.close()
    files = _segments(tmp_path)
    assert callable(harm)
    harm(files[2], files[4])
    archive = SegmentArchive(LocalStore("local", tmp_path))
    found = archive.read("rs0")
    if found.damaged:
        # Known from the listing alone: what is left does not join over it.
        assert {d.trouble.code for d in found.damaged} == {"segment-damaged"}
        rows = lines(archive, HERE)
        assert len(rows) > 1
        for row in rows[1:]:
            assert row.after not in {r.last for r in rows}
        return
    (line,) = lines(archive, HERE)
    given_out: list[bytes] = []
    with pytest.raises(Failed) as caught:
        for batch in SegmentSource(archive, line).read(line.first, line.last.position):
            given_out += rawbson.split(batch)
    assert caught.value.code == "segment-damaged"
    assert files[2].name in caught.value.message
    assert given_out == entries[1 : 1 + len(given_out)]


def test_a_damaged_tail_is_written_again(tmp_path: Path) -> None:
    entries = history(120)
    sink = sink_in(tmp_path)
    put(sink, entries)
    sink.close()
    _flip_body(_segments(tmp_path)[-1], tmp_path)
    again = sink_in(tmp_path)
    put(again, entries)
    again.close()
    assert read_all(tmp_path) == entries[1:]


@given(st.integers(0, 10_000), st.integers(0, 200), st.integers(0, 200))
def test_any_range_is_read_exactly(
    tmp_path_factory: pytest.TempPathFactory, seed: int, a: int, b: int
) -> None:
    root = _prepared(tmp_path_factory, seed % 3)
    entries = history(200, seed % 3)
    first, last = (Link.of(entries[n % 200]).position for n in sorted((a, b)))
    archive = SegmentArchive(LocalStore("local", root))
    (line,) = lines(archive, HERE)
    found = b"".join(SegmentSource(archive, line).read(first, last))
    assert found == b"".join(e for e in entries[1:] if first <= Link.of(e).position <= last)
    assert archive.link_at(line, last) == next(
        (Link.of(e) for e in entries if Link.of(e).position == last), None
    )
    assert archive.link_at(line, Position(last.t, last.i + 5000)) is None


_roots: dict[int, Path] = {}


def _prepared(factory: pytest.TempPathFactory, seed: int) -> Path:
    if seed not in _roots:
        root = _roots[seed] = factory.mktemp("segments")
        sink = sink_in(root)
        put(sink, history(200, seed))
        sink.close()
    return _roots[seed]


def test_a_fork_makes_runs_that_part_at_it(tmp_path: Path) -> None:
    entries = history(100, terms=1)
    sink = sink_in(tmp_path)
    put(sink, entries[:60])
    sink.close()
    fork = Link.of(entries[40])
    other = sink_in(tmp_path)
    other.open()
    known = [link for link in other.earlier() if link.position <= fork.position]
    other.begin(known[0])
    new = [bson.encode({**bson.decode(e), "t": Int64(2)}) for e in entries[41:]]
    between = [e for e in entries[:41] if Link.of(e).position > known[0].position]
    other.append(b"".join(between + new))
    other.close()
    rows = runs(SegmentArchive(LocalStore("local", tmp_path)).read().segments)
    ends = {r.last for r in rows}
    assert {Link.of(entries[59]), Link.of(new[-1])} <= ends
    assert {s.header.tail for r in rows for s in r.segments} == {None, Link.of(entries[59])}
    assert sink_in(tmp_path).open() == Link.of(new[-1])


class Leading:
    """May write, until it may not."""

    fence = 7

    def __init__(self) -> None:
        self.ended = False

    def holds(self) -> bool:
        return not self.ended


def test_who_leads_no_longer_writes_nothing_more_and_every_segment_says_who_wrote_it(tmp_path: Path) -> None:
    leading, entries = Leading(), history(20, terms=1)
    store = LocalStore("local", tmp_path)

    def made() -> SegmentSink:
        return SegmentSink(store, HERE, seconds=30, max_bytes=10**6, clock=Clock(), leave=leading)

    sink = made()
    put(sink, entries[:10])
    sink.flush()
    sink.append(b"".join(entries[10:]))
    leading.ended = True
    for write in (sink.flush, made().open):
        with pytest.raises(Refused) as caught:
            write()
        assert caught.value.code == "agent-superseded"
    found = SegmentArchive(store).read().segments
    assert {s.header.fence for s in found} == {7}
    assert max(s.header.last.position for s in found) == Link.of(entries[9]).position
