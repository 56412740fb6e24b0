"""The live oplog as a source."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from pymongo import MongoClient
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern

from mongo_dr_console.model import rawbson
from mongo_dr_console.model.entryhead import head
from mongo_dr_console.model.eventscan import DROP_WAIT_SECONDS
from mongo_dr_console.model.namespace import ROLES, USERS
from mongo_dr_console.model.position import MAX_ORDINAL, Position, Span
from mongo_dr_console.model.slowdeletes import Tally
from mongo_dr_console.model.trouble import Failed
from mongo_dr_console.mongo import oplog
from mongo_dr_console.mongo.client import told

_BACK_SECONDS = (0, 20, 600, MAX_ORDINAL)


class LiveOplog:
    """The oplog of the member that the client reads from, up to the majority-committed point."""

    def __init__(self, client: MongoClient[Any], name: str = "live") -> None:
        self.name = name
        self._client = client

    def windows(self) -> list[Span]:
        """One range: from the oldest entry to the majority-committed point."""
        first, last = self._end(1), self._end(-1)
        if first is None or last is None:
            raise Failed("oplog-missing", "The deployment has no oplog, so there is nothing to look through.")
        return [Span(first, max(first, last))]

    def _end(self, direction: int) -> Position | None:
        try:
            found = self._oplog().find_one({}, {"ts": 1}, sort=[("$natural", direction)])
        except PyMongoError as error:
            raise told(error) from None
        return Position.of(found["ts"]) if found is not None else None

    def read(self, start: Position, end: Position) -> Iterator[bytes]:
        """Batches of whole raw entries with ``start <= ts <= end``, oldest first."""
        yield from oplog.raw_batches(self._client, start, end)

    def entry_before(self, position: Position) -> Position | None:
        """Position of the newest entry before this one, None if there is none."""
        found = self._newest({}, position, 1)
        return head(found[0]).position if found else None

    def destructive(self, start: Position, end: Position, threshold: int, reach: int) -> Iterator[bytes]:
        """Only the entries that tell of events, filtered on the server: commands; writes to users and roles;
        the deletes and updates of
        namespaces that had at least ``threshold`` of one kind within one second from one writer, ``reach``
        seconds around those seconds; and writes into a database shortly before it is dropped. A scan of the
        whole range in Python costs ten times as much.
        """
        wanted: list[dict[str, Any]] = [{"op": "c"}, {"ns": {"$in": [str(USERS), str(ROLES)]}}]
        for (op, namespace), seconds in sorted(self._busy_seconds(start, end, threshold).items()):
            if op == "c":
                database = re.escape(namespace.partition(".")[0])
                dropped = [(second - DROP_WAIT_SECONDS, second) for second in seconds]
                wanted.append({"ns": {"$regex": f"^{database}\\."}, "$or": [_seconds(*d) for d in dropped]})
                continue
            ranges = [_seconds(a, b) for a, b in merge_seconds(seconds, reach)]
            wanted.append({"op": op, "ns": namespace, "$or": ranges})
        yield from self._raw({"ts": _between(start, end), "op": {"$ne": "n"}, "$or": wanted})

    def tallies(self, start: Position, end: Position, minimum: int) -> list[Tally]:
        """What ``model.slowdeletes`` goes by, summed up on the server: the deletes of writers that have at
        least ``minimum`` in one namespace, and the inserts into these namespaces."""
        deletes = {"o": "$op", "n": "$ns", "s": "$lsid.id"}
        found = list(self._tallied({"op": "d"}, deletes, start, end, minimum))
        names = sorted({t.namespace for t in found})
        if names:
            inserts = {"o": "$op", "n": "$ns"}
            found += self._tallied({"op": "i", "ns": {"$in": names}}, inserts, start, end, 1)
        return found

    def _tallied(
        self, wanted: dict[str, Any], group: dict[str, str], start: Position, end: Position, minimum: int
    ) -> Iterator[Tally]:
        minute = {"$floor": {"$divide": [{"$tsSecond": "$ts"}, 60]}}
        summed = {"count": {"$sum": 1}, "first": {"$min": "$ts"}, "last": {"$max": "$ts"}}
        each = {"minute": "$_id.minute", "count": "$count", "first": "$first", "last": "$last"}
        pipeline: list[dict[str, Any]] = [
            {"$match": {"ts": _between(start, end), **wanted}},
            {"$group": {"_id": {**group, "minute": minute}, **summed}},
            {
                "$group": {
                    "_id": {key: f"$_id.{key}" for key in group},
                    "total": {"$sum": "$count"},
                    "minutes": {"$push": each},
                }
            },
            {"$match": {"total": {"$gte": minimum}}},
        ]
        concern = ReadConcern("majority")
        try:
            oplog = self._client.local.get_collection("oplog.rs", read_concern=concern)
            for row in oplog.aggregate(pipeline, allowDiskUse=True):
                op, namespace, session = row["_id"]["o"], row["_id"]["n"], row["_id"].get("s")
                for one in row["minutes"]:
                    yield Tally(
                        op,
                        namespace,
                        None if session is None else bytes(session).hex(),
                        int(one["minute"]),
                        one["count"],
                        Position.of(one["first"]),
                        Position.of(one["last"]),
                    )
        except PyMongoError as error:
            raise told(error) from None

    def sizes(self, namespaces: Sequence[str]) -> dict[str, int]:
        """How many documents there are now, of collections that are there and may be counted."""
        found = {}
        for namespace in namespaces:
            database, _, collection = namespace.partition(".")
            try:
                if self._client[database].list_collection_names(filter={"name": collection}):
                    found[namespace] = self._client[database][collection].estimated_document_count()
            except PyMongoError:
                continue
        return found

    def touching(
        self, namespace: str, identities: Sequence[Any], start: Position, end: Position
    ) -> Iterator[bytes]:
        """Only the commands, and the writes to documents with one of these ``_id`` in one namespace."""
        document = {"ns": namespace, "$or": [{"o._id": {"$in": identities}}, {"o2._id": {"$in": identities}}]}
        yield from self._raw({"ts": _between(start, end), "$or": [{"op": "c"}, document]})

    def newest(self, end: Position, count: int) -> list[bytes]:
        """The newest entries before ``end``, oldest first, without the server's own no-ops."""
        return self._newest({"op": {"$ne": "n"}}, end, count)

    def _newest(self, wanted: dict[str, Any], end: Position, count: int) -> list[bytes]:
        # The server finds the start of a range of the oplog at once, but only when it reads forwards.
        for seconds in _BACK_SECONDS:
            start = Position(max(end.t - seconds, 0), 0)
            pipeline: list[dict[str, Any]] = [
                {"$match": {"ts": {"$gte": start.timestamp, "$lt": end.timestamp}, **wanted}},
                {"$sort": {"ts": -1}},
                {"$limit": count},
            ]
            try:
                found = [bytes(e.raw) for e in self._oplog().aggregate(pipeline)]
            except PyMongoError as error:
                raise told(error) from None
            if len(found) >= count or start.t == 0:
                break
        return found[::-1]

    def oldest(self, start: Position, count: int) -> list[bytes]:
        """The oldest entries from ``start`` on, without the server's own no-ops."""
        try:
            cursor = self._oplog().find({"ts": {"$gte": start.timestamp}, "op": {"$ne": "n"}})
            return [bytes(e.raw) for e in cursor.limit(count)]
        except PyMongoError as error:
            raise told(error) from None

    def _busy_seconds(
        self, start: Position, end: Position, threshold: int
    ) -> dict[tuple[str, str], list[int]]:
        """The seconds by kind and namespace; for ``c`` those in which the database was dropped."""
        pipeline: list[dict[str, Any]] = [
            {
                "$match": {
                    "ts": _between(start, end),
                    "$or": [{"op": {"$in": ["d", "u"]}}, {"op": "c", "o.dropDatabase": {"$exists": True}}],
                }
            },
            {
                "$group": {
                    "_id": {"o": "$op", "n": "$ns", "s": "$lsid.id", "t": {"$tsSecond": "$ts"}},
                    "count": {"$sum": 1},
                }
            },
            {"$match": {"$or": [{"count": {"$gte": threshold}}, {"_id.o": "c"}]}},
            {"$group": {"_id": {"o": "$_id.o", "n": "$_id.n"}, "seconds": {"$addToSet": "$_id.t"}}},
        ]
        found: dict[tuple[str, str], list[int]] = {}
        try:
            for group in self._client.local["oplog.rs"].aggregate(pipeline, allowDiskUse=True):
                found[group["_id"]["o"], group["_id"]["n"]] = [int(s) for s in group["seconds"]]
        except PyMongoError as error:
            raise told(error) from None
        return found

    def _raw(self, query: dict[str, Any]) -> Iterator[bytes]:
        try:
            for batch in self._oplog().find_raw_batches(query, batch_size=20000):
                if batch:
                    yield batch
        except PyMongoError as error:
            raise told(error) from None

    def _oplog(self) -> Any:
        return self._client.local.get_collection(
            "oplog.rs", codec_options=rawbson.RAW, read_concern=ReadConcern("majority")
        )


def merge_seconds(seconds: Sequence[int], reach: int) -> list[tuple[int, int]]:
    """Ranges of seconds, both ends included, that lie within ``reach`` of one of these, in order.

    >>> merge_seconds([100, 104, 200], 3)
    [(97, 107), (197, 203)]
    """
    merged: list[tuple[int, int]] = []
    for second in sorted(set(seconds)):
        low, high = max(second - reach, 0), second + reach
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], high)
        else:
            merged.append((low, high))
    return merged


def _between(start: Position, end: Position) -> dict[str, Any]:
    return {"$gte": start.timestamp, "$lte": end.timestamp}


def _seconds(first: int, last: int) -> dict[str, Any]:
    return {
        "ts": {"$gte": Position(max(first, 0), 0).timestamp, "$lte": Position(last, MAX_ORDINAL).timestamp}
    }
