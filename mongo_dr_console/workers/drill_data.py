"""A drill's data in the deployment: made, written to, read, dropped. Every write is a majority's."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import bson
from bson import Binary
from bson.raw_bson import RawBSONDocument
from pymongo import IndexModel
from pymongo.collection import Collection
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from mongo_dr_console.engines.builtin.verify import comparable_options
from mongo_dr_console.model import rawbson
from mongo_dr_console.model.drilldata import (
    COLLECTION,
    DATABASE,
    INDEXES,
    NAMESPACE,
    OPTIONS,
    ORDINARY,
    WRITES,
    Written,
    by_id,
    every_type,
    ordinary,
)
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.progress import StopSignal
from mongo_dr_console.model.trouble import Failed
from mongo_dr_console.mongo.client import Client
from mongo_dr_console.mongo.collections import list_collections

_MAJORITY = WriteConcern("majority")
_ENTRY_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Series:
    """What was written after the snapshot.

    Args:
        expected: Every document that there must be then, raw, by its raw ``_id``.
        written: The inserts of the series, in order.
        last: Position of the last one.
    """

    expected: dict[bytes, bytes]
    written: list[Written]
    last: Position


@dataclass(frozen=True, slots=True)
class State:
    """The drill's collection as it is. ``documents`` and ``indexes`` are raw."""

    uuid: str
    documents: dict[bytes, bytes]
    indexes: tuple[bytes, ...]
    options: bytes


def make(client: Client) -> None:
    """The collection with its options, indexes, and documents of every type. Errors are the driver's."""
    database = client.get_database(DATABASE, write_concern=_MAJORITY)
    database.create_collection(COLLECTION, **OPTIONS)
    collection: Collection[Any] = database[COLLECTION]
    collection.create_indexes([IndexModel(list(i["key"].items()), **_rest(i)) for i in INDEXES])
    collection.insert_many([RawBSONDocument(raw, rawbson.RAW) for raw in every_type()])
    collection.insert_many([ordinary(number) for number in range(ORDINARY)])


def _rest(index: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in index.items() if name != "key"}


def write_series(client: Client, stop: StopSignal) -> Series:
    """Inserts one after another, with an update and a delete of what the snapshot has beside each tenth."""
    collection = client[DATABASE].get_collection(COLLECTION, write_concern=_MAJORITY)
    expected = by_id([*every_type(), *(bson.encode(ordinary(n)) for n in range(ORDINARY))])
    written = []
    for number in range(WRITES):
        stop.check()
        if number % 10 == 0:
            collection.update_one({"_id": number}, {"$set": {"changed": number}})
            expected |= by_id([bson.encode({**ordinary(number), "changed": number})])
            collection.delete_one({"_id": ORDINARY - 1 - number})
            del expected[bson.encode({"_id": ORDINARY - 1 - number})]
        document = {"_id": f"write-{number:04}", "at": datetime.now(UTC), "write": number}
        collection.insert_one(document)
        expected |= by_id([bson.encode(document)])
        written.append(Written(str(document["_id"]), datetime.now(UTC)))
    return Series(expected, written, _entry(client, {"op": "i", "ns": NAMESPACE, "o._id": written[-1].id}))


def read(client: Client) -> State:
    """Raises Failed where the collection is not there."""
    listed = next((c for c in list_collections(client, DATABASE) if c.name == COLLECTION), None)
    if listed is None or listed.uuid is None:
        raise Failed("drill-nothing-restored", f"{NAMESPACE} is not there: nothing was restored.")
    collection = client[DATABASE].get_collection(COLLECTION, read_concern=ReadConcern("majority"))
    batches: Any = collection.find_raw_batches({})
    documents = by_id(raw for batch in batches for raw in rawbson.split(batch))
    options = comparable_options(RawBSONDocument(listed.options, rawbson.RAW))
    return State(listed.uuid, documents, listed.indexes, options)


def drop(client: Client, state: State) -> Position:
    """Drops the collection; the position of that."""
    client.get_database(DATABASE, write_concern=_MAJORITY).drop_collection(COLLECTION)
    ui = Binary(bytes.fromhex(state.uuid), 4)
    return _entry(client, {"op": "c", "ui": ui, "o.drop": COLLECTION})


def _entry(client: Client, query: dict[str, Any]) -> Position:
    """The newest entry of the oplog that fits; a majority has it."""
    deadline = time.monotonic() + _ENTRY_SECONDS
    while True:
        found = client.local["oplog.rs"].find_one(query, {"ts": 1}, sort=[("$natural", -1)])
        if found is not None:
            return Position.of(found["ts"])
        if time.monotonic() > deadline:
            raise Failed(
                "drill-entry-missing", "The oplog has no entry of what the drill wrote a moment ago."
            )
        time.sleep(0.1)
