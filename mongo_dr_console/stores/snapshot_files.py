"""The files of one snapshot's folder: how they are packed, and reading them whole and checked."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from mongo_dr_console.model import rawbson
from mongo_dr_console.model.manifest import Compression, FileEntry
from mongo_dr_console.model.trouble import Failed
from mongo_dr_console.stores.compression import DamagedStream, decompress
from mongo_dr_console.stores.store import Store

OPLOG_NAMES = ("oplog.bson", "oplog.bson.zst")
PRELUDE_NAMES = ("prelude.json", "prelude.json.gz", "prelude.json.zst")

TOOL = "mongo-dr-console"


@dataclass(frozen=True, slots=True)
class SnapshotFile:
    """One file to read: ``expected`` is what the manifest says of it, None where there is no manifest."""

    snapshot: str
    path: str
    compression: Compression
    expected: FileEntry | None

    @property
    def stored_path(self) -> str:
        return f"{self.snapshot}/{self.path}"


def stored_bytes(store: Store, file: SnapshotFile) -> Iterator[bytes]:
    """The file as it is stored, size and SHA-256 checked by the end of the stream.

    Raises:
        Failed: ``snapshot-corrupt`` where it is missing, shorter, longer or changed.
    """
    digest, size = hashlib.sha256(), 0
    try:
        for chunk in store.read(file.stored_path):
            digest.update(chunk)
            size += len(chunk)
            yield chunk
    except Failed as error:
        if error.code == "not-in-store":
            raise corrupt(file, "it is missing") from None
        raise
    if file.expected is None:
        return
    if size != file.expected.size:
        raise corrupt(file, f"it has {size} bytes where the manifest says {file.expected.size}")
    if digest.hexdigest() != file.expected.sha256:
        raise corrupt(file, "its bytes are not those that were written (SHA-256 differs)")


def plain_bytes(store: Store, file: SnapshotFile) -> Iterator[bytes]:
    """The file decompressed, in pieces of bounded size; checked like ``stored_bytes``.

    Raises:
        Failed: ``snapshot-corrupt``.
    """
    stored = stored_bytes(store, file)
    try:
        yield from decompress(stored, file.compression)
    except DamagedStream as error:
        # What the manifest says is the better explanation, where it says something.
        for _ in stored:
            pass
        raise corrupt(file, str(error)) from None


def documents(store: Store, file: SnapshotFile) -> Iterator[bytes]:
    """The BSON documents of a file in chunks that hold whole documents back to back.

    Raises:
        Failed: ``snapshot-corrupt``.
    """
    try:
        yield from rawbson.whole_chunks(plain_bytes(store, file))
    except rawbson.TornDocument as error:
        raise corrupt(file, str(error)) from None


def corrupt(file: SnapshotFile, why: str) -> Failed:
    return Failed(
        "snapshot-corrupt",
        f"Snapshot {file.snapshot} is damaged: {file.path}: {why}. It must not be restored from.",
        f"Use another snapshot or another store's copy; check it with: mdr snapshots verify {file.snapshot}",
    )
