"""What a snapshot is written through, wherever it goes: one file, packed and checksummed on its way, and the
protocol of the writers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from threading import Lock
from types import TracebackType
from typing import Protocol, Self

from mongo_dr_console.model.manifest import Compression, FileEntry, Manifest
from mongo_dr_console.model.trouble import Failed
from mongo_dr_console.stores.compression import Compressor, compressor

_PIECE = 4 * 1024 * 1024
_PACKED = 128 * 1024
"""Compressed at a time: what comes of it may be as large, and is in memory beside it."""


class Output(Protocol):
    """Where the bytes of one file go. Its methods raise ``Trouble``, but for ``discard``."""

    def write(self, data: bytes | memoryview) -> None: ...

    def restart(self) -> None:
        """Forgets all that was written."""
        ...

    def finish(self) -> None:
        """Makes it durable."""
        ...

    def discard(self) -> None:
        """Ends without a word; what was written is not wanted."""
        ...


class FileWriter:
    """One file of a snapshot; but for ``append``, not to be used from two threads at a time.

    Args:
        done: Called with the file once it is finished.
    """

    def __init__(
        self,
        output: Output,
        path: str,
        compression: Compression,
        done: Callable[[FileEntry], None] = lambda _: None,
    ) -> None:
        self.path = path
        self._output = output
        self._done = done
        self._compression = compression
        self._turn = Lock()
        self._begin()

    def _begin(self) -> None:
        self._stream = compressor(self._compression)
        self._digest = hashlib.sha256()
        self._size = 0
        self._streams = False

    def write(self, data: bytes | memoryview) -> None:
        """Raises Failed (``store-full``) where there is no room."""
        self._streams = True
        self._pack(self._stream, data)

    def append(self, data: bytes | memoryview) -> None:
        """Adds a piece that is compressed by itself, so that several threads can: gzip and zstd both read a
        row of streams as one. Not to be mixed with ``write``. A large piece is compressed when it is its turn
        to be written, so that it is not in memory a second time.

        Raises:
            Failed: ``store-full``.
        """
        stream = compressor(self._compression)
        if len(data) <= _PIECE:
            packed = [*_packed(stream, data), stream.flush()]
            with self._turn:
                for part in packed:
                    self._put(part)
            return
        with self._turn:
            self._pack(stream, data)
            self._put(stream.flush())

    def _pack(self, stream: Compressor, data: bytes | memoryview) -> None:
        for part in _packed(stream, data):
            self._put(part)

    def restart(self) -> None:
        """Forgets all that was written."""
        self._output.restart()
        self._begin()

    def finish(self) -> FileEntry:
        """Ends the stream and makes the file durable."""
        if self._streams or not self._size:
            self._put(self._stream.flush())
        self._output.finish()
        entry = FileEntry(path=self.path, size=self._size, sha256=self._digest.hexdigest())
        self._done(entry)
        return entry

    def discard(self) -> None:
        """Ends without a word; the snapshot is going to be removed."""
        self._output.discard()

    def _put(self, data: bytes | memoryview) -> None:
        if data:
            self._digest.update(data)
            self._size += len(data)
            self._output.write(data)


def _packed(stream: Compressor, data: bytes | memoryview) -> Iterator[bytes | memoryview]:
    """In small parts: the buffers of large ones grow by doubling, and what they leave behind is never whole
    again, so that a dump needs more memory the longer it goes on."""
    view = memoryview(data)
    for at in range(0, len(view), _PACKED):
        yield stream.compress(view[at : at + _PACKED])


class SnapshotOutput(Protocol):
    """A snapshot that is being written. Used in a ``with`` block: what is not finished by its end is
    removed."""

    name: str
    there: dict[str, FileEntry]
    """Files, by path, that an earlier writer of this snapshot had finished: they are as they were wanted."""

    def open(self, path: str, compression: Compression = "none") -> FileWriter:
        """Begins a file; ``path`` is relative to the snapshot, with its suffix."""
        ...

    def remove(self, path: str) -> None:
        """Takes back a file of this snapshot that is not wanted as it is; it may be written anew."""
        ...

    def rewrite(
        self, path: str, compression: Compression, change: Callable[[Iterator[bytes]], Iterator[bytes]]
    ) -> FileEntry:
        """Writes a finished file anew: ``change`` gets its bytes, uncompressed, and says what they become."""
        ...

    def put(self, path: str, data: bytes, compression: Compression = "none") -> FileEntry:
        """Writes a small file."""
        ...

    def finish(self, manifest: Manifest | None) -> None:
        """Writes the manifest and gives the snapshot its name.

        Args:
            manifest: None for the copy of a dump that has none.

        Raises:
            Failed: No room, or there is a snapshot of this name.
        """
        ...

    def leave(self) -> None:
        """Ends as if killed: what was written stays, unseen, for a writer of the same name that goes on; any
        other removes it."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def check_path(path: str) -> None:
    """Raises Failed where no file of a snapshot can have this path."""
    if any(part in ("", ".", "..") or "\0" in part for part in path.split("/")):
        raise Failed("name-unusable", f"No file can be called {path!r}, so the snapshot cannot be made.")
