"""All readings of one deployment, and the limits that they are held against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from mongo_dr_console.model.backupfacts import BackupFacts, StoreFacts, backup_facts
from mongo_dr_console.model.coverage import Coverage, at
from mongo_dr_console.model.estimate import Estimate, Measured, Work, estimate, operations_between
from mongo_dr_console.model.event import CHANGES, Event
from mongo_dr_console.model.eventfacts import EventFacts, Restored, unanswered
from mongo_dr_console.model.identity import Identity
from mongo_dr_console.model.jobfacts import JobFacts, of_lock
from mongo_dr_console.model.lock import LockInfo
from mongo_dr_console.model.oplogfacts import OplogFacts
from mongo_dr_console.model.reading import Reading, SourceError
from mongo_dr_console.model.setstatus import SetStatus
from mongo_dr_console.model.streamfacts import KeptTopic, StreamFacts

if TYPE_CHECKING:
    from mongo_dr_console.model.alertfacts import AlertFacts
    from mongo_dr_console.model.failoverdoc import FailoverFacts

SET = "set"
OPLOG = "oplog"
BACKUPS = "backups"
COVERAGE = "coverage"
EVENTS = "events"
JOBS = "jobs"
LOCK = "lock"
STREAM = "stream"
KAFKA = "kafka"
ALERTS = "alerts"
FAILOVER = "failover"
STORE = "store:"
"""What the names of the stores' sources begin with."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """Seconds (or a ratio) at which a fact is a warning, and at which it is critical."""

    critical: float
    warning: float | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """Targets and thresholds of a profile, in seconds; ``size_delta`` and ``oplog_window`` as ratios.

    ``canary``: until a heartbeat is safe in a sink. ``oplog_window``: how far the oplog reaches back, against
    what a backup takes; less is worse.
    ``stored``: whether there is a store at all.
    ``streamed``: whether a stream is configured, without which RPO cannot be better than the time between
    two snapshots.
    """

    rpo: float
    rto: float
    backup_age: Threshold
    size_delta: Threshold
    restore_test_age: Threshold
    oplog_lag: Threshold
    margin: Threshold
    stored: bool = True
    streamed: bool = False
    canary: Threshold = Threshold(60.0)
    oplog_window: Threshold = Threshold(1.0, 2.0)


@dataclass(frozen=True, slots=True)
class Readings:
    """The newest reading of each source; None where a source has neither answered nor failed yet.

    A reading of ``lock`` whose value is None and that has no error says: nobody writes to the deployment; one
    of ``stream``: no agent of this host streams it; one of ``alerts``: no agent ever watched; one of
    ``failover``: none watches its primary. ``kafka`` is None where the profile has no topic.
    """

    profile: str
    environment: str
    set: Reading[SetStatus] | None = None
    oplog: Reading[OplogFacts] | None = None
    stores: Mapping[str, Reading[StoreFacts]] = field(default_factory=dict)
    coverage: Reading[Coverage] | None = None
    events: Reading[EventFacts] | None = None
    jobs: Reading[tuple[JobFacts, ...]] | None = None
    lock: Reading[LockInfo | None] | None = None
    stream: Reading[StreamFacts | None] | None = None
    kafka: Reading[KeptTopic] | None = None
    alerts: Reading[AlertFacts | None] | None = None
    failover: Reading[FailoverFacts | None] | None = None

    @property
    def identity(self) -> Identity | None:
        """The deployment's, where the live oplog told it."""
        known = None if self.coverage is None else self.coverage.value
        live = None if known is None else known.live
        return None if live is None else live.identity

    @property
    def restores(self) -> tuple[Restored, ...]:
        """The restores that are done and were not undone, from the ledgers and from this host's jobs."""
        jobs = () if self.jobs is None or self.jobs.value is None else self.jobs.value
        stores = [r.value for r in self.stores.values() if r.value is not None]
        gone = {j.undone for j in jobs if j.undone} | {job for facts in stores for job in facts.undone}
        found = {r.job: r for facts in stores for r in facts.restored}
        found |= {j.job: j.restored for j in jobs if j.restored is not None}
        return tuple(r for job, r in found.items() if job not in gone)

    @property
    def measured(self) -> tuple[Measured, ...]:
        """The restores that were done, from the ledgers: they make the estimate of RTO."""
        known = [r.value for r in self.stores.values() if r.value is not None]
        return tuple(dict.fromkeys(m for facts in known for m in facts.measured))

    @property
    def backups(self) -> Reading[BackupFacts] | None:
        """All stores as one reading: as old as its oldest part, in error where no store can be read."""
        return combine(tuple(self.stores.values()), self.identity)


def combine(
    stores: tuple[Reading[StoreFacts], ...], identity: Identity | None = None
) -> Reading[BackupFacts] | None:
    """The stores' readings as one; ``identity`` is the deployment's, where it is known."""
    if not stores:
        return None
    parts = tuple(_with_error(r) for r in stores)
    failed = [r for r in stores if r.error is not None]
    dated = [r.taken_at for r in stores if r.taken_at is not None]
    return Reading(
        source=BACKUPS,
        value=backup_facts(parts, identity) if dated else None,
        error=_all_failed(failed) if len(failed) == len(stores) else None,
        taken_at=min(dated, default=None),
        tried_at=max(r.tried_at for r in stores),
        took=max((r.took for r in stores), default=timedelta()),
        attempt=max(r.attempt for r in stores),
        next_try=min((r.next_try for r in stores if r.next_try is not None), default=None),
        origin=", ".join(r.source.partition(":")[2] or r.source for r in stores),
    )


def _with_error(reading: Reading[StoreFacts]) -> StoreFacts:
    name = reading.source.partition(":")[2]
    if reading.value is None:
        return StoreFacts(name, reading.origin, error=reading.error)
    known = reading.value
    return replace(known, error=reading.error or known.error, taken_at=reading.taken_at)


def _all_failed(failed: list[Reading[StoreFacts]]) -> SourceError:
    first = failed[0].error
    assert first is not None
    if len(failed) == 1:
        return first
    return SourceError(first.code, f"No store can be read: {first.message}", first.hint)


def rto_now(readings: Readings) -> Estimate | None:
    """RTO now: a restore of everything from the newest snapshot to the newest position. None where there is
    no snapshot, or its size is not known."""
    backups = readings.backups
    base = None if backups is None or backups.value is None else backups.value.newest
    if base is None or base.documents is None or base.bytes is None:
        return None
    oplog = None if readings.oplog is None else readings.oplog.value
    operations = 0
    if oplog is not None and base.end is not None:
        after = float(oplog.newest.t - base.end.t)
        operations = operations_between(oplog.entries, oplog.window_seconds, after)
    return estimate(Work(base.documents, base.bytes, operations), readings.measured)


def open_events(readings: Readings, now: datetime) -> tuple[Event, ...]:
    """The destructive events of the last day that no restore has answered since, newest first."""
    known = None if readings.events is None else readings.events.value
    lost = () if known is None else (e for e in known.events if e.kind not in CHANGES)
    return unanswered(lost, readings.restores, readings.identity, now)


def all_jobs(readings: Readings) -> tuple[JobFacts, ...]:
    """This host's jobs, and the one of another host that has the deployment's lock."""
    jobs = () if readings.jobs is None or readings.jobs.value is None else readings.jobs.value
    lock = None if readings.lock is None else readings.lock.value
    if lock is None or any(j.job == lock.job for j in jobs):
        return jobs
    return (*jobs, of_lock(lock))


def live_coverage(readings: Readings, now: datetime) -> Coverage | None:
    """Coverage as it is now: see ``coverage.at``."""
    reading = readings.coverage
    if reading is None or reading.value is None or reading.taken_at is None:
        return None
    return at(reading.value, now, reading.taken_at)


def reading_of(readings: Readings, name: str) -> Reading[Any] | None:
    """The reading of a source by its name."""
    if name.startswith(STORE):
        return readings.stores.get(name)
    reading: Reading[Any] | None = getattr(readings, name)
    return reading


def with_reading(readings: Readings, reading: Reading[Any]) -> Readings:
    """The readings with one of them replaced."""
    if reading.source.startswith(STORE):
        return replace(readings, stores={**readings.stores, reading.source: reading})
    part: dict[str, Any] = {reading.source: reading}
    return replace(readings, **part)
