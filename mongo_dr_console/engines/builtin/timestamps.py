"""Empty timestamps: an insert puts the present time where a field of the document itself is
``Timestamp(0, 0)``, and so does a replacement, in ``applyOps`` too. A diff leaves it as it is: so one is sent
after them."""

from __future__ import annotations

from typing import Any

from bson.raw_bson import RawBSONDocument
from bson.timestamp import Timestamp

_EMPTY = Timestamp(0, 0)
_KIND, _NUL = b"\x11", b"\x00"
_ENDED_AND_EMPTY = bytes(9)
"""The end of a field's name, and a value of zeros."""


def may_have_empty_timestamps(raw: bytes) -> bool:
    """Whether it is worth looking closer, at one document or at many back to back."""
    at = raw.find(_ENDED_AND_EMPTY)
    while at >= 0:
        # A name has no zero in it, and the byte before it is the kind of the value.
        before = raw.rfind(_NUL, 0, at)
        if raw.find(_KIND, before + 1, at) >= 0:
            return True
        at = raw.find(_ENDED_AND_EMPTY, at + len(_ENDED_AND_EMPTY))
    return False


def empty_timestamps(document: RawBSONDocument) -> list[str]:
    """The fields that the server would fill in; not ``_id``, and nothing inside another field."""
    if not may_have_empty_timestamps(bytes(document.raw)):
        return []
    return [key for key, value in document.items() if key != "_id" and value == _EMPTY]


def emptied_again(namespace: str, identity: Any, fields: list[str]) -> dict[str, Any]:
    """The operation for ``applyOps`` that empties them again."""
    diff = {"$v": 2, "diff": {"u": dict.fromkeys(fields, _EMPTY)}}
    return {"op": "u", "ns": namespace, "o": diff, "o2": {"_id": identity}}
