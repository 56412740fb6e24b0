"""Times that were read from a file: before anything reckons with one, it must be one that can be."""

from __future__ import annotations

import re
from datetime import datetime

_YEARS = range(1970, 2200)
_TIME = re.compile(rb'"(\d{4})-\d\d-\d\d[T ][\d:.]+(.)')
"""Its year, and what comes after it: of a time without an offset, the closing quote."""


def moment_of(text: str) -> datetime:
    """Raises ValueError where it is no time, has no offset, or is so far away that sums with it overflow.

    >>> moment_of("2026-11-22T02:00:00Z").hour
    2
    >>> moment_of("9999-12-31T23:59:59-14:00")
    Traceback (most recent call last):
        ...
    ValueError: not a time that can be: 9999-12-31T23:59:59-14:00
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None or moment.year not in _YEARS:
        raise ValueError(f"not a time that can be: {text}")
    return moment


def has_odd_time(document: bytes) -> bool:
    """Whether a JSON document has such a time, wherever in it.

    >>> [has_odd_time(b'{"a": "%b"}' % a) for a in (b"0001-01-01T00:00:00Z", b"2026-11-22T02:00:00")]
    [True, True]
    >>> has_odd_time(b'{"a": "2026-11-22T02:00:00Z"}')
    False
    """
    return any(int(found[1]) not in _YEARS or found[2] == b'"' for found in _TIME.finditer(document))
