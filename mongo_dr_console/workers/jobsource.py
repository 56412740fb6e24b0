"""This host's jobs as a source."""

from __future__ import annotations

from mongo_dr_console.config import Profile
from mongo_dr_console.model.eventfacts import restore_of
from mongo_dr_console.model.jobfacts import JobFacts
from mongo_dr_console.model.jobview import JobView
from mongo_dr_console.model.reading import SourceError
from mongo_dr_console.model.readings import JOBS
from mongo_dr_console.model.redaction import redacted
from mongo_dr_console.workers.folders import jobs_folder
from mongo_dr_console.workers.knownjobs import KnownJobs
from mongo_dr_console.workers.threads import DaemonThreads, OneCall


class JobsSource:
    name, interval, timeout = JOBS, 1.0, 3.0

    def __init__(self, profile_name: str, profile: Profile, threads: DaemonThreads) -> None:
        self._profile_name = profile_name
        self._known = KnownJobs(jobs_folder(profile))
        self._redacts = profile.redacts
        self._thread = OneCall(threads)

    async def read(self) -> tuple[tuple[JobFacts, ...], str]:
        return await self._thread.call(self._list), ""

    def _list(self) -> tuple[JobFacts, ...]:
        found = tuple(job_facts(v) for v in self._known.views() if v.profile == self._profile_name)
        return redacted(found) if self._redacts else found


def job_facts(view: JobView) -> JobFacts:
    """A job in short."""
    step, error, result = view.current, view.error, view.result or {}
    ended_well = view.state in ("done", "partial")
    return JobFacts(
        job=view.job,
        kind=view.kind,
        state=view.state,
        step="" if step is None else step.step,
        percent=None if step is None else step.percent,
        owner=view.owner,
        started_at=view.started_at or view.created_at,
        ended_at=view.ended_at,
        error=None if error is None else SourceError(error.code, error.message, error.hint),
        host=view.host or "",
        restored=restore_of(result, view.ended_at, view.job) if ended_well else None,
        undone=str(result.get("undone", "")) if view.kind == "undo" and ended_well else "",
    )
