"""Reading a snapshot, ours or a plain mongodump: data, metadata and oplog, checksums verified on the way."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from bson.raw_bson import RawBSONDocument

from mongo_dr_console.model.extjson import NotCanonical, loads
from mongo_dr_console.model.filenames import (
    DATA_SUFFIX,
    METADATA_SUFFIX,
    escape,
    is_truncated,
    split_name,
    unescape,
)
from mongo_dr_console.model.manifest import CollectionEntry, FileEntry, Kind, Manifest, Window
from mongo_dr_console.model.namespace import BUCKETS, Namespace, is_buckets
from mongo_dr_console.model.rawbson import RAW
from mongo_dr_console.model.trouble import Failed, Trouble
from mongo_dr_console.stores import snapshot_files
from mongo_dr_console.stores.catalogue import (
    DumpFolder,
    oplog_file,
    read_dump_folder,
    read_manifest,
    scan_window,
)
from mongo_dr_console.stores.compression import of_path
from mongo_dr_console.stores.copies import Copies, as_one
from mongo_dr_console.stores.snapshot_files import OPLOG_NAMES, SnapshotFile, corrupt
from mongo_dr_console.stores.store import Store

EMPTY = b"\x05\x00\x00\x00\x00"

_NO_METADATA = RawBSONDocument(EMPTY, RAW)
_METADATA_LIMIT = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class StoredCollection:
    """One collection of a snapshot.

    Args:
        options: Raw BSON of the options that ``create`` takes; ``EMPTY`` for none.
        indexes: Raw BSON of each index as it was listed, with ``_id_``.
        documents: None where only a manifest would know.
        bytes: Uncompressed BSON; None where only a manifest would know.
        stored_bytes: Size of its data file; 0 for a view.
        data_path: For a time series that of its buckets; None for a view.
    """

    namespace: Namespace
    kind: Kind
    uuid: str | None
    options: bytes
    indexes: tuple[bytes, ...]
    documents: int | None
    bytes: int | None
    stored_bytes: int
    data_path: str | None
    metadata_path: str | None

    @property
    def option_values(self) -> RawBSONDocument:
        return RawBSONDocument(self.options, RAW)

    @property
    def index_values(self) -> list[RawBSONDocument]:
        return [RawBSONDocument(raw, RAW) for raw in self.indexes]


class SnapshotReader:
    """An opened snapshot. Every reading method raises Failed ``snapshot-corrupt`` for bytes that are not what
    was written, at the latest when the iterator ends: what was yielded before must not be trusted then."""

    def __init__(
        self,
        store: Store,
        name: str,
        *,
        manifest: Manifest | None,
        files: dict[str, FileEntry],
        oplog: SnapshotFile | None,
        checksum: str,
    ) -> None:
        self.store = store
        self.name = name
        self.manifest = manifest
        self.files = files
        self.checksum = checksum
        self._oplog = oplog
        self._window = manifest.window if manifest else None
        self._collections: tuple[StoredCollection, ...] | None = None
        self._is_proven = not isinstance(store, Copies)

    @property
    def origin(self) -> str:
        return self.manifest.origin if self.manifest else "mongodump"

    @property
    def oplog_path(self) -> str:
        """The file of the window's oplog, relative to the snapshot; empty where there is none."""
        return "" if self._oplog is None else self._oplog.path

    @property
    def window(self) -> Window | None:
        """The range of its oplog; read through once for a plain mongodump. None where it has no oplog."""
        if self._window is None and self._oplog is not None:
            self._window = scan_window(self.store, self._oplog)
        return self._window

    @property
    def collections(self) -> tuple[StoredCollection, ...]:
        """All collections, views and time series, those of ``admin`` too, sorted by namespace."""
        if self._collections is None:
            found = self._from_manifest() if self.manifest else self._from_files()
            self._collections = tuple(sorted(found, key=lambda c: c.namespace))
        return self._collections

    def collection(self, namespace: Namespace) -> StoredCollection | None:
        return next((c for c in self.collections if c.namespace == namespace), None)

    def documents(self, collection: StoredCollection) -> Iterator[bytes]:
        """The collection's documents (a time series' buckets) in chunks of whole documents, decompressed, of
        a few MiB at the most beside one document."""
        if collection.data_path is None:
            return iter(())
        return snapshot_files.documents(self.store, self.file(collection.data_path))

    def oplog(self) -> Iterator[bytes]:
        """The window's oplog in chunks of whole entries.

        Raises:
            Failed: ``snapshot-without-oplog``.
        """
        if self._oplog is None:
            raise Failed(
                "snapshot-without-oplog",
                f"Snapshot {self.name} has no oplog: it was taken without --oplog and is not consistent if "
                "writes went on meanwhile.",
                "Use another snapshot.",
            )
        self._prove(self._oplog)
        return snapshot_files.documents(self.store, self._oplog)

    def fall_over(self, path: str) -> bool:
        """A file that was just read is damaged: whether another copy of it is read from now on. What was
        made of the damaged one must be thrown away."""
        return isinstance(self.store, Copies) and self.store.blame(f"{self.name}/{path}")

    def _prove(self, oplog: SnapshotFile) -> None:
        """Where there are several copies, reads the oplog once ahead: what was replayed of a bad one could
        not be taken back."""
        while not self._is_proven:
            try:
                for _ in snapshot_files.stored_bytes(self.store, oplog):
                    pass
                self._is_proven = True
            except Failed as error:
                if error.code != "snapshot-corrupt" or not self.fall_over(oplog.path):
                    raise

    def file(self, path: str) -> SnapshotFile:
        """A file of the snapshot, ready to be read."""
        if self._oplog is not None and path == self._oplog.path:
            return self._oplog
        expected = self.files[path] if self.manifest and path in self.files else None
        return SnapshotFile(self.name, path, of_path(path), expected)

    def _from_manifest(self) -> Iterator[StoredCollection]:
        assert self.manifest is not None
        for entry in self.manifest.collections:
            metadata = self._metadata(entry.metadata_path) if entry.metadata_path else _NO_METADATA
            yield StoredCollection(
                namespace=Namespace(entry.database, entry.name),
                kind=entry.kind,
                uuid=entry.uuid,
                options=_raw(metadata.get("options")),
                indexes=_raw_list(metadata.get("indexes")),
                documents=entry.documents,
                bytes=entry.bytes,
                stored_bytes=self._size(entry),
                data_path=entry.data_path,
                metadata_path=entry.metadata_path,
            )

    def _size(self, entry: CollectionEntry) -> int:
        file = self.files.get(entry.data_path or "")
        return file.size if file else 0

    def _from_files(self) -> Iterator[StoredCollection]:
        data, metadata = self._pair_files()
        for (database, base), metadata_path in metadata.items():
            found = self._metadata(metadata_path)
            name = str(found.get("collectionName") or unescape(base))
            # A time series' data are its buckets; from servers 8.3 on they have the plain name.
            bases = [escape(BUCKETS + name), base] if _kind(found) == "timeseries" else [base]
            data_path = next((data.pop((database, b)) for b in bases if (database, b) in data), None)
            if data_path is None and _kind(found) != "view":
                # mongodump writes one for an empty collection too.
                raise corrupt(self.file(metadata_path), "the data file that belongs to it is missing")
            yield self._scanned(Namespace(database, name), found, data_path, metadata_path)
        for (database, base), data_path in data.items():
            if is_truncated(base) or is_buckets(unescape(base)):
                raise corrupt(self.file(data_path), "its metadata is missing, without which nobody knows it")
            # A dump of one collection without metadata: restorable with default options, as by mongorestore.
            yield self._scanned(Namespace(database, unescape(base)), _NO_METADATA, data_path, None)

    def _scanned(
        self,
        namespace: Namespace,
        metadata: RawBSONDocument,
        data_path: str | None,
        metadata_path: str | None,
    ) -> StoredCollection:
        uuid = metadata.get("uuid")
        return StoredCollection(
            namespace=namespace,
            kind=_kind(metadata),
            uuid=uuid if isinstance(uuid, str) else None,
            options=_raw(metadata.get("options")),
            indexes=_raw_list(metadata.get("indexes")),
            documents=None,
            bytes=None,
            stored_bytes=self.files[data_path].size if data_path else 0,
            data_path=data_path,
            metadata_path=metadata_path,
        )

    def _pair_files(self) -> tuple[dict[tuple[str, str], str], dict[tuple[str, str], str]]:
        """Data and metadata files by database and base name."""
        data: dict[tuple[str, str], str] = {}
        metadata: dict[tuple[str, str], str] = {}
        for path in self.files:
            parts = PurePosixPath(path)
            named = split_name(parts.name)
            # $admin.… files hold one database's users (--dumpDbUsersAndRoles), no collection.
            if len(parts.parts) != 2 or named is None or parts.name.startswith("$"):
                continue
            base, suffix = named
            target = metadata if suffix == METADATA_SUFFIX else data
            assert suffix in (METADATA_SUFFIX, DATA_SUFFIX)
            target[parts.parts[0], base] = path
        return data, metadata

    def _metadata(self, path: str) -> RawBSONDocument:
        while True:
            try:
                return self._read_metadata(self.file(path))
            except Failed as error:
                if error.code != "snapshot-corrupt" or not self.fall_over(path):
                    raise

    def _read_metadata(self, file: SnapshotFile) -> RawBSONDocument:
        text = bytearray()
        for chunk in snapshot_files.plain_bytes(self.store, file):
            text += chunk
            if len(text) > _METADATA_LIMIT:
                raise corrupt(file, "it is far larger than metadata can be")
        try:
            return RawBSONDocument(loads(bytes(text)), RAW)
        except (NotCanonical, UnicodeDecodeError) as error:
            raise corrupt(file, str(error)) from None


def open_snapshot(store: Store, name: str) -> SnapshotReader:
    """Opens a snapshot by name; nothing but its manifest (or the list of its files) is read yet.

    Raises:
        Failed: ``snapshot-missing``, ``snapshot-unfinished``, or the manifest's own trouble.
    """
    try:
        manifest = read_manifest(store, name)
    except Failed as error:
        if error.code != "manifest-missing":
            raise
        return _open_dump(store, name)
    files = {entry.path: entry for entry in manifest.files}
    oplog = next((files[path] for path in OPLOG_NAMES if path in files), None)
    return SnapshotReader(
        store,
        name,
        manifest=manifest,
        files=files,
        oplog=None if oplog is None else SnapshotFile(name, oplog.path, manifest.compression, oplog),
        checksum=_checksum_of(manifest),
    )


def open_copies(
    stores: Sequence[Store], name: str, checksum: str, tell: Callable[[str], None] = lambda _: None
) -> SnapshotReader:
    """Opens a snapshot in all of the stores that have this very one, the first of them read first.

    Args:
        stores: The nearest first.
        checksum: What the reader of one of the copies has.
        tell: Called with what is wrong with a copy, now or later.

    Raises:
        Trouble: As ``open_snapshot`` for the first store, where no other has it.
    """
    found: list[Store] = []
    for store in stores:
        try:
            if _checksum_of(read_manifest(store, name)) == checksum:
                found.append(store)
        except Trouble as trouble:
            if store is stores[0] and trouble.code != "manifest-missing":
                tell(f"the copy in store {store.name} is not read: {trouble.message}")
    return open_snapshot(as_one(found or stores[:1], tell), name)


def _checksum_of(manifest: Manifest) -> str:
    return _checksum((entry.path, entry.sha256) for entry in manifest.files)


def _open_dump(store: Store, name: str) -> SnapshotReader:
    folder: DumpFolder | None = read_dump_folder(store, name)
    if folder is None:
        raise Failed(
            "snapshot-missing",
            f"There is no snapshot {name} in store {store.name}.",
            "See: mdr snapshots list",
        )
    if folder.unfinished:
        raise Failed(
            "snapshot-unfinished",
            f"Snapshot {name} in store {store.name} is not finished: it has no manifest.",
            "Use another snapshot; remove this one if nothing is writing it.",
        )
    if folder.mixed is not None:
        raise folder.mixed
    files = {path: FileEntry(path=path, size=o.size, sha256="") for path, o in folder.files.items()}
    # Without a manifest there are no checksums, and reading everything for a plan would take too long: sizes
    # and times tell whether it was touched.
    checksum = _checksum((path, f"{o.size} {o.modified_at.isoformat()}") for path, o in folder.files.items())
    oplog = oplog_file(store, name, folder)
    return SnapshotReader(store, name, manifest=None, files=files, oplog=oplog, checksum=checksum)


def _checksum(facts: Iterator[tuple[str, str]]) -> str:
    digest = hashlib.sha256()
    for path, fact in sorted(facts):
        digest.update(f"{path}\0{fact}\n".encode())
    return digest.hexdigest()


def _kind(metadata: RawBSONDocument) -> Kind:
    named = metadata.get("type")
    if named in ("collection", "view", "timeseries"):
        return named  # type: ignore[no-any-return]
    options = metadata.get("options") or {}
    if "viewOn" in options:
        return "view"
    return "timeseries" if "timeseries" in options else "collection"


def _raw(value: object) -> bytes:
    return bytes(value.raw) if isinstance(value, RawBSONDocument) else EMPTY


def _raw_list(value: object) -> tuple[bytes, ...]:
    items = value if isinstance(value, list) else []
    return tuple(bytes(item.raw) for item in items if isinstance(item, RawBSONDocument))
