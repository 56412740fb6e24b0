"""Histories of a deployment: random operations of every kind, and what there was after each.

A history is one thread's work, so after each step the databases stand still and can be looked at.
Transactions stay open over other steps all the same. Which steps come follows from the seed alone.
"""

from __future__ import annotations

import contextlib
import random
from dataclasses import dataclass, field
from typing import Any

from bson import Int64
from pymongo.errors import PyMongoError

from mongo_dr_console.model.position import Position
from mongo_dr_console.model.rawbson import RAW
from support import twin
from support.steps import CALM, IDS, NAMES, WEIGHTS, WILD, Open

PARTS = {"maxNumberOfTransactionOperationsInSingleOplogEntry": "3", "ttlMonitorEnabled": "false"}
"""Parameters for the set: a transaction of four operations takes two entries."""


@dataclass
class Step:
    """What was done, and what there was afterwards.

    Args:
        first, last: The newest entry before it, and after it.
        states: Database to its state, see ``twin.state_of``.
    """

    name: str
    first: Position
    last: Position
    states: dict[str, Any]


@dataclass
class History:
    """Makes one, step by step.

    Args:
        client: To a set of its own, started with ``PARTS``.
        prefix: Of the names of its three databases.
        seed: What comes.
    """

    client: Any
    prefix: str
    seed: int
    steps: list[Step] = field(default_factory=list)
    open: list[Open] = field(default_factory=list)
    _count: int = 0

    def __post_init__(self) -> None:
        self.luck = random.Random(self.seed)
        self.start = newest(self.client)

    @property
    def databases(self) -> tuple[str, str, str]:
        return f"{self.prefix}_a", f"{self.prefix}_b", f"{self.prefix}_c"

    def begin(self) -> None:
        for name in self.databases:
            for one in NAMES[:2]:
                self.client[name][one].insert_many([{"_id": n, "n": n} for n in range(3)])
            self.client[name].ledger.insert_one({"_id": "first"})
        self._note("begin", self.start)

    def step(self) -> None:
        """One more."""
        kinds = CALM if self.open else CALM + WILD
        (kind,) = self.luck.choices(kinds, [WEIGHTS.get(k.__name__, 2) for k in kinds])
        before = newest(self.client)

        # A validator, a unique index or a name that is taken refuses some of them: also a history.
        with contextlib.suppress(PyMongoError):
            kind(self)
        self._note(kind.__name__, before)

    def end(self) -> None:
        """Ends what is open."""
        before = newest(self.client)
        for one in self.open:
            one.session.abort_transaction()
            one.session.end_session()
        self.open.clear()
        self._note("end", before)

    def _note(self, name: str, before: Position) -> None:
        states = {database: twin.state_of(self.client, database) for database in self.databases}
        self.steps.append(Step(name, before, newest(self.client), states))

    # What is there to choose from

    @property
    def database(self) -> Any:
        return self.client[self.luck.choice(self.databases)]

    @property
    def collection(self) -> Any:
        database = self.database
        there = [n for n in NAMES if n in database.list_collection_names()]
        return database[self.luck.choice(there if there and self.luck.random() < 0.8 else NAMES)]

    @property
    def another(self) -> Any:
        return self.luck.choice(IDS)

    def fresh(self) -> int:
        self._count += 1
        return 1000 + self._count

    def value(self) -> Any:
        self._count += 1
        choices: tuple[Any, ...] = (
            self._count,
            float(self._count),
            f"v{self._count}",
            {"x": self._count, "y": {"z": [self._count]}},
            [self._count, {"p": 1}, [2]],
            None,
            True,
            Int64(self._count),
        )
        return self.luck.choice(choices)

    def some_fields(self) -> dict[str, Any]:
        return {name: self.value() for name in self.luck.sample("abcdef", self.luck.randrange(1, 4))}


def newest(client: Any) -> Position:
    latest = client.local["oplog.rs"].find_one({}, {"ts": 1}, sort=[("$natural", -1)])
    return Position.of(latest["ts"])


def oplog_after(client: Any, start: Position) -> list[bytes]:
    """Every entry after a position, raw."""
    oplog = client.local.get_collection("oplog.rs", codec_options=RAW)
    return [bytes(e.raw) for e in oplog.find({"ts": {"$gt": start.timestamp}}).sort("$natural", 1)]
