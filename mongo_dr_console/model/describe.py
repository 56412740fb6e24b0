"""Oplog entries and operations in words, for people; names and values shortened and made harmless."""

from __future__ import annotations

from typing import Any

import bson
from bson import json_util
from bson.raw_bson import RawBSONDocument

from mongo_dr_console.model.eventscan import changed_fields
from mongo_dr_console.model.oplogentry import Operation, raw_entry

_NAMES = {"i": "insert", "u": "update", "d": "delete"}
_LONGEST_VALUE = 60
_LONGEST_NAME = 120
_FIELDS_SHOWN = 4


def describe_operation(operation: Operation) -> str:
    """One operation, as in ``delete shop.orders _id=5``."""
    if operation.op == "c":
        return _command(operation.database, operation.document)
    return _write(operation.op, operation.namespace, operation.document, operation.key)


def describe_entry(raw: bytes) -> str:
    """One raw oplog entry; a transaction by what is in it."""
    entry = raw_entry(raw)
    op, namespace, document = entry["op"], str(entry["ns"]), entry["o"]
    if op == "n":
        return "no-op of the server"
    if op == "c":
        return _command(namespace.partition(".")[0], document)
    return _write(op, namespace, document, entry.get("o2"))


def shown_value(value: Any) -> str:
    """A value on one line: relaxed Extended JSON, shortened, nothing that a terminal would obey."""
    if isinstance(value, RawBSONDocument):
        value = bson.decode(value.raw)
    try:
        text = json_util.dumps(value, json_options=json_util.RELAXED_JSON_OPTIONS, ensure_ascii=False)
    except (TypeError, ValueError, OverflowError):
        text = repr(value)
    return _short(text, _LONGEST_VALUE)


def _write(op: str, namespace: str, document: RawBSONDocument, key: RawBSONDocument | None) -> str:
    holder = key if op == "u" and key is not None else document
    text = f"{_NAMES.get(op, op)} {_short(namespace, _LONGEST_NAME)} _id={shown_value(holder.get('_id'))}"
    if op != "u":
        return text
    fields = changed_fields(document)
    if not fields:
        return text + " (whole document)"
    more = f" and {len(fields) - _FIELDS_SHOWN} more" if len(fields) > _FIELDS_SHOWN else ""
    return f"{text} ({_short(', '.join(fields[:_FIELDS_SHOWN]), _LONGEST_NAME)}{more})"


def _command(database: str, document: RawBSONDocument) -> str:
    name = next(iter(document), "")
    subject = document.get(name)
    if name == "applyOps":
        return _several(list(document["applyOps"]))
    if name == "dropDatabase":
        return f"dropDatabase {_short(database, _LONGEST_NAME)}"
    if name == "renameCollection":
        over = " (over an existing one)" if document.get("dropTarget") else ""
        source, target = (_short(str(n), _LONGEST_NAME) for n in (subject, document.get("to")))
        return f"rename {source} to {target}{over}"
    if isinstance(subject, str):
        return f"{_short(name, _LONGEST_NAME)} {_short(f'{database}.{subject}', _LONGEST_NAME)}"
    return _short(name, _LONGEST_NAME)


def _several(inner: list[RawBSONDocument]) -> str:
    shown = [_write(e["op"], str(e["ns"]), e["o"], e.get("o2")) for e in inner[:2] if e["op"] in _NAMES]
    more = f"; and {len(inner) - len(shown)} more" if len(inner) > len(shown) else ""
    return f"transaction or batch of {len(inner)}: {'; '.join(shown)}{more}"


def _short(text: str, longest: int) -> str:
    safe = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return safe if len(safe) <= longest else safe[: longest - 1] + "…"
