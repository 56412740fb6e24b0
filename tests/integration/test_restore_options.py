"""What mongorestore's options are called here, and do: include, exclude, rename, UUIDs, order, first error,
users. Each with replay, which the real tool refuses together with most of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import bson
import pytest
from support import twin
from support.jobs import backup_here, plan_for, restore_here, run_here
from support.toolkit import as_mongodump, moment

from mongo_dr_console.engines.builtin import load
from mongo_dr_console.model import rawbson
from mongo_dr_console.model.trouble import Failed, WrongUse
from mongo_dr_console.mongo.collections import collection_uuid

pytestmark = pytest.mark.mongod


@pytest.fixture
def db(client: Any, database_name: str) -> Any:
    return client[database_name]


def filled(db: Any, *names: str) -> None:
    for name in names:
        db[name].insert_many([{"_id": n, "in": name} for n in range(4)])
        db[name].create_index("in")


def written(db: Any, *names: str) -> None:
    for name in names:
        db[name].update_one({"_id": 1}, {"$set": {"seen": True}})
        db[name].insert_one({"_id": "new"})


# Include, exclude


def test_what_is_excluded_stays_as_it_is(client: Any, prepared: Any, db: Any) -> None:
    """Except that documents which come out of it by a rename are followed."""
    filled(db, "a", "tmp_1", "tmp.2", "tmp_source")
    db.create_collection("tmp_series", timeseries={"timeField": "at"})
    db.command({"create": "tmp_view", "viewOn": "a", "pipeline": []})
    backup_here(prepared)
    written(db, "a", "tmp_1", "tmp_source")
    db.tmp_source.rename("moved")
    limit, wanted = moment(client), twin.state_of(client, db.name)
    for name in ("a", "tmp_1", "moved"):
        db[name].delete_many({})
    spared = {n: s for n, s in twin.state_of(client, db.name).items() if n.startswith("tmp")}
    intent: dict[str, Any] = {"through": limit, "namespaces": (db.name,), "exclude": (f"{db.name}.tmp*",)}
    plan = plan_for(prepared, **intent)
    assert [n.target for n in plan.namespaces] == [f"{db.name}.a", f"{db.name}.moved"]
    assert f"--ns {db.name} --exclude '{db.name}.tmp*'" in plan.command
    assert plan.hash != plan_for(prepared, through=limit, namespaces=(db.name,)).hash
    run_here(prepared, "restore", {"plan": plan.to_json()})
    assert twin.differences(twin.state_of(client, db.name), {**wanted, **spared}) == []


def test_an_exclusion_alone_is_not_everything(client: Any, prepared: Any, db: Any) -> None:
    filled(db, "a", "b")
    backup_here(prepared)
    kept = (db.name, "admin", "config", "local", "mongo_dr")
    others = tuple(n for n in client.list_database_names() if n not in kept)
    plan = plan_for(prepared, exclude=(f"{db.name}.b", *others))
    assert [n.target for n in plan.namespaces] == [f"{db.name}.a"]
    assert plan.confirm.endswith(f"/{db.name}.a") and not plan.users
    with pytest.raises(WrongUse) as caught:
        plan_for(prepared, exclude=(f"{db.name}.bb",))
    assert caught.value.code == "namespace-unknown" and f"{db.name}.bb" in caught.value.message


def test_names_with_stars_and_backslashes_are_chosen_as_they_are(client: Any, prepared: Any, db: Any) -> None:
    filled(db, "st*ar", "stXar", "back\\slash")
    backup_here(prepared)
    wanted = twin.state_of(client, db.name)
    for name in ("st*ar", "stXar", "back\\slash"):
        db[name].drop()
    restore_here(prepared, namespaces=(rf"{db.name}.st\*ar", rf"{db.name}.back\slash"))
    found = twin.state_of(client, db.name)
    assert sorted(found) == ["back\\slash", "st*ar"]
    assert twin.differences(found, {n: wanted[n] for n in found}) == []


# Rename patterns


def test_a_map_with_stars_in_replay(client: Any, prepared: Any, db: Any) -> None:
    filled(db, "a", "a.b", "st*ar")
    backup_here(prepared)
    written(db, "a", "st*ar")
    db["a.b"].rename("a.c")
    limit, live = moment(client), twin.state_of(client, db.name)
    there = f"{db.name}_there"
    pairs = (f"{db.name}.*={there}.*_then", rf"{db.name}.st\*ar={there}.star")
    try:
        restore_here(prepared, through=limit, namespaces=(db.name,), renames=pairs, mode="beside")
        wanted = {"a_then": live["a"], "a.c_then": live["a.c"], "star": live["st*ar"]}
        assert twin.differences(twin.state_of(client, there), wanted) == []
        assert twin.differences(twin.state_of(client, db.name), live) == []
    finally:
        client.drop_database(there)
    for pair, code in (
        (f"{db.name}.a*={db.name}.*", "map-wrong"),
        (f"{db.name}.*={there}.$x", "target-forbidden"),
        (f"{db.name}.x*={there}.x*", "map-unmatched"),
    ):
        intent = {"namespaces": (db.name,), "renames": (pair.replace(".$x", ".*$"),), "mode": "beside"}
        with pytest.raises(WrongUse) as caught:
            plan_for(prepared, **intent)
        assert caught.value.code == code, pair


# UUIDs


def uuids(db: Any) -> dict[str, str | None]:
    names = db.list_collection_names(filter={"type": "collection"})
    return {n: collection_uuid(db.client, db.name, n) for n in names if not n.startswith(("system.", "mdr_"))}


def of_every_kind(db: Any) -> None:
    filled(db, "plain", "renamed")
    db.create_collection("names", collation={"locale": "sv", "strength": 1})
    db.names.insert_one({"_id": "å"})
    db.create_collection("log", capped=True, size=4096, max=5)
    db.create_collection("clustered", clusteredIndex={"key": {"_id": 1}, "unique": True, "name": "mine"})
    db.create_collection("checked", validator={"x": {"$gt": 0}}, validationLevel="moderate")
    db.create_collection("images", changeStreamPreAndPostImages={"enabled": True})


@pytest.mark.parametrize("mode", ["swap", "in-place"])
def test_collections_get_the_uuids_that_they_had(client: Any, prepared: Any, db: Any, mode: str) -> None:
    of_every_kind(db)
    backup_here(prepared)
    db.renamed.rename("renamed again")
    db.made.insert_one({"_id": 1})
    written(db, "plain")
    limit, wanted, had = moment(client), twin.state_of(client, db.name), uuids(db)
    assert len(had) == 8
    if mode == "swap":
        client.drop_database(db.name)
    else:
        written(db, "log", "names")
    intent: dict[str, Any] = {"through": limit, "namespaces": (db.name,), "mode": mode}
    plan = plan_for(prepared, **intent, preserve_uuids=True)
    assert plan.hash != plan_for(prepared, **intent).hash and "--preserve-uuids" in plan.command
    assert not [h for h in plan.hazards if h.code.startswith("uuid")]
    run_here(prepared, "restore", {"plan": plan.to_json()})
    assert uuids(db) == had
    assert twin.differences(twin.state_of(client, db.name), wanted) == []


def test_what_cannot_keep_its_uuid_is_told(client: Any, prepared: Any, db: Any) -> None:
    filled(db, "live", "gone", "renamed")
    db.create_collection("series", timeseries={"timeField": "at"})
    made = backup_here(prepared)["snapshot"]
    had = uuids(db)
    db.gone.drop()
    db.renamed.rename("elsewhere")
    plan = plan_for(prepared, snapshot=made, namespaces=(db.name,), preserve_uuids=True)
    told = {h.code: h.text for h in plan.hazards if h.code.startswith("uuid")}
    assert f"{db.name}.live" in told["uuid-taken"] and "in-place" in told["uuid-taken"]
    assert f"{db.name}.renamed (held by {db.name}.elsewhere)" in told["uuid-taken"]
    assert f"{db.name}.series" in told["uuid-of-series"] and "gone" not in told["uuid-taken"]
    run_here(prepared, "restore", {"plan": plan.to_json()})
    now = uuids(db)
    assert now["gone"] == had["gone"] and now["elsewhere"] == had["renamed"]
    assert now["live"] != had["live"] and now["renamed"] != had["renamed"]


def test_a_uuid_that_somebody_has_meanwhile_is_not_taken_from_them(
    client: Any, prepared: Any, db: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server would rename that collection to the name that is asked for."""
    filled(db, "a")
    backup_here(prepared)
    had = uuids(db)
    db.a.drop()
    plan = plan_for(prepared, namespaces=(db.name,), preserve_uuids=True)
    create = load.create_with_uuid

    def late(there: Any, database: str, name: str, uuid: str, options: Any) -> None:
        create(client, database, "theirs", uuid, {})
        create(there, database, name, uuid, options)

    monkeypatch.setattr(load, "create_with_uuid", late)
    with pytest.raises(Failed) as caught:
        run_here(prepared, "restore", {"plan": plan.to_json()})
    assert caught.value.code == "uuid-taken" and f"{db.name}.theirs" in caught.value.message
    assert uuids(db) == {"theirs": had["a"]}


# The first error, and the order


@pytest.fixture
def bad(client: Any, prepared: Any, db: Any) -> str:
    """A snapshot with a document that no server takes, and one that a unique index does not."""
    for name in ("a", "b"):
        db[name].insert_many([{"_id": n, "u": n} for n in range(50)])
    db.b.create_index("u", unique=True, name="once")
    request = {"stores": None, "compression": "none", "databases": None}
    made = str(run_here(prepared, "backup", request)[1].result["snapshot"])
    return as_mongodump(prepared.store, made)


def add(path: Path, document: dict[str, Any]) -> None:
    with path.open("ab") as file:
        file.write(bson.encode(document))


@pytest.mark.parametrize(
    ("name", "document", "says"),
    [("a", {"_id": [1]}, "a document of"), ("b", {"_id": "x", "u": 7}, "index once of")],
)
def test_the_first_error_ends_it(
    client: Any, prepared: Any, db: Any, bad: str, name: str, document: dict[str, Any], says: str
) -> None:
    add(prepared.store / bad / db.name / f"{name}.bson", document)
    before = twin.state_of(client, db.name)
    intent: dict[str, Any] = {"snapshot": bad, "namespaces": (db.name,)}
    plan = plan_for(prepared, **intent, stop_on_error=True)
    told = {h.code: h.severity for h in plan.hazards}
    assert told["stop-on-error"] == "info", "nothing is dropped"
    assert "--stop-on-error" in plan.command and plan.hash != plan_for(prepared, **intent).hash
    with pytest.raises(Failed) as caught:
        run_here(prepared, "restore", {"plan": plan.to_json()})
    assert caught.value.code == "stopped-on-error" and f"{says} {db.name}.{name}" in caught.value.message
    assert twin.state_of(client, db.name) == before, "nothing live was changed, and nothing is left"


def test_the_order_of_the_snapshot_is_kept(
    client: Any, prepared: Any, db: Any, bad: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it several threads insert: one batch is held up until the next is in."""
    monkeypatch.setattr(load, "BATCH_DOCUMENTS", 10)
    wanted = [d["_id"] for d in bson.decode_file_iter((prepared.store / bad / db.name / "a.bson").open("rb"))]
    insert: Callable[..., Any] = load._Inserting.insert
    held: list[int] = []

    def slow(work: Any, batch: bytes, size: int) -> Any:
        begins = bson.decode(next(rawbson.split(batch)))["_id"]
        first = begins == wanted[0] and work.collection.database.name == db.name
        if first and not held and not work.ordered:
            held.append(1)
            while work.collection.count_documents({}) < 10:
                pass
        return insert(work, batch, size)

    monkeypatch.setattr(load._Inserting, "insert", slow)
    found = []
    for keep in (True, False):
        client.drop_database(db.name)
        held.clear()
        intent: dict[str, Any] = {"snapshot": bad, "namespaces": (f"{db.name}.a",), "keep_order": keep}
        assert ("keep-order" in {h.code for h in plan_for(prepared, **intent).hazards}) is keep
        restore_here(prepared, **intent)
        found.append([d["_id"] for d in db.a.find()])
    assert found[0] == wanted, "--keep-order"
    assert found[1] != wanted and sorted(found[1]) == sorted(wanted)


# Users of single databases


@pytest.fixture
def two(client: Any, db: Any) -> Iterator[list[Any]]:
    databases = [db, client[f"{db.name}_2"]]
    yield databases
    for one in databases:
        with suppress(Exception):
            one.command({"dropAllUsersFromDatabase": 1})
            one.command({"dropAllRolesFromDatabase": 1})


def test_users_of_one_database(client: Any, prepared: Any, db: Any, two: list[Any]) -> None:
    db.a.insert_one({"_id": 1})
    for one in two:
        one.command({"createRole": "reader", "privileges": [], "roles": []})
        one.command({"createUser": "ann", "pwd": "a", "roles": ["reader"]})
    made = backup_here(prepared)["snapshot"]
    for one in two:
        one.command({"dropAllUsersFromDatabase": 1})
        one.command({"dropAllRolesFromDatabase": 1})
    users = sorted(d["_id"] for d in client.admin["system.users"].find({"db": "admin"}))
    intent: dict[str, Any] = {"snapshot": made, "namespaces": (f"{db.name}.a",), "users": True}
    plan = plan_for(prepared, **intent, users_of=(db.name,), mode="beside")
    assert plan.users and f"--users-of {db.name}" in plan.command
    text = next(h.text for h in plan.hazards if h.code == "users")
    assert f"users and roles of {db.name} are added" in text
    _, outcome = run_here(prepared, "restore", {"plan": plan.to_json()})
    added = {"users": [f"{db.name}.ann"], "roles": [f"{db.name}.reader"], "kept": []}
    assert outcome.result["logins"] == added
    assert client.admin["system.users"].find_one({"_id": f"{db.name}_2.ann"}) is None
    assert sorted(d["_id"] for d in client.admin["system.users"].find({"db": "admin"})) == users
