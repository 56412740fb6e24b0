"""Backups under faults: a killed primary, a full disk, a killed process."""

from __future__ import annotations

import fcntl
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dumping
import pytest
from dumping import Free, Recorder, Writer
from pymongo.write_concern import WriteConcern

from mongo_dr_console.engines.builtin import dump_scan
from mongo_dr_console.engines.builtin.dump import DumpRequest, dump
from mongo_dr_console.model.progress import Note, Progress, StepDone, StepStarted
from mongo_dr_console.model.trouble import Failed
from mongo_dr_console.mongo.client import connect
from mongo_dr_console.mongo.identity import read_identity
from mongo_dr_console.mongo.launch import ReplicaSet
from mongo_dr_console.stores.catalogue import list_snapshots
from mongo_dr_console.stores.local import LocalStore
from mongo_dr_console.stores.snapshot_reader import open_snapshot
from mongo_dr_console.stores.snapshot_writer import SnapshotWriter

if TYPE_CHECKING:
    from conftest import MakeReplicaSet, ProfileFor


@pytest.mark.mongod
def test_the_primary_is_killed_while_data_is_read(
    make_replica_set: MakeReplicaSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scan begins again on the new primary; the snapshot is what the server had at its window's end."""
    replica_set: ReplicaSet = make_replica_set()
    store = LocalStore("local", tmp_path / "store")
    monkeypatch.setattr(dump_scan.Size, "batch", 100)
    killed = threading.Event()
    counted = dump_scan.rawbson.count

    def count_and_kill(batch: bytes) -> int:
        if not killed.is_set():
            killed.set()
            replica_set.kill(replica_set.primary_index())
        return counted(batch)

    with closing(connect(replica_set.uri, seconds=60)) as client:
        dumping.seed(client, "shop")
        request = DumpRequest(read_identity(client, "test"), threads=2)
        recorder = Recorder()
        with Writer(replica_set.uri, "shop") as writer:
            while writer.writes < 20:
                threading.Event().wait(0.01)
            monkeypatch.setattr(dump_scan.rawbson, "count", count_and_kill)
            with SnapshotWriter(store) as snapshot:
                manifest = dump(client, request, snapshot, recorder, Free())
            monkeypatch.setattr(dump_scan.rawbson, "count", counted)
        assert killed.is_set()
        assert any(isinstance(e, Note) and "read again" in e.text for e in recorder.events)
        found = dumping.replayed(open_snapshot(store, manifest.name), "shop")
        wanted = dumping.at_time(client, "shop", manifest.window.end)
    assert dumping.differences(found, wanted) == []


@pytest.mark.mongod
def test_the_primary_is_killed_after_the_data_was_read(
    make_replica_set: MakeReplicaSet, tmp_path: Path
) -> None:
    replica_set: ReplicaSet = make_replica_set()
    store = LocalStore("local", tmp_path / "store")

    def kill(event: Progress) -> None:
        if isinstance(event, StepDone) and event.step == "data":
            replica_set.kill(replica_set.primary_index())

    with closing(connect(replica_set.uri, seconds=60)) as client:
        dumping.seed(client, "shop", 500)
        request = DumpRequest(read_identity(client, "test"))
        with Writer(replica_set.uri, "shop"), SnapshotWriter(store) as snapshot:
            manifest = dump(client, request, snapshot, Recorder(kill), Free())
        found = dumping.replayed(open_snapshot(store, manifest.name), "shop")
        wanted = dumping.at_time(client, "shop", manifest.window.end)
    assert dumping.differences(found, wanted) == []


@pytest.mark.mongod
def test_what_no_majority_had_is_not_in_a_dump_that_outlives_its_primary(
    make_replica_set: MakeReplicaSet, tmp_path: Path
) -> None:
    """Members lag, the primary has writes of its own that die with it, and the dump has read everything by
    then: no operation of the oplog takes those writes out of it again (server-rules 12)."""
    replica_set: ReplicaSet = make_replica_set()
    store = LocalStore("local", tmp_path / "store")

    def hold(mode: str) -> None:
        for number in range(3):
            if number != primary:
                with replica_set.member_client(number) as member:
                    member.admin.command({"configureFailPoint": "stopReplProducer", "mode": mode})

    def around_the_data(event: Progress) -> None:
        if isinstance(event, StepStarted) and event.step == "data":
            hold("alwaysOn")
            own = client.shop.get_collection("a", write_concern=WriteConcern(w=1))
            own.insert_many([{"_id": f"lost {n}"} for n in range(50)])
        if isinstance(event, StepDone) and event.step == "data":
            replica_set.kill(primary)
            hold("off")

    with closing(connect(replica_set.uri, seconds=60)) as client:
        dumping.seed(client, "shop", 500)
        request = DumpRequest(read_identity(client, "test"))
        primary = replica_set.primary_index()
        with SnapshotWriter(store) as snapshot:
            manifest = dump(client, request, snapshot, Recorder(around_the_data), Free())
        found = dumping.replayed(open_snapshot(store, manifest.name), "shop")
        wanted = dumping.at_time(client, "shop", manifest.window.end)
    assert dumping.differences(found, wanted) == []


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """What a full disk does, without one: writes beyond fail with EFBIG."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.mongod
def test_a_full_disk_fails_in_words_and_leaves_nothing(
    replica_set: ReplicaSet, database_name: str, tmp_path: Path
) -> None:
    store = LocalStore("local", tmp_path / "store")
    with closing(connect(replica_set.uri, seconds=60)) as client:
        client[database_name].c.insert_many([{"_id": i, "x": os.urandom(1000)} for i in range(1000)])
        request = DumpRequest(read_identity(client, "test"), databases=(database_name,))
        with file_size_limit(100_000), pytest.raises(Failed) as caught, SnapshotWriter(store) as snapshot:
            dump(client, request, snapshot, Recorder(), Free())
    assert caught.value.code == "store-full"
    assert str(store.root) in caught.value.message
    assert caught.value.hint
    assert [p.name for p in store.root.iterdir()] == [".sweep.lock"]


_HOLDER = """
import sys, time
from pathlib import Path
from mongo_dr_console.stores.local import LocalStore
from mongo_dr_console.stores.snapshot_writer import SnapshotWriter
writer = SnapshotWriter(LocalStore("local", Path(sys.argv[1])))
writer.open("shop/orders.bson").write(b"x" * 10)
print(writer.name, flush=True)
sys.stdin.read()
"""


def test_a_killed_writer_leaves_nothing_that_counts_and_the_next_one_cleans_up(tmp_path: Path) -> None:
    store = LocalStore("local", tmp_path / "store")
    with subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(store.root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        name = process.stdout.readline().strip()
        with SnapshotWriter(store) as writer:
            assert writer.name != name
            assert len([p for p in store.root.glob(".partial-*") if p.is_dir()]) == 2
        assert [p for p in store.root.glob(f".partial-{name}-*") if p.is_dir()]
        process.kill()
        process.wait()
    assert list_snapshots(store) == []
    assert list(store.list()) == []
    with SnapshotWriter(store) as writer:
        assert not list(store.root.glob(f".partial-{name}-*")) or writer.name == name
        assert len([p for p in store.root.glob(".partial-*") if p.is_dir()]) == 1
    assert [p.name for p in store.root.iterdir()] == [".sweep.lock"]


@pytest.mark.mongod
def test_a_killed_backup_job_is_resumed_to_a_whole_snapshot(
    replica_set: ReplicaSet, profile_for: ProfileFor, database_name: str
) -> None:
    from mongo_dr_console.workers import jobs

    prepared = profile_for(replica_set)
    store = LocalStore("local", prepared.store)
    with closing(connect(replica_set.uri, seconds=60)) as client:
        dumping.seed(client, database_name)
        request = {"stores": None, "compression": "gzip", "databases": None}
        folder = jobs.create(prepared.name, prepared.profile, prepared.config_file, "backup", request)
        jobs.launch(folder)
        view = jobs.load(folder)
        while not view.steps and view.state == "running":
            threading.Event().wait(0.01)
            view = jobs.load(folder)
        assert view.pid is not None
        with suppress(ProcessLookupError):  # it has just come to its end
            os.kill(view.pid, signal.SIGKILL)
        _await_end(folder)
        whole_before = len([e for e in list_snapshots(store) if e.problem is None])
        assert len(list_snapshots(store)) == whole_before
        if jobs.load(folder).state != "done":
            jobs.resume(folder)
            _await_end(folder)
        view = jobs.load(folder)
    assert view.state == "done", view.error
    assert view.result is not None
    found = [e.name for e in list_snapshots(store) if e.problem is None]
    assert view.result["snapshot"] in found
    assert not [p for p in store.root.glob(".partial-*") if p.is_dir()]


def _await_end(folder: Any) -> None:
    from mongo_dr_console.workers import jobs

    while jobs.load(folder).state == "running":
        threading.Event().wait(0.02)


def test_the_lock_of_a_writer_is_a_lock(tmp_path: Path) -> None:
    store = LocalStore("local", tmp_path / "store")
    with SnapshotWriter(store):
        (lock,) = store.root.glob(".partial-*.lock")
        with lock.open() as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
