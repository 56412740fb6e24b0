"""The list of jobs as lines: this host's, and the one of another host that has the lock. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import cast

from mongo_dr_console.model.jobfacts import RUNNING, JobFacts
from mongo_dr_console.model.jobview import JobState
from mongo_dr_console.model.words import UNKNOWN, duration
from mongo_dr_console.ui.jobpages import STATES, Sign
from mongo_dr_console.ui.lines import Line, table
from mongo_dr_console.ui.widgets.row_list import RowItem

_HEADER = ("JOB", "KIND", "STATE", "STEP", "BEGAN", "BY")
_OLDEST = datetime.min.replace(tzinfo=UTC)


def matching(jobs: Iterable[JobFacts], text: str) -> list[JobFacts]:
    """The jobs of which a cell holds the text, the newest first, those that run before all."""
    found = [j for j in jobs if text.lower() in _haystack(j).lower()]
    return sorted(found, key=lambda j: (j.state == RUNNING, j.started_at or _OLDEST, j.job), reverse=True)


def _haystack(job: JobFacts) -> str:
    return " ".join((job.job, job.kind, job.state, job.step, job.owner))


def job_items(jobs: Sequence[JobFacts], now: datetime, width: int) -> tuple[list[RowItem], list[Line]]:
    """Rows to choose from, and their header."""
    rows = [(_cells(job, now), sign.role, sign.glyph) for job in jobs for sign in [_sign(job)]]
    if not rows:
        return [], []
    header, *lines = table(_HEADER, rows, width)
    return [RowItem(job.job, row) for job, row in zip(jobs, lines, strict=True)], [header]


def _sign(job: JobFacts) -> Sign:
    return STATES.get(cast("JobState", job.state), Sign("?", "unknown", job.state))


def _cells(job: JobFacts, now: datetime) -> tuple[str, ...]:
    percent = "" if job.percent is None else f" {job.percent:.0f}%"
    began = UNKNOWN if job.started_at is None else f"{_since(job.started_at, now)} ago"
    ended = job.error.code if job.error is not None and job.state != RUNNING else ""
    return (job.job, job.kind, _sign(job).word, f"{job.step}{percent}" or ended or "-", began, job.owner)


def _since(then: datetime, now: datetime) -> str:
    return duration(max(0.0, round((now - then).total_seconds())))
