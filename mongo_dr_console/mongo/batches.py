"""Batches of raw documents as a cursor gets them, without an object for each document.

``find_raw_batches`` of the driver makes one for each, only to throw it away: half of what a dump costs. What
stands in its place here is the driver's own affair and no promise: it is tried out once, and where it is not
so, the driver's way is taken.
"""

from __future__ import annotations

import functools
import struct
from typing import Any, NamedTuple, TypeAlias

import bson
from bson.errors import InvalidBSON
from bson.int64 import Int64
from bson.raw_bson import RawBSONDocument
from pymongo import message

from mongo_dr_console.model.entryhead import after_value

Batch: TypeAlias = bytes | memoryview
"""Whole documents back to back; one large document may be a view of what was received."""

_NAMES = ("firstBatch", "nextBatch")
_LENGTH = struct.Struct("<i").unpack_from
_EMBEDDED = 3
_EMPTY = b"\x05\x00\x00\x00\x00"
_COPIED = 4 * 1024 * 1024
"""Up to this size a batch is copied together whole."""
_RUN = 1024 * 1024
"""Of a larger one, documents from this size on stay where they are, and others are copied in runs of it."""


def quick(cursor: Any) -> Any:
    """The same cursor of raw batches, faster where that can be had.

    A large batch comes in several pieces (see ``Batch``), and takes no more memory than it was received with.
    """
    if is_understood():
        cursor._unpack_response = functools.partial(_unpacked, cursor._unpack_response)
    return cursor


@functools.cache
def is_understood() -> bool:
    """Whether this driver's replies can be taken apart here, and come to the same as by the driver."""
    documents = [{"_id": 1}, {"a": [None, {"b": "x" * 300}]}] * 20
    try:
        return _is_cut_right(documents) and all(
            _is_right(name, documents[:n]) for name in _NAMES for n in (0, 40)
        )
    except Exception:
        return False


def _is_right(name: str, documents: list[Any]) -> bool:
    cursor = {"id": Int64(7), "ns": "d.c", name: documents}
    reply = {"cursor": cursor, "ok": 1.0, "operationTime": bson.Timestamp(1, 1), "$clusterTime": {"x": 1}}
    packed = message._OpMsg(0, bson.encode(reply))
    theirs: Any = packed.raw_response(0, user_fields={"cursor": {"firstBatch": 1, "nextBatch": 1}})
    bson._convert_raw_document_lists_to_streams(theirs[0])
    ours = _unpacked(None, packed)
    same = bool(ours == theirs) and list(ours[0]) == list(theirs[0])
    return same and b"".join(ours[0]["cursor"][name]) == b"".join(map(bson.encode, documents))


def _is_cut_right(documents: list[Any]) -> bool:
    raw = [bson.encode(document) for document in documents]
    array = memoryview(bson.encode({str(n): RawBSONDocument(one) for n, one in enumerate(raw)}))
    return all(b"".join(_documents(array, 0, run)) == b"".join(raw) for run in (5, 300, 700, len(array)))


def _unpacked(driver: Any, response: Any, *given: Any, **named: Any) -> list[dict[str, Any]]:
    """What the driver's ``_unpack_response`` of a cursor of raw batches gives."""
    reply = memoryview(response.payload_document)
    whole = _find(reply, b"cursor")
    if whole is None or reply[whole.at] != _EMBEDDED:
        found: list[dict[str, Any]] = driver(response, *given, **named)
        return found
    cursor = reply[whole.begin : whole.end]
    fields: dict[str, Any] = {}
    for name in _NAMES:
        array = _find(cursor, name.encode())
        if array is not None:
            fields[name] = _documents(cursor[array.begin : array.end])
            cursor = memoryview(_put(cursor, array.at, array.end, b""))
    fields |= bson.decode(cursor)
    rest = RawBSONDocument(_put(reply, whole.begin, whole.end, _EMPTY))
    return [{key: fields if key == "cursor" else value for key, value in rest.items()}]


class _Field(NamedTuple):
    """Where a field of a document begins, with its type, and where its value begins and ends."""

    at: int
    begin: int
    end: int


def _find(document: memoryview, name: bytes) -> _Field | None:
    """A document's own field of this name, without a copy of what may be very large."""
    raw: Any = document
    at, end = 4, len(document) - 1
    while at < end:
        stop = at + 1
        while document[stop]:
            stop += 1
        after = after_value(raw, document[at], stop + 1)
        if document[at + 1 : stop] == name:
            return _Field(at, stop + 1, after)
        at = after
    return None


def _put(document: memoryview, begin: int, end: int, instead: bytes) -> bytes:
    """A document with other bytes between two places of it."""
    size = len(document) - (end - begin) + len(instead)
    return b"".join((size.to_bytes(4, "little"), document[4:begin], instead, document[end:]))


def _documents(array: memoryview, copied: int = _COPIED, run: int = _RUN) -> list[Batch]:
    """The documents of an array. One after the other they are copied by C, together; of a large array that
    would be as much memory again, for each thread that reads."""
    if len(array) <= copied:
        documents = bson._array_of_documents_to_buffer(array)
        return [documents] if documents else []
    pieces: list[Batch] = []
    at = begin = 4
    end = len(array) - 1
    # Their names are their numbers, and never looked at: only their width counts.
    number, head, wider = 0, 3, 10
    while at < end:
        if number == wider:
            head, wider = head + 1, wider * 10
        number, element = number + 1, at
        (size,) = _LENGTH(array, at + head)
        at += head + size
        if size < len(_EMPTY) or at > end or array[element + head - 1]:
            raise InvalidBSON("bad object or element length")
        if size >= run:
            pieces += [*_together(array[begin:element]), array[element + head : at]]
            begin = at
        elif at - begin >= run:
            pieces += _together(array[begin:at])
            begin = at
    return [*pieces, *_together(array[begin:end])]


def _together(elements: memoryview) -> list[bytes]:
    """The documents among some elements of an array, back to back."""
    if not elements:
        return []
    array = b"".join(((len(elements) + 5).to_bytes(4, "little"), elements, b"\x00"))
    return [bson._array_of_documents_to_buffer(array)]
