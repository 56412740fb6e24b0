"""What was read before saves reads, and is never believed where the store says otherwise."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
import zstandard
from support.jobs import NeverStop
from support.keepkit import Weeks

from mongo_dr_console.model.catalogue import SnapshotEntry
from mongo_dr_console.model.progress import Progress
from mongo_dr_console.stores import catalogue_index, ledger
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


class Dear(Counting):
    """One in which asking for a manifest's size and time costs something, as in a bucket."""

    dear_heads = True

    def __init__(self, name: str, path: Path) -> None:
        super().__init__(name, path)
        self.asked: list[str] = []
        self.written: list[str] = []

    def heads(self, paths: Iterable[str]) -> tuple[StoredObject, ...]:
        wanted = list(paths)
        self.asked += wanted
        return super().heads(wanted)

    def write(self, path: str, chunks: Iterable[bytes]) -> StoredObject:
        self.written.append(path)
        return super().write(path, chunks)

    def manifests_read(self) -> int:
        return len([p for p in self.reads if p.endswith("manifest.json")])


@pytest.fixture
def dear(store: Counting, monkeypatch: pytest.MonkeyPatch) -> Dear:
    """As in a bucket with more snapshots than one has in a test."""
    monkeypatch.setattr("mongo_dr_console.stores.catalogue._NEWEST", 1)
    monkeypatch.setattr(catalogue_index, "WORTH", 2)
    return Dear("local", store.root)


def names_of(store: Dear) -> list[str]:
    return sorted(p.name for p in store.root.iterdir() if p.name[0] == "2")


def glance(store: Dear, tmp_path: Path) -> list[SnapshotEntry]:
    """A look of people, by a new process."""
    store.reads.clear()
    store.asked.clear()
    return list_snapshots(store, Remembered.of(store, tmp_path / "cache"), whole=False)


def test_a_glance_asks_for_the_newest_and_for_what_is_not_known(
    dear: Dear, tmp_path: Path, weeks: Weeks
) -> None:
    first = glance(dear, tmp_path)
    assert len(dear.asked) == 3, "nothing was known"
    assert glance(dear, tmp_path) == first
    assert dear.asked == [f"{names_of(dear)[-1]}/manifest.json"] and dear.reads == []
    weeks.snapshot_into(dear, 1)
    assert len(glance(dear, tmp_path)) == 4
    assert dear.asked == [f"{names_of(dear)[-1]}/manifest.json"] and dear.manifests_read() == 1
    shutil.rmtree(dear.root / names_of(dear)[0])
    assert len(glance(dear, tmp_path)) == 3, "a folder that is gone is gone at once"


def test_what_a_glance_believes_is_asked_for_after_ten_minutes_and_in_every_whole_look(
    dear: Dear, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    glance(dear, tmp_path)
    (dear.root / names_of(dear)[0] / "manifest.json").unlink()
    assert [e.problem for e in glance(dear, tmp_path)] == [None] * 3
    assert look(dear, tmp_path)[0][-1].problem is not None
    assert glance(dear, tmp_path)[-1].problem is not None, "and is not believed again"
    (dear.root / names_of(dear)[1] / "manifest.json").unlink()
    assert glance(dear, tmp_path)[1].problem is None
    monkeypatch.setattr("mongo_dr_console.stores.remembered.WHOLE_SECONDS", -1.0)
    assert glance(dear, tmp_path)[1].problem is not None


def test_after_a_prune_nothing_is_believed(dear: Dear, tmp_path: Path) -> None:
    """It takes the manifest first, and the folder last."""
    glance(dear, tmp_path)
    ledger.append(dear, "prunes", {"schema": "mdr.prune-record"})
    (dear.root / names_of(dear)[0] / "manifest.json").unlink()
    assert glance(dear, tmp_path)[-1].problem is not None


def test_whoever_knows_nothing_reads_the_index_instead(dear: Dear, tmp_path: Path, weeks: Weeks) -> None:
    known = Remembered()
    first = list_snapshots(dear, known)
    assert catalogue_index.publish(dear, known) and dear.written == [catalogue_index.PATH]
    assert not catalogue_index.publish(dear, known), "it lacks nothing"
    dear.reads.clear()
    assert list_snapshots(dear, Remembered()) == first
    assert dear.reads == [catalogue_index.PATH]
    assert dear.written == [catalogue_index.PATH], "a look writes nothing"
    # Never over the store: what was made from another file does not count.
    manifest = dear.root / names_of(dear)[1] / "manifest.json"
    manifest.write_bytes(manifest.read_bytes().replace(b'"documents": 20', b'"documents": 21'))
    dear.reads.clear()
    found = list_snapshots(dear, Remembered())
    assert found[1].problem is not None and dear.manifests_read() == 1
    shutil.rmtree(manifest.parent)
    weeks.snapshot_into(dear, 1)
    assert [e.name for e in list_snapshots(dear, Remembered())] == names_of(dear)[::-1]


SPOILT = (None, b"", b"not packed", zstandard.compress(b"{}"), zstandard.compress(b"["))


@pytest.mark.parametrize("content", SPOILT)
def test_a_lost_or_spoilt_index_costs_time_and_nothing_else(dear: Dear, content: bytes | None) -> None:
    first = list_snapshots(dear, Remembered())
    if content is not None:
        dear.write(catalogue_index.PATH, [content])
    known = Remembered()
    assert list_snapshots(dear, known) == first
    assert catalogue_index.publish(dear, known), "and is written anew"
    dear.reads.clear()
    assert list_snapshots(dear, Remembered()) == first and dear.manifests_read() == 0


def test_a_directory_needs_no_index(store: Counting) -> None:
    known = Remembered()
    list_snapshots(store, known)
    assert not catalogue_index.publish(store, known)
    assert not (store.root / "index").exists()
