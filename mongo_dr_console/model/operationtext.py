"""One operation in words and as Extended JSON; its values can be left out. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import bson
from bson import json_util
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.raw_bson import RawBSONDocument

from mongo_dr_console.model.describe import shown_value
from mongo_dr_console.model.eventscan import changed_fields
from mongo_dr_console.model.oplogentry import Operation

_WORDS = {"i": "insert", "u": "update", "d": "delete", "renameCollection": "rename"}
_FIELDS_SHOWN = 6
_JSON_BYTES = 256 * 1024
"""Of one operation that are shown."""
_DECODED: CodecOptions[dict[str, Any]] = CodecOptions(
    document_class=dict,
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
    unicode_decode_error_handler="replace",
)
"""What a server stores may not be what Python takes: text that is no UTF-8, years beyond 9999."""
_LARGE = 64 * 1024
"""Bytes of a document of which only the names of fields are told in a row."""
_KINDS: tuple[tuple[type, str], ...] = (
    (bool, "bool"),
    (str, "string"),
    (bytes, "binary"),
    (int, "number"),
    (float, "number"),
    (datetime, "date"),
    (type(None), "null"),
)


def operation_word(operation: Operation) -> str:
    """What it does: insert, update, delete, rename, or the command's name."""
    name = operation.command or operation.op
    return _WORDS.get(name, name)


def subject(operation: Operation) -> str:
    """The namespace that it is about."""
    if operation.op != "c":
        return operation.namespace
    about = operation.document.get(operation.command)
    if operation.command == "renameCollection":
        return str(about)
    return f"{operation.database}.{about}" if isinstance(about, str) else operation.database


def identity_text(operation: Operation, *, redacted: bool = False) -> str:
    """The ``_id`` on one line; empty for a command."""
    if operation.op == "c":
        return ""
    return value_text(operation.document_id, redacted=redacted)


def value_text(value: Any, *, redacted: bool = False) -> str:
    """One value on one line, shortened; redacted its kind alone."""
    if redacted:
        return _kind(value)
    return shown_value(_decoded(value) if isinstance(value, RawBSONDocument) else value)


def change_text(operation: Operation, *, redacted: bool = False) -> str:
    """What changed, in short: the fields, and their values where they are not redacted."""
    if operation.op == "d":
        return ""
    if operation.op == "u":
        fields = changed_fields(operation.document)
        return _named(fields) if fields else "the whole document"
    if operation.op == "i":
        if redacted or len(operation.document.raw) > _LARGE:
            return _named([name for name in operation.document if name != "_id"])
        document = {k: v for k, v in _decoded(operation.document).items() if k != "_id"}
        return shown_value(document) if document else ""
    if operation.command == "renameCollection":
        over = ", over an existing one" if operation.document.get("dropTarget") else ""
        return f"to {operation.document.get('to')}{over}"
    return ""


def extended_json(operation: Operation, *, redacted: bool = False) -> list[str]:
    """The whole operation as lines of canonical Extended JSON, its own words for what is left out."""
    document: dict[str, Any] = {
        "op": operation.op,
        "ns": operation.namespace,
        "o": _decoded(operation.document),
    }
    if operation.key is not None:
        document["o2"] = _decoded(operation.key)
    if redacted:
        document["o"], document["o2"] = hidden(document["o"]), hidden(document.get("o2"))
        document = {k: v for k, v in document.items() if v is not None}
    text = json_util.dumps(
        document, json_options=json_util.CANONICAL_JSON_OPTIONS, indent=2, ensure_ascii=False
    )
    if len(text) > _JSON_BYTES:
        text = f"{text[:_JSON_BYTES]}\n… {len(text) - _JSON_BYTES:,} characters more are not shown"
    return text.split("\n")


def _decoded(raw: RawBSONDocument) -> Any:
    return bson.decode(raw.raw, _DECODED)


def hidden(value: Any) -> Any:
    """The same with the kind of each value in its place; names stay, and so does ``$v``, which is none of
    the document's."""
    if isinstance(value, Mapping):
        return {k: v if k == "$v" else hidden(v) for k, v in value.items()}
    if isinstance(value, list):
        return [hidden(v) for v in value]
    return None if value is None else _kind(value)


def _kind(value: Any) -> str:
    if isinstance(value, RawBSONDocument | Mapping):
        return "<document>"
    known = next((word for kind, word in _KINDS if isinstance(value, kind)), type(value).__name__)
    return f"<{known}>"


def _named(fields: Sequence[str]) -> str:
    more = f" and {len(fields) - _FIELDS_SHOWN} more" if len(fields) > _FIELDS_SHOWN else ""
    return f"{', '.join(fields[:_FIELDS_SHOWN])}{more}"
