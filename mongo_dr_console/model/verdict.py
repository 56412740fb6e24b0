"""The verdict: the worst fact first, and what it means for what can be got back. Pure.

Unknown is never fine: a source that has not answered, or whose value is old, is a fact of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mongo_dr_console.model.backupfacts import BackupFacts
from mongo_dr_console.model.catalogue import SnapshotEntry
from mongo_dr_console.model.coverage import Cause, Coverage
from mongo_dr_console.model.eventverdict import judge_events
from mongo_dr_console.model.failoververdict import judge_failover
from mongo_dr_console.model.jobfacts import RUNNING, JobFacts
from mongo_dr_console.model.level import Fact, Level, grade, grade_least, worst
from mongo_dr_console.model.reading import Reading, SourceError
from mongo_dr_console.model.readings import KAFKA, Limits, Readings, all_jobs, live_coverage, rto_now
from mongo_dr_console.model.setstatus import ARBITER, PRIMARY, SECONDARY, Member, SetStatus
from mongo_dr_console.model.streamfacts import Break, BreakCause, standing
from mongo_dr_console.model.words import clock, duration, moment, ratio

__all__ = ["Fact", "Level", "Verdict", "consequence", "grade", "grade_least", "verdict", "worst"]

UNREACHABLE = "deployment-unreachable"
SEGMENTS = "segments:"
STALE_SECONDS = {
    "set": 30.0,
    "oplog": 30.0,
    "backups": 300.0,
    "coverage": 120.0,
    "events": 120.0,
    "jobs": 60.0,
    "lock": 60.0,
}
"""From which age on a value says nothing about now, if its source did not report an error itself."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The worst level, the worst fact's text, all facts (worst first), and the consequence: what can be got
    back now, and what it would cost."""

    level: Level
    text: str
    facts: tuple[Fact, ...]
    consequence: str

    @property
    def exit_code(self) -> int:
        return self.level.exit_code


def verdict(readings: Readings, limits: Limits, now: datetime) -> Verdict:
    """Holds everything against the profile's targets and thresholds."""
    coverage = live_coverage(readings, now)
    found = [
        *_set_facts(readings.set, limits, now),
        *_oplog_facts(readings, now),
        *_backup_facts(readings.backups, limits, now),
        *_coverage_facts(readings, coverage, limits, now),
        *_target_facts(readings, coverage, limits),
        *_event_facts(readings, coverage, now),
        *_job_facts(readings, now),
        *_stream_facts(readings, limits, now),
        *_alert_facts(readings, now),
        *judge_failover(readings, now),
    ]
    facts = tuple(sorted(found, key=lambda f: (-f.level.rank, -f.weight)))
    level = worst(f.level for f in facts)
    bad = [f for f in facts if f.level is not Level.FINE]
    text = bad[0].text if bad else "All is well: every source answers, and nothing is over its limit."
    return Verdict(level, text, facts, consequence(coverage, now))


def consequence(coverage: Coverage | None, now: datetime) -> str:
    """What can be got back, and what is lost then."""
    if coverage is None:
        return "It is not known what can be restored to."
    if coverage.latest is None:
        return "There is nothing to restore from." + _branch_hint(coverage)
    point = f"Newest restore point {moment(coverage.latest.time)}"
    if coverage.rpo_undo_seconds is not None:
        return f"{point} ({_loses(coverage.rpo_undo_seconds)})."
    ago = max(0.0, (now - coverage.latest.time).total_seconds())
    return f"{point}, from {_outside(coverage)} (loses {duration(ago)})."


def _outside(coverage: Coverage) -> str:
    """What holds the newest restore point without the deployment: a snapshot by itself, or what the stream
    left, which reaches further."""
    sources = next((r.sources for r in reversed(coverage.ranges) if r.end == coverage.latest), ())
    stores = [s.removeprefix(SEGMENTS) for s in sources if s.startswith(SEGMENTS)]
    words = [f"the segments in store {' and '.join(stores)}"] if stores else []
    words += ["the Kafka topic"] if KAFKA in sources else []
    return " and ".join(words) or "a snapshot in a store"


def _loses(seconds: float) -> str:
    return "loses nothing" if seconds < 1 else f"loses {duration(seconds)}"


def _branch_hint(coverage: Coverage) -> str:
    named = sum(not branch.name for branch in coverage.branches)
    return f" {named} snapshot(s) of another history can be restored by name." if named else ""


def _missing(reading: Reading[Any] | None, source: str, now: datetime) -> Iterator[Fact]:
    """A source without a value of now: unknown, whatever its last value said."""
    if reading is None:
        yield Fact(Level.UNKNOWN, f"{source}-unknown", source, f"Nothing is known of: {source}.", 20)
    elif reading.error is not None:
        yield Fact(
            Level.UNKNOWN, f"{source}-{reading.error.code}", source, f"{source}: {reading.error.message}", 30
        )
    else:
        age = reading.age(now)
        if age is not None and age.total_seconds() > STALE_SECONDS.get(source, 60.0):
            text = f"{source}: the newest value is {duration(age.total_seconds())} old."
            yield Fact(Level.UNKNOWN, f"{source}-stale", source, text, 30)


def _is_down(reading: Reading[SetStatus] | None) -> bool:
    return reading is not None and reading.error is not None and reading.error.code == UNREACHABLE


def _set_facts(reading: Reading[SetStatus] | None, limits: Limits, now: datetime) -> Iterator[Fact]:
    if _is_down(reading):
        text = "DEPLOYMENT DOWN: no member answers. Writes and reads fail."
        yield Fact(Level.CRITICAL, "deployment-down", "set", text, 100)
        return
    yield from _missing(reading, "set", now)
    if reading is None or reading.value is None or reading.error is not None:
        return
    status = reading.value
    if status.primary is None:
        yield _no_primary(status)
    for member in status.members:
        yield from _member_facts(member, status, limits)
    if status.write_blocked:
        text = "User writes are blocked (setUserWriteBlockMode)."
        yield Fact(Level.CRITICAL, "write-blocked", "set", text, 85)


def _no_primary(status: SetStatus) -> Fact:
    needed = "?" if status.majority_needed is None else status.majority_needed
    votes = f"{status.majority_available} of {needed} needed votes are up"
    if status.has_majority:
        text = f"NO PRIMARY: {votes}; an election should end this within seconds. Writes fail."
    else:
        text = f"NO MAJORITY: {votes}. Writes fail until a member comes back."
    return Fact(Level.CRITICAL, "no-primary", "set", text, 95)


def _member_facts(member: Member, status: SetStatus, limits: Limits) -> Iterator[Fact]:
    if not member.healthy:
        left = status.majority_available - (status.majority_needed or 0)
        more = "; one more loss stops writes" if status.primary and left <= 0 else ""
        text = f"{member.name} is down{_last_seen(member)}{more}."
        yield Fact(Level.WARNING, "member-down", "set", text, 70)
    elif member.state not in (PRIMARY, SECONDARY, ARBITER):
        text = f"{member.name} is in state {member.state}: it does not serve."
        yield Fact(Level.WARNING, "member-state", "set", text, 65)
    elif member.lag_seconds is not None:
        level = grade(member.lag_seconds, limits.oplog_lag)
        if level is not Level.FINE:
            text = f"{member.name} lags {duration(member.lag_seconds)} behind."
            yield Fact(level, "member-lag", "set", text, 60)


def _last_seen(member: Member) -> str:
    if member.heartbeat_age_seconds is None:
        return ""
    return f", last heard of {duration(member.heartbeat_age_seconds)} ago"


def _oplog_facts(readings: Readings, now: datetime) -> Iterator[Fact]:
    if _is_down(readings.set):
        return
    yield from _missing(readings.oplog, "oplog", now)
    if readings.oplog is None or readings.oplog.value is None:
        return
    for member in readings.oplog.value.members:
        if member.headroom_seconds is not None and member.headroom_seconds < 0:
            text = f"{member.name} has fallen off the oplog and must be copied afresh."
            yield Fact(Level.CRITICAL, "member-off-oplog", "oplog", text, 55)


def _backup_facts(reading: Reading[BackupFacts] | None, limits: Limits, now: datetime) -> Iterator[Fact]:
    if reading is None:
        text = "No store is known, or none has answered yet: there may be no backup at all."
        yield Fact(Level.UNKNOWN, "backups-unknown", "backups", text, 40)
        return
    yield from _missing(reading, "backups", now)
    if reading.value is None:
        return
    for store in reading.value.stores:
        if store.error is not None and reading.error is None:
            yield _store_fact(store.name, store.error)
        for problem in store.problems:
            yield Fact(Level.WARNING, "snapshot-unreadable", "backups", problem, 45)
    newest = reading.value.newest
    if newest is None:
        if reading.error is None:
            text = "NO BACKUP: no store holds a whole snapshot."
            yield Fact(Level.CRITICAL, "no-backup", "backups", text, 90)
        return
    yield from _newest_facts(newest, reading.value, limits, now)


def _store_fact(name: str, error: SourceError) -> Fact:
    return Fact(Level.WARNING, "store-unreachable", "backups", f"Store {name}: {error.message}", 50)


def _newest_facts(
    newest: SnapshotEntry, backups: BackupFacts, limits: Limits, now: datetime
) -> Iterator[Fact]:
    age = newest.age_seconds(now)
    level = grade(age, limits.backup_age)
    text = f"The newest snapshot, {newest.name}, is {duration(age)} old."
    if level is not Level.FINE:
        text = text[:-1] + f" (limit {duration(limits.backup_age.critical)})."
    yield Fact(level, "backup-age", "backups", text, 75)
    if backups.size_delta is not None:
        level = grade(abs(backups.size_delta), limits.size_delta)
        if level is not Level.FINE:
            text = f"Snapshot {newest.name} differs in size by {ratio(backups.size_delta)} from the last."
            yield Fact(level, "backup-size", "backups", text, 58)
    yield from _restore_test(backups, limits, now)


def _restore_test(backups: BackupFacts, limits: Limits, now: datetime) -> Iterator[Fact]:
    tested = [s.restore_tested_at for store in backups.stores for s in store.snapshots if s.restore_tested_at]
    drilled = backups.drilled
    if drilled is not None and all(drilled.at > at for at in tested):
        tested, what = [drilled.at], f"restore test, a {drilled.kind} drill,"
    else:
        what = "restore test"
    if not tested:
        text = "No snapshot was ever restored as a test."
        yield Fact(Level.WARNING, "never-restore-tested", "backups", text, 10)
        return
    age = (now - max(tested)).total_seconds()
    level = grade(age, limits.restore_test_age)
    if level is not Level.FINE:
        text = f"The last {what} was {duration(age)} ago."
        yield Fact(level, "restore-test-age", "backups", text, 40)


def _coverage_facts(
    readings: Readings, coverage: Coverage | None, limits: Limits, now: datetime
) -> Iterator[Fact]:
    yield from _missing(readings.coverage, "coverage", now)
    if coverage is None:
        return
    if coverage.live_error is not None and _is_down(readings.set):
        text = "What the live oplog reaches is not known while the deployment is down."
        yield Fact(Level.UNKNOWN, "oplog-unreachable", "coverage", text, 5)
    elif coverage.live_error is not None:
        text = f"The live oplog cannot be read: {coverage.live_error.message}"
        yield Fact(Level.UNKNOWN, "oplog-unreadable", "coverage", text, 35)
    for unread in coverage.unread:
        text = f"{unread.source} cannot be read: {unread.error.message}"
        yield Fact(Level.WARNING, "stream-unread", "coverage", text, 56)
    if coverage.latest is None:
        yield Fact(Level.CRITICAL, "nothing-covered", "coverage", "Nothing can be restored to.", 80)
    if coverage.bases and coverage.margin_seconds is not None:
        yield from _margin_facts(coverage, coverage.margin_seconds, limits)
    for branch in coverage.branches:
        text = f"{', '.join(branch.sources)} lies on another history. {branch.text}"
        level = Level.WARNING if branch.cause is Cause.DIVERGED else Level.FINE
        yield Fact(level, "branch", "coverage", text, 42)


def _margin_facts(coverage: Coverage, margin: float, limits: Limits) -> Iterator[Fact]:
    level = grade_least(margin, limits.margin)
    if margin <= 0:
        text = "POINT IN TIME BROKEN: the oplog no longer reaches back to any snapshot. Take a backup now."
        yield Fact(Level.CRITICAL, "margin", "coverage", text, 88)
    elif level is not Level.FINE:
        text = f"Point-in-time recovery breaks in {duration(margin)} unless a backup is taken."
        yield Fact(level, "margin", "coverage", text, 72)


def _target_facts(readings: Readings, coverage: Coverage | None, limits: Limits) -> Iterator[Fact]:
    if coverage is not None and coverage.rpo_seconds is not None and coverage.rpo_seconds > limits.rpo:
        # Without a stream no snapshot schedule can meet such a target, and the age of the newest snapshot
        # has a threshold of its own; a breach with a stream is a guarantee that has broken.
        level = Level.CRITICAL if limits.streamed else Level.WARNING
        text = f"RPO {duration(coverage.rpo_seconds)} is over the target of {duration(limits.rpo)}."
        yield Fact(level, "rpo", "coverage", text, 48)
    rto = rto_now(readings)
    if rto is not None and rto.seconds > limits.rto:
        level = Level.CRITICAL if rto.low > limits.rto else Level.WARNING
        text = f"RTO of about {duration(rto.seconds)} is over the target of {duration(limits.rto)}."
        yield Fact(level, "rto", "backups", text, 47)


def _stream_facts(readings: Readings, limits: Limits, now: datetime) -> Iterator[Fact]:
    """Only where an agent of this host streams, or did: one of another host is seen by its results alone."""
    facts = None if readings.stream is None else readings.stream.value
    if readings.stream is not None and readings.stream.error is not None:
        yield Fact(Level.UNKNOWN, "stream-unknown", "coverage", readings.stream.error.message, 30)
    if facts is None:
        return
    if facts.stale(now):
        ago = duration(max(0.0, (now - facts.written_at).total_seconds()))
        stood_by = facts.role == "stands-by"
        means = "nobody stands by on this host" if stood_by else "the oplog is not streamed"
        text = f"The agent on {facts.host} is gone since {ago}: {means}."
        yield Fact(Level.WARNING, "agent-gone", "coverage", text, 68)
        return
    if facts.role == "waits":
        text = f"{standing(facts)[0].upper()}{standing(facts)[1:]}"
        yield Fact(Level.WARNING, "agent-waits", "coverage", text, 68)
    for sink in facts.sinks:
        if sink.trouble is not None and not _is_down(readings.set):
            text = f"{sink.name} does not go on: {sink.trouble.message}"
            yield Fact(Level.WARNING, "stream-trouble", "coverage", text, 58)
        lag = sink.lag_seconds(facts.committed)
        level = Level.FINE if lag is None else grade(lag, limits.oplog_lag)
        if level is not Level.FINE and lag is not None:
            text = f"{sink.name} is {duration(lag)} behind the deployment."
            yield Fact(level, "stream-lag", "coverage", text, 59)
        for broke in sink.breaks:
            yield Fact(Level.WARNING, f"stream-{broke.cause}", "coverage", _broke(sink.name, broke), 57)


def _broke(sink: str, broke: Break) -> str:
    if broke.cause is BreakCause.ROLLED_OVER:
        return f"{sink} has a gap from {broke.start} to {broke.end}: the oplog rolled over unread."
    what = "another deployment" if broke.cause is BreakCause.REPLACED else "another history"
    return f"{sink} found {what} after {broke.start}; what it had is kept as a branch: mdr coverage"


def _alert_facts(readings: Readings, now: datetime) -> Iterator[Fact]:
    """Whether anybody would be told, where an agent watches or did."""
    reading = readings.alerts
    if reading is not None and reading.error is not None:
        text = f"Which alerts run is not known: {reading.error.message}"
        yield Fact(Level.WARNING, "alerts-unknown", "jobs", text, 12)
    facts = None if reading is None else reading.value
    if facts is None:
        return
    if facts.stale(now):
        ago = duration(max(0.0, (now - facts.written_at).total_seconds()))
        text = f"Nobody watches for alerts: the agent on {facts.host} was last seen {ago} ago."
        yield Fact(Level.WARNING, "alerts-unwatched", "jobs", text, 46)
        return
    for way in facts.ways:
        if way.trouble is not None:
            text = f"Alerts are not sent by {way.name}: {way.trouble.message}"
            yield Fact(Level.WARNING, "alerts-not-sent", "jobs", text, 49)


def _event_facts(readings: Readings, coverage: Coverage | None, now: datetime) -> Iterator[Fact]:
    if not _is_down(readings.set):
        yield from _missing(readings.events, "events", now)
    yield from judge_events(readings, coverage, now)


def _job_facts(readings: Readings, now: datetime) -> Iterator[Fact]:
    reading, lock = readings.jobs, readings.lock
    yield from _missing(reading, "jobs", now)
    if lock is not None and lock.error is not None and not _is_down(readings.set):
        text = f"Whether a job of another host writes to the deployment is not known: {lock.error.message}"
        yield Fact(Level.WARNING, f"lock-{lock.error.code}", "jobs", text, 15)
    for job in all_jobs(readings):
        if job.state == RUNNING:
            whose = "" if job.here else f" of {job.owner}"
            text = f"{job.kind} {job.job}{whose} is running."
            yield Fact(Level.FINE, "job-running", "jobs", text, 60)
    if reading is None or reading.value is None:
        return
    for kind in ("restore", "undo", "accept", "backup", "drill"):
        last = _last(reading.value, kind)
        if last is not None and last.state in ("failed", "partial"):
            yield _failed_job(last)


def _last(jobs: tuple[JobFacts, ...], kind: str) -> JobFacts | None:
    dated = [j for j in jobs if j.kind == kind and j.started_at is not None]
    return max(dated, key=lambda j: (j.started_at, j.job), default=None)


def _failed_job(job: JobFacts) -> Fact:
    why = "" if job.error is None else f": {job.error.message}"
    at = "" if job.ended_at is None else f" at {clock(job.ended_at)}"
    ended = "was done in part" if job.state == "partial" else "failed"
    return Fact(
        Level.WARNING, f"{job.kind}-{job.state}", "jobs", f"{job.kind} {job.job} {ended}{at}{why}", 52
    )
