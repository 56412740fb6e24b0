"""Saved oplog ranges: what was saved is what is read, and damage never passes for data."""

from __future__ import annotations

import hashlib
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import bson
import pytest
import zstandard
from bson import Int64, Timestamp
from hypothesis import given, settings
from hypothesis import strategies as st
from support.entrykit import Oplog, Recorded

from mongo_dr_console.model import rawbson
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.trouble import Failed
from mongo_dr_console.stream.chain import Chain, Link, check_joint, checked
from mongo_dr_console.stream.saved import SavedRange, SavedRangeWriter, finish, recover, save_range


@pytest.fixture(scope="module")
def oplog() -> Oplog:
    log = Oplog()
    for n in range(100):
        log.insert("shop.orders", n)
        log.wait(0.3)
    return log


def batches(oplog: Oplog, size: int = 7) -> list[bytes]:
    span = Recorded(oplog).windows()[0]
    return list(Recorded(oplog, batch=size).read(span.start, span.end))


def entries(saved: SavedRange, start: Position, end: Position) -> list[bytes]:
    return [raw for batch in saved.read(start, end) for raw in rawbson.split(batch)]


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_every_part_of_a_range_reads_back(
    tmp_path_factory: pytest.TempPathFactory, oplog: Oplog, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("range") / "oplog"
    saved = save_range(batches(oplog, data.draw(st.integers(1, 40))), path)
    first, last = sorted(data.draw(st.tuples(st.integers(0, 99), st.integers(0, 99))))
    start, end = oplog.positions[first], oplog.positions[last]
    assert entries(saved, start, end) == oplog.entries[first : last + 1]
    assert saved.windows() == Recorded(oplog).windows()


def test_the_sidecar_says_what_it_holds_and_zstd_alone_unpacks_it(tmp_path: Path, oplog: Oplog) -> None:
    saved = save_range(batches(oplog), tmp_path / "oplog")
    plain = b"".join(oplog.entries)
    facts = saved.verify()
    assert (facts.first, facts.last) == (oplog.positions[0], oplog.positions[-1])
    assert (facts.count, facts.bytes, facts.sha256) == (100, len(plain), hashlib.sha256(plain).hexdigest())
    assert facts == saved.facts
    assert sorted(p.name for p in tmp_path.iterdir()) == ["oplog", "oplog.json"]
    with zstandard.open(saved.path, "rb") as file:
        assert file.read() == plain


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_changed_byte_or_a_missing_end_never_passes(
    tmp_path_factory: pytest.TempPathFactory, oplog: Oplog, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("range") / "oplog"
    saved = save_range(batches(oplog, 30), path)
    raw = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(raw) - 1))
    if data.draw(st.booleans()):
        raw[at] ^= data.draw(st.integers(1, 255))
    else:
        del raw[at:]
    path.write_bytes(raw)
    with pytest.raises(Failed):
        saved.verify()
    try:
        read = entries(saved, oplog.positions[0], oplog.positions[-1])
    except Failed:
        return
    assert read == oplog.entries


def test_what_is_flushed_can_be_read_while_the_range_grows(tmp_path: Path, oplog: Oplog) -> None:
    path = tmp_path / "oplog"
    saved = SavedRange(path)
    with SavedRangeWriter(path) as writer:
        assert saved.windows() == []
        for batch in batches(oplog):
            writer.append(batch)
            writer.flush()
            assert saved.last == writer.last
            assert saved.facts is None
    assert entries(saved, oplog.positions[0], oplog.positions[-1]) == oplog.entries
    assert finish(path).facts == saved.verify()


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_torn_tail_is_cut_back_and_gone_on_with(
    tmp_path_factory: pytest.TempPathFactory, oplog: Oplog, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("range") / "oplog"
    ends = []
    with SavedRangeWriter(path) as writer:
        for batch in batches(oplog, 13):
            writer.append(batch)
            writer.flush()
            ends.append((path.stat().st_size, writer.last))
    kept = data.draw(st.integers(0, ends[-1][0]))
    os.truncate(path, kept)
    if data.draw(st.booleans()):
        with path.open("ab") as file:
            file.write(b"\0" * data.draw(st.integers(0, 300)))
    expected = max((p for size, p in ends if size <= kept and p), default=None)
    assert recover(path) == expected
    assert recover(path) == expected
    done = oplog.positions.index(expected) + 1 if expected else 0
    with SavedRangeWriter(path) as writer:
        assert writer.last == expected
        if done < 100:
            writer.append(b"".join(oplog.entries[done:]))
    assert entries(SavedRange(path), oplog.positions[0], oplog.positions[-1]) == oplog.entries


def test_a_writer_refuses_a_torn_file_and_entries_out_of_order(tmp_path: Path, oplog: Oplog) -> None:
    path = tmp_path / "oplog"
    with SavedRangeWriter(path) as writer:
        writer.append(oplog.entries[5])
        with pytest.raises(Failed, match="out of order"):
            writer.append(oplog.entries[5])
    with SavedRangeWriter(path) as writer, pytest.raises(Failed, match="out of order"):
        writer.append(oplog.entries[2])
    with path.open("ab") as file:
        file.write(b"torn")
    with pytest.raises(Failed, match="recovered"):
        SavedRangeWriter(path)


def test_nothing_is_left_where_saving_fails(tmp_path: Path, oplog: Oplog) -> None:
    def broken() -> object:
        yield oplog.entries[0]
        raise Failed("server-error", "gone")

    for source, text in ((broken(), "gone"), (iter([]), "no entries"), (iter(oplog.entries[::-1]), "order")):
        with pytest.raises(Failed, match=text):
            save_range(source, tmp_path / "oplog")  # type: ignore[arg-type]
        assert list(tmp_path.iterdir()) == []
    with pytest.raises(Failed, match="cannot be saved"):
        save_range(batches(oplog), tmp_path / "missing" / "oplog")


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    log = Oplog()
    for n in range(300):
        log.put("i", "shop.orders", {"_id": n, "noise": os.urandom(2000)}, o2={"_id": n})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(Failed) as caught:
            save_range(batches(log), tmp_path / "oplog")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert caught.value.code == "saved-range-unwritten"
    assert list(tmp_path.iterdir()) == []


_KILLED = """
import sys
from pathlib import Path
from support.entrykit import Oplog
from mongo_dr_console.stream.saved import SavedRangeWriter

log = Oplog()
with SavedRangeWriter(Path(sys.argv[1])) as writer:
    while True:
        writer.append(b"".join([log.entries[-1] for n in range(50) if log.insert("a.b", n)]
                               and log.entries[-50:]))
        writer.flush()
        print(writer.last, flush=True)
        log.wait(1)
"""


def test_what_was_flushed_survives_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "oplog"
    process = subprocess.Popen(
        [sys.executable, "-c", _KILLED, str(path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )
    assert process.stdout is not None
    said = [process.stdout.readline() for _ in range(5)][-1].strip()
    process.kill()
    process.communicate()
    recovered = recover(path)
    assert recovered is not None
    assert recovered >= Position.parse(said)
    assert SavedRange(path).verify().last == recovered


# The chain


def test_the_term_may_rise_and_never_fall() -> None:
    def entry(i: int, term: int) -> bytes:
        return bson.encode({"op": "n", "ts": Timestamp(1, i), "t": Int64(term)})

    rising = [entry(1, 1), entry(2, 1), entry(3, 5)]
    assert b"".join(checked(rising)) == b"".join(rising)
    with pytest.raises(Failed, match="two histories"):
        list(checked([entry(1, 2), entry(2, 1)]))
    with pytest.raises(Failed, match="out of order"):
        Chain(last=Position(1, 1)).feed(entry(1, 1))


def test_a_joint_is_the_very_same_entry(oplog: Oplog) -> None:
    link = Link.of(oplog.entries[3])
    check_joint(link, oplog.entries[3], "the live oplog")
    other = bson.encode({**bson.decode(oplog.entries[3]), "o": {"_id": 99}})
    with pytest.raises(Failed) as diverged:
        check_joint(link, other, "the live oplog")
    with pytest.raises(Failed) as missing:
        check_joint(link, None, "the live oplog")
    assert (diverged.value.code, missing.value.code) == ("stream-diverged", "stream-gap")
