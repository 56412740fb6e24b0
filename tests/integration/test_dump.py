"""Snapshots of a real replica set, taken while it is written to."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import bson
import dumping
import pytest
from bson import Int64, Regex
from dumping import Free, Recorder, Writer
from pymongo import MongoClient

from mongo_dr_console.engines.builtin.dump import DumpRequest, dump
from mongo_dr_console.model import extjson, rawbson
from mongo_dr_console.model.manifest import Compression, Manifest
from mongo_dr_console.model.namespace import Namespace
from mongo_dr_console.model.oplogentry import raw_entry
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.progress import Progress, StepDone, StepProgress
from mongo_dr_console.model.trouble import Failed, Interrupted, WrongUse
from mongo_dr_console.mongo.client import Client, connect
from mongo_dr_console.mongo.identity import read_identity
from mongo_dr_console.mongo.launch import ReplicaSet
from mongo_dr_console.stores.local import LocalStore
from mongo_dr_console.stores.snapshot_reader import open_snapshot
from mongo_dr_console.stores.snapshot_writer import SnapshotWriter
from mongo_dr_console.stores.verification import verify

pytestmark = pytest.mark.mongod


@pytest.fixture(scope="module")
def replica_set(three_members: Any) -> Any:
    """What is read is read from a secondary, as users do."""
    return three_members


RECORDED = Path(__file__).parents[1] / "data" / "dump" / "plain"


@pytest.fixture
def client(replica_set: ReplicaSet) -> Iterator[Client]:
    with closing(connect(replica_set.uri)) as client:
        yield client


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore("local", tmp_path / "store")


def take(
    client: Client,
    store: LocalStore,
    report: Any = None,
    compression: Compression = "gzip",
    databases: tuple[str, ...] | None = None,
    **more: Any,
) -> Manifest:
    request = DumpRequest(read_identity(client, "test"), compression, databases, **more)
    with SnapshotWriter(store) as writer:
        return dump(client, request, writer, report or Recorder(), Free())


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
def test_under_writes_it_is_what_the_server_had_at_the_end_of_the_window(
    client: Client, store: LocalStore, replica_set: ReplicaSet, database_name: str, compression: Compression
) -> None:
    dumping.seed(client, database_name)
    with Writer(replica_set.uri, database_name) as writer:
        _until(lambda: writer.writes > 50)
        before = writer.writes

        def let_it_write(event: Progress) -> None:
            if _listed(event):
                _until(lambda: writer.writes > before + 200)

        recorder = Recorder(let_it_write)
        manifest = take(client, store, recorder, compression)
    reader = open_snapshot(store, manifest.name)
    wanted = dumping.at_time(client, database_name, manifest.window.end)
    assert dumping.differences(dumping.replayed(reader, database_name), wanted) == []
    assert manifest.window.operations > 100
    assert verify(store, manifest.name, 3, Recorder(), Free()).problems == ()
    if compression == "zstd":
        # mongorestore would restore what it can read without the documents, and exit 0 (server-rules 21).
        names = [entry.path for entry in manifest.files]
        assert [name for name in names if not name.endswith(".zst")] == ["README.txt"]


def _listed(event: Progress) -> bool:
    return isinstance(event, StepDone) and event.step == "listing"


def _until(condition: Any) -> None:
    while not condition():
        threading.Event().wait(0.01)


def test_the_window_is_the_oplog_itself(client: Client, store: LocalStore, database_name: str) -> None:
    dumping.seed(client, database_name, 10)
    manifest = take(client, store)
    entries = [e for chunk in open_snapshot(store, manifest.name).oplog() for e in rawbson.split(chunk)]
    first, last = raw_entry(entries[0]), raw_entry(entries[-1])
    assert Position.of(first["ts"]) == manifest.window.start
    assert Position.of(last["ts"]) == manifest.window.end
    assert rawbson.entry_hash(entries[-1]) == manifest.window.end_hash
    assert last["t"] == manifest.window.end_term
    live = client.local.get_collection("oplog.rs", codec_options=rawbson.RAW).find(
        {"ts": {"$gte": manifest.window.start.timestamp, "$lte": manifest.window.end.timestamp}}
    )
    assert [e.raw for e in live] == entries


def test_a_transaction_of_several_entries_is_whole(
    client: Client, store: LocalStore, database_name: str
) -> None:
    database = client[database_name]
    database.create_collection("big")

    def transact(event: Progress) -> None:
        if _listed(event):
            with client.start_session() as session, session.start_transaction():
                database.big.insert_many(
                    [{"_id": i, "x": b"x" * 1_000_000} for i in range(20)], session=session
                )

    manifest = take(client, store, Recorder(transact), databases=(database_name,))
    reader = open_snapshot(store, manifest.name)
    assert len(dumping.replayed(reader, database_name)[f"{database_name}.big"]) == 20


def test_a_window_that_begins_within_a_transaction_is_extended_to_its_first_entry(
    client: Client, store: LocalStore, database_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mongo_dr_console.engines.builtin import dump as module

    database = client[database_name]
    database.create_collection("big")
    with client.start_session() as session, session.start_transaction():
        database.big.insert_many([{"_id": i, "x": b"x" * 1_000_000} for i in range(40)], session=session)
    parts = [
        Position.of(e["ts"])
        for e in client.local["oplog.rs"]
        .find({"o.applyOps.0.ns": f"{database_name}.big"})
        .sort("$natural", 1)
    ]
    assert len(parts) == 3
    monkeypatch.setattr(module._Dump, "_find_start", lambda self: parts[1])
    manifest = take(client, store, databases=(database_name,))
    assert manifest.window.start == parts[0]
    reader = open_snapshot(store, manifest.name)
    assert len(dumping.replayed(reader, database_name)[f"{database_name}.big"]) == 40


def test_files_are_named_and_written_as_mongodump_does(
    client: Client, store: LocalStore, database_name: str
) -> None:
    """The recorded metadata, written by the real mongodump: the same definitions give the same text."""
    recorded = {
        path: extjson.loads(path.read_text())
        for path in sorted((RECORDED / "shop").glob("*.metadata.json"))
        + sorted((RECORDED / "odd-db").glob("*.metadata.json"))
    }
    database = client[database_name]
    for raw in sorted(recorded.values(), key=lambda r: bson.decode(r)["type"]):
        _define(database, raw)
    manifest = take(client, store, compression="none", databases=(database_name,))
    folder = store.root / manifest.name / database_name
    for path, raw in recorded.items():
        assert _without_uuid(path.read_text()) == _without_uuid((folder / path.name).read_text())
        data = path.name.replace(".metadata.json", ".bson")
        kind = bson.decode(raw)["type"]
        assert (folder / data).exists() == (kind == "collection")
    assert (folder / "system.buckets.weather.bson").exists()
    prelude = json.loads((store.root / manifest.name / "prelude.json").read_text())
    assert prelude["ServerVersion"] == client.server_info()["version"]


def _define(database: Any, raw: bytes) -> None:
    metadata = bson.decode(raw, rawbson.RAW)
    name = metadata["collectionName"]
    options = dict(metadata.get("options", {}).items())
    if "timeseries" in options:
        options["timeseries"] = {
            k: v for k, v in options["timeseries"].items() if k != "bucketMaxSpanSeconds"
        }
    if "clusteredIndex" in options:
        options["clusteredIndex"] = dict(options["clusteredIndex"].items())
    database.command({"create": name, **options})
    indexes = [d for d in metadata["indexes"] if d["name"] != "_id_"]
    if indexes:
        database.command({"createIndexes": name, "indexes": indexes})


def _without_uuid(text: str) -> str:
    head, mark, rest = text.partition('"uuid":"')
    return head + mark + rest[32:]


def test_gzip_files_are_gzip_and_the_oplog_keeps_its_name(
    client: Client, store: LocalStore, database_name: str
) -> None:
    client[database_name].c.insert_one({"_id": 1})
    client[database_name].create_collection("v", viewOn="c", pipeline=[{"$match": {"a": Regex("^x", "i")}}])
    manifest = take(client, store)
    folder = store.root / manifest.name
    assert gzip.decompress((folder / database_name / "c.bson.gz").read_bytes()) == bson.encode({"_id": 1})
    assert (folder / "oplog.bson").read_bytes()[:2] == b"\x1f\x8b"
    assert json.loads(gzip.decompress((folder / "prelude.json.gz").read_bytes()))["ServerVersion"]
    assert (folder / "admin" / "system.users.bson.gz").exists()
    assert not (folder / database_name / "v.bson.gz").exists()
    assert not list(folder.rglob("system.views*"))
    names = {str(c.namespace.database) for c in open_snapshot(store, manifest.name).collections}
    assert not names & {"local", "config", "mongo_dr"}


def test_types_survive_in_documents_options_and_indexes(
    client: Client, store: LocalStore, database_name: str
) -> None:
    pipeline = [{"$match": {"a": {"$regex": "^x", "$options": "i"}, "n": {"$gt": Int64(5)}}}]
    client[database_name].create_collection("v", viewOn="c", pipeline=pipeline)
    index = {"key": {"n": -1.5}, "name": "n", "expireAfterSeconds": Int64(7)}
    client[database_name].command({"createIndexes": "c", "indexes": [index]})
    manifest = take(client, store)
    reader = open_snapshot(store, manifest.name)
    view = reader.collection(Namespace(database_name, "v"))
    assert view is not None
    assert bson.decode(view.options)["pipeline"] == pipeline
    assert type(bson.decode(view.options)["pipeline"][0]["$match"]["n"]["$gt"]) is Int64
    collection = reader.collection(Namespace(database_name, "c"))
    assert collection is not None
    stored = next(d for d in map(bson.decode, collection.indexes) if d["name"] == "n")
    assert stored["key"] == {"n": -1.5}
    assert type(stored["key"]["n"]) is float
    listed = client[database_name].command("listIndexes", "c")["cursor"]["firstBatch"]
    assert type(stored["expireAfterSeconds"]) is type(listed[1]["expireAfterSeconds"])


def test_ours_and_set_aside_collections_are_left_out_and_staging_ones_are_not(
    client: Client, store: LocalStore, database_name: str
) -> None:
    for name in ("mdr_aside_deadbeef_1", "mdr_deadbeef_1", "plain"):
        client[database_name][name].insert_one({"_id": 1})
    client.mongo_dr.scratch.insert_one({"_id": database_name})
    try:
        manifest = take(client, store)
    finally:
        client.mongo_dr.scratch.delete_one({"_id": database_name})
    names = {c.name for c in manifest.collections if c.database == database_name}
    assert names == {"mdr_deadbeef_1", "plain"}
    assert all(c.database != "mongo_dr" for c in manifest.collections)


def test_a_rename_just_before_it_does_not(client: Client, store: LocalStore, database_name: str) -> None:
    dumping.seed(client, database_name, 10)
    client[database_name].a.rename("renamed")
    manifest = take(client, store, databases=(database_name,))
    assert {c.name for c in manifest.collections} == {"renamed", "b"}


def test_drop_and_create_while_it_runs_are_replayed(
    client: Client, store: LocalStore, database_name: str
) -> None:
    dumping.seed(client, database_name, 100)

    def change(event: Progress) -> None:
        if _listed(event):
            client[database_name].a.drop()
            client[database_name].new.insert_one({"_id": 1})

    manifest = take(client, store, Recorder(change), databases=(database_name,))
    state = dumping.replayed(open_snapshot(store, manifest.name), database_name)
    assert state == dumping.at_time(client, database_name, manifest.window.end)
    assert f"{database_name}.a" not in state


def test_a_collection_that_is_dropped_while_it_is_read_is_taken_as_far_as_it_was_read(
    client: Client, store: LocalStore, database_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mongo_dr_console.engines.builtin import dump_scan

    monkeypatch.setattr(dump_scan.Size, "batch", 100)
    client[database_name].a.insert_many([{"_id": i, "x": "x" * 1000} for i in range(1000)])
    dropped = threading.Event()

    def drop(tally: dump_scan.Tally, value: int) -> None:
        tally_documents[id(tally)] = value
        if value == 100 and not dropped.is_set():
            dropped.set()
            client[database_name].a.drop()

    tally_documents: dict[int, int] = {}
    monkeypatch.setattr(dump_scan, "Tally", _tally_with(tally_documents, drop), raising=True)
    from mongo_dr_console.engines.builtin import dump as module

    monkeypatch.setattr(module, "Tally", dump_scan.Tally)
    manifest = take(client, store, databases=(database_name,))
    assert dropped.is_set()
    state = dumping.replayed(open_snapshot(store, manifest.name), database_name)
    assert f"{database_name}.a" not in state


def _tally_with(values: dict[int, int], on: Any) -> Any:
    class Tally:
        def __init__(self) -> None:
            self.bytes = 0

        @property
        def documents(self) -> int:
            return values.get(id(self), 0)

        @documents.setter
        def documents(self, value: int) -> None:
            on(self, value)

    return Tally


def test_only_the_databases_that_were_asked_for(
    client: Client, store: LocalStore, database_name: str
) -> None:
    dumping.seed(client, database_name, 10)
    manifest = take(client, store, databases=(database_name,))
    assert manifest.scope == [database_name]
    assert {c.database for c in manifest.collections} == {database_name}
    with pytest.raises(WrongUse):
        take(client, store, databases=("no_such_database",))


def test_a_stop_leaves_nothing(client: Client, store: LocalStore, database_name: str) -> None:
    dumping.seed(client, database_name, 100)

    class Stop:
        asked = False

        def check(self) -> None:
            if self.asked:
                raise Interrupted("stopped", "Stopped.")

    stop = Stop()

    def ask(event: Progress) -> None:
        if _listed(event):
            stop.asked = True

    request = DumpRequest(read_identity(client, "test"))
    with pytest.raises(Interrupted), SnapshotWriter(store) as writer:
        dump(client, request, writer, Recorder(ask), stop)
    assert [p.name for p in store.root.iterdir()] == [".sweep.lock"]


def test_progress_counts_documents(client: Client, store: LocalStore, database_name: str) -> None:
    dumping.seed(client, database_name, 2000)
    recorder = Recorder()
    take(client, store, recorder, databases=(database_name,))
    done = next(e for e in recorder.events if isinstance(e, StepDone) and e.step == "data")
    assert done.facts["documents"] == 4000
    progress = [e for e in recorder.events if isinstance(e, StepProgress) and e.step == "data"]
    assert progress[-1].total == 4000


def test_needs_no_more_than_the_roles_it_names(
    replica_set: ReplicaSet, client: Client, store: LocalStore, database_name: str
) -> None:
    """Roles backup and clusterMonitor are enough."""
    client[database_name].c.insert_one({"_id": 1})
    client.admin.command("createUser", database_name, pwd="secret", roles=["backup", "clusterMonitor"])
    try:
        with closing(MongoClient(replica_set.uri, username=database_name, password="secret")) as limited:
            manifest = take(limited, store)
    finally:
        client.admin.command("dropUser", database_name)
    assert manifest.feature_version
    assert any(c.database == database_name and c.documents == 1 for c in manifest.collections)


def test_the_oplog_is_copied_while_data_is_read(
    replica_set: ReplicaSet,
    client: Client,
    store: LocalStore,
    database_name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was copied is never asked for again, so that the window may be longer than the oplog."""
    from mongo_dr_console.engines.builtin import dump as module
    from mongo_dr_console.engines.builtin import dump_oplog, dump_scan

    asked: list[Position] = []
    read, scan = dump_oplog.raw_batches_untold, dump_scan.Scanner.scan

    def read_and_note(client: Client, start: Position, end: Position | None = None) -> Iterator[bytes]:
        asked.append(start)
        return read(client, start, end)

    def scan_later(self: Any, scan_: Any, file: Any) -> Any:
        _until(lambda: len(asked) > 5)
        return scan(self, scan_, file)

    monkeypatch.setattr(module, "_OPLOG_EVERY", 0.0)
    monkeypatch.setattr(dump_oplog, "raw_batches_untold", read_and_note)
    monkeypatch.setattr(dump_scan.Scanner, "scan", scan_later)
    dumping.seed(client, database_name, 100)
    with Writer(replica_set.uri, database_name):
        manifest = take(client, store, databases=(database_name,))
    assert asked[0] == manifest.window.start
    assert len(set(asked)) > 4
    assert asked == sorted(asked)
    assert asked.count(manifest.window.start) == 1
    state = dumping.replayed(open_snapshot(store, manifest.name), database_name)
    assert dumping.differences(state, dumping.at_time(client, database_name, manifest.window.end)) == []


def test_an_entry_that_is_gone_is_an_overflow(client: Client, store: LocalStore) -> None:
    from mongo_dr_console.engines.builtin.dump_oplog import OplogCopy
    from mongo_dr_console.mongo.oplog import majority_position

    with SnapshotWriter(store) as writer, pytest.raises(Failed) as caught:
        OplogCopy(client, writer.open("oplog.bson"), Position(1, 1)).advance(majority_position(client)[0])
    assert caught.value.code == "oplog-overflow"
