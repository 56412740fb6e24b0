"""What a drill writes, and what it makes of what comes back: documents of every type, indexes, a known series
of writes. Pure."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import bson
from bson import Binary, Code, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.raw_bson import RawBSONDocument

from mongo_dr_console.model import rawbson
from mongo_dr_console.model.namespace import DRILL_DATABASE

DATABASE: Final = DRILL_DATABASE
COLLECTION: Final = "drill"
NAMESPACE: Final = f"{DATABASE}.{COLLECTION}"

ORDINARY, WRITES = 400, 60
"""Documents of an ordinary kind in the snapshot, and inserts after it."""

OPTIONS: Final[dict[str, Any]] = {"validator": {"_id": {"$exists": True}}, "validationLevel": "moderate"}

INDEXES: Final[tuple[dict[str, Any], ...]] = (
    {"name": "number", "key": {"number": 1}, "unique": True, "sparse": True},
    {"name": "group_number", "key": {"group": 1, "number": -1}},
    {"name": "few", "key": {"group": 1}, "partialFilterExpression": {"number": {"$gt": 100}}},
    {"name": "hashed", "key": {"group": "hashed"}},
    {"name": "place", "key": {"place": "2dsphere"}},
    {"name": "words", "key": {"text": "text"}},
    {"name": "any", "key": {"value.$**": 1}},
    {"name": "german", "key": {"text": 1}, "collation": {"locale": "de", "strength": 2}},
    # A day far away: it must come back, and must not take anything meanwhile.
    {"name": "expires", "key": {"expires": 1}, "expireAfterSeconds": 86_400},
)
_SHOWN = 3


def every_type() -> list[bytes]:
    """One raw document for each type of BSON, those included that no driver writes any more."""
    moment = datetime(2026, 2, 28, 23, 59, 59, 999_000, tzinfo=UTC)
    values: dict[str, Any] = {
        "double": 0.1,
        "double-nan": float("nan"),
        "double-minus-zero": -0.0,
        "string": "zero \x00 in it, \u00e9\u4e16\U0001f600",
        "object": {"": 1, "a.b": {"$c": 2}, "z": {}},
        "array": [1, [2, [3, []]], {"a": None}],
        "binary": Binary(bytes(range(256)), 0),
        "binary-uuid": Binary(uuid.UUID(int=7).bytes, 4),
        "binary-own": Binary(b"\x00\xff", 128),
        "objectid": ObjectId("0123456789abcdef01234567"),
        "true": True,
        "date": moment,
        "date-before-1970": datetime(1901, 1, 1, tzinfo=UTC),
        "null": None,
        "regex": Regex("^a.*b$", "im"),
        "code": Code("function () { return 1; }"),
        "code-with-scope": Code("function () { return x; }", {"x": Int64(1)}),
        "int32": -(2**31),
        "timestamp": Timestamp(4_000_000_000, 7),
        "int64": Int64(2**63 - 1),
        "int64-small": Int64(1),
        "decimal128": Decimal128("1.000000000000000000000000000000000E-6143"),
        "minkey": MinKey(),
        "maxkey": MaxKey(),
    }
    documents = [bson.encode({"_id": f"type-{name}", "value": value}) for name, value in values.items()]
    return [*documents, *_old_types()]


def _old_types() -> list[bytes]:
    """Undefined, DBPointer and symbol."""
    text = struct.pack("<i", 3) + b"ab\x00"
    elements = {
        "undefined": b"\x06value\x00",
        "dbpointer": b"\x0cvalue\x00" + text + bytes(range(12)),
        "symbol": b"\x0evalue\x00" + text,
    }
    return [_with(bson.encode({"_id": f"type-{name}"}), element) for name, element in elements.items()]


def _with(document: bytes, element: bytes) -> bytes:
    return struct.pack("<i", len(document) + len(element)) + document[4:-1] + element + b"\x00"


def ordinary(number: int) -> dict[str, Any]:
    return {
        "_id": number,
        "number": number,
        "group": number % 7,
        "text": f"document {number} of a drill",
        "place": {"type": "Point", "coordinates": [float(number % 180), float(number % 90)]},
        "expires": datetime(2100, 1, 1, tzinfo=UTC),
    }


@dataclass(frozen=True, slots=True)
class Written:
    """One insert of the known series: its ``_id``, and when it was acknowledged."""

    id: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Comparison:
    """What came back, against what was there.

    Args:
        problems: In words; empty: all is as it was, byte for byte.
        lost: How many writes of the series are missing.
        rpo: Seconds between the newest write of the series, and the newest one up to which none is missing.
    """

    problems: list[str]
    lost: int
    rpo: float


def by_id(documents: Iterable[bytes]) -> dict[bytes, bytes]:
    """Raw documents by their raw ``_id``."""
    return {bson.encode({"_id": RawBSONDocument(raw, rawbson.RAW)["_id"]}): raw for raw in documents}


def compare(
    expected: Mapping[bytes, bytes], found: Mapping[bytes, bytes], series: Sequence[Written], since: datetime
) -> Comparison:
    """Compares documents, and measures what of the series is missing.

    Args:
        since: When the series began: what counts as the newest write where none came back.
    """
    missing = [key for key in expected if key not in found]
    more = [key for key in found if key not in expected]
    other = [key for key in expected if key in found and found[key] != expected[key]]
    texts = ((missing, "missing"), (more, "there and should not be"), (other, "not byte for byte as before"))
    problems = [f"{len(keys)} documents are {text}: {_named(keys)}" for keys, text in texts if keys]
    present = [bson.encode({"_id": written.id}) in found for written in series]
    whole = next((n for n, there in enumerate(present) if not there), len(series))
    newest = series[whole - 1].at if whole else since
    age = (series[-1].at - newest) if series else timedelta(0)
    return Comparison(problems, present.count(False), round(max(0.0, age.total_seconds()), 3))


def _named(keys: Sequence[bytes]) -> str:
    names = ", ".join(str(bson.decode(key)["_id"]) for key in keys[:_SHOWN])
    return names + (", …" if len(keys) > _SHOWN else "")


def index_problems(expected: Iterable[bytes], found: Iterable[bytes]) -> list[str]:
    """What differs between two listings of indexes."""
    before, after = ({bson.decode(raw)["name"]: raw for raw in listing} for listing in (expected, found))
    problems = [f"the index {name} is missing" for name in before.keys() - after.keys()]
    problems += [f"there is an index {name} that was not" for name in after.keys() - before.keys()]
    both = before.keys() & after.keys()
    problems += [
        f"the index {name} is another" for name in both if _plain(before[name]) != _plain(after[name])
    ]
    return sorted(problems)


def _plain(index: bytes) -> tuple[list[tuple[str, Any]], dict[str, Any]]:
    """Its key in order, and the rest: a server may list options in another order."""
    decoded = bson.decode(index)
    return list(decoded.pop("key").items()), decoded
