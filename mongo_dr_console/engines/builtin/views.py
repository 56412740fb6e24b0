"""Putting views in place: their definitions, since they have no documents."""

from __future__ import annotations

from typing import Any

import bson
from bson.raw_bson import RawBSONDocument

from mongo_dr_console.model import rawbson
from mongo_dr_console.model.namespace import Namespace
from mongo_dr_console.mongo.client import Client


def live_definition(client: Client, namespace: Namespace) -> RawBSONDocument | None:
    """The live view's ``viewOn``, ``pipeline`` and ``collation``, raw; None where there is no view."""
    listing = {"listCollections": 1, "filter": {"name": namespace.collection}}
    reply = client[namespace.database].command(listing, codec_options=rawbson.RAW)
    for info in reply["cursor"]["firstBatch"]:
        if info["type"] == "view":
            return normal_definition(info["options"])
    return None


def normal_definition(fields: RawBSONDocument) -> RawBSONDocument:
    """Only what defines a view, in one order, so that two definitions compare by their bytes."""
    wanted = {key: fields[key] for key in ("viewOn", "pipeline", "collation") if key in fields}
    return RawBSONDocument(bson.encode(wanted), rawbson.RAW)


def put(client: Client, namespace: Namespace, definition: RawBSONDocument | None) -> None:
    """Makes the live view have this definition, or go where it is None. A change of ``viewOn`` or the
    pipeline is one ``collMod``; a view with another collation is made anew."""
    live = live_definition(client, namespace)
    if definition is None:
        if live is not None:
            client[namespace.database].drop_collection(namespace.collection)
        return
    if live is not None and live.raw == definition.raw:
        return
    database = client[namespace.database]
    if live is not None and _collation(live) == _collation(definition):
        change: dict[str, Any] = {"viewOn": definition["viewOn"], "pipeline": list(definition["pipeline"])}
        database.command({"collMod": namespace.collection, **change})
        return
    if live is not None:
        database.drop_collection(namespace.collection)
    database.command({"create": namespace.collection, **definition})


def _collation(definition: RawBSONDocument) -> bytes:
    collation = definition.get("collation")
    return bytes(collation.raw) if collation is not None else b""
