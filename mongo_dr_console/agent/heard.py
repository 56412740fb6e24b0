"""Signals, heard one after the other by the thread that asks for them."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Signals:
    """What came. A handler that sets a ``threading.Event`` could meet its lock taken by the very thread that
    it interrupts; a byte in a pipe cannot."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe

    def next(self, seconds: float) -> int | None:
        """The next one; None where none came within that time."""
        ready, _, _ = select.select([self._pipe], [], [], seconds)
        if not ready:
            return None
        heard = os.read(self._pipe, 1)
        return heard[0] if heard else None


@contextmanager
def listening(*numbers: int) -> Iterator[Signals]:
    """From now on these signals are heard, and do nothing else."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    before = {number: signal.signal(number, _nothing) for number in numbers}
    old = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    try:
        yield Signals(reader)
    finally:
        signal.set_wakeup_fd(old)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(reader)
        os.close(writer)


def _nothing(number: int, frame: FrameType | None) -> None:
    """Without a handler the signal would end the process."""
