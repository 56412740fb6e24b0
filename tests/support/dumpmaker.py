"""Folders as mongodump leaves them, by hand: an entry of the oplog may be one that no server here logs."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import bson
from bson import Binary, Int64, Timestamp

T = 1_600_000_000
"""Seconds of the first entry; all entries are of that second."""

Entry = dict[str, Any]


def entry(ordinal: int, op: str, namespace: str, o: dict[str, Any], **more: Any) -> Entry:
    return {
        "ts": Timestamp(T, ordinal),
        "t": Int64(1),
        "v": Int64(2),
        "op": op,
        "ns": namespace,
        "o": o,
    } | more


def note(ordinal: int) -> Entry:
    return entry(ordinal, "n", "", {"msg": "periodic noop"})


def part(ordinal: int, body: dict[str, Any], session: int = 1, before: int = 0) -> Entry:
    """An entry of a transaction.

    Args:
        before: Ordinal of the entry before it; 0 for its first.
    """
    identity = {"id": Binary(bytes([session]) * 16, 4), "uid": Binary(bytes(32))}
    previous = {"ts": Timestamp(T, before) if before else Timestamp(0, 0), "t": Int64(1 if before else -1)}
    more = {"lsid": identity, "txnNumber": Int64(1), "prevOpTime": previous}
    return entry(ordinal, "c", "admin.$cmd", body, **more)


def dump_folder(
    folder: Path, database: str, collections: Mapping[str, Sequence[dict[str, Any]]], oplog: Sequence[Entry]
) -> Path:
    """A plain dump of one database, with an oplog."""
    (folder / database).mkdir(parents=True)
    for name, documents in collections.items():
        data = b"".join(map(bson.encode, documents))
        (folder / database / f"{name}.bson").write_bytes(data)
        metadata = {"indexes": [], "collectionName": name, "type": "collection"}
        (folder / database / f"{name}.metadata.json").write_text(json.dumps(metadata), encoding="utf-8")
    (folder / "oplog.bson").write_bytes(b"".join(map(bson.encode, oplog)))
    prelude = {"ServerVersion": "6.0.5", "ToolVersion": "100.18.0"}
    (folder / "prelude.json").write_text(json.dumps(prelude), encoding="utf-8")
    return folder


def packed(folder: Path) -> Path:
    """The same as ``--gzip`` leaves it: every file is packed and has ``.gz``, but for the oplog's name."""
    for path in [p for p in folder.rglob("*") if p.is_file()]:
        data = gzip.compress(path.read_bytes())
        if path.name == "oplog.bson":
            path.write_bytes(data)
        else:
            path.unlink()
            path.with_name(path.name + ".gz").write_bytes(data)
    return folder
