"""The readings as metrics for Prometheus: what each is called, what it says, and its values now. Pure.

What is not known has no sample: a made-up zero would look well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from mongo_dr_console.model.alertfacts import AlertFacts
from mongo_dr_console.model.backupfacts import BackupFacts
from mongo_dr_console.model.failoverdoc import FailoverFacts
from mongo_dr_console.model.level import Level
from mongo_dr_console.model.reading import Reading
from mongo_dr_console.model.readings import Limits, Readings, live_coverage, rto_now
from mongo_dr_console.model.streamfacts import SinkFacts, StreamFacts


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric; ``labels`` come after ``profile``."""

    name: str
    about: str
    labels: tuple[str, ...] = ()
    kind: Literal["gauge", "counter"] = "gauge"

    @property
    def unit(self) -> str:
        return next((u for u in ("seconds", "bytes", "ratio") if self.name.endswith(f"_{u}")), "")


def _gauge(name: str, about: str, *labels: str) -> Metric:
    return Metric(f"mdr_{name}", about, labels)


def _counter(name: str, about: str, *labels: str) -> Metric:
    return Metric(f"mdr_{name}", about, labels, "counter")


METRICS: Mapping[str, Metric] = {
    metric.name.removeprefix("mdr_"): metric
    for metric in (
        _gauge("source_up", "Whether the newest try to read a source succeeded.", "source"),
        _gauge("source_age_seconds", "Age of a source's newest value.", "source"),
        _gauge("source_read_seconds", "How long the newest try to read a source took.", "source"),
        _gauge("primary_up", "Whether the replica set has a primary."),
        _gauge("votes_available", "Votes of the members that are up."),
        _gauge("votes_needed", "Votes that an election and a majority write need."),
        _gauge("member_up", "Whether a member is up and serves.", "member"),
        _gauge("member_lag_seconds", "How far a member is behind the primary.", "member"),
        _gauge("member_headroom_seconds", "How much further a member may fall behind the oplog.", "member"),
        _gauge("oplog_window_seconds", "How far the oplog reaches back."),
        _gauge("oplog_full_window_seconds", "How far it will reach back once it is full, at today's churn."),
        _gauge("oplog_size_bytes", "Size of the oplog now, uncompressed."),
        _gauge("oplog_limit_bytes", "Size at which the oldest entries of the oplog go."),
        _gauge("backup_age_seconds", "Age of the newest whole snapshot."),
        _gauge("backup_stored_bytes", "Size of the newest whole snapshot in the store."),
        _gauge("backup_documents", "Documents in the newest whole snapshot."),
        _gauge("backup_took_seconds", "How long the newest whole snapshot took."),
        _gauge("backup_change_ratio", "Its stored size against the one before: 0.5 is half as much again."),
        _gauge("restore_test_age_seconds", "Since a restore was last rehearsed with success."),
        _gauge("store_snapshots", "Snapshots in a store.", "store"),
        _gauge("coverage_gaps", "Gaps between the ranges that can be restored to."),
        _gauge("coverage_branches", "What lies on another history than the deployment's."),
        _gauge("margin_seconds", "Until point-in-time recovery breaks if nothing is done; 0: it is broken."),
        _gauge("rpo_seconds", "What would be lost if the deployment were lost now."),
        _gauge("rpo_undo_seconds", "What a mistake on the living deployment would cost now."),
        _gauge("rpo_target_seconds", "What may be lost at most."),
        _gauge("rto_seconds", "What a restore would take now, estimated."),
        _gauge("rto_low_seconds", "The least that a restore should take now."),
        _gauge("rto_high_seconds", "The most that a restore should take now."),
        _gauge("rto_target_seconds", "How long a restore may take."),
        _gauge("stream_up", "Whether a sink is streamed to and gives no trouble.", "sink"),
        _gauge("stream_lag_seconds", "How far what is safe in a sink is behind the deployment.", "sink"),
        _counter("stream_entries", "Oplog entries given to a sink since the agent started.", "sink"),
        _counter("stream_written_bytes", "Bytes given to a sink since the agent started.", "sink"),
        _gauge("stream_breaks", "Gaps and forks of a sink since the agent started.", "sink"),
        _gauge("canary_half_seconds", "Half of the heartbeats are safe in a sink within this.", "sink"),
        _gauge("canary_most_seconds", "99 of 100 heartbeats are safe in a sink within this.", "sink"),
        _gauge("topic_retention_seconds", "How long the Kafka topic keeps an entry."),
        _gauge("failover_running", "Whether a failover is under way."),
        _gauge("failover_needs_hand", "Whether the newest failover stands at a step that wants a hand."),
        _gauge("failover_paused", "Whether the failover monitor is told to do nothing."),
        _gauge("jobs", "Jobs of this host by kind and state.", "kind", "state"),
        _gauge("alerts", "Alerts that run, by kind and level.", "kind", "level"),
        _gauge("alerts_silenced", "Silences that stand."),
        _gauge("alert_way_up", "Whether the newest try to send a message this way succeeded.", "way"),
        _gauge("alert_messages_waiting", "Messages that are still to be sent.", "way"),
        _counter("alert_messages_sent", "Messages that were sent.", "way"),
        _counter("alert_messages_failed", "Tries to send a message that failed.", "way"),
        _counter("alert_messages_lost", "Messages that were given up.", "way"),
        _gauge("alerts_store_up", "Whether the store that agents share takes what they remember."),
    )
}
"""Every metric, by its name without the prefix."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One value; the labels are in the order of the metric's."""

    metric: str
    value: float
    labels: tuple[str, ...] = ()


def samples(readings: Readings, facts: AlertFacts | None, limits: Limits, now: datetime) -> Iterator[Sample]:
    """All values that are known now."""
    for name, value, *labels in _values(readings, facts, limits, now):
        if value is not None:
            yield Sample(name, float(value), tuple(labels))


Values = Iterator[tuple[Any, ...]]


def _values(readings: Readings, facts: AlertFacts | None, limits: Limits, now: datetime) -> Values:
    yield from _sources(readings, now)
    yield from _set(readings)
    yield from _oplog(readings)
    backups = readings.backups
    if backups is not None and backups.value is not None:
        yield from _backups(backups.value, now)
    yield from _coverage(readings, limits, now)
    if readings.stream is not None and readings.stream.value is not None:
        yield from _stream(readings.stream.value, now)
    if readings.kafka is not None and readings.kafka.value is not None:
        yield "topic_retention_seconds", readings.kafka.value.retention_seconds
    if readings.failover is not None and readings.failover.value is not None:
        yield from _failover(readings.failover.value, now)
    yield from _jobs(readings)
    if facts is not None:
        yield from _alerts(facts, now)


def _sources(readings: Readings, now: datetime) -> Values:
    for reading in _all(readings):
        yield "source_up", reading.error is None, reading.source
        age = reading.age(now)
        if age is not None:
            yield "source_age_seconds", max(0.0, age.total_seconds()), reading.source
        yield "source_read_seconds", reading.took.total_seconds(), reading.source


def _all(readings: Readings) -> Iterator[Reading[Any]]:
    single = (
        readings.set,
        readings.oplog,
        readings.coverage,
        readings.events,
        readings.jobs,
        readings.lock,
        readings.stream,
        readings.kafka,
        readings.failover,
    )
    yield from (reading for reading in single if reading is not None)
    yield from readings.stores.values()


def _set(readings: Readings) -> Values:
    if readings.set is None or readings.set.value is None or readings.set.error is not None:
        return
    status = readings.set.value
    yield "primary_up", status.primary is not None
    yield "votes_available", status.majority_available
    yield "votes_needed", status.majority_needed
    for member in status.members:
        yield "member_up", member.up, member.name
        yield "member_lag_seconds", member.lag_seconds, member.name


def _oplog(readings: Readings) -> Values:
    if readings.oplog is None or readings.oplog.value is None:
        return
    oplog = readings.oplog.value
    yield "oplog_window_seconds", oplog.window_seconds
    yield "oplog_full_window_seconds", oplog.window_when_full_seconds
    yield "oplog_size_bytes", oplog.size_bytes
    yield "oplog_limit_bytes", oplog.max_bytes
    for member in oplog.members:
        yield "member_headroom_seconds", member.headroom_seconds, member.name


def _backups(backups: BackupFacts, now: datetime) -> Values:
    newest = backups.newest
    if newest is not None:
        yield "backup_age_seconds", newest.age_seconds(now)
        yield "backup_stored_bytes", newest.stored_bytes
        yield "backup_documents", newest.documents
        yield "backup_took_seconds", newest.seconds
    yield "backup_change_ratio", backups.size_delta
    tested = [s.restore_tested_at for store in backups.stores for s in store.snapshots if s.restore_tested_at]
    if backups.drilled is not None:
        tested.append(backups.drilled.at)
    if tested:
        yield "restore_test_age_seconds", (now - max(tested)).total_seconds()
    for store in backups.stores:
        yield "store_snapshots", len(store.snapshots), store.name


def _coverage(readings: Readings, limits: Limits, now: datetime) -> Values:
    coverage = live_coverage(readings, now)
    if coverage is not None:
        yield "coverage_gaps", len(coverage.gaps)
        yield "coverage_branches", len(coverage.branches)
        yield "margin_seconds", coverage.margin_seconds
        yield "rpo_seconds", coverage.rpo_seconds
        yield "rpo_undo_seconds", coverage.rpo_undo_seconds
    yield "rpo_target_seconds", limits.rpo
    yield "rto_target_seconds", limits.rto
    rto = rto_now(readings)
    if rto is not None:
        yield "rto_seconds", rto.seconds
        yield "rto_low_seconds", rto.low
        yield "rto_high_seconds", rto.high


def _stream(facts: StreamFacts, now: datetime) -> Values:
    gone = facts.stale(now)
    for sink in facts.sinks:
        yield "stream_up", not gone and sink.state == "streaming" and sink.trouble is None, sink.name
        if not gone:
            yield from _sink(sink, facts)


def _sink(sink: SinkFacts, facts: StreamFacts) -> Values:
    yield "stream_lag_seconds", sink.lag_seconds(facts.committed), sink.name
    yield "stream_entries", sink.entries, sink.name
    yield "stream_written_bytes", sink.bytes, sink.name
    yield "stream_breaks", len(sink.breaks), sink.name
    if sink.canary is not None:
        yield "canary_half_seconds", sink.canary.p50, sink.name
        yield "canary_most_seconds", sink.canary.p99, sink.name


def _failover(facts: FailoverFacts, now: datetime) -> Values:
    if facts.stale(now):
        return
    run = facts.run or facts.last
    stuck = run is not None and run.state in ("running", "failed") and run.stuck is not None
    yield "failover_running", facts.run is not None
    yield "failover_needs_hand", stuck
    yield "failover_paused", facts.pause is not None and facts.pause.holds(now)


def _jobs(readings: Readings) -> Values:
    if readings.jobs is None or readings.jobs.value is None:
        return
    counted: dict[tuple[str, str], int] = {}
    for job in readings.jobs.value:
        counted[job.kind, job.state] = counted.get((job.kind, job.state), 0) + 1
    for (kind, state), number in counted.items():
        yield "jobs", number, kind, state


def _alerts(facts: AlertFacts, now: datetime) -> Values:
    counted: dict[tuple[str, Level], int] = {}
    for alert in facts.running_alerts:
        counted[alert.kind, alert.level] = counted.get((alert.kind, alert.level), 0) + 1
    for (kind, level), number in counted.items():
        yield "alerts", number, str(kind), level.value
    yield "alerts_silenced", sum(now < s.until for s in facts.state.silences)
    yield "alerts_store_up", facts.store_trouble is None
    for way in facts.ways:
        yield "alert_way_up", way.trouble is None, way.name
        yield "alert_messages_waiting", facts.waiting(way.name), way.name
        yield "alert_messages_sent", way.sent, way.name
        yield "alert_messages_failed", way.failed, way.name
        yield "alert_messages_lost", way.lost, way.name
