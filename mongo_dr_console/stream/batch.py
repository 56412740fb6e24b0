"""Batches of raw entries, looked at only where that is needed: at their ends, and where the term changes."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from mongo_dr_console.model import rawbson
from mongo_dr_console.model.entryhead import head
from mongo_dr_console.model.link import Link
from mongo_dr_console.model.rawbson import TornDocument

_LENGTH = struct.Struct("<i").unpack_from


@dataclass(frozen=True, slots=True)
class Batch:
    """Whole raw entries of one election term, at least one."""

    raw: bytes
    count: int
    last: Link


def one_term(raw: bytes) -> Iterator[Batch]:
    """The entries of a batch, cut where the term changes.

    Raises:
        TornDocument: These are not whole entries.
    """
    if not raw:
        return
    count, last = _walk(raw)
    if head(raw).term == head(raw[last:]).term:
        yield Batch(raw, count, Link.of(raw[last:]))
        return
    start, at, count, term = 0, 0, 0, head(raw).term
    before = b""
    for entry in rawbson.split(raw):
        if head(entry).term != term:
            yield Batch(raw[start:at], count, Link.of(before))
            start, count, term = at, 0, head(entry).term
        before, at, count = entry, at + len(entry), count + 1
    yield Batch(raw[start:], count, Link.of(before))


def last_entry(raw: bytes) -> bytes:
    """The last of a batch's entries."""
    return raw[_walk(raw)[1] :]


def _walk(raw: bytes) -> tuple[int, int]:
    """How many entries there are, and where the last one begins."""
    at, size, count, last = 0, len(raw), 0, 0
    while at < size:
        if size - at < rawbson.MIN_DOCUMENT:
            raise TornDocument(at, f"{size - at} bytes left over")
        (length,) = _LENGTH(raw, at)
        if not rawbson.MIN_DOCUMENT <= length <= size - at:
            raise TornDocument(at, f"a length of {length} bytes")
        last, at, count = at, at + length, count + 1
    return count, last
