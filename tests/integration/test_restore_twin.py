"""Restores compared byte for byte with a twin, while writers go on; and the mutants that must be caught."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from bson.timestamp import Timestamp
from support import twin
from support.found import events_in
from support.jobs import backup_here, restore_here
from support.writers import Writers, fill

from mongo_dr_console.engines.builtin import replay
from mongo_dr_console.model import oplogentry, position
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.trouble import Trouble

pytestmark = pytest.mark.mongod


@dataclass
class Scene:
    """A database with writers on it, a snapshot taken in between, and a mistake."""

    client: Any
    prepared: Any
    database: str
    start: Timestamp
    writers: Writers
    first: Position
    event: Any

    def twin(self, applies: Callable[[Timestamp], bool], **more: Any) -> dict[str, Any]:
        name = f"{self.database}_twin"
        self.client.drop_database(name)
        try:
            return twin.build(self.client, self.database, name, self.start, applies, **more)
        finally:
            self.client.drop_database(name)


def drop_collection(shop: Any) -> None:
    shop.orders.drop()


def drop_database(shop: Any) -> None:
    shop.client.drop_database(shop.name)


def mass_delete(shop: Any) -> None:
    shop.orders.delete_many({"_id": {"$type": "number"}})


def bad_update(shop: Any) -> None:
    shop.orders.update_many({}, {"$set": {"state": "LOST", "sub": None}})


MISTAKES = {f.__name__: f for f in (drop_collection, drop_database, mass_delete, bad_update)}


KINDS = {
    "drop_collection": "drop",
    "drop_database": "drop-database",
    "mass_delete": "mass-delete",
    "bad_update": "mass-update",
}


def note(client: Any) -> Timestamp:
    """The cluster time of an entry of its own, majority-committed."""
    command = {"appendOplogNote": 1, "data": {"test": 1}, "writeConcern": {"w": "majority"}}
    moment: Timestamp = client.admin.command(command)["operationTime"]
    return moment


@contextmanager
def scene(client: Any, app: Any, prepared: Any, database: str, mistake: str) -> Iterator[Scene]:
    start = note(client)
    fill(client, database)
    with Writers(app, database) as writers:
        writers.wait_for(150)
        backup_here(prepared)
        writers.wait_for(200)
        shop = client[database]
        with writers.pause():
            # Neighbours on both sides, one entry away, so that a limit that is off by one shows.
            shop.orders.insert_one({"_id": "just before", "no": "before", "n": 0, "state": "x"})
            before = shop.orders.update_one({"_id": "just before"}, {"$set": {"n": 1}})
            assert before.modified_count == 1
            MISTAKES[mistake](shop)
            shop.orders.insert_one({"_id": "just after", "no": "after", "n": 0, "state": "x"})
        writers.wait_for(200)
        note(client)
        kind = KINDS[mistake]
        ours = [e for e in events_in(client, database) if e.kind == kind]
        found = [e for e in ours if e.selector.session is None]
        assert len(found) == 1, found
        event = found[0]
        yield Scene(client, prepared, database, start, writers, event.position, event)


def is_of_mistake(mistake: str, scene: Scene) -> Callable[[Timestamp, Any, Any], bool]:
    """Tells a mistake's own operations by what the test knows of it, without our event finder."""

    def skips(ts: Timestamp, session: Any, operation: Any) -> bool:
        if mistake in ("drop_collection", "drop_database"):
            names = ("drop", "dropDatabase")
            return operation["op"] == "c" and next(iter(operation["o"])) in names
        if session is not None or not operation["ns"].endswith(".orders"):
            return False
        return bool(operation["op"] == ("d" if mistake == "mass_delete" else "u"))

    return skips


@pytest.mark.parametrize("mistake", MISTAKES)
def test_before_the_mistake(client: Any, app: Any, prepared: Any, database_name: str, mistake: str) -> None:
    with scene(client, app, prepared, database_name, mistake) as s:
        limit = s.first.timestamp
        _, result = restore_here(prepared, before=f"event:{s.event.id}", namespaces=(database_name,))
        s.writers.stop()
        wanted = s.twin(lambda ts: ts < limit)
        # Writers went on after the cut-over: what they did to the restored collections is played on top.
        placed = Position.parse(result["position"])
        found = twin.at_cluster_time(client, database_name, placed.timestamp)
        assert twin.differences(found, wanted) == []
        assert "just before" in str(wanted["orders"][0]) and "just after" not in str(wanted["orders"][0])


@pytest.mark.parametrize("mistake", MISTAKES)
def test_without_the_mistake(client: Any, app: Any, prepared: Any, database_name: str, mistake: str) -> None:
    with scene(client, app, prepared, database_name, mistake) as s:
        other = client[f"{database_name}_other"]
        other.untouched.insert_one({"_id": 1})
        _, result = restore_here(prepared, skip=(s.event.id,))
        placed = Position.parse(result["position"])
        s.writers.wait_for(50)
        s.writers.stop()
        # Writes up to the cut-over are in, none is lost; what came after it, the live collections tell.
        wanted = s.twin(lambda ts: ts <= placed.timestamp, skips=is_of_mistake(mistake, s))
        names = {n["to"].partition(".")[2] for n in result["namespaces"]}
        found = {
            k: v
            for k, v in twin.at_cluster_time(client, database_name, placed.timestamp).items()
            if k in names
        }
        assert twin.differences(found, {k: v for k, v in wanted.items() if k in names}) == []
        assert "just after" in str(found["orders"][0])
        assert list(other.untouched.find()) == [{"_id": 1}]
        client.drop_database(other.name)


def no_replay(monkeypatch: pytest.MonkeyPatch, previous: Position) -> None:
    monkeypatch.setattr(replay.Replayer, "send", lambda self, actions: None)


def limit_one_later(monkeypatch: pytest.MonkeyPatch, previous: Position) -> None:
    monkeypatch.setattr(position.Limit, "admits", lambda self, at: at <= self.position)


def limit_one_earlier(monkeypatch: pytest.MonkeyPatch, previous: Position) -> None:
    monkeypatch.setattr(position.Limit, "admits", lambda self, at: at < previous)


MUTANTS = {f.__name__: f for f in (no_replay, limit_one_later, limit_one_earlier)}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_broken_restore_is_caught(
    client: Any,
    app: Any,
    prepared: Any,
    database_name: str,
    mutant: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with scene(client, app, prepared, database_name, "mass_delete") as s:
        limit = s.first.timestamp
        ours = {"ns": f"{database_name}.orders", "ts": {"$lt": limit}}
        last = client.local["oplog.rs"].find_one(ours, sort=[("$natural", -1)])
        with monkeypatch.context() as broken:
            MUTANTS[mutant](broken, Position.of(last["ts"]))
            try:
                _, result = restore_here(prepared, before=str(s.first), namespaces=(database_name,))
            except Trouble as trouble:
                assert trouble.code in ("verification", "replay-failed")
                return
        s.writers.stop()
        wanted = s.twin(lambda ts: ts < limit)
        found = twin.at_cluster_time(client, database_name, Position.parse(result["position"]).timestamp)
        assert twin.differences(found, wanted) != []


def large_transaction(client: Any, database: str) -> tuple[Position, Position]:
    """One of more than 16 MB, which takes several entries; returns the first's and the last's positions."""
    start = note(client)
    shop = client[database]
    with client.start_session() as session, session.start_transaction():
        for n in range(3):
            shop.orders.insert_one(
                {"_id": f"big{n}", "no": f"big{n}", "x": b"x" * 7_000_000}, session=session
            )
    end = note(client)
    query = {"ts": {"$gt": start, "$lt": end}, "op": "c", "o.applyOps": {"$exists": True}}
    found = [Position.of(e["ts"]) for e in client.local["oplog.rs"].find(query, {"ts": 1}).sort("ts", 1)]
    assert len(found) >= 2
    return found[0], found[-1]


def split_transactions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oplogentry, "is_transaction", lambda entry: False)


@pytest.mark.parametrize("broken", [False, True])
def test_a_limit_inside_a_transaction_applies_nothing_of_it(
    client: Any, prepared: Any, database_name: str, broken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = note(client)
    fill(client, database_name)
    backup_here(prepared)
    first, last = large_transaction(client, database_name)
    for limit in (first, last):
        with monkeypatch.context() as patched:
            if broken:
                split_transactions(patched)
            restore_here(prepared, through=str(limit), namespaces=(database_name,))
        name = f"{database_name}_twin"
        wanted = twin.build(client, database_name, name, start, lambda ts, at=limit: ts <= at.timestamp)
        found = twin.state_of(client, database_name)
        client.drop_database(name)
        assert any(b"big0" in document for document in wanted["orders"][0]) == (limit == last)
        if broken and limit == first:
            assert twin.differences(found, wanted) != []
            return
        assert twin.differences(found, wanted) == []
