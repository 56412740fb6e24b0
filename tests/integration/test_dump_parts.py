"""Snapshots of single databases and collections, consistent too; and where and how fast they are read."""

from __future__ import annotations

import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import dumping
import pytest
from dumping import Free, Recorder, Writer

from mongo_dr_console.engines.builtin import dump as module
from mongo_dr_console.engines.builtin.dump import DumpRequest, dump
from mongo_dr_console.engines.builtin.dump_member import Candidate, choose_member, least_loaded
from mongo_dr_console.model import rawbson
from mongo_dr_console.model.manifest import Manifest
from mongo_dr_console.model.namespace import Namespace
from mongo_dr_console.model.oplogentry import namespaces_of, raw_entry
from mongo_dr_console.model.progress import Note, Progress, StepDone
from mongo_dr_console.model.trouble import Refused
from mongo_dr_console.mongo.client import connect
from mongo_dr_console.mongo.identity import read_identity
from mongo_dr_console.mongo.members import member_uri
from mongo_dr_console.stores.local import LocalStore
from mongo_dr_console.stores.snapshot_reader import open_snapshot
from mongo_dr_console.stores.snapshot_writer import SnapshotWriter
from mongo_dr_console.stores.verification import verify

pytestmark = pytest.mark.mongod


@pytest.fixture(scope="module")
def replica_set(three_members: Any) -> Any:
    """What is read is read from a secondary, as users do."""
    return three_members


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore("local", tmp_path / "store")


def take(client: Any, store: LocalStore, report: Any = None, **more: Any) -> Manifest:
    request = DumpRequest(read_identity(client, "test"), "gzip", **more)
    with SnapshotWriter(store) as writer:
        return dump(client, request, writer, report or Recorder(), Free())


def _listed(event: Progress) -> bool:
    return isinstance(event, StepDone) and event.step == "listing"


def test_a_part_is_consistent_and_its_window_names_nothing_else(
    client: Any, store: LocalStore, replica_set: Any, database_name: str
) -> None:
    """Also of transactions that reach beyond it, and of entries that end with another namespace."""
    dumping.seed(client, database_name)
    with Writer(replica_set.uri, database_name) as writer:

        def let_it_write(event: Progress) -> None:
            if _listed(event):
                before = writer.writes
                while writer.writes < before + 200:
                    pass

        manifest = take(client, store, Recorder(let_it_write), namespaces=(Namespace(database_name, "b"),))
    assert manifest.scope == [f"{database_name}.b"]
    reader = open_snapshot(store, manifest.name)
    found = dumping.replayed(reader, database_name)
    wanted = dumping.at_time(client, database_name, manifest.window.end)
    assert dumping.differences(found, {f"{database_name}.b": wanted[f"{database_name}.b"]}) == []
    named = [
        namespace
        for chunk in reader.oplog()
        for raw in rawbson.split(chunk)
        for namespace in namespaces_of(raw_entry(raw))
        if raw_entry(raw)["op"] != "n"
    ]
    assert len(named) > 50
    assert set(named) <= {f"{database_name}.b", "admin.$cmd"}
    assert verify(store, manifest.name, 3, Recorder(), Free()).problems == ()
    proof = client.local.get_collection("oplog.rs", codec_options=rawbson.RAW).find_one(
        {"ts": manifest.window.end.timestamp}
    )
    assert rawbson.entry_hash(proof.raw) == manifest.window.end_hash, "later oplog would not continue it"


def test_a_part_holds_its_databases_and_its_collections(
    client: Any, store: LocalStore, database_name: str
) -> None:
    dumping.seed(client, database_name, 10)
    other = f"{database_name}_b"
    dumping.seed(client, other, 10)
    try:
        manifest = take(client, store, databases=(other,), namespaces=(Namespace(database_name, "a"),))
    finally:
        client.drop_database(other)
    names = {f"{c.database}.{c.name}" for c in manifest.collections}
    assert names == {f"{other}.a", f"{other}.b", f"{database_name}.a"}


def test_a_part_ends_though_others_write_all_the_time(
    client: Any, store: LocalStore, replica_set: Any, database_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dumping.seed(client, database_name, 10)
    over = threading.Event()
    others = replica_set.client()[f"{database_name}_b"].a

    def write() -> None:
        while not over.is_set():
            others.insert_one({})

    writers = [threading.Thread(target=write) for _ in range(3)]
    try:
        for writer in writers:
            writer.start()
        manifest = take(client, store, databases=(database_name,))
    finally:
        over.set()
        for writer in writers:
            writer.join()
        client.drop_database(others.database.name)
        others.database.client.close()
    raw = client.local.get_collection("oplog.rs", codec_options=rawbson.RAW).find_one(
        {"ts": manifest.window.end.timestamp}
    )
    assert raw["op"] == "n" and rawbson.entry_hash(raw.raw) == manifest.window.end_hash


def test_large_collections_are_read_in_ranges_whatever_their_ids(
    client: Any, store: LocalStore, replica_set: Any, database_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import bson

    from mongo_dr_console.engines.builtin import dump_scan

    monkeypatch.setattr(dump_scan, "_CUT_BYTES", 1)
    monkeypatch.setattr(dump_scan.Size, "batch", 50)
    dumping.seed(client, database_name)
    kinds: list[Any] = [
        *range(500),
        *(n + 0.5 for n in range(500)),
        *(f"s{n}" for n in range(500)),
        *(bson.ObjectId() for _ in range(500)),
        *({"a": n} for n in range(200)),
        *(bson.Binary(bytes([n]), 5) for n in range(200)),
        *(bson.Int64(2**40 + n) for n in range(200)),
        *(bson.Timestamp(n, 1) for n in range(200)),
        *(bson.DatetimeMS(n * 10**12) for n in range(200)),
        *(bson.Decimal128(f"{n}.25") for n in range(200)),
        None, True, False, bson.MinKey(), bson.MaxKey(), float("nan"), float("inf"), float("-inf"),
    ]  # fmt: skip
    database = client[database_name]
    database.mixed.insert_many([{"_id": k, "x": i} for i, k in enumerate(kinds)])
    # In a database of its own: the server reads no capped collection as it was at a position.
    capped = client[f"{database_name}_b"]
    capped.create_collection("ring", capped=True, size=10_000_000)
    capped.ring.insert_many([{"_id": 1000 - n} for n in range(500)])
    database.create_collection("loose", collation={"locale": "en", "strength": 2})
    database.loose.insert_many([{"_id": f"{'aA'[n % 2]}{n}"} for n in range(500)])
    database.create_collection("grouped", clusteredIndex={"key": {"_id": 1}, "unique": True})
    database.grouped.insert_many([{"_id": n} for n in range(500)])
    cut: dict[str, int] = {}
    ask = dump_scan.Scanner.cut

    def counted(self: Any, scan: Any, threads: int) -> Any:
        pieces = ask(self, scan, threads)
        cut[scan.name] = len(pieces)
        return pieces

    monkeypatch.setattr(dump_scan.Scanner, "cut", counted)
    with Writer(replica_set.uri, database_name):
        manifest = take(client, store, databases=(database_name, capped.name))
    client.drop_database(capped)
    assert cut["mixed"] == 4
    assert cut["a"] == 4
    assert (cut["ring"], cut["loose"], cut["grouped"]) == (1, 1, 1)
    mixed = next(c for c in manifest.collections if c.name == "mixed")
    assert mixed.documents == len(kinds), "ranges overlap or leave something out"
    reader = open_snapshot(store, manifest.name)
    found = dumping.replayed(reader, database_name)
    wanted = dumping.at_time(client, database_name, manifest.window.end)
    assert dumping.differences(found, wanted) == []
    ring = reader.collection(Namespace(capped.name, "ring"))
    assert ring is not None
    order = [bson.decode(d)["_id"] for chunk in reader.documents(ring) for d in rawbson.split(chunk)]
    assert order == [1000 - n for n in range(500)]
    assert verify(store, manifest.name, 3, Recorder(), Free()).problems == ()


def test_a_range_goes_on_where_its_connection_broke(
    client: Any, store: LocalStore, replica_set: Any, database_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mongo_dr_console.engines.builtin import dump_scan

    monkeypatch.setattr(dump_scan, "_CUT_BYTES", 1)
    monkeypatch.setattr(dump_scan.Size, "batch", 20)
    dumping.seed(client, database_name)
    broken = {"failCommands": ["getMore"], "closeConnection": True, "appName": "to-break"}
    point = {"configureFailPoint": "failCommand", "mode": {"skip": 12}, "data": broken}
    with closing(connect(replica_set.uri, appname="to-break")) as breaking:

        def mend(event: Progress) -> None:
            if isinstance(event, Note) and "read on from where it was" in event.text:
                client.admin.command({"configureFailPoint": "failCommand", "mode": "off"})

        recorder = Recorder(mend)
        # The oplog is not read meanwhile: this breaks the connections of the readers.
        monkeypatch.setattr(module, "_OPLOG_EVERY", 60.0)
        monkeypatch.setattr(dump_scan, "_ATTEMPTS", 100)
        client.admin.command(point)
        try:
            manifest = take(breaking, store, recorder, databases=(database_name,))
        finally:
            client.admin.command({"configureFailPoint": "failCommand", "mode": "off"})
    assert any(isinstance(e, Note) and "read on from where it was" in e.text for e in recorder.events)
    assert [c.documents for c in manifest.collections] == [3000, 3000], "documents are missing or twice"
    found = dumping.replayed(open_snapshot(store, manifest.name), database_name)
    assert dumping.differences(found, dumping.at_time(client, database_name, manifest.window.end)) == []


def test_data_is_read_from_the_member_that_was_chosen(
    client: Any, store: LocalStore, replica_set: Any, database_name: str
) -> None:
    dumping.seed(client, database_name)
    name = choose_member(client, replica_set.uri, None, 10)
    primary = client.admin.command("hello")["primary"]
    assert name is not None
    assert name != primary
    with closing(connect(member_uri(replica_set.uri, name), direct=True)) as member:
        asked = _queries(member)
        with Writer(replica_set.uri, database_name):
            manifest = take(client, store, databases=(database_name,), member=member)
        assert _queries(member) >= asked + 2
    found = dumping.replayed(open_snapshot(store, manifest.name), database_name)
    wanted = dumping.at_time(client, database_name, manifest.window.end)
    assert dumping.differences(found, wanted) == []


def _queries(member: Any) -> int:
    return int(member.admin.command("serverStatus")["opcounters"]["query"])


def test_a_member_that_is_named_must_be_fit(client: Any, replica_set: Any) -> None:
    primary = client.admin.command("hello")["primary"]
    assert choose_member(client, replica_set.uri, primary, 0) == primary
    with pytest.raises(Refused) as caught:
        choose_member(client, replica_set.uri, "elsewhere:27017", 10)
    assert caught.value.code == "member-unfit"
    assert primary in str(caught.value.hint)


def test_a_member_that_lags_is_not_read_from() -> None:
    late, far = Candidate("late", False, 11, 1, 0), Candidate("far", False, 1, 90, 3)
    assert least_loaded([late, far, Candidate("p", True, 0, 1, 0)]) == far
    assert least_loaded([late, Candidate("p", True, 0, 1, 0)]) is None
    assert least_loaded([Candidate("unknown", False, None, 1, 0)]) is None
    assert least_loaded([far, Candidate("near", False, 2, 1, 3)]) == Candidate("near", False, 2, 1, 3)


def test_a_rate_holds_the_reading_threads_back(
    client: Any, store: LocalStore, database_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mongo_dr_console.engines.builtin import dump_rate

    dumping.seed(client, database_name)
    waited: list[float] = []
    now = [0.0]

    class Clocked(dump_rate.Throttle):
        def __init__(self, rate: int | None) -> None:
            super().__init__(rate, lambda: now[0], self._pass_time)

        def _pass_time(self, seconds: float) -> None:
            waited.append(seconds)
            now[0] += seconds

    monkeypatch.setattr(module, "Throttle", Clocked)
    manifest = take(client, store, databases=(database_name,), rate=100_000, threads=1)
    assert sum(waited) == pytest.approx(manifest.bytes / 100_000, rel=0.01)
