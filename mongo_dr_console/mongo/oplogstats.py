"""Measuring the live oplog: window, size, churn, who lags, and where snapshots join it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, cast

from bson.raw_bson import RawBSONDocument
from bson.timestamp import Timestamp
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import PyMongoError
from pymongo.read_preferences import PrimaryPreferred

from mongo_dr_console.model import rawbson
from mongo_dr_console.model.coverage import LiveOplog
from mongo_dr_console.model.identity import Identity
from mongo_dr_console.model.oplogfacts import MemberLag, OplogFacts
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.setstatus import ARBITER, SetStatus, parse_set_status
from mongo_dr_console.model.trouble import Failed
from mongo_dr_console.mongo.client import AsyncClient
from mongo_dr_console.mongo.setstatus import command

RECENT_SECONDS = 60
"""The stretch over which the recent churn is measured."""
_RECENT_LIMIT_MS = 700
_ANY = PrimaryPreferred()


async def read_oplog(client: AsyncClient, *, limit_ms: int = 2000) -> OplogFacts:
    """Everything about the oplog of the member that answers. Needs the role clusterMonitor.

    Raises:
        Failed: There is no oplog.
        PyMongoError: As the driver says.
    """
    hello = await command(client, {"hello": 1}, limit_ms)
    oldest, newest = await _ends(client, limit_ms)
    stats = await _stats(client, limit_ms)
    recent_bytes, recent_entries, seconds = await _recent(
        client, Position.of(oldest["ts"]), Position.of(newest["ts"])
    )
    return OplogFacts(
        told_by=str(hello.get("me", "")),
        oldest=Position.of(oldest["ts"]),
        newest=Position.of(newest["ts"]),
        oldest_at=_wall(oldest),
        newest_at=_wall(newest),
        committed=_committed(hello),
        size_bytes=_int(stats.get("size")),
        max_bytes=_int(stats.get("maxSize")),
        entries=_int(stats.get("count")),
        recent_bytes_per_second=recent_bytes,
        recent_entries_per_second=recent_entries,
        recent_seconds=seconds,
        members=await _members(client, hello, Position.of(oldest["ts"]), limit_ms),
    )


async def read_live(
    client: AsyncClient, positions: Iterable[Position], environment: str, *, limit_ms: int = 2000
) -> LiveOplog:
    """Both ends of the live oplog and the hashes of the entries at these positions, for the joints.

    Raises:
        Failed: There is no oplog.
        PyMongoError: As the driver says.
    """
    oldest, newest = await _ends(client, limit_ms)
    hello = await command(client, {"hello": 1}, limit_ms)
    first, last = Position.of(oldest["ts"]), Position.of(newest["ts"])
    inside = [p for p in positions if first <= p <= last]
    return LiveOplog(
        oldest=first,
        latest=min(last, _committed(hello) or last),
        newest=last,
        hashes=await _hashes(client, inside, limit_ms),
        identity=await _identity(client, environment, limit_ms),
    )


async def _hashes(
    client: AsyncClient, positions: Sequence[Position], limit_ms: int
) -> dict[Position, str | None]:
    # The driver's types do not follow the codec options.
    oplog = cast(
        AsyncCollection[RawBSONDocument],
        client.local.get_collection("oplog.rs", codec_options=cast(Any, rawbson.RAW), read_preference=_ANY),
    )
    found: dict[Position, str | None] = {}
    for position in positions:
        entry = await oplog.find_one({"ts": position.timestamp}, max_time_ms=limit_ms)
        found[position] = None if entry is None else rawbson.entry_hash(bytes(entry.raw))
    return found


async def _identity(client: AsyncClient, environment: str, limit_ms: int) -> Identity | None:
    try:
        answer = await command(client, {"replSetGetConfig": 1}, limit_ms)
        config = answer["config"]
        return Identity(
            environment=environment,
            set_name=str(config["_id"]),
            replica_set_id=str(config["settings"]["replicaSetId"]),
        )
    except (PyMongoError, KeyError):
        return None


async def _ends(client: AsyncClient, limit_ms: int) -> tuple[dict[str, Any], dict[str, Any]]:
    oplog = client.local.get_collection("oplog.rs", read_preference=_ANY)
    fields = {"ts": 1, "wall": 1}
    first = await oplog.find_one({}, fields, sort=[("$natural", 1)], max_time_ms=limit_ms)
    last = await oplog.find_one({}, fields, sort=[("$natural", -1)], max_time_ms=limit_ms)
    if first is None or last is None:
        raise Failed("oplog-missing", "The deployment has no oplog, so there is no point in time.")
    return first, last


async def _stats(client: AsyncClient, limit_ms: int) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = await client.local.command(
            {"collStats": "oplog.rs", "maxTimeMS": limit_ms}, read_preference=_ANY
        )
    except PyMongoError:
        return {}
    return answer


async def _recent(
    client: AsyncClient, oldest: Position, newest: Position
) -> tuple[float | None, float | None, float | None]:
    """Bytes and entries a second over the last minute (a young oplog: its whole life), and over how many
    seconds; nothing where the server needs too long for that."""
    oplog = client.local.get_collection("oplog.rs", read_preference=_ANY)
    since = Timestamp(max(0, newest.t - RECENT_SECONDS), 0)
    pipeline: list[dict[str, Any]] = [
        {"$match": {"ts": {"$gt": since}}},
        {"$group": {"_id": None, "bytes": {"$sum": {"$bsonSize": "$$ROOT"}}, "entries": {"$sum": 1}}},
    ]
    try:
        cursor = await oplog.aggregate(pipeline, maxTimeMS=_RECENT_LIMIT_MS)
        found = await cursor.to_list(1)
    except PyMongoError:
        return None, None, None
    seconds = float(max(1, min(RECENT_SECONDS, newest.t - oldest.t)))
    if not found:
        return 0.0, 0.0, seconds
    return found[0]["bytes"] / seconds, found[0]["entries"] / seconds, seconds


async def _members(
    client: AsyncClient, hello: dict[str, Any], oldest: Position, limit_ms: int
) -> tuple[MemberLag, ...]:
    try:
        status = await command(client, {"replSetGetStatus": 1}, limit_ms)
    except PyMongoError:
        return ()
    return member_lags(parse_set_status(status, hello), oldest)


def member_lags(status: SetStatus, oldest: Position) -> tuple[MemberLag, ...]:
    """Each data-bearing member against the oldest entry that it could still copy."""
    return tuple(
        MemberLag(m.name, m.lag_seconds, None if m.position is None else _headroom(m.position, oldest))
        for m in status.members
        if m.state != ARBITER
    )


def _headroom(position: Position, oldest: Position) -> float:
    seconds = float(position.t - oldest.t)
    return seconds if position >= oldest else min(-1.0, seconds)


def _committed(hello: dict[str, Any]) -> Position | None:
    optime = (hello.get("lastWrite") or {}).get("majorityOpTime")
    return None if not optime else Position.of(optime["ts"])


def _wall(entry: dict[str, Any]) -> datetime:
    wall = entry.get("wall")
    return wall if isinstance(wall, datetime) else datetime.fromtimestamp(entry["ts"].time, UTC)


def _int(value: object) -> int | None:
    return int(value) if isinstance(value, int | float) else None
