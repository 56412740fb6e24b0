"""Oplog entries of one insert, update or delete, read by their bytes, which is fast.

Nine of ten entries have the one shape that servers give them. Whatever has another one is none of these, and
is read field by field.
"""

from __future__ import annotations

import re
import struct
from typing import NamedTuple

_SESSION = (
    rb"\x03lsid\x00H\x00\x00\x00\x05id\x00\x10\x00\x00\x00\x04.{16}\x05uid\x00\x20\x00\x00\x00\x00.{32}\x00"
    rb"\x12txnNumber\x00.{8}"
)
_HEAD = re.compile(
    rb".{4}(?:" + _SESSION + rb")?\x02op\x00\x02\x00\x00\x00([iud])\x00"
    rb"\x02ns\x00.{4}([^\x00.]+\.[^\x00]+)\x00\x05ui\x00\x10\x00\x00\x00\x04.{16}\x03o\x00",
    re.DOTALL,
).match
_TAIL = re.compile(
    rb"(?:\x10stmtId\x00.{4})?\x11ts\x00(.{8})\x12t\x00.{8}\x12v\x00.{8}\x09wall\x00.{8}"
    rb"(?:\x03prevOpTime\x00\x1c\x00\x00\x00\x11ts\x00.{8}\x12t\x00.{8}\x00)?\x00",
    re.DOTALL,
).fullmatch
_KEY = b"\x03o2\x00"

_LENGTH = struct.Struct("<i").unpack_from
_TIMESTAMP = struct.Struct("<II").unpack


class PlainEntry(NamedTuple):
    """``op`` (``i``, ``u`` or ``d``), ``ns``, ``o`` and ``o2`` (None if there is none) of an entry, raw, and
    seconds and ordinal of its position. It has no ``b``, and nothing else that changes what it does."""

    op: bytes
    namespace: bytes
    document: bytes
    key: bytes | None
    t: int
    i: int


def plain_entry(raw: bytes) -> PlainEntry | None:
    """The entry, where it is of that shape, else None."""
    head = _HEAD(raw)
    if head is None:
        return None
    begin = head.end()
    try:
        end = begin + _LENGTH(raw, begin)[0]
        key, after = None, end
        if raw.startswith(_KEY, end):
            at = end + len(_KEY)
            after = at + _LENGTH(raw, at)[0]
            key = raw[at:after]
    except struct.error:
        return None
    tail = _TAIL(raw, after) if begin < end <= after else None
    op, namespace = head.groups()
    if tail is None or (key is None and op == b"u"):
        return None
    i, t = _TIMESTAMP(tail[1])
    return PlainEntry(op, namespace, raw[begin:end], key, t, i)
