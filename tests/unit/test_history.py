"""One history from several stores: whatever each of them lacks, all entries once and in order, or a gap."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import pytest
from test_segments import HERE, history, put, sink_in

from mongo_dr_console.model import rawbson
from mongo_dr_console.model.link import Link
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.segment import SegmentName
from mongo_dr_console.model.trouble import Failed, WrongUse
from mongo_dr_console.stores.local import LocalStore
from mongo_dr_console.stream.coverage import Gathered, stored
from mongo_dr_console.stream.history import History, history_of
from mongo_dr_console.stream.keep import Keep
from mongo_dr_console.stream.segment_archive import SegmentArchive

ENTRIES = history(240)


def link(index: int) -> Link:
    return Link.of(ENTRIES[index])


def written(root: Path, max_bytes: int, begin: int = 0) -> list[Path]:
    sink = sink_in(root, max_bytes=max_bytes)
    put(sink, ENTRIES[begin:])
    sink.close()
    return sorted(root.rglob("*.zst"), key=lambda p: Position.parse(p.name.split("_")[0].replace("-", ":")))


def name_of(root: Path, path: Path) -> SegmentName:
    name = SegmentName.parse(path.relative_to(root).as_posix())
    assert name is not None
    return name


def whole(*roots: Path, branch: str | None = None) -> History:
    keeps: dict[str, Keep] = {}
    for root in roots:
        archive = SegmentArchive(LocalStore(root.name, root))
        keeps[archive.name] = archive
    found = stored([], keeps)
    return history_of(Gathered((), found.stretches, found.damage, None, None), keeps, None, HERE, branch)


def read(found: History, begin: int, end: int) -> list[bytes]:
    start = link(begin)
    batches = found.go_on(start.position, start.hash, link(end).position)
    return [raw for batch in batches for raw in rawbson.split(batch)]


def test_one_goes_on_where_the_other_lacks_something(tmp_path: Path) -> None:
    near, far = tmp_path / "near", tmp_path / "far"
    mine, theirs = written(near, 20_000), written(far, 33_000)
    for path in (*mine[2:4], theirs[0], theirs[-1]):
        path.unlink()
    found = whole(near, far)
    assert read(found, 3, 239) == ENTRIES[4:]
    assert [b"".join(found.read(w.start, w.end)) for w in found.windows()] == [b"".join(ENTRIES[1:])]
    # Damage that only reading finds.
    data = bytearray(mine[5].read_bytes())
    data[-60] ^= 1
    mine[5].write_bytes(data)
    assert read(whole(near, far), 3, 239) == ENTRIES[4:]
    theirs[1].unlink()
    theirs[2].unlink()
    with pytest.raises(Failed) as caught:
        read(whole(near, far), 3, 239)
    assert caught.value.code == "gap"


def test_one_that_is_damaged_goes_on_where_another_has_bridged_the_damage(tmp_path: Path) -> None:
    near, far = tmp_path / "near", tmp_path / "far"
    mine, theirs = written(near, 20_000), written(far, 33_000)
    spoilt = mine[len(mine) // 2]
    data = bytearray(spoilt.read_bytes())
    data[-60] ^= 1
    spoilt.write_bytes(data)
    damaged = name_of(near, spoilt)
    for path in theirs:
        span = name_of(far, path)
        if span.end <= damaged.start or span.start >= damaged.end:
            path.unlink()
    found = whole(near, far)
    assert read(found, 3, 239) == ENTRIES[4:]
    assert [b"".join(found.read(w.start, w.end)) for w in found.windows()] == [b"".join(ENTRIES[1:])]
    for path in far.rglob("*.zst"):
        path.unlink()
    with pytest.raises(Failed) as caught:
        read(whole(near, far), 3, 239)
    assert caught.value.code == "gap" and "damaged" in caught.value.message


@pytest.mark.parametrize("late", ["shorter", "longer"])
def test_what_an_agent_wrote_that_led_no_longer_is_read_once(tmp_path: Path, late: str) -> None:
    """Its last segment came late, into the store where its successor had gone on already."""
    root = tmp_path / "both"
    first = sink_in(root, max_bytes=10**6)
    put(first, ENTRIES[:40])
    first.flush()
    second = sink_in(root, max_bytes=10**6)
    assert second.open() == link(39)
    second.begin(link(39))
    first.append(b"".join(ENTRIES[40:90]))
    second.append(b"".join(ENTRIES[40 : 60 if late == "longer" else 120]))
    second.flush()
    first.close()
    second.append(b"".join(ENTRIES[60 if late == "longer" else 120 :]))
    second.close()
    found = whole(root)
    names = [SegmentName.parse(p.relative_to(root).as_posix()) for p in root.rglob("*.zst")]
    spans = sorted((name.start, name.end) for name in names if name is not None)
    assert any(a[1] > b[0] for a, b in itertools.pairwise(spans))
    assert read(found, 3, 239) == ENTRIES[4:]
    assert [b"".join(found.read(w.start, w.end)) for w in found.windows()] == [b"".join(ENTRIES[1:])]


@pytest.mark.parametrize("seed", range(12))
def test_whatever_is_lost_at_random_it_is_all_or_a_gap(tmp_path: Path, seed: int) -> None:
    luck = random.Random(seed)
    roots = [tmp_path / "near", tmp_path / "far"]
    kept: list[set[int]] = []
    for root in roots:
        paths = written(root, luck.randrange(9_000, 40_000), luck.randrange(0, 60))
        held: set[int] = set()
        positions = {link(n).position: n for n in range(240)}
        for path in paths:
            begin, end = (Position.parse(p.replace("-", ":")) for p in path.name.split(".")[0].split("_"))
            if luck.random() < 0.25:
                path.unlink()
            else:
                held |= set(range(positions[begin] + 1, positions[end] + 1))
        kept.append(held)
    found, there = whole(*roots), kept[0] | kept[1]
    begin = luck.choice(sorted(n - 1 for n in there))
    end = luck.randrange(begin + 1, 240)
    if set(range(begin + 1, end + 1)) <= there:
        assert read(found, begin, end) == ENTRIES[begin + 1 : end + 1]
        assert found.reaches(link(begin).position, link(end).position) >= link(end).position
    else:
        with pytest.raises(Failed) as caught:
            read(found, begin, end)
        assert caught.value.code == "gap"


def test_another_entry_at_the_joint_is_no_joint(tmp_path: Path) -> None:
    written(tmp_path / "near", 20_000)
    found = whole(tmp_path / "near")
    with pytest.raises(Failed) as caught:
        next(found.go_on(link(5).position, "0" * 64, link(9).position))
    assert caught.value.code == "gap" and "another entry" in caught.value.message
    with pytest.raises(WrongUse):
        whole(tmp_path / "near", branch="none")
