"""Finding events in the oplog of a real set, as an operator does."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from mongo_dr_console.cli.main import run
from mongo_dr_console.model.event import Event
from mongo_dr_console.model.eventscan import Filter, selects
from mongo_dr_console.model.oplogentry import Operation, TransactionAssembler, raw_entry
from mongo_dr_console.model.position import Bound, Limit, Position, Span
from mongo_dr_console.model.rawbson import split
from mongo_dr_console.mongo.launch import ReplicaSet
from mongo_dr_console.stream.finder import entry_before, find_events, neighbours
from mongo_dr_console.stream.live import LiveOplog
from mongo_dr_console.stream.saved import SavedRange, save_range

if TYPE_CHECKING:
    from pathlib import Path

    from pymongo import MongoClient

    from tests.conftest import ProfileFor

pytestmark = pytest.mark.mongod

Find = Callable[..., Any]


@pytest.fixture
def client(replica_set: ReplicaSet) -> Iterator[MongoClient[Any]]:
    with replica_set.client() as client:
        yield client


@pytest.fixture
def began(client: MongoClient[Any]) -> Position:
    return newest(client)


@pytest.fixture
def mdr(
    replica_set: ReplicaSet, profile_for: ProfileFor, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    profile_for(replica_set)

    def call(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            run(list(words))
        told = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, told.out, told.err

    return call


def newest(client: MongoClient[Any]) -> Position:
    entry = client.local["oplog.rs"].find_one({}, sort=[("$natural", -1)])
    assert entry is not None
    return Position.of(entry["ts"])


def commands(client: MongoClient[Any], database: str) -> list[Position]:
    """Positions of the drops and renames, as the server has them."""
    entries = client.local["oplog.rs"].find({"op": "c", "ns": f"{database}.$cmd"}).sort("$natural", 1)
    return [
        Position.of(e["ts"])
        for e in entries
        if next(iter(e["o"])) in ("drop", "dropDatabase", "renameCollection")
    ]


def writes(client: MongoClient[Any], namespace: str, op: str) -> list[Position]:
    """Positions of what was written without a session, as statements for many documents do."""
    entries = client.local["oplog.rs"].find({"ns": namespace, "op": op, "lsid": {"$exists": False}})
    return [Position.of(e["ts"]) for e in entries.sort("$natural", 1)]


def own(client: MongoClient[Any], event: Event) -> list[Operation]:
    source, assembler = LiveOplog(client), TransactionAssembler()
    span = source.windows()[0]
    found = [
        o
        for batch in source.read(span.start, span.end)
        for raw in split(batch)
        for o in assembler.feed(raw_entry(raw))
    ]
    return [o for o in found if selects(event.selector, o)]


def settled(client: MongoClient[Any]) -> None:
    """What was written so far is majority-committed."""
    client.admin.command("appendOplogNote", 1, data={"note": "settled"}, writeConcern={"w": "majority"})


@pytest.mark.slow
def test_each_kind_of_event_has_its_exact_position_and_extent(
    client: MongoClient[Any], began: Position, database_name: str
) -> None:
    db = client[database_name]
    db.orders.insert_many([{"_id": n, "total": n % 3, "status": "open"} for n in range(2_000)])
    db.carts.insert_many([{"_id": n} for n in range(150)])
    db.archive.insert_many([{"_id": n} for n in range(7)])
    db.command("create", "view", viewOn="orders", pipeline=[])
    for n in range(20):
        db.orders.delete_one({"_id": n})
        db.orders.update_one({"_id": 100 + n}, {"$set": {"status": "paid"}})
    db.orders.update_many({}, {"$set": {"status": "x", "total": 0}})
    db.orders.update_one({"_id": 100}, {"$set": {"status": "paid"}})
    db.orders.delete_many({"_id": {"$gte": 1_000}})
    db.orders.delete_one({"_id": 900})
    with client.start_session() as session, session.start_transaction():
        db.carts.delete_many({}, session=session)
        db.orders.insert_one({"_id": "neighbour"}, session=session)
    db.carts.insert_one({"_id": "new"})
    db.carts.rename("archive", dropTarget=True)
    db.archive.drop()
    db.orders.insert_one({"_id": "last"})
    client.drop_database(database_name)
    settled(client)

    events = find_events(LiveOplog(client), began, None, Filter((database_name,)))
    update, delete, inside, over, drop, database = events
    ddl = commands(client, database_name)
    updates, deletes = (
        writes(client, f"{database_name}.orders", "u"),
        writes(client, f"{database_name}.orders", "d"),
    )

    assert [e.kind for e in events] == [
        "mass-update", "mass-delete", "mass-delete", "rename-over", "drop", "drop-database"
    ]  # fmt: skip
    assert (update.position, update.last, update.documents) == (updates[0], updates[-1], 1_980)
    assert (delete.position, delete.last, delete.documents) == (deletes[0], deletes[-1], 1_000)
    assert (inside.namespace, inside.documents) == (f"{database_name}.carts", 150)
    assert (over.position, over.namespace, over.documents) == (ddl[0], f"{database_name}.archive", 7)
    assert (drop.position, drop.documents) == (ddl[1], 1)
    assert (database.position, database.last) == (ddl[2], ddl[-1])
    assert database.operations == len(ddl) - 2
    assert database.documents == 981
    for event in events:
        assert len(own(client, event)) == event.operations
        assert event.before is not None
        assert event.before < event.position
        assert client.local["oplog.rs"].count_documents(
            {"ts": {"$gt": event.before.timestamp, "$lt": event.position.timestamp}}
        ) == 0  # fmt: skip


def test_all_ways_of_reading_find_the_same(
    client: MongoClient[Any], began: Position, database_name: str, tmp_path: Path
) -> None:
    db = client[database_name]
    db.a.insert_many([{"_id": n} for n in range(500)])
    db.a.update_many({}, {"$set": {"x": 1}})
    for n in range(150):
        db.a.delete_one({"_id": n})
    db.a.drop()
    settled(client)
    live, wanted = LiveOplog(client), Filter((database_name,))
    end = live.windows()[0].end
    saved = save_range(live.read(began, end), tmp_path / "oplog")
    events = find_events(live, began, None, wanted)
    assert [e.kind for e in events] == ["mass-update", "mass-delete", "drop"]
    assert find_events(saved, None, None, wanted) == events
    assert saved.windows() == [Span(began, end)]
    for event in events:
        assert find_events(live, event.last, event.last, wanted) == [event]
        for source in (live, saved):
            limit = Limit(event.position, Bound.BEFORE)
            (applied,), (left_out,) = neighbours(source, limit)
            assert applied.position == event.before == entry_before(source, event.position)
            assert left_out.position == event.position
            (applied,), _ = neighbours(source, Limit(event.last, Bound.THROUGH))
            assert applied.position == event.last
    assert SavedRange(saved.path).verify().first == began


def test_the_command_names_it_and_how_to_go_before_it(
    client: MongoClient[Any], began: Position, database_name: str, mdr: Find
) -> None:
    client[database_name].orders.insert_many([{"_id": n} for n in range(3)])
    client[database_name].orders.drop()
    settled(client)
    since = ("--since", str(began), "--ns", database_name)
    code, out, _ = mdr("find", *since, "--json")
    document = json.loads(out)
    (event,) = document["events"]
    assert code == 0
    assert document["schema"] == "mdr.find"
    assert set(event) >= {
        "id", "position", "last", "operations", "time", "namespace", "kind", "documents", "before"
    }  # fmt: skip
    assert (event["kind"], event["documents"]) == ("drop", 3)
    assert event["time"].endswith("Z")
    code, out, _ = mdr("find", *since)
    assert code == 0
    assert f"mdr restore plan --before event:{event['id']} --ns {database_name}.orders" in out
    code, out, _ = mdr("--profile", "test", "find", "--since", f"event:{event['id']}", "--until", "latest")
    assert f"mdr --profile test restore plan --skip {event['id']}" in out
    code, out, _ = mdr("find", "--since", str(newest(client)), "--until", "latest", "--json")
    assert (code, json.loads(out)["events"]) == (0, [])


def test_the_history_of_one_document(
    client: MongoClient[Any],
    began: Position,
    database_name: str,
    mdr: Find,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    db = client[database_name]
    db.orders.insert_many([{"_id": 5, "x": 1}, {"_id": "5"}, {"_id": 6}])
    db.orders.update_one({"_id": 5}, {"$set": {"x": 2}})
    db.orders.update_one({"_id": 6}, {"$set": {"x": 2}})
    with client.start_session() as session, session.start_transaction():
        db.orders.delete_one({"_id": 5}, session=session)
        db.orders.delete_one({"_id": 6}, session=session)
    db.orders.drop()
    settled(client)
    since = ("--since", str(began), "--ns", f"{database_name}.orders")

    def history(identity: str) -> list[dict[str, Any]]:
        code, out, _ = mdr("find", *since, "--id", identity, "--json")
        assert code == 0
        return list(json.loads(out)["history"])

    five = history('{"$numberInt": "5"}')
    assert [h["operation"] for h in five] == ["create", "i", "u", "d", "drop"]
    assert five[1]["document"] == {"_id": {"$numberInt": "5"}, "x": {"$numberInt": "1"}}
    assert five[3]["transaction"]
    assert [h["operation"] for h in history('"5"')] == ["create", "i", "drop"]
    assert [h["operation"] for h in history("5")] == ["create", "i", "i", "u", "d", "drop"]
    code, out, _ = mdr("find", *since, "--id", "7")
    assert code == 0
    assert "create" in out
    # What --redact sets goes with the test.
    monkeypatch.setenv("MDR_REDACT", "")
    code, out, _ = mdr("find", *since, "--id", "5", "--redact")
    assert code == 0 and "_id=<value> (x)" in out and "_id=5" not in out
    hidden = history("5")
    assert hidden[1]["document"] == {"_id": "<number>", "x": "<number>"}
    assert hidden[1]["text"] == f"insert {database_name}.orders _id=<value>"


@pytest.mark.parametrize(
    ("words", "code", "error"),
    [
        (("--since", "2026-11-22T02:11:31"), 2, "time-naive"),
        (("--since", "-0m", "--until", "-10m"), 2, "range-backwards"),
        (("--since", "event:ffffffff"), 2, "event-unknown"),
        (("--id", "5"), 2, "namespace-unsaid"),
        (("--id", "5", "--ns", "shop.*"), 2, "namespace-unsaid"),
        (("--id", "{5", "--ns", "shop.a"), 2, "id-wrong"),
        (("--min-documents", "0"), 2, "usage"),
    ],
)
def test_wrong_use_is_told(mdr: Find, words: tuple[str, ...], code: int, error: str) -> None:
    ended, out, err = mdr("find", *words, "--json")
    assert (ended, json.loads(out)["error"]["code"]) == (code, error)
    assert "Traceback" not in err


@pytest.mark.slow
def test_changed_definitions_users_and_roles_and_a_slow_delete_are_found_by_all_ways_of_reading(
    client: MongoClient[Any], began: Position, database_name: str, tmp_path: Path, mdr: Find
) -> None:
    db = client[database_name]
    db.orders.insert_many([{"_id": n} for n in range(400)])
    db.command("collMod", "orders", validator={"_id": {"$gte": 0}}, validationLevel="moderate")
    db.command("createRole", "clerk", privileges=[], roles=[])
    db.command("createUser", "app", pwd="x" * 20, roles=["clerk"])
    db.command("updateUser", "app", customData={"n": 1})
    db.command("dropUser", "app")
    db.command("dropRole", "clerk")
    with client.start_session() as session:
        for n in range(105):
            db.orders.delete_one({"_id": n}, session=session)
            time.sleep(0.06)
    settled(client)
    live = LiveOplog(client)
    end = live.windows()[0].end
    saved = save_range(live.read(began, end), tmp_path / "oplog")
    mine = [
        e for e in find_events(live, began, end, slow=True) if database_name in f"{e.namespace} {e.detail}"
    ]
    assert [e.kind for e in mine] == [
        "coll-mod", "role-change", "user-change", "user-change", "user-change", "role-change", "mass-delete"
    ]  # fmt: skip
    named = f"user {database_name}.app was"
    assert [e.detail for e in mine[2:5]] == [f"{named} made", f"{named} changed", f"{named} dropped"]
    assert mine[6].documents == 105 and mine[6].detail.startswith("slow")
    others = find_events(saved, began, end, slow=True)
    assert [e for e in others if database_name in f"{e.namespace} {e.detail}"] == mine
    assert all(len(own(client, event)) == event.operations for event in mine)

    code, out, _ = mdr("find", "--since", str(began), "--json")
    told = {e["id"]: e for e in json.loads(out)["events"]}
    assert code == 0 and {e.id for e in mine} <= set(told)
    assert told[mine[6].id]["share"] == 0.2625
    _, out, _ = mdr("find", "--since", str(began))
    assert f"restore plan --before event:{mine[3].id} --users" in out
    assert f"--skip {mine[3].id}" not in out and f"--skip {mine[0].id}" in out
    code, out, _ = mdr("restore", "plan", "--skip", mine[3].id, "--json")
    assert (code, json.loads(out)["error"]["code"]) == (2, "event-not-skippable")
