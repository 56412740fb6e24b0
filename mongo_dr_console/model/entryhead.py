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
FIXED_SIZES = {1: 8, 6: 0, 7: 12, 8: 1, 9: 8, 10: 0, 16: 4, 17: 8, 18: 8, 19: 16, 127: 0, 255: 0}


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
            at = after_value(raw, kind, at)
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
            at = after_value(raw, kind, stop + 1)
    except (IndexError, ValueError, struct.error):
        raise TornDocument(at, "a field that cannot be read") from None
    raise TornDocument(0, "no oplog entry: op is missing")


def place_of(raw: bytes) -> tuple[bytes, bytes, int, int]:
    """``op``, ``ns`` and both parts of the position (seconds, ordinal), in one walk and as they lie there.

    Raises:
        TornDocument: One of them is missing.
    """
    op = namespace = position = None
    at, end = 4, len(raw) - 1
    try:
        while at < end:
            kind = raw[at]
            stop = raw.index(0, at + 1)
            key, at = raw[at + 1 : stop], stop + 1
            if kind == _STRING:
                size = _INT32(raw, at)[0]
                if key == b"op":
                    op = raw[at + 4 : at + 3 + size]
                elif key == b"ns":
                    namespace = raw[at + 4 : at + 3 + size]
                at += 4 + size
                continue
            if kind == _TS and key == b"ts":
                position = _TIMESTAMP(raw, at)
                if op is not None and namespace is not None:
                    return op, namespace, position[1], position[0]
            at = after_value(raw, kind, at)
    except (IndexError, ValueError, struct.error):
        raise TornDocument(at, "a field that cannot be read") from None
    if op is None or namespace is None or position is None:
        raise TornDocument(0, "no oplog entry: op, ns or ts is missing")
    return op, namespace, position[1], position[0]


def find_field(raw: bytes, name: bytes) -> int | None:
    """Where a document's own field of this name begins, with its type; None if there is none to be read."""
    at, end = 4, len(raw) - 1
    try:
        while at < end:
            stop = raw.index(0, at + 1)
            if raw[at + 1 : stop] == name:
                return at
            at = after_value(raw, raw[at], stop + 1)
    except (IndexError, ValueError, struct.error):
        return None
    return None


def after_value(raw: bytes, kind: int, at: int) -> int:
    """Where the value of this type that begins at ``at`` ends."""
    size = FIXED_SIZES.get(kind)
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
