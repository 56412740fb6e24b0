"""The engine mongo_tools with the real mongodump and mongorestore, in four pairings with builtin.

They are looked for in the folder that MDR_MONGO_TOOLS names, then on PATH.
"""

from __future__ import annotations

import json
import shutil
import struct
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import bson
import dumping
import pytest
from bson import Decimal128, Int64, Regex, Timestamp
from bson.raw_bson import RawBSONDocument
from pymongo.uri_parser import parse_uri
from support import twin
from support.digest import differences, digest_of
from support.dumpmaker import Entry, T, dump_folder, entry, note, packed, part
from support.jobs import NeverStop, mdr, plan_for, restore_here, resume_here, run_here
from support.toolkit import RECORDED, backup, empty, everything, moment

from mongo_dr_console.engines.mongo_tools.child import ToolRun
from mongo_dr_console.engines.mongo_tools.restore import ToolRestore
from mongo_dr_console.engines.mongo_tools.tools import find_tool
from mongo_dr_console.engines.mongo_tools.uri import RESTORE_OPTIONS, tool_uri
from mongo_dr_console.model.journal import checkpoints
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.rawbson import RAW
from mongo_dr_console.model.trouble import Failed, Interrupted, Trouble
from mongo_dr_console.mongo.launch import Options, ReplicaSet
from mongo_dr_console.stores.local import LocalStore
from mongo_dr_console.stores.snapshot_reader import open_snapshot
from mongo_dr_console.stores.verification import verify
from mongo_dr_console.workers import jobs

try:
    find_tool("mongodump")
    find_tool("mongorestore")
except Trouble:
    pytest.skip(
        "the real mongodump and mongorestore are not here: install the MongoDB Database Tools",
        allow_module_level=True,
    )

pytestmark = pytest.mark.mongod

NAME = "20261122_164300"


@pytest.fixture(scope="module")
def own_set(mongod: Path, sets_folder: Path) -> Iterator[ReplicaSet]:
    """The tools take all of a deployment, so it must be nobody else's."""
    replica_set = ReplicaSet.launch(sets_folder / "real", Options(set_name="tools", nodes=1, cache_gb=1))
    yield replica_set
    replica_set.close()


@pytest.fixture
def client(own_set: ReplicaSet) -> Iterator[Any]:
    with closing(own_set.client()) as client:
        empty(client)
        yield client


@pytest.fixture
def prepared(profile_for: Any, own_set: ReplicaSet, client: Any) -> Any:
    return profile_for(own_set)


def odd(*elements: tuple[int, bytes, bytes]) -> RawBSONDocument:
    """BSON that no driver would write."""
    body = b"".join(bytes([kind]) + name + b"\0" + value for kind, name, value in elements)
    return RawBSONDocument(struct.pack("<i", len(body) + 5) + body + b"\0", RAW)


ODD = [
    odd((0x10, b"_id", struct.pack("<i", 1)), (0x10, b"a", b"\1\0\0\0"), (0x10, b"a", b"\2\0\0\0")),
    odd((0x10, b"_id", struct.pack("<i", 2)), (0x10, b"", b"\1\0\0\0"), (0x06, b"undefined", b"")),
    odd((0x10, b"_id", struct.pack("<i", 3)), (0x01, b"nan", bytes.fromhex("010000000000f87f"))),
    odd((0x10, b"_id", struct.pack("<i", 4)), (0x0E, b"symbol", b"\3\0\0\0sy\0"), (0x11, b"ts", bytes(8))),
    odd((0x10, b"_id", struct.pack("<i", 5)), (0x05, b"old", b"\6\0\0\0\2\2\0\0\0xy")),
    odd((0x10, b"_id", struct.pack("<i", 6)), (0x01, b"zero", struct.pack("<d", -0.0))),
]


def fill(client: Any) -> None:
    """Types, names, kinds of collections and indexes that are easy to get wrong."""
    shop, other = client["shop"], client["odd-db"]
    shop.create_collection("types")
    client.admin.command({"applyOps": [{"op": "i", "ns": "shop.types", "o": one} for one in ODD]})
    for key in (1.5, Int64(7), Decimal128("1.10"), {"b": 1, "a": 2}, {"a": 2, "b": 1}, None, Timestamp(5, 6)):
        shop.types.insert_one({"_id": key, "v": [Regex("^a", "im"), Int64(1), 1, 1.0, Timestamp(0, 0)]})
    shop.orders.insert_many([{"_id": n, "n": n, "k": n % 7, "text": "x" * 200} for n in range(2000)])
    shop.create_collection("log", capped=True, size=100_000, max=50)
    shop.log.insert_many([{"_id": n} for n in range(80, 0, -1)])
    shop.create_collection("clustered", clusteredIndex={"key": {"_id": 1}, "unique": True, "name": "by id"})
    shop.clustered.insert_many([{"_id": n} for n in range(10)])
    shop.create_collection("names", collation={"locale": "sv", "strength": 1})
    shop.names.insert_many([{"_id": n, "n": c} for n, c in enumerate("åäöÅÄÖ")])
    shop.create_collection("checked", validator={"x": {"$gt": 0}})
    shop.get_collection("checked").insert_many(
        [{"_id": n, "x": n - 2} for n in range(5)], bypass_document_validation=True
    )
    shop.create_collection("empty")
    shop.create_collection("weather", timeseries={"timeField": "at", "metaField": "where"})
    shop.weather.insert_many(
        [{"at": datetime(2026, 1, 1, n % 24, tzinfo=UTC), "where": n % 3, "v": n} for n in range(100)]
    )
    regex = {"$match": {"t": {"$regex": "^a", "$options": "i"}}}
    shop.command({"create": "view", "viewOn": "orders", "pipeline": [regex]})
    shop.command(
        {"create": "over", "viewOn": "view", "pipeline": [{"$match": {"r": {"$ref": "c", "$id": 1}}}]}
    )
    shop.command({"createIndexes": "names", "indexes": [{"key": {"n": 1}, "name": "swedish"}]})
    simple = {"key": {"n": -1}, "name": "simple", "collation": {"locale": "simple"}}
    shop.command({"createIndexes": "names", "indexes": [simple]})
    shop.command({"createIndexes": "orders", "indexes": INDEXES})
    for name in (
        "we ird",
        "per%cent",
        "sl/ash",
        "pl+us",
        'quo"te',
        "back`tick",
        "Case",
        "case",
        "x" * 240,
        "日本",
    ):
        other[name].insert_one({"_id": name})
        other[name].create_index("k")


INDEXES: list[dict[str, Any]] = [
    {"key": {"a": 1.0, "c": Int64(-1)}, "name": "numbers of other types"},
    {"key": {"e": 1}, "name": "ttl", "expireAfterSeconds": 3_000_000},
    {"key": {"n": 1}, "name": "unique", "unique": True, "sparse": True},
    {"key": {"h": 1}, "name": "hidden", "hidden": True},
    {"key": {"p": 1}, "name": "partial", "partialFilterExpression": {"p": {"$gt": Int64(5)}}},
    {"key": {"q": 1}, "name": "partial of all", "partialFilterExpression": {}},
    {"key": {"t": "text"}, "name": "text", "weights": {"t": 3}, "default_language": "french"},
    {"key": {"w.$**": 1}, "name": "wildcard"},
    {"key": {"g": "2dsphere"}, "name": "sphere"},
    {"key": {"_id": "hashed"}, "name": "hashed"},
    {"key": {"x": 1}, "name": "collated", "collation": {"locale": "de", "strength": 2}},
]


def change(client: Any) -> None:
    """What happens between the snapshot and the limit."""
    shop = client["shop"]
    shop.orders.update_many({"_id": {"$lt": 50}}, {"$set": {"changed": True}, "$inc": {"n": 100_000}})
    shop.orders.delete_many({"_id": {"$gte": 1900}})
    # Two documents exchange the value of a unique index, which only works without it.
    shop.orders.update_one({"_id": 100}, {"$set": {"n": -1}})
    shop.orders.update_one({"_id": 101}, {"$set": {"n": 100}})
    shop.orders.update_one({"_id": 100}, {"$set": {"n": 101}})
    with client.start_session() as session, session.start_transaction():
        shop.orders.insert_one({"_id": "in a transaction"}, session=session)
        shop.clustered.delete_one({"_id": 3}, session=session)
    shop.log.insert_one({"_id": "newest"})
    shop.weather.insert_one({"at": datetime(2026, 1, 2, tzinfo=UTC), "where": 1, "v": -1})
    shop.orders.drop_index("hidden")
    shop.orders.create_index("later")
    shop.empty.drop()
    shop.create_collection("made", validator={"x": 1})
    shop.made.insert_one({"x": 1})
    levels = {"validationLevel": "moderate", "validationAction": "error"}
    shop.command({"collMod": "checked", "validator": {"x": {"$gt": 1}}, **levels})
    shop.command({"collMod": "orders", "index": {"name": "ttl", "expireAfterSeconds": 4_000_000}})


@pytest.mark.parametrize("compression", ["gzip", "none"])
@pytest.mark.parametrize("restored_by", ["mongo_tools", "builtin"])
@pytest.mark.parametrize("dumped_by", ["mongo_tools", "builtin"])
def test_the_four_pairings(
    client: Any, prepared: Any, dumped_by: str, restored_by: str, compression: str
) -> None:
    fill(client)
    made = backup(prepared, dumped_by, compression)
    change(client)
    limit, wanted = moment(client), everything(client)
    empty(client)
    _, result = restore_here(
        prepared, snapshot=made, through=limit, mode="in-place", engine=restored_by, users=False
    )
    assert result["rejected"] == []
    # mongorestore up to 100.15 makes another index of one with an empty partialFilterExpression.
    told = {u["namespace"]: u["index"] for u in result["unbuilt_indexes"]}
    assert set(told) <= {"shop.orders"} and set(told.values()) <= {"partial of all"}
    assert restored_by == "mongo_tools" or not told
    differing = twin.differences(everything(client), wanted)
    assert {line.partition(":")[0] for line in differing} == set(told), differing
    assert all("indexes differ" in line for line in differing)


@pytest.mark.parametrize("recorded", ["plain", "gzip"])
def test_the_recorded_dump_comes_out_as_it_was_and_so_does_a_snapshot_of_it(
    client: Any, prepared: Any, recorded: str
) -> None:
    wanted = json.loads((RECORDED / f"{recorded}.expected.json").read_text(encoding="utf-8"))
    logins = {"#users": None, "#roles": None}
    shutil.copytree(RECORDED / recorded, prepared.store / NAME)
    restore_here(prepared, snapshot=NAME, mode="in-place", engine="mongo_tools")
    assert differences({**digest_of(client), **logins}, {**wanted, **logins}) == []
    again = backup(prepared, "mongo_tools", "none" if recorded == "plain" else "gzip")
    empty(client)
    restore_here(prepared, snapshot=again, mode="in-place", engine="mongo_tools")
    assert differences({**digest_of(client), **logins}, {**wanted, **logins}) == []


def test_a_snapshot_under_writes_is_consistent_at_its_end(
    own_set: ReplicaSet, client: Any, prepared: Any
) -> None:
    dumping.seed(client, "busy")
    client.mongo_dr.locks.insert_one({"_id": "other"})
    client.busy.mdr_aside_0123abcd_1.insert_one({})
    with dumping.Writer(own_set.uri, "busy") as writer:
        while writer.writes < 50:
            pass
        name = backup(prepared, "mongo_tools")
    reader = open_snapshot(LocalStore("local", prepared.store), name)
    assert reader.manifest is not None and reader.window is not None
    manifest = reader.manifest
    assert (manifest.engine, manifest.origin) == ("mongo_tools", "mongo-dr-console")
    assert manifest.tool_version == find_tool("mongodump").version
    client.busy.mdr_aside_0123abcd_1.drop()
    wanted = dumping.at_time(client, "busy", reader.window.end)
    assert dumping.differences(dumping.replayed(reader, "busy"), wanted) == []
    names = {f"{c.database}.{c.name}" for c in manifest.collections}
    assert not [n for n in names if n.startswith("mongo_dr.") or "mdr_aside_" in n]
    checked = verify(LocalStore("local", prepared.store), name, 3, lambda event: None, NeverStop())
    assert checked.problems == () and checked.documents == manifest.documents
    listed = mdr(prepared, "coverage", "--json").json
    assert any(Position.parse(r["start"]) <= reader.window.end for r in listed["ranges"])


def every_entry() -> list[Entry]:
    """Of every kind that a dump's oplog may have."""
    ns = "shop.a"

    def batch(key: int) -> list[dict[str, Any]]:
        return [{"op": "i", "ns": ns, "o": {"_id": key}}]

    return [
        note(1),
        entry(2, "i", ns, {"_id": 20}),
        entry(3, "u", ns, {"$v": 2, "diff": {"u": {"x": 1}}}, o2={"_id": 5}),
        entry(4, "d", ns, {"_id": 5}),
        entry(5, "u", ns, {"$v": 1, "$set": {"x.y": 1}}, o2={"_id": 1}),
        part(6, {"applyOps": batch(60), "prepare": True}, session=1),
        part(7, {"applyOps": batch(70), "prepare": True}, session=2),
        part(8, {"applyOps": batch(80), "partialTxn": True}, session=3),
        part(9, {"abortTransaction": 1}, session=2, before=7),
        part(10, {"applyOps": batch(81), "count": 2}, session=3, before=8),
        part(11, {"commitTransaction": 1}, session=1, before=6),
        part(12, {"applyOps": batch(120) + batch(121)}, session=4) | {"multiOpType": 1},
        entry(13, "c", "shop.$cmd", {"create": "b", "validator": {"x": 1}}),
        entry(14, "i", "shop.b", {"_id": 1}),
        entry(15, "c", "shop.$cmd", {"createIndexes": "b", "v": 2, "key": {"x": 1}, "name": "x_1"}),
        entry(16, "c", "shop.$cmd", {"startIndexBuild": "b", "indexes": []}),
        entry(17, "c", "shop.$cmd", {"abortIndexBuild": "b", "indexes": []}),
        entry(18, "i", "config.transactions", {"_id": 1}),
        entry(19, "c", "shop.$cmd", {"drop": "gone"}),
        part(20, {"applyOps": batch(200), "prepare": True}, session=5),
    ]


@pytest.mark.parametrize("gz", [False, True], ids=["plain", "gzip"])
def test_a_folder_and_its_limits_are_read_as_the_real_tool_reads_them(
    own_set: ReplicaSet, client: Any, prepared: Any, gz: bool
) -> None:
    documents = {"a": [{"_id": 1}, {"_id": 2}], "gone": [{"_id": 1}]}
    folder = dump_folder(prepared.store / NAME, "shop", documents, every_entry())
    if gz:
        packed(folder)
    tool, base = (
        find_tool("mongorestore"),
        ["--oplogReplay", "--bypassDocumentValidation", f"--dir={folder}", *["--gzip"][: int(gz)]],
    )
    uri = tool_uri(own_set.uri, "tools", RESTORE_OPTIONS)
    for ordinal in (2, 3, 4, 6, 10, 11, 12, 14, 16, 20, 21):
        empty(client)
        words = [*base, f"--oplogLimit={T}:{ordinal}"]
        run = ToolRun(tool, words, uri, lambda said: None, lambda: None)
        assert run.run() == 0, (ordinal, run.trouble(1).message)
        wanted = everything(client)
        empty(client)
        limit = {"before": f"{T}:{ordinal}"} if ordinal < 21 else {"through": f"{T}:20"}
        restore_here(prepared, snapshot=NAME, mode="in-place", engine="builtin", **limit)
        assert twin.differences(everything(client), wanted) == [], ordinal


def secrets_in_proc(password: str, found: set[str]) -> Iterator[str]:
    """Programs of ours with the password in their arguments or environment; ``found`` gets the tools seen."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (process / "cmdline").read_bytes()
            name = words.partition(b"\0")[0].rpartition(b"/")[2].decode(errors="replace")
            if name in ("mongodump", "mongorestore") and b"--config=/dev/fd/" in words:
                found.add(name)
                if password.encode() in words + (process / "environ").read_bytes():
                    yield name


def test_no_secret_is_in_proc_while_they_run(own_set: ReplicaSet, client: Any, prepared: Any) -> None:
    fill(client)
    password = parse_uri(own_set.uri)["password"]
    assert len(password) > 8
    seen: set[str] = set()
    told: list[str] = []
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            told.extend(secrets_in_proc(password, seen))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        made = backup(prepared, "mongo_tools")
        restore_here(prepared, snapshot=made, mode="in-place", engine="mongo_tools")
    finally:
        done.set()
        watcher.join()
    assert (seen, told) == ({"mongodump", "mongorestore"}, [])


def test_order_and_first_error_go_out_as_its_options(client: Any, prepared: Any) -> None:
    client.shop.a.insert_many([{"_id": n} for n in range(5)])
    made = backup(prepared, "mongo_tools", "none")
    folder = prepared.store / made
    (folder / "manifest.json").unlink()
    with (folder / "shop" / "a.bson").open("ab") as file:
        file.write(bson.encode({"_id": 3, "again": True}))
    intent: dict[str, Any] = {"snapshot": made, "mode": "in-place", "engine": "mongo_tools"}
    for option in ("stop_on_error", "keep_order"):
        with pytest.raises(Failed) as caught:
            restore_here(prepared, **intent, **{option: True})
        assert caught.value.code == "tool-failed" and "E11000" in caught.value.message, option
        client.mongo_dr.locks.delete_one({"_id": "restore"})


def test_both_limits_and_what_was_not_in_the_plan(client: Any, prepared: Any) -> None:
    client.shop.a.insert_many([{"_id": n} for n in range(5)])
    made = backup(prepared, "mongo_tools")
    client.shop.a.delete_one({"_id": 1})
    mistake = moment(client)
    entry = client.local["oplog.rs"].find({"op": "d", "ns": "shop.a"}).sort("$natural", -1).next()
    at = str(Position.of(entry["ts"]))
    client.crm.made_later.insert_one({})
    assert Position.parse(at) < Position.parse(mistake)
    for bound, documents in (("before", 5), ("through", 4)):
        intent = {"snapshot": made, bound: at, "mode": "in-place", "engine": "mongo_tools"}
        plan = plan_for(prepared, **intent)
        assert plan.confirm.endswith("/all")
        _, outcome = run_here(prepared, "restore", {"plan": plan.to_json()})
        assert client.shop.a.count_documents({}) == documents, bound
        assert outcome.partial is None and outcome.result["safety_snapshot"]
    assert client.crm.made_later.count_documents({}) == 1


def test_documents_that_are_refused_make_it_partial(client: Any, prepared: Any) -> None:
    """A dump with one ``_id`` twice: mongorestore goes on, and exits with 0."""
    client.shop.a.insert_many([{"_id": n} for n in range(5)])
    made = backup(prepared, "mongo_tools", "none")
    folder = prepared.store / made
    (folder / "manifest.json").unlink()
    with (folder / "shop" / "a.bson").open("ab") as file:
        file.write(bson.encode({"_id": 3, "again": True}))
    plan = plan_for(prepared, snapshot=made, mode="in-place", engine="mongo_tools")
    _, outcome = run_here(prepared, "restore", {"plan": plan.to_json()})
    assert outcome.result["rejected"] == [{"namespace": "shop.a", "documents": 1}]
    assert outcome.partial is not None and "1 document" in outcome.partial
    assert client.shop.a.count_documents({}) == 5


def test_a_killed_restore_is_done_again_from_the_drop(
    client: Any, prepared: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.shop.a.insert_many([{"_id": n} for n in range(500)])
    made = backup(prepared, "mongo_tools")
    wanted = everything(client)
    plan = plan_for(prepared, snapshot=made, mode="in-place", engine="mongo_tools")

    def broken(*_: Any) -> None:
        raise Interrupted("stopped", "Stopped.")

    folder = jobs.create(
        prepared.name, prepared.profile, prepared.config_file, "restore", {"plan": plan.to_json()}
    )
    with monkeypatch.context() as patch:
        patch.setattr(ToolRestore, "_check", broken)
        with pytest.raises(Interrupted):
            resume_here(prepared, folder)
    client.shop.a.insert_one({"_id": "into a half-restored collection"})
    assert client.mongo_dr.locks.find_one({"_id": "restore"}), "nobody else may write meanwhile"
    resume_here(prepared, folder)
    assert twin.differences(everything(client), wanted) == []
    kinds = [c.kind for c in checkpoints(jobs.read_lines(folder))]
    assert kinds.count("tool-begun") == 2 and kinds.count("placed") == 1
    assert not (folder.path / "mongorestore").exists()
