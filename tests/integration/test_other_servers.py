"""What depends on the version of the server. Each test says which it needs, and is skipped by any other;
``MDR_MONGOD`` names the mongod to run them with. Newer behaviour is tried where this one can be told to."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import bson
import pytest
from bson import ObjectId
from pymongo.errors import OperationFailure
from support import twin
from support.dumpmaker import T, dump_folder, entry
from support.jobs import backup_here, restore_here, run_here
from support.toolkit import as_mongodump

from mongo_dr_console.model.trouble import Failed

pytestmark = pytest.mark.mongod

DIFF = {"$v": 2, "diff": {"u": {"x": 1}}}
_MISSING_DOCUMENT = 218


@pytest.fixture
def db(client: Any, database_name: str) -> Any:
    return client[database_name]


def needs(client: Any, low: str = "0", below: str = "999") -> None:
    """Skips, with a line that says which server is needed."""
    version = client.server_info()["version"]
    if _numbers(low) <= _numbers(version) < _numbers(below):
        return
    wanted = f"{low} or later" if below == "999" else f"older than {below}"
    pytest.skip(f"needs a server {wanted}; this one is {version}")


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.partition("-")[0].split(".")[:2]]


def update(db: Any, **options: Any) -> dict[str, Any]:
    """The server's answer to an ``applyOps`` with an update of a document that is not there."""
    more = {"b": options.pop("b")} if "b" in options else {}
    change = {"op": "u", "ns": f"{db.name}.a", "o": DIFF, "o2": {"_id": "missing"}, **more}
    answer: dict[str, Any] = db.client.admin.command({"applyOps": [change], **options})
    return answer


def test_an_update_of_a_missing_document_up_to_8_0(client: Any, db: Any) -> None:
    """By itself it makes a stub; told not to upsert it answers as 8.1 does."""
    needs(client, below="8.1")
    db.create_collection("a")
    with pytest.raises(OperationFailure) as caught:
        update(db, alwaysUpsert=False)
    assert caught.value.code == _MISSING_DOCUMENT and db.a.find_one() is None
    update(db)
    assert db.a.find_one() == {"_id": "missing", "x": 1}


def test_an_update_of_a_missing_document_from_8_1(client: Any, db: Any) -> None:
    needs(client, "8.1")
    db.create_collection("a")
    with pytest.raises(OperationFailure) as caught:
        update(db)
    assert caught.value.code == _MISSING_DOCUMENT and db.a.find_one() is None


def test_what_replay_sends_is_the_same_to_every_server(client: Any, db: Any) -> None:
    """Upserts are asked for one by one, and nowhere else."""
    db.create_collection("a")
    update(db, alwaysUpsert=False, b=True)
    assert db.a.find_one() == {"_id": "missing", "x": 1}


def test_an_update_of_the_older_form_from_6_1(client: Any, prepared: Any, db: Any) -> None:
    needs(client, "6.1")
    older = {"$v": 1, "$set": {"x": 1}}
    name, change = "20200913_122640", entry(1, "u", f"{db.name}.a", older, o2={"_id": 1})
    dump_folder(prepared.store / name, db.name, {"a": [{"_id": 1}]}, [change])
    try:
        restore_here(prepared, snapshot=name, namespaces=(db.name,))
    except Failed as trouble:
        assert trouble.code == "replay-failed" and f"{T}:1" in trouble.message
    else:
        assert db.a.find_one() == {"_id": 1, "x": 1}, "servers that were taught it again"


@pytest.mark.parametrize("version", ["6.0.5", "8.1.0"])
def test_users_come_back_whatever_is_said_of_the_version_of_logins(
    client: Any, prepared: Any, db: Any, version: str
) -> None:
    """Up to 8.0 mongorestore wants ``authSchema`` in ``system.version``; a dump of 8.1 has none."""
    db.a.insert_one({"_id": 1})
    db.command({"createUser": "ann", "pwd": "a", "roles": []})
    wanted = client.admin["system.users"].find_one({"_id": f"{db.name}.ann"})
    name = as_mongodump(prepared.store, backup_here(prepared)["snapshot"])
    folder = prepared.store / name
    for path in folder.glob("admin/system.version.*"):
        path.unlink()
    (folder / "prelude.json.gz").unlink(missing_ok=True)
    (folder / "prelude.json").write_text(f'{{"ServerVersion": "{version}"}}', encoding="utf-8")
    db.command({"dropAllUsersFromDatabase": 1})
    try:
        restore_here(prepared, snapshot=name, namespaces=(f"{db.name}.a",), users=True, users_of=(db.name,))
        assert client.admin["system.users"].find_one({"_id": f"{db.name}.ann"}) == wanted
    finally:
        db.command({"dropAllUsersFromDatabase": 1})


def test_time_series_that_have_no_buckets_collection(client: Any, prepared: Any, db: Any) -> None:
    needs(client, "8.3")
    db.create_collection("weather", timeseries={"timeField": "at"})
    db.weather.insert_one({"at": datetime(2026, 1, 1, tzinfo=UTC), "x": 1})
    wanted = twin.state_of(client, db.name)
    made = backup_here(prepared)["snapshot"]
    client.drop_database(db.name)
    restore_here(prepared, snapshot=made, namespaces=(db.name,))
    assert twin.differences(twin.state_of(client, db.name), wanted) == []


def test_buckets_of_mixed_schema(client: Any, prepared: Any, db: Any) -> None:
    """More than one batch of them, as upgrades from 5.0 have left them: later servers refuse them, unless the
    collection says that it has some."""
    db.create_collection("weather", timeseries={"timeField": "at"})
    db.weather.insert_many([{"at": datetime(2026, 1, n, tzinfo=UTC), "x": n} for n in range(1, 3)])
    made = run_here(prepared, "backup", {"stores": None, "compression": "none", "databases": None})[1]
    name = as_mongodump(prepared.store, made.result["snapshot"])
    path = prepared.store / name / db.name / "system.buckets.weather.bson"
    add_mixed(path, 2500)
    client.drop_database(db.name)
    restore_here(prepared, snapshot=name, namespaces=(db.name,))
    found = db["system.buckets.weather"].count_documents({})
    assert found == 2502 and db.weather.count_documents({}) == 2 + 2500 * 2


def add_mixed(path: Any, count: int) -> None:
    """Adds buckets in which a field is a number in one measurement and text in another."""
    first = bson.decode_all(path.read_bytes())[0]
    at = first["control"]["min"]["at"]
    with path.open("ab") as file:
        for number in range(count):
            control = {"version": 1, "min": {"at": at, "x": 1}, "max": {"at": at, "x": "b"}}
            data = {"at": {"0": at, "1": at}, "x": {"0": 1, "1": "b"}}
            file.write(bson.encode({"_id": _object_id(at, number), "control": control, "data": data}))


def _object_id(at: datetime, number: int) -> Any:
    return ObjectId(int(at.timestamp()).to_bytes(4, "big") + (number + 2**40).to_bytes(8, "big"))
