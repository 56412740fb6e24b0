"""A store in a local directory."""

from __future__ import annotations

import os
import secrets
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from operator import attrgetter
from pathlib import Path
from typing import BinaryIO

from mongo_dr_console.model.trouble import Failed, Unreachable, WrongUse
from mongo_dr_console.stores import faults
from mongo_dr_console.stores.store import StoredObject

CHUNK = 1024 * 1024
_TRIES = 20
PARTIAL = ".partial-"
"""Prefix of everything that is being written: never listed, removed once its writer is dead."""


class LocalStore:
    """The protocol of ``stores.store`` on a directory. An object appears whole or not at all: written under a
    temporary name, flushed, renamed, and its folder flushed."""

    def __init__(self, name: str, path: Path) -> None:
        self.name = name
        self.root = path.expanduser().absolute()

    def describe(self) -> str:
        return str(self.root)

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        self._require_root()
        parent = prefix.rpartition("/")[0]
        folder = self._inside(parent) if parent else self.root
        with faults.told(self.root):
            relative = f"{parent}/" if parent else ""
            found = sorted(self._walk(os.fspath(folder), relative, prefix), key=attrgetter("path"))
        yield from found

    def folders(self, prefix: str = "") -> tuple[str, ...]:
        self._require_root()
        folder = self._inside(prefix.strip("/")) if prefix.strip("/") else self.root
        with faults.told(self.root):
            if not folder.is_dir():
                return ()
            return tuple(sorted(e.name for e in os.scandir(folder) if e.is_dir() and e.name[0] != "."))

    def read(self, path: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        target = self._inside(path)
        with faults.told(self.root):
            try:
                file = target.open("rb", buffering=0)
            except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
                self._require_root()
                raise Failed(
                    "not-in-store", f"{path} is not in store {self.name} ({self.describe()})."
                ) from None
            with file:
                file.seek(start)
                left = length
                while left is None or left > 0:
                    chunk = file.read(CHUNK if left is None else min(CHUNK, left))
                    if not chunk:
                        return
                    if left is not None:
                        left -= len(chunk)
                    yield chunk

    def write(self, path: str, chunks: Iterable[bytes]) -> StoredObject:
        target = self._inside(path)
        temporary = self._temporary(target)
        try:
            self._fill(temporary, chunks)
            with faults.told(self.root):
                temporary.replace(target)
                sync_folder(target.parent)
                return self._object(target)
        finally:
            temporary.unlink(missing_ok=True)

    def write_if_absent(self, path: str, chunks: Iterable[bytes]) -> bool:
        target = self._inside(path)
        temporary = self._temporary(target)
        try:
            self._fill(temporary, chunks)
            with faults.told(self.root):
                try:
                    os.link(temporary, target)
                except FileExistsError:
                    return False
                sync_folder(target.parent)
                return True
        finally:
            temporary.unlink(missing_ok=True)

    def delete(self, path: str) -> None:
        target = self._inside(path)
        with faults.told(self.root):
            with suppress(FileNotFoundError, NotADirectoryError):
                target.unlink()
                sync_folder(target.parent)
            self._remove_empty(target.parent)

    def _remove_empty(self, folder: Path) -> None:
        """A folder is there for what is in it, as in S3."""
        while folder != self.root and folder.is_relative_to(self.root):
            try:
                folder.rmdir()
            except FileNotFoundError:
                pass
            except OSError:
                return
            folder = folder.parent

    def sweep(self, prefix: str, seconds: float) -> int:
        """Removes what killed writers left half-written below a folder, and has not been touched for so long;
        returns how many."""
        folder, removed = self._inside(prefix.strip("/")) if prefix.strip("/") else self.root, 0
        with faults.told(self.root):
            for left in folder.rglob(f"{PARTIAL}*") if folder.is_dir() else ():
                try:
                    # Folder and lock of a snapshot's writer are its own business.
                    if (
                        left.is_file()
                        and left.suffix != ".lock"
                        and time.time() - left.stat().st_mtime >= seconds
                    ):
                        left.unlink()
                        removed += 1
                except FileNotFoundError:
                    continue
        return removed

    def size(self, path: str) -> int | None:
        """Bytes of an object; None if there is none."""
        target = self._inside(path)
        with faults.told(self.root):
            try:
                return target.stat().st_size if target.is_file() else None
            except FileNotFoundError:
                return None

    def heads(self, paths: Iterable[str]) -> tuple[StoredObject, ...]:
        """Those of these objects that there are."""
        found = []
        with faults.told(self.root):
            for path in paths:
                try:
                    facts = (self.root / path).stat()
                except (FileNotFoundError, NotADirectoryError):
                    continue
                if stat.S_ISREG(facts.st_mode):
                    modified = datetime.fromtimestamp(facts.st_mtime, UTC)
                    found.append(StoredObject(path, facts.st_size, modified))
        return tuple(found)

    def _fill(self, temporary: Path, chunks: Iterable[bytes]) -> None:
        with faults.told(self.root), _opened(temporary) as file:
            for chunk in chunks:
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())

    def _temporary(self, target: Path) -> Path:
        # Independent of the target's name, which may already be as long as a name can be.
        return target.with_name(f"{PARTIAL}{secrets.token_hex(8)}")

    def _inside(self, path: str) -> Path:
        """The file of a relative path; raises WrongUse for one that leads out of the root."""
        parts = path.split("/")
        if "\0" in path or any(part in ("", ".", "..") for part in parts):
            raise WrongUse("path-outside-store", f"{path!r} is not a path inside a store.")
        target = self.root.joinpath(*parts)
        root = self.root.resolve()
        if not target.parent.resolve().is_relative_to(root) or (
            target.is_symlink() and not target.resolve().is_relative_to(root)
        ):
            raise WrongUse("path-outside-store", f"{path!r} leads out of the store {self.describe()}.")
        return target

    def _walk(self, folder: str, relative: str, prefix: str) -> Iterator[StoredObject]:
        """Names as text, since there may be a hundred thousand. What goes meanwhile is not there."""
        try:
            entries = os.scandir(folder)
        except (FileNotFoundError, NotADirectoryError):
            return
        with entries:
            for entry in entries:
                if entry.name[0] == ".":
                    continue
                path = relative + entry.name
                if entry.is_dir(follow_symlinks=False):
                    below = path + "/"
                    if below.startswith(prefix) or prefix.startswith(below):
                        yield from self._walk(entry.path, below, prefix)
                elif path.startswith(prefix) and entry.is_file():
                    with suppress(FileNotFoundError):
                        facts = entry.stat()
                        modified = datetime.fromtimestamp(facts.st_mtime, UTC)
                        yield StoredObject(path, facts.st_size, modified)

    def _object(self, path: Path) -> StoredObject:
        facts = path.stat()
        return StoredObject(
            path.relative_to(self.root).as_posix(),
            facts.st_size,
            datetime.fromtimestamp(facts.st_mtime, UTC),
        )

    def _require_root(self) -> None:
        if not self.root.is_dir():
            raise Unreachable(
                "store-missing",
                f"Store {self.name}: there is no folder {self.root}.",
                "Mount its disk, or correct the store's path; the first backup makes the folder.",
            )


def _opened(path: Path) -> BinaryIO:
    """A new file. Its folder may be removed for being empty right after it was made."""
    for _ in range(_TRIES):
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            return path.open("xb")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("xb")


def sync_folder(folder: Path) -> None:
    """Makes names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
