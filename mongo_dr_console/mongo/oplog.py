"""Reading the live oplog, raw."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern

from mongo_dr_console.model import rawbson
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.trouble import Failed
from mongo_dr_console.mongo.batches import quick
from mongo_dr_console.mongo.client import told

BATCH_BYTES = 4 * 1024 * 1024


def ends(client: MongoClient[Any]) -> tuple[Position, Position]:
    """Positions of the oldest and the newest entry that this client's member has.

    Raises:
        Failed: The oplog is empty or not there.
    """
    oplog = client.local["oplog.rs"]
    try:
        first = oplog.find_one({}, {"ts": 1}, sort=[("$natural", 1)])
        last = oplog.find_one({}, {"ts": 1}, sort=[("$natural", -1)])
    except PyMongoError as error:
        raise told(error) from None
    if first is None or last is None:
        raise Failed("oplog-missing", "The deployment has no oplog, so there is nothing to replay.")
    return Position.of(first["ts"]), Position.of(last["ts"])


def majority_position(client: MongoClient[Any]) -> tuple[Position, int]:
    """The majority-committed point of the member that answers, with its term."""
    try:
        hello = client.admin.command("hello")
    except PyMongoError as error:
        raise told(error) from None
    if "setName" not in hello:
        raise Failed("not-a-replica-set", "This server is not a member of a replica set.")
    optime = hello["lastWrite"]["majorityOpTime"]
    return Position.of(optime["ts"]), int(optime["t"])


def primary_term(client: MongoClient[Any]) -> int:
    """The election term of the primary: the last eight bytes of the election id that ``hello`` carries."""
    try:
        hello = client.admin.command("hello")
    except PyMongoError as error:
        raise told(error) from None
    election = hello.get("electionId")
    return int.from_bytes(election.binary[4:], "big") if election is not None else -1


def raw_batches(
    client: MongoClient[Any], start: Position, end: Position | None = None, only: dict[str, Any] | None = None
) -> Iterator[bytes]:
    """Batches of whole raw entries with ``start <= ts <= end``, majority-committed, oldest first.

    Args:
        client: To the member that is asked.
        start: The first position wanted.
        end: The last one, None for all there are.
        only: A query that the entries must meet beside that, evaluated by the server.

    Raises:
        Unreachable, Failed: As the driver says; entries that were yielded stay good.
    """
    try:
        yield from raw_batches_untold(client, start, end, only)
    except PyMongoError as error:
        raise told(error) from None


def raw_batches_untold(
    client: MongoClient[Any], start: Position, end: Position | None = None, only: dict[str, Any] | None = None
) -> Iterator[bytes]:
    """The same for callers that go on after a lost primary: errors are the driver's."""
    oplog = client.local.get_collection(
        "oplog.rs", codec_options=rawbson.RAW, read_concern=ReadConcern("majority")
    )
    wanted: dict[str, Any] = {"$gte": start.timestamp}
    if end is not None:
        wanted["$lte"] = end.timestamp
    for batch in quick(oplog.find_raw_batches({"ts": wanted, **(only or {})}, batch_size=20000)):
        if batch:
            yield bytes(batch)
            # Not to be held on to while the next one is received.
            del batch


def raw_entries(
    client: MongoClient[Any], start: Position, end: Position | None = None
) -> Iterator[RawBSONDocument]:
    """The same, an entry at a time, top-level fields decoded lazily."""
    for batch in raw_batches(client, start, end):
        for raw in rawbson.split(batch):
            yield RawBSONDocument(raw, rawbson.RAW)


def entry_at(client: MongoClient[Any], position: Position) -> bytes | None:
    """The raw entry at a position, None where this member has none."""
    for batch in raw_batches(client, position, position):
        return batch
    return None
