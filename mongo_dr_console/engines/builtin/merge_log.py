"""The files that merge mode keeps beside the job's journal: what it wrote, so that it can be taken back, and
what it left alone.

What is written is in its file, flushed to the disk, before the transaction that writes it is committed. So
the file may name documents that were never written, and some twice; taking back looks at each document
anyway.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bson
from bson.raw_bson import RawBSONDocument

from mongo_dr_console.engines.builtin.rejects import packed
from mongo_dr_console.model import rawbson
from mongo_dr_console.model.operationtext import value_text

WRITTEN = "merged.bson"
CONFLICTS = "conflicts.jsonl"
LISTED = 1000
"""Conflicts that stand in the job's result; the file has all."""
_CHUNK = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Written:
    """One document that was written, or was about to be.

    Args:
        namespace: Where.
        identity: Its ``_id``.
        digest: SHA-256 of its bytes as written.
        before: Its bytes before that; None where there was none.
    """

    namespace: str
    identity: Any
    digest: bytes
    before: bytes | None

    @classmethod
    def of(cls, namespace: str, document: RawBSONDocument, before: bytes | None) -> Written:
        return cls(namespace, document["_id"], digest(bytes(document.raw)), before)


def digest(raw: bytes) -> bytes:
    return hashlib.sha256(raw).digest()


class WrittenLog:
    """Appends; a tail that a kill tore off is cut when the file is opened again."""

    def __init__(self, folder: Path) -> None:
        path = folder / WRITTEN
        whole = sum(length for _, length in _read(path)) if path.exists() else 0
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
        os.ftruncate(self._file, whole)
        os.lseek(self._file, whole, os.SEEK_SET)

    def append(self, records: Sequence[Written]) -> None:
        """On the disk when this returns."""
        parts: list[bytes] = []
        for record in records:
            has_before = record.before is not None
            head = {
                "ns": record.namespace,
                "_id": record.identity,
                "sha": record.digest,
                "before": has_before,
            }
            parts.append(bson.encode(head))
            if record.before is not None:
                parts.append(record.before)
        left = memoryview(b"".join(parts))
        while left:
            left = left[os.write(self._file, left) :]
        os.fsync(self._file)

    def close(self) -> None:
        os.close(self._file)


def written(folder: Path) -> Iterator[Written]:
    """What the file holds, whole records only."""
    path = folder / WRITTEN
    if path.exists():
        yield from (record for record, _ in _read(path))


def _read(path: Path) -> Iterator[tuple[Written, int]]:
    """The records and the length of each, up to a tail that was torn."""
    try:
        documents = rawbson.documents(_chunks(path))
        for raw in documents:
            head: RawBSONDocument = RawBSONDocument(raw, rawbson.RAW)
            before = next(documents, None) if head["before"] else None
            if head["before"] and before is None:
                return
            yield (
                Written(str(head["ns"]), head["_id"], bytes(head["sha"]), before),
                len(raw) + len(before or b""),
            )
    except rawbson.TornDocument:
        return


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk


class Conflicts:
    """Documents that were left alone: all in a file, the first of them in mind. Written anew by each run,
    which comes to the same.

    Args:
        folder: The job's; None: only counted.
    """

    def __init__(self, folder: Path | None) -> None:
        self.path = None if folder is None else folder / CONFLICTS
        self.counts: Counter[str] = Counter()
        self.first: list[dict[str, Any]] = []
        self._file = None if self.path is None else self.path.open("w", encoding="utf-8")
        if self.path is not None:
            self.path.chmod(0o600)

    def add(self, namespace: str, document: RawBSONDocument, why: str, position: str) -> None:
        """``document``: as it would have been brought back."""
        self.counts[namespace] += 1
        if len(self.first) < LISTED:
            text = f"_id={value_text(document['_id'])}: {why}"
            self.first.append({"position": position, "namespace": namespace, "text": text})
        if self._file is not None:
            head = json.dumps({"namespace": namespace, "why": why, "position": position})
            self._file.write(f"{head[:-1]}, {packed(bytes(document.raw))}}}\n")

    def close(self) -> None:
        """On the disk when this returns; a file without conflicts goes."""
        if self._file is None or self.path is None:
            return
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._file = None
        if not self.counts:
            self.path.unlink()
