from __future__ import annotations

import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from mongo_dr_console.model.trouble import Failed, Refused, Unreachable, WrongUse
from mongo_dr_console.stores import ledger
from mongo_dr_console.stores.local import LocalStore


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    (tmp_path / "root").mkdir()
    return LocalStore("local", tmp_path / "root")


def test_what_is_written_is_read_whole_or_in_part(store: LocalStore) -> None:
    written = store.write("a/b", [b"hello ", b"world"])
    assert (written.path, written.size) == ("a/b", 11)
    assert b"".join(store.read("a/b")) == b"hello world"
    assert b"".join(store.read("a/b", 3, 5)) == b"lo wo"
    assert b"".join(store.read("a/b", 9)) == b"ld"
    store.write("a/b", [b"new"])
    assert b"".join(store.read("a/b")) == b"new"


def test_only_the_first_of_two_writers_wins(store: LocalStore) -> None:
    assert store.write_if_absent("x", [b"1"])
    assert not store.write_if_absent("x", [b"2"])
    assert b"".join(store.read("x")) == b"1"
    assert [o.path for o in store.list()] == ["x"]


def test_listing_is_by_prefix_and_sorted(store: LocalStore) -> None:
    for path in ("b/2", "b/10", "bc", "a", "b/x/y"):
        store.write(path, [b""])
    assert [o.path for o in store.list()] == ["a", "b/10", "b/2", "b/x/y", "bc"]
    assert [o.path for o in store.list("b")] == ["b/10", "b/2", "b/x/y", "bc"]
    assert [o.path for o in store.list("b/")] == ["b/10", "b/2", "b/x/y"]
    assert [o.path for o in store.list("b/x")] == ["b/x/y"]
    assert [o.path for o in store.list("none/")] == []
    assert store.folders() == ("b",)
    assert store.folders("b") == ("x",)
    assert store.folders("none") == ()


def test_a_write_that_breaks_leaves_the_old_object(store: LocalStore) -> None:
    store.write("x", [b"old"])

    def broken() -> Iterator[bytes]:
        yield b"new"
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        store.write("x", broken())
    with pytest.raises(ValueError, match="no more"):
        store.write_if_absent("y", broken())
    assert b"".join(store.read("x")) == b"old"
    assert [p.name for p in store.root.iterdir()] == ["x"]


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a/../../x", "a//b", "", ".", "a/.", "a\0b"])
def test_no_path_leads_out(store: LocalStore, path: str) -> None:
    with pytest.raises(WrongUse):
        store.write(path, [b""])
    with pytest.raises(WrongUse):
        list(store.read(path))
    with pytest.raises(WrongUse):
        store.delete(path)


def test_no_link_leads_out(store: LocalStore, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("x")
    (store.root / "link").symlink_to(outside)
    (store.root / "file").symlink_to(outside / "secret")
    for path in ("link/secret", "file"):
        with pytest.raises(WrongUse):
            list(store.read(path))


def test_what_is_not_there(store: LocalStore, tmp_path: Path) -> None:
    with pytest.raises(Failed) as caught:
        list(store.read("nothing"))
    assert caught.value.code == "not-in-store"
    store.delete("nothing")
    gone = LocalStore("gone", tmp_path / "unmounted")
    for ask in (lambda: list(gone.list()), gone.folders, lambda: list(gone.read("x"))):
        with pytest.raises(Unreachable) as unreachable:
            ask()
        assert unreachable.value.code == "store-missing"


def test_a_full_disk_is_told_and_leaves_nothing(store: LocalStore) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(Failed) as caught:
            store.write("x", [b"y" * 5000])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert caught.value.code == "store-full"
    assert list(store.root.iterdir()) == []


def test_the_ledger_keeps_the_order_and_outlives_damage(store: LocalStore) -> None:
    assert ledger.read_all(store, "backups") == []
    paths = [ledger.append(store, "backups", {"n": n}) for n in range(3)]
    assert all(path.startswith("ledger/backups/") and path.endswith(".json") for path in paths)
    store.write("ledger/backups/00000000T000000Z-damaged.json", [b"{"])
    assert sorted(d["n"] for d in ledger.read_all(store, "backups")) == [0, 1, 2]


def test_other_types_of_store_are_refused_in_words() -> None:
    from mongo_dr_console.config import S3StoreConfig
    from mongo_dr_console.stores.open import open_store

    with pytest.raises(Refused):
        open_store("s3", S3StoreConfig(type="s3", bucket="b"))
