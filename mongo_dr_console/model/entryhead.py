"""The head of an oplog entry, read without decoding the rest: three times as fast as looking inside."""

from __future__ import annotations

import struct
from typing import NamedTuple

from mongo_dr_console.model.position import Position
from mongo_dr_console.model.rawbson import TornDocument

_INT32 = struct.Struct("<i").unpack_from
_INT64 = struct.Struct("<q").unpack_from
_TIMESTAMP = struct.Struct("<II").unpack_from

_STRING, _BINARY, _REGEX, _CODE, _SYMBOL, _DBPOINTER, _TS, _LONG = 2, 5, 11, 13, 14, 12, 17, 18
_FIXED = {1: 8, 6: 0, 7: 12, 8: 1, 9: 8, 10: 0, 16: 4, 17: 8, 18: 8, 19: 16, 127: 0, 255: 0}


class Head(NamedTuple):
    """``op``, position and election term (-1 where the entry has none) of an entry."""

    op: str
    position: Position
    term: int


def head(raw: bytes) -> Head:
    """The head of one whole raw entry.

    Raises:
        TornDocument: Not BSON, or no oplog entry: ``op`` or ``ts`` is missing.
    """
    op, position, term = None, None, None
    at, end = 4, len(raw) - 1
    try:
        while at < end:
            kind = raw[at]
            stop = raw.index(0, at + 1)
            key, at = raw[at + 1 : stop], stop + 1
            if key == b"ts" and kind == _TS:
                i, t = _TIMESTAMP(raw, at)
                position = Position(t, i)
            elif key == b"op" and kind == _STRING:
                op = raw[at + 4 : at + 3 + _INT32(raw, at)[0]].decode()
            elif key == b"t" and kind == _LONG:
                (term,) = _INT64(raw, at)
            if op is not None and position is not None and term is not None:
                return Head(op, position, term)
            at = _after(raw, kind, at)
    except (IndexError, ValueError, struct.error):
        raise TornDocument(at, "a field that cannot be read") from None
    if op is None or position is None:
        raise TornDocument(0, "no oplog entry: op or ts is missing")
    return Head(op, position, -1)


def operation_type(raw: bytes) -> str:
    """Only ``op``, which the server writes near the front."""
    at, end = 4, len(raw) - 1
    try:
        while at < end:
            kind = raw[at]
            stop = raw.index(0, at + 1)
            if kind == _STRING and raw[at + 1 : stop] == b"op":
                at = stop + 1
                return raw[at + 4 : at + 3 + _INT32(raw, at)[0]].decode()
            at = _after(raw, kind, stop + 1)
    except (IndexError, ValueError, struct.error):
        raise TornDocument(at, "a field that cannot be read") from None
    raise TornDocument(0, "no oplog entry: op is missing")


def _after(raw: bytes, kind: int, at: int) -> int:
    """Where the value of this type that begins at ``at`` ends."""
    size = _FIXED.get(kind)
    if size is not None:
        return at + size
    if kind == _REGEX:
        return raw.index(0, raw.index(0, at) + 1) + 1
    length: int = _INT32(raw, at)[0]
    if length < 0:
        raise ValueError("a negative length")
    if kind in (_STRING, _CODE, _SYMBOL):
        return at + 4 + length
    if kind == _BINARY:
        return at + 5 + length
    if kind == _DBPOINTER:
        return at + 4 + length + 12
    return at + length
