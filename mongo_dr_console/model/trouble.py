"""What can go wrong, in the words a person needs: what happened, what it means, what to do next."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of every command but ``status`` and ``doctor``, which follow the monitoring plugins."""

    DONE = 0
    FAILED = 1
    WRONG_USE = 2
    UNREACHABLE = 3
    REFUSED = 4
    PARTLY = 5
    INTERRUPTED = 130


class Trouble(Exception):
    """An error that is told to a person: never shown as a traceback.

    Args:
        code: A short, stable word with dashes (``limit-outside-coverage``), for scripts.
        message: What happened and what it means for the data.
        hint: What to do next; empty where there is nothing to say.
    """

    exit_code = ExitCode.FAILED

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class Failed(Trouble):
    """The work was tried and did not succeed."""


class WrongUse(Trouble):
    """The request itself is wrong: an option, a time, a configuration key."""

    exit_code = ExitCode.WRONG_USE


class Unreachable(Trouble):
    """A deployment, a store or a service does not answer."""

    exit_code = ExitCode.UNREACHABLE


class Refused(Trouble):
    """A safety rule says no; nothing was changed."""

    exit_code = ExitCode.REFUSED


class Partly(Trouble):
    """Done in part; the message says what is missing."""

    exit_code = ExitCode.PARTLY


class Interrupted(Trouble):
    """Stopped by a person at a safe point."""

    exit_code = ExitCode.INTERRUPTED
