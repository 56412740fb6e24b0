"""What an engine reports while it works: all that a job journals and a screen shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

Unit = Literal["documents", "bytes", "operations", "collections", "indexes", "files", ""]
Level = Literal["info", "warning", "error"]


@dataclass(frozen=True, slots=True)
class StepStarted:
    """A step begins. ``total`` is None where it cannot be known."""

    step: str
    total: int | None = None
    unit: Unit = ""


@dataclass(frozen=True, slots=True)
class StepProgress:
    """How far a step is; ``bytes`` counts uncompressed data beside the step's own unit."""

    step: str
    done: int
    total: int | None = None
    unit: Unit = ""
    bytes: int = 0
    detail: str = ""


@dataclass(frozen=True, slots=True)
class StepDone:
    """A step ended well. ``facts`` are small JSON values for the report."""

    step: str
    detail: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Note:
    """A line for the log."""

    text: str
    level: Level = "info"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A fact that a resumed job must know (``kind`` names it, ``facts`` are JSON values).

    Journalled before the engine goes on: see ``workers.job``.
    """

    kind: str
    facts: dict[str, Any] = field(default_factory=dict)


Progress: TypeAlias = StepStarted | StepProgress | StepDone | Note | Checkpoint
Report: TypeAlias = Callable[[Progress], None]


class StopSignal(Protocol):
    """Asked by engines at safe points: may they go on?"""

    def check(self) -> None:
        """Raises ``Interrupted`` when a stop was asked for."""
