"""Renames and upgrades while a dump runs, on a real set: noticed at once; what they touch is read anew."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dumping
import pytest
from dumping import Free, Recorder

from mongo_dr_console.engines.builtin import dump as module
from mongo_dr_console.engines.builtin import dump_scan
from mongo_dr_console.engines.builtin.dump import DumpRequest, dump
from mongo_dr_console.engines.builtin.dump_oplog import UPGRADED
from mongo_dr_console.model import rawbson
from mongo_dr_console.model.manifest import Manifest
from mongo_dr_console.model.namespace import Namespace
from mongo_dr_console.model.oplogentry import raw_entry
from mongo_dr_console.model.progress import Note, Progress, StepDone
from mongo_dr_console.model.trouble import Failed
from mongo_dr_console.mongo.identity import read_identity
from mongo_dr_console.stores.catalogue import list_snapshots
from mongo_dr_console.stores.local import LocalStore
from mongo_dr_console.stores.snapshot_reader import open_snapshot
from mongo_dr_console.stores.snapshot_writer import SnapshotWriter
from mongo_dr_console.stores.verification import verify

pytestmark = pytest.mark.mongod


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore("local", tmp_path / "store")


@pytest.fixture
def reading(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Calls a hook when the first batch of a collection was read, then lets the reading thread wait until the
    dump has noticed what the hook did."""
    monkeypatch.setattr(dump_scan.Size, "batch", 100)
    monkeypatch.setattr(module, "_OPLOG_EVERY", 0.0)
    monkeypatch.setattr(module, "_TICK", 0.02)
    here = threading.local()
    read, check = dump_scan.Scanner._read, dump_scan.Scanner._check

    def install(collection: str, hook: Callable[[], object], *, notice: bool = True) -> list[Any]:
        called: list[Any] = []

        def reading(scanner: Any, scan: Any, file: Any) -> None:
            here.scan = scan
            read(scanner, scan, file)

        def checking(scanner: Any) -> None:
            check(scanner)
            scan = getattr(here, "scan", None)
            if scan is not None and scan.name == collection and not called:
                called.append(scan)
                hook()
                if notice:
                    _await(lambda: scan.stale.is_set() or scanner._cancelled.is_set())

        monkeypatch.setattr(dump_scan.Scanner, "_read", reading)
        monkeypatch.setattr(dump_scan.Scanner, "_check", checking)
        return called

    yield install


def _await(condition: Callable[[], bool]) -> None:
    for _ in range(3000):
        if condition():
            return
        threading.Event().wait(0.01)
    raise AssertionError("it was not noticed while the collection was read")


def take(client: Any, store: LocalStore, report: Any = None, **more: Any) -> Manifest:
    request = DumpRequest(read_identity(client, "test"), "gzip", **more)
    with SnapshotWriter(store) as writer:
        return dump(client, request, writer, report or Recorder(), Free())


def _same(client: Any, store: LocalStore, manifest: Manifest, database: str) -> None:
    found = dumping.replayed(open_snapshot(store, manifest.name), database)
    assert dumping.differences(found, dumping.at_time(client, database, manifest.window.end)) == []
    assert verify(store, manifest.name, 3, Recorder(), Free()).problems == ()
    for chunk in open_snapshot(store, manifest.name).oplog():
        for raw in rawbson.split(chunk):
            entry = raw_entry(raw)
            assert not (entry["op"] == "c" and "renameCollection" in entry["o"]), "mongorestore would abort"


@pytest.mark.parametrize("drop", [False, True])
@pytest.mark.parametrize("read", ["a", "b"])
def test_a_rename_is_noticed_while_data_is_read_and_what_it_touches_is_read_anew(
    client: Any, store: LocalStore, database_name: str, reading: Any, read: str, drop: bool
) -> None:
    dumping.seed(client, database_name, 1000)
    database = client[database_name]

    def rename() -> None:
        database.a.update_one({"_id": 1}, {"$set": {"before": 1}})
        database.a.rename("b" if drop else "c", dropTarget=drop)
        database["b" if drop else "c"].update_one({"_id": 2}, {"$set": {"after": 1}})
        database.a.insert_one({"_id": "anew"})

    called = reading(read, rename, notice=read == "a" or drop)
    recorder = Recorder()
    manifest = take(client, store, recorder)
    assert called
    assert any(isinstance(e, Note) and "was renamed to" in e.text for e in recorder.events)
    _same(client, store, manifest, database_name)


def test_out_and_a_dropped_database_while_data_is_read(
    client: Any, store: LocalStore, database_name: str, reading: Any
) -> None:
    dumping.seed(client, database_name, 1000)
    other = f"{database_name}_b"
    client[other].old.insert_many([{"_id": i} for i in range(200)])

    def aggregate() -> None:
        client.drop_database(other)
        client[other].source.insert_many([{"_id": i} for i in range(50)])
        client[other].source.aggregate([{"$out": "result"}])
        client[database_name].a.aggregate([{"$match": {"n": {"$lt": 10}}}, {"$out": "b"}])
        client[database_name].b.insert_one({"_id": "after"})

    called = reading("b", aggregate)
    try:
        manifest = take(client, store)
        assert called
        for name in (database_name, other):
            _same(client, store, manifest, name)
    finally:
        client.drop_database(other)


def test_a_rename_in_the_last_moment(client: Any, store: LocalStore, database_name: str) -> None:
    dumping.seed(client, database_name, 100)
    done: list[str] = []

    def rename(event: Progress) -> None:
        if isinstance(event, StepDone) and event.step == "data" and not done:
            done.append("once")
            client[database_name].a.rename("late")

    manifest = take(client, store, Recorder(rename), databases=(database_name,))
    assert {c.name for c in manifest.collections} == {"b", "late"}
    _same(client, store, manifest, database_name)


def test_a_rename_into_a_part_from_outside_it(
    client: Any, store: LocalStore, database_name: str, reading: Any
) -> None:
    dumping.seed(client, database_name, 500)
    database = client[database_name]
    called = reading("a", lambda: database.b.rename("a", dropTarget=True))
    manifest = take(client, store, namespaces=(Namespace(database_name, "a"),))
    assert called
    found = dumping.replayed(open_snapshot(store, manifest.name), database_name)
    wanted = dumping.at_time(client, database_name, manifest.window.end)
    assert dumping.differences(found, wanted) == []


def test_renames_without_end_end_the_dump(
    client: Any, store: LocalStore, database_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_ROUNDS", 2)
    dumping.seed(client, database_name, 10)

    def again(event: Progress) -> None:
        if isinstance(event, Note) or (isinstance(event, StepDone) and event.step == "listing"):
            client[database_name].a.aggregate([{"$out": "b"}])

    with pytest.raises(Failed) as caught:
        take(client, store, Recorder(again), databases=(database_name,))
    assert caught.value.code == "renamed-too-often"
    assert list_snapshots(store) == []


def test_a_change_of_the_feature_version_fails_it_at_once(
    make_replica_set: Any, store: LocalStore, reading: Any
) -> None:
    replica_set = make_replica_set(nodes=1)
    client = replica_set.client()
    dumping.seed(client, "shop", 1000)
    called = reading("a", lambda: client.admin.command({"setFeatureCompatibilityVersion": "5.0"}))
    recorder = Recorder()
    with pytest.raises(Failed) as caught:
        take(client, store, recorder)
    client.close()
    assert called
    assert caught.value.code == UPGRADED
    assert not any(isinstance(e, StepDone) and e.step == "data" for e in recorder.events)
