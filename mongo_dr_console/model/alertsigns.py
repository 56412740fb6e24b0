"""What the readings say of each kind of alert. Pure.

A source that has no value of now says nothing: neither that something is wrong nor that it is well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from mongo_dr_console.model.alerting import Look, Sign
from mongo_dr_console.model.alertkind import Kind
from mongo_dr_console.model.backupfacts import BackupFacts
from mongo_dr_console.model.coverage import Cause, Coverage
from mongo_dr_console.model.failover import Standing
from mongo_dr_console.model.jobfacts import JobFacts
from mongo_dr_console.model.level import Level, grade, grade_least
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.reading import Reading
from mongo_dr_console.model.readings import Limits, Readings, Threshold, live_coverage, rto_now
from mongo_dr_console.model.setstatus import ARBITER, PRIMARY, SECONDARY, Member, SetStatus
from mongo_dr_console.model.streamfacts import Break, BreakCause, SinkFacts, StreamFacts
from mongo_dr_console.model.verdict import STALE_SECONDS, UNREACHABLE
from mongo_dr_console.model.words import duration, ratio

T = TypeVar("T")

_STALE_SECONDS = 60.0


class NotKnown(Exception):
    """Nothing can be said of a kind; the text says why."""


@dataclass(frozen=True, slots=True)
class Seen:
    """The readings at one moment, held against the limits."""

    readings: Readings
    limits: Limits
    now: datetime
    clear_at: float

    def of(self, reading: Reading[T] | None, source: str) -> T:
        """The value of now. Raises NotKnown where there is none."""
        if reading is None:
            raise NotKnown(f"{source} was not read yet.")
        if reading.error is not None:
            raise NotKnown(reading.error.message)
        if reading.value is None:
            raise NotKnown(f"{source} says nothing.")
        if self.age(reading) > STALE_SECONDS.get(source, _STALE_SECONDS):
            raise NotKnown(f"The newest value of {source} is {duration(self.age(reading))} old.")
        return reading.value

    def age(self, reading: Reading[T]) -> float:
        return 0.0 if reading.taken_at is None else (self.now - reading.taken_at).total_seconds()

    @property
    def set(self) -> SetStatus:
        return self.of(self.readings.set, "set")

    @property
    def backups(self) -> BackupFacts:
        return self.of(self.readings.backups, "backups")

    @property
    def coverage(self) -> Coverage:
        self.of(self.readings.coverage, "coverage")
        found = live_coverage(self.readings, self.now)
        assert found is not None
        return found

    @property
    def stream(self) -> StreamFacts:
        facts = self.of(self.readings.stream, "stream")
        if facts is None or facts.stale(self.now):
            raise NotKnown("No agent of this host streams.")
        return facts

    @property
    def down(self) -> bool:
        """Whether no member answers this host."""
        reading = self.readings.set
        return reading is not None and reading.error is not None and reading.error.code == UNREACHABLE

    def over(self, value: float, limit: Threshold, text: str) -> Sign:
        """Too much is bad."""
        lower = _scaled(limit, self.clear_at)
        return Sign(grade(value, limit), grade(value, lower), text, value)

    def under(self, value: float, limit: Threshold, text: str) -> Sign:
        """Too little is bad."""
        upper = _scaled(limit, 1 / self.clear_at)
        return Sign(grade_least(value, limit), grade_least(value, upper), text, value)


def _scaled(limit: Threshold, share: float) -> Threshold:
    return Threshold(limit.critical * share, None if limit.warning is None else limit.warning * share)


Watch = Callable[[Seen], Iterable[tuple[str, Sign]]]


def look_at(readings: Readings, limits: Limits, now: datetime, clear_at: float = 0.9) -> Mapping[Kind, Look]:
    """Every kind, as the readings say now.

    Args:
        clear_at: See ``alert.Rules``.
    """
    seen = Seen(readings, limits, now, clear_at)
    return {kind: _look(watch, seen) for kind, watch in _WATCHES.items()}


def _look(watch: Watch, seen: Seen) -> Look:
    try:
        return Look(dict(watch(seen)))
    except NotKnown as why:
        return Look(unknown=str(why))


def _sign(level: Level, text: str, value: float | None = None) -> Sign:
    """Something that is so or is not: it has no lower mark."""
    return Sign(level, level, text, value)


def _unknown(text: str) -> Sign:
    return _sign(Level.UNKNOWN, text)


# The set


def _no_primary(seen: Seen) -> Iterator[tuple[str, Sign]]:
    if seen.down:
        yield "", _sign(Level.CRITICAL, "DEPLOYMENT DOWN: no member answers the agent.")
        return
    status = seen.set
    if status.primary is not None:
        return
    needed = "?" if status.majority_needed is None else status.majority_needed
    votes = f"{status.majority_available} of {needed} needed votes are up"
    if status.has_majority:
        yield "", _sign(Level.CRITICAL, f"NO PRIMARY: {votes}. Writes fail.")
    else:
        yield "", _sign(Level.CRITICAL, f"NO MAJORITY: {votes}. Writes fail until a member comes back.")


def _failover(seen: Seen) -> Iterator[tuple[str, Sign]]:
    """Each run-book is an alert of its own, from its beginning until its end, or until a newer one where it
    wants a hand."""
    facts = seen.of(seen.readings.failover, "failover")
    if facts is None or facts.stale(seen.now):
        raise NotKnown("No agent of this host watches the primary.")
    run = facts.run or facts.last
    stuck = None if run is None or run.state not in ("running", "failed") else run.stuck
    if run is not None and stuck is not None:
        yield (
            run.id,
            _sign(Level.CRITICAL, f"FAILOVER {run.id} NEEDS A HAND at {stuck.step}: {stuck.manual}"),
        )
    elif facts.run is not None:
        yield facts.run.id, _sign(Level.WARNING, f"FAILOVER {facts.run.id} is under way: {facts.run.why}")
    if facts.standing is Standing.ONLY_THIS_HOST:
        yield "", _sign(Level.WARNING, facts.text)
    elif facts.standing is Standing.SUSPECT and facts.advice:
        yield "", _sign(Level.CRITICAL, f"{facts.text} {facts.advice}")


def _member_down(seen: Seen) -> Iterator[tuple[str, Sign]]:
    status = seen.set
    left = status.majority_available - (status.majority_needed or 0)
    for member in status.members:
        if not member.healthy:
            last = left <= 0
            more = "; one more loss stops writes" if last and status.primary else ""
            level = Level.CRITICAL if last else Level.WARNING
            yield member.name, _sign(level, f"{member.name} is down{more}.")
        elif member.state not in (PRIMARY, SECONDARY, ARBITER):
            yield (
                member.name,
                _sign(Level.WARNING, f"{member.name} is in state {member.state}: it does not serve."),
            )


def _oplog_lag(seen: Seen) -> Iterator[tuple[str, Sign]]:
    for member in seen.set.members:
        yield member.name, _lag_of(member, seen)


def _lag_of(member: Member, seen: Seen) -> Sign:
    if member.lag_seconds is None:
        return _unknown(f"How far {member.name} is behind is not known.")
    text = f"{member.name} lags {duration(member.lag_seconds)} behind."
    return seen.over(member.lag_seconds, seen.limits.oplog_lag, text)


def _oplog_window(seen: Seen) -> Iterator[tuple[str, Sign]]:
    oplog = seen.of(seen.readings.oplog, "oplog")
    newest = seen.backups.newest
    took = None if newest is None else newest.seconds
    window = oplog.window_when_full_seconds
    if took is None or took <= 0 or window is None:
        raise NotKnown("How long a backup takes, or how far the oplog reaches back, is not known yet.")
    text = (
        f"The oplog reaches back {duration(window)} at today's churn, and a backup takes {duration(took)}: "
        "it may end before it has what it needs. Make the oplog larger."
    )
    yield "", seen.under(window / took, seen.limits.oplog_window, text)


# Stores and snapshots


def _backup_age(seen: Seen) -> Iterator[tuple[str, Sign]]:
    newest = seen.backups.newest
    if newest is None:
        yield "", _sign(Level.CRITICAL, "NO BACKUP: no store holds a whole snapshot.")
        return
    age = newest.age_seconds(seen.now)
    text = f"The newest snapshot, {newest.name}, is {duration(age)} old."
    yield "", seen.over(age, seen.limits.backup_age, text)


def _backup_size(seen: Seen) -> Iterator[tuple[str, Sign]]:
    backups = seen.backups
    if backups.newest is None or backups.size_delta is None:
        return
    text = f"Snapshot {backups.newest.name} differs in size by {ratio(backups.size_delta)} from the last."
    yield "", seen.over(abs(backups.size_delta), seen.limits.size_delta, text)


def _restore_test(seen: Seen) -> Iterator[tuple[str, Sign]]:
    backups = seen.backups
    tested = [s.restore_tested_at for store in backups.stores for s in store.snapshots if s.restore_tested_at]
    if backups.drilled is not None:
        tested.append(backups.drilled.at)
    if not tested:
        if backups.newest is not None:
            yield "", _sign(Level.WARNING, "No snapshot was ever restored as a test: mdr drill run")
        return
    age = (seen.now - max(tested)).total_seconds()
    text = f"The last restore test was {duration(age)} ago: mdr drill run"
    yield "", seen.over(age, seen.limits.restore_test_age, text)


def _store_unreachable(seen: Seen) -> Iterator[tuple[str, Sign]]:
    stores = seen.readings.stores
    broken = {name: r for name, r in stores.items() if r.error is not None}
    for source, reading in stores.items():
        name = source.partition(":")[2]
        if reading.error is not None:
            level = Level.CRITICAL if len(broken) == len(stores) else Level.WARNING
            yield name, _sign(level, f"Store {name}: {reading.error.message}")
        elif seen.age(reading) > STALE_SECONDS["backups"]:
            yield name, _unknown(f"Store {name} was not asked for {duration(seen.age(reading))}.")


# What can be restored to


def _margin(seen: Seen) -> Iterator[tuple[str, Sign]]:
    coverage = seen.coverage
    if not coverage.bases:
        return
    if coverage.margin_seconds is None:
        raise NotKnown("How long point-in-time recovery holds is not known.")
    margin = coverage.margin_seconds
    text = f"Point-in-time recovery breaks in {duration(margin)} unless a backup is taken."
    if margin <= 0:
        text = "POINT IN TIME BROKEN: the oplog no longer reaches back to any snapshot. Take a backup now."
    yield "", seen.under(margin, seen.limits.margin, text)


def _rpo(seen: Seen) -> Iterator[tuple[str, Sign]]:
    seconds = seen.coverage.rpo_seconds
    if seconds is None:
        raise NotKnown("What would be lost is not known: there is nothing to restore from.")
    limit = seen.limits.rpo
    # Without a stream no schedule of snapshots can meet such a target.
    mark = Threshold(limit) if seen.limits.streamed else Threshold(float("inf"), limit)
    yield "", seen.over(seconds, mark, f"RPO {duration(seconds)}; the target is {duration(limit)}.")


def _rto(seen: Seen) -> Iterator[tuple[str, Sign]]:
    _ = seen.backups
    estimate = rto_now(seen.readings)
    if estimate is None:
        raise NotKnown("How long a restore would take is not known.")
    limit = seen.limits.rto
    text = f"RTO of about {duration(estimate.seconds)}; the target is {duration(limit)}."
    likely = seen.over(estimate.seconds, Threshold(float("inf"), limit), text)
    surely = seen.over(estimate.low, Threshold(limit), text)
    worse = surely if surely.level is Level.CRITICAL else likely
    held = surely.held if surely.held is Level.CRITICAL else likely.held
    yield "", Sign(worse.level, held, text, estimate.seconds)


def _stream_gap(seen: Seen) -> Iterator[tuple[str, Sign]]:
    """Of what came after the newest snapshot alone: once there is one behind a gap, all that is newer is
    whole again."""
    if not seen.limits.streamed:
        return
    gaps = [g for g in seen.coverage.gaps if g.cause in (Cause.ROLLED_OVER, Cause.DAMAGED)]
    newest = seen.backups.newest
    whole_from = None if newest is None else newest.end
    for gap in gaps:
        if _after(gap.end, whole_from):
            yield str(gap.start), _sign(Level.CRITICAL, f"{gap.text} Take a backup now.")
    facts = None if seen.readings.stream is None else seen.readings.stream.value
    for sink in () if facts is None else facts.sinks:
        for broke in sink.breaks:
            told = any(g.start < broke.end and (g.end is None or broke.start < g.end) for g in gaps)
            if not told and _after(broke.end, whole_from):
                yield f"{sink.name} {broke.start}", _broke(sink, broke)


def _after(end: Position | None, whole_from: Position | None) -> bool:
    return whole_from is None or end is None or end > whole_from


def _broke(sink: SinkFacts, broke: Break) -> Sign:
    if broke.cause is BreakCause.ROLLED_OVER:
        text = f"{sink.name} has a gap from {broke.start} to {broke.end}: the oplog rolled over unread."
        return _sign(Level.WARNING, f"{text} Take a backup, or see what else has it: mdr coverage")
    what = "another deployment" if broke.cause is BreakCause.REPLACED else "another history"
    text = f"{sink.name} found {what} after {broke.start}; what it had is kept as a branch: mdr coverage"
    return _sign(Level.WARNING, text)


# The stream


def _stream_lag(seen: Seen) -> Iterator[tuple[str, Sign]]:
    if not seen.limits.streamed:
        return
    facts = seen.stream
    for sink in facts.sinks:
        lag = sink.lag_seconds(facts.committed)
        if lag is not None:
            why = "" if sink.trouble is None else f" {sink.trouble.message}"
            text = f"{sink.name} is {duration(lag)} behind the deployment.{why}"
            yield sink.name, seen.over(lag, seen.limits.oplog_lag, text)
        elif sink.trouble is not None and not seen.down:
            yield sink.name, _sign(Level.WARNING, f"{sink.name} does not go on: {sink.trouble.message}")
        else:
            yield sink.name, _unknown(f"How far {sink.name} is behind is not known.")


def _canary(seen: Seen) -> Iterator[tuple[str, Sign]]:
    if not seen.limits.streamed:
        return
    for sink in seen.stream.sinks:
        if sink.canary is None:
            yield sink.name, _unknown(f"No heartbeat has arrived in {sink.name} yet.")
            continue
        text = f"99 of 100 heartbeats are safe in {sink.name} within {duration(sink.canary.p99)}."
        yield sink.name, seen.over(sink.canary.p99, seen.limits.canary, text)


# Jobs and sources


def _job_failed(seen: Seen) -> Iterator[tuple[str, Sign]]:
    jobs = seen.of(seen.readings.jobs, "jobs")
    for kind in sorted({j.kind for j in jobs}):
        last = _last_ended(j for j in jobs if j.kind == kind)
        if last is not None and last.state in ("failed", "partial"):
            why = "" if last.error is None else f": {last.error.message}"
            ended = "was done in part" if last.state == "partial" else "failed"
            level = Level.WARNING if last.state == "partial" else Level.CRITICAL
            yield last.job, _sign(level, f"{kind} {last.job} {ended}{why}")


def _last_ended(jobs: Iterable[JobFacts]) -> JobFacts | None:
    dated = [j for j in jobs if j.started_at is not None and j.state in ("done", "failed", "partial")]
    return max(dated, key=lambda j: (j.started_at, j.job), default=None)


def _source_silent(seen: Seen) -> Iterator[tuple[str, Sign]]:
    """Stores have a kind of their own, and so has a deployment that is down, behind which the rest hides."""
    parts: dict[str, Reading[Any] | None] = {
        "set": seen.readings.set,
        "oplog": seen.readings.oplog,
        "coverage": seen.readings.coverage,
        "jobs": seen.readings.jobs,
        "kafka": seen.readings.kafka,
    }
    for name, reading in parts.items():
        if reading is None or (seen.down and name in ("set", "oplog", "coverage")):
            continue
        level = Level.CRITICAL if name == "set" else Level.WARNING
        if reading.error is not None:
            yield name, _sign(level, f"{name} cannot be read: {reading.error.message}")
        elif (age := seen.age(reading)) > STALE_SECONDS.get(name, _STALE_SECONDS):
            yield name, _sign(level, f"The newest value of {name} is {duration(age)} old.")


_WATCHES: Mapping[Kind, Watch] = {
    Kind.BACKUP_AGE: _backup_age,
    Kind.BACKUP_SIZE: _backup_size,
    Kind.RESTORE_TEST: _restore_test,
    Kind.OPLOG_LAG: _oplog_lag,
    Kind.STREAM_LAG: _stream_lag,
    Kind.STREAM_GAP: _stream_gap,
    Kind.CANARY: _canary,
    Kind.NO_PRIMARY: _no_primary,
    Kind.FAILOVER: _failover,
    Kind.MEMBER_DOWN: _member_down,
    Kind.MARGIN: _margin,
    Kind.OPLOG_WINDOW: _oplog_window,
    Kind.JOB_FAILED: _job_failed,
    Kind.STORE_UNREACHABLE: _store_unreachable,
    Kind.RPO: _rpo,
    Kind.RTO: _rto,
    Kind.SOURCE_SILENT: _source_silent,
}
