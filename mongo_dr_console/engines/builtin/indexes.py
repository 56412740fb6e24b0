"""Building indexes after data and replay, and comparing them with what the timeline says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import bson
from bson.raw_bson import RawBSONDocument
from pymongo.errors import OperationFailure

from mongo_dr_console.model import rawbson
from mongo_dr_console.model.timeline import Staged
from mongo_dr_console.model.trouble import Failed
from mongo_dr_console.mongo.client import Client
from mongo_dr_console.mongo.durability import is_lost_primary

_SIMPLE = {"locale": "simple"}


def is_ttl(spec: RawBSONDocument) -> bool:
    return "expireAfterSeconds" in spec


def build(client: Client, staged: Staged, wanted: Callable[[RawBSONDocument], bool]) -> int:
    """Builds the wanted indexes of a staging collection in one command; existing ones are left. Returns how
    many were asked for.

    Raises:
        Failed: The server refuses one.
    """
    specs = [_for_create(staged, spec) for spec in staged.indexes.values() if wanted(spec)]
    if not specs:
        return 0
    command = {
        "createIndexes": staged.name,
        "indexes": specs,
        "ignoreUnknownIndexOptions": True,
        # The default waits for every voting member, so one that is down would hold the restore up for ever.
        "commitQuorum": "majority",
    }
    try:
        client[staged.database].command(command)
    except OperationFailure as error:
        if is_lost_primary(error):
            raise
        raise Failed(
            "index-refused",
            f"An index of {staged.namespace} cannot be built: {(error.details or {}).get('errmsg', error)}. "
            "Nothing live was changed.",
            "Restore to a position before the index was made, or leave this collection out with --ns.",
        ) from None
    return len(specs)


def drop_all(client: Client, staged: Staged) -> None:
    """Drops all secondary indexes of a staging collection: replay that goes back over a unique one may meet
    states that never were."""
    client[staged.database].command({"dropIndexes": staged.name, "index": "*"})


def differences(client: Client, staged: Staged, wanted: dict[str, RawBSONDocument]) -> list[str]:
    """Where the server's indexes and the wanted ones do not agree, in words; empty if all is well."""
    listed = _listed(client, staged)
    found = {s["name"]: s for s in listed if s["name"] != "_id_" and not s.get("clustered")}
    problems = []
    for name in sorted(wanted.keys() | found.keys()):
        if name not in found:
            problems.append(f"index {name} is missing")
        elif name not in wanted:
            problems.append(f"index {name} should not be there")
        elif _comparable(found[name]) != _comparable(wanted[name]):
            problems.append(f"index {name} differs")
    return problems


def _listed(client: Client, staged: Staged) -> list[RawBSONDocument]:
    collection = client.get_database(staged.database).get_collection(staged.name, codec_options=rawbson.RAW)
    return cast("list[RawBSONDocument]", list(collection.list_indexes()))


def _for_create(staged: Staged, spec: RawBSONDocument) -> dict[str, Any]:
    fields = {k: v for k, v in spec.items() if k not in ("ns", "background", "v")}
    # An index without a collation on a collection with one is an index with the simple collation.
    if "collation" in staged.options and "collation" not in fields:
        fields["collation"] = _SIMPLE
    return fields


def plain(value: Any) -> Any:
    """A number without its type: the server stores some options with another one than it logs."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    return float(value)


def _comparable(spec: RawBSONDocument) -> bytes:
    fields = {k: plain(v) for k, v in spec.items() if k not in ("ns", "v", "background")}
    return bson.encode({"key": fields.pop("key"), **dict(sorted(fields.items()))})
