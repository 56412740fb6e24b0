"""What mongodump leaves, and what can be wrong with it: oplogs with every entry and limit, and folders where
something is missing, left over or broken."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bson
import pytest
from bson import Binary
from support import twin
from support.dumpmaker import Entry, T, dump_folder, entry, note, packed, part
from support.jobs import NeverStop, plan_for, restore_here, run_here

from mongo_dr_console.model.namespace import Namespace
from mongo_dr_console.model.trouble import Failed, Refused, WrongUse
from mongo_dr_console.stores.catalogue import list_snapshots
from mongo_dr_console.stores.local import LocalStore
from mongo_dr_console.stores.snapshot_reader import open_snapshot
from mongo_dr_console.stores.verification import verify

pytestmark = pytest.mark.mongod

NAME = "20200913_122640"

Make = Callable[..., None]


@pytest.fixture
def db(client: Any, database_name: str) -> Any:
    return client[database_name]


@pytest.fixture
def make(prepared: Any, db: Any) -> Make:
    """Puts a dump of collection ``a`` with documents 1 and 2 into the store; a restore of it looks at all."""

    def made(oplog: list[Entry], *, gz: bool = False, **collections: list[dict[str, Any]]) -> None:
        documents = {"a": [{"_id": 1}, {"_id": 2}], **collections}
        folder = dump_folder(prepared.store / NAME, db.name, documents, oplog)
        if gz:
            packed(folder)

    return made


def restored(prepared: Any, db: Any, **intent: Any) -> list[Any]:
    """The ids of what is restored; more than ids as documents."""
    restore_here(prepared, snapshot=NAME, namespaces=(db.name,), **intent)
    found = [d["_id"] if set(d) == {"_id"} else d for d in db.a.find().sort("_id")]
    db.client.drop_database(db.name)
    return found


def inserts(db: Any, *ordinals: int) -> list[Entry]:
    return [entry(n, "i", f"{db.name}.a", {"_id": n * 10}) for n in ordinals]


# Sources and limits


@pytest.mark.parametrize("gz", [False, True], ids=["plain", "gzip"])
def test_limits(prepared: Any, db: Any, make: Make, gz: bool) -> None:
    """``--before t:i`` is ``--oplogLimit t:i``; through it is ``t:i+1``. The oplog is packed under its plain
    name."""
    make([note(1), *inserts(db, 2, 3, 4), note(5)], gz=gz)
    assert restored(prepared, db) == [1, 2, 20, 30, 40]
    for limit, wanted in (
        ({"before": f"{T}:3"}, [1, 2, 20]),
        ({"through": f"{T}:3"}, [1, 2, 20, 30]),
        ({"before": f"{T}:4"}, [1, 2, 20, 30]),
        ({"before": f"{T}:2"}, [1, 2]),
        ({"through": f"{T}:1"}, [1, 2]),
        ({"through": f"{T}:5"}, [1, 2, 20, 30, 40]),
    ):
        assert restored(prepared, db, **limit) == wanted, limit
    for limit, code in (
        ({"before": f"{T}:1"}, "limit-outside-coverage"),
        ({"before": "0:0"}, "limit-outside-coverage"),
        ({"through": f"{T}:6"}, "limit-in-gap"),
    ):
        with pytest.raises(Refused) as caught:
            plan_for(prepared, snapshot=NAME, namespaces=(db.name,), **limit)
        assert caught.value.code == code, limit
    for text in ("", ":", "1:1:1", "1.5", "-1:2", "1:-2", "99999999999:1"):
        with pytest.raises((WrongUse, Refused)):
            plan_for(prepared, snapshot=NAME, namespaces=(db.name,), before=text or " ")


def test_a_limit_inside_a_transaction_applies_nothing_of_it(prepared: Any, db: Any, make: Make) -> None:
    inner = [{"op": "i", "ns": f"{db.name}.a", "o": {"_id": n}} for n in (30, 31, 32)]
    first = part(2, {"applyOps": inner[:1], "partialTxn": True})
    second = part(3, {"applyOps": inner[1:2], "partialTxn": True}, before=2)
    make([note(1), first, second, part(5, {"applyOps": inner[2:], "count": 3}, before=3), *inserts(db, 6)])
    assert restored(prepared, db, through=f"{T}:3") == [1, 2]
    assert restored(prepared, db, before=f"{T}:5") == [1, 2]
    assert restored(prepared, db, through=f"{T}:5") == [1, 2, 30, 31, 32]


def test_prepared_aborted_and_open_transactions(prepared: Any, db: Any, make: Make) -> None:
    def batch(key: int) -> list[dict[str, Any]]:
        return [{"op": "i", "ns": f"{db.name}.a", "o": {"_id": key}}]

    make(
        [
            part(1, {"applyOps": batch(10), "prepare": True}, session=1),
            part(2, {"applyOps": batch(20), "prepare": True}, session=2),
            part(3, {"applyOps": batch(30), "partialTxn": True}, session=3),
            part(4, {"abortTransaction": 1}, session=2, before=2),
            part(5, {"abortTransaction": 1}, session=9, before=0),
            part(6, {"commitTransaction": 1}, session=1, before=1),
            part(7, {"applyOps": batch(70), "prepare": True}, session=4),
        ]
    )
    assert restored(prepared, db) == [1, 2, 10], "one is aborted, two are open at the end"


def test_a_transaction_that_began_before_the_oplog_is_a_hole(prepared: Any, db: Any, make: Make) -> None:
    """mongorestore applies what it has of it."""
    inner = [{"op": "i", "ns": f"{db.name}.a", "o": {"_id": 10}}]
    make([part(2, {"applyOps": inner, "count": 2}, before=1)])
    with pytest.raises(Failed) as caught:
        restored(prepared, db)
    assert caught.value.code == "transaction-incomplete" and f"{T}:2" in caught.value.message


# Entries


def test_entries_that_change_nothing_here(prepared: Any, db: Any, make: Make) -> None:
    system = [
        entry(3, "i", "config.transactions", {"_id": 1}),
        entry(4, "c", "config.$cmd", {"create": "x"}),
        entry(5, "c", "config.$cmd", {"neverHeardOf": "x"}),
        entry(6, "i", "__mdb_internal_x.a", {"_id": 1}),
        entry(7, "km", "", {"_id": 1}),
        entry(8, "c", f"{db.name}.$cmd", {"startIndexBuild": "a", "indexes": []}),
        entry(9, "c", f"{db.name}.$cmd", {"abortIndexBuild": "a", "indexes": []}),
        entry(10, "c", f"{db.name}.$cmd", {"setMultikeyMetadata": f"{db.name}.a"}),
        entry(11, "c", "other_db.$cmd", {"neverHeardOf": "a"}),
    ]
    make([note(1), note(2), *system, *inserts(db, 12)])
    assert restored(prepared, db) == [1, 2, 120]


def test_an_unknown_command_stops_it_where_it_concerns_what_is_restored(
    prepared: Any, db: Any, make: Make
) -> None:
    db.a.insert_one({"_id": "live"})
    make([*inserts(db, 1), entry(2, "c", f"{db.name}.$cmd", {"neverHeardOf": "a"})])
    with pytest.raises(Refused) as caught:
        plan_for(prepared, snapshot=NAME, namespaces=(db.name,))
    assert caught.value.code == "oplog-unknown-command"
    assert "neverHeardOf" in caught.value.message and f"{T}:2" in caught.value.message
    assert restored(prepared, db, before=f"{T}:2") == [1, 2, 10]


def test_updates_of_the_older_form(client: Any, prepared: Any, db: Any, make: Make) -> None:
    """``$v: 1``, which servers up to 6.0 apply; and a replacement, and an upsert that came as one."""
    made = client.server_info()["versionArray"]
    if made[:2] > [6, 0]:
        pytest.skip("needs server 6.0 or older: $v: 1 was taken out in 6.1")

    def update(ordinal: int, key: int, o: dict[str, Any]) -> Entry:
        return entry(ordinal, "u", f"{db.name}.a", o, o2={"_id": key})

    make(
        [
            update(1, 1, {"$v": 1, "$set": {"x.y": 1, "z": [1]}}),
            update(2, 1, {"$v": 1, "$unset": {"z": True}, "$set": {"w": 2}}),
            update(3, 2, {"_id": 2, "replaced": True}),
        ]
    )
    assert restored(prepared, db) == [{"_id": 1, "x": {"y": 1}, "w": 2}, {"_id": 2, "replaced": True}]


def test_vectored_inserts_and_batched_deletes(prepared: Any, db: Any, make: Make) -> None:
    """As servers from 7.2 and 8.0 log them: one entry with several operations, no transaction."""
    ns = f"{db.name}.a"
    several = part(2, {"applyOps": [{"op": "i", "ns": ns, "o": {"_id": n}} for n in (7, 8)]})
    batched = entry(
        3, "c", "admin.$cmd", {"applyOps": [{"op": "d", "ns": ns, "o": {"_id": n}} for n in (1, 8)]}
    )
    make([note(1), several | {"multiOpType": 1}, batched])
    assert restored(prepared, db, before=f"{T}:3") == [1, 2, 7, 8]
    assert restored(prepared, db) == [2, 7]


def test_writes_within_the_window_of_what_the_dump_did_not_see(prepared: Any, db: Any, make: Make) -> None:
    """An update of a document that is deleted later in the window, an insert of one that is there, a delete
    of one that is not."""
    ns = f"{db.name}.a"
    gone = {"op": "u", "ns": ns, "o": {"$v": 2, "diff": {"u": {"x": 1}}}, "o2": {"_id": 5}}
    make(
        [
            entry(1, **{"op": "i", "namespace": ns, "o": {"_id": 1, "again": True}}),
            entry(2, "u", ns, gone["o"], o2=gone["o2"]),
            entry(3, "d", ns, {"_id": 5}),
            entry(4, "d", ns, {"_id": 6}),
        ]
    )
    assert restored(prepared, db) == [{"_id": 1, "again": True}, 2]


# Folders


def test_without_prelude_and_metadata_it_is_restored_with_default_options(
    prepared: Any, db: Any, make: Make
) -> None:
    make(inserts(db, 1))
    (prepared.store / NAME / "prelude.json").unlink()
    (prepared.store / NAME / db.name / "a.metadata.json").unlink()
    (entry_,) = list_snapshots(LocalStore("local", prepared.store))
    assert entry_.problem is None and entry_.server_version is None
    assert restored(prepared, db) == [1, 2, 10]


def test_relaxed_metadata_of_older_tools(client: Any, prepared: Any, db: Any, make: Make) -> None:
    """No collectionName, no type, numbers without their wrapper."""
    make(inserts(db, 1))
    metadata = {
        "options": {"capped": True, "size": 8192},
        "indexes": [
            {"v": 2, "key": {"_id": 1}, "name": "_id_", "ns": f"{db.name}.a"},
            {"v": 2, "key": {"x": 1}, "name": "x_1", "ns": f"{db.name}.a"},
            {"v": 1, "key": {"g": "2dsphere"}, "name": "g"},
        ],
        "uuid": "0123456789abcdef0123456789abcdef",
    }
    path = prepared.store / NAME / db.name / "a.metadata.json"
    path.write_text(json.dumps(metadata), encoding="utf-8")
    restore_here(prepared, snapshot=NAME, namespaces=(db.name,))
    found = db.a.index_information()
    assert db.a.options()["capped"] and set(found) == {"_id_", "x_1", "g"}
    assert found["g"]["2dsphereIndexVersion"] == 1, "of before there were several"


def damaged(folder: Path, database: str) -> dict[str, Callable[[], object]]:
    """What can be wrong with a dump that no manifest describes; the name says which file is to be named."""
    base = folder / database
    data, described, oplog = base / "a.bson.gz", base / "a.metadata.json.gz", folder / "oplog.bson"

    def rewritten(path: Path, change: Callable[[bytes], bytes]) -> None:
        path.write_bytes(gzip.compress(change(gzip.decompress(path.read_bytes()))))

    return {
        "a.bson.gz: bad gzip": lambda: data.write_bytes(b"this is no gzip"),
        "a.bson.gz: cut gzip": lambda: data.write_bytes(data.read_bytes()[:-9]),
        "a.bson.gz: emptied": lambda: data.write_bytes(b""),
        "a.bson.gz: cut document": lambda: rewritten(data, lambda raw: raw[:-3]),
        "a.bson.gz: no document": lambda: rewritten(data, lambda raw: raw + b"\x03\0\0\0"),
        "a.metadata.json.gz: no JSON": lambda: rewritten(described, lambda raw: raw[:-5]),
        "a: no option of a collection": lambda: rewritten(
            described, lambda raw: raw.replace(b'"indexes": []', b'"options": {"x": {"$numberLong": "y"}}')
        ),
        "a.metadata.json.gz: no data": data.unlink,
        "oplog.bson: cut gzip": lambda: oplog.write_bytes(oplog.read_bytes()[:-9]),
        "oplog.bson: cut document": lambda: rewritten(oplog, lambda raw: raw[:-3]),
        "plain.bson: left over": lambda: (base / "plain.bson").write_bytes(bson.encode({"_id": 1})),
        f"{'x' * 208}%24{'y' * 27}.bson.gz: no metadata": lambda: (
            base / f"{'x' * 208}%24{'y' * 27}.bson.gz"
        ).write_bytes(data.read_bytes()),
        "system.buckets.w.bson.gz: no metadata": lambda: (base / "system.buckets.w.bson.gz").write_bytes(
            data.read_bytes()
        ),
    }


DAMAGES = list(damaged(Path(), ""))


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_told_with_the_file_and_nothing_is_restored(
    prepared: Any, db: Any, make: Make, damage: str
) -> None:
    db.a.insert_one({"_id": "live"})
    before = twin.state_of(db.client, db.name)
    make(inserts(db, 1), gz=True)
    damaged(prepared.store / NAME, db.name)[damage]()
    file = damage.partition(":")[0]
    if file == "a":
        file = f"{db.name}.a"
    with pytest.raises(Failed) as caught:
        plan = plan_for(prepared, snapshot=NAME, namespaces=(db.name,), mode="in-place")
        run_here(prepared, "restore", {"plan": plan.to_json()})
    assert file in caught.value.message, caught.value.message
    assert twin.state_of(db.client, db.name) == before, "in place, too, nothing was dropped"
    store = LocalStore("local", prepared.store)
    listed = next(one for one in list_snapshots(store) if one.name == NAME)
    if damage.startswith(("oplog", "plain")):
        assert listed.problem is not None and file in listed.problem.message
        assert not listed.restorable
    if not damage.startswith(("plain", "a:")):
        checked = verify(store, NAME, 3, lambda event: None, NeverStop())
        assert any(file in problem for problem in checked.problems), checked.problems


def test_a_mongodump_without_oplog_is_no_state_of_any_moment(prepared: Any, db: Any, make: Make) -> None:
    make([])
    for change in (lambda: None, (prepared.store / NAME / "oplog.bson").unlink):
        change()
        with pytest.raises(Refused) as caught:
            plan_for(prepared, snapshot=NAME, namespaces=(db.name,))
        assert caught.value.code == "snapshot-without-oplog"


def test_the_oplog_of_the_local_database_is_no_source(prepared: Any, db: Any, make: Make) -> None:
    """mongorestore takes ``local/oplog.rs.bson`` where there is no ``oplog.bson``, and refuses both.
    Here it is a collection of the server's own."""
    make(inserts(db, 1))
    folder = prepared.store / NAME
    (folder / "local").mkdir()
    (folder / "local" / "oplog.rs.bson").write_bytes(b"".join(map(bson.encode, inserts(db, 9))))
    assert restored(prepared, db) == [1, 2, 10]
    (folder / "oplog.bson").unlink()
    with pytest.raises(Refused) as caught:
        plan_for(prepared, snapshot=NAME, namespaces=(db.name,))
    assert caught.value.code == "snapshot-without-oplog"


def test_ids_are_kept_in_the_order_of_their_fields(prepared: Any, db: Any, make: Make) -> None:
    keys = [{"b": 1, "a": 2}, {"a": 2, "b": 1}, Binary(b"", 128)]
    make([note(1)], odd=[{"_id": key} for key in keys])
    restore_here(prepared, snapshot=NAME, namespaces=(db.name,))
    assert [
        list(d["_id"].items()) for d in db.odd.find({"_id": {"$type": "object"}}).sort("$natural", 1)
    ] == [list(k.items()) for k in keys[:2] if isinstance(k, dict)]
    found = open_snapshot(LocalStore("local", prepared.store), NAME).collection(Namespace(db.name, "odd"))
    assert found is not None and found.documents is None, "only a manifest would know"
