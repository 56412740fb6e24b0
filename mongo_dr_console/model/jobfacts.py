"""What a panel and the verdict need to know of a job."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from mongo_dr_console.model.eventfacts import Restored
from mongo_dr_console.model.lock import LockInfo
from mongo_dr_console.model.reading import SourceError
from mongo_dr_console.model.words import duration

RUNNING = "running"


@dataclass(frozen=True, slots=True)
class JobFacts:
    """One job.

    Args:
        state: As in ``mdr jobs``.
        step: What it is at; empty: nothing.
        percent: Of the running step, None where it is not known.
        host: Where its process runs or ran.
        here: Whether that is this host; a job of another host is known from the deployment's lock alone.
        restored: What a restore that is done has put in place.
        undone: The restore that an undo which is done took back; empty: none.
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
    host: str = ""
    here: bool = True
    restored: Restored | None = None
    undone: str = ""


def of_lock(lock: LockInfo) -> JobFacts:
    """The job that has the deployment's lock, as a host that is not its own knows it."""
    silent = f"no sign of life for {duration(lock.age_seconds)}"
    return JobFacts(
        job=lock.job,
        kind=lock.kind,
        state=RUNNING,
        step=lock.step if lock.fresh else silent,
        percent=lock.percent if lock.fresh else None,
        owner=lock.owner,
        started_at=lock.started,
        host=lock.host,
        here=False,
    )
