"""The flight recorder: readings into a file as they come, from a thread that the pollers do not wait for."""

from __future__ import annotations

import errno
import fcntl
import os
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from mongo_dr_console.model.readings import Readings, reading_of
from mongo_dr_console.model.recording import Encoder, Recorded, decode, newest_part
from mongo_dr_console.model.trouble import Failed, WrongUse
from mongo_dr_console.workers.recordings import no_recording

LIMIT_BYTES = 32 * 1024 * 1024
_MOST_WAITING = 2000
_CLOSE_SECONDS = 2.0


def _now() -> datetime:
    return datetime.now(UTC)


class Tape(Protocol):
    """What readings are written onto; what goes wrong is said by ``error``, never raised."""

    error: str

    def take(self, recorded: Recorded) -> None: ...

    def close(self) -> None: ...


class Recorder:
    """A listener for pollers: a line a reading, written through at once. Readings hold no secret, so neither
    does the file; it is readable by its owner alone all the same.

    What goes wrong later than at the start never reaches the pollers: ``error`` says it, and the next reading
    is tried again.

    Args:
        path: Appended to where it is a recording already.
        limit_bytes: At this size the older half goes.
        clock: Tells the time (UTC).

    Raises:
        WrongUse: The file is there and is no recording, or another console records into it.
        Failed: It cannot be written.
    """

    def __init__(
        self, path: Path, *, limit_bytes: int = LIMIT_BYTES, clock: Callable[[], datetime] = _now
    ) -> None:
        self.error = ""
        self._path = path.expanduser()
        self._limit = self._shrink_at = limit_bytes
        self._clock = clock
        self._encoder = Encoder()
        try:
            self._file = self._open(self._path)
            self._size = os.fstat(self._file).st_size
            self._torn = self._look_at_end()
        except OSError as error:
            raise Failed(
                "recording-not-written",
                f"The recording {self._path} cannot be written: {error.strerror}. Nothing is recorded.",
                "Name another file, or start without --record.",
            ) from None

    def __call__(self, name: str, readings: Readings) -> None:
        reading = reading_of(readings, name)
        if reading is not None:
            self.take(Recorded(self._clock(), readings.profile, readings.environment, reading))

    def take(self, recorded: Recorded) -> None:
        """Writes it; what goes wrong is said by ``error``."""
        try:
            self._write(self._encoder.line(recorded))
            self.error = ""
        except Exception as error:  # the pollers must go on, whatever the disk does
            # Whether the value reached the file is not known: it is said again.
            self._encoder, self._torn = Encoder(), True
            why = error.strerror if isinstance(error, OSError) else type(error).__name__
            self.error = f"The recording {self._path} cannot be written: {why}."

    def close(self) -> None:
        with suppress(OSError):
            os.close(self._file)

    def _open(self, path: Path) -> int:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            raise WrongUse(
                "recording-in-use", f"Another console records into {path}.", "Name another file."
            ) from None
        return file

    def _look_at_end(self) -> bool:
        """Whether the last line is torn off. Raises WrongUse where this is somebody's other file."""
        if self._size and not any(decode(_first_lines(self._path))):
            os.close(self._file)
            raise no_recording(self._path)
        return bool(self._size) and os.pread(self._file, 1, self._size - 1) != b"\n"

    def _write(self, line: bytes) -> None:
        if self._size + len(line) > self._shrink_at:
            self._shrink()
        data = b"\n" + line if self._torn else line
        written = os.write(self._file, data)
        self._size += written
        if written < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._torn = False

    def _shrink(self) -> None:
        """The newest half in a new file that takes the place of the old one."""
        kept = newest_part(self._path.read_bytes(), self._limit // 2)
        part = self._path.with_name(self._path.name + ".part")
        part.unlink(missing_ok=True)
        new = self._open(part)
        try:
            with os.fdopen(os.dup(new), "wb") as file:
                file.write(kept)
            part.rename(self._path)
        except OSError:
            os.close(new)
            part.unlink(missing_ok=True)
            raise
        os.close(self._file)
        self._file, self._size = new, len(kept)
        self._torn = bool(kept) and not kept.endswith(b"\n")
        # Where single values are larger than the limit, it is not tried again at every line.
        self._shrink_at = self._limit if len(kept) < self._limit * 3 // 4 else 2 * len(kept)


def _first_lines(path: Path) -> list[bytes]:
    """Enough of a recording to tell that it is one."""
    with path.open("rb") as file:
        return [line for _, line in zip(range(20), file, strict=False)]


class Apart:
    """A listener for pollers that hands readings to a thread, which writes them: a disk that hangs holds up
    nobody. What it cannot keep up with is left out, and said.

    Args:
        tape: Made in that thread, at the first reading; it is closed there too.
        most: How many readings may wait.
    """

    def __init__(
        self, tape: Callable[[], Tape], *, clock: Callable[[], datetime] = _now, most: int = _MOST_WAITING
    ) -> None:
        self._make, self._clock = tape, clock
        self._waiting: queue.Queue[Recorded | None] = queue.Queue(most)
        self._tape: Tape | None = None
        self._left_out = 0
        self._thread = threading.Thread(target=self._write_on, name="mdr-recorder", daemon=True)

    @property
    def error(self) -> str:
        """What is wrong now; empty where nothing is."""
        if self._left_out:
            return "The disk does not keep up: some readings were not recorded."
        return "" if self._tape is None else self._tape.error

    def __call__(self, name: str, readings: Readings) -> None:
        reading = reading_of(readings, name)
        if reading is None:
            return
        if self._thread.ident is None:
            self._thread.start()
        try:
            self._waiting.put_nowait(Recorded(self._clock(), readings.profile, readings.environment, reading))
        except queue.Full:
            self._left_out += 1

    def close(self, seconds: float = _CLOSE_SECONDS) -> None:
        """Writes what waits, for so long at most."""
        if self._thread.ident is None:
            return
        with suppress(queue.Full):
            self._waiting.put(None, timeout=seconds)
        self._thread.join(seconds)

    def _write_on(self) -> None:
        self._tape = tape = self._make()
        while (recorded := self._waiting.get()) is not None:
            tape.take(recorded)
        tape.close()
