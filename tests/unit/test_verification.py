"""The ladder: each rung finds what it claims to find, names it, and what is damaged is no base any more."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import bson
import pytest
from support.jobs import NeverStop, run_here
from support.keepkit import ROWS, Here, Weeks, coverage_of, prepare_gone
from support.prepared import PreparedProfile

from mongo_dr_console.model import catalogue as facts
from mongo_dr_console.model.manifest import Compression
from mongo_dr_console.model.progress import Progress
from mongo_dr_console.model.trouble import Failed
from mongo_dr_console.stores import ledger
from mongo_dr_console.stores.catalogue import list_snapshots
from mongo_dr_console.stores.compression import SUFFIXES
from mongo_dr_console.stores.local import LocalStore
from mongo_dr_console.stores.verification import VerificationResult, verify
from mongo_dr_console.workers.verify_deeper import on_paper


@pytest.fixture
def mdr(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Here:
    return Here(capsys, monkeypatch)


def quiet(_: Progress) -> None:
    return


def climb(store: LocalStore, name: str, level: int) -> VerificationResult:
    return verify(store, name, level, quiet, NeverStop(), {4: on_paper})


@pytest.fixture(scope="module")
def weeks() -> Weeks:
    return Weeks.make(12)


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore("local", tmp_path / "store")


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 4
    path.write_bytes(bytes(data))


FILES = ("shop/c.bson", "shop/c.metadata.json", "oplog", "prelude.json")


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
@pytest.mark.parametrize("kind", FILES)
def test_one_flipped_bit_is_found(
    store: LocalStore, weeks: Weeks, compression: Compression, kind: str
) -> None:
    """By the second rung and by every higher one, wherever it is."""
    name = weeks.snapshot_into(store, 3, compression)
    suffix = {"oplog": ".bson.zst" if compression == "zstd" else ".bson"}.get(kind, SUFFIXES[compression])
    path = store.root / name / f"{kind}{suffix}"
    size = path.stat().st_size
    for at in (0, size // 3, size // 2, size - 1):
        flip(path, at)
        assert climb(store, name, 1).good, "as long as it was, and there"
        for level in (2, 3, 4):
            found = climb(store, name, level)
            assert len(found.problems) == 1 and f"{kind}{suffix}" in found.problems[0], (level, at)
            assert [n for n, _ in found.rungs][-1] == min(level, 3), "the next rung is not tried"
            if kind == "shop/c.bson":
                assert "shop.c" in found.problems[0]
        flip(path, at)
    assert climb(store, name, 4).good


def test_a_flipped_bit_in_the_manifest_is_found_when_it_is_opened(store: LocalStore, weeks: Weeks) -> None:
    name = weeks.snapshot_into(store, 3)
    path = store.root / name / "manifest.json"
    flip(path, path.read_bytes().index(b'"documents": 20') + 14)
    with pytest.raises(Failed) as caught:
        climb(store, name, 1)
    assert caught.value.code == "manifest-changed"
    (entry,) = list_snapshots(store)
    assert entry.problem is not None


def test_the_damage_is_told_with_the_collection_and_what_can_be_read_before_it(
    store: LocalStore, weeks: Weeks
) -> None:
    name = weeks.snapshot_into(store, 3, "none")
    path = store.root / name / "shop/c.bson"
    # The length of the eleventh document.
    flip(path, sum(map(len, ROWS[:10])))
    for level in (2, 3):
        (problem,) = climb(store, name, level).problems
        assert "shop/c.bson" in problem and "(shop.c: 10 documents can be read before the damage)" in problem
    path.write_bytes(b"".join(ROWS[:7]) + ROWS[7][:9])
    (problem,) = climb(store, name, 1).problems
    assert "shop/c.bson has" in problem


def plain_dump(store: LocalStore, weeks: Weeks) -> str:
    """An old mongodump folder: nothing but what can be read tells what is in it."""
    name = weeks.snapshot_into(store, 3)
    (store.root / name / "manifest.json").unlink()
    prelude = store.root / name / "prelude.json.gz"
    prelude.write_bytes(gzip.compress(b'{"ServerVersion":"6.0.5","ToolVersion":"100.9.4"}'))
    return name


def wrong_field(folder: Path) -> None:
    broken = bytearray(ROWS[3])
    broken[4] = 0x7E
    (folder / "shop/c.bson.gz").write_bytes(gzip.compress(b"".join([*ROWS[:3], bytes(broken), *ROWS[4:]])))


def oplog_torn(folder: Path) -> None:
    raw = gzip.decompress((folder / "oplog.bson").read_bytes())
    (folder / "oplog.bson").write_bytes(gzip.compress(raw[:-1] + b"\4"))


def torn(folder: Path) -> None:
    (folder / "shop/c.bson.gz").write_bytes(gzip.compress(b"".join(ROWS)[:-3]))


def bad_checksum(folder: Path) -> None:
    flip(folder / "shop/c.bson.gz", -6)


def no_key(folder: Path) -> None:
    text = b'{"indexes":[{"v":{"$numberInt":"2"},"name":"x_1"}],"collectionName":"c","type":"collection"}'
    (folder / "shop/c.metadata.json.gz").write_bytes(gzip.compress(text))


def no_oplog(folder: Path) -> None:
    (folder / "oplog.bson").unlink()


def half_a_transaction(folder: Path) -> None:
    (raw,) = (gzip.decompress((folder / "oplog.bson").read_bytes()),)
    first = bson.decode_all(raw)[0]
    commit = {**first, "op": "c", "ns": "admin.$cmd", "o": {"commitTransaction": 1}}
    commit |= {"lsid": {"id": bson.Binary(b"s" * 16, 4)}, "txnNumber": bson.Int64(1)}
    commit["prevOpTime"] = {"ts": bson.Timestamp(5, 1), "t": bson.Int64(1)}
    (folder / "oplog.bson").write_bytes(gzip.compress(bson.encode(commit)))


@pytest.mark.parametrize(
    ("damage", "level", "words"),
    [
        (wrong_field, 3, "3 documents can be read"),
        (torn, 3, "shop.c"),
        (bad_checksum, 3, "shop/c.bson.gz"),
        (no_oplog, 3, "no oplog"),
        (no_key, 4, "no name or no key"),
        (half_a_transaction, 4, "lacks a part"),
    ],
)
def test_of_a_mongodump_it_is_found_as_far_as_it_can_be(
    store: LocalStore, weeks: Weeks, damage: Callable[[Path], None], level: int, words: str
) -> None:
    name = plain_dump(store, weeks)
    assert climb(store, name, 4).good
    damage(store.root / name)
    assert climb(store, name, level - 1).good
    (problem,) = climb(store, name, level).problems
    assert words in problem


def test_an_oplog_that_cannot_be_read_hides_nothing_else(store: LocalStore, weeks: Weeks) -> None:
    name = plain_dump(store, weeks)
    other = weeks.snapshot_into(store, 2)
    oplog_torn(store.root / name)
    found = {e.name: e for e in list_snapshots(store)}
    assert found[other].problem is None
    problem = found[name].problem
    assert problem is not None and problem.code == "snapshot-corrupt"


def test_what_is_damaged_is_no_base_and_the_next_good_one_is(tmp_path: Path, weeks: Weeks, mdr: Here) -> None:
    prepared = prepare_gone(tmp_path)
    store = LocalStore("local", prepared.store)
    old, new = weeks.snapshot_into(store, 4), weeks.snapshot_into(store, 2)
    weeks.stream_into(store, 6)
    assert facts.choose(list_snapshots(store)).name == new
    flip(store.root / new / "shop/c.bson.gz", 30)
    failed = mdr(prepared, "snapshots", "verify", new, "--json")
    assert failed.code == 1 and "shop.c" in failed.json["error"]["message"]
    assert facts.choose(list_snapshots(store)).name == old
    ranges = coverage_of(store).ranges
    assert [s for r in ranges for s in r.sources if s.startswith("snapshot")] == [f"snapshot:{old}"]
    listed = {s["name"]: s for s in mdr(prepared, "snapshots", "list", "--json").json["snapshots"]}
    assert (listed[new]["damaged_in"], listed[new]["rungs"]) == (["local"], [])
    assert (listed[old]["damaged_in"], listed[new]["previous"]) == ([], old)


def rung_times(entry: facts.SnapshotEntry) -> list[int]:
    return [n for n, _ in entry.rungs]


def test_each_rung_is_recorded_and_shown(tmp_path: Path, weeks: Weeks, mdr: Here) -> None:
    prepared = prepare_gone(tmp_path)
    store = LocalStore("local", prepared.store)
    name = weeks.snapshot_into(store, 2)
    rehearsed = {"snapshot": name, "success": True, "timestamp": "2026-11-22T02:11:31Z"}
    ledger.append(store, "drills", rehearsed)
    assert rung_times(list_snapshots(store)[0]) == [6]
    _, outcome = run_here(prepared, "verify", {"snapshot": name, "store": None, "level": 4})
    assert [r["level"] for r in outcome.result["stores"][0]["rungs"]] == [1, 2, 3, 4]
    assert rung_times(list_snapshots(store)[0]) == [1, 2, 3, 4, 6]
    drill = {"snapshot": name, "success": True, "timestamp": datetime.now(UTC).isoformat()}
    ledger.append(store, "drills", drill)
    (entry,) = list_snapshots(store)
    assert rung_times(entry) == [1, 2, 3, 4, 6] and entry.restore_tested_at is not None
    shown = mdr(prepared, "snapshots", "show", name)
    assert "4 restorable" in shown.out and "6 drilled" in shown.out
    page = mdr(prepared, "snapshots", "show", name, "--json").json
    assert [r["name"] for r in page["rungs"]] == [
        "complete",
        "checksums",
        "readable",
        "restorable",
        "drilled",
    ]


def at(minute: int, level: int, *, good: bool = True) -> dict[str, Any]:
    moment = f"2026-11-22T02:{minute:02}:00Z"
    return {"snapshot": "s", "checksum": "x", "level": level, "good": good, "at": moment}


def test_rungs_are_lost_with_damage_and_climbed_again() -> None:
    def seen(*documents: dict[str, Any]) -> list[tuple[int, int]]:
        found = facts.latest_verifications(documents)["s", "x"]
        return [(level, moment.minute) for level, moment in found.rungs]

    assert seen(at(1, 3), at(2, 1)) == [(1, 2), (2, 1), (3, 1)]
    assert seen(at(1, 3), at(2, 2, good=False)) == []
    assert seen(at(1, 3), at(2, 2, good=False), at(3, 1)) == []
    assert seen(at(1, 3), at(2, 2, good=False), at(3, 2)) == [(1, 3), (2, 3)]
    assert seen(at(2, 1), at(1, 3)) == [(1, 2), (2, 1), (3, 1)], "whatever the order of the files"


def test_sizes_are_compared_with_the_one_before(
    prepared_twice: tuple[PreparedProfile, list[str]], mdr: Here
) -> None:
    prepared, (old, new) = prepared_twice
    listed = mdr(prepared, "snapshots", "list", "--json").json["snapshots"]
    assert [(s["name"], s["previous"], s["documents_change"]) for s in listed] == [
        (new, old, 5),
        (old, None, None),
    ]
    page = mdr(prepared, "snapshots", "show", new, "--json").json
    assert [c["documents_change"] for c in page["collections"]] == [0]
    assert page["seconds"] == json.loads(json.dumps(page))["seconds"] >= 0
    assert f"against {old}" in mdr(prepared, "snapshots", "show", new).out


@pytest.fixture
def prepared_twice(tmp_path: Path, weeks: Weeks) -> tuple[PreparedProfile, list[str]]:
    prepared = prepare_gone(tmp_path)
    store = LocalStore("local", prepared.store)
    return prepared, [weeks.snapshot_into(store, 4), weeks.snapshot_into(store, 2, documents=len(ROWS) + 5)]
