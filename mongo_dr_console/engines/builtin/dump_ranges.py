"""Cutting a large collection into ranges of ``_id``, so that several threads can read it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import bson
from bson.errors import InvalidBSON, InvalidDocument
from bson.raw_bson import RawBSONDocument
from pymongo.errors import OperationFailure

from mongo_dr_console.model import rawbson
from mongo_dr_console.model.entryhead import after_value
from mongo_dr_console.mongo.client import Client
from mongo_dr_console.mongo.collections import ListedCollection

Bound = tuple[Any] | None
"""One value of ``_id``, whatever its type, or none at this end."""

_ID_INDEX = "_id_"
_ID = b"_id\x00"
_REGEX = 11
"""No ``_id`` can be one."""
_SAMPLES_EACH = 40
_WHOLE = frozenset({"capped", "clusteredIndex", "collation", "timeseries"})
"""Options of collections that are read whole: a capped one's order is part of its data, a clustered one has
no index on ``_id``, and bounds would have to be meant in the collation of that index."""


def may_be_cut(entry: ListedCollection) -> bool:
    """Whether ranges of ``_id`` partition this collection."""
    if entry.kind != "collection" or _WHOLE & set(RawBSONDocument(entry.options, rawbson.RAW)):
        return False
    return any(RawBSONDocument(i, rawbson.RAW).get("name") == _ID_INDEX for i in entry.indexes)


def find_cuts(client: Client, database: str, collection: str, pieces: int) -> list[Any]:
    """Up to ``pieces - 1`` values of ``_id`` in the server's order, about as far from each other.

    They are those of a random sample, sorted by the server: types may be mixed. Where the server does not
    say, there are none, and the collection is read whole.
    """
    pipeline = [
        {"$sample": {"size": pieces * _SAMPLES_EACH}},
        {"$project": {"_id": 1}},
        {"$sort": {"_id": 1}},
    ]
    handle = client[database].get_collection(collection, codec_options=rawbson.RAW)
    try:
        # The driver's types say that a database's codec is its collections'.
        sampled: Iterator[Any] = handle.aggregate(pipeline, allowDiskUse=True)
        found = [v for d in sampled if (v := value_of(d.raw)) is not None]
    except OperationFailure:
        return []
    wanted = [found[len(found) * n // pieces] for n in range(1, pieces)] if found else []
    cuts: list[Any] = []
    for (value,) in wanted:
        # A sample may hold a document twice.
        if not cuts or bson.encode({"": cuts[-1]}) != bson.encode({"": value}):
            cuts.append(value)
    return cuts


def ranges(cuts: list[Any]) -> list[tuple[Bound, Bound]]:
    """The ranges between the cuts: each begins with its first value and ends before its second.

    >>> ranges([3, "b"])
    [(None, (3,)), ((3,), ('b',)), (('b',), None)]
    >>> ranges([])
    [(None, None)]
    """
    bounds: list[Bound] = [None, *((c,) for c in cuts), None]
    return list(itertools.pairwise(bounds))


def value_of(document: bytes | memoryview) -> Bound:
    """A raw document's ``_id``; None where it would be another value on its way back (deprecated types), or
    is not its first field. Of the others nothing is looked at: they may be large."""
    raw: Any = document
    if raw[5 : 5 + len(_ID)] != _ID or raw[4] == _REGEX:
        return None
    first = bytes(raw[4 : after_value(raw, raw[4], 5 + len(_ID))])
    try:
        value = bson.decode((len(first) + 5).to_bytes(4, "little") + first + b"\x00", rawbson.RAW)["_id"]
        whole = bson.encode({"_id": value})
    except (KeyError, InvalidBSON, InvalidDocument, OverflowError):
        return None
    return (value,) if first == whole[4:-1] else None
