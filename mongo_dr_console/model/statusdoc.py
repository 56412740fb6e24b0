"""The JSON documents ``mdr.status`` and ``mdr.coverage``. Null is unknown; never a made-up zero."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from mongo_dr_console.model.alertfacts import AlertsDocument, alerts_document
from mongo_dr_console.model.backupfacts import BackupFacts, StoreFacts
from mongo_dr_console.model.catalogue import SnapshotEntry
from mongo_dr_console.model.coverage import Branch, Coverage, Gap, Range, Unread
from mongo_dr_console.model.event import Event
from mongo_dr_console.model.eventfacts import EventFacts
from mongo_dr_console.model.jobfacts import JobFacts
from mongo_dr_console.model.lease import Leader
from mongo_dr_console.model.lock import LockInfo
from mongo_dr_console.model.oplogfacts import MemberLag, OplogFacts
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.reading import Reading, SourceError
from mongo_dr_console.model.readings import Limits, Readings, live_coverage, open_events, rto_now
from mongo_dr_console.model.setstatus import Member, SetStatus
from mongo_dr_console.model.streamfacts import (
    Break,
    KeptTopic,
    Latency,
    Role,
    SinkFacts,
    SinkState,
    StreamFacts,
)
from mongo_dr_console.model.trouble import Trouble
from mongo_dr_console.model.verdict import Fact, Level, Verdict

T = TypeVar("T")
V = TypeVar("V")


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, populate_by_name=True)


class ReadingDocument(_Document, Generic[V]):
    """A reading: a value or an error from one source.

    Args:
        value: The last good one, also while ``error`` is set.
        taken_at: When that was.
        tried_at: When the newest try ended.
        took_seconds: How long the newest try lasted.
        attempt: 1, then counting the failures in a row.
        next_try: When it is asked again; None: it is not.
        origin: Which server or store answered.
    """

    value: V | None
    error: SourceError | None
    taken_at: datetime | None
    age_seconds: float | None
    tried_at: datetime
    took_seconds: float
    attempt: int
    next_try: datetime | None
    origin: str


class SetDocument(_Document):
    """The replica set.

    Args:
        primary: ``host:port``; None: there is none.
        primary_since: When it was elected.
        term: The election term.
        majority_needed: Votes that an election and a majority write need.
        majority_available: Votes of the members that are up.
        committed: The majority-committed point.
        server_version: Of the member that answered.
        write_blocked: Whether user writes are blocked.
        partial: Why this is not all that could be known; empty otherwise.
        members: One each.
    """

    set_name: str
    told_by: str
    primary: str | None
    primary_since: datetime | None
    term: int | None
    majority_needed: int | None
    majority_available: int
    committed: Position | None
    server_version: str
    write_blocked: bool | None
    partial: str
    members: tuple[Member, ...]


class OplogDocument(_Document):
    """The oplog of the member that answered.

    Args:
        oldest, newest: Both ends.
        oldest_at, newest_at: Their wall times.
        committed: What a restore may use ends here.
        window_seconds: How far back it reaches.
        window_when_full_seconds: How far it will reach once it is full, at today's churn.
        size_bytes: Uncompressed size.
        max_bytes: The size at which the oldest entries go.
        entries: The server's own count.
        churn_bytes_per_second: The rate to reckon with.
        average_bytes_per_second: Over the whole window.
        recent_bytes_per_second, recent_entries_per_second: Measured a moment ago.
        members: Each member against the oplog.
    """

    told_by: str
    oldest: Position
    newest: Position
    oldest_at: datetime
    newest_at: datetime
    committed: Position | None
    window_seconds: float
    window_when_full_seconds: float | None
    size_bytes: int | None
    max_bytes: int | None
    entries: int | None
    churn_bytes_per_second: float | None
    average_bytes_per_second: float | None
    recent_bytes_per_second: float | None
    recent_entries_per_second: float | None
    members: tuple[MemberLag, ...]


class SnapshotDocument(_Document):
    """One snapshot in one store.

    Args:
        origin: ``mongo-dr-console``, or ``mongodump`` for a plain dump.
        taken_at: The moment whose state it holds.
        verified: Whether it was read back and found good.
        verified_at: When it was verified.
        restore_tested_at: When it was last restored from with success.
        problem: Why it cannot be restored from; None: it can.
    """

    name: str
    store: str
    origin: str
    taken_at: datetime
    age_seconds: float
    start: Position | None
    end: Position | None
    documents: int | None
    bytes: int | None
    stored_bytes: int
    verified: bool
    verified_at: datetime | None
    restore_tested_at: datetime | None
    problem: str | None


class StoreDocument(_Document):
    """One store.

    Args:
        where: Its path or address.
        taken_at: When it last answered.
    """

    name: str
    where: str
    error: SourceError | None
    taken_at: datetime | None
    snapshots: tuple[SnapshotDocument, ...]


class BackupsDocument(_Document):
    """All stores.

    Args:
        stores: One each.
        newest: Name of the newest whole snapshot.
        newest_age_seconds: How old it is.
        newest_stored_bytes: Its size in the store.
        size_delta: That size against the comparable one before: 0.5 is half as much again.
    """

    stores: tuple[StoreDocument, ...]
    newest: str | None
    newest_age_seconds: float | None
    newest_stored_bytes: int | None
    size_delta: float | None


class CoverageDocument(_Document):
    """``mdr coverage``: both ends of a range are included; a gap's ends are not part of it.

    Args:
        ranges: In order.
        gaps: Between them and after the last.
        branches: Snapshots, and stretches of the stream, of another history.
        latest: The newest position that can be restored to; None: there is none.
        margin_seconds: Until point-in-time recovery breaks if nothing is done; 0: it is broken.
        live_error: Why the live oplog could not be read.
        scoped: Snapshots of a few databases only; they cover nothing here.
        unread: Sources of the stream that could not be read, with the error: what they alone have is missing
            here.
    """

    schema_name: Literal["mdr.coverage"] = Field(default="mdr.coverage", alias="schema")
    ranges: tuple[Range, ...]
    gaps: tuple[Gap, ...]
    branches: tuple[Branch, ...]
    latest: Position | None
    margin_seconds: float | None
    rpo_seconds: float | None
    rpo_undo_seconds: float | None
    live_error: SourceError | None
    scoped: tuple[str, ...]
    unread: tuple[Unread, ...]


class EventsDocument(_Document):
    """Destructive events of the live oplog, of the last day at most.

    Args:
        events: Oldest first.
        open: Ids of those that no restore has answered since.
        scanned_from: From here on the oplog was looked through.
        scanned_to: Up to here.
        complete: Whether that reaches back a day, or to the oplog's start.
    """

    events: tuple[Event, ...]
    open: tuple[str, ...]
    scanned_from: Position | None
    scanned_to: Position | None
    complete: bool


class SinkDocument(_Document):
    """One sink of the stream.

    Args:
        name: `kafka` or `segments:STORE`.
        state: `waiting` for the deployment; `failed`: the sink itself gives trouble.
        durable: The newest position that is safe in it.
        entries, bytes: Given to it since the agent started.
        lag_seconds: How far that lies behind what a majority of the deployment has.
        member: That is read from.
        trouble: What it waits for, or why it failed.
        breaks: Gaps and forks since the agent started.
        canary: Seconds from a heartbeat's write to its being safe in this sink.
    """

    name: str
    state: SinkState
    durable: Position | None
    lag_seconds: float | None
    entries: int
    bytes: int
    member: str | None
    trouble: SourceError | None
    breaks: tuple[Break, ...]
    canary: Latency | None


class StreamDocument(_Document):
    """The stream of the oplog.

    Args:
        stale: The agent is gone, or hangs: what stands here is not of now.
        host, pid: Where it runs, or ran.
        started_at: When it started.
        written_at: When it wrote this.
        sinks: One each.
        committed: What a majority of the deployment has, as far as the agent knew.
        role: What the agent of this host is to those of others; `waits`: neither it nor anybody that it knows
            of leads; `watches`: its access is watch, so it streams nothing and leads nobody.
        leader: Who leads; null where that is not known. `fence` grows with each who does.
        waits_for: Why it waits.
    """

    stale: bool
    host: str
    pid: int
    started_at: datetime
    written_at: datetime
    committed: Position | None
    role: Role
    leader: Leader | None
    waits_for: SourceError | None
    sinks: tuple[SinkDocument, ...]


class ReadingsDocument(_Document):
    """One for each source.

    Args:
        lock: The job that writes to the deployment, whichever host it is on; a value of null without an
            error: there is none.
        stream: As the agent of this host wrote it last; a value of null without an error: none ever did.
        kafka: What lies in the topic; null: the profile has none.
        alerts: As the agent that leads wrote them last, whichever host it is on; a value of null without an
            error: none ever did.
    """

    set: ReadingDocument[SetDocument] | None
    oplog: ReadingDocument[OplogDocument] | None
    backups: ReadingDocument[BackupsDocument] | None
    coverage: ReadingDocument[CoverageDocument] | None
    events: ReadingDocument[EventsDocument] | None
    jobs: ReadingDocument[tuple[JobFacts, ...]] | None
    lock: ReadingDocument[LockInfo] | None
    stream: ReadingDocument[StreamDocument] | None
    kafka: ReadingDocument[KeptTopic] | None
    alerts: ReadingDocument[AlertsDocument] | None


class VerdictDocument(_Document):
    """What has to be heard first, how bad it is, and what it means.

    Args:
        text: The first fact.
        consequence: What can be got back now, and what it would cost.
        facts: In the order of their ranks: what has to be heard first.
    """

    level: Level
    text: str
    consequence: str
    facts: tuple[Fact, ...]


class TargetsDocument(_Document):
    """What the profile promises.

    Args:
        rpo_seconds, rto_seconds: ``targets`` of the profile.
    """

    rpo_seconds: float
    rto_seconds: float


class RtoDocument(_Document):
    """The estimate with its uncertainty.

    Args:
        low_seconds, high_seconds: Between these.
        basis: What it was reckoned from.
    """

    low_seconds: float
    high_seconds: float
    basis: str


class StatusDocument(_Document):
    """``mdr status``: all readings, and what they mean.

    Args:
        now: When this was told.
        readings: One for each source.
        targets: What the numbers are held against.
        rto: The same with its uncertainty.
        verdict: What it all means.
    """

    schema_name: Literal["mdr.status"] = Field(default="mdr.status", alias="schema")
    profile: str
    environment: str
    now: datetime
    verdict: VerdictDocument
    rpo_seconds: float | None
    rpo_undo_seconds: float | None
    rto_seconds: float | None
    rto: RtoDocument | None
    targets: TargetsDocument
    readings: ReadingsDocument


def status_document(readings: Readings, verdict: Verdict, limits: Limits, now: datetime) -> StatusDocument:
    """Everything that is known now."""
    coverage = live_coverage(readings, now)
    rto = rto_now(readings)
    return StatusDocument(
        profile=readings.profile,
        environment=readings.environment,
        now=now,
        verdict=VerdictDocument(
            level=verdict.level, text=verdict.text, consequence=verdict.consequence, facts=verdict.facts
        ),
        rpo_seconds=_round(coverage.rpo_seconds if coverage else None),
        rpo_undo_seconds=_round(coverage.rpo_undo_seconds if coverage else None),
        rto_seconds=_round(rto.seconds if rto else None),
        rto=None
        if rto is None
        else RtoDocument(low_seconds=round(rto.low, 1), high_seconds=round(rto.high, 1), basis=rto.basis),
        targets=TargetsDocument(rpo_seconds=limits.rpo, rto_seconds=limits.rto),
        readings=_readings(readings, now),
    )


def coverage_document(coverage: Coverage) -> CoverageDocument:
    return CoverageDocument(
        ranges=coverage.ranges,
        gaps=coverage.gaps,
        branches=coverage.branches,
        latest=coverage.latest,
        margin_seconds=_round(coverage.margin_seconds),
        rpo_seconds=_round(coverage.rpo_seconds),
        rpo_undo_seconds=_round(coverage.rpo_undo_seconds),
        live_error=coverage.live_error,
        scoped=coverage.scoped,
        unread=coverage.unread,
    )


def _readings(readings: Readings, now: datetime) -> ReadingsDocument:
    return ReadingsDocument(
        set=_reading(readings.set, now, _set),
        oplog=_reading(readings.oplog, now, _oplog),
        backups=_reading(readings.backups, now, lambda facts: _backups(facts, now)),
        coverage=_reading(readings.coverage, now, coverage_document),
        events=_reading(readings.events, now, lambda facts: _events(facts, readings, now)),
        jobs=_reading(readings.jobs, now, lambda jobs: jobs),
        lock=_reading(readings.lock, now, _lock),
        stream=_reading(readings.stream, now, lambda facts: _stream(facts, now)),
        kafka=_reading(readings.kafka, now, lambda topic: topic),
        alerts=_reading(readings.alerts, now, lambda facts: alerts_document(readings.profile, facts, now)),
    )


def _events(facts: EventFacts, readings: Readings, now: datetime) -> EventsDocument:
    return EventsDocument(
        events=facts.events,
        open=tuple(e.id for e in open_events(readings, now)),
        scanned_from=facts.scanned_from,
        scanned_to=facts.scanned_to,
        complete=facts.complete,
    )


def _stream(facts: StreamFacts | None, now: datetime) -> StreamDocument:
    # Asked for a value only.
    assert facts is not None
    same = ("host", "pid", "started_at", "written_at", "committed", "role", "leader")
    return StreamDocument(
        stale=facts.stale(now),
        sinks=tuple(_sink(s, facts.committed) for s in facts.sinks),
        waits_for=_error(facts.waits_for),
        **{n: getattr(facts, n) for n in same},
    )


def _sink(sink: SinkFacts, committed: Position | None) -> SinkDocument:
    same = ("name", "state", "durable", "entries", "bytes", "member", "breaks", "canary")
    return SinkDocument(
        lag_seconds=sink.lag_seconds(committed),
        trouble=_error(sink.trouble),
        **{n: getattr(sink, n) for n in same},
    )


def _error(trouble: Trouble | None) -> SourceError | None:
    return None if trouble is None else SourceError(trouble.code, trouble.message, trouble.hint)


def _lock(lock: LockInfo | None) -> LockInfo:
    # Asked for a value only: nobody's lock is null already.
    assert lock is not None
    return lock


def _reading(
    reading: Reading[T] | None, now: datetime, document: Callable[[T], V]
) -> ReadingDocument[V] | None:
    if reading is None:
        return None
    age = reading.age(now)
    shown: dict[str, Any] = {
        "value": None if reading.value is None else document(reading.value),
        "error": reading.error,
        "taken_at": reading.taken_at,
        "age_seconds": None if age is None else _round(age.total_seconds()),
        "tried_at": reading.tried_at,
        "took_seconds": round(reading.took.total_seconds(), 4),
        "attempt": reading.attempt,
        "next_try": reading.next_try,
        "origin": reading.origin,
    }
    return ReadingDocument[V](**shown)


def _set(status: SetStatus) -> SetDocument:
    return SetDocument(**{name: getattr(status, name) for name in SetDocument.model_fields})


def _oplog(facts: OplogFacts) -> OplogDocument:
    return OplogDocument(**{name: getattr(facts, name) for name in OplogDocument.model_fields})


def _backups(facts: BackupFacts, now: datetime) -> BackupsDocument:
    newest = facts.newest
    return BackupsDocument(
        stores=tuple(_store(s, now) for s in facts.stores),
        newest=newest.name if newest else None,
        newest_age_seconds=_round(newest.age_seconds(now)) if newest else None,
        newest_stored_bytes=newest.stored_bytes if newest else None,
        size_delta=facts.size_delta,
    )


def _store(store: StoreFacts, now: datetime) -> StoreDocument:
    return StoreDocument(
        name=store.name,
        where=store.where,
        error=store.error,
        taken_at=store.taken_at,
        snapshots=tuple(_snapshot(s, now) for s in store.snapshots),
    )


def _snapshot(entry: SnapshotEntry, now: datetime) -> SnapshotDocument:
    return SnapshotDocument(
        name=entry.name,
        store=entry.store,
        origin=entry.origin,
        taken_at=entry.taken_at,
        age_seconds=round(entry.age_seconds(now), 1),
        start=None if entry.window is None else entry.window.start,
        end=entry.end,
        documents=entry.documents,
        bytes=entry.bytes,
        stored_bytes=entry.stored_bytes,
        verified=entry.verified,
        verified_at=None if entry.verification is None else entry.verification.at,
        restore_tested_at=entry.restore_tested_at,
        problem=None if entry.problem is None else entry.problem.message,
    )


def _round(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)
