"""One command at a time works on the practice deployment: a lock that leaves no file behind."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def turn(folder: Path, waiting: Callable[[], None] = lambda: None) -> Iterator[bool]:
    """Holds the lock on a folder, which is made where it is missing; yields whether it was made now.

    The folder itself is what is locked, so there is no lock file to be left over.

    Args:
        waiting: Called once when somebody else has it.
    """
    made = False
    while (descriptor := _open(folder)) is None:
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700, parents=True)
            made = True
    try:
        _take(descriptor, waiting)
        current = _is_still(descriptor, folder)
        if current:
            yield made
    finally:
        os.close(descriptor)
    if not current:
        with turn(folder, waiting) as made:
            yield made


def remove_if_empty(folder: Path) -> None:
    """Removes the folder of the lock, by whoever has it; whoever waits for it notices and makes a new one."""
    with suppress(OSError):
        folder.rmdir()


def remove_if_idle(folder: Path) -> None:
    """The same by somebody who has not the lock; nothing where another has."""
    descriptor = _open(folder)
    if descriptor is None:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        remove_if_empty(folder)
    except BlockingIOError:
        pass
    finally:
        os.close(descriptor)


def _open(folder: Path) -> int | None:
    try:
        return os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return None


def _take(descriptor: int, waiting: Callable[[], None]) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        waiting()
        fcntl.flock(descriptor, fcntl.LOCK_EX)


def _is_still(descriptor: int, folder: Path) -> bool:
    # Whoever had the lock may have removed the folder: then this is a lock on nothing.
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(descriptor), folder.stat())
    return False
