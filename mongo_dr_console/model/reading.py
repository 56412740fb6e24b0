"""A reading: what a poller yields, a value or an error, with when and how it was had."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SourceError:
    """Why a source gave no value."""

    code: str
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Reading(Generic[T]):
    """A value or an error from one source.

    ``value`` stays the last good one while ``error`` is set, and ``taken_at`` is when that value was taken;
    so a stale panel can still say what was known and how old it is.

    Args:
        source: Name of the source (``set``, ``oplog``, ``backups``, ``coverage``, ``jobs``).
        value: The last good value, None if there was none.
        error: Why the newest attempt failed, None if it did not.
        taken_at: When ``value`` was taken (UTC), None if never.
        tried_at: When the newest attempt ended (UTC).
        took: How long the newest attempt lasted.
        attempt: 1 for a first try or after a success, then counting the failures in a row.
        next_try: When the source is asked again (UTC), None if it is not polled.
        origin: Which server or store answered.
    """

    source: str
    value: T | None
    error: SourceError | None
    taken_at: datetime | None
    tried_at: datetime
    took: timedelta
    attempt: int
    next_try: datetime | None = None
    origin: str = ""

    @property
    def stale(self) -> bool:
        return self.error is not None

    def age(self, now: datetime) -> timedelta | None:
        """How old the value is; None if there is none."""
        return None if self.taken_at is None else now - self.taken_at
