"""Every kind of thing that a deployment can hold, backed up and restored: the same bytes, options, indexes
and order as before; and what cannot be restored is told, counted and kept."""

from __future__ import annotations

import hashlib
import json
import os
import random
import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import bson
import pytest
from bson import Binary, Code, DBRef, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.raw_bson import RawBSONDocument
from support import twin
from support.jobs import backup_here, mdr, plan_for, restore_here, run_here
from support.prepared import prepare

from mongo_dr_console.model.filenames import escape
from mongo_dr_console.model.rawbson import RAW
from mongo_dr_console.mongo.launch import User
from mongo_dr_console.mongo.roles import ROLES
from mongo_dr_console.workers import jobs

pytestmark = pytest.mark.mongod


@pytest.fixture
def db(client: Any, database_name: str) -> Any:
    return client[database_name]


def there_and_back(client: Any, prepared: Any, db: Any, **intent: Any) -> dict[str, Any]:
    """Backs up, loses the database, restores it; returns the restore's result."""
    wanted = twin.state_of(client, db.name)
    leave_the_window(client)
    made = backup_here(prepared)["snapshot"]
    client.drop_database(db.name)
    _, result = restore_here(prepared, snapshot=made, namespaces=(db.name,), **intent)
    assert twin.differences(twin.state_of(client, db.name), wanted) == []
    return result


def leave_the_window(client: Any) -> None:
    """What was done so far will not be in a backup's window: replay would cover up what the load gets
    wrong."""
    client.admin.command({"appendOplogNote": 1, "data": {}, "writeConcern": {"w": "majority"}})


def document(*elements: bytes) -> RawBSONDocument:
    """BSON that no driver would write."""
    body = b"".join(elements)
    return RawBSONDocument(struct.pack("<i", len(body) + 5) + body + b"\0", RAW)


def element(kind: int, name: bytes, value: bytes) -> bytes:
    return bytes([kind]) + name + b"\0" + value


def int32(name: bytes, value: int) -> bytes:
    return element(0x10, name, struct.pack("<i", value))


ODD = {
    "empty and duplicate keys": (int32(b"", 1), int32(b"a", 1), int32(b"a", 2), int32(b"", 3)),
    "a NaN with a payload": (element(0x01, b"n", bytes.fromhex("0100000000000cf8")[::-1]),),
    "minus zero": (element(0x01, b"z", struct.pack("<d", -0.0)),),
    "undefined": (element(0x06, b"u", b""),),
    "symbol": (element(0x0E, b"s", b"\x03\0\0\0sy\0"),),
    "db pointer": (element(0x0C, b"p", b"\x02\0\0\0c\0" + bytes(range(12))),),
    "old binary": (element(0x05, b"b", b"\x06\0\0\0\x02\x02\0\0\0xy"),),
    "empty timestamps": (
        element(0x11, b"first", bytes(8)),
        element(0x03, b"in", struct.pack("<i", 17) + element(0x11, b"ts", bytes(8)) + b"\0"),
        element(0x11, b"last", bytes(8)),
    ),
    "a dollar and a dot": (int32(b"$set", 1), int32(b"a.b", 2)),
}


def types() -> Iterator[RawBSONDocument]:
    for number, elements in enumerate(ODD.values()):
        yield document(int32(b"_id", number), *elements)
    for number, key in enumerate(
        [
            1.5,
            Int64(2**62),
            Decimal128("1.10"),
            "text",
            {"b": 1, "a": 2},
            {"a": 2, "b": 1},
            Binary(b"x", 128),
            ObjectId(bytes(range(12))),
            True,
            None,
            MinKey(),
            MaxKey(),
            Timestamp(5, 6),
            Timestamp(0, 0),
        ]
    ):
        value = [Code("f", {"x": Int64(1)}), Regex("^a", "im"), DBRef("c", 1), Int64(1), 1, 1.0, number]
        yield RawBSONDocument(bson.encode({"_id": key, "v": value}), RAW)


def test_every_type_byte_for_byte(client: Any, prepared: Any, db: Any) -> None:
    """Empty timestamps too, which an insert would replace: so they are put there as replication does."""
    wanted = sorted(d.raw for d in types())
    db.types.insert_many(list(types()))
    empty_again(db)
    assert sorted(d.raw for d in db.get_collection("types", codec_options=RAW).find()) == wanted
    there_and_back(client, prepared, db)
    assert sorted(d.raw for d in db.get_collection("types", codec_options=RAW).find()) == wanted


def empty_again(db: Any) -> None:
    """Where the insert has filled them in; by an expression, which is logged as a replacement."""
    empty = {"$set": {"first": Timestamp(0, 0), "last": Timestamp(0, 0)}}
    db.types.update_many({"first": {"$exists": True}}, [empty])


def test_empty_timestamps_in_replay(client: Any, prepared: Any, db: Any) -> None:
    db.types.insert_one({"_id": 1})
    made = backup_here(prepared)["snapshot"]
    db.types.insert_one({"_id": 2, "first": 1, "x": Timestamp(0, 0), "last": 2})
    empty_again(db)
    note = client.admin.command({"appendOplogNote": 1, "data": {}, "writeConcern": {"w": "majority"}})
    through = f"{note['operationTime'].time}:{note['operationTime'].inc}"
    wanted = twin.state_of(client, db.name)
    assert db.types.count_documents({"first": Timestamp(0, 0)}) == 1
    logged = client.local["oplog.rs"].find_one({"ns": f"{db.name}.types", "op": "u"})
    assert logged["o"].get("first") == Timestamp(0, 0), "as a replacement"
    client.drop_database(db.name)
    restore_here(prepared, snapshot=made, through=through, namespaces=(db.name,))
    assert twin.differences(twin.state_of(client, db.name), wanted) == []


def test_the_largest_documents_and_none_at_all(client: Any, prepared: Any, db: Any) -> None:
    most = 16 * 1024 * 1024 - len(bson.encode({"_id": 1, "x": b""}))
    db.large.insert_many([{"_id": n, "x": random.randbytes(most)} for n in range(1)])
    db.create_collection("empty")
    there_and_back(client, prepared, db)


NAMES = [
    "we ird",
    "per%cent",
    "sl/ash",
    "pl+us",
    "st*ar",
    "quo'te\"s",
    "new\nline",
    "ünïcödé 日本",
    "dots.and.more",
    "Case",
    "case",
    "%24",
    "system.js",
]


def test_odd_names_and_many(client: Any, prepared: Any, db: Any) -> None:
    room = 255 - len(db.name) - 1
    names = [*NAMES, "x" * room, "é" * (room // 2), "%" * 100]
    for number, name in enumerate(names):
        db[name].insert_one({"_id": name, "n": number})
    db["x" * room].create_index("n", name="i" * 100)
    for number in range(20):
        db[f"tiny{number}"].insert_one({"_id": number})
    db.command({"create": "view of/odd%", "viewOn": "we ird", "pipeline": []})
    series = "ser ies/" + "s" * (room - len("system.buckets.ser ies/"))
    db.create_collection(series, timeseries={"timeField": "at"})
    there_and_back(client, prepared, db)
    assert [d["_id"] for d in db["new\nline"].find()] == ["new\nline"]
    assert series in db.list_collection_names()


MANY = int(os.environ.get("MDR_TEST_COLLECTIONS", "60"))
"""Tiny collections; the full number is 10000."""


def test_many_tiny_collections(client: Any, prepared: Any, db: Any) -> None:
    for number in range(MANY):
        db[f"tiny{number}"].insert_one({"_id": number})
    wanted = twin.state_of(client, db.name)
    leave_the_window(client)
    made = backup_here(prepared)
    assert made["documents"] >= MANY
    client.drop_database(db.name)
    restore_here(prepared, snapshot=made["snapshot"], namespaces=(db.name,))
    assert twin.differences(twin.state_of(client, db.name), wanted) == []


def test_collections_of_every_kind(client: Any, prepared: Any, db: Any) -> None:
    db.create_collection("checked", validator={"x": {"$gt": 0}}, validationLevel="moderate")
    db.get_collection("checked").insert_many(
        [{"_id": n, "x": n} for n in range(-5, 5)], bypass_document_validation=True
    )
    db.create_collection("log", capped=True, size=100_000, max=50)
    order = random.Random(7).sample(range(1000), 80)
    db.log.insert_many([{"_id": n} for n in order])
    db.create_collection("clustered", clusteredIndex={"key": {"_id": 1}, "unique": True, "name": "by id"})
    db.clustered.insert_many([{"_id": n} for n in range(10)])
    db.create_collection("names", collation={"locale": "sv", "strength": 1})
    db.names.insert_many([{"_id": n, "n": c} for n, c in enumerate("åäöÅÄÖ")])
    db.names.create_index("n")
    db.command(
        {
            "createIndexes": "names",
            "indexes": [{"key": {"n": -1}, "name": "s", "collation": {"locale": "simple"}}],
        }
    )
    db.create_collection("images", changeStreamPreAndPostImages={"enabled": True})
    db.command(
        {
            "create": "v1",
            "viewOn": "checked",
            "pipeline": [{"$match": {"t": {"$regex": "^a", "$options": "i"}}}],
        }
    )
    db.command({"create": "v2", "viewOn": "v1", "pipeline": [{"$match": {"r": {"$ref": "c", "$id": 1}}}]})
    db.command({"create": "v3", "viewOn": "not there", "pipeline": [], "collation": {"locale": "fr"}})
    there_and_back(client, prepared, db)
    assert [d["_id"] for d in db.log.find()] == order[-50:], "a capped collection keeps its order"


INDEXES: list[dict[str, Any]] = [
    {"key": {"a": 1, "b": -1}, "name": "compound"},
    {"key": {"a": 1.0, "c": Int64(-1)}, "name": "numbers of other types"},
    {"key": {"e": 1}, "name": "ttl", "expireAfterSeconds": 3_000_000},
    {"key": {"e": -1}, "name": "hidden", "hidden": True},
    {"key": {"u": 1}, "name": "unique", "unique": True, "sparse": True},
    {"key": {"p": 1}, "name": "partial", "partialFilterExpression": {"p": {"$gt": Int64(5)}}},
    {"key": {"p": -1}, "name": "partial of all", "partialFilterExpression": {}},
    {"key": {"t": "text", "s": "text"}, "name": "text", "weights": {"t": 3}, "default_language": "french"},
    {"key": {"w.$**": 1}, "name": "wildcard"},
    {"key": {"$**": 1}, "name": "all", "wildcardProjection": {"w": 0, "_id": 1}},
    {"key": {"g": "2dsphere"}, "name": "sphere"},
    {"key": {"g": "2dsphere", "a": 1}, "name": "old sphere", "2dsphereIndexVersion": 2},
    {"key": {"flat": "2d"}, "name": "flat", "min": -5.0, "max": 5.0, "bits": 20},
    {"key": {"_id": "hashed"}, "name": "hashed id"},
    {"key": {"x": 1}, "name": "collated", "collation": {"locale": "de", "strength": 2}},
    {"key": {"y": 1}, "name": "about to be unique", "prepareUnique": True},
    {
        "key": {"o": 1},
        "name": "with an engine's options",
        "storageEngine": {"wiredTiger": {"configString": ""}},
    },
]


def test_every_kind_of_index(client: Any, prepared: Any, db: Any) -> None:
    db.all.insert_many([{"_id": n, "a": n, "e": n, "y": n, "t": "la mer"} for n in range(20)])
    for spec in INDEXES:
        db.command({"createIndexes": "all", "indexes": [spec]})
    result = there_and_back(client, prepared, db)
    assert result["unbuilt_indexes"] == []
    assert len(list(db.all.list_indexes())) == len(INDEXES) + 1


def test_gridfs(client: Any, prepared: Any, db: Any) -> None:
    import gridfs

    data = random.randbytes(3_000_000)
    files = gridfs.GridFS(db)
    files.put(data, filename="a file", checksum=hashlib.sha256(data).hexdigest())
    there_and_back(client, prepared, db)
    found = files.find_one({"filename": "a file"})
    assert found is not None and hashlib.sha256(found.read()).hexdigest() == found.checksum


# Users and roles


@pytest.fixture
def somebody(client: Any, database_name: str) -> Iterator[str]:
    yield database_name
    for kind in ("Users", "Roles"):
        client[database_name].command({f"dropAll{kind}FromDatabase": 1})


def logins(db: Any) -> dict[str, Any]:
    """Users and roles of a database, with their credentials."""
    found = {}
    for name in ("users", "roles"):
        for entry in db.client.admin[f"system.{name}"].find({"db": db.name}):
            found[entry["_id"]] = entry
    return found


def test_users_and_roles_come_back_as_they_were_at_the_limit(
    client: Any, prepared: Any, db: Any, somebody: str
) -> None:
    db.a.insert_one({"_id": 1})
    db.command({"createRole": "reader", "privileges": [], "roles": ["read"]})
    db.command({"createUser": "ann", "pwd": "a", "roles": ["reader"]})
    db.command({"createUser": "bob", "pwd": "b", "roles": []})
    made = backup_here(prepared)["snapshot"]
    db.command({"updateUser": "ann", "roles": ["readWrite"]})
    db.command({"createUser": "new", "pwd": "n", "roles": ["reader"]})
    db.command({"dropUser": "bob"})
    wanted = logins(db)
    position = client.admin.command({"appendOplogNote": 1, "data": {}, "writeConcern": {"w": "majority"}})
    through = f"{position['operationTime'].time}:{position['operationTime'].inc}"
    db.command({"dropAllUsersFromDatabase": 1})
    db.command({"dropAllRolesFromDatabase": 1})
    db.command({"createUser": "ann", "pwd": "of today", "roles": []})
    db.command({"createUser": "not in it", "pwd": "x", "roles": []})
    today = logins(db)

    intent = {"snapshot": made, "through": through, "namespaces": (f"{db.name}.a",)}
    plan = plan_for(prepared, **intent)
    assert not plan.users, "only when asked for, where the deployment is not empty"
    plan = plan_for(prepared, **intent, users=True)
    assert plan.users and plan.hash != plan_for(prepared, **intent).hash
    assert "stay as they are" in next(h.text for h in plan.hazards if h.code == "users")
    _, outcome = run_here(prepared, "restore", {"plan": plan.to_json()})
    assert logins(db) == {**wanted, **today}
    result = outcome.result["logins"]
    assert result["users"] == [f"{db.name}.new"] and result["roles"] == [f"{db.name}.reader"]
    assert {"admin.mdr", f"{db.name}.ann"} <= set(result["kept"])
    assert not {"tempusers", "temproles"} & set(client.admin.list_collection_names())
    assert not [n for n in db.list_collection_names() if n.startswith("mdr_") and "aside" not in n]


def test_the_roles_that_doctor_names_are_enough(
    client: Any, replica_set: Any, profile_for: Any, tmp_path: Path, state_dir: Path, db: Any, somebody: str
) -> None:
    """For time series over a live one, and for users and roles."""
    user = User.new(db.name, ROLES["restore"])
    roles = [{"role": role, "db": "admin"} for role in user.roles]
    db.command({"createUser": user.name, "pwd": user.password, "roles": roles})
    db.create_collection("w", timeseries={"timeField": "at"}, expireAfterSeconds=1_000_000_000)
    db.w.insert_one({"at": datetime(2026, 1, 1, tzinfo=UTC), "x": 1})
    db.w.create_index("x")
    db.command({"createUser": "ann", "pwd": "a", "roles": []})
    uri = replica_set.user_uri(user).replace("authSource=admin", f"authSource={db.name}")
    prepared = prepare(tmp_path, uri, state_dir)
    made = backup_here(prepared)["snapshot"]
    wanted = twin.state_of(client, db.name)
    db.w.delete_many({})
    db.command({"dropUser": "ann"})
    _, result = restore_here(prepared, snapshot=made, namespaces=(db.name,), users=True)
    assert result["logins"]["users"] == [f"{db.name}.ann"]
    assert twin.differences(twin.state_of(client, db.name), wanted) == []


# What cannot be restored


def as_mongodump(prepared: Any, snapshot: str, change: Any) -> str:
    """The snapshot as the real tool would have left it, changed: without a manifest nothing tells."""
    name = "20200101_000000"
    folder: Path = prepared.store / name
    (prepared.store / snapshot).rename(folder)
    (folder / "manifest.json").unlink()
    prelude = json.loads((folder / "prelude.json").read_text(encoding="utf-8"))
    (folder / "prelude.json").write_text(json.dumps({**prelude, "ToolVersion": "100.18.0"}), encoding="utf-8")
    change(folder)
    return name


def add(path: Path, *documents: bytes) -> None:
    with path.open("ab") as file:
        file.writelines(documents)


def plain_backup(prepared: Any) -> str:
    made = run_here(prepared, "backup", {"stores": None, "compression": "none", "databases": None})
    return str(made[1].result["snapshot"])


def test_what_is_refused_is_counted_and_kept_and_the_rest_is_restored(
    client: Any, prepared: Any, db: Any
) -> None:
    """Documents that no server takes, and two that share what a unique index forbids."""
    for name in ("a", "b"):
        db[name].insert_many([{"_id": n, "u": n, "m": n} for n in range(100)])
        db[name].create_index("m", name="fine")
        db[name].create_index([("u", 1)], unique=True, name="unique")
        db[name].create_index("e", expireAfterSeconds=100, name="ttl")
    bad = [bson.encode({"_id": [1, 2]}), bson.encode({"_id": Regex("x"), "kept": True})]
    double = bson.encode({"_id": "twice", "u": 7})

    def change(folder: Path) -> None:
        add(folder / db.name / "a.bson", *bad)
        add(folder / db.name / "b.bson", double)

    snapshot = as_mongodump(prepared, plain_backup(prepared), change)
    wanted = twin.state_of(client, db.name)
    client.drop_database(db.name)
    answer = mdr(prepared, "restore", "run", "--snapshot", snapshot, "--ns", db.name, "--json")
    assert answer.code == 5, answer.err
    assert answer.json["state"] == "partial"
    text = answer.json["error"]["message"]
    assert f"2 documents of {db.name}.a were refused" in text
    assert f"index unique of {db.name}.b was not built" in text and "rejected.jsonl" in text
    result = answer.json["result"]
    assert result["rejected"] == [{"namespace": f"{db.name}.a", "documents": 2}]
    assert [(u["namespace"], u["index"]) for u in result["unbuilt_indexes"]] == [(f"{db.name}.b", "unique")]

    assert twin.state_of(client, db.name)["a"] == wanted["a"], "nothing else is missing"
    assert sorted(i["name"] for i in db.b.list_indexes()) == ["_id_", "fine", "ttl"]
    assert db.b.count_documents({}) == 101, "no document is lost for an index"
    root = jobs.jobs_folder(prepared.profile)
    file = jobs.find_job(root, answer.json["job"]).path / "rejected.jsonl"
    assert file.stat().st_mode & 0o077 == 0
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    refused = [r for r in rows if not r["restored"]]
    assert [r["document"]["_id"] for r in refused] == [
        [{"$numberInt": "1"}, {"$numberInt": "2"}],
        {"$regularExpression": {"pattern": "x", "options": ""}},
    ]
    shared = [r for r in rows if r["restored"]]
    assert sorted(str(r["document"]["_id"]) for r in shared) == ["twice", "{'$numberInt': '7'}"]


def test_a_document_that_was_refused_may_be_written_later(client: Any, prepared: Any, db: Any) -> None:
    """Operations on it after the dump meet none: they are told as conflicts and stop nothing."""
    db.a.insert_many([{"_id": n} for n in range(3)])
    made = plain_backup(prepared)
    path = prepared.store / made / db.name / "a.bson"

    def change(folder: Path) -> None:
        path = folder / db.name / "a.bson"
        raw, good = path.read_bytes(), bson.encode({"_id": 0})
        # A member that applied them in several threads may have them in another order.
        assert good in raw
        path.write_bytes(raw.replace(good, bson.encode({"_id": [0]})))

    assert path.exists()
    db.a.update_one({"_id": 0}, {"$set": {"x": 1}})
    db.a.delete_one({"_id": 0})
    db.a.insert_one({"_id": 9})
    note = client.admin.command({"appendOplogNote": 1, "data": {}, "writeConcern": {"w": "majority"}})
    through = f"{note['operationTime'].time}:{note['operationTime'].inc}"
    wanted = twin.state_of(client, db.name)
    snapshot = as_mongodump(prepared, made, change)
    client.drop_database(db.name)
    plan = plan_for(prepared, snapshot=snapshot, through=through, namespaces=(db.name,))
    _, outcome = run_here(prepared, "restore", {"plan": plan.to_json()})
    assert outcome.partial is not None and "1 documents" in outcome.partial
    assert ["the server did not take it" in c["text"] for c in outcome.result["conflicts"]] == [True]
    assert twin.differences(twin.state_of(client, db.name), wanted) == []


def test_long_names_are_cut_in_files_and_whole_again(client: Any, prepared: Any, db: Any) -> None:
    """Of a mongodump the metadata alone knows them, a time series' by that of its buckets."""
    room = 255 - len(db.name) - 1
    long, series = "/" * room, "/" * (room - len("system.buckets."))
    db[long].insert_one({"_id": 1})
    db.create_collection(series, timeseries={"timeField": "at"})
    db[series].insert_one({"at": datetime(2026, 1, 1, tzinfo=UTC), "x": 1})
    assert len(escape(long)) == len(escape(f"system.buckets.{series}")) == 238
    wanted = twin.state_of(client, db.name)
    leave_the_window(client)
    snapshot = as_mongodump(prepared, plain_backup(prepared), lambda folder: None)
    client.drop_database(db.name)
    restore_here(prepared, snapshot=snapshot, namespaces=(db.name,))
    assert twin.differences(twin.state_of(client, db.name), wanted) == []
