"""What is known of the live oplog: its window, its size, how fast it grows, and who could fall off it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from mongo_dr_console.model.position import Position

_TOO_YOUNG = 60.0
"""Below this many seconds nothing can be said of what an oplog will do: it holds one burst."""
_YOUNG = 3600.0
"""Below this many seconds an oplog's average churn is dominated by whatever filled it first."""


@dataclass(frozen=True, slots=True)
class MemberLag:
    """One member against the oplog.

    Args:
        lag_seconds: How far it is behind.
        headroom_seconds: How much further behind it may fall before the entries that it needs next are
            gone and it must be copied afresh; negative when that has happened.
    """

    name: str
    lag_seconds: float | None
    headroom_seconds: float | None


@dataclass(frozen=True, slots=True)
class OplogFacts:
    """The oplog of the member that answered (``told_by``).

    Args:
        oldest, newest: Both ends, as entries' positions.
        oldest_at, newest_at: Their wall times (UTC).
        committed: The majority-committed point: what a restore may use ends here.
        size_bytes, max_bytes: Uncompressed size now, and the size at which the oldest entries go.
        entries: How many entries there are (the server's own count, which may be a little off).
        recent_bytes_per_second: Measured over the last ``recent_seconds``; None if that was not possible.
        recent_entries_per_second: The same in entries.
    """

    told_by: str
    oldest: Position
    newest: Position
    oldest_at: datetime
    newest_at: datetime
    committed: Position | None
    size_bytes: int | None
    max_bytes: int | None
    entries: int | None
    recent_bytes_per_second: float | None = None
    recent_entries_per_second: float | None = None
    recent_seconds: float | None = None
    members: tuple[MemberLag, ...] = ()

    @property
    def window_seconds(self) -> float:
        return float(max(0, self.newest.t - self.oldest.t))

    @property
    def average_bytes_per_second(self) -> float | None:
        """Over the whole window; None where the size is not known or the window is no time at all."""
        if self.size_bytes is None or self.window_seconds <= 0:
            return None
        return self.size_bytes / self.window_seconds

    @property
    def churn_bytes_per_second(self) -> float | None:
        """The rate to reckon with: the higher of the recent one and, once the oplog is an hour old, the
        average one. None where that cannot be said yet."""
        if self.window_seconds < _TOO_YOUNG:
            return None
        rates = [self.recent_bytes_per_second]
        if self.window_seconds >= _YOUNG or self.recent_bytes_per_second is None:
            rates.append(self.average_bytes_per_second)
        return max((r for r in rates if r is not None), default=None)

    @property
    def window_when_full_seconds(self) -> float | None:
        """How far the oplog will reach back once it is full, at today's churn."""
        rate = self.churn_bytes_per_second
        if rate is None or self.max_bytes is None or rate <= 0:
            return None
        return self.max_bytes / rate

    def seconds_until_gone(self, position: Position) -> float | None:
        """Until the entry at a position falls off the oplog, at today's churn; 0 if it is gone already."""
        if position < self.oldest:
            return 0.0
        rate = self.churn_bytes_per_second
        if rate is None or self.max_bytes is None or self.size_bytes is None or rate <= 0:
            return None
        since = max(0.0, float(self.newest.t - position.t))
        share = since / self.window_seconds if self.window_seconds > 0 else 0.0
        return max(0.0, (self.max_bytes - self.size_bytes * min(1.0, share)) / rate)
