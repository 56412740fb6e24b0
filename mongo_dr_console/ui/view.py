"""What the screens look at: the readings, judged, at one moment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable

from mongo_dr_console.config import Access
from mongo_dr_console.model.readings import Limits, Readings
from mongo_dr_console.model.story import Mark
from mongo_dr_console.model.verdict import Verdict
from mongo_dr_console.workers.replay import TapePosition


@dataclass(frozen=True, slots=True)
class Tape:
    """Where a recording stands.

    Args:
        mark: The last thing that happened up to there.
        marks: How many things happened up to there, and in all; None: that is not known yet.
    """

    position: TapePosition
    mark: Mark | None = None
    marks: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class View:
    """One moment of the console.

    Args:
        now: UTC.
        granted: What this console may do at most.
        armed_seconds: How long it is still armed; None: it is not.
        paused: Whether the sources are not asked at present.
        recorded: Whether this is a recording, and so not now.
        tape: Where that stands.
    """

    readings: Readings
    verdict: Verdict
    limits: Limits
    now: datetime
    granted: Access
    armed_seconds: float | None
    paused: bool = False
    recorded: bool = False
    tape: Tape | None = None

    @property
    def access_word(self) -> str:
        """What stands in the banner for what may be done."""
        return "RECORDING" if self.recorded else self.granted.upper()


@runtime_checkable
class Shows(Protocol):
    """A screen that follows the readings."""

    def show(self, view: View) -> None:
        """Called once a second, and right after a reading came. Must not block."""
        ...
