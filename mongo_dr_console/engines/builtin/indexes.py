"""Building indexes after data and replay, and comparing them with what the timeline says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
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
_SPHERE = "2dsphere"
_DUPLICATE_KEY = 11000
_NOT_ITS_OWN = frozenset({13, 26, 50, 91, 189, 262, 371, 11600, 11601, 11602, 14031})
"""What would hit every other index too: no right, no such collection, no time, an end, no room."""


def is_ttl(spec: RawBSONDocument) -> bool:
    return "expireAfterSeconds" in spec


@dataclass(frozen=True, slots=True)
class Unbuilt:
    """An index that the server refused."""

    spec: RawBSONDocument
    why: str
    duplicates: bool

    @property
    def name(self) -> str:
        return str(self.spec["name"])


def build(
    client: Client, staged: Staged, wanted: Callable[[RawBSONDocument], bool]
) -> tuple[int, list[Unbuilt]]:
    """Builds the wanted indexes of a staging collection in one command; existing ones are left. Where the
    server refuses one, the others are built all the same. Returns how many there are of the wanted, and those
    that were refused.

    Raises:
        Failed: None can be built, for a reason that is no index's own.
    """
    specs = [spec for spec in staged.indexes.values() if wanted(spec)]
    if not specs:
        return 0, []
    fields = [_for_create(staged, spec) for spec in specs]
    if create(client, staged.database, staged.name, fields) is None:
        return len(specs), []
    refused = []
    for spec, one in zip(specs, fields, strict=True):
        error = _create(client, staged.database, staged.name, [one])
        if error is not None:
            refused.append(Unbuilt(spec, _message(error), error.code == _DUPLICATE_KEY))
    return len(specs) - len(refused), refused


def create(client: Client, database: str, collection: str, specs: list[dict[str, Any]]) -> str | None:
    """Builds indexes; returns why not, where the server refuses one of them.

    Raises:
        Failed: See ``build``.
    """
    error = _create(client, database, collection, specs)
    return None if error is None else _message(error)


def _create(
    client: Client, database: str, collection: str, specs: list[dict[str, Any]]
) -> OperationFailure | None:
    command = {
        "createIndexes": collection,
        "indexes": specs,
        "ignoreUnknownIndexOptions": True,
        # The default waits for every voting member, so one that is down would hold the restore up for ever.
        "commitQuorum": "majority",
    }
    try:
        client[database].command(command)
    except OperationFailure as error:
        if is_lost_primary(error):
            raise
        if error.code in _NOT_ITS_OWN:
            raise Failed(
                "index-refused",
                f"No index of {database}.{collection} can be built: {_message(error)}. Nothing live was "
                "changed.",
                "Correct that, and then: mdr jobs resume",
            ) from None
        return error
    return None


def _message(error: OperationFailure) -> str:
    return str((error.details or {}).get("errmsg", error))[:500]


def duplicates(client: Client, staged: Staged, spec: RawBSONDocument, most: int) -> Iterator[RawBSONDocument]:
    """Documents that share with another what a unique index forbids; an array counts as a whole."""
    # Names with dots or dollars cannot be keys of a group.
    key = {f"k{number}": f"${field}" for number, field in enumerate(spec["key"])}
    pipeline: list[dict[str, Any]] = [
        {"$match": spec.get("partialFilterExpression") or {}},
        {"$group": {"_id": key, "ids": {"$push": "$_id"}, "n": {"$sum": 1}}},
        {"$match": {"n": {"$gt": 1}}},
        {"$unwind": "$ids"},
        {"$limit": most},
    ]
    options: dict[str, Any] = {"allowDiskUse": True}
    if "collation" in spec:
        options["collation"] = spec["collation"]
    collection: Any = client.get_database(staged.database).get_collection(
        staged.name, codec_options=rawbson.RAW
    )
    for group in collection.aggregate(pipeline, **options):
        found = collection.find_one({"_id": group["ids"]})
        if found is not None:
            yield found


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
    fields = {k: v for k, v in _versioned(spec).items() if k not in ("ns", "background", "v")}
    # An index without a collation on a collection with one is an index with the simple collation.
    if "collation" in staged.options and "collation" not in fields:
        fields["collation"] = _SIMPLE
    return fields


def _versioned(spec: RawBSONDocument) -> dict[str, Any]:
    """An index of before 2.6 says no version: it is of the first, and another one would not take every
    document that it holds. mongorestore does the same."""
    fields: dict[str, Any] = dict(spec)
    if _SPHERE in spec["key"].values():
        fields.setdefault(f"{_SPHERE}IndexVersion", 1)
    return fields


def plain(value: Any) -> Any:
    """A number without its type: the server stores some options with another one than it logs."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    return float(value)


def _comparable(spec: RawBSONDocument) -> bytes:
    fields = {k: plain(v) for k, v in _versioned(spec).items() if k not in ("ns", "v", "background")}
    return bson.encode({"key": fields.pop("key"), **dict(sorted(fields.items()))})
