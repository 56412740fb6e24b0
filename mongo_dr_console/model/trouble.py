"""What can go wrong, in the words a person needs: what happened, what it means, what to do next."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema


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

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and vars(other) == vars(self)

    def __hash__(self) -> int:
        return hash((type(self), self.code, self.message, self.hint))

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """As an object with ``kind`` (the name of the class), ``code``, ``message`` and ``hint``."""
        from pydantic_core import core_schema

        return core_schema.no_info_plain_validator_function(
            _read, serialization=core_schema.plain_serializer_function_ser_schema(_written)
        )


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


def _written(trouble: Trouble) -> dict[str, str]:
    return {
        "kind": type(trouble).__name__,
        "code": trouble.code,
        "message": trouble.message,
        "hint": trouble.hint,
    }


def _read(value: Any) -> Trouble:
    if isinstance(value, Trouble):
        return value
    kinds: dict[str, type[Trouble]] = {kind.__name__: kind for kind in Trouble.__subclasses__()}
    try:
        return kinds[value["kind"]](value["code"], value["message"], value["hint"])
    except (KeyError, TypeError):
        raise ValueError("a trouble is an object with kind, code, message and hint") from None
