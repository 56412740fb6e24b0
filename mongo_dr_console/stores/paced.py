"""A store that is read from slowly, so that what is read in the background hinders nobody."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from mongo_dr_console.stores.store import Store, StoredObject


class PacedStore:
    """The protocol of ``stores.store``, on another store.

    Args:
        store: That is read from.
        passed: Called with the bytes that were read; waits for as long as a rate limit wants.
    """

    def __init__(self, store: Store, passed: Callable[[int], None]) -> None:
        self.name = store.name
        self._store, self._passed = store, passed

    def describe(self) -> str:
        return self._store.describe()

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        return self._store.list(prefix)

    def folders(self, prefix: str = "") -> tuple[str, ...]:
        return self._store.folders(prefix)

    def read(self, path: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        for chunk in self._store.read(path, start, length):
            self._passed(len(chunk))
            yield chunk

    def write(self, path: str, chunks: Iterable[bytes]) -> StoredObject:
        return self._store.write(path, chunks)

    def write_if_absent(self, path: str, chunks: Iterable[bytes]) -> bool:
        return self._store.write_if_absent(path, chunks)

    def delete(self, path: str) -> None:
        self._store.delete(path)

    def size(self, path: str) -> int | None:
        return self._store.size(path)

    def sweep(self, prefix: str, seconds: float) -> int:
        return self._store.sweep(prefix, seconds)
