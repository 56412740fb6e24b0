"""Replay by the server's rules: what it logs for renames, definitions, odd keys and names.

Each case makes a database, takes a snapshot, changes things in the range, looks at the live state, removes
it, and restores to that moment: what comes back must be the same, byte for byte.
"""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import bson
import pytest
from bson import Decimal128, Int64, ObjectId
from pymongo import InsertOne, UpdateOne
from pymongo.errors import PyMongoError
from support import twin
from support.jobs import backup_here, plan_for, restore_here, run_here

from mongo_dr_console.engines.builtin import dump_scan, load, replay
from mongo_dr_console.model import timeline
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.trouble import Failed, Refused, Trouble

pytestmark = pytest.mark.mongod

Change = Callable[[Any], object]


@pytest.fixture
def db(client: Any, database_name: str) -> Any:
    return client[database_name]


def moment(client: Any) -> str:
    """The position of an entry of its own, majority-committed."""
    command = {"appendOplogNote": 1, "data": {"test": 1}, "writeConcern": {"w": "majority"}}
    return str(Position.of(client.admin.command(command)["operationTime"]))


def leftovers(client: Any) -> list[str]:
    """Staging collections that a restore has forgotten."""
    found = []
    for name in client.list_database_names():
        if name not in ("admin", "config", "local"):
            found += [f"{name}.{c}" for c in client[name].list_collection_names() if is_staging(c)]
    return found


def is_staging(name: str) -> bool:
    return name.startswith("mdr_") and not name.startswith("mdr_aside_")


def three(db: Any) -> None:
    for name in "abc":
        db[name].insert_many([{"_id": n, "of": name, "n": n} for n in range(5)])
        db[name].create_index("n", name=f"by_n_of_{name}")


def touch(db: Any, *names: str) -> None:
    for name in names:
        db[name].update_one({"_id": 1}, {"$inc": {"n": 100}, "$set": {"seen": name}})
        db[name].insert_one({"_id": f"new in {name}"})


# Renames, rules 1 to 4


def plain_rename(db: Any) -> None:
    touch(db, "a")
    db.a.rename("z")
    touch(db, "z")
    db.z.update_one({"_id": 2}, {"$set": {"x": 1}})


def rename_over(db: Any) -> None:
    touch(db, "a", "b")
    db.a.rename("b", dropTarget=True)
    db.b.insert_one({"_id": "after"})


def rename_chain(db: Any) -> None:
    db.a.rename("y")
    touch(db, "y")
    db.y.rename("b", dropTarget=True)
    db.b.rename("z")
    db.b.insert_one({"_id": "another b"})


def swapped_names(db: Any) -> None:
    db.a.rename("t")
    db.b.rename("a")
    db.t.rename("b")
    touch(db, "a", "b")


def rotated_twice(db: Any) -> None:
    for n in range(2):
        db[f"next{n}"].insert_one({"_id": n})
        db.a.rename("b", dropTarget=True)
        db[f"next{n}"].rename("a")
        touch(db, "a")


def out_over(db: Any) -> None:
    db.a.aggregate([{"$set": {"by": "out"}}, {"$out": "b"}])
    touch(db, "b")
    db.a.aggregate([{"$out": "fresh"}])


def merged(db: Any) -> None:
    db.a.aggregate([{"$set": {"by": "merge"}}, {"$merge": {"into": "b", "whenMatched": "merge"}}])


def converted_to_capped(db: Any) -> None:
    db.command({"convertToCapped": "a", "size": 8192})
    db.a.insert_one({"_id": "after"})


# Drops, definitions, rule 6


def database_dropped_and_made_again(db: Any) -> None:
    touch(db, "a")
    db.client.drop_database(db.name)
    db.create_collection("a", validator={"k": {"$exists": True}})
    db.a.insert_one({"_id": 1, "k": 1})
    db.a.create_index("k", unique=True)


def dropped_and_made_again(db: Any) -> None:
    db.a.drop()
    db.create_collection("a", capped=True, size=4096)
    db.a.insert_one({"_id": "x"})
    db.b.drop()


def with_views(db: Any) -> None:
    three(db)
    for name in ("stays", "changes", "goes"):
        db.command({"create": name, "viewOn": "a", "pipeline": [{"$match": {"n": 1}}]})


def views(db: Any) -> None:
    db.command({"create": "comes", "viewOn": "b", "pipeline": [], "collation": {"locale": "de"}})
    db.command({"collMod": "changes", "viewOn": "b", "pipeline": [{"$match": {"n": 2}}]})
    db.goes.drop()


def database_of_views_dropped(db: Any) -> None:
    db.client.drop_database(db.name)
    db.a.insert_one({"_id": "new"})


def defined(db: Any) -> None:
    three(db)
    db.create_collection("capped", capped=True, size=4096, max=5)
    db.create_collection("clustered", clusteredIndex={"key": {"_id": 1}, "unique": True, "name": "mine"})
    db.create_collection("images", changeStreamPreAndPostImages={"enabled": True})
    db.clustered.insert_one({"_id": 1})
    db.a.create_index("gone")


def definitions(db: Any) -> None:
    db.command({"collMod": "a", "validator": {"n": {"$exists": True}}})
    db.command({"collMod": "b", "validator": {"n": {"$exists": True}}, "validationLevel": "moderate"})
    db.command({"collMod": "b", "validator": {}})
    db.command({"collMod": "capped", "cappedSize": 100_000, "cappedMax": 50})
    db.command({"collMod": "clustered", "expireAfterSeconds": 1000})
    db.command({"collMod": "images", "changeStreamPreAndPostImages": {"enabled": False}})
    db.a.create_index([("x", 1), ("y", -1)], partialFilterExpression={"x": {"$gt": 1}})
    db.a.create_index("t")
    db.command({"collMod": "a", "index": {"keyPattern": {"t": 1}, "expireAfterSeconds": 9000}})
    db.a.drop_index("gone_1")
    db.command({"collMod": "c", "index": {"name": "by_n_of_c", "hidden": True}})
    db.command({"collMod": "b", "index": {"name": "by_n_of_b", "prepareUnique": True}})
    db.command({"collMod": "b", "index": {"name": "by_n_of_b", "unique": True}})
    db.capped.insert_many([{"_id": n} for n in range(20)])
    touch(db, "clustered")
    db.create_collection("empty")
    db.fresh.create_index("$**")
    db.places.insert_one({"_id": 1, "at": [1.0, 2.0], "text": "ein Wort"})
    db.places.create_index([("at", "2dsphere")])
    db.places.create_index([("text", "text")], default_language="german")


# Documents, rules 7 to 10


def odd_keys(db: Any) -> None:
    db.a.insert_many([{"_id": k} for k in (1.5, "1", b"x", ObjectId(), None, {"a": 1, "b": 2}, Int64(2**60))])
    db.create_collection("loose", collation={"locale": "en", "strength": 2})
    db.loose.insert_many([{"_id": "a", "k": "Ä"}, {"_id": "B"}])
    db.loose.create_index("k")
    db.loose.create_index([("k", -1)], collation={"locale": "simple"})
    three(db)


def written_to_odd_keys(db: Any) -> None:
    db.a.delete_one({"_id": 1})
    db.a.insert_one({"_id": 1.0, "now": "a double"})
    db.a.update_one({"_id": 1}, {"$set": {"x": 1}})
    db.a.delete_one({"_id": 2.0})
    db.a.insert_one({"_id": Decimal128("2")})
    db.a.update_one({"_id": {"a": 1, "b": 2}}, {"$set": {"x": 1}})
    db.a.insert_one({"_id": {"b": 2, "a": 1}})
    db.a.update_one({"_id": None}, {"$set": {"x": 1}})
    db.loose.delete_one({"_id": "A"})
    db.loose.insert_one({"_id": "A", "now": "large"})
    db.loose.update_one({"_id": "a"}, {"$set": {"x": 1}})
    db.loose.update_one({"_id": "b"}, {"$set": {"x": 1}})


def capped(db: Any) -> None:
    db.create_collection("capped", capped=True, size=100_000, max=100)
    db.capped.insert_many([{"_id": n} for n in range(80)])


def capped_goes_around(db: Any) -> None:
    db.capped.insert_many([{"_id": n} for n in range(80, 125)])
    db.capped.update_one({"_id": 120}, {"$set": {"x": 1}})


def unique(db: Any) -> None:
    db.a.insert_many([{"_id": n, "place": n} for n in range(10)])
    db.a.create_index("place", unique=True)
    db.a.create_index("twice", unique=True, sparse=True)


def unique_values_moved(db: Any) -> None:
    for free in (100, 101):
        db.a.update_one({"_id": 0}, {"$set": {"place": free}})
        db.a.update_one({"_id": 1}, {"$set": {"place": free - 100}})
        db.a.update_one({"_id": 0}, {"$set": {"place": 1 - (free - 100)}})
        db.a.update_one({"_id": 1}, {"$set": {"place": 200 + free}})
    db.a.delete_one({"_id": 5})
    db.a.insert_one({"_id": "heir", "place": 5})
    db.a.drop_index("place_1")
    db.a.update_one({"_id": 7}, {"$set": {"place": 8}})
    db.a.delete_one({"_id": 8})
    db.a.create_index("place", unique=True)


def every_kind_of_write(db: Any) -> None:
    db.a.bulk_write([InsertOne({"_id": 50}), UpdateOne({"_id": 51}, {"$set": {"x": 1}}, upsert=True)])
    db.a.update_many({}, [{"$set": {"list": [1, 2, {"y": 3}]}}])
    db.a.update_one({"_id": 1}, {"$set": {"list.2.y": 4, "list.4": 5}})
    db.a.update_one({"_id": 1}, {"$pop": {"list": -1}, "$rename": {"of": "from"}, "$unset": {"n": 1}})
    db.a.replace_one({"_id": 2}, {"replaced": True})
    db.a.find_one_and_delete({"_id": 3})
    db.a.find_one_and_update({"_id": 4}, {"$inc": {"n": 1}})
    with db.client.start_session() as session:
        session.start_transaction()
        db.a.insert_one({"_id": "never"}, session=session)
        db.b.delete_many({}, session=session)
        session.abort_transaction()
        session.start_transaction()
        db.a.insert_one({"_id": "committed"}, session=session)
        db.made_in_it.insert_one({"_id": 1}, session=session)
        db.b.delete_one({"_id": 1}, session=session)
        session.commit_transaction()
    retried(db)


def retried(db: Any) -> None:
    """A write that the driver sends a second time, since the answer to the first was an error."""
    fail = {"failCommands": ["insert"], "writeConcernError": {"code": 262, "errmsg": "too late"}}
    db.client.admin.command({"configureFailPoint": "failCommand", "mode": {"times": 1}, "data": fail})
    db.b.insert_one({"_id": "once", "n": 1})
    assert db.b.count_documents({"_id": "once"}) == 1


def replayed_by_a_client(db: Any) -> None:
    """As mongorestore does: over what is there, off what is not, stubs where there was nothing."""
    ns = f"{db.name}.a"
    diff = {"$v": 2, "diff": {"u": {"x": 1}}}
    db.client.admin.command(
        {
            "applyOps": [
                {"op": "i", "ns": ns, "o": {"_id": 1, "over": True}},
                {"op": "d", "ns": ns, "o": {"_id": 99}},
                {"op": "u", "ns": ns, "o2": {"_id": 98}, "o": diff},
                {"op": "i", "ns": ns, "o": {"_id": "new"}},
            ]
        }
    )
    over = {"op": "i", "ns": f"{db.name}.b", "o": {"_id": 1, "over": True}}
    db.client.admin.command({"applyOps": [over]})
    db.client.admin.command({"applyOps": [{"op": "d", "ns": f"{db.name}.c", "o": {"_id": 99}}]})


def odd_names(db: Any) -> None:
    for name in odd(db):
        db[name].insert_many([{"_id": n, "in": name} for n in range(3)])
        db[name].create_index("in")


def odd(db: Any) -> list[str]:
    longest = 255 - len(db.name) - 1
    return [
        'we ird/na%me*"qé',
        "Orders",
        "orders",
        "or.ders",
        "ord%2Eers",
        "ord[e]rs?",
        "-",
        "metadata.json",
        "x" * longest,
        "x" * (longest - 1) + "y",
        "système.js",
    ]


def written_to_odd_names(db: Any) -> None:
    for name in odd(db):
        db[name].update_one({"_id": 1}, {"$set": {"x": name}})
        db[name].insert_one({"_id": "new"})
    db["or.ders"].rename("or.der.s")


CASES: dict[str, tuple[Change, Change]] = {
    change.__name__: (before, change)
    for before, change in (
        (three, plain_rename),
        (three, rename_over),
        (three, rename_chain),
        (three, swapped_names),
        (three, rotated_twice),
        (three, out_over),
        (three, merged),
        (three, converted_to_capped),
        (three, database_dropped_and_made_again),
        (three, dropped_and_made_again),
        (with_views, views),
        (with_views, database_of_views_dropped),
        (defined, definitions),
        (odd_keys, written_to_odd_keys),
        (capped, capped_goes_around),
        (unique, unique_values_moved),
        (three, every_kind_of_write),
        (three, replayed_by_a_client),
        (odd_names, written_to_odd_names),
    )
}


def test_replay_goes_on_while_a_transaction_is_open(client: Any, prepared: Any, db: Any) -> None:
    """Neither waiting for it, nor making others wait for it, for as long as it lives (server-rules 16)."""
    three(db)
    backup_here(prepared)
    every_kind_of_write(db)
    limit, wanted = moment(client), twin.state_of(client, db.name)
    pairs = (f"{db.name}={db.name}_there",)
    with client.start_session() as session:
        session.start_transaction()
        db.c.insert_one({"_id": "open"}, session=session)
        restore_here(prepared, through=limit, namespaces=(db.name,), mode="beside", renames=pairs)
        assert twin.differences(twin.state_of(client, f"{db.name}_there"), wanted) == []
        session.commit_transaction()
    client.drop_database(f"{db.name}_there")


@pytest.mark.parametrize("case", CASES)
def test_the_range_is_replayed_as_it_happened(
    client: Any, prepared: Any, db: Any, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "BATCH_DOCUMENTS", 2)
    before, change = CASES[case]
    before(db)
    backup_here(prepared)
    change(db)
    limit, wanted = moment(client), twin.state_of(client, db.name)
    order = {n: list(db[n].find()) for n, s in wanted.items() if b"capped\0\x01" in s[-1]}
    client.drop_database(db.name)
    restore_here(prepared, through=limit, namespaces=(db.name,))
    assert twin.differences(twin.state_of(client, db.name), wanted) == []
    assert {n: list(db[n].find()) for n in order} == order
    assert leftovers(client) == []


SCOPES: list[tuple[Change, tuple[str, ...]]] = [
    (plain_rename, ("z",)),
    (rename_over, ("b",)),
    (rename_chain, ("z",)),
    (rename_chain, ("b",)),
    (swapped_names, ("a",)),
    (swapped_names, ("b", "c")),
    (rotated_twice, ("b",)),
    (rotated_twice, ("a",)),
    (out_over, ("b", "fresh")),
    (converted_to_capped, ("a",)),
]


@pytest.mark.parametrize(("change", "names"), SCOPES, ids=lambda x: getattr(x, "__name__", str(x)))
def test_renames_into_the_scope_bring_their_documents(
    client: Any, prepared: Any, db: Any, change: Change, names: tuple[str, ...]
) -> None:
    three(db)
    backup_here(prepared)
    change(db)
    limit, before = moment(client), twin.state_of(client, db.name)
    for name in names:
        db[name].drop()
    restore_here(prepared, through=limit, namespaces=tuple(f"{db.name}.{n}" for n in names))
    assert twin.differences(twin.state_of(client, db.name), before) == []
    assert leftovers(client) == []


@pytest.mark.parametrize("whole", [True, False], ids=["database", "namespace"])
@pytest.mark.parametrize("change", [plain_rename, out_over, rotated_twice], ids=lambda f: f.__name__)
def test_renames_and_a_map_to_another_database(
    client: Any, prepared: Any, db: Any, change: Change, whole: bool
) -> None:
    three(db)
    backup_here(prepared)
    change(db)
    limit, live = moment(client), twin.state_of(client, db.name)
    there = f"{db.name}_there"
    name = "z" if change is plain_rename else "b"
    try:
        if whole:
            restore_here(
                prepared, through=limit, namespaces=(db.name,), renames=(f"{db.name}={there}",), mode="beside"
            )
            wanted = live
        else:
            pair = f"{db.name}.{name}={there}.copy"
            restore_here(
                prepared, through=limit, namespaces=(f"{db.name}.{name}",), renames=(pair,), mode="beside"
            )
            wanted = {"copy": live[name]}
        assert twin.differences(twin.state_of(client, there), wanted) == []
        assert twin.differences(twin.state_of(client, db.name), live) == []
        assert leftovers(client) == []
    finally:
        client.drop_database(there)


def test_a_swap_of_names_that_go_to_two_databases(client: Any, prepared: Any, db: Any) -> None:
    three(db)
    backup_here(prepared)
    swapped_names(db)
    limit, live = moment(client), twin.state_of(client, db.name)
    homes = {name: f"{db.name}_for_{name}" for name in "ab"}
    try:
        pairs = tuple(f"{db.name}.{name}={home}.copy" for name, home in homes.items())
        scope = tuple(f"{db.name}.{name}" for name in homes)
        restore_here(prepared, through=limit, namespaces=scope, renames=pairs, mode="beside")
        for name, home in homes.items():
            assert twin.differences(twin.state_of(client, home), {"copy": live[name]}) == []
        assert leftovers(client) == []
    finally:
        for home in homes.values():
            client.drop_database(home)


def test_a_database_that_is_gone_at_the_limit_leaves_nothing_behind(
    client: Any, prepared: Any, db: Any
) -> None:
    three(db)
    other = client[f"{db.name}_other"]
    other.x.insert_one({"_id": 1})
    backup_here(prepared)
    client.drop_database(other.name)
    limit = moment(client)
    restore_here(prepared, through=limit, namespaces=(db.name + "*",))
    assert leftovers(client) == []
    assert other.name not in client.list_database_names()


# While the dump reads


class Reading:
    """Calls a hook once, while a collection is being read: after its first batch came."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, collection: str, hook: Callable[[], object]) -> None:
        self.called = 0
        here = threading.local()
        read, check = dump_scan.Scanner._read, dump_scan.Scanner._check

        def reading(scanner: Any, scan: Any, file: Any) -> None:
            here.name = scan.name
            read(scanner, scan, file)

        def checking(scanner: Any) -> None:
            check(scanner)
            if getattr(here, "name", "") == collection and not self.called:
                self.called += 1
                hook()

        monkeypatch.setattr(dump_scan.Scanner, "_read", reading)
        monkeypatch.setattr(dump_scan.Scanner, "_check", checking)


def wide(db: Any, name: str = "wide", documents: int = 3000, **options: Any) -> None:
    """Of several batches."""
    db.create_collection(name, **options)
    db[name].insert_many([{"_id": n, "u": n, "fill": "x" * 4000} for n in range(documents)])
    db[name].create_index("u", unique=True)


@pytest.mark.parametrize("collation", [None, {"locale": "en", "strength": 2}], ids=["simple", "loose"])
def test_a_document_that_the_scan_meets_twice(
    client: Any, prepared: Any, db: Any, monkeypatch: pytest.MonkeyPatch, collation: Any
) -> None:
    wide(db, **({"collation": collation} if collation else {}))
    db.wide.insert_one({"_id": "last", "u": -1})

    def moves() -> None:
        for key in (0, 1):
            db.wide.delete_one({"_id": key})
        db.wide.insert_many([{"_id": 0, "u": 0, "again": True}, {"_id": 1.0, "u": 1, "again": True}])

    hook = Reading(monkeypatch, "wide", moves)
    made = backup_here(prepared)
    assert hook.called == 1
    assert made["documents"] > db.wide.count_documents({}), "the scan met none twice"
    limit, wanted = moment(client), twin.state_of(client, db.name)
    client.drop_database(db.name)
    restore_here(prepared, through=limit, namespaces=(db.name,))
    assert twin.differences(twin.state_of(client, db.name), wanted) == []


def test_updates_of_what_the_scan_did_not_see(
    client: Any, prepared: Any, db: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They make stubs, which a later delete removes and a unique index must not meet (server-rules 9)."""
    wide(db)

    def changes() -> None:
        for key in (2990, 2991):
            db.wide.update_one({"_id": key}, {"$set": {"x": 1}})
            db.wide.delete_one({"_id": key})
        db.wide.update_one({"_id": 2992}, {"$set": {"u": -5}})
        db.wide.insert_one({"_id": 2990, "u": 2992})

    hook = Reading(monkeypatch, "wide", changes)
    backup_here(prepared)
    assert hook.called == 1
    limit, wanted = moment(client), twin.state_of(client, db.name)
    client.drop_database(db.name)
    restore_here(prepared, through=limit, namespaces=(db.name,))
    assert twin.differences(twin.state_of(client, db.name), wanted) == []


def test_without_upserts_in_the_window_such_a_snapshot_is_of_no_use(
    client: Any, prepared: Any, db: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    wide(db)

    def changes() -> None:
        db.wide.update_one({"_id": 2990}, {"$set": {"x": 1}})
        db.wide.delete_one({"_id": 2990})

    Reading(monkeypatch, "wide", changes)
    backup_here(prepared)
    write = timeline.Write

    def strict(**fields: Any) -> Any:
        return write(**{**fields, "upsert": False})

    monkeypatch.setattr(timeline, "Write", strict)
    with pytest.raises(Failed) as caught:
        restore_here(
            prepared, namespaces=(db.name,), renames=(f"{db.name}.wide={db.name}.copy",), mode="beside"
        )
    assert caught.value.code == "replay-failed"


# Loss must show


def never_atomic(monkeypatch: pytest.MonkeyPatch) -> None:
    made = replay.Replayer.__init__
    monkeypatch.setattr(
        replay.Replayer, "__init__", lambda self, *a, **k: made(self, *a, **{**k, "atomic": False})
    )


def as_mongodump(store: Path, snapshot: str) -> Path:
    """Makes a snapshot look as the real mongodump leaves it: without our manifest."""
    folder = store / snapshot
    (folder / "manifest.json").unlink()
    prelude = json.dumps({"ServerVersion": "6.0.5", "ToolVersion": "100.9.0"})
    (folder / "prelude.json.gz").write_bytes(gzip.compress(prelude.encode()))
    return folder


def lose(folder: Path, database: str, collection: str, keep: Callable[[Any], bool]) -> None:
    path = folder / database / f"{collection}.bson.gz"
    documents = bson.decode_all(gzip.decompress(path.read_bytes()))
    kept = [bson.encode(d) for d in documents if keep(d)]
    assert len(kept) < len(documents)
    path.write_bytes(gzip.compress(b"".join(kept)))


@pytest.mark.parametrize("atomic", [True, False])
def test_a_document_that_is_missing_after_the_window_is_named(
    client: Any, prepared: Any, db: Any, atomic: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not atomic:
        never_atomic(monkeypatch)
    three(db)
    made = backup_here(prepared)
    folder = as_mongodump(prepared.store, made["snapshot"])
    lose(folder, db.name, "a", lambda d: d["_id"] != 3)
    touch(db, "a")
    db.a.update_one({"_id": 3}, {"$set": {"x": 1}})
    query = {"ns": f"{db.name}.a", "op": "u", "o2._id": 3}
    position = Position.of(client.local["oplog.rs"].find_one(query)["ts"])
    before = twin.state_of(client, db.name)
    with pytest.raises(Failed) as caught:
        restore_here(
            prepared, snapshot=made["snapshot"], through=moment(client), namespaces=(f"{db.name}.a",)
        )
    assert caught.value.code == "replay-failed"
    assert str(position) in str(caught.value) and f"{db.name}.a _id='3'" in str(caught.value)
    assert twin.state_of(client, db.name) == before
    assert leftovers(client) == []


def test_a_deleted_document_that_was_never_there_shows_in_the_count(
    client: Any, prepared: Any, db: Any
) -> None:
    three(db)
    made = backup_here(prepared)
    folder = as_mongodump(prepared.store, made["snapshot"])
    lose(folder, db.name, "a", lambda d: d["_id"] != 3)
    db.a.delete_one({"_id": 3})
    with pytest.raises(Failed) as caught:
        restore_here(
            prepared, snapshot=made["snapshot"], through=moment(client), namespaces=(f"{db.name}.a",)
        )
    assert caught.value.code == "verification" and "documents instead of" in str(caught.value)


def test_a_snapshot_of_mongodump_is_restored(client: Any, prepared: Any, db: Any) -> None:
    with_views(db)
    defined_more = db["we ird/na%me"]
    defined_more.insert_one({"_id": 1})
    made = backup_here(prepared)
    as_mongodump(prepared.store, made["snapshot"])
    touch(db, "a", "we ird/na%me")
    limit, wanted = moment(client), twin.state_of(client, db.name)
    client.drop_database(db.name)
    plan = plan_for(prepared, snapshot=made["snapshot"], through=limit, namespaces=(db.name,))
    assert "identity-unknown" in {h.code for h in plan.hazards}
    run_here(prepared, "restore", {"plan": plan.to_json()})
    assert twin.differences(twin.state_of(client, db.name), wanted) == []


# The last gate, rule 5


def test_nothing_goes_to_the_live_collection(
    client: Any, prepared: Any, db: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The entries carry the live collection's UUID, which would beat the namespace."""
    three(db)
    backup_here(prepared)
    touch(db, "a")
    limit = moment(client)
    db.a.delete_many({})
    sent: list[dict[str, Any]] = []
    command = replay.Replayer._command

    def watched(replayer: Any, entries: list[bytes]) -> None:
        sent.extend(bson.decode(entry) for entry in entries)
        command(replayer, entries)

    monkeypatch.setattr(replay.Replayer, "_command", watched)
    restore_here(prepared, through=limit, namespaces=(f"{db.name}.a",))
    assert sent and all(set(e) <= {"op", "ns", "o", "o2", "b"} for e in sent)
    assert all(e["ns"].partition(".")[2].startswith("mdr_") for e in sent)
    assert db.a.count_documents({}) == 6

    monkeypatch.setattr(timeline.Staged, "namespace", property(lambda staged: f"{db.name}.a"))
    with pytest.raises(Failed) as caught:
        restore_here(prepared, through=limit, namespaces=(f"{db.name}.a",))
    assert caught.value.code == "gate"
    assert db.a.count_documents({}) == 6


# Earlier restores in the range, rule 4


@pytest.mark.parametrize("taken", ["before", "during", "after"])
def test_a_restore_over_the_traces_of_an_earlier_one(
    client: Any, prepared: Any, db: Any, taken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    three(db)
    first = backup_here(prepared)
    touch(db, "a")
    limit = moment(client)
    db.a.delete_many({})
    made = [first["snapshot"]]
    if taken == "during":
        from mongo_dr_console.engines.builtin import restore as engine

        index = engine.BuiltinRestore._index

        def then_backup(work: Any, placed: Any) -> None:
            if len(made) == 1:
                made.append(during(prepared, client))
            index(work, placed)

        monkeypatch.setattr(engine.BuiltinRestore, "_index", then_backup)
    restore_here(prepared, snapshot=first["snapshot"], through=limit, namespaces=(db.name,))
    monkeypatch.undo()
    if taken == "after":
        made.append(backup_here(prepared)["snapshot"])
    db.a.insert_one({"_id": "after the first restore"})
    db.b.update_one({"_id": 1}, {"$set": {"seen": True}})
    second, wanted = moment(client), twin.state_of(client, db.name)
    assert len(wanted["a"][0]) == 7
    db.a.drop()
    restore_here(prepared, snapshot=made[-1], through=second, namespaces=(db.name,))
    assert twin.differences(twin.state_of(client, db.name), wanted) == []
    assert leftovers(client) == []


def during(prepared: Any, client: Any) -> str:
    """A snapshot while a restore is at work: the deployment's lock keeps a second job out, so as the engine
    takes it."""
    from support.jobs import NeverStop

    from mongo_dr_console.engines.builtin.dump import DumpRequest, dump
    from mongo_dr_console.mongo.identity import read_identity
    from mongo_dr_console.stores.local import LocalStore
    from mongo_dr_console.stores.snapshot_writer import SnapshotWriter

    store = LocalStore("local", prepared.store)
    request = DumpRequest(identity=read_identity(client, "test"))
    with SnapshotWriter(store) as writer:
        return dump(client, request, writer, lambda event: None, NeverStop()).name


def test_an_undo_in_the_range(client: Any, prepared: Any, db: Any) -> None:
    three(db)
    first = backup_here(prepared)
    job, _ = restore_here(prepared, snapshot=first["snapshot"], namespaces=(f"{db.name}.a",))
    between = backup_here(prepared)
    run_here(prepared, "undo", {"job": job})
    touch(db, "a")
    limit, wanted = moment(client), twin.state_of(client, db.name)
    db.a.delete_many({})
    with pytest.raises(Refused) as caught:
        plan_for(prepared, snapshot=between["snapshot"], through=limit, namespaces=(f"{db.name}.a",))
    assert caught.value.code == "rename-source-missing" and "snapshot" in (caught.value.hint or "")
    restore_here(prepared, snapshot=first["snapshot"], through=limit, namespaces=(f"{db.name}.a",))
    assert twin.differences(twin.state_of(client, db.name), wanted) == []


# The tests must be able to fail


def breaks_closure(monkeypatch: pytest.MonkeyPatch) -> None:
    from mongo_dr_console.workers import planning

    monkeypatch.setattr(planning, "rename_closure", lambda wanted, renames: set())


def breaks_duplicates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "_DUPLICATE_KEY", -1)


def test_a_rename_that_is_not_followed_is_caught(
    client: Any, prepared: Any, db: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    three(db)
    backup_here(prepared)
    out_over(db)
    breaks_closure(monkeypatch)
    with pytest.raises(Trouble):
        restore_here(prepared, through=moment(client), namespaces=(f"{db.name}.b",))
    with suppress(PyMongoError):
        assert db.b.count_documents({}) == 6
