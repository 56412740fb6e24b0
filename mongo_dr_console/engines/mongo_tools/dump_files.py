"""What mongodump left in a folder, read to the last document: the facts of a manifest."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mongo_dr_console.model import extjson, rawbson
from mongo_dr_console.model.manifest import CollectionEntry, FileEntry, Window
from mongo_dr_console.model.namespace import OWN_DATABASE, is_set_aside
from mongo_dr_console.model.trouble import Failed
from mongo_dr_console.stores import faults
from mongo_dr_console.stores.catalogue import window_of
from mongo_dr_console.stores.local import LocalStore
from mongo_dr_console.stores.snapshot_reader import SnapshotReader, StoredCollection, open_snapshot


@dataclass(frozen=True, slots=True)
class DumpedFiles:
    """Everything in the folder."""

    files: list[FileEntry]
    collections: list[CollectionEntry]
    window: Window


class _Digesting(LocalStore):
    """The store, with its files digested while they are read, so that each is read once."""

    def __init__(self, store: LocalStore) -> None:
        super().__init__(store.name, store.root)
        self.found: dict[str, FileEntry] = {}

    def read(self, path: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        digest, size = hashlib.sha256(), 0
        for chunk in super().read(path, start, length):
            digest.update(chunk)
            size += len(chunk)
            yield chunk
        if start == 0 and length is None:
            name = path.partition("/")[2]
            self.found[name] = FileEntry(path=name, size=size, sha256=digest.hexdigest())


def remove_ours(folder: Path) -> None:
    """Takes out what no snapshot holds: our own database, and collections that were set aside. mongodump can
    leave out collections of one database only."""
    shutil.rmtree(folder / OWN_DATABASE, ignore_errors=True)
    for file in folder.glob("*/*"):
        if is_set_aside(file.name.partition(".")[0]):
            file.unlink()


def read_dumped(
    store: LocalStore, folder: Path, tell: Callable[[int, str], None], check: Callable[[], None]
) -> DumpedFiles:
    """Reads every file once: size and SHA-256 of what is stored, documents and bytes of what it holds.

    Args:
        tell: Called with documents read so far and the collection.
        check: Asked at safe points; raises to stop.

    Raises:
        Failed: ``snapshot-corrupt`` (a file ends within a document), ``snapshot-without-oplog``.
    """
    digesting = _Digesting(store)
    reader = open_snapshot(digesting, folder.name)
    window = _window(reader)
    collections = []
    done = 0
    for stored in reader.collections:
        documents = size = 0
        for chunk in reader.documents(stored):
            check()
            documents += rawbson.count(chunk)
            size += len(chunk)
            tell(done + documents, str(stored.namespace))
        done += documents
        collections.append(_entry(stored, documents, size))
    for path in sorted(reader.files):
        check()
        if path not in digesting.found:
            for _ in digesting.read(f"{folder.name}/{path}"):
                pass
        _make_durable(store.root, folder / path)
    files = [digesting.found[path] for path in sorted(reader.files)]
    return DumpedFiles(files, collections, window)


def _window(reader: SnapshotReader) -> Window:
    window = window_of(reader.oplog())
    if window is None:
        raise Failed("tool-incomplete", "mongodump wrote an empty oplog.bson. No snapshot was made.")
    return window


def _entry(stored: StoredCollection, documents: int, size: int) -> CollectionEntry:
    return CollectionEntry(
        database=stored.namespace.database,
        name=stored.namespace.collection,
        kind=stored.kind,
        uuid=stored.uuid,
        documents=documents,
        bytes=size,
        options=extjson.to_jsonable(stored.options),
        indexes=[extjson.to_jsonable(raw) for raw in stored.indexes],
        data_path=stored.data_path,
        metadata_path=stored.metadata_path,
    )


def _make_durable(root: Path, path: Path) -> None:
    with faults.told(root):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
