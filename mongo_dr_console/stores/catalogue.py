"""Reading the catalogue of a store: our snapshots by their manifests, plain mongodumps by their files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

from bson.raw_bson import RawBSONDocument
from pydantic import ValidationError

from mongo_dr_console.model import rawbson
from mongo_dr_console.model.catalogue import (
    SnapshotEntry,
    is_snapshot_name,
    latest_tests,
    latest_verifications,
)
from mongo_dr_console.model.filenames import split_name
from mongo_dr_console.model.hold import keeps, standing
from mongo_dr_console.model.manifest import FORMAT_VERSION, MANIFEST_NAME, Compression, Manifest, Window
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.trouble import Failed, Trouble
from mongo_dr_console.stores import catalogue_index, ledger
from mongo_dr_console.stores.compression import of_path
from mongo_dr_console.stores.remembered import Remembered
from mongo_dr_console.stores.snapshot_files import (
    OPLOG_NAMES,
    PRELUDE_NAMES,
    TOOL,
    SnapshotFile,
    corrupt,
    documents,
    plain_bytes,
)
from mongo_dr_console.stores.store import Store, StoredObject


def list_snapshots(
    store: Store, known: Remembered | None = None, *, whole: bool = True
) -> list[SnapshotEntry]:
    """Every snapshot in a store, newest first. A damaged or unfinished one is listed with its ``problem``;
    what is being written just now is not listed.

    Args:
        known: What was read of this store before: manifests that are still the same files are not read
            again.
        whole: Whether every manifest is asked for. For people who look it is enough where that is dear
            (a bucket) to ask for those of the newest snapshots and of unknown ones, and for all every
            ten minutes. Which folders there are, and the ledger, is always asked.

    Raises:
        Unreachable: The store does not answer.
    """
    known = known or Remembered()
    known.begin()
    seen = _look(store, known, whole)
    if catalogue_index.is_worth_it(store):
        unread = known.unread(seen.manifests, (o for there in seen.records.values() for o in there))
        if unread >= catalogue_index.WORTH:
            catalogue_index.take_in(store, known)
    records = {kind: ledger.documents_of(store, there, known) for kind, there in seen.records.items()}
    verifications = latest_verifications(records["verifications"])
    drills = latest_tests(records["drills"])
    tests = latest_tests([*records["restores"], *records["drills"], *records["verifications"]])
    holds = standing(records["holds"])
    found = [
        replace(
            entry,
            verification=verifications.get((entry.name, entry.checksum)),
            restore_tested_at=tests.get(entry.name),
            drilled_at=drills.get(entry.name),
            holds=tuple(h.id for h in holds if keeps(h, entry)),
        )
        for entry in _entries(store, known, seen)
    ]
    known.save()
    return sorted(found, key=lambda e: (e.taken_at, e.name), reverse=True)


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a store lists.

    Args:
        manifests: By snapshot, of those that were asked for.
        believed: Snapshots whose manifests were not asked for.
    """

    names: tuple[str, ...]
    manifests: dict[str, StoredObject]
    believed: frozenset[str]
    records: dict[ledger.Kind, list[StoredObject]]


def _look(store: Store, known: Remembered, whole: bool) -> _Seen:
    """Everything that can be asked for at once is."""
    with ThreadPoolExecutor(_READERS) as pool:
        folders = pool.submit(store.folders)
        records = {kind: pool.submit(ledger.there, store, kind) for kind in _RECORDS}
        pruned = pool.submit(ledger.there, store, "prunes")
        # While the store is asked.
        known.recall()
        names = tuple(name for name in folders.result() if is_snapshot_name(name))
        now = datetime.now(UTC)
        # A prune takes the manifest first, and the folder last.
        since = max((o.modified_at for o in pruned.result()), default=None)
        since = None if since is None else since + _PRUNES_WITHIN
        believed: frozenset[str] = frozenset()
        if not whole and catalogue_index.is_worth_it(store) and known.is_whole(now, since):
            believed = frozenset(n for n in names[:-_NEWEST] if known.knows(n))
        manifests = _manifests(store, [n for n in names if n not in believed])
        if not believed:
            known.looked(now)
        return _Seen(names, manifests, believed, {kind: there.result() for kind, there in records.items()})


def _entries(store: Store, known: Remembered, seen: _Seen) -> list[SnapshotEntry]:
    names, manifests = seen.names, seen.manifests
    found: dict[str, SnapshotEntry | None] = {
        name: known.entry(name, manifests[name]) for name in names if name in manifests
    }
    found |= {name: known.believed(name) for name in seen.believed}
    new = [name for name in names if found.get(name) is None]
    if len(new) < _FEW:
        read = [read_entry(store, name) for name in new]
    else:
        with ThreadPoolExecutor(_READERS) as pool:
            read = list(pool.map(lambda name: read_entry(store, name), new))
    for name, entry in zip(new, read, strict=True):
        found[name] = entry
        if entry is not None and name in manifests:
            known.remember_entry(name, manifests[name], entry)
    return [entry for name in names if (entry := found[name]) is not None]


def _manifests(store: Store, names: Sequence[str]) -> dict[str, StoredObject]:
    """The manifests that there are, as the store knows them: asked at once where it can be, else one by one,
    side by side."""
    paths = {f"{name}/{MANIFEST_NAME}": name for name in names}
    heads = getattr(store, "heads", None)
    if heads is not None:
        return {paths[o.path]: o for o in heads(list(paths))}

    def seen(path: str) -> StoredObject | None:
        return next((o for o in store.list(path) if o.path == path), None)

    with ThreadPoolExecutor(_READERS) as pool:
        return {paths[o.path]: o for o in pool.map(seen, paths) if o is not None}


def read_entry(store: Store, name: str) -> SnapshotEntry | None:
    """What is known of one snapshot, without the ledger; None where a folder holds none."""
    try:
        manifest = read_manifest(store, name)
    except Failed as error:
        if error.code == "manifest-missing":
            return _scan_dump(store, name)
        return _broken(store, name, error)
    return SnapshotEntry(
        name=name,
        store=store.name,
        origin=manifest.origin,
        stored_bytes=manifest.stored_bytes,
        modified_at=manifest.finished_at,
        window=manifest.window,
        identity=manifest.identity,
        checksum=manifest.checksum,
        documents=manifest.documents,
        bytes=manifest.bytes,
        scope=None if manifest.scope is None else tuple(manifest.scope),
        compression=manifest.compression,
        server_version=manifest.server_version,
        engine=manifest.engine,
        started_at=manifest.started_at,
        finished_at=manifest.finished_at,
    )


def read_manifest(store: Store, name: str) -> Manifest:
    """The manifest of a snapshot.

    Raises:
        Failed: ``manifest-missing``; ``manifest-unreadable``; ``manifest-changed`` (its own checksum says
            so); ``manifest-newer`` (a later format).
    """
    try:
        text = b"".join(store.read(f"{name}/{MANIFEST_NAME}"))
    except Failed as error:
        if error.code != "not-in-store":
            raise
        raise Failed("manifest-missing", f"Snapshot {name} has no manifest in store {store.name}.") from None
    hint = "Use another snapshot or another store's copy."
    try:
        data = json.loads(text)
        version = data.get("format_version") if isinstance(data, dict) else None
        if isinstance(version, int) and version > FORMAT_VERSION:
            raise Failed(
                "manifest-newer",
                f"Snapshot {name} was written by a newer version (format {version}).",
                "Update mongo-dr-console.",
            )
        manifest = Manifest.model_validate(data)
    except (ValueError, ValidationError):
        raise Failed(
            "manifest-unreadable", f"The manifest of snapshot {name} in store {store.name} is damaged.", hint
        ) from None
    if manifest.checksum != manifest.content_checksum():
        raise Failed(
            "manifest-changed",
            f"The manifest of snapshot {name} in store {store.name} is not as it was written.",
            hint,
        )
    return manifest


_READERS, _FEW = 16, 32
_NEWEST = 20
_PRUNES_WITHIN = timedelta(hours=1)
_RECORDS: tuple[ledger.Kind, ...] = ("verifications", "drills", "restores", "holds")


@dataclass(frozen=True, slots=True)
class DumpFolder:
    """The files of a plain mongodump, paths relative to the snapshot."""

    name: str
    files: dict[str, StoredObject]
    prelude: dict[str, Any]

    @property
    def compression(self) -> Compression:
        return "gzip" if any(path.endswith(".gz") for path in self.files) else "none"

    @property
    def oplog_path(self) -> str | None:
        return next((name for name in OPLOG_NAMES if name in self.files), None)

    @property
    def unfinished(self) -> bool:
        """Ours, but without a manifest: a copy that was cut off."""
        return str(self.prelude.get("ToolVersion", "")).startswith(TOOL)

    @property
    def mixed(self) -> Failed | None:
        """Packed and plain files side by side: those of one kind are left from an earlier dump into the same
        folder, and nothing says which. mongorestore takes one kind and is silent about the other."""
        kinds: dict[Compression, str] = {}
        for path in sorted(self.files):
            if "/" in path and split_name(path) is not None:
                kinds.setdefault(of_path(path), path)
        if len(kinds) < 2:
            return None
        return Failed(
            "snapshot-mixed",
            f"The dump {self.name} has files of two dumps: {' and '.join(sorted(kinds.values()))} are not "
            "packed alike. Which of them belong to its oplog is not known, so nothing is restored from it.",
            "Take the files of the older dump out of the folder.",
        )


def read_dump_folder(store: Store, name: str) -> DumpFolder | None:
    """The files of a snapshot's folder; None where they are no dump."""
    files = {o.path.removeprefix(f"{name}/"): o for o in store.list(f"{name}/")}
    if not any(path in OPLOG_NAMES or ("/" in path and split_name(path)) for path in files):
        return None
    return DumpFolder(name, files, _read_prelude(store, name, files))


def oplog_file(store: Store, name: str, folder: DumpFolder) -> SnapshotFile | None:
    """The oplog of a plain mongodump: gzip under its plain name where the dump is gzip."""
    path = folder.oplog_path
    if path is None:
        return None
    packed = b"".join(store.read(f"{name}/{path}", 0, 3)) == b"\x1f\x8b\x08"
    return SnapshotFile(
        name, path, "gzip" if packed and folder.compression == "gzip" else of_path(path), None
    )


def scan_window(store: Store, file: SnapshotFile) -> Window | None:
    """The window of an oplog file from its first and last entries; None where it is empty.

    Raises:
        Failed: ``snapshot-corrupt``.
    """
    try:
        return window_of(documents(store, file))
    except rawbson.TornDocument as error:
        raise corrupt(file, str(error)) from None


def window_of(chunks: Iterable[bytes]) -> Window | None:
    """The window of a stretch of oplog given in chunks of whole entries; None for an empty one."""
    first = last = b""
    operations = 0
    for chunk in chunks:
        for raw in rawbson.split(chunk):
            first = first or raw
            last = raw
            operations += 1
    if not operations:
        return None
    end = RawBSONDocument(last, rawbson.RAW)
    return Window(
        start=Position.of(RawBSONDocument(first, rawbson.RAW)["ts"]),
        end=Position.of(end["ts"]),
        end_term=int(end.get("t", -1)),
        end_hash=rawbson.entry_hash(last),
        operations=operations,
    )


def _scan_dump(store: Store, name: str) -> SnapshotEntry | None:
    folder = read_dump_folder(store, name)
    if folder is None:
        return None
    window: Window | None = None
    problem: Trouble | None = None
    if folder.unfinished:
        problem = Failed(
            "snapshot-unfinished",
            f"Snapshot {name} in store {store.name} is not finished: it has no manifest.",
            "Use another snapshot; remove this one if nothing is writing it.",
        )
    elif folder.mixed is not None:
        problem = folder.mixed
    else:
        try:
            window = _cached_window(store, name, folder)
        except Failed as error:
            problem = error
    return SnapshotEntry(
        name=name,
        store=store.name,
        origin="mongodump",
        stored_bytes=sum(o.size for o in folder.files.values()),
        modified_at=max(o.modified_at for o in folder.files.values()),
        window=window,
        compression=folder.compression,
        server_version=folder.prelude.get("ServerVersion"),
        engine="mongodump",
        problem=problem,
    )


def _broken(store: Store, name: str, problem: Failed) -> SnapshotEntry:
    files = list(store.list(f"{name}/"))
    return SnapshotEntry(
        name=name,
        store=store.name,
        origin="mongo-dr-console",
        stored_bytes=sum(o.size for o in files),
        modified_at=max(o.modified_at for o in files),
        problem=problem,
    )


def _cached_window(store: Store, name: str, folder: DumpFolder) -> Window | None:
    file = oplog_file(store, name, folder)
    if file is None:
        return None
    facts = folder.files[file.path]
    return _window(_Oplog(store, file), store.describe(), file, facts.size, facts.modified_at)


class _Oplog:
    """A way to the data that does not count in the cache's key."""

    def __init__(self, store: Store, file: SnapshotFile) -> None:
        self.store, self.file = store, file

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Oplog)

    def __hash__(self) -> int:
        return 0


@lru_cache(maxsize=256)
def _window(oplog: _Oplog, where: str, file: SnapshotFile, size: int, modified_at: datetime) -> Window | None:
    # Pollers list the catalogue again and again; an oplog of gigabytes is read once.
    return scan_window(oplog.store, oplog.file)


def _read_prelude(store: Store, name: str, files: dict[str, StoredObject]) -> dict[str, Any]:
    for prelude in PRELUDE_NAMES:
        if prelude in files:
            file = SnapshotFile(name, prelude, of_path(prelude), None)
            try:
                data = json.loads(b"".join(_bounded(plain_bytes(store, file))))
            except (ValueError, Failed):
                return {}
            return data if isinstance(data, dict) else {}
    return {}


def _bounded(chunks: Iterator[bytes], limit: int = 1024 * 1024) -> Iterator[bytes]:
    for chunk in chunks:
        limit -= len(chunk)
        if limit < 0:
            return
        yield chunk


def list_all(
    stores: Mapping[str, Store], remembered: Path | None = None, *, whole: bool = True
) -> tuple[list[SnapshotEntry], dict[str, Trouble]]:
    """The entries of several stores, in their order, and by name why a store could not be listed.

    Args:
        remembered: A folder that keeps what was read for the next time; None: nothing is kept.
        whole: As ``list_snapshots``.
    """
    entries: list[SnapshotEntry] = []
    troubles: dict[str, Trouble] = {}
    for name, store in stores.items():
        try:
            known = None if remembered is None else Remembered.of(store, remembered)
            entries += list_snapshots(store, known, whole=whole)
        except Trouble as trouble:
            troubles[name] = trouble
    return entries, troubles
