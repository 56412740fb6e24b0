"""A believable shop: what lies in the practice deployment before anything happens to it."""

from __future__ import annotations

import os
import random
import struct
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import bson
from bson.decimal128 import Decimal128
from bson.objectid import ObjectId
from bson.raw_bson import RawBSONDocument
from pymongo import ASCENDING, DESCENDING, IndexModel
from pymongo.write_concern import WriteConcern

from mongo_dr_console.mongo.client import Client

SEED = 20261122
DATABASES = ("shop", "crm", "warehouse")


DIVISOR = max(1, int(os.environ.get("MDR_SHOP_DIVISOR") or 1))
"""By how much the shop is smaller. The keeper and the workload inherit it."""


def _documents(whole: int) -> int:
    return whole // DIVISOR


PRODUCTS = _documents(2_000)
CUSTOMERS = _documents(20_000)
ORDERS = _documents(40_000)
REVIEWS = _documents(12_000)
TICKETS = _documents(8_000)
SITES = ("AMS", "HAM", "LYS")
MOVEMENTS = _documents(12_000)
CARTS = _documents(3_000)

_DAY = timedelta(days=1)
_FIRST = (
    "Ada",
    "Bela",
    "Chidi",
    "Dara",
    "Emre",
    "Fatou",
    "Grace",
    "Hugo",
    "Ines",
    "Jiro",
    "Kofi",
    "Léa",
    "Møna",
)
_LAST = (
    "Abebe",
    "Brandt",
    "Costa",
    "Dvořák",
    "Eriksen",
    "Fischer",
    "García",
    "Haddad",
    "Ito",
    "Jansen",
    "Kim",
)
_GOODS = ("lamp", "chair", "kettle", "desk", "rug", "shelf", "mirror", "clock", "vase", "stool", "blanket")
_COLOURS = ("ash", "black", "blue", "copper", "green", "oak", "red", "sand", "white")
_STATUSES = ("delivered",) * 7 + ("shipped", "paid", "cancelled")
_TOPICS = ("late", "broken", "wrong item", "invoice", "return", "question")
_TEXT = "It arrived on time and does what it should; the colour differs a little from the picture. "

_DECIMAL = struct.Struct("<QQ")
_TWO_DECIMALS = (6176 - 2) << 49
"""Upper half of a decimal128 with exponent -2: biased by 6176, above 49 bits of digits."""

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Collection:
    """One collection: its documents, made in order from a seed, and what is built on it afterwards."""

    database: str
    name: str
    documents: Callable[[random.Random, datetime], Iterator[Document]]
    indexes: tuple[IndexModel, ...] = ()
    options: Document | None = None

    @property
    def namespace(self) -> str:
        return f"{self.database}.{self.name}"


def object_id(kind: int, number: int) -> ObjectId:
    """A fixed id, so that two practice deployments hold the same documents."""
    return ObjectId(bytes.fromhex(f"6500{kind:04x}{number:016x}"))


def price(cents: int) -> Decimal128:
    """An amount with two decimals, put together from its bits: reading it from text takes ten times as long.

    >>> price(1230) == Decimal128("12.30")
    True
    """
    return Decimal128.from_bid(_DECIMAL.pack(cents, _TWO_DECIMALS))


def below(rng: random.Random, limit: int) -> int:
    """As ``randrange``, at a third of its cost: half a million are drawn before the deployment is ready."""
    return int(rng.random() * limit)


def one_of(rng: random.Random, words: Sequence[str]) -> str:
    return words[int(rng.random() * len(words))]


def _products(rng: random.Random, now: datetime) -> Iterator[Document]:
    for n in range(PRODUCTS):
        yield {
            "_id": n,
            "sku": f"SKU-{n:05}",
            "name": f"{one_of(rng, _COLOURS)} {one_of(rng, _GOODS)}",
            "price": price(500 + below(rng, 89_500)),
            "weight_kg": round(rng.random() * 20, 2),
            "tags": [one_of(rng, _COLOURS), one_of(rng, _GOODS)],
            "active": rng.random() < 0.95,
            "updated_at": now - below(rng, 400) * _DAY,
        }


def _orders(rng: random.Random, now: datetime) -> Iterator[Document]:
    for n in range(ORDERS):
        quantity, cents = 1 + below(rng, 4), 500 + below(rng, 89_500)
        yield {
            "_id": object_id(1, n),
            "number": n,
            "customer": below(rng, CUSTOMERS),
            "status": _STATUSES[n % len(_STATUSES)] if n < ORDERS - ORDERS // 20 else "open",
            "placed_at": now - timedelta(minutes=(ORDERS - n) * 7),
            "lines": [{"sku": f"SKU-{below(rng, PRODUCTS):05}", "quantity": quantity, "price": price(cents)}],
            "total": price(quantity * cents),
            "ship_to": {"city": one_of(rng, _LAST), "country": "NL"},
        }


def _reviews(rng: random.Random, now: datetime) -> Iterator[Document]:
    for n in range(REVIEWS):
        yield {
            "_id": object_id(2, n),
            "sku": f"SKU-{below(rng, PRODUCTS):05}",
            "customer": below(rng, CUSTOMERS),
            "stars": 1 + below(rng, 5),
            "text": _TEXT * (1 + below(rng, 3)),
            "at": now - below(rng, 400) * _DAY,
        }


def _carts(rng: random.Random, now: datetime) -> Iterator[Document]:
    for n in range(CARTS):
        yield {
            "_id": object_id(3, n),
            "customer": below(rng, CUSTOMERS),
            "skus": [f"SKU-{below(rng, PRODUCTS):05}" for _ in range(1 + below(rng, 3))],
            "touched_at": now - timedelta(minutes=below(rng, 600)),
        }


def _customers(rng: random.Random, now: datetime) -> Iterator[Document]:
    for n in range(CUSTOMERS):
        first, last = one_of(rng, _FIRST), one_of(rng, _LAST)
        yield {
            "_id": n,
            "name": {"first": first, "last": last},
            "email": f"customer{n}@example.com",
            "points": below(rng, 10_000),
            "newsletter": rng.random() < 0.3,
            "since": now - below(rng, 2_000) * _DAY,
        }


def _tickets(rng: random.Random, now: datetime) -> Iterator[Document]:
    for n in range(TICKETS):
        yield {
            "_id": object_id(4, n),
            "customer": below(rng, CUSTOMERS),
            "topic": one_of(rng, _TOPICS),
            "state": "closed" if n < TICKETS - 500 else "open",
            "opened_at": now - below(rng, 400) * _DAY,
            "messages": [{"from": "customer", "text": _TEXT}],
        }


def _stock(rng: random.Random, _now: datetime) -> Iterator[Document]:
    for n in range(PRODUCTS * len(SITES)):
        site = SITES[n % len(SITES)]
        yield {"_id": n, "sku": f"SKU-{n // len(SITES):05}", "site": site, "quantity": 50 + below(rng, 450)}


def _movements(rng: random.Random, now: datetime) -> Iterator[Document]:
    for n in range(MOVEMENTS):
        yield {
            "_id": object_id(5, n),
            "sku": f"SKU-{below(rng, PRODUCTS):05}",
            "site": one_of(rng, SITES),
            "delta": below(rng, 55) - 5,
            "at": now - timedelta(minutes=(MOVEMENTS - n) * 9),
        }


_TICKET_SCHEMA = {
    "$jsonSchema": {
        "bsonType": "object",
        "required": ["customer", "state"],
        "properties": {"state": {"enum": ["open", "waiting", "closed"]}},
    }
}

COLLECTIONS = (
    Collection(
        "shop",
        "orders",
        _orders,
        (
            IndexModel([("number", ASCENDING)], unique=True),
            IndexModel([("customer", ASCENDING), ("placed_at", DESCENDING)]),
        ),
    ),
    Collection("shop", "products", _products, (IndexModel([("sku", ASCENDING)], unique=True),)),
    Collection("shop", "reviews", _reviews, (IndexModel([("sku", ASCENDING), ("stars", DESCENDING)]),)),
    Collection(
        "shop",
        "carts",
        _carts,
        (IndexModel([("touched_at", ASCENDING)], expireAfterSeconds=int((30 * _DAY).total_seconds())),),
    ),
    Collection(
        "crm",
        "customers",
        _customers,
        (
            IndexModel([("email", ASCENDING)], unique=True),
            IndexModel([("name.last", ASCENDING), ("name.first", ASCENDING)]),
        ),
    ),
    Collection(
        "crm",
        "tickets",
        _tickets,
        (
            IndexModel(
                [("customer", ASCENDING)], partialFilterExpression={"state": "open"}, name="open_by_customer"
            ),
        ),
        {"validator": _TICKET_SCHEMA, "validationAction": "error"},
    ),
    Collection(
        "warehouse", "stock", _stock, (IndexModel([("sku", ASCENDING), ("site", ASCENDING)], unique=True),)
    ),
    Collection("warehouse", "movements", _movements, (IndexModel([("sku", ASCENDING), ("at", DESCENDING)]),)),
)

VIEWS: tuple[tuple[str, str, str, list[Document]], ...] = (
    (
        "shop",
        "open_orders",
        "orders",
        [{"$match": {"status": "open"}}, {"$project": {"number": 1, "customer": 1, "total": 1}}],
    ),
)
"""Database, name, source, pipeline."""


def generate(now: datetime, seed: int = SEED) -> dict[str, list[RawBSONDocument]]:
    """All documents by namespace, encoded; the same for the same seed and time.

    Args:
        now: Dates lie before it, so that TTL expires nothing soon.
    """
    made = {}
    for number, collection in enumerate(COLLECTIONS):
        rng = random.Random(seed + number)
        made[collection.namespace] = [
            RawBSONDocument(bson.encode(document)) for document in collection.documents(rng, now)
        ]
    return made


def load(client: Client, documents: dict[str, list[RawBSONDocument]]) -> int:
    """Fills an empty deployment and waits until a majority has it.

    Returns:
        Number of documents.
    """
    with ThreadPoolExecutor(4, "load") as pool:
        for done in [pool.submit(_load_one, client, c, documents[c.namespace]) for c in COLLECTIONS]:
            done.result()
    for database, name, source, pipeline in VIEWS:
        client[database].command("create", name, viewOn=source, pipeline=pipeline)
    last = client.get_database("shop", write_concern=WriteConcern("majority"))
    last.products.update_one({"_id": 0}, {"$set": {"active": True, "featured": True}})
    return sum(len(d) for d in documents.values())


def _load_one(client: Client, collection: Collection, documents: list[RawBSONDocument]) -> None:
    # The default would wait for a majority at each step; once at the end is enough.
    database = client.get_database(collection.database, write_concern=WriteConcern(1))
    database.create_collection(collection.name, check_exists=False, **(collection.options or {}))
    target = database[collection.name]
    if collection.indexes:
        # On an empty collection there is nothing to scan and no round of votes.
        target.create_indexes(list(collection.indexes))
    target.insert_many(documents, ordered=False)
