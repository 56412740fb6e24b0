"""Textual's driver for terminals that go away: a dropped line must not leave a console that hangs for ever.

Textual writes in a thread of its own, which dies of the first error; what waits to be written then blocks the
loop. And with a hang-up the system says "go on" too, on which Textual would set up a terminal that is gone.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import IO, Any

from textual.drivers.linux_driver import LinuxDriver


class LastingDriver(LinuxDriver):
    """The same, but nobody at the other end is no error."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._file: Any = _Lasting(self._file)

    def _sigcont_application(self, *arguments: Any) -> None:
        if os.isatty(self.fileno):
            super()._sigcont_application(*arguments)


class _Lasting:
    """A file whose reader may have gone."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def write(self, text: str) -> int:
        with suppress(OSError):
            self._file.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._file.flush()

    def fileno(self) -> int:
        return self._file.fileno()

    def isatty(self) -> bool:
        return self._file.isatty()
