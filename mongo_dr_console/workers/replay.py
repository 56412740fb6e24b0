"""A recording as a feed: out of the file as if it came now, with all that a tape can do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

from mongo_dr_console.model.reading import Reading
from mongo_dr_console.model.readings import Readings, with_reading
from mongo_dr_console.model.recording import Recorded

if TYPE_CHECKING:
    from mongo_dr_console.workers.pollers import Listener

SPEEDS = (1.0, 10.0, 60.0)
JUMPED = ""
"""What listeners are told instead of a source, where everything is of another moment at once."""
_LONG_PAUSE = timedelta(minutes=1)
"""A silence that is longer is passed over: nothing was recorded in it."""


@dataclass(frozen=True, slots=True)
class TapePosition:
    """Where a recording stands.

    Args:
        number: Of the newest reading that came, from 1.
        count: Of all.
        ends_at: When the last one came.
        speed: How many recorded seconds pass in one.
    """

    number: int
    count: int
    ends_at: datetime
    speed: float


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

    @property
    def recording(self) -> Sequence[Recorded]:
        return self._recording

    @property
    def position(self) -> TapePosition:
        return TapePosition(self._next, len(self._recording), self._recording[-1].at, self._speed)

    def last(self, source: str, most: int) -> list[Reading[Any]]:
        """The newest readings of a source that have come, oldest first."""
        played = reversed(self._recording[: self._next])
        return [r.reading for r in islice((r for r in played if r.source == source), most)][::-1]

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
            while self._due():
                self._play()
            self._changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._wait()):
                    await self._changed.wait()

    def _due(self) -> bool:
        if self._paused or self._next >= len(self._recording):
            return False
        return self._recording[self._next].at <= self.clock()

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

    def go_at(self, speed: float) -> None:
        """From now on so many recorded seconds pass in one."""
        self._set(self.clock())
        self._speed = speed
        self._changed.set()

    def go_to(self, at: datetime) -> None:
        """Everything as it was at a moment of the recording, from which on it is played."""
        first = self._recording[0]
        moment = min(max(at, first.at), self._recording[-1].at)
        self._turn_to(sum(1 for recorded in self._recording if recorded.at <= moment), moment)

    def show(self, number: int) -> None:
        """Everything as it was when a reading had come, the first being 1; and there it stands."""
        number = min(max(number, 1), len(self._recording))
        self._paused = True
        self._turn_to(number, self._recording[number - 1].at)

    def step(self, by: int) -> None:
        """So many readings on, or back; and there it stands."""
        self.show(self._next + by)

    def _turn_to(self, number: int, moment: datetime) -> None:
        first = self._recording[0]
        # On the way back nothing that came later may stay.
        start = self._next if number >= self._next else 0
        readings = self.readings if start else Readings(first.profile, first.environment)
        for recorded in self._recording[start:number]:
            readings = with_reading(readings, recorded.reading)
        self.readings, self._next = readings, number
        self._set(moment)
        self._changed.set()
        for listener in tuple(self._listeners):
            listener(JUMPED, self.readings)

    def _set(self, at: datetime) -> None:
        self._moment, self._since = at, self._timer()

    def _play(self) -> None:
        recorded = self._recording[self._next]
        self._next += 1
        self.readings = with_reading(self.readings, recorded.reading)
        for listener in tuple(self._listeners):
            listener(recorded.source, self.readings)
