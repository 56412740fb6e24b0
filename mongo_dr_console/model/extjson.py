"""Canonical Extended JSON v2, read and written on raw BSON: no value changes its type.

The drivers' own readers are too eager for metadata: ``{"$regex": …, "$options": …}`` in a view's pipeline is
a document, and so is ``{"$ref": …, "$id": …}``. Here only the exact wrappers that the canonical form writes
are types (mongo-tools.md 1); everything else that begins with a dollar stays what it was. Order and
duplicates of keys are kept.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
import struct
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeAlias

from bson.decimal128 import Decimal128

_INT32 = struct.Struct("<i")
_INT64 = struct.Struct("<q")
_DOUBLE = struct.Struct("<d")
_TIMESTAMP = struct.Struct("<II")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_OBJECT_ID = re.compile(r"[0-9a-fA-F]{24}")
_INTEGER = re.compile(r"-?(0|[1-9]\d*)")
_SUBTYPE = re.compile(r"[0-9a-fA-F]{2}")
_DOUBLE_TEXT = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([Ee][+-]?\d+)?")
_RELAXED_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)")
_DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(E[+-]?\d+)?|[+-]?Inf(inity)?|NaN", re.IGNORECASE)

_OLD_BINARY = 2


class NotCanonical(ValueError):
    """BSON that Extended JSON cannot carry without changing it, or text that is not Extended JSON."""


class _Object(list[tuple[str, Any]]):
    """A JSON object as its pairs, in order, with duplicates."""


_Encoded: TypeAlias = tuple[int, bytes]
"""A BSON type byte and the value's bytes."""


def dumps(raw: bytes) -> str:
    """One line of canonical Extended JSON, as mongodump writes it (no spaces, no HTML escapes).

    Not kept, because the format has no room for it: the payload of a NaN, a Decimal128 in other than its
    usual encoding, and the keys of an array.

    Raises:
        NotCanonical: The bytes are not BSON, hold text that is not UTF-8, or a document that would be read as
            something else (``{"$numberInt": "5"}``).
    """
    try:
        return _document_text(memoryview(raw), array=False)
    except (struct.error, IndexError, UnicodeDecodeError, RecursionError) as error:
        raise NotCanonical(f"not a BSON document: {error}") from None


def loads(text: str | bytes) -> bytes:
    """The raw BSON of a document in canonical Extended JSON; plain numbers (the relaxed form) are read too:
    an integer as the smallest width that holds it, anything else as a double.

    Raises:
        NotCanonical: Not JSON, not an object, or a number outside 64 bits.
    """
    return _document_bytes(_pairs(text))


def to_jsonable(raw: bytes) -> dict[str, Any]:
    """The same document as JSON values, for a place inside a larger JSON document.

    Raises:
        NotCanonical: As ``dumps``.
    """
    value: dict[str, Any] = json.loads(dumps(raw))
    return value


def from_jsonable(value: dict[str, Any]) -> bytes:
    """What ``to_jsonable`` gave, as raw BSON again."""
    return loads(json.dumps(value))


# Writing: BSON to text


def _document_text(view: memoryview, *, array: bool) -> str:
    (size,) = _INT32.unpack_from(view, 0)
    if size != len(view) or view[size - 1] != 0:
        raise NotCanonical("not a BSON document: its length is wrong")
    parts = []
    at, end = 4, size - 1
    while at < end:
        kind = view[at]
        key, at = _cstring(view, at + 1)
        text, at = _value_text(kind, view, at)
        parts.append(text if array else f"{quote(key)}:{text}")
    if array:
        return f"[{','.join(parts)}]"
    return "{" + ",".join(parts) + "}"


def _value_text(kind: int, view: memoryview, at: int) -> tuple[str, int]:
    if kind in (0x03, 0x04):
        (size,) = _INT32.unpack_from(view, at)
        if not 5 <= size <= len(view) - at:
            raise NotCanonical("not a BSON document: an embedded length is wrong")
        text = _document_text(view[at : at + size], array=kind == 0x04)
        if kind == 0x03 and text.startswith('{"$') and _wrapped(_pairs(text)) is not None:
            raise NotCanonical(f"a document that Extended JSON cannot tell from a value: {text[:200]}")
        return text, at + size
    writer = _WRITERS.get(kind)
    if writer is None:
        raise NotCanonical(f"not a BSON document: unknown type 0x{kind:02x}")
    return writer(view, at)


def _cstring(view: memoryview, at: int) -> tuple[str, int]:
    end = at
    while view[end]:
        end += 1
    return str(view[at:end], "utf-8"), end + 1


def _string(view: memoryview, at: int) -> tuple[str, int]:
    (size,) = _INT32.unpack_from(view, at)
    end = at + 4 + size
    if size < 1 or end > len(view) or view[end - 1] != 0:
        raise NotCanonical("not a BSON document: a string's length is wrong")
    return str(view[at + 4 : end - 1], "utf-8"), end


_SEPARATORS = str.maketrans({"\u2028": "\\u2028", "\u2029": "\\u2029"})


def quote(text: str) -> str:
    """A JSON string, escaped as mongodump does it: neither HTML nor letters beyond ASCII are."""
    return json.dumps(text, ensure_ascii=False).translate(_SEPARATORS)


def _take(view: memoryview, at: int, size: int) -> tuple[bytes, int]:
    if size < 0 or at + size > len(view):
        raise NotCanonical("not a BSON document: a value reaches beyond its end")
    return bytes(view[at : at + size]), at + size


def _write_double(view: memoryview, at: int) -> tuple[str, int]:
    (value,) = _DOUBLE.unpack_from(view, at)
    return f'{{"$numberDouble":"{format_double(value)}"}}', at + 8


def format_double(value: float) -> str:
    """As Go's driver writes it: the shortest digits, with an exponent below 1E-04 and from 1E+06 on.

    >>> format_double(1234567.5), format_double(0.00001), format_double(10028)
    ('1.2345675E+06', '1E-05', '10028.0')
    """
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    sign = "-" if math.copysign(1, value) < 0 else ""
    _, digit_tuple, exponent = Decimal(repr(abs(value))).normalize().as_tuple()
    assert isinstance(exponent, int)
    digits = "".join(map(str, digit_tuple))
    point = len(digits) + exponent if value else 1
    if value and not -4 <= point - 1 < 6:
        fraction = f".{digits[1:]}" if len(digits) > 1 else ""
        return f"{sign}{digits[0]}{fraction}E{point - 1:+03d}"
    if point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    return f"{sign}{digits[:point].ljust(point, '0')}.{digits[point:] or '0'}"


def _write_string(view: memoryview, at: int) -> tuple[str, int]:
    text, at = _string(view, at)
    return quote(text), at


def _write_binary(view: memoryview, at: int) -> tuple[str, int]:
    (size,) = _INT32.unpack_from(view, at)
    subtype = view[at + 4]
    data, at = _take(view, at + 5, size)
    if subtype == _OLD_BINARY:
        if size < 4 or _INT32.unpack_from(data)[0] != size - 4:
            raise NotCanonical("not a BSON document: an old binary's inner length is wrong")
        data = data[4:]
    text = base64.b64encode(data).decode()
    return f'{{"$binary":{{"base64":"{text}","subType":"{subtype:02x}"}}}}', at


def _write_object_id(view: memoryview, at: int) -> tuple[str, int]:
    data, at = _take(view, at, 12)
    return f'{{"$oid":"{data.hex()}"}}', at


def _write_boolean(view: memoryview, at: int) -> tuple[str, int]:
    if view[at] not in (0, 1):
        raise NotCanonical("not a BSON document: a boolean is neither true nor false")
    return ("true" if view[at] else "false"), at + 1


def _write_date(view: memoryview, at: int) -> tuple[str, int]:
    (millis,) = _INT64.unpack_from(view, at)
    return f'{{"$date":{{"$numberLong":"{millis}"}}}}', at + 8


def _write_regex(view: memoryview, at: int) -> tuple[str, int]:
    pattern, at = _cstring(view, at)
    options, at = _cstring(view, at)
    return f'{{"$regularExpression":{{"pattern":{quote(pattern)},"options":{quote(options)}}}}}', at


def _write_pointer(view: memoryview, at: int) -> tuple[str, int]:
    namespace, at = _string(view, at)
    data, at = _take(view, at, 12)
    return f'{{"$dbPointer":{{"$ref":{quote(namespace)},"$id":{{"$oid":"{data.hex()}"}}}}}}', at


def _write_code(view: memoryview, at: int) -> tuple[str, int]:
    text, at = _string(view, at)
    return f'{{"$code":{quote(text)}}}', at


def _write_symbol(view: memoryview, at: int) -> tuple[str, int]:
    text, at = _string(view, at)
    return f'{{"$symbol":{quote(text)}}}', at


def _write_scoped_code(view: memoryview, at: int) -> tuple[str, int]:
    (size,) = _INT32.unpack_from(view, at)
    text, inner = _string(view, at + 4)
    scope = _document_text(view[inner : at + size], array=False)
    return f'{{"$code":{quote(text)},"$scope":{scope}}}', at + size


def _write_int(view: memoryview, at: int) -> tuple[str, int]:
    return f'{{"$numberInt":"{_INT32.unpack_from(view, at)[0]}"}}', at + 4


def _write_timestamp(view: memoryview, at: int) -> tuple[str, int]:
    ordinal, seconds = _TIMESTAMP.unpack_from(view, at)
    return f'{{"$timestamp":{{"t":{seconds},"i":{ordinal}}}}}', at + 8


def _write_long(view: memoryview, at: int) -> tuple[str, int]:
    return f'{{"$numberLong":"{_INT64.unpack_from(view, at)[0]}"}}', at + 8


def _write_decimal(view: memoryview, at: int) -> tuple[str, int]:
    data, at = _take(view, at, 16)
    return f'{{"$numberDecimal":"{Decimal128.from_bid(data)}"}}', at


_WRITERS: dict[int, Callable[[memoryview, int], tuple[str, int]]] = {
    0x01: _write_double,
    0x02: _write_string,
    0x05: _write_binary,
    0x06: lambda _, at: ('{"$undefined":true}', at),
    0x07: _write_object_id,
    0x08: _write_boolean,
    0x09: _write_date,
    0x0A: lambda _, at: ("null", at),
    0x0B: _write_regex,
    0x0C: _write_pointer,
    0x0D: _write_code,
    0x0E: _write_symbol,
    0x0F: _write_scoped_code,
    0x10: _write_int,
    0x11: _write_timestamp,
    0x12: _write_long,
    0x13: _write_decimal,
    0x7F: lambda _, at: ('{"$maxKey":1}', at),
    0xFF: lambda _, at: ('{"$minKey":1}', at),
}


# Reading: text to BSON


def _pairs(text: str | bytes) -> _Object:
    try:
        value = json.loads(text, object_pairs_hook=_Object)
    except (ValueError, RecursionError) as error:
        raise NotCanonical(f"not Extended JSON: {error}") from None
    if not isinstance(value, _Object):
        raise NotCanonical("not Extended JSON: not an object")
    return value


def _document_bytes(pairs: Iterable[tuple[str, Any]]) -> bytes:
    body = bytearray()
    for key, value in pairs:
        kind, data = _encode(value)
        body.append(kind)
        body += _cstring_bytes(key) + data
    return _INT32.pack(len(body) + 5) + bytes(body) + b"\x00"


def _encode(value: Any) -> _Encoded:
    if isinstance(value, _Object):
        return _wrapped(value) or (0x03, _document_bytes(value))
    if isinstance(value, list):
        return 0x04, _document_bytes((str(index), item) for index, item in enumerate(value))
    if isinstance(value, str):
        return 0x02, _string_bytes(value)
    if value is None:
        return 0x0A, b""
    return _encode_number(value)


def _encode_number(value: bool | int | float) -> _Encoded:
    if isinstance(value, bool):
        return 0x08, b"\x01" if value else b"\x00"
    if isinstance(value, float):
        return 0x01, _DOUBLE.pack(value)
    if -(2**31) <= value < 2**31:
        return 0x10, _INT32.pack(value)
    if -(2**63) <= value < 2**63:
        return 0x12, _INT64.pack(value)
    raise NotCanonical(f"a number outside 64 bits: {value}")


def _cstring_bytes(text: str) -> bytes:
    data = _utf8(text)
    if b"\x00" in data:
        raise NotCanonical("a key or an expression with a zero byte")
    return data + b"\x00"


def _string_bytes(text: str) -> bytes:
    data = _utf8(text)
    return _INT32.pack(len(data) + 1) + data + b"\x00"


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise NotCanonical(f"text that is not Unicode: {error.reason}") from None


def _wrapped(pairs: _Object) -> _Encoded | None:
    """The value that an object stands for, None where it is not exactly one of the canonical wrappers."""
    if len(pairs) == 1:
        key, inner = pairs[0]
        reader = _READERS.get(key)
        return reader(inner) if reader else None
    if [key for key, _ in pairs] == ["$code", "$scope"]:
        text, scope = pairs[0][1], pairs[1][1]
        if isinstance(text, str) and isinstance(scope, _Object):
            data = _string_bytes(text) + _document_bytes(scope)
            return 0x0F, _INT32.pack(len(data) + 4) + data
    return None


def _fields(value: Any, *names: str) -> list[Any] | None:
    if isinstance(value, _Object) and len(value) == len(names):
        found = dict(value)
        if all(name in found for name in names):
            return [found[name] for name in names]
    return None


def _integer(value: Any, bits: int) -> int | None:
    if not isinstance(value, str) or not _INTEGER.fullmatch(value):
        return None
    number = int(value)
    return number if -(2 ** (bits - 1)) <= number < 2 ** (bits - 1) else None


def _read_int(value: Any) -> _Encoded | None:
    number = _integer(value, 32)
    return None if number is None else (0x10, _INT32.pack(number))


def _read_long(value: Any) -> _Encoded | None:
    number = _integer(value, 64)
    return None if number is None else (0x12, _INT64.pack(number))


_SPECIAL = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def _read_double(value: Any) -> _Encoded | None:
    if not isinstance(value, str):
        return None
    if value in _SPECIAL:
        return 0x01, _DOUBLE.pack(_SPECIAL[value])
    return (0x01, _DOUBLE.pack(float(value))) if _DOUBLE_TEXT.fullmatch(value) else None


def _read_decimal(value: Any) -> _Encoded | None:
    if not isinstance(value, str) or not _DECIMAL.fullmatch(value):
        return None
    try:
        return 0x13, Decimal128(value).bid
    except ArithmeticError:
        return None


def _read_object_id(value: Any) -> _Encoded | None:
    if isinstance(value, str) and _OBJECT_ID.fullmatch(value):
        return 0x07, bytes.fromhex(value)
    return None


def _read_date(value: Any) -> _Encoded | None:
    if isinstance(value, str):
        return _read_relaxed_date(value)
    inner = _fields(value, "$numberLong")
    number = _integer(inner[0], 64) if inner else None
    return None if number is None else (0x09, _INT64.pack(number))


def _read_relaxed_date(value: str) -> _Encoded | None:
    if not _RELAXED_DATE.fullmatch(value):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return 0x09, _INT64.pack((moment - _EPOCH) // timedelta(milliseconds=1))


def _read_binary(value: Any) -> _Encoded | None:
    inner = _fields(value, "base64", "subType")
    if not inner or not all(isinstance(part, str) for part in inner):
        return None
    text, subtype_text = inner
    if not _SUBTYPE.fullmatch(subtype_text):
        return None
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    subtype = int(subtype_text, 16)
    if subtype == _OLD_BINARY:
        data = _INT32.pack(len(data)) + data
    return 0x05, _INT32.pack(len(data)) + bytes([subtype]) + data


def _read_regex(value: Any) -> _Encoded | None:
    inner = _fields(value, "pattern", "options")
    if not inner or not all(isinstance(part, str) and "\0" not in part for part in inner):
        return None
    return 0x0B, _cstring_bytes(inner[0]) + _cstring_bytes(inner[1])


def _read_timestamp(value: Any) -> _Encoded | None:
    inner = _fields(value, "t", "i")
    if not inner or not all(type(part) is int and 0 <= part < 2**32 for part in inner):
        return None
    return 0x11, _TIMESTAMP.pack(inner[1], inner[0])


def _read_pointer(value: Any) -> _Encoded | None:
    inner = _fields(value, "$ref", "$id")
    if not inner or not isinstance(inner[0], str):
        return None
    identifier = _fields(inner[1], "$oid")
    encoded = _read_object_id(identifier[0]) if identifier else None
    return None if encoded is None else (0x0C, _string_bytes(inner[0]) + encoded[1])


def _read_code(value: Any) -> _Encoded | None:
    return (0x0D, _string_bytes(value)) if isinstance(value, str) else None


def _read_symbol(value: Any) -> _Encoded | None:
    return (0x0E, _string_bytes(value)) if isinstance(value, str) else None


_READERS: dict[str, Callable[[Any], _Encoded | None]] = {
    "$numberInt": _read_int,
    "$numberLong": _read_long,
    "$numberDouble": _read_double,
    "$numberDecimal": _read_decimal,
    "$oid": _read_object_id,
    "$date": _read_date,
    "$binary": _read_binary,
    "$regularExpression": _read_regex,
    "$timestamp": _read_timestamp,
    "$dbPointer": _read_pointer,
    "$code": _read_code,
    "$symbol": _read_symbol,
    "$undefined": lambda value: (0x06, b"") if value is True else None,
    "$minKey": lambda value: (0xFF, b"") if type(value) is int and value == 1 else None,
    "$maxKey": lambda value: (0x7F, b"") if type(value) is int and value == 1 else None,
}
