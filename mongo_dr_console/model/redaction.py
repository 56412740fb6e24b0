"""Texts and documents for eyes that must not see what applications stored: names stay, values go. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar, cast

from pydantic import BaseModel

T = TypeVar("T")

_GONE = "<value>"
_VALUE = re.compile(
    r"""_id=(?:
        '(?:[^'\\…]|\\[^…])*' | "(?:[^"\\…]|\\[^…])*"
        | \{"\$oid":\ "[0-9a-f]{24}"\} | -?\d+(?:\.\d+)?(?=[\s:,;)]|$)
        | .*        # where it does not say itself where it ends, as a shortened one, all that follows
    )""",
    re.VERBOSE | re.DOTALL,
)
"""How our own texts name a document."""
_QUOTED = re.compile(
    r"""(?:(dup key:?|keys?:(?= \{)|document:?(?= \{)|First element:?)|(?=\{ ?"?_id\b)).*""", re.DOTALL
)
"""Where what a server says of an error begins to quote a document."""


def without_values(text: str) -> str:
    """A sentence of ours or of a server without the values of documents.

    >>> without_values("shop.orders: _id='a@b.org' was inserted anew after the skipped delete of it")
    'shop.orders: _id=<value> was inserted anew after the skipped delete of it'
    >>> without_values('E11000 duplicate key error collection: c.p index: m dup key: { mail: "a@b.org" }')
    'E11000 duplicate key error collection: c.p index: m dup key: <value>'
    """
    named = _VALUE.sub(f"_id={_GONE}", text)
    return _QUOTED.sub(lambda match: f"{match[1]} {_GONE}" if match[1] else _GONE, named)


def redacted(data: T) -> T:
    """The same, every text in it without values: JSON, frozen data, models."""
    return cast(T, _redacted(data))


def _redacted(data: Any) -> Any:
    if isinstance(data, str):
        clean = without_values(data)
        return data if clean == data else clean  # an enumeration's member stays one
    if isinstance(data, Mapping):
        return {key: _redacted(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return type(data)(_redacted(value) for value in data)
    if isinstance(data, BaseModel):
        return data.model_copy(
            update={name: _redacted(getattr(data, name)) for name in type(data).model_fields}
        )
    if is_dataclass(data) and not isinstance(data, type):
        return replace(data, **{f.name: _redacted(getattr(data, f.name)) for f in fields(data) if f.init})
    return data


def file_without_values(content: bytes) -> bytes:
    """A file of text or of JSON, also a line each, without values; what is JSON stays JSON."""
    text = content.decode("utf-8", "replace")
    if without_values(text) == text:
        return content
    whole = _json(text, indent=2)
    if whole is None:
        return "".join(_line(line) for line in text.splitlines()).encode()
    return f"{whole}\n".encode()


def _line(text: str) -> str:
    found = _json(text)
    return f"{without_values(text) if found is None else found}\n"


def _json(text: str, indent: int | None = None) -> str | None:
    try:
        return json.dumps(redacted(json.loads(text)), ensure_ascii=False, indent=indent)
    except (ValueError, RecursionError):
        return None
