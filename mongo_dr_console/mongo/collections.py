"""Listing databases and collections with their options and indexes, raw: nothing changes its type."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from bson.int64 import Int64
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient
from pymongo.client_session import ClientSession
from pymongo.errors import OperationFailure

from mongo_dr_console.model.manifest import Kind
from mongo_dr_console.model.rawbson import RAW

EMPTY = b"\x05\x00\x00\x00\x00"

_NAMESPACE_NOT_FOUND = 26
_KINDS: dict[str, Kind] = {"collection": "collection", "view": "view", "timeseries": "timeseries"}


@dataclass(frozen=True, slots=True)
class ListedCollection:
    """A collection as the server lists it; ``options`` and each of ``indexes`` are raw BSON.

    ``uuid`` has 32 hex digits; views and time series have none.
    """

    database: str
    name: str
    kind: Kind
    uuid: str | None
    options: bytes
    indexes: tuple[bytes, ...] = ()


def list_databases(client: MongoClient[Any]) -> list[str]:
    """Names of all databases, sorted. Errors are the driver's."""
    reply = client.admin.command({"listDatabases": 1, "nameOnly": True})
    return sorted(str(entry["name"]) for entry in reply["databases"])


def list_collections(
    client: MongoClient[Any], database: str, *, indexes: bool = True, session: ClientSession | None = None
) -> list[ListedCollection]:
    """Every collection, view and time series of a database, sorted by name, the server's own included.

    Indexes are as listIndexes gives them, with ``_id_`` and with those that are still being built. A
    collection that is dropped while it is listed is left out. Errors are the driver's.
    """
    found = []
    with _session(client, session) as used:
        for document in _cursor(client, database, {"listCollections": 1}, used):
            listed = _listed(database, document)
            if indexes and listed.kind != "view":
                specifications = list_indexes(client, database, listed.name, used)
                if specifications is None:
                    continue
                listed = ListedCollection(
                    database, listed.name, listed.kind, listed.uuid, listed.options, specifications
                )
            found.append(listed)
    return sorted(found, key=lambda c: c.name)


def list_indexes(
    client: MongoClient[Any], database: str, collection: str, session: ClientSession | None = None
) -> tuple[bytes, ...] | None:
    """The raw index specifications of a collection; None if there is no such collection."""
    try:
        with _session(client, session) as used:
            return tuple(bytes(d.raw) for d in _cursor(client, database, {"listIndexes": collection}, used))
    except OperationFailure as error:
        if error.code == _NAMESPACE_NOT_FOUND:
            return None
        raise


def collection_uuid(client: MongoClient[Any], database: str, collection: str) -> str | None:
    """The UUID (32 hex digits) of the collection that has this name now; None if there is none."""
    command = {"listCollections": 1, "filter": {"name": collection}}
    with _session(client, None) as session:
        for document in _cursor(client, database, command, session):
            return _listed(database, document).uuid
    return None


def _listed(database: str, document: Mapping[str, Any]) -> ListedCollection:
    uuid = document.get("info", {}).get("uuid")
    options = document.get("options")
    kind = _KINDS.get(str(document.get("type", "collection")), "collection")
    return ListedCollection(
        database=database,
        name=str(document["name"]),
        kind=kind,
        uuid=bytes(uuid).hex() if uuid is not None and kind == "collection" else None,
        options=bytes(options.raw) if isinstance(options, RawBSONDocument) else EMPTY,
    )


@contextmanager
def _session(client: MongoClient[Any], given: ClientSession | None) -> Iterator[ClientSession]:
    """The caller's session, or one that ends with the block: a cursor's batches must come through the session
    that opened it."""
    if given is not None:
        yield given
        return
    with client.start_session() as own:
        yield own


def _cursor(
    client: MongoClient[Any], database: str, command: dict[str, Any], session: ClientSession
) -> Iterator[RawBSONDocument]:
    handle = client.get_database(database)
    reply: Any = handle.command(command, codec_options=RAW, session=session)
    cursor, batch = reply["cursor"], "firstBatch"
    while True:
        yield from cursor[batch]
        identifier = int(cursor["id"])
        if not identifier:
            return
        more = {"getMore": Int64(identifier), "collection": str(cursor["ns"]).partition(".")[2]}
        reply = handle.command(more, codec_options=RAW, session=session)
        cursor, batch = reply["cursor"], "nextBatch"
