"""What a file system's refusal means for the data, and what to do about it."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mongo_dr_console.model.trouble import Failed, Trouble, Unreachable

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)


@contextmanager
def told(root: Path) -> Iterator[None]:
    """Turns an ``OSError`` on a local store into trouble that names the store's folder."""
    try:
        yield
    except OSError as error:
        raise trouble(root, error) from None


def trouble(root: Path, error: OSError) -> Trouble:
    """One error in words: a full disk, a missing permission, a disk that fails."""
    if error.errno in _FULL:
        return Failed(
            "store-full",
            f"There is no room left in {root} ({error.strerror}). What was half written was removed; "
            "finished snapshots were not touched.",
            "Free space there, or back up into another store.",
        )
    if error.errno in _FORBIDDEN:
        return Failed(
            "store-forbidden",
            f"{error.filename or root} cannot be used: {error.strerror}.",
            "Give this user the right to write there, or correct the store's path in the profile.",
        )
    return Unreachable(
        "store-unreachable",
        f"The store at {root} fails: {error.strerror or error}.",
        "Check that its disk is mounted and healthy.",
    )
