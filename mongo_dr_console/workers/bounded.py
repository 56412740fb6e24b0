"""Calls that may hang, for threads that must go on: one in flight each, given up after a time."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from mongo_dr_console.workers.threads import DaemonThreads

R = TypeVar("R")

_THREADS = DaemonThreads()


class OneAtATime:
    """Calls of one subject. One that hangs is never joined by a second: until it ends all are refused."""

    def __init__(self) -> None:
        self._pending: Future[Any] | None = None

    @property
    def busy(self) -> bool:
        return self._pending is not None and not self._pending.done()

    def call(self, function: Callable[[], R], seconds: float) -> R:
        """The call's value.

        Raises:
            TimeoutError: It takes longer, or an earlier one still does.
        """
        if self._pending is not None and not self._pending.done():
            raise TimeoutError
        future: Future[R] = _THREADS.submit(function)
        self._pending = future
        return future.result(timeout=seconds)
