"""What jobs and alerts add to the verdict: what is under way, what failed, whether anybody is told. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from mongo_dr_console.model.jobfacts import RUNNING, JobFacts
from mongo_dr_console.model.level import Fact, Level
from mongo_dr_console.model.rank import Rank
from mongo_dr_console.model.readings import Readings, all_jobs
from mongo_dr_console.model.unknown import is_down, missing
from mongo_dr_console.model.words import clock, duration

_CHANGES_DATA = ("restore", "undo", "accept")
_FRESH = timedelta(hours=24)


def judge_jobs(readings: Readings, now: datetime) -> Iterator[Fact]:
    """What is under way, here or on another host, and the last one of each kind that failed."""
    reading, lock = readings.jobs, readings.lock
    yield from missing(reading, "jobs", now)
    if lock is not None and lock.error is not None and not is_down(readings.set):
        text = f"Whether a job of another host writes to the deployment is not known: {lock.error.message}"
        yield Fact(Level.WARNING, f"lock-{lock.error.code}", "jobs", text, Rank.UNREACHABLE)
    for job in all_jobs(readings):
        if job.state == RUNNING:
            whose = "" if job.here else f" of {job.owner}"
            text = f"{job.kind} {job.job}{whose} is running."
            if job.kind in _CHANGES_DATA:
                text = f"{job.kind.upper()} UNDER WAY: {job.job}{whose}{_at_step(job)}."
                yield Fact(Level.WARNING, "job-running", "jobs", text, Rank.UNDER_WAY)
            else:
                yield Fact(Level.FINE, "job-running", "jobs", text, Rank.FINE)
    if reading is None or reading.value is None:
        return
    for kind in ("restore", "undo", "accept", "backup", "drill"):
        last = _last(reading.value, kind)
        if last is not None and last.state in ("failed", "partial"):
            yield _failed_job(last, now)


def _at_step(job: JobFacts) -> str:
    percent = "" if job.percent is None else f" {job.percent:.0f}%"
    return f", {job.step}{percent}" if job.step else ""


def _last(jobs: tuple[JobFacts, ...], kind: str) -> JobFacts | None:
    dated = [j for j in jobs if j.kind == kind and j.started_at is not None]
    return max(dated, key=lambda j: (j.started_at, j.job), default=None)


def _failed_job(job: JobFacts, now: datetime) -> Fact:
    why = "" if job.error is None else f": {job.error.message}"
    at = "" if job.ended_at is None else f" at {clock(job.ended_at)}"
    ended = "was done in part" if job.state == "partial" else "failed"
    text = f"{job.kind} {job.job} {ended}{at}{why}"
    return Fact(Level.WARNING, f"{job.kind}-{job.state}", "jobs", text, _rank_of_failed(job, now))


def _rank_of_failed(job: JobFacts, now: datetime) -> Rank:
    """A restore that stands half done comes first while it is fresh; a day later somebody has seen it."""
    if job.kind == "backup":
        return Rank.BACKUP
    fresh = job.ended_at is None or now - job.ended_at <= _FRESH
    return Rank.UNDER_WAY if job.kind in ("restore", "undo") and fresh else Rank.DRILL


def judge_alerts(readings: Readings, now: datetime) -> Iterator[Fact]:
    """Whether anybody would be told, where an agent watches or did."""
    reading = readings.alerts
    if reading is not None and reading.error is not None:
        text = f"Which alerts run is not known: {reading.error.message}"
        yield Fact(Level.WARNING, "alerts-unknown", "jobs", text, Rank.UNREACHABLE)
    facts = None if reading is None else reading.value
    if facts is None:
        return
    if facts.stale(now):
        ago = duration(max(0.0, (now - facts.written_at).total_seconds()))
        text = f"Nobody watches for alerts: the agent on {facts.host} was last seen {ago} ago."
        yield Fact(Level.WARNING, "alerts-unwatched", "jobs", text, Rank.UNREACHABLE)
        return
    for way in facts.ways:
        if way.trouble is not None:
            text = f"Alerts are not sent by {way.name}: {way.trouble.message}"
            yield Fact(Level.WARNING, "alerts-not-sent", "jobs", text, Rank.UNREACHABLE)
