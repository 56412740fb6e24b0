"""Durations, sizes and times in words: short, with units, the same everywhere."""

from __future__ import annotations

from datetime import UTC, datetime

UNKNOWN = "?"

_PAIRS = ((3600, 60, "m", 1, "s"), (86400, 3600, "h", 60, "m"), (8_640_000, 86400, "d", 3600, "h"))
"""Below how many seconds which two units are said."""


def duration(seconds: float | None) -> str:
    """The two largest units, as people say them.

    >>> [duration(s) for s in (0.04, 2.14, 41, 372, 8220, 93784, None)]
    ['0s', '2.1s', '41s', '6m12s', '2h17m', '1d2h', '?']
    """
    if seconds is None:
        return UNKNOWN
    if seconds < 10:
        return "0s" if seconds < 0.05 else f"{seconds:.1f}s".replace(".0s", "s")
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    for unit, large, large_unit, small, small_unit in _PAIRS:
        if whole < unit:
            return _pair(whole, large, large_unit, small, small_unit)
    return f"{whole // 86400}d"


def _pair(seconds: int, large: int, large_unit: str, small: int, small_unit: str) -> str:
    rest = seconds % large // small
    return f"{seconds // large}{large_unit}" + (f"{rest}{small_unit}" if rest else "")


def size(number: float | None) -> str:
    """
    >>> [size(n) for n in (0, 999, 1536, 5 * 1024**3, None)]
    ['0 B', '999 B', '1.5 KiB', '5.0 GiB', '?']
    """
    if number is None:
        return UNKNOWN
    value = float(number)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < 1024 or unit == "TiB":
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    raise AssertionError("unreachable")


def counted(number: int, thing: str) -> str:
    """
    >>> counted(1, "collection"), counted(1200, "document")
    ('1 collection', '1,200 documents')
    """
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def moment(when: datetime | None) -> str:
    """RFC 3339 in UTC with Z, to the second."""
    return UNKNOWN if when is None else when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def clock(when: datetime | None) -> str:
    """Time of day in UTC, with its zone."""
    return UNKNOWN if when is None else when.astimezone(UTC).strftime("%H:%M:%SZ")


def ratio(value: float | None) -> str:
    """A difference in per cent, with its sign.

    >>> ratio(0.5), ratio(-0.034)
    ('+50%', '-3%')
    """
    return UNKNOWN if value is None else f"{value:+.0%}"
