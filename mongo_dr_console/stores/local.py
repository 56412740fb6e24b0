"""A store in a local directory."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from mongo_dr_console.model.trouble import Failed, Unreachable, WrongUse
from mongo_dr_console.stores import faults
from mongo_dr_console.stores.store import StoredObject

CHUNK = 1024 * 1024
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
            found = sorted(self._walk(folder, prefix), key=lambda o: o.path)
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
            try:
                target.unlink()
            except (FileNotFoundError, NotADirectoryError):
                return
            sync_folder(target.parent)

    def size(self, path: str) -> int | None:
        """Bytes of an object; None if there is none."""
        target = self._inside(path)
        with faults.told(self.root):
            try:
                return target.stat().st_size if target.is_file() else None
            except FileNotFoundError:
                return None

    def _fill(self, temporary: Path, chunks: Iterable[bytes]) -> None:
        with faults.told(self.root):
            temporary.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("xb") as file:
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

    def _walk(self, folder: Path, prefix: str) -> Iterator[StoredObject]:
        if not folder.is_dir():
            return
        for entry in os.scandir(folder):
            if entry.name.startswith("."):
                continue
            path = Path(entry.path)
            if entry.is_dir(follow_symlinks=False):
                relative = path.relative_to(self.root).as_posix() + "/"
                if relative.startswith(prefix) or prefix.startswith(relative):
                    yield from self._walk(path, prefix)
            elif entry.is_file():
                found = self._object(path)
                if found.path.startswith(prefix):
                    yield found

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


def sync_folder(folder: Path) -> None:
    """Makes names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
