"""Keeping the memory of a dump or a restore bounded where documents are large."""

from __future__ import annotations

import ctypes
from contextlib import suppress

_MMAP_THRESHOLD = -3
"""``M_MMAP_THRESHOLD`` of glibc."""
_ARENA_MAX = -8
"""``M_ARENA_MAX``."""
_LARGE = 4 * 1024 * 1024


def return_large_buffers() -> None:
    """Lets the C library give every large buffer back to the system when it is free.

    By itself glibc raises that border with each large buffer that it sees, up to 32 MB: batches with
    documents of 10 MB then stay with the thread that read them, and the peak is half as high again. Smaller
    ones stay with an arena: with one for each thread (as it is where this is called after they began) that
    grows with how many batches were read. A lower border would cost half as much processor time again, for
    pages that are made anew each time. Elsewhere than on glibc nothing is done.
    """
    with suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.mallopt(_MMAP_THRESHOLD, _LARGE)
        library.mallopt(_ARENA_MAX, 1)
