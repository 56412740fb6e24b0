"""A copy that was stopped, cut off or killed goes on file by file, and takes nothing for good that is not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import snapshots

from mongo_dr_console.model.progress import Note, Progress
from mongo_dr_console.model.trouble import Interrupted, Unreachable
from mongo_dr_console.stores.begin import begin_snapshot
from mongo_dr_console.stores.catalogue import list_snapshots, read_manifest
from mongo_dr_console.stores.copying import copy_snapshot
from mongo_dr_console.stores.local import PARTIAL, LocalStore
from mongo_dr_console.stores.snapshot_writer import SnapshotWriter
from mongo_dr_console.stores.verification import verify

NAME = snapshots.NAME
FILES = 8


class Go:
    """Stops a copy once so many files were read to their end."""

    def __init__(self, files: int | None = None, source: Counting | None = None) -> None:
        self.files, self.source = files, source

    def check(self) -> None:
        if self.source is not None and len(self.source.finished) == self.files:
            raise Interrupted("stopped", "Stopped.")


class Counting(LocalStore):
    """Notes which files of the snapshot were read to their end, and may fall silent."""

    silent_after: int | None = None

    def __init__(self, name: str, path: Path) -> None:
        super().__init__(name, path)
        self.finished: list[str] = []

    def read(self, path: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        if len(self.finished) == self.silent_after:
            raise Unreachable("store-unreachable", "It does not answer.")
        yield from super().read(path, start, length)
        if not path.endswith("manifest.json"):
            self.finished.append(path.removeprefix(f"{NAME}/"))


@pytest.fixture
def source(tmp_path: Path) -> Counting:
    like = snapshots.write_snapshot(LocalStore("like", tmp_path / "like"), snapshots.rows(1000))
    store = Counting("source", tmp_path / "source")
    with begin_snapshot(store, NAME) as writer:
        rows = [b"".join(snapshots.rows(50_000 + n)) for n in range(FILES)]
        files = [writer.put(f"shop/c{n}.bson", row) for n, row in enumerate(rows)]
        writer.finish(like.model_copy(update={"files": files, "collections": []}).sealed())
    return store


@pytest.fixture
def target(tmp_path: Path) -> LocalStore:
    return LocalStore("target", tmp_path / "target")


def copy(source: Counting, target: LocalStore, stop: Go | None = None) -> list[str]:
    """What was told."""
    told: list[Progress] = []
    source.finished.clear()
    copy_snapshot(source, NAME, target, told.append, stop or Go())
    return [event.text for event in told if isinstance(event, Note)]


def everything(source: Counting) -> set[str]:
    return {file.path for file in read_manifest(source, NAME).files}


def is_whole(source: Counting, target: LocalStore) -> None:
    (entry,) = list_snapshots(target)
    assert read_manifest(target, NAME) == read_manifest(source, NAME) and entry.problem is None
    assert verify(target, NAME, 2, lambda _: None, Go()).good
    assert [p for p in target.root.iterdir() if p.name.startswith(PARTIAL)] == []


def left(target: LocalStore) -> Path:
    (folder,) = (p for p in target.root.iterdir() if p.name.startswith(PARTIAL) and p.is_dir())
    return folder


def stopped(source: Counting, target: LocalStore, files: int = 3) -> Path:
    with pytest.raises(Interrupted):
        copy(source, target, Go(files, source))
    assert list_snapshots(target) == [], "nothing is offered before its manifest is there"
    return left(target)


def test_a_stopped_copy_goes_on_by_file(source: Counting, target: LocalStore) -> None:
    stopped(source, target)
    before = set(source.finished)
    told = copy(source, target)
    assert len(before) == 3
    # The one that was under way is read again.
    kept = everything(source) - set(source.finished)
    assert kept <= before and len(kept) >= 2
    assert told == [f"{len(kept)} of {len(everything(source))} files are in store target already"]
    is_whole(source, target)


def test_a_copy_whose_source_fell_silent_goes_on(source: Counting, target: LocalStore) -> None:
    source.silent_after = 2
    with pytest.raises(Unreachable):
        copy(source, target)
    source.silent_after = None
    copy(source, target)
    assert len(source.finished) == len(everything(source)) - 2
    is_whole(source, target)


def test_what_is_not_as_it_was_written_is_copied_again(source: Counting, target: LocalStore) -> None:
    folder = stopped(source, target)
    first, second = sorted(p for p in folder.rglob("*.bson"))[:2]
    data = bytearray(first.read_bytes())
    data[len(data) // 2] ^= 1
    first.write_bytes(data)
    second.write_bytes(second.read_bytes()[:-1])
    (folder / "shop" / "stranger.bson").write_bytes(b"of another dump")
    copy(source, target)
    assert {str(p.relative_to(folder)) for p in (first, second)} <= set(source.finished)
    is_whole(source, target)
    assert not (target.root / NAME / "shop" / "stranger.bson").exists()


def test_what_was_left_of_a_copy_goes_with_the_next_snapshot(source: Counting, target: LocalStore) -> None:
    stopped(source, target)
    with SnapshotWriter(target):
        assert len([p for p in target.root.iterdir() if p.is_dir()]) == 1


def test_a_living_copy_is_left_alone(source: Counting, target: LocalStore) -> None:
    with begin_snapshot(target, NAME, read_manifest(source, NAME).files) as living:
        living.put("shop/c0.bson", b"half")
        copy(source, target)
        assert living.there == {}
        assert len(source.finished) == len(everything(source))
        living.leave()


KILLED = """
import os, signal, sys
from pathlib import Path
from mongo_dr_console.stores.copying import copy_snapshot
from mongo_dr_console.stores.local import LocalStore

class Free:
    def check(self): pass

def pace(size):
    global left
    left -= size
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)

source, target, name, left = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
stores = LocalStore("s", Path(source)), LocalStore("t", Path(target))
copy_snapshot(stores[0], name, stores[1], lambda _: None, Free(), pace)
"""


@pytest.mark.parametrize("share", [0.0, 0.5, 0.95])
def test_a_killed_copy_goes_on(source: Counting, target: LocalStore, share: float) -> None:
    sizes = {file.path: file.size for file in read_manifest(source, NAME).files}
    total = sum(sizes.values())
    words = [str(source.root), str(target.root), NAME, str(int(total * share))]
    ended = subprocess.run([sys.executable, "-c", KILLED, *words], env={**os.environ}, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert list_snapshots(target) == []
    copy(source, target)
    again = sum(sizes[path] for path in source.finished)
    assert again <= total * (1 - share) + max(sizes.values())
    is_whole(source, target)
