"""Sources without a value of now: unknown, never fine. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from mongo_dr_console.model.level import Fact, Level
from mongo_dr_console.model.rank import Rank
from mongo_dr_console.model.reading import Reading
from mongo_dr_console.model.setstatus import SetStatus
from mongo_dr_console.model.words import duration

UNREACHABLE = "deployment-unreachable"
STALE_SECONDS = {
    "set": 30.0,
    "oplog": 30.0,
    "backups": 300.0,
    "coverage": 120.0,
    "events": 120.0,
    "jobs": 60.0,
    "lock": 60.0,
}
"""From which age on a value says nothing about now, if its source did not report an error itself."""


def missing(reading: Reading[Any] | None, source: str, now: datetime) -> Iterator[Fact]:
    """A source without a value of now: unknown, whatever its last value said."""
    if reading is None:
        text = f"Nothing is known of: {source}."
        yield Fact(Level.UNKNOWN, f"{source}-unknown", source, text, Rank.UNREACHABLE)
    elif reading.error is not None:
        text = f"{source}: {reading.error.message}"
        yield Fact(Level.UNKNOWN, f"{source}-{reading.error.code}", source, text, Rank.UNREACHABLE)
    else:
        age = reading.age(now)
        if age is not None and age.total_seconds() > STALE_SECONDS.get(source, 60.0):
            text = f"{source}: the newest value is {duration(age.total_seconds())} old."
            yield Fact(Level.UNKNOWN, f"{source}-stale", source, text, Rank.UNREACHABLE)


def is_down(reading: Reading[SetStatus] | None) -> bool:
    """Whether no member of the deployment answers."""
    return reading is not None and reading.error is not None and reading.error.code == UNREACHABLE
