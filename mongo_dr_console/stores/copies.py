"""One snapshot that lies in several stores, read as if it lay in one: where a store stops answering or a
file is bad, the next copy is read on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from mongo_dr_console.model.trouble import Failed, Refused, Trouble, Unreachable
from mongo_dr_console.stores.store import Store, StoredObject

T = TypeVar("T")

_OF_ONE_FILE = ("not-in-store", "store-forbidden")


class Copies:
    """The protocol of ``stores.store`` over stores that have the same files of one snapshot, byte for byte:
    their manifests have one checksum. Read from several threads.

    Args:
        stores: The nearest first; what is written goes there.
        tell: Called with what was wrong with a copy, in words.
    """

    def __init__(self, stores: Sequence[Store], tell: Callable[[str], None] = lambda _: None) -> None:
        self.stores = tuple(stores)
        self.name = self.stores[0].name
        self.tell = tell
        self._guard = threading.Lock()
        self._bad: dict[str, set[int]] = {}
        self._silent: set[int] = set()
        self._read: dict[str, int] = {}

    def describe(self) -> str:
        return self.stores[0].describe()

    def holder(self, path: str) -> Store:
        """The store whose copy of an object is read next."""
        return self.stores[self._order(path)[0]]

    def read(self, path: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        at, left = start, length
        trouble: Trouble | None = None
        for number in self._order(path):
            with self._guard:
                self._read[path] = number
            try:
                for chunk in self.stores[number].read(path, at, left):
                    at += len(chunk)
                    left = None if left is None else left - len(chunk)
                    yield chunk
                return
            except (Failed, Unreachable, Refused) as error:
                if isinstance(error, Failed) and error.code not in _OF_ONE_FILE:
                    raise
                trouble = error
                self._turn_from(number, path, error)
        assert trouble is not None
        raise trouble

    def blame(self, path: str) -> bool:
        """What was read last of an object turned out to be bad: whether another copy of it can be read.

        Returns:
            False where all copies were tried.
        """
        with self._guard:
            number = self._read.get(path, 0)
            bad = self._bad.setdefault(path, set())
            bad.add(number)
            left = len(bad) < len(self.stores)
        if left:
            self.tell(
                f"{path} in store {self.stores[number].name} is damaged: it is read again from "
                f"{self.holder(path).name}"
            )
        return left

    def _order(self, path: str) -> list[int]:
        """Good copies first, in the order of the stores; those of silent stores are tried last."""
        with self._guard:
            bad, silent = self._bad.get(path, set()), set(self._silent)
        numbers = [n for n in range(len(self.stores)) if n not in bad] or [0]
        return sorted(numbers, key=lambda n: n in silent)

    def _turn_from(self, number: int, path: str, error: Trouble) -> None:
        with self._guard:
            if isinstance(error, Failed):
                self._bad.setdefault(path, set()).add(number)
            else:
                self._silent.add(number)
        self.tell(f"store {self.stores[number].name} does not give {path}: {error.message}")

    # The rest is asked of the nearest that answers, or written to the nearest.

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        return iter(self._first(lambda store: tuple(store.list(prefix))))

    def folders(self, prefix: str = "") -> tuple[str, ...]:
        return self._first(lambda store: store.folders(prefix))

    def size(self, path: str) -> int | None:
        return self._first(lambda store: store.size(path))

    def write(self, path: str, chunks: Iterable[bytes]) -> StoredObject:
        return self.stores[0].write(path, chunks)

    def write_if_absent(self, path: str, chunks: Iterable[bytes]) -> bool:
        return self.stores[0].write_if_absent(path, chunks)

    def delete(self, path: str) -> None:
        self.stores[0].delete(path)

    def sweep(self, prefix: str, seconds: float) -> int:
        return self.stores[0].sweep(prefix, seconds)

    def _first(self, ask: Callable[[Store], T]) -> T:
        trouble: Trouble | None = None
        for store in self.stores:
            try:
                return ask(store)
            except (Unreachable, Refused) as error:
                trouble = trouble or error
        assert trouble is not None
        raise trouble


def as_one(stores: Sequence[Store], tell: Callable[[str], None] = lambda _: None) -> Store:
    """One store is itself."""
    return stores[0] if len(stores) == 1 else Copies(stores, tell)
