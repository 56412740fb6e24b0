"""What the benches measure with: collections, a history of operations, and large documents."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import bson
from bson.raw_bson import RawBSONDocument
from pymongo import DeleteOne, InsertOne, UpdateOne
from pymongo.write_concern import WriteConcern

from mongo_dr_console.mongo.launch import ReplicaSet

DATABASE = "bench"
COLLECTIONS = (("orders", 0.7), ("customers", 0.2), ("events", 0.05), ("items", 0.05))
"""Names, and which share of the documents each has."""
LATER = "bench_later"
"""What is written after the backup, and comes back by replay."""
BIG = 10_000_000

_BATCH = 10_000
_INDEXES = (("customer", 1), ("number", 1))


def fill(replica_set: ReplicaSet, documents: int) -> int:
    """Documents of an application's kind in four collections, each with two secondary indexes; returns their
    bytes."""
    random_ = random.Random(1)
    words = [random_.randbytes(6).hex() for _ in range(500)]
    size = 0
    with closing(replica_set.client()) as client:
        for name, share in COLLECTIONS:
            collection = client[DATABASE][name]
            wanted = round(documents * share)
            for begin in range(0, wanted, _BATCH):
                batch = [
                    _raw(_document(random_, words, n)) for n in range(begin, min(begin + _BATCH, wanted))
                ]
                size += sum(len(d.raw) for d in batch)
                collection.insert_many(batch)
            for field, direction in _INDEXES:
                collection.create_index([(field, direction)])
    return size


def work(replica_set: ReplicaSet, documents: int, operations: int) -> None:
    """So many operations of an application: half of them change documents, a third are inserts, the rest
    deletes; over all collections, on documents anywhere in them."""
    random_ = random.Random(2)
    words = [random_.randbytes(6).hex() for _ in range(500)]
    with closing(replica_set.client()) as client:
        for name, share in COLLECTIONS:
            have = round(documents * share)
            ids = random_.sample(range(have), have)
            changes = _changes(random_, words, ids, have, round(operations * share))
            collection = client[DATABASE].get_collection(name, write_concern=WriteConcern(1))
            # By number there is an index; by _id alone each of them would have to be read first.
            while batch := [change for _, change in zip(range(1000), changes, strict=False)]:
                # By kind: in its order each change would be a round trip.
                collection.bulk_write(batch, ordered=False)


def _changes(
    random_: random.Random, words: list[str], ids: list[int], have: int, count: int
) -> Iterator[Any]:
    for _ in range(count):
        kind = random_.random()
        if kind < 1 / 2:
            number = ids[random_.randrange(len(ids))]
            yield UpdateOne({"number": number}, _update(random_, words))
        elif kind < 5 / 6:
            ids.append(have)
            yield InsertOne(_document(random_, words, have))
            have += 1
        else:
            at = random_.randrange(len(ids))
            ids[at], ids[-1] = ids[-1], ids[at]
            yield DeleteOne({"number": ids.pop()})


def _update(random_: random.Random, words: list[str]) -> dict[str, Any]:
    kind = random_.randrange(3)
    if kind == 0:
        return {"$set": {"total": random_.random() * 1000, "note": random_.choice(words)}}
    if kind == 1:
        return {"$inc": {"lines.0.count": 1}}
    return {"$push": {"lines": {"sku": random_.choice(words), "count": 1, "price": random_.random()}}}


def _document(random_: random.Random, words: list[str], number: int) -> dict[str, Any]:
    return {
        "_id": bson.ObjectId(),
        "number": number,
        "customer": random_.choice(words),
        "total": random_.random() * 1000,
        "lines": [
            {"sku": random_.choice(words), "count": random_.randrange(9), "price": random_.random()}
            for _ in range(3)
        ],
        "note": " ".join(random_.choices(words, k=6)),
    }


def _raw(document: dict[str, Any]) -> RawBSONDocument:
    return RawBSONDocument(bson.encode(document))


def fill_big(replica_set: ReplicaSet, have: int, wanted: int, database: str = DATABASE) -> int:
    """Adds bytes to each of four collections, a third of them in documents of 10 MB that cannot be
    compressed, the rest in small ones that can; returns how many bytes there are then."""
    with closing(replica_set.client()) as client:
        while have < wanted:
            for name, _ in COLLECTIONS:
                collection = client[database][name]
                collection.insert_one({"x": os.urandom(BIG)})
                collection.insert_many([{"n": n, "x": os.urandom(200) * 5} for n in range(20_000)])
                have += 3 * BIG
    return have
