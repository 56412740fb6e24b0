"""What a panel and the verdict need to know of a job."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from mongo_dr_console.model.reading import SourceError

RUNNING = "running"


@dataclass(frozen=True, slots=True)
class JobFacts:
    """One job.

    Args:
        state: As in ``mdr jobs``.
        step: What it is at; empty: nothing.
        percent: Of the running step, None where it is not known.
    """

    job: str
    kind: str
    state: str
    step: str = ""
    percent: float | None = None
    owner: str = ""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    error: SourceError | None = None
