"""Whether this process, and what it starts, leaves values of documents out of all that it shows."""

from __future__ import annotations

import os

REDACT = "MDR_REDACT"
"""Variable that says the same as ``redact = true``, for every profile."""


def hide(wanted: bool) -> None:
    """Nothing that this process prints tells values of documents from here on, nor what it starts."""
    if wanted:
        os.environ[REDACT] = "1"


def all_redacted() -> bool:
    """Whether values of documents of no profile are shown: by ``--redact``, or MDR_REDACT."""
    return os.environ.get(REDACT, "0") not in ("", "0")
