"""Writing a snapshot into a local store: under a temporary name, checksummed while it is written, the
manifest last, then one rename. A snapshot is there whole or not at all."""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Self

from mongo_dr_console.model.manifest import (
    MANIFEST_NAME,
    SNAPSHOT_NAME_FORMAT,
    Compression,
    FileEntry,
    Manifest,
)
from mongo_dr_console.model.trouble import Failed
from mongo_dr_console.stores import faults
from mongo_dr_console.stores.compression import decompress
from mongo_dr_console.stores.local import PARTIAL, LocalStore, sync_folder
from mongo_dr_console.stores.snapshot_output import FileWriter, check_path

_LOCK_SUFFIX = ".lock"
_SWEEP_LOCK = ".sweep.lock"
_PIECE = 4 * 1024 * 1024


class LocalFile:
    """The output of a ``FileWriter`` in a folder."""

    def __init__(self, root: Path, folder: Path, path: str) -> None:
        self._root = root
        with faults.told(root):
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._file = target.open("xb", buffering=1024 * 1024)
            except FileExistsError:
                raise Failed(
                    "names-collide",
                    f"{root} does not tell the case of letters apart, and {path} is there already: one of "
                    "two collections would overwrite the other.",
                    "Back up into a store on a case-sensitive file system.",
                ) from None

    def write(self, data: bytes | memoryview) -> None:
        with faults.told(self._root):
            self._file.write(data)

    def restart(self) -> None:
        with faults.told(self._root):
            self._file.seek(0)
            self._file.truncate()

    def finish(self) -> None:
        with faults.told(self._root):
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()

    def discard(self) -> None:
        try:
            self._file.close()
        except OSError:
            # The buffered rest of a full disk; the descriptor is closed all the same.
            return


class SnapshotWriter:
    """A snapshot that is being written into a local store. Used in a ``with`` block: what is not finished by
    its end is removed.

    The first thing it does is to remove what dead writers left; a living one holds a lock on its own.
    """

    def __init__(self, store: LocalStore, name: str | None = None, wanted: Iterable[FileEntry] = ()) -> None:
        self.store = store
        self.there: dict[str, FileEntry] = {}
        expected = {entry.path: entry for entry in wanted}
        self._lock_handle = -1
        self._open: list[FileWriter] = []
        self._guard = Lock()
        self._finished = False
        with faults.told(store.root):
            store.root.mkdir(parents=True, exist_ok=True)
            with _sweeping(store.root):
                left = _left_by_dead(store.root, name) if name and expected else None
                if left is None:
                    _remove_dead(store.root)
                self.name = name or _free_name(store.root)
                self.folder = left or store.root / f"{PARTIAL}{self.name}-{secrets.token_hex(4)}"
                self._lock_path = self.folder.with_name(self.folder.name + _LOCK_SUFFIX)
                self._lock_handle = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                fcntl.flock(self._lock_handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self.folder.mkdir(exist_ok=left is not None)
                if left is not None:
                    _remove_dead(store.root)
            if left is not None:
                self.there = _take_stock(self.folder, expected)

    def open(self, path: str, compression: Compression = "none") -> FileWriter:
        """Begins a file; ``path`` is relative to the snapshot, with its suffix."""
        check_path(path)
        writer = FileWriter(LocalFile(self.store.root, self.folder, path), path, compression)
        with self._guard:
            self._open.append(writer)
        return writer

    def remove(self, path: str) -> None:
        """Takes back a file of this snapshot that is not wanted as it is; it may be written anew."""
        with self._guard:
            for writer in [w for w in self._open if w.path == path]:
                writer.discard()
                self._open.remove(writer)
        with faults.told(self.store.root):
            (self.folder / path).unlink(missing_ok=True)

    def rewrite(
        self, path: str, compression: Compression, change: Callable[[Iterator[bytes]], Iterator[bytes]]
    ) -> FileEntry:
        """Writes a finished file anew: ``change`` gets its bytes, uncompressed, and says what they become."""
        old = self.folder / f"{path}.before"
        with faults.told(self.store.root):
            (self.folder / path).rename(old)
            with old.open("rb") as file:
                pieces = decompress(iter(lambda: file.read(_PIECE), b""), compression)
                writer = self.open(path, compression)
                for piece in change(pieces):
                    writer.write(piece)
            old.unlink()
        return writer.finish()

    def put(self, path: str, data: bytes, compression: Compression = "none") -> FileEntry:
        """Writes a small file."""
        writer = self.open(path, compression)
        writer.write(data)
        return writer.finish()

    def finish(self, manifest: Manifest | None) -> None:
        """Writes the manifest and gives the snapshot its name.

        Args:
            manifest: None for the copy of a dump that has none.

        Raises:
            Failed: No room, or there is a snapshot of this name.
        """
        root = self.store.root
        if manifest is not None:
            self.put(MANIFEST_NAME, manifest.to_text().encode())
        with faults.told(root):
            for folder, _, _ in os.walk(self.folder):
                sync_folder(Path(folder))
            target = root / self.name
            with _sweeping(root):
                if target.exists():
                    raise Failed("snapshot-exists", f"Store {self.store.name} has a snapshot {self.name}.")
                self.folder.rename(target)
            sync_folder(root)
        self._finished = True
        self._release()

    def leave(self) -> None:
        """Ends as if killed: what was written stays, for a writer of the same name that goes on."""
        for writer in self._open:
            writer.discard()
        self._finished = True
        if self._lock_handle >= 0:
            os.close(self._lock_handle)
            self._lock_handle = -1

    def abandon(self) -> None:
        """Removes everything that was written."""
        for writer in self._open:
            writer.discard()
        shutil.rmtree(self.folder, ignore_errors=True)
        self._release()

    def _release(self) -> None:
        if self._lock_handle >= 0:
            self._lock_path.unlink(missing_ok=True)
            os.close(self._lock_handle)
            self._lock_handle = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._finished:
            self.abandon()


@contextmanager
def _sweeping(root: Path) -> Iterator[None]:
    """One at a time: between making a folder and locking it, nobody may take it for a dead one's."""
    handle = os.open(root / _SWEEP_LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _remove_dead(root: Path) -> None:
    for folder in root.glob(f"{PARTIAL}*"):
        if folder.is_dir() and not _is_alive(folder):
            shutil.rmtree(folder, ignore_errors=True)
    for lock in root.glob(f"{PARTIAL}*{_LOCK_SUFFIX}"):
        if not lock.with_name(lock.name.removesuffix(_LOCK_SUFFIX)).exists():
            lock.unlink(missing_ok=True)


def _left_by_dead(root: Path, name: str) -> Path | None:
    """The folder in which a dead writer of this snapshot worked."""
    return next((f for f in sorted(root.glob(f"{PARTIAL}{name}-*")) if f.is_dir() and not _is_alive(f)), None)


def _take_stock(folder: Path, expected: Mapping[str, FileEntry]) -> dict[str, FileEntry]:
    """Which files are whole, by size and SHA-256; all others are removed. Whoever wrote them may have died
    before they were durable."""
    found: dict[str, FileEntry] = {}
    for file in [f for f in folder.rglob("*") if not f.is_dir()]:
        path = file.relative_to(folder).as_posix()
        entry = expected.get(path)
        if entry is None or file.stat().st_size != entry.size or _durable_sha256(file) != entry.sha256:
            file.unlink()
        else:
            found[path] = entry
    return found


def _durable_sha256(file: Path) -> str:
    with file.open("rb") as content:
        os.fsync(content.fileno())
        return hashlib.file_digest(content, "sha256").hexdigest()


def _is_alive(folder: Path) -> bool:
    lock = folder.with_name(folder.name + _LOCK_SUFFIX)
    try:
        handle = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def _free_name(root: Path) -> str:
    """This second's name (UTC), or the next one that neither a snapshot nor a living writer has."""
    moment = datetime.now(UTC)
    while True:
        name = moment.strftime(SNAPSHOT_NAME_FORMAT)
        if not (root / name).exists() and not any(root.glob(f"{PARTIAL}{name}-*")):
            return name
        moment += timedelta(seconds=1)
