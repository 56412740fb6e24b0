"""What is fetched or built once, into the user's cache folder."""

from __future__ import annotations

import fcntl
from collections.abc import Callable
from pathlib import Path

import platformdirs

from mongo_dr_console.config import APP


def cached(name: str, make: Callable[[Path], None]) -> Path:
    """A file or folder of the cache, made first where it is not there: by one process, the others wait.

    Args:
        make: Makes it at a path, in one move.
    """
    path = platformdirs.user_cache_path(APP) / name
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.with_name(f"{path.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not path.exists():
                make(path)
    return path
