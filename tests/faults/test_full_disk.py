"""Full disks: of the store in a backup and in the safety snapshot, of the state folder in a restore.

Each test runs on a small tmpfs, where this user may mount one, and under a limit on the size of files, which
any user may set: both make writes fail as a full disk does.
"""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from support import twin
from support.scene import Scene, make_scene, told, write_config

from mongo_dr_console.config import load_config
from mongo_dr_console.stores.catalogue import list_snapshots
from mongo_dr_console.stores.local import LocalStore

pytestmark = pytest.mark.mongod

NOISE_KB = 2000
PAGE = 4096


@dataclass
class Disk:
    """A folder that can be made full; ``mounted``: a file system of its own."""

    folder: Path
    mounted: bool

    @contextmanager
    def full(self, leave: int) -> Iterator[None]:
        """No more than ``leave`` bytes can be written in it (in each file, where it is not mounted)."""
        if not self.mounted:
            with _file_size_limit(leave):
                yield
            return
        filler = self.folder / "filler"
        with filler.open("wb") as file:
            free = os.statvfs(self.folder)
            file.write(b"x" * max(0, free.f_bavail * free.f_frsize - leave))
        try:
            yield
        finally:
            filler.unlink()


@contextmanager
def _file_size_limit(size: int) -> Iterator[None]:
    """Writes beyond fail with EFBIG, in this process and in those that it starts."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


@contextmanager
def _mounted(folder: Path) -> Iterator[bool]:
    if shutil.which("mount") is None:
        yield False
        return
    words = ["mount", "-t", "tmpfs", "-o", "size=16m,mode=0700", "tmpfs", str(folder)]
    if subprocess.run(words, capture_output=True, check=False).returncode != 0:
        yield False
        return
    try:
        yield True
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture(params=["tmpfs", "limit"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    folder = tmp_path / "small"
    folder.mkdir()
    if request.param == "limit":
        yield Disk(folder, mounted=False)
        return
    with _mounted(folder) as mounted:
        if not mounted:
            pytest.skip("this user may not mount a tmpfs")
        yield Disk(folder, mounted=True)


@pytest.fixture(scope="module")
def scene(replica_set: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    database = f"t_full_{os.getpid()}"
    with closing(replica_set.client()) as client:
        yield make_scene(replica_set, client, tmp_path_factory.mktemp("full"), database, noise=NOISE_KB)
        client.drop_database(database)


def with_folders(
    scene: Scene, folder: Path, *, store: Path | None = None, state: Path | None = None
) -> Scene:
    """The same scene with its store (copied) or its state folder somewhere else."""
    if store is not None:
        shutil.copytree(scene.store, store)
    config = folder / "config.toml"
    uri_file = scene.config_file.parent / "uri"
    moved = {"store": store or scene.store, "state": state or folder / "state"}
    write_config(config, uri_file=uri_file, **moved)
    return replace(scene, config_file=config, profile=load_config(config).profiles["test"], **moved)


def test_a_backup_into_a_full_store(scene: Scene, disk: Disk, tmp_path: Path) -> None:
    here = with_folders(scene, tmp_path, store=disk.folder / "store")
    with disk.full(leave=200_000), here.untouched(job=True):
        answer = here.mdr("backup", "--json")
        told(answer, "store-full", 1, str(here.store), "finished snapshots were not touched", "Free space")
        assert answer.json["state"] == "failed"
    names = [e.name for e in list_snapshots(LocalStore("local", here.store))]
    assert names == [scene.snapshot]
    assert not [p for p in here.store.glob(".partial-*") if p.is_dir()]

    again = here.mdr("jobs", "resume", answer.json["job"], "--json")
    assert again.code == 0, again.err
    assert len(list_snapshots(LocalStore("local", here.store))) == 2


def test_in_place_drops_nothing_where_its_safety_snapshot_has_no_room(
    scene: Scene, disk: Disk, tmp_path: Path
) -> None:
    here = with_folders(scene, tmp_path, store=disk.folder / "store")
    # To the snapshot's own end, so that there is no oplog to be saved first.
    plan = here.plan(tmp_path / "plan", "--ns", here.database, "--mode", "in-place")
    with disk.full(leave=200_000), here.untouched(job=True):
        words = ("restore", "run", "--plan", str(tmp_path / "plan"), "--confirm", plan["confirm"], "--json")
        told(here.mdr(*words), "store-full", 1, str(here.store))


@pytest.mark.slow
@pytest.mark.parametrize(("disk", "skip"), [("tmpfs", False), ("limit", True)], indirect=["disk"])
def test_a_restore_with_no_room_for_the_oplog_changes_nothing_and_is_resumed(
    skip: bool, scene: Scene, disk: Disk, tmp_path: Path
) -> None:
    here = with_folders(scene, tmp_path, state=disk.folder / "state")
    mistaken = twin.state_of(scene.client, scene.database)
    options = ("--skip", scene.event.id, "--ns", scene.database) if skip else here.go_back()
    plan = here.plan(tmp_path / "plan", *options)
    with disk.full(leave=400_000), here.untouched(job=True):
        words = ("restore", "run", "--plan", str(tmp_path / "plan"), "--confirm", plan["confirm"], "--json")
        answer = here.mdr(*words)
        told(answer, "saved-range-unwritten", 1, "Nothing live was changed", "state_dir")
    job = answer.json["job"]

    again = here.mdr("jobs", "resume", job, "--json")
    assert again.code == 0, (again.out, again.err)
    wanted = dict(scene.before)
    found = twin.state_of(scene.client, scene.database)
    if skip:
        assert found["orders"] == wanted["orders"]
        assert found["items"] == mistaken["items"]
    else:
        assert twin.differences(found, wanted) == []
    assert here.mdr("restore", "undo", job, "--json").code == 0
    assert twin.differences(twin.state_of(scene.client, scene.database), mistaken) == []


def test_a_job_for_which_there_is_no_room_at_all(scene: Scene, disk: Disk, tmp_path: Path) -> None:
    here = with_folders(scene, tmp_path, state=disk.folder / "state")
    plan = here.plan(tmp_path / "plan")
    (disk.folder / "state" / "jobs").mkdir(parents=True)
    with here.untouched(), disk.full(leave=0):
        words = ("restore", "run", "--plan", str(tmp_path / "plan"), "--confirm", plan["confirm"], "--json")
        told(here.mdr(*words), "job-not-created", 1, str(here.state), "Nothing was changed", "state_dir")
        told(here.mdr("backup", "--json"), "job-not-created", 1, "Nothing was changed")


@pytest.mark.parametrize("pages", [4, 5])
def test_a_journal_that_ends_in_the_middle(pages: int, scene: Scene, tmp_path: Path) -> None:
    """However far the job came: its end is told, nothing live is half-done, and with room it is resumed."""
    folder = tmp_path / "small"
    folder.mkdir()
    with _mounted(folder) as mounted:
        if not mounted:
            pytest.skip("this user may not mount a tmpfs")
        disk = Disk(folder, mounted=True)
        here = with_folders(scene, tmp_path, state=folder / "state")
        mistaken = twin.state_of(scene.client, scene.database)
        plan = here.plan(tmp_path / "plan", "--ns", scene.database)
        (folder / "state" / "jobs").mkdir(parents=True)
        words = ("restore", "run", "--plan", str(tmp_path / "plan"), "--confirm", plan["confirm"], "--json")
        with disk.full(leave=pages * PAGE):
            answer = here.mdr(*words)
            found = twin.state_of(scene.client, scene.database)
        assert answer.code in (0, 1), answer
        if answer.code == 1:
            error = answer.json["error"]
            assert error["message"]
            assert error["hint"]
        assert found in (mistaken, scene.at_snapshot)
        jobs = here.call("jobs", "list", "--json").json["jobs"]
        for job in jobs:
            if job["state"] != "done":
                again = here.mdr("jobs", "resume", job["job"], "--json")
                assert again.code == 0, (again.out, again.err)
            assert here.mdr("restore", "undo", job["job"], "--json").code == 0
        assert twin.differences(twin.state_of(scene.client, scene.database), mistaken) == []
        assert scene.client.mongo_dr.locks.find_one({"_id": "restore"}) is None
