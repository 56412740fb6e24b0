"""Documents that are BSON already on their way to the server, without one object for each.

The driver writes an object that calls itself a raw document (``_type_marker`` 101) into a message by its
``raw`` bytes. So one such object stands for any number of documents back to back, where a message holds them
back to back. That is the driver's own affair and no promise: it is tried out once, and where it is not so,
each document gets an object of the driver's own.
"""

from __future__ import annotations

import functools
from typing import Any

import bson
from bson.codec_options import DEFAULT_CODEC_OPTIONS
from bson.raw_bson import RawBSONDocument

from mongo_dr_console.model import rawbson


class _Encoded:
    """What the driver takes for a raw document."""

    __slots__ = ("raw",)
    _type_marker = 101

    def __init__(self, raw: bytes) -> None:
        self.raw = raw


def documents(raw: bytes) -> list[Any]:
    """Documents back to back, as the ``documents`` of an ``insert`` command."""
    if is_taken_as_written():
        return [_Encoded(raw)]
    return [RawBSONDocument(document, rawbson.RAW) for document in rawbson.split(raw)]


def values(raw: list[bytes]) -> list[Any]:
    """Documents as the values of an array in a command."""
    if is_taken_as_written():
        return [_Encoded(document) for document in raw]
    return [RawBSONDocument(document, rawbson.RAW) for document in raw]


@functools.cache
def is_taken_as_written() -> bool:
    """Whether this driver sends such objects byte for byte as the documents would be."""
    one, two = bson.encode({"_id": 1, "a": "x"}), bson.encode({"_id": 2.5, "b": [None, {"c": True}]})
    plain = [RawBSONDocument(one), RawBSONDocument(two)]
    try:
        array = bson.encode({"a": [_Encoded(one), _Encoded(two)]}) == bson.encode({"a": plain})
        return array and _section([_Encoded(one + two)]) == _section(plain)
    except Exception:
        return False


def _section(documents_: list[Any]) -> bytes:
    """A message with these documents, without its number, which is another one each time."""
    from pymongo import message

    command = {"insert": "c", "documents": documents_}
    _, whole, *_ = message._op_msg(0, command, "db", None, DEFAULT_CODEC_OPTIONS)
    return bytes(whole[:4] + whole[8:])
