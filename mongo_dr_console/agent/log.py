"""What an agent says on standard error: lines for people, or one JSON object a line."""

from __future__ import annotations

import json
import logging
import socket
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal, TextIO

from mongo_dr_console.agent.duty import Tell
from mongo_dr_console.model.catalogue import utc
from mongo_dr_console.model.secrets import scrub

Form = Literal["text", "json"]
Level = Literal["info", "warning", "error"]


class Log:
    """Whole lines, whichever thread has something to say; never a secret.

    Args:
        form: ``json``: an object with ``time``, ``level``, ``message``, ``profile``, ``host``.
        name_profiles: Whether a line for people begins with the profile: where there are several.
    """

    def __init__(
        self,
        form: Form = "text",
        *,
        name_profiles: bool = False,
        out: TextIO | None = None,
        secrets: Callable[[], tuple[str, ...]] = tuple,
    ) -> None:
        self._form, self._named, self._out = form, name_profiles, out
        self._secrets, self._turn = secrets, threading.Lock()
        self._host = socket.gethostname()

    def say(self, message: str, profile: str | None = None, level: Level = "info") -> None:
        text = scrub(message, self._secrets())
        if self._form == "json":
            line = json.dumps(
                {
                    "time": utc(datetime.now(UTC)),
                    "level": level,
                    "message": text,
                    "profile": profile,
                    "host": self._host,
                },
                ensure_ascii=False,
            )
        else:
            line = f"{profile}: {text}" if profile and self._named else text
        try:
            with self._turn:
                print(line, file=self._out or sys.stderr, flush=True)
        except (OSError, ValueError):
            # Whoever read it is gone; the work goes on.
            return

    def of(self, profile: str) -> Tell:
        return lambda text: self.say(text, profile)

    def take_warnings(self) -> None:
        """What libraries warn of in the same form, instead of lines of their own."""
        handler = _Handler(self)
        logging.basicConfig(level=logging.ERROR, handlers=[handler], force=True)


class _Handler(logging.Handler):
    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        level: Level = "error" if record.levelno >= logging.ERROR else "warning"
        self._log.say(record.getMessage(), None, level)
