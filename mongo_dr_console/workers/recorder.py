"""The flight recorder: readings into a file as they come, and out of it again as if they came now."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from mongo_dr_console.model.readings import Readings
from mongo_dr_console.model.recording import Encoder, Recorded, decode, newest_part
from mongo_dr_console.model.trouble import Failed, WrongUse
from mongo_dr_console.workers.pollers import Listener, reading_of, with_reading

LIMIT_BYTES = 32 * 1024 * 1024
_LONG_PAUSE = timedelta(minutes=1)
"""A silence that is longer is passed over: nothing was recorded in it."""


def _now() -> datetime:
    return datetime.now(UTC)


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
        if reading is None:
            return
        try:
            line = self._encoder.line(
                Recorded(self._clock(), readings.profile, readings.environment, reading)
            )
            self._write(line)
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
            raise _no_recording(self._path)
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


def read_recording(path: Path) -> list[Recorded]:
    """All readings of a recording, in order; lines that cannot be read are left out.

    Raises:
        WrongUse: It cannot be read, or is no recording.
    """
    path = path.expanduser()
    try:
        with path.open("rb") as file:
            found = list(decode(file))
    except OSError as error:
        raise WrongUse(
            "recording-unreadable", f"The recording {path} cannot be read: {error.strerror}."
        ) from None
    if not found:
        raise _no_recording(path)
    return sorted(found, key=lambda recorded: recorded.at)


def _first_lines(path: Path) -> list[bytes]:
    """Enough of a recording to tell that it is one."""
    with path.open("rb") as file:
        return [line for _, line in zip(range(20), file, strict=False)]


def _no_recording(path: Path) -> WrongUse:
    return WrongUse(
        "recording-wrong",
        f"{path} is not a recording of this console.",
        "A recording is made with: mdr console --record FILE",
    )


class Replay:
    """A recording as a feed: the readings come as they came then, and the clock tells the time of then.

    Args:
        profile, environment: Shown until the first reading is there, which brings its own.
        recording: In order; one reading at least.
        speed: How many recorded seconds pass in one.
        timer: In seconds.
    """

    def __init__(
        self,
        profile: str,
        environment: str,
        recording: Sequence[Recorded],
        *,
        speed: float = 1.0,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self.readings = Readings(profile, environment)
        self._recording = recording
        self._speed, self._timer = speed, timer
        self._next = 0
        self._listeners: list[Listener] = []
        self._changed = asyncio.Event()
        self._paused = False
        self._moment, self._since = recording[0].at, timer()
        self.go_to(self._moment)

    @property
    def paused(self) -> bool:
        return self._paused

    def clock(self) -> datetime:
        """The recorded time. It stands while paused, and at the end of the recording."""
        if self._paused:
            return self._moment
        passed = timedelta(seconds=(self._timer() - self._since) * self._speed)
        return min(self._moment + passed, self._recording[-1].at)

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Adds a listener; what is returned removes it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    async def run(self) -> None:
        """Plays until it is cancelled; the last readings stay."""
        while True:
            while self._next < len(self._recording) and self._recording[self._next].at <= self.clock():
                self._play()
            self._changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._wait()):
                    await self._changed.wait()

    def _wait(self) -> float | None:
        if self._paused or self._next >= len(self._recording):
            return None
        silence = self._recording[self._next].at - self.clock()
        if silence > _LONG_PAUSE:
            self._set(self._recording[self._next].at)
            return 0
        return max(0.0, silence.total_seconds() / self._speed)

    def refresh(self, name: str | None = None) -> None:
        """Nothing: what was recorded cannot be asked again."""

    def pause(self) -> None:
        """The recorded time stands."""
        self._moment, self._paused = self.clock(), True
        self._changed.set()

    def resume(self) -> None:
        self._since, self._paused = self._timer(), False
        self._changed.set()

    def go_to(self, at: datetime) -> None:
        """Everything as it was at a moment of the recording, from which on it is played."""
        first = self._recording[0]
        self.readings = Readings(first.profile, first.environment)
        self._next = 0
        self._set(min(max(at, first.at), self._recording[-1].at))
        while self._next < len(self._recording) and self._recording[self._next].at <= self._moment:
            self._play()
        self._changed.set()

    def _set(self, at: datetime) -> None:
        self._moment, self._since = at, self._timer()

    def _play(self) -> None:
        recorded = self._recording[self._next]
        self._next += 1
        self.readings = with_reading(self.readings, recorded.reading)
        for listener in tuple(self._listeners):
            listener(recorded.source, self.readings)
