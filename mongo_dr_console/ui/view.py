"""What the screens look at: the readings, judged, at one moment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable

from mongo_dr_console.config import Access
from mongo_dr_console.model.readings import Limits, Readings
from mongo_dr_console.model.verdict import Verdict


@dataclass(frozen=True, slots=True)
class View:
    """One moment of the console.

    Args:
        now: UTC.
        granted: What this console may do at most.
        armed_seconds: How long it is still armed; None: it is not.
        paused: Whether the sources are not asked at present.
        recorded: Whether this is a recording, and so not now.
    """

    readings: Readings
    verdict: Verdict
    limits: Limits
    now: datetime
    granted: Access
    armed_seconds: float | None
    paused: bool = False
    recorded: bool = False

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
