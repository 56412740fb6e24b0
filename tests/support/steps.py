"""What a history is made of: operations of every kind, at random, each a function of its history."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from bson import Decimal128, Int64
from pymongo import DeleteOne, InsertOne, ReplaceOne, UpdateOne

if TYPE_CHECKING:
    from support.histories import History

MASS = 110
"""Documents that a mass delete or update hits; from a hundred on it is an event."""

NAMES = ("c0", "c1", "c2", "c3")
IDS: tuple[Any, ...] = (
    *(1, 1.0, Int64(2), Decimal128("2.0"), 3, 3.0, Decimal128("7")),
    *("a", "b", "c", None, datetime(2026, 1, 1), b"x"),
)
"""Some are one and the same to the server."""


@dataclass
class Open:
    """A transaction that is open."""

    session: Any
    operations: int = 0


# Steps that go on while a transaction is open


def insert(h: History) -> None:
    h.collection.insert_one({"_id": h.another, **h.some_fields()})


def insert_several(h: History) -> None:
    h.collection.insert_many([{"_id": h.fresh(), **h.some_fields()} for _ in range(h.luck.randrange(2, 6))])


def set_fields(h: History) -> None:
    h.collection.update_one({"_id": h.another}, {"$set": h.some_fields()})


def set_within(h: History) -> None:
    path = h.luck.choice(("sub.x", "sub.y.z", "list.0", "list.3", "list.1.p", "a.x", "b.y.z.0", "c.1"))
    h.collection.update_many({"_id": {"$in": h.luck.sample(IDS, 4)}}, {"$set": {path: h.value()}})


def modify(h: History) -> None:
    change = h.luck.choice(
        (
            {"$inc": {"n": 1}},
            {"$unset": {h.luck.choice("abcdef"): ""}},
            {"$push": {"list": {"$each": [h.value(), h.value()], "$slice": -5}}},
            {"$pop": {"list": h.luck.choice((1, -1))}},
            {"$pull": {"list": None}},
            {"$rename": {"a": "z"}},
            {"$mul": {"n": 1.5}},
            {"$currentDate": {"seen": True}},
        )
    )
    h.collection.update_one({"_id": h.another}, change)


def pipeline(h: History) -> None:
    stages = [{"$set": {"list": [1, {"y": h.value()}], "copy": "$a"}}, {"$unset": h.luck.choice("bcdef")}]
    h.collection.update_many({"_id": {"$in": h.luck.sample(IDS, 3)}}, stages)


def replace(h: History) -> None:
    h.collection.replace_one({"_id": h.another}, h.some_fields(), upsert=h.luck.random() < 0.3)


def upsert(h: History) -> None:
    h.collection.update_one({"_id": h.another}, {"$set": h.some_fields(), "$inc": {"n": 1}}, upsert=True)


def delete_one(h: History) -> None:
    h.collection.delete_one({"_id": h.another})


def delete_several(h: History) -> None:
    h.collection.delete_many({"_id": {"$in": h.luck.sample(IDS, 3)}})


def find_and_modify(h: History) -> None:
    if h.luck.random() < 0.4:
        h.collection.find_one_and_delete({"_id": h.another})
    else:
        h.collection.find_one_and_update({"_id": h.another}, {"$set": h.some_fields()}, upsert=True)


def deleted_and_inserted_again(h: History) -> None:
    collection, identity = h.collection, h.another
    collection.delete_one({"_id": identity})
    collection.insert_one({"_id": identity, "again": h.value()})


def bulk(h: History) -> None:
    work = [
        InsertOne({"_id": h.fresh()}),
        UpdateOne({"_id": h.another}, {"$set": h.some_fields()}),
        ReplaceOne({"_id": h.another}, h.some_fields()),
        DeleteOne({"_id": h.another}),
        UpdateOne({"_id": h.another}, {"$inc": {"n": 1}}, upsert=True),
    ]
    h.luck.shuffle(work)
    h.collection.bulk_write(work, ordered=h.luck.random() < 0.5)


def transaction(h: History) -> None:
    """Of one entry or several, committed or not, over two databases."""
    with h.client.start_session() as session:
        session.start_transaction()
        for _ in range(h.luck.choice((1, 2, 5, 8))):
            collection = h.database.ledger
            if h.luck.random() < 0.6:
                collection.insert_one({"_id": h.fresh(), **h.some_fields()}, session=session)
            else:
                collection.update_one({"_id": "first"}, {"$set": h.some_fields()}, session=session)
        if h.luck.random() < 0.2:
            session.abort_transaction()
        else:
            session.commit_transaction()


def open_transaction(h: History) -> None:
    """One begins, goes on, or ends; others' steps come in between."""
    if len(h.open) < 2 and h.luck.random() < 0.4:
        session = h.client.start_session()
        session.start_transaction()
        h.open.append(Open(session))
    if not h.open:
        return
    one = h.luck.choice(h.open)
    if one.operations and h.luck.random() < 0.35:
        h.open.remove(one)
        (one.session.abort_transaction if h.luck.random() < 0.25 else one.session.commit_transaction)()
        one.session.end_session()
        return
    for _ in range(h.luck.choice((1, 4))):
        pending = h.client[h.luck.choice(h.databases[:2])].pending
        pending.insert_one({"_id": h.fresh(), **h.some_fields()}, session=one.session)
        one.operations += 1


def make_index(h: History) -> None:
    field_, more = h.luck.choice(
        (
            ("a", {}),
            ("b", {"sparse": True}),
            ("c", {"partialFilterExpression": {"c": {"$gt": 1}}}),
            ("d", {"unique": True, "sparse": True}),
            ("seen", {"expireAfterSeconds": 10**8}),
        )
    )
    h.collection.create_index([(field_, h.luck.choice((1, -1)))], **more)


def drop_index(h: History) -> None:
    collection = h.collection
    names = [n for n in collection.index_information() if n != "_id_"]
    if names:
        h.client[collection.database.name][collection.name].drop_index(h.luck.choice(names))


def drop_indexes(h: History) -> None:
    h.collection.drop_indexes()


def change_index(h: History) -> None:
    collection = h.collection
    names = [n for n in collection.index_information() if n != "_id_"]
    if names:
        index = {"name": h.luck.choice(names), "hidden": h.luck.random() < 0.5}
        collection.database.command({"collMod": collection.name, "index": index})


def create(h: History) -> None:
    options = h.luck.choice(
        (
            {},
            {"validator": {"n": {"$type": "number"}}, "validationLevel": "moderate"},
            {"collation": {"locale": "en", "strength": 3}},
            {"clusteredIndex": {"key": {"_id": 1}, "unique": True}},
            {"changeStreamPreAndPostImages": {"enabled": True}},
        )
    )
    h.database.create_collection(h.luck.choice(NAMES), **options)


def change_options(h: History) -> None:
    collection = h.collection
    change: dict[str, Any] = h.luck.choice(
        (
            {"validator": {"n": {"$exists": True}}, "validationAction": "warn"},
            {"validator": {}},
            {"validationLevel": "off"},
        )
    )
    collection.database.command({"collMod": collection.name, **change})


def drop(h: History) -> None:
    h.collection.drop()


def drop_and_make_again(h: History) -> None:
    collection = h.collection
    collection.drop()
    collection.insert_one({"_id": h.another, "made": "again"})


def rename(h: History) -> None:
    collection = h.collection
    collection.rename(h.luck.choice(NAMES))


def rename_over(h: History) -> None:
    collection = h.collection
    target = h.luck.choice([n for n in NAMES if n != collection.name])
    collection.rename(target, dropTarget=True)


def rotate(h: History) -> None:
    database = h.database
    database.rotated.insert_one({"_id": h.another})
    database.c0.rename("c1", dropTarget=True)
    database.rotated.rename("c0")


def out(h: History) -> None:
    h.collection.aggregate([{"$set": {"by": "out"}}, {"$out": h.luck.choice(NAMES)}])


def merge(h: History) -> None:
    into = h.luck.choice(NAMES)
    h.collection.aggregate([{"$set": {"by": "merge"}}, {"$merge": {"into": into, "whenMatched": "merge"}}])


def view(h: History) -> None:
    h.database.command({"create": f"v{h.luck.randrange(2)}", "viewOn": h.luck.choice(NAMES), "pipeline": []})


def change_view(h: History) -> None:
    stages = [{"$match": {"n": h.luck.randrange(9)}}]
    h.database.command({"collMod": f"v{h.luck.randrange(2)}", "viewOn": "c0", "pipeline": stages})


def drop_view(h: History) -> None:
    h.database[f"v{h.luck.randrange(2)}"].drop()


def series(h: History) -> None:
    database = h.database
    if "weather" not in database.list_collection_names():
        database.create_collection("weather", timeseries={"timeField": "at", "metaField": "m"})
    at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=h.fresh())
    database.weather.insert_many([{"_id": h.fresh(), "at": at, "m": n % 2, "t": n} for n in range(3)])


def drop_series(h: History) -> None:
    h.database.weather.drop()


def capped(h: History) -> None:
    database = h.database
    if "ring" not in database.list_collection_names():
        database.create_collection("ring", capped=True, size=4096, max=6)
    database.ring.insert_many([{"_id": h.fresh(), "n": n} for n in range(3)])


def grow(h: History) -> None:
    h.database.command({"collMod": "ring", "cappedMax": 5 + h.luck.randrange(5)})


def fill_many(h: History) -> None:
    database = h.database
    database.many.insert_many([{"_id": h.fresh(), "state": "new", "n": n} for n in range(MASS)])


def mass_delete(h: History) -> None:
    h.database.many.delete_many({})


def mass_update(h: History) -> None:
    h.database.many.update_many({}, {"$set": {"state": h.value()}})


# Steps that would wait for an open transaction


def rename_to_another_database(h: History) -> None:
    source, target = h.collection, h.collection
    h.client.admin.command(
        "renameCollection", source.full_name, to=target.full_name, dropTarget=h.luck.random() < 0.5
    )


def convert_to_capped(h: History) -> None:
    collection = h.collection
    collection.database.command({"convertToCapped": collection.name, "size": 8192})


def drop_database(h: History) -> None:
    h.client.drop_database(h.databases[2])


Kind = Callable[["History"], None]

CALM: list[Kind] = [
    *(insert, insert_several, set_fields, set_within, modify, pipeline, replace, upsert, delete_one),
    *(delete_several, find_and_modify, deleted_and_inserted_again, bulk, transaction, open_transaction),
    *(make_index, drop_index, drop_indexes, change_index, create, change_options, drop, drop_and_make_again),
    *(rename, rename_over, rotate, merge, view, change_view, drop_view, series, drop_series, capped, grow),
    *(fill_many, mass_delete, mass_update),
]
WILD: list[Kind] = [out, rename_to_another_database, convert_to_capped, drop_database]
WEIGHTS = {
    k.__name__: w
    for w, kinds in (
        (5, (insert, set_fields, set_within, modify, upsert, transaction, open_transaction, drop_index)),
        (1, (drop, drop_indexes, drop_series, drop_database, mass_delete, mass_update, fill_many)),
    )
    for k in kinds
}
