"""Giving way: a limit to what a dump reads in a second, shared by all its threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

_SLICE = 0.1


class Throttle:
    """Lets so many bytes through in a second, and none while it is held.

    Args:
        rate: Bytes in a second, None for as many as there are.
        clock: Seconds; for tests.
        sleep: Waits so many seconds; for tests.
    """

    def __init__(
        self,
        rate: int | None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._rate = rate
        self._clock = clock
        self._sleep = sleep
        self._guard = threading.Lock()
        self._free_at = 0.0
        self._open = threading.Event()
        self._open.set()

    def hold(self) -> None:
        """Lets nothing through until ``release``."""
        self._open.clear()

    def release(self) -> None:
        self._open.set()

    @property
    def held(self) -> bool:
        return not self._open.is_set()

    def passed(self, size: int, check: Callable[[], None]) -> None:
        """Says that so many bytes were read, and waits for as long as they should have taken.

        Args:
            size: Bytes.
            check: Called while it waits; may raise to stop.
        """
        while not self._open.wait(_SLICE):
            check()
        if self._rate is None:
            return
        with self._guard:
            self._free_at = max(self._free_at, self._clock()) + size / self._rate
            until = self._free_at
        while (left := until - self._clock()) > 0:
            check()
            self._sleep(min(left, _SLICE))
