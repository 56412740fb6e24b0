"""What was seen last, kept without being asked for: files in the state folder, of which the oldest go."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from mongo_dr_console.config import Profile
from mongo_dr_console.model.recording import Encoder, Recorded
from mongo_dr_console.workers.recorder import Apart
from mongo_dr_console.workers.recordings import PATTERN, Kind, recordings_folder

RING_BYTES = 16 * 1024 * 1024
_FILE_BYTES = RING_BYTES // 4
_AGAIN = timedelta(seconds=30)
"""How long nothing is tried after a failure: each try leaves a file."""


def ring_of(name: str, profile: Profile, kind: Kind = "console") -> Apart:
    """A listener for pollers that keeps the last readings of a profile; nothing is touched before the
    first."""
    return Apart(lambda: Ring(recordings_folder(profile) / name, kind))


class Ring:
    """One run's files. Each is complete in itself, so that the oldest can go at any time.

    What goes wrong is said by ``error``; it is tried again half a minute later.

    Args:
        folder: The profile's, for all runs.
        limit_bytes: What the runs of one kind may take in all.
        file_bytes: A file that is as large is followed by another.
    """

    def __init__(
        self,
        folder: Path,
        kind: Kind = "console",
        *,
        limit_bytes: int = RING_BYTES,
        file_bytes: int = _FILE_BYTES,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.error = ""
        self._folder, self._kind = folder, kind
        self.run = folder / f"{kind}-{clock():%Y%m%dT%H%M%SZ}-{os.getpid()}"
        self._limit, self._full = limit_bytes, file_bytes
        self._number, self._size = 0, 0
        self._file: int | None = None
        self._encoder = Encoder()
        self._again_at: datetime | None = None

    def take(self, recorded: Recorded) -> None:
        if self._again_at is not None and recorded.at < self._again_at:
            return
        try:
            if self._file is None or self._size >= self._full:
                self._next()
            self._write(self._encoder.line(recorded))
            self.error, self._again_at = "", None
        except Exception as error:  # whatever the disk does, the work that is watched goes on
            self.close()
            self._again_at = recorded.at + _AGAIN
            why = error.strerror if isinstance(error, OSError) else type(error).__name__
            self.error = f"What is seen cannot be recorded in {self._folder}: {why}."

    def close(self) -> None:
        if self._file is not None:
            with suppress(OSError):
                os.close(self._file)
        self._file = None

    def _next(self) -> None:
        """Another file, and room for it."""
        self.close()
        self.run.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._number += 1
        path = self.run / f"{self._number:06d}.jsonl"
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_SH)
        self._size, self._encoder = 0, Encoder()
        self._make_room()

    def _write(self, line: bytes) -> None:
        assert self._file is not None
        written = os.write(self._file, line)
        self._size += written
        if written < len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _make_room(self) -> None:
        """The oldest files go until a whole one more fits; one that is written to stays."""
        files = sorted(_stamped(self._folder.glob(f"{self._kind}-*/{PATTERN}")))
        size = sum(taken for _, taken, _ in files)
        for _, taken, file in files:
            if size + self._full <= self._limit:
                return
            if not _written_to(file):
                size -= taken
                file.unlink(missing_ok=True)
                with suppress(OSError):
                    file.parent.rmdir()  # once it is empty


def _stamped(files: Iterable[Path]) -> Iterator[tuple[int, int, Path]]:
    """Time of change, size; without those that another console has just removed."""
    for file in files:
        with suppress(FileNotFoundError):
            facts = file.stat()
            yield facts.st_mtime_ns, facts.st_size, file


def _written_to(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False
