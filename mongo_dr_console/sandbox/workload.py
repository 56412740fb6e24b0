"""The customers of the practice shop: a process that reads and writes on, whatever happens to the deployment.

``python -m mongo_dr_console.sandbox.workload FOLDER``. It is an application like any other: a user with
readWrite on its databases, ordinary driver settings, transactions for orders. It makes no collection by
command; one that was dropped comes back by the next insert, as it would in real life.
"""

from __future__ import annotations

import random
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from bson.objectid import ObjectId
from pymongo.client_session import ClientSession
from pymongo.errors import PyMongoError

from mongo_dr_console.mongo.client import Client, connect
from mongo_dr_console.sandbox import shop
from mongo_dr_console.sandbox.place import Place

APPNAME = "practice-workload"
TICKS_PER_SECOND = 25
"""A tick makes two to three operations on average: some 60 a second."""

_PAUSE_AFTER_ERROR = 0.05


@dataclass(slots=True)
class Shop:
    """What customers and staff do, one small deed at a time."""

    client: Client
    rng: random.Random
    orders: deque[ObjectId] = field(default_factory=lambda: deque(maxlen=2_000))
    carts: deque[ObjectId] = field(default_factory=lambda: deque(maxlen=2_000))
    tickets: deque[ObjectId] = field(default_factory=lambda: deque(maxlen=500))

    def deed(self) -> None:
        """One deed, chosen by weight."""
        deeds: list[tuple[Callable[[], None], int]] = [
            (self.fill_cart, 6),
            (self.touch_cart, 4),
            (self.leave, 2),
            (self.order, 3),
            (self.ship, 5),
            (self.reprice, 2),
            (self.review, 2),
            (self.earn_points, 4),
            (self.ask, 2),
            (self.answer, 2),
            (self.cancel, 1),
        ]
        (chosen,) = self.rng.choices([d for d, _ in deeds], [w for _, w in deeds])
        chosen()

    def fill_cart(self) -> None:
        made = ObjectId()
        self.client.shop.carts.insert_one(
            {"_id": made, "customer": self._customer(), "skus": [self._sku()], "touched_at": _now()}
        )
        self.carts.append(made)

    def touch_cart(self) -> None:
        if self.carts:
            change = {"$push": {"skus": self._sku()}, "$set": {"touched_at": _now()}}
            self.client.shop.carts.update_one({"_id": self.rng.choice(self.carts)}, change)

    def leave(self) -> None:
        if self.carts:
            self.client.shop.carts.delete_one({"_id": self.carts.popleft()})

    def order(self) -> None:
        """An order, its stock and its movement: all or nothing."""
        with self.client.start_session() as session:
            session.with_transaction(self._order)

    def _order(self, session: ClientSession) -> None:
        sku, quantity = self._sku(), self.rng.randrange(1, 5)
        made = ObjectId()
        cents = self.rng.randrange(500, 90_000)
        site = self.rng.choice(shop.SITES)
        self.client.shop.orders.insert_one(
            {
                "_id": made,
                "number": time.time_ns() // 1000,
                "customer": self._customer(),
                "status": "open",
                "placed_at": _now(),
                "lines": [{"sku": sku, "quantity": quantity, "price": shop.price(cents)}],
                "total": shop.price(quantity * cents),
                "ship_to": {"city": "Utrecht", "country": "NL"},
            },
            session=session,
        )
        where = {"sku": sku, "site": site}
        self.client.warehouse.stock.update_one(where, {"$inc": {"quantity": -quantity}}, session=session)
        self.client.warehouse.movements.insert_one(
            {**where, "_id": ObjectId(), "delta": -quantity, "at": _now()}, session=session
        )
        self.orders.append(made)

    def ship(self) -> None:
        change = {"$set": {"status": self.rng.choice(("paid", "shipped", "delivered")), "changed_at": _now()}}
        self.client.shop.orders.update_one({"_id": self._order_id()}, change)

    def cancel(self) -> None:
        if self.orders:
            self.client.shop.orders.delete_one({"_id": self.orders.popleft()})

    def reprice(self) -> None:
        change = {"$set": {"price": shop.price(self.rng.randrange(500, 90_000)), "updated_at": _now()}}
        self.client.shop.products.update_one({"_id": self.rng.randrange(shop.PRODUCTS)}, change)

    def review(self) -> None:
        made = {
            "sku": self._sku(),
            "customer": self._customer(),
            "stars": self.rng.randrange(1, 6),
            "at": _now(),
        }
        self.client.shop.reviews.insert_one(made)

    def earn_points(self) -> None:
        change = {"$inc": {"points": self.rng.randrange(1, 50)}}
        self.client.crm.customers.update_one({"_id": self._customer()}, change)

    def ask(self) -> None:
        made = ObjectId()
        self.client.crm.tickets.insert_one(
            {"_id": made, "customer": self._customer(), "state": "open", "opened_at": _now()}
        )
        self.tickets.append(made)

    def answer(self) -> None:
        if self.tickets:
            message = {"from": "staff", "text": "We are looking into it."}
            change = {"$set": {"state": "waiting"}, "$push": {"messages": message}}
            self.client.crm.tickets.update_one({"_id": self.rng.choice(self.tickets)}, change)

    def _customer(self) -> int:
        return self.rng.randrange(shop.CUSTOMERS)

    def _sku(self) -> str:
        return f"SKU-{self.rng.randrange(shop.PRODUCTS):05}"

    def _order_id(self) -> ObjectId:
        if self.orders and self.rng.random() < 0.5:
            return self.rng.choice(self.orders)
        return shop.object_id(1, self.rng.randrange(shop.ORDERS))


def run(client: Client, stopped: threading.Event, rng: random.Random) -> None:
    """Goes on until told to stop; an error is a deed that did not come off, and the next one is tried."""
    customers = Shop(client, rng)
    due = time.monotonic()
    while not stopped.is_set():
        try:
            customers.deed()
        except PyMongoError:
            stopped.wait(_PAUSE_AFTER_ERROR)
        due = max(due + 1 / TICKS_PER_SECOND, time.monotonic() - 1)
        stopped.wait(max(0.0, due - time.monotonic()))


def _now() -> datetime:
    return datetime.now(UTC)


def main(words: list[str]) -> None:
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    place = Place(Path(words[0]))
    uri = place.workload_uri_file.read_text(encoding="utf-8").strip()
    with connect(uri, seconds=5, appname=APPNAME) as client:
        run(client, stopped, random.Random())


if __name__ == "__main__":
    main(sys.argv[1:])
