"""The drills of a deployment as a score card: what was shown to work, when, and which way it goes. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median

from mongo_dr_console.model.drill import DrillRecord


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure over the good drills of a kind, in seconds.

    Args:
        values: Oldest first; None where a drill failed or did not measure it.
        target: The profile's, as the newest drill had it.
    """

    values: tuple[float | None, ...]
    target: float

    @property
    def known(self) -> tuple[float, ...]:
        return tuple(v for v in self.values if v is not None)

    @property
    def last(self) -> float | None:
        return self.known[-1] if self.known else None

    @property
    def middle(self) -> float | None:
        """The median."""
        return median(self.known) if self.known else None

    @property
    def worst(self) -> float | None:
        return max(self.known, default=None)

    @property
    def trend(self) -> float | None:
        """How much more the last one is than the median of those before it, as a ratio; None without three
        before it, or where these are nothing."""
        before = self.known[:-1]
        if len(before) < 3 or (middle := median(before)) <= 0:
            return None
        return self.known[-1] / middle - 1

    @property
    def within(self) -> bool | None:
        """Whether the last one is within the target."""
        return None if self.last is None else self.last <= self.target


@dataclass(frozen=True, slots=True)
class ScoreCard:
    """The drills of one kind, ``small`` or ``full``.

    Args:
        drills, good: How many there were, and how many of them succeeded.
        in_a_row: How many of the newest succeeded one after the other; of those that failed last, negative.
        last_good: When the newest one that succeeded began.
    """

    kind: str
    drills: int
    good: int
    in_a_row: int
    last_good: datetime | None
    rto: Measure
    rpo: Measure


def score_card(records: Sequence[DrillRecord], kind: str) -> ScoreCard | None:
    """The card of a kind; None where no drill of it is recorded.

    Args:
        records: Newest first.
    """
    drills = [r for r in records if r.kind == kind]
    if not drills:
        return None
    newest, oldest_first = drills[0], drills[::-1]
    return ScoreCard(
        kind,
        len(drills),
        sum(r.success for r in drills),
        _in_a_row(drills),
        next((r.timestamp for r in drills if r.success), None),
        Measure(tuple(r.rto_seconds if r.success else None for r in oldest_first), newest.rto_target_seconds),
        Measure(tuple(r.rpo_seconds if r.success else None for r in oldest_first), newest.rpo_target_seconds),
    )


def _in_a_row(drills: Sequence[DrillRecord]) -> int:
    newest = drills[0].success
    count = next((n for n, drill in enumerate(drills) if drill.success != newest), len(drills))
    return count if newest else -count
