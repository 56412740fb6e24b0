"""How long to wait after a failure: doubling, with jitter, to a ceiling. Pure."""

from __future__ import annotations

CEILING = 30.0


def delay(attempt: int, interval: float, random: float, ceiling: float = CEILING) -> float:
    """Seconds until the next try.

    The wait doubles from the source's own interval and never passes the ceiling (or the interval, where that
    is longer). Jitter takes up to half of it away, so that many consoles do not ask a server that comes back
    in the same instant; a source that answered is asked again after its interval exactly.

    Args:
        attempt: Failures in a row so far; 0 after a success.
        interval: Between two tries when all is well.
        random: From 0 (inclusive) to 1.

    >>> [delay(n, 2.0, 0.0) for n in (0, 1, 2, 3, 4, 5, 50)]
    [2.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    """
    if attempt <= 0:
        return interval
    top = max(ceiling, interval)
    # The exponent is bounded so that a week of failures does not overflow.
    whole = min(top, interval * 2.0 ** min(attempt - 1, 32))
    return whole * (1 - random / 2)
