"""Writers that go on while a restore works: inserts, updates of every shape, deletes, transactions."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from typing import Any

from pymongo.errors import PyMongoError


def fill(client: Any, database: str, documents: int = 400) -> None:
    """A small shop: secondary, unique and TTL indexes, a validator, a view."""
    shop = client[database]
    shop.create_collection("orders")
    shop.create_collection("items", validator={"qty": {"$gte": 0}})
    shop.orders.insert_many(
        [
            {"_id": n, "no": f"o{n}", "n": 0, "state": "new", "tags": ["a"], "sub": {"x": n, "y": [1, 2, 3]}}
            for n in range(documents)
        ]
    )
    shop.items.insert_many([{"_id": n, "order": n, "qty": 1} for n in range(documents)])
    shop.orders.create_index("no", unique=True)
    shop.orders.create_index([("state", 1), ("n", -1)])
    shop.items.create_index("order")
    shop.sessions.insert_one({"_id": "s", "seen": 0})
    shop.sessions.create_index("at", expireAfterSeconds=86400)
    shop.command({"create": "new_orders", "viewOn": "orders", "pipeline": [{"$match": {"state": "new"}}]})


class Writers:
    """Threads that write until they are stopped. ``pause()`` holds them all between two writes, so that what
    is written meanwhile has neighbours that are known."""

    def __init__(self, client: Any, database: str, threads: int = 2, pause_seconds: float = 0.002) -> None:
        self._client, self._database = client, database
        self._turn = threading.Lock()
        self._stopping = threading.Event()
        self._pause_seconds = pause_seconds
        self.acknowledged = 0
        self._threads = [threading.Thread(target=self._run, args=(n,), daemon=True) for n in range(threads)]

    def __enter__(self) -> Writers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    @contextlib.contextmanager
    def pause(self) -> Any:
        with self._turn:
            yield

    def wait_for(self, more: int) -> None:
        """Until that many more writes were acknowledged."""
        wanted = self.acknowledged + more
        while self.acknowledged < wanted:
            time.sleep(0.005)

    def _run(self, number: int) -> None:
        luck = random.Random(number)
        key = 0
        while not self._stopping.is_set():
            key += 1
            with self._turn, contextlib.suppress(PyMongoError):
                self._write(luck, f"w{number}-{key}")
                self.acknowledged += 1
            time.sleep(self._pause_seconds)

    def _write(self, luck: random.Random, key: str) -> None:
        shop = self._client[self._database]
        some = luck.randrange(300)
        match luck.randrange(8):
            case 0:
                shop.orders.insert_one({"_id": key, "no": key, "n": 1, "state": "new", "tags": [], "sub": {}})
            case 1:
                shop.orders.update_one({"_id": some}, {"$set": {"state": "paid", "sub.x": luck.random()}})
            case 2:
                shop.orders.update_one({"_id": some}, {"$inc": {"n": 1}, "$push": {"tags": key}})
            case 3:
                shop.orders.update_one({"_id": some}, {"$unset": {"sub.y": ""}, "$set": {"late": key}})
            case 4:
                shop.orders.replace_one({"_id": some}, {"no": f"o{some}", "n": -1, "state": "new"})
            case 5:
                shop.orders.delete_one({"_id": f"{key.partition('-')[0]}-{luck.randrange(1, 200)}"})
            case 6:
                shop.items.update_one({"_id": some}, {"$set": {"qty": luck.randrange(9)}}, upsert=True)
            case _:
                self._transaction(key)

    def _transaction(self, key: str) -> None:
        shop = self._client[self._database]
        with self._client.start_session() as session, session.start_transaction():
            shop.orders.insert_one(
                {"_id": f"t{key}", "no": f"t{key}", "n": 2, "state": "tx"}, session=session
            )
            shop.items.insert_one({"_id": f"t{key}", "order": key, "qty": 2}, session=session)
            shop.items.update_one({"_id": f"t{key}"}, {"$inc": {"qty": 1}}, session=session)
