"""What lies between the base and the limit: definitions that change, and operations by namespace."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from bson.raw_bson import RawBSONDocument
from bson.timestamp import Timestamp
from pymongo.errors import PyMongoError

from mongo_dr_console.engines.builtin.snapshot import StoredSnapshot
from mongo_dr_console.model import rawbson
from mongo_dr_console.model.entryhead import operation_type
from mongo_dr_console.model.namespace import Namespace
from mongo_dr_console.model.oplogentry import Operation, TransactionAssembler, raw_entry
from mongo_dr_console.model.plan import BaseSnapshot, Hazard
from mongo_dr_console.model.position import Bound, Limit, Position
from mongo_dr_console.mongo.client import Client, told
from mongo_dr_console.workers.plan_base import needs_oplog
from mongo_dr_console.workers.plan_sources import Deployments, Look, history, source

_COUNT_MS = 60_000
_NAMESPACE_WITHIN = 1024


@dataclass(frozen=True, slots=True)
class Counts:
    """Operations by namespace and kind."""

    by_namespace: dict[str, dict[str, int]]

    def total(self) -> int:
        return sum(n for kinds in self.by_namespace.values() for n in kinds.values())

    def gained(self, namespace: str) -> int:
        kinds = self.by_namespace.get(namespace, {})
        return kinds.get("i", 0) - kinds.get("d", 0)

    def within(self, names: Iterable[str]) -> int:
        wanted = set(names)
        return sum(sum(k.values()) for n, k in self.by_namespace.items() if n in wanted)


def definitions(
    deployments: Deployments, snapshot: StoredSnapshot, base: BaseSnapshot, limit: Limit
) -> Iterator[Operation]:
    """Every command and every change of a view from the window's start to the limit, in order."""
    assembler = TransactionAssembler()
    for raw in rawbson.documents(snapshot.oplog()):
        entry = raw_entry(raw)
        if limit.admits(Position.of(entry["ts"])):
            yield from _defining(assembler.feed(entry))
    if not needs_oplog(base, limit):
        return
    if deployments.mixed:
        for raw in _kept(deployments, base, limit.position):
            if operation_type(raw) == "c" or b".system.views\0" in raw[:_NAMESPACE_WITHIN]:
                entry = raw_entry(raw)
                if limit.admits(Position.of(entry["ts"])):
                    yield from _defining(assembler.feed(entry))
        return
    query = {
        "ts": {"$gt": base.end.timestamp},
        "$or": [
            {"op": "c", "o.applyOps": {"$exists": False}},
            {
                "op": "c",
                "o.applyOps": {"$elemMatch": {"$or": [{"op": "c"}, {"ns": re.compile(r"\.system\.views$")}]}},
            },
            # Later parts of a transaction: the last one commits what an earlier one defines.
            {"op": "c", "o.applyOps": {"$exists": True}, "prevOpTime.ts": {"$gt": Timestamp(0, 0)}},
            {"ns": re.compile(r"\.system\.views$")},
        ],
    }
    oplog: Any = source(deployments).local.get_collection("oplog.rs", codec_options=rawbson.RAW)
    try:
        for found in oplog.find(query).sort("$natural", 1):
            entry = RawBSONDocument(found.raw, rawbson.RAW)
            if not limit.admits(Position.of(entry["ts"])):
                return
            yield from _defining(assembler.feed(entry))
    except PyMongoError as error:
        raise told(error) from None


def _kept(deployments: Deployments, base: BaseSnapshot, through: Position) -> Iterator[bytes]:
    """The entries after the base from whatever source has them."""
    for batch in history(deployments).go_on(base.end, base.end_hash, through):
        yield from rawbson.split(batch)


def _defining(operations: Iterable[Operation]) -> Iterator[Operation]:
    return (o for o in operations if o.op == "c" or o.collection == "system.views")


def renames_in(operations: Iterable[Operation]) -> list[tuple[Namespace, Namespace]]:
    return [
        (Namespace.parse(o.document["renameCollection"]), Namespace.parse(o.document["to"]))
        for o in operations
        if o.command == "renameCollection"
    ]


def counted(deployments: Deployments, base: BaseSnapshot, limit: Limit, look: Look) -> tuple[Counts, Counts]:
    """Operations from the base to the limit, and after the limit; counted on the server, if at all."""
    if not look.counts:
        return Counts({}), Counts({})
    if deployments.mixed and needs_oplog(base, limit):
        return _count_kept(deployments, base, limit)
    if deployments.source is None or (not needs_oplog(base, limit) and not deployments.same):
        return Counts({}), Counts({})
    low, high = base.end.timestamp, limit.position.timestamp
    inclusive = limit.bound is Bound.THROUGH
    until = {"$gt": low, ("$lte" if inclusive else "$lt"): high}
    after = {("$gt" if inclusive else "$gte"): high}
    try:
        return _count(deployments.source, until), _count(deployments.source, after)
    except PyMongoError as error:
        text = f"the operations could not be counted: {told(error).message}"
        look.hazards.append(Hazard(severity="info", code="not-counted", text=text))
        return Counts({}), Counts({})


def _count_kept(deployments: Deployments, base: BaseSnapshot, limit: Limit) -> tuple[Counts, Counts]:
    until: dict[str, dict[str, int]] = {}
    after: dict[str, dict[str, int]] = {}
    assembler = TransactionAssembler()
    newest = history(deployments).latest if deployments.same else None
    for raw in _kept(deployments, base, max(limit.position, newest or limit.position)):
        entry = raw_entry(raw)
        counts = until if limit.admits(Position.of(entry["ts"])) else after
        for operation in assembler.feed(entry):
            if operation.op in ("i", "u", "d"):
                kinds = counts.setdefault(str(operation.namespace), {})
                kinds[operation.op] = kinds.get(operation.op, 0) + 1
    return Counts(until), Counts(after)


def _count(client: Client, ts: dict[str, Any]) -> Counts:
    single = [{"op": "$op", "ns": "$ns"}]
    pipeline: list[dict[str, Any]] = [
        {"$match": {"ts": ts, "op": {"$in": ["i", "u", "d", "c"]}}},
        {"$project": {"e": {"$cond": [{"$isArray": "$o.applyOps"}, "$o.applyOps", single]}}},
        {"$unwind": "$e"},
        {"$match": {"e.op": {"$in": ["i", "u", "d"]}}},
        {"$group": {"_id": {"ns": "$e.ns", "op": "$e.op"}, "n": {"$sum": 1}}},
    ]
    found: dict[str, dict[str, int]] = {}
    for row in client.local["oplog.rs"].aggregate(pipeline, maxTimeMS=_COUNT_MS, allowDiskUse=True):
        found.setdefault(row["_id"]["ns"], {})[row["_id"]["op"]] = row["n"]
    return Counts(found)
