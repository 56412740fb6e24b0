"""For tests of snapshots: a writer, a naive replay, and a twin to compare with."""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Iterator
from typing import Any

import bson
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from mongo_dr_console.model import rawbson
from mongo_dr_console.model.oplogentry import Operation, TransactionAssembler, raw_entry
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.progress import Progress
from mongo_dr_console.stores.snapshot_reader import SnapshotReader

State = dict[str, dict[bytes, bytes]]
"""By namespace: documents by their encoded ``_id``."""


class Free:
    """A stop signal that never stops."""

    def check(self) -> None:
        return


class Recorder:
    """Keeps what was reported; ``on`` is called with each event."""

    def __init__(self, on: Any = None) -> None:
        self.events: list[Progress] = []
        self._on = on

    def __call__(self, event: Progress) -> None:
        self.events.append(event)
        if self._on:
            self._on(event)


class Writer(threading.Thread):
    """Inserts, updates, deletes and transactions over two collections until it is told to stop."""

    def __init__(self, uri: str, database: str) -> None:
        super().__init__(daemon=True)
        self._uri, self._database = uri, database
        self._ended = threading.Event()
        self.writes = 0

    def run(self) -> None:
        client: MongoClient[Any] = MongoClient(self._uri)
        random_ = random.Random(1)
        database = client[self._database]
        numbers = itertools.count(1_000_000)
        while not self._ended.is_set():
            try:
                self._write(client, database, random_, next(numbers))
                self.writes += 1
            except PyMongoError:
                self._ended.wait(0.05)
        client.close()

    def _write(self, client: Any, database: Any, random_: random.Random, number: int) -> None:
        a, b = database["a"], database["b"]
        old = random_.randrange(3000)
        match number % 5:
            case 0:
                a.insert_one({"_id": number, "n": number})
            case 1:
                a.update_one({"_id": old}, {"$set": {"changed": number}, "$inc": {"n": 1}})
            case 2:
                b.delete_one({"_id": old})
            case 3:
                b.replace_one({"_id": old}, {"replaced": number}, upsert=True)
            case _:
                with client.start_session() as session, session.start_transaction():
                    a.insert_one({"_id": number, "t": number}, session=session)
                    b.update_one({"_id": old}, {"$set": {"t": number}}, upsert=True, session=session)

    def finish(self) -> None:
        self._ended.set()
        self.join(120)
        assert not self.is_alive()

    def __enter__(self) -> Writer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.finish()


def seed(client: MongoClient[Any], database: str, documents: int = 3000) -> None:
    for name in ("a", "b"):
        client[database][name].insert_many(
            [{"_id": i, "n": i, "text": f"{name}{i}" * 20} for i in range(documents)]
        )


def replayed(reader: SnapshotReader, database: str) -> State:
    """The state that a snapshot stands for: its data with its oplog replayed over it, naively."""
    state: State = {}
    for collection in reader.collections:
        if collection.namespace.database == database and collection.kind == "collection":
            documents = state.setdefault(str(collection.namespace), {})
            for chunk in reader.documents(collection):
                for raw in rawbson.split(chunk):
                    documents[_key(RawBSONDocument(raw))] = _canonical(raw)
    assembler = TransactionAssembler()
    for chunk in reader.oplog():
        for raw in rawbson.split(chunk):
            for operation in assembler.feed(raw_entry(raw)):
                if operation.database == database:
                    _apply(state, operation)
    assert not assembler.incomplete
    return state


def _apply(state: State, operation: Operation) -> None:
    if operation.op == "c":
        _apply_command(state, operation)
        return
    documents = state.setdefault(operation.namespace, {})
    target = operation.key if operation.op == "u" else operation.document
    assert target is not None
    key = _key(target)
    if operation.op == "d":
        documents.pop(key, None)
    elif operation.op == "i":
        documents[key] = _canonical(operation.document.raw)
    else:
        old = bson.decode(documents[key]) if key in documents else {"_id": target["_id"]}
        documents[key] = _canonical(bson.encode(_updated(old, bson.decode(operation.document.raw))))


def _apply_command(state: State, operation: Operation) -> None:
    body = operation.document
    if operation.command == "create":
        state.setdefault(f"{operation.database}.{body['create']}", {})
    elif operation.command == "drop":
        state.pop(f"{operation.database}.{body['drop']}", None)


def _updated(old: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    if "$v" not in change:
        return {"_id": old["_id"]} | change
    diff = change["diff"]
    assert set(diff) <= {"u", "i", "d"}, diff
    return (
        {k: v for k, v in old.items() if k not in diff.get("d", {})} | diff.get("u", {}) | diff.get("i", {})
    )


def at_time(client: MongoClient[Any], database: str, position: Position) -> State:
    """The twin: what the server itself says the state was."""
    state: State = {}
    for name in client[database].list_collection_names():
        command = {
            "find": name,
            "batchSize": 1_000_000,
            "readConcern": {"level": "snapshot", "atClusterTime": position.timestamp},
        }
        state[f"{database}.{name}"] = {
            _key(d): _canonical(bytes(d.raw)) for d in _all(client, database, command)
        }
    return state


def _all(client: MongoClient[Any], database: str, command: dict[str, Any]) -> Iterator[RawBSONDocument]:
    handle = client[database]
    with client.start_session() as session:
        cursor: Any = handle.command(command, codec_options=rawbson.RAW, session=session)["cursor"]
        yield from cursor["firstBatch"]
        while cursor["id"]:
            more = {"getMore": cursor["id"], "collection": command["find"], "batchSize": 1_000_000}
            cursor = handle.command(more, codec_options=rawbson.RAW, session=session)["cursor"]
            yield from cursor["nextBatch"]


def _key(document: RawBSONDocument) -> bytes:
    return bson.encode({"_id": document["_id"]})


def _canonical(raw: bytes) -> bytes:
    """Fields sorted: a naive replay does not know where the server puts a new field."""
    return bson.encode(dict(sorted(bson.decode(bytes(raw)).items())))


def differences(found: State, wanted: State) -> list[str]:
    """What differs, in words."""
    lines = [f"collections {sorted(set(found) ^ set(wanted))}"] if set(found) != set(wanted) else []
    for name in set(found) & set(wanted):
        for key in set(found[name]) | set(wanted[name]):
            ours, theirs = found[name].get(key), wanted[name].get(key)
            if ours != theirs:
                shown = [bson.decode(d) if d else None for d in (ours, theirs)]
                lines.append(f"{name} {bson.decode(key)}: {shown[0]} instead of {shown[1]}")
    return lines
