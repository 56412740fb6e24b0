"""What was read before saves reads, and is never believed where the store says otherwise."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from support.jobs import NeverStop
from support.keepkit import Weeks

from mongo_dr_console.model.catalogue import SnapshotEntry
from mongo_dr_console.model.progress import Progress
from mongo_dr_console.stores.catalogue import list_snapshots
from mongo_dr_console.stores.local import LocalStore
from mongo_dr_console.stores.remembered import Remembered
from mongo_dr_console.stores.store import StoredObject
from mongo_dr_console.stores.verification import verify


def quiet(_: Progress) -> None:
    return


class Counting(LocalStore):
    """Notes what is read."""

    def __init__(self, name: str, path: Path) -> None:
        super().__init__(name, path)
        self.reads: list[str] = []

    def read(self, path: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        self.reads.append(path)
        return super().read(path, start, length)


class Plain(Counting):
    """One that has only what the protocol says."""

    heads = None  # type: ignore[assignment]


@pytest.fixture(scope="module")
def weeks() -> Weeks:
    return Weeks.make(12)


@pytest.fixture
def store(tmp_path: Path, weeks: Weeks) -> Counting:
    store = Counting("local", tmp_path / "store")
    for day in (9, 5, 2):
        weeks.snapshot_into(store, day)
    newest = list_snapshots(store)[0].name
    verify(store, newest, 2, quiet, NeverStop())
    store.reads.clear()
    return store


def look(store: Counting, tmp_path: Path) -> tuple[list[SnapshotEntry], list[str]]:
    """As a new process does: what is kept is read from its file."""
    store.reads.clear()
    return list_snapshots(store, Remembered.of(store, tmp_path / "cache")), list(store.reads)


@pytest.mark.parametrize("kind", [Counting, Plain])
def test_the_second_look_reads_nothing_and_is_the_same(
    store: Counting, tmp_path: Path, kind: type[Counting]
) -> None:
    store = kind("local", store.root)
    first, read = look(store, tmp_path)
    assert len([p for p in read if p.endswith("manifest.json")]) == 3
    again, read = look(store, tmp_path)
    assert read == [] and again == first == list_snapshots(store)
    assert first[0].verified


def newest(store: Counting) -> Path:
    return max(p for p in store.root.iterdir() if p.name[0] == "2")


def test_what_changed_in_the_store_is_seen(store: Counting, tmp_path: Path, weeks: Weeks) -> None:
    before, _ = look(store, tmp_path)
    manifest = newest(store) / "manifest.json"
    text = manifest.read_bytes()
    manifest.write_bytes(text.replace(b'"documents": 20', b'"documents": 21'))
    damaged, _ = look(store, tmp_path)
    assert damaged[0].problem is not None and damaged[1:] == before[1:]
    again, read = look(store, tmp_path)
    assert again[0].problem is not None and f"{newest(store).name}/manifest.json" in read
    manifest.unlink()
    unfinished, _ = look(store, tmp_path)
    assert unfinished[0].problem is not None and unfinished[0].problem.code == "snapshot-unfinished"
    shutil.rmtree(newest(store))
    assert look(store, tmp_path)[0] == before[1:]
    weeks.snapshot_into(store, 1)
    found, read = look(store, tmp_path)
    assert len(found) == 3 and len([p for p in read if p.endswith("manifest.json")]) == 1
    verify(store, found[1].name, 3, quiet, NeverStop())
    assert [e.verified for e in look(store, tmp_path)[0]] == [False, True, False]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"version": 1}', b'{"version": 9, "entries": {}}'])
def test_a_spoilt_file_is_as_none(store: Counting, tmp_path: Path, content: bytes) -> None:
    first, _ = look(store, tmp_path)
    (kept,) = (tmp_path / "cache").iterdir()
    kept.write_bytes(content)
    assert look(store, tmp_path)[0] == first
    assert look(store, tmp_path)[1] == [], "and is written anew"


def test_where_nothing_can_be_kept_the_look_is_the_same(store: Counting, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("no folder", encoding="utf-8")
    first, _ = look(store, tmp_path)
    assert len(first) == 3 and look(store, tmp_path)[0] == first


def test_another_store_of_the_same_name_is_another(store: Counting, tmp_path: Path) -> None:
    look(store, tmp_path)
    other = Counting("local", tmp_path / "other")
    other.root.mkdir()
    assert look(other, tmp_path)[0] == []
    assert look(store, tmp_path)[1] == []


def by_name_alone(seen: StoredObject) -> str:
    return ""


def test_a_cache_that_goes_by_the_name_alone_is_caught(
    store: Counting, tmp_path: Path, weeks: Weeks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mongo_dr_console.stores.remembered._mark", by_name_alone)
    with pytest.raises(AssertionError):
        test_what_changed_in_the_store_is_seen(store, tmp_path, weeks)


def _paths(objects: Iterable[StoredObject]) -> list[str]:
    return [o.path for o in objects]


def test_heads_are_what_a_list_says(store: Counting) -> None:
    paths = [f"{p.name}/manifest.json" for p in store.root.iterdir() if p.name[0] == "2"]
    listed = [o for o in store.list() if o.path in paths]
    assert sorted(store.heads([*paths, "gone/manifest.json", "ledger"]), key=lambda o: o.path) == listed
    assert len(_paths(listed)) == 3
