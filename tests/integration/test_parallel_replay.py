"""A replay side by side ends as one operation after the other does, and a job that dies in it goes on."""

from __future__ import annotations

import random
from typing import Any

import bson
import pytest
from bson import Decimal128, Int64, ObjectId, Timestamp
from bson.raw_bson import RawBSONDocument
from pymongo import DeleteOne, InsertOne, ReplaceOne, UpdateOne
from pymongo.write_concern import WriteConcern
from support import twin
from support.jobs import backup_here, plan_for, restore_here, resume_here

from mongo_dr_console.engines.builtin import lanes, replay, replay_run
from mongo_dr_console.model import rawbson
from mongo_dr_console.model.journal import checkpoints, decode_all
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.timeline import Staged, Write
from mongo_dr_console.model.trouble import Failed
from mongo_dr_console.workers import jobs

pytestmark = pytest.mark.mongod

IDS: list[Any] = [
    0,
    1,
    2.0,
    Int64(3),
    Decimal128("4.0"),
    "a",
    "A",
    "b",
    b"x",
    None,
    True,
    {"a": 1},
    ObjectId(),
]
TWINS: dict[int, list[Any]] = {
    n: [n, float(n), Int64(n), Decimal128(str(n)), Decimal128(f"{n}.00")] for n in range(5)
}


@pytest.fixture
def db(client: Any, database_name: str) -> Any:
    return client[database_name]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks and batches so small that a short history has many of them."""
    monkeypatch.setattr(replay_run, "CHUNK_ACTIONS", 150)
    monkeypatch.setattr(replay, "BATCH_OPERATIONS", 25)
    monkeypatch.setattr(replay, "FEW", 10)
    monkeypatch.setattr(replay, "ATOMIC_LANES", 4)


def moment(client: Any) -> str:
    command = {"appendOplogNote": 1, "data": {"test": 1}, "writeConcern": {"w": "majority"}}
    return str(Position.of(client.admin.command(command)["operationTime"]))


def base(db: Any) -> None:
    db.create_collection("loose", collation={"locale": "en", "strength": 2})
    db.create_collection("ring", capped=True, size=65536, max=40)
    for name in ("plain", "other"):
        db[name].insert_many([{"_id": n, "n": 0} for n in (*range(3), "a", "b")])
        db[name].create_index("n")


def history(db: Any, seed: int, rounds: int) -> None:
    """Few documents that are inserted, changed and deleted again and again, under ids that are one to the
    server; with definitions in between."""
    random_ = random.Random(seed)
    client = db.client
    for number in range(rounds):
        for name in ("plain", "other", "loose"):
            changes = [_change(random_, n) for n in range(60)]
            db.get_collection(name, write_concern=WriteConcern(1)).bulk_write(changes, ordered=True)
        db.ring.insert_many([{"n": number, "k": k} for k in range(15)])
        match number % 5:
            case 0:
                db.other.rename("moved")
                db.moved.rename("other")
            case 1:
                db[f"new{number}"].insert_many([{"_id": k, "empty": Timestamp(0, 0)} for k in range(5)])
            case 2:
                db.command({"collMod": "plain", "validationLevel": "moderate"})
            case 3:
                db.other.aggregate([{"$out": "copy"}])
            case 4:
                with client.start_session() as session, session.start_transaction():
                    for k in range(20):
                        db.plain.insert_one({"_id": f"t{number}-{k}", "n": -k}, session=session)
                    db.plain.delete_many({"n": {"$lt": -15}}, session=session)


def _change(random_: random.Random, n: int) -> Any:
    identity = random_.choice(random_.choice([*TWINS.values(), IDS]))
    match random_.randrange(5):
        case 0 | 1:
            # Inserts what is not there, under one of the names that the id has.
            return UpdateOne({"_id": identity}, {"$set": {"n": n, f"f{n % 7}": n}}, upsert=True)
        case 2:
            return DeleteOne({"_id": identity})
        case 3:
            return UpdateOne({"_id": identity}, {"$push": {"list": n}, "$inc": {"n": 1}})
        case _:
            return InsertOne({"n": n, "x": ObjectId()}) if n % 2 else ReplaceOne({"_id": identity}, {"n": n})


def restored(prepared: Any, db: Any, limit: str) -> dict[str, Any]:
    db.client.drop_database(db.name)
    restore_here(prepared, through=limit, namespaces=(db.name,))
    return twin.state_of(db.client, db.name)


def test_side_by_side_ends_as_one_after_the_other(
    client: Any, prepared: Any, db: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    base(db)
    backup_here(prepared)
    history(db, seed=5, rounds=10)
    ring = [bytes(d.raw) for d in db.get_collection("ring", codec_options=rawbson.RAW).find()]
    limit, wanted = moment(client), twin.state_of(client, db.name)
    seen: list[int] = []
    split = lanes.split

    def watched(writes: Any, count: int) -> lanes.Split:
        found = split(writes, count)
        seen.append(len(found.lanes) + len(found.inserts))
        return found

    monkeypatch.setattr(replay, "split", watched)
    assert twin.differences(restored(prepared, db, limit), wanted) == []
    assert [bytes(d.raw) for d in db.get_collection("ring", codec_options=rawbson.RAW).find()] == ring
    assert sum(count > 2 for count in seen) > 5, "hardly anything went side by side"
    monkeypatch.setattr(replay, "FEW", 10**9)
    assert twin.differences(restored(prepared, db, limit), wanted) == []


def test_a_job_that_dies_in_the_middle_goes_on(
    client: Any, prepared: Any, db: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is journalled as confirmed was applied by all lanes before."""
    base(db)
    backup_here(prepared)
    history(db, seed=6, rounds=8)
    limit, wanted = moment(client), twin.state_of(client, db.name)
    client.drop_database(db.name)
    plan = plan_for(prepared, through=limit, namespaces=(db.name,))
    request = {"plan": plan.to_json()}
    folder = jobs.create(prepared.name, prepared.profile, prepared.config_file, "restore", request)
    command, send = replay.Replayer._command, replay.Replayer.send
    begun: list[Position] = []
    arrived: list[Position] = []

    def sending(replayer: Any, actions: Any) -> None:
        begun.append(actions[0].position)
        send(replayer, actions)
        arrived.append(actions[-1].position)

    for dies_at in (30, 3, 12):
        left = [dies_at]

        def dying(replayer: Any, entries: Any, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt
            command(replayer, entries)

        with monkeypatch.context() as patched:
            patched.setattr(replay.Replayer, "_command", dying)
            patched.setattr(replay.Replayer, "send", sending)
            with pytest.raises(KeyboardInterrupt):
                resume_here(prepared, folder)
        found = checkpoints(decode_all(folder.journal.read_bytes()))
        confirmed = [Position.parse(c.facts["confirmed"]) for c in found if "confirmed" in c.facts]
        sent = [Position.parse(c.facts["sending"]) for c in found if "sending" in c.facts]
        assert begun[-1] > max(confirmed, default=Position(0, 0)), "confirmed and not applied"
        assert max(sent) >= begun[-1], "sent and not journalled"
    assert len(arrived) > 1
    resume_here(prepared, folder)
    assert twin.differences(twin.state_of(client, db.name), wanted) == []


@pytest.mark.parametrize("in_order", [True, False])
def test_with_a_unique_index_in_place_everything_keeps_its_order(
    client: Any, db: Any, in_order: bool
) -> None:
    """A value that moves from one document to another is taken twice, where they overtake each other."""
    db.mdr_0_1.insert_many([{"_id": n, "u": n} for n in range(300)])
    db.mdr_0_1.create_index("u", unique=True)
    empty = RawBSONDocument(bson.encode({}), rawbson.RAW)
    staged = Staged(number=1, database=db.name, name="mdr_0_1", options=empty)

    def write(op: str, document: dict[str, Any], at: int) -> Write:
        raw = RawBSONDocument(bson.encode(document), rawbson.RAW)
        return Write(staged, op, raw, None, False, Position(1, at), "d.c", False)

    moves = [
        [write("d", {"_id": n}, 2 * n), write("i", {"_id": f"new {n}", "u": n}, 2 * n + 1)]
        for n in range(300)
    ]
    replayer = replay.Replayer(
        client,
        may_write=lambda name: True,
        describe=lambda w: w.op,
        upsert_through=Position(0, 0),
        in_order=lambda: in_order,
    )
    if not in_order:
        with pytest.raises(Failed):
            replayer.send([w for pair in moves for w in pair])
        return
    replayer.send([w for pair in moves for w in pair])
    assert {d["u"] for d in db.mdr_0_1.find()} == set(range(300))
    assert db.mdr_0_1.count_documents({"_id": {"$type": "string"}}) == 300 == replayer.applied // 2
