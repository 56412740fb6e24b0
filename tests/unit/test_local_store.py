from __future__ import annotations

import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from mongo_dr_console.model.trouble import Failed, Unreachable, WrongUse
from mongo_dr_console.stores.local import LocalStore


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    (tmp_path / "root").mkdir()
    return LocalStore("local", tmp_path / "root")


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
