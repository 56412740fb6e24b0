"""Keeping secrets out of texts that are kept or shown."""

from __future__ import annotations

import re
from collections.abc import Iterable

_URI = re.compile(r"mongodb(\+srv)?://[^\s\"'<>]+", re.IGNORECASE)
HIDDEN = "***"


def scrub(text: str, secrets: Iterable[str] = ()) -> str:
    """The text without connection URIs and without the given secrets.

    A URI goes as a whole: its options may carry passwords and session tokens too.

    >>> scrub("cannot reach mongodb://root:hunter2@db1/?tls=true now")
    'cannot reach mongodb://*** now'
    """
    for secret in sorted((s for s in secrets if s), key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return _URI.sub(lambda match: f"mongodb{match[1] or ''}://{HIDDEN}", text)
