"""The ``_id`` of a document as people write it, and which ``_id``s the server takes for the same. Pure."""

from __future__ import annotations

import re
from typing import Any

import bson
from bson import ObjectId, json_util
from bson.int64 import Int64
from bson.raw_bson import RawBSONDocument

from mongo_dr_console.model.trouble import WrongUse


def parse_identity(text: str) -> list[Any]:
    """What a typed ``_id`` can mean: Extended JSON for sure, else the string, and a number or an ObjectId
    where it looks like one.

    Raises:
        WrongUse: A brace or bracket that begins no Extended JSON.
    """
    if text[:1] in ("{", "[", '"'):
        try:
            return [json_util.loads(text)]
        except (ValueError, TypeError):
            raise WrongUse("id-wrong", f"The _id is not Extended JSON: {text!r}.") from None
    meant: list[Any] = [text]
    if ObjectId.is_valid(text):
        meant.append(ObjectId(text))
    if re.fullmatch(r"-?\d{1,18}", text):
        meant.append(Int64(text))
    elif re.fullmatch(r"-?\d+\.\d+", text):
        meant.append(float(text))
    return meant


def comparable(value: Any) -> bytes:
    """Equal for values that the server takes for the same ``_id``: numbers by value, all else by type."""
    if isinstance(value, RawBSONDocument):
        return b"d" + bytes(value.raw)
    if isinstance(value, dict):
        return b"d" + bson.encode(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        number = float(value)
        # Integers that a double cannot hold stay themselves.
        return b"n" + repr(value if number != value and isinstance(value, int) else number).encode()
    return b"v" + bson.encode({"": value})
