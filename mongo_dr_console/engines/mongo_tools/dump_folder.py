"""A dump folder for mongorestore: the snapshot's own files by link, and the oplog up to the limit.

It refuses filters together with replay, so what it must not touch is not in the folder: the server's own
databases, ours, what was set aside, and staging collections of other restores.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import bson
from bson.raw_bson import RawBSONDocument

from mongo_dr_console.model import rawbson
from mongo_dr_console.model.manifest import Compression
from mongo_dr_console.model.namespace import (
    BUCKETS,
    Namespace,
    is_restorable,
    is_set_aside,
    is_staging,
    is_system_database,
)
from mongo_dr_console.model.oplogentry import raw_entry
from mongo_dr_console.model.position import Bound, Limit
from mongo_dr_console.model.trouble import Failed
from mongo_dr_console.stores.compression import compressor, of_path
from mongo_dr_console.stores.copies import Copies
from mongo_dr_console.stores.local import LocalStore
from mongo_dr_console.stores.snapshot_files import stored_bytes
from mongo_dr_console.stores.snapshot_reader import SnapshotReader, StoredCollection

_LAST_ORDINAL = 2**32 - 1
_BUFFER = 1024 * 1024


@dataclass(frozen=True, slots=True)
class DumpFolder:
    """What mongorestore is given.

    Args:
        path: The folder.
        gzip: Whether its files are packed.
        sizes: Stored bytes of each collection's data, by the name that mongorestore prints in its bars.
        documents: How many documents there are, None where no manifest says so.
        entries: How many oplog entries, those above the limit too.
    """

    path: Path
    gzip: bool
    sizes: dict[str, int]
    documents: int | None
    entries: int


def oplog_limit(limit: Limit) -> str:
    """``seconds:ordinal`` for ``--oplogLimit``, which leaves the entry at it out.

    >>> from mongo_dr_console.model.position import Position
    >>> [oplog_limit(Limit(Position(7, 3), bound)) for bound in (Bound.BEFORE, Bound.THROUGH)]
    ['7:3', '7:4']
    """
    position = limit.position
    if limit.bound is Bound.BEFORE:
        return f"{position.t}:{position.i}"
    if position.i == _LAST_ORDINAL:
        return f"{position.t + 1}:0"
    return f"{position.t}:{position.i + 1}"


def is_given(collection: StoredCollection) -> bool:
    """Whether mongorestore gets this collection of a snapshot."""
    return is_restorable(collection.namespace) and not is_staging(collection.namespace.collection)


def compression_of(reader: SnapshotReader) -> Compression:
    """How the files of a snapshot are packed."""
    if reader.manifest is not None:
        return reader.manifest.compression
    return next((of_path(path) for path in sorted(reader.files) if of_path(path) != "none"), "none")


def lay_out(
    reader: SnapshotReader, oplog: Iterable[bytes], folder: Path, check: Callable[[], None]
) -> DumpFolder:
    """Fills a folder.

    Args:
        oplog: Chunks of whole entries, the window's and those after it.
        check: Asked at safe points; raises to stop.
    """
    compression = compression_of(reader)
    sizes: dict[str, int] = {}
    documents: int | None = 0
    for collection in filter(is_given, reader.collections):
        for path in (collection.data_path, collection.metadata_path):
            if path is not None:
                check()
                _link(reader, path, folder / path)
        if collection.data_path is not None:
            sizes[_printed_name(collection)] = collection.stored_bytes
            counted = collection.documents
            documents = None if documents is None or counted is None else documents + counted
    entries = _write_oplog(oplog, folder / "oplog.bson", compression, check)
    return DumpFolder(folder, compression == "gzip", sizes, documents, entries)


def wanted_entries(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The entries without those of namespaces that are not restored, also inside ``applyOps``."""
    for chunk in chunks:
        for raw in rawbson.split(chunk):
            kept = _without_foreign(raw)
            if kept is not None:
                yield kept


def _link(reader: SnapshotReader, path: str, target: Path) -> None:
    """A hard link, so that mongorestore sees the size; else a symbolic one; else, of a store that is no
    folder, a copy that was compared with what the manifest says."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    stored = f"{reader.name}/{path}"
    store = reader.store.holder(stored) if isinstance(reader.store, Copies) else reader.store
    if not isinstance(store, LocalStore):
        _copy(reader, path, target)
        return
    source = store.root / stored
    try:
        os.link(source, target)
    except OSError:
        target.symlink_to(source)


def _copy(reader: SnapshotReader, path: str, target: Path) -> None:
    while True:
        try:
            with target.open("wb") as file:
                for chunk in stored_bytes(reader.store, reader.file(path)):
                    file.write(chunk)
            return
        except Failed as error:
            if error.code != "snapshot-corrupt" or not reader.fall_over(path):
                raise


def _printed_name(collection: StoredCollection) -> str:
    namespace = collection.namespace
    buckets = collection.kind == "timeseries" and f"/{BUCKETS}" in (collection.data_path or "")
    return f"{namespace.database}.{BUCKETS if buckets else ''}{namespace.collection}"


def _write_oplog(
    chunks: Iterable[bytes], path: Path, compression: Compression, check: Callable[[], None]
) -> int:
    """Under its plain name also where it is packed, as mongodump does. Returns how many entries it has."""
    stream = compressor("gzip" if compression == "gzip" else "none")
    entries = 0
    pending = bytearray()
    with path.open("wb") as file:
        for raw in wanted_entries(chunks):
            entries += 1
            pending += raw
            if len(pending) >= _BUFFER:
                check()
                file.write(stream.compress(bytes(pending)))
                pending.clear()
        file.write(stream.compress(bytes(pending)))
        file.write(stream.flush())
    return entries


def _without_foreign(raw: bytes) -> bytes | None:
    """The entry, without its foreign operations where it has some; None where nothing is left of it."""
    entry = raw_entry(raw)
    if entry["op"] == "n":
        return raw
    if entry["op"] == "c":
        command = next(iter(entry["o"]), "")
        if command == "applyOps":
            return _filtered_batch(raw, entry)
        if command in ("commitTransaction", "abortTransaction"):
            return raw
    return raw if _is_wanted(entry) else None


def _filtered_batch(raw: bytes, entry: RawBSONDocument) -> bytes | None:
    inner = list(entry["o"]["applyOps"])
    kept = [
        found for one in inner if (found := _without_foreign(bytes(one.raw))) is not None and one["op"] != "n"
    ]
    if len(kept) == len(inner):
        return raw
    # A transaction's last part ends it, so it stays, empty.
    if not kept and not ("lsid" in entry and "txnNumber" in entry):
        return None
    body = {**entry["o"], "applyOps": [RawBSONDocument(k, rawbson.RAW) for k in kept]}
    return bytes(bson.encode({**entry, "o": body}))


def _is_wanted(entry: RawBSONDocument) -> bool:
    database, _, collection = str(entry["ns"]).partition(".")
    if is_system_database(database):
        return False
    if entry["op"] == "c":
        named = next(iter(entry["o"].values()), "")
        collection = named if isinstance(named, str) else ""
    return not (is_set_aside(collection) or is_staging(collection))


def wanted_namespaces(reader: SnapshotReader) -> list[Namespace]:
    """What mongorestore creates from the snapshot itself, before any replay."""
    return [collection.namespace for collection in filter(is_given, reader.collections)]
