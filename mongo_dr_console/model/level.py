"""How bad something is, and single facts with their level. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from mongo_dr_console.model.rank import Rank

if TYPE_CHECKING:
    from mongo_dr_console.model.readings import Threshold


class Level(StrEnum):
    """How bad a fact is. Exit codes follow the monitoring plugins."""

    FINE = "fine"
    WARNING = "warning"
    UNKNOWN = "unknown"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        return ("fine", "warning", "unknown", "critical").index(self.value)

    @property
    def exit_code(self) -> int:
        return {"fine": 0, "warning": 1, "critical": 2, "unknown": 3}[self.value]

    @property
    def glyph(self) -> str:
        return {"fine": "✓", "warning": "!", "critical": "✗", "unknown": "?"}[self.value]

    @property
    def word(self) -> str:
        """What is written beside the glyph, since colour alone says nothing to some."""
        return "ok" if self is Level.FINE else self.value


def worst(levels: Iterable[Level]) -> Level:
    return max(levels, key=lambda level: level.rank, default=Level.FINE)


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that is so.

    Args:
        source: The reading it comes from.
        rank: What stands first, whatever the levels are.
        means: What it means for data or for those who write; empty: nothing.
        command: The console's command that answers it, by its name in docs/keys.md; empty: none.
        age_seconds: How old the value is that says so; null where none is known.
        weight: Orders facts: what hurts more comes first.
    """

    level: Level
    code: str
    source: str
    text: str
    rank: Rank
    means: str = ""
    command: str = ""
    age_seconds: float | None = None
    weight: int = 0


def grade(value: float, threshold: Threshold) -> Level:
    """Too much is bad."""
    if value > threshold.critical:
        return Level.CRITICAL
    if threshold.warning is not None and value > threshold.warning:
        return Level.WARNING
    return Level.FINE


def grade_least(value: float, threshold: Threshold) -> Level:
    """Too little is bad."""
    if value < threshold.critical:
        return Level.CRITICAL
    if threshold.warning is not None and value < threshold.warning:
        return Level.WARNING
    return Level.FINE
