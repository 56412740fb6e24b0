"""What every store can do: one small protocol for local directories and S3."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object; ``path`` is relative to the store's root, with ``/``."""

    path: str
    size: int
    modified_at: datetime


class Store(Protocol):
    """A place where snapshots, segments and ledgers lie. Paths are relative, with ``/``."""

    name: str

    def describe(self) -> str:
        """Where it is, for people; never a secret."""
        ...

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """Every finished object below a prefix, sorted by path."""
        ...

    def folders(self, prefix: str = "") -> tuple[str, ...]:
        """Names of the folders directly below a prefix, sorted."""
        ...

    def read(self, path: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """The bytes of an object, or of a range of it, in chunks.

        Raises:
            Failed: code ``not-in-store`` where there is no such object.
            Unreachable: The store does not answer.
        """
        ...

    def write(self, path: str, chunks: Iterable[bytes]) -> StoredObject:
        """Writes an object whole or not at all; an existing one is replaced."""
        ...

    def write_if_absent(self, path: str, chunks: Iterable[bytes]) -> bool:
        """Writes only if there is none; False if there was one."""
        ...

    def delete(self, path: str) -> None:
        """Removes an object; no error if it is not there."""
        ...

    def size(self, path: str) -> int | None:
        """Bytes of an object; None if there is none."""
        ...

    def sweep(self, prefix: str, seconds: float) -> int:
        """Removes what killed writers left half-written below a folder, and has not been touched for so long;
        returns how many."""
        ...
