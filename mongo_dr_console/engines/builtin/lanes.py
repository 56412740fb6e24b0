"""Which operations keep their order: those on one document, and on one capped or collated collection.

All others may overtake each other, so they go out in lanes side by side (server-rules 7 and 8).
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Sequence
from typing import NamedTuple

from bson.decimal128 import Decimal128
from bson.raw_bson import RawBSONDocument

from mongo_dr_console.engines.builtin.timestamps import may_have_empty_timestamps
from mongo_dr_console.model.entryhead import find_field
from mongo_dr_console.model.timeline import Staged, Write

_STRING, _BINARY, _SYMBOL, _DECIMAL = 2, 5, 14, 19
_AS_THEY_ARE = {7: 12, 8: 1, 9: 8, 10: 0, 17: 8}
"""Types that equal nothing but the same bytes of the same type, and how many those are."""
_NUMBERS = {1: struct.Struct("<d"), 16: struct.Struct("<i"), 18: struct.Struct("<q")}
_FIRST = b"_id\x00"

Key = bytes | None


def key_of(document: bytes) -> Key:
    """Equal for two raw documents if the server takes their ``_id`` for the same (it may be equal for others
    as well); None where that is hard to say.

    A number, whether ``1``, ``1.0`` or ``NumberDecimal("1.00")``, is taken as the nearest double, which is
    the same for equal ones. A symbol is the string.

    >>> import bson
    >>> key_of(bson.encode({"_id": 1})) == key_of(bson.encode({"x": 2, "_id": 1.0}))
    True
    """
    found = 4 if document.startswith(_FIRST, 5) else find_field(document, b"_id")
    if found is None:
        return None
    kind, at = document[found], found + 5
    size = _AS_THEY_ARE.get(kind)
    if kind == _BINARY:
        size = 5 + _length(document, at)
    if size is not None:
        return document[found : at + size]
    if kind in (_STRING, _SYMBOL):
        return b"\x02" + document[at + 4 : at + 4 + _length(document, at)]
    return _number(document, kind, at)


def _length(document: bytes, at: int) -> int:
    return int.from_bytes(document[at : at + 4], "little")


def _number(document: bytes, kind: int, at: int) -> Key:
    if kind in _NUMBERS:
        value = float(_NUMBERS[kind].unpack_from(document, at)[0])
    elif kind == _DECIMAL:
        value = _as_float(document[at : at + 16])
    else:
        return None
    # Both zeros are one, and so is whatever is not a number.
    return b"NaN" if math.isnan(value) else struct.pack("<d", value or 0.0)


def _as_float(raw: bytes) -> float:
    try:
        return float(Decimal128.from_bid(raw).to_decimal())
    except (ArithmeticError, ValueError):
        return float("nan")


def is_ordered(staged: Staged) -> bool:
    """Whether all operations on a collection keep their order: a capped one is its order, and where it has a
    collation ids of other bytes may be the same."""
    if staged.options.get("capped"):
        return True
    collation = staged.options.get("collation")
    return collation is not None and collation.get("locale") != "simple"


class Split(NamedTuple):
    """Inserts that are the first to touch their documents, and all others in lanes."""

    inserts: dict[str, list[Write]]
    lanes: list[list[Write]]


def split(writes: Sequence[Write], lanes: int) -> Split:
    """Puts writes of one document, or of one ordered collection, into one lane, in their order.

    An insert that nothing before it has touched the document of may go before all others, so those are told
    apart, by namespace; but not where it is more than an insert (an empty timestamp in it).
    """
    inserts: dict[str, list[Write]] = {}
    found: list[list[Write]] = [[] for _ in range(lanes)]
    seen: dict[int, set[bytes] | None] = {}
    for write in writes:
        number = write.staged.number
        if number not in seen:
            seen[number] = None if is_ordered(write.staged) else set()
        touched = seen[number]
        key = key_of(_identity(write)) if touched is not None else None
        if key is None or touched is None:
            found[number % lanes].append(write)
            continue
        if write.op == "i" and key not in touched and not may_have_empty_timestamps(_raw(write.document)):
            inserts.setdefault(write.staged.namespace, []).append(write)
        else:
            found[zlib.crc32(key, number) % lanes].append(write)
        touched.add(key)
    return Split(inserts, [lane for lane in found if lane])


def _identity(write: Write) -> bytes:
    return _raw(write.document if write.key is None or write.op != "u" else write.key)


def _raw(document: RawBSONDocument) -> bytes:
    raw = document.raw
    return raw if isinstance(raw, bytes) else bytes(raw)
