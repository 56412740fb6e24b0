"""The process of a server of our own, beside mongod: started, waited for, ended."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mongo_dr_console.model.trouble import Failed
from mongo_dr_console.mongo import processes


@dataclass(slots=True)
class Server:
    """A process that ends with the one that started it.

    Args:
        name: For people.
        code: Of the trouble where it does not start.
        log: Takes what it says.
        seconds: How long it may take until it answers.
    """

    name: str
    code: str
    log: Path
    seconds: float
    _process: subprocess.Popen[bytes] | None = None

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(
        self,
        words: Sequence[str],
        answers: Callable[[], bool],
        last_words: Callable[[list[str]], str],
        env: Mapping[str, str] | None = None,
    ) -> None:
        """Starts it and waits until it answers.

        Args:
            last_words: Which of the log's lines tell why it ended; there is one at least.

        Raises:
            Failed: It ended, or did not answer in time.
        """
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                processes.die_with_parent(list(words)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=env,
            )
        deadline = time.monotonic() + self.seconds
        while not answers():
            if not self.alive or time.monotonic() > deadline:
                self.kill()
                told = last_words(self._lines() or ["it said nothing"])
                raise Failed(self.code, f"{self.name} did not start: {told[:300]}")
            time.sleep(0.05)

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Ends the process and waits for its end."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)
            self._process.wait()

    def _lines(self) -> list[str]:
        try:
            return self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        except OSError:
            return []
