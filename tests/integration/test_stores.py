"""What every store must do, on a directory and on a real MinIO: one suite for both."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import dumping
import pytest
from support import snapshots
from support.minio import Minio

from mongo_dr_console.model.trouble import Failed, WrongUse
from mongo_dr_console.stores import ledger
from mongo_dr_console.stores.begin import begin_snapshot
from mongo_dr_console.stores.catalogue import list_snapshots
from mongo_dr_console.stores.compression import decompress
from mongo_dr_console.stores.copying import copy_snapshot
from mongo_dr_console.stores.local import LocalStore
from mongo_dr_console.stores.s3_upload import PART_BYTES
from mongo_dr_console.stores.snapshot_reader import open_snapshot
from mongo_dr_console.stores.store import Store
from mongo_dr_console.stores.verification import verify

MakeStore = Callable[[], Store]
LARGE = random.Random(7).randbytes(2 * PART_BYTES + 12345)
RECORDED = Path(__file__).parents[1] / "data" / "dump"


@pytest.fixture(params=["local", "s3"])
def make_store(request: pytest.FixtureRequest, tmp_path: Path) -> MakeStore:
    """Makes empty stores of one kind."""
    if request.param == "s3":
        minio: Minio = request.getfixturevalue("minio")
        return minio.store
    made = 0

    def local() -> Store:
        nonlocal made
        made += 1
        (tmp_path / f"root{made}").mkdir()
        return LocalStore("local", tmp_path / f"root{made}")

    return local


@pytest.fixture
def store(make_store: MakeStore) -> Store:
    return make_store()


def test_what_is_written_is_read_whole_or_in_part(store: Store) -> None:
    written = store.write("a/b", [b"hello ", b"world"])
    assert (written.path, written.size) == ("a/b", 11)
    assert b"".join(store.read("a/b")) == b"hello world"
    assert b"".join(store.read("a/b", 3, 5)) == b"lo wo"
    assert b"".join(store.read("a/b", 9)) == b"ld"
    assert b"".join(store.read("a/b", 9, 100)) == b"ld"
    assert (
        list(store.read("a/b", 11)) == list(store.read("a/b", 50, 5)) == list(store.read("a/b", 2, 0)) == []
    )
    assert store.size("a/b") == 11
    store.write("a/b", [b"new"])
    assert b"".join(store.read("a/b")) == b"new"
    store.write("empty", [])
    assert list(store.read("empty")) == [] and store.size("empty") == 0


def test_a_large_object_comes_back_byte_for_byte(store: Store) -> None:
    pieces = [LARGE[at : at + 777_777] for at in range(0, len(LARGE), 777_777)]
    assert store.write("large", pieces).size == len(LARGE)
    assert b"".join(store.read("large")) == LARGE
    start = PART_BYTES - 5
    assert b"".join(store.read("large", start, 10)) == LARGE[start : start + 10]
    assert not store.write_if_absent("large", [b"x" * (PART_BYTES + 1)])
    assert store.size("large") == len(LARGE)


def test_only_the_first_of_many_writers_wins(store: Store) -> None:
    won: list[int] = []

    def write(number: int) -> None:
        if store.write_if_absent("x", [bytes([number])]):
            won.append(number)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert b"".join(store.read("x")) == bytes(won)
    assert [o.path for o in store.list()] == ["x"]


def test_listing_is_by_prefix_and_sorted(store: Store) -> None:
    names = ("b/2", "b/10", "bc", "a", "b/x/y", "b/.hidden", "Ä/ö %+.json", "b x/&=?#")
    for path in names:
        store.write(path, [b""])
    assert [o.path for o in store.list()] == ["a", "b x/&=?#", "b/10", "b/2", "b/x/y", "bc", "Ä/ö %+.json"]
    assert [o.path for o in store.list("b")] == ["b x/&=?#", "b/10", "b/2", "b/x/y", "bc"]
    assert [o.path for o in store.list("b/")] == ["b/10", "b/2", "b/x/y"]
    assert [o.path for o in store.list("b/x")] == ["b/x/y"]
    assert list(store.list("none/")) == []
    assert store.folders() == ("b", "b x", "Ä")
    assert store.folders("b") == store.folders("b/") == ("x",)
    assert store.folders("none") == ()


def test_a_write_that_breaks_leaves_the_old_object(store: Store) -> None:
    store.write("x", [b"old"])

    def broken() -> Iterator[bytes]:
        yield LARGE
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        store.write("x", broken())
    with pytest.raises(ValueError, match="no more"):
        store.write_if_absent("y", broken())
    assert b"".join(store.read("x")) == b"old"
    assert [o.path for o in store.list()] == ["x"]
    assert store.sweep("", 0) == 0


def test_what_is_not_there(store: Store) -> None:
    for start, length in ((0, None), (5, 5), (0, 0)):
        with pytest.raises(Failed) as caught:
            list(store.read("nothing", start, length))
        assert caught.value.code == "not-in-store"
    assert store.size("nothing") is None
    store.delete("nothing")
    store.write("x", [b""])
    store.delete("x")
    assert list(store.list()) == []


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a/../../x", "a//b", "", ".", "a/.", "a\0b"])
def test_no_path_leads_out(store: Store, path: str) -> None:
    with pytest.raises(WrongUse):
        store.write(path, [b""])
    with pytest.raises(WrongUse):
        list(store.read(path))
    with pytest.raises(WrongUse):
        store.delete(path)


def test_the_ledger_keeps_the_order_and_outlives_damage(store: Store) -> None:
    assert ledger.read_all(store, "backups") == []
    paths = [ledger.append(store, "backups", {"n": n}) for n in range(9)]
    assert paths == sorted(paths), "also within one second"
    assert all(path.startswith("ledger/backups/") and path.endswith(".json") for path in paths)
    store.write("ledger/backups/00000000T000000Z-damaged.json", [b"{"])
    assert [d["n"] for d in ledger.read_all(store, "backups")] == list(range(9))


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
def test_a_snapshot_is_there_once_it_is_whole(store: Store, compression: str) -> None:
    rows = snapshots.rows(3 * PART_BYTES)
    with begin_snapshot(store) as writer:
        half = writer.open("shop/half.bson", "none")
        half.write(LARGE)
        writer.put("shop/unwanted.bson", b"x" * 100)
        assert list_snapshots(store) == [] and list(store.list()) == [] and store.folders() == ()
        assert list(store.list(f"{writer.name}/")) == []
        writer.remove("shop/unwanted.bson")
        writer.remove("shop/half.bson")
        manifest = snapshots.fill(writer, rows, compression)  # type: ignore[arg-type]
    (entry,) = list_snapshots(store)
    assert (entry.name, entry.problem, entry.checksum) == (manifest.name, None, manifest.checksum)
    result = verify(store, entry.name, 3, dumping.Recorder(), dumping.Free())
    assert result.good and result.documents == len(rows)
    (collection,) = open_snapshot(store, entry.name).collections
    assert b"".join(open_snapshot(store, entry.name).documents(collection)) == b"".join(rows)
    files = {o.path for o in store.list(f"{entry.name}/")}
    assert files == {f"{entry.name}/{f.path}" for f in manifest.files} | {f"{entry.name}/manifest.json"}


def test_a_file_is_begun_anew_and_rewritten(store: Store) -> None:
    with begin_snapshot(store) as writer:
        file = writer.open("shop/c.bson", "gzip")
        file.write(LARGE)
        file.restart()
        file.write(b"second")
        file.finish()
        writer.rewrite("shop/c.bson", "gzip", lambda pieces: iter([b"".join(pieces)[::-1]]))
        manifest = snapshots.fill(writer, [])
        name = manifest.name
    reader = open_snapshot(store, name)
    assert reader.manifest == manifest
    assert b"".join(decompress(store.read(f"{name}/shop/c.bson"), "gzip")) == b"dnoces"


def test_what_is_not_finished_is_gone(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), begin_snapshot(store) as writer:
        writer.put("shop/c.bson", b"x")
        writer.open("shop/d.bson").write(LARGE)
        raise ZeroDivisionError
    assert list(store.list()) == [] and store.folders() == ()
    assert store.sweep("", 0) == 0


def test_a_taken_name_is_refused(store: Store) -> None:
    first = snapshots.write_snapshot(store, snapshots.rows(100))
    with pytest.raises(Failed) as caught:
        snapshots.write_snapshot(store, snapshots.rows(200))
    assert caught.value.code == "snapshot-exists"
    assert [e.checksum for e in list_snapshots(store)] == [first.checksum]


@pytest.mark.parametrize("kind", ["plain", "gzip"])
def test_old_mongodump_folders_are_adopted_and_copied(
    make_store: MakeStore, tmp_path: Path, kind: str
) -> None:
    store, name = make_store(), "20260101_020000"
    for file in sorted((RECORDED / kind).rglob("*")):
        if file.is_file():
            path = file.relative_to(RECORDED / kind).as_posix()
            store.write(f"{name}/{path}", [file.read_bytes()])
    (entry,) = list_snapshots(store)
    assert (entry.origin, entry.problem, entry.restorable) == ("mongodump", None, True)
    result = verify(store, name, 3, dumping.Recorder(), dumping.Free())
    assert result.good and result.documents
    other = make_store()
    assert copy_snapshot(store, name, other, dumping.Recorder(), dumping.Free()) is None
    (copied,) = list_snapshots(other)
    assert (copied.origin, copied.window, copied.stored_bytes) == (
        "mongodump",
        entry.window,
        entry.stored_bytes,
    )
    for one in store.list(f"{name}/"):
        assert b"".join(other.read(one.path)) == b"".join(store.read(one.path))
