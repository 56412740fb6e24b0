"""How long a restore would take: from measured rates and today's sizes, with its uncertainty."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Rates:
    """How fast a restore goes. ``fixed_seconds``: planning, checks, elections, the cut-over."""

    documents_per_second: float
    bytes_per_second: float
    operations_per_second: float
    fixed_seconds: float = 10.0


DEFAULT_RATES = Rates(
    documents_per_second=40_000,
    bytes_per_second=30 * _MIB,
    operations_per_second=10_000,
)
"""Where nothing was measured: about a third of what two cores do over loopback, since a real deployment
waits for its majority across a network."""

_DEFAULT_SPREAD = (0.4, 3.0)
_MEASURED_SPREAD = (0.7, 1.5)
_REACH = 4
"""A measured restore speaks for one up to this many times as large."""


@dataclass(frozen=True, slots=True)
class Work:
    """What there is to restore: ``bytes`` uncompressed; ``operations`` to be replayed."""

    documents: int
    bytes: int
    operations: int = 0


@dataclass(frozen=True, slots=True)
class Measured:
    """A restore that was done: its work and how long each part took (seconds)."""

    work: Work
    seconds: float
    data_seconds: float | None = None
    replay_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Estimate:
    """Seconds, with the range in which it should lie; ``basis`` says in words what it rests on."""

    seconds: float
    low: float
    high: float
    basis: str


def estimate(work: Work, measured: Sequence[Measured] = ()) -> Estimate:
    """RTO of some work. Documents and bytes are restored at once, so the slower of both counts.

    Restores that were measured scale the whole: small ones say little about a large one, so the work done
    weighs each.
    """
    base = _predict(work, DEFAULT_RATES)
    useful = [m for m in measured if m.seconds > 0 and m.work.documents > 0]
    if not useful:
        low, high = _DEFAULT_SPREAD
        return Estimate(base, base * low, base * high, "no restore was measured yet: assumed rates")
    weights = [max(1, m.work.documents + m.work.operations) for m in useful]
    factors = [_factor(m) for m in useful]
    measured_factor = sum(f * w for f, w in zip(factors, weights, strict=True)) / sum(weights)
    # A restore of a tenth of today's data says little about the whole: the assumed rates take over.
    share = min(1.0, _REACH * max(weights) / max(1, work.documents + work.operations))
    factor = measured_factor * share + (1 - share)
    spread = [s * share + d * (1 - share) for s, d in zip(_MEASURED_SPREAD, _DEFAULT_SPREAD, strict=True)]
    low = min(spread[0] * factor, factor, *factors)
    high = max(spread[1] * factor, factor, *factors)
    basis = f"measured in {len(useful)} restore{'' if len(useful) == 1 else 's'}"
    if share < 1:
        basis += ", all much smaller than today's data"
    return Estimate(base * factor, base * low, base * high, basis)


def _factor(measured: Measured) -> float:
    return measured.seconds / _predict(measured.work, DEFAULT_RATES)


def _predict(work: Work, rates: Rates) -> float:
    data = max(work.documents / rates.documents_per_second, work.bytes / rates.bytes_per_second)
    return rates.fixed_seconds + data + work.operations / rates.operations_per_second


def operations_between(entries: int | None, window_seconds: float, seconds: float) -> int:
    """About how many oplog entries lie in a stretch, if they came evenly; 0 where that is not known."""
    if not entries or window_seconds <= 0 or seconds <= 0:
        return 0
    return int(entries * min(1.0, seconds / window_seconds))


def total(parts: Iterable[Work]) -> Work:
    items = list(parts)
    return Work(
        sum(w.documents for w in items), sum(w.bytes for w in items), sum(w.operations for w in items)
    )
