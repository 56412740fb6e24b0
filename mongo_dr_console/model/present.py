"""Readings as rows: what a text screen, a panel or a plain print shows. Pure.

Every value comes with its age; a level is a glyph and a word, never colour alone. Text is data of others
(names, error texts): whoever prints it cleans it, and never reads it as markup.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from mongo_dr_console.model.backupfacts import BackupFacts, StoreFacts
from mongo_dr_console.model.catalogue import SnapshotEntry
from mongo_dr_console.model.coverage import Coverage
from mongo_dr_console.model.happenings import Happening
from mongo_dr_console.model.jobfacts import RUNNING, JobFacts
from mongo_dr_console.model.oplogfacts import OplogFacts
from mongo_dr_console.model.panel import Panel, Row, age_in_words, make_panel
from mongo_dr_console.model.presentevents import present_events
from mongo_dr_console.model.reading import Reading
from mongo_dr_console.model.readings import Limits, Readings, all_jobs, live_coverage, rto_now
from mongo_dr_console.model.setstatus import ARBITER, PRIMARY, SECONDARY, Member, SetStatus
from mongo_dr_console.model.streamfacts import standing
from mongo_dr_console.model.verdict import Level, Verdict, grade, grade_least, worst
from mongo_dr_console.model.words import UNKNOWN, duration, moment, ratio, size

__all__ = [
    "Panel",
    "Row",
    "numbers_line",
    "present",
    "present_backups",
    "present_coverage",
    "present_events",
    "present_jobs",
    "present_oplog",
    "present_set",
]

_SHOWN = 5
"""Snapshots and jobs that are shown where nothing else is said."""


def present(
    readings: Readings,
    verdict: Verdict,
    limits: Limits,
    now: datetime,
    happenings: Iterable[Happening] = (),
    *,
    most: int = _SHOWN,
) -> tuple[Panel, ...]:
    """All panels, in the order in which they are looked at.

    Args:
        happenings: What was observed so far, for the events.
        most: How many snapshots and jobs at most, the newest first.
    """
    return (
        present_set(readings.set, verdict, limits, now),
        present_oplog(readings.oplog, verdict, now),
        present_backups(readings.backups, verdict, limits, now, most),
        present_coverage(readings, verdict, limits, now),
        present_events(readings, happenings, verdict, now),
        present_jobs(readings, verdict, now, most),
    )


def numbers_line(readings: Readings, limits: Limits, now: datetime) -> Row:
    """RPO now, RPO undo and RTO now with targets and age: the line that is always second."""
    coverage = live_coverage(readings, now)
    rpo = None if coverage is None else coverage.rpo_seconds
    undo = None if coverage is None else coverage.rpo_undo_seconds
    rto = rto_now(readings)
    levels = [
        Level.UNKNOWN if rpo is None else _over(rpo, limits.rpo),
        Level.UNKNOWN if rto is None else _over(rto.seconds, limits.rto),
    ]
    around = "" if rto is None else f" ({duration(rto.low)} to {duration(rto.high)})"
    cells = (
        f"RPO now {duration(rpo)} (target {duration(limits.rpo)})",
        f"RPO undo {duration(undo)}",
        f"RTO now {'' if rto is None else '~'}{duration(rto.seconds if rto else None)}{around}"
        f" (target {duration(limits.rto)})",
        f"age {age_in_words(readings.coverage, now)}",
    )
    return Row(cells, worst(levels))


def present_set(reading: Reading[SetStatus] | None, verdict: Verdict, limits: Limits, now: datetime) -> Panel:
    status = None if reading is None else reading.value
    rows: tuple[Row, ...] = ()
    notes: tuple[Row, ...] = ()
    stale = reading is not None and reading.stale
    if status is not None:
        rows = tuple(_member_row(m, limits, stale) for m in status.members)
        notes = (Row((_set_note(status, now),)), *(Row((status.partial,)) for _ in [0] if status.partial))
    title = "Replica set" + (f" {status.set_name}" if status else "")
    header = ("MEMBER", "STATE", "LAG", "PING", "VOTES", "SYNCS FROM", "HEARD")
    return make_panel("set", title, reading, verdict, now, header, rows, notes)


def _member_row(member: Member, limits: Limits, stale: bool) -> Row:
    state = f"{UNKNOWN}{member.state}" if stale else member.state
    lag = "-" if member.state in (PRIMARY, ARBITER) else duration(member.lag_seconds)
    return Row(
        (
            member.name,
            state,
            lag,
            "-" if member.ping_ms is None else f"{member.ping_ms:.0f}ms",
            UNKNOWN if member.votes is None else str(member.votes),
            member.sync_source or "-",
            "-" if member.heartbeat_age_seconds is None else duration(member.heartbeat_age_seconds),
        ),
        Level.UNKNOWN if stale else _member_level(member, limits),
        key=f"member:{member.name}",
    )


def _member_level(member: Member, limits: Limits) -> Level:
    if not member.healthy:
        return Level.CRITICAL
    if member.state not in (PRIMARY, SECONDARY, ARBITER):
        return Level.WARNING
    return Level.FINE if member.lag_seconds is None else grade(member.lag_seconds, limits.oplog_lag)


def _set_note(status: SetStatus, now: datetime) -> str:
    needed = UNKNOWN if status.majority_needed is None else str(status.majority_needed)
    parts = [
        f"term {UNKNOWN if status.term is None else status.term}",
        f"majority needs {needed}, has {status.majority_available}"
        + (" (ok)" if status.has_majority else " (NO MAJORITY)"),
    ]
    if status.primary_since is not None:
        parts.append(f"primary since {duration((now - status.primary_since).total_seconds())}")
    if status.server_version:
        parts.append(f"mongod {status.server_version}")
    if status.write_blocked:
        parts.append("user writes are BLOCKED")
    return ", ".join(parts)


def present_oplog(reading: Reading[OplogFacts] | None, verdict: Verdict, now: datetime) -> Panel:
    facts = None if reading is None else reading.value
    rows: list[Row] = []
    if facts is not None:
        reach = duration(facts.window_when_full_seconds)
        rows = [
            Row(("window", f"{duration(facts.window_seconds)} (when full {reach})")),
            Row(("size", f"{size(facts.size_bytes)} of {size(facts.max_bytes)}")),
            Row(("churn", f"{size(_hourly(facts.churn_bytes_per_second))}/h")),
            Row(("oldest", f"{moment(facts.oldest_at)} ({facts.oldest})")),
            Row(("newest", f"{moment(facts.newest_at)} ({facts.newest})")),
        ]
        rows += [
            Row((m.name, f"lag {duration(m.lag_seconds)}, {_headroom(m.headroom_seconds)}"))
            for m in facts.members
        ]
    return make_panel("oplog", "Oplog", reading, verdict, now, (), tuple(rows))


def _headroom(seconds: float | None) -> str:
    if seconds is None:
        return "not known whether it can catch up"
    if seconds < 0:
        return "has fallen off the oplog"
    return f"can catch up for another {duration(seconds)}"


def _hourly(rate: float | None) -> float | None:
    return None if rate is None else rate * 3600


def present_backups(
    reading: Reading[BackupFacts] | None,
    verdict: Verdict,
    limits: Limits,
    now: datetime,
    most: int = _SHOWN,
) -> Panel:
    facts = None if reading is None else reading.value
    header = ("SNAPSHOT", "STORE", "AGE", "SIZE", "DOCUMENTS", "VERIFIED", "RESTORE-TESTED")
    if facts is None:
        panel = make_panel("backups", "Backups", reading, verdict, now, header)
        return (
            panel
            if limits.stored
            else replace(panel, level=Level.CRITICAL, trouble="the profile has no store")
        )
    found = sorted(
        ((store, s) for store in facts.stores for s in store.snapshots),
        key=lambda pair: (pair[1].taken_at, pair[1].name),
        reverse=True,
    )
    rows = tuple(_snapshot_row(store, s, limits, now) for store, s in found[:most])
    notes = [Row((_store_note(s, now),), Level.CRITICAL if s.error else None) for s in facts.stores]
    if len(found) > most:
        notes.append(Row((f"{len(found) - most} older ones: mdr snapshots list",)))
    if facts.size_delta is not None:
        notes.append(Row((f"the newest differs in size by {ratio(facts.size_delta)} from the one before",)))
    return make_panel("backups", "Backups", reading, verdict, now, header, rows, tuple(notes))


def _snapshot_row(store: StoreFacts, entry: SnapshotEntry, limits: Limits, now: datetime) -> Row:
    check = entry.verification
    cells = (
        entry.name,
        entry.store,
        duration(entry.age_seconds(now)),
        size(entry.stored_bytes),
        UNKNOWN if entry.documents is None else f"{entry.documents:,}",
        "-" if check is None else f"level {check.level} {'ok' if check.good else 'BAD'}",
        "-" if entry.restore_tested_at is None else moment(entry.restore_tested_at),
    )
    key = f"snapshot:{entry.name}@{entry.store}"
    if entry.problem is not None:
        return Row((*cells[:5], "UNREADABLE", cells[6]), Level.CRITICAL, key)
    if store.error is not None:
        return Row(cells, Level.UNKNOWN, key)
    if check is not None and not check.good:
        return Row(cells, Level.CRITICAL, key)
    return Row(cells, Level.FINE, key)


def _store_note(store: StoreFacts, now: datetime) -> str:
    count = len(store.snapshots)
    what = (
        f"{count} snapshot{'' if count == 1 else 's'}, {size(sum(s.stored_bytes for s in store.snapshots))}"
    )
    where = f" {store.where}" if store.where else ""
    if store.error is None:
        return f"store {store.name}{where}: {what}"
    known = (
        "" if store.taken_at is None else f" ({what} {duration((now - store.taken_at).total_seconds())} ago)"
    )
    return f"store {store.name}{where}: {store.error.message}{known}"


def present_coverage(readings: Readings, verdict: Verdict, limits: Limits, now: datetime) -> Panel:
    coverage = live_coverage(readings, now)
    rows: list[Row] = []
    notes: list[Row] = []
    if coverage is not None:
        rows = _coverage_rows(coverage, now)
        if coverage.bases:
            margin = f"margin {duration(coverage.margin_seconds)}"
            notes.append(Row((margin,), _margin_level(coverage, limits)))
        if coverage.live_error is not None:
            notes.append(Row((f"live oplog: {coverage.live_error.message}",), Level.UNKNOWN))
        notes += [Row((f"{u.source}: {u.error.message}",), Level.WARNING) for u in coverage.unread]
        notes += _stream_rows(readings, limits, now)
        if coverage.scoped:
            some = ", ".join(coverage.scoped)
            notes.append(Row((f"of a few databases only, not counted: {some}",)))
    header = ("", "FROM", "TO", "LONG", "BY")
    title = "Coverage (both ends included, UTC)"
    return make_panel("coverage", title, readings.coverage, verdict, now, header, tuple(rows), tuple(notes))


def _stream_rows(readings: Readings, limits: Limits, now: datetime) -> list[Row]:
    """How far each sink of this host's agent is."""
    facts = None if readings.stream is None else readings.stream.value
    if facts is None:
        return []
    if facts.stale(now):
        ago = duration(max(0.0, (now - facts.written_at).total_seconds()))
        return [Row((f"stream: the agent on {facts.host} is gone since {ago}",), Level.WARNING)]
    rows = []
    if facts.role in ("stands-by", "waits", "watches"):
        level = Level.WARNING if facts.role == "waits" else Level.FINE
        rows.append(Row((f"stream: {standing(facts)}",), level))
    for sink in facts.sinks:
        lag = sink.lag_seconds(facts.committed)
        level = Level.UNKNOWN if lag is None else grade(lag, limits.oplog_lag)
        text = f"stream {sink.name}: {sink.state}, {'?' if lag is None else duration(lag)} behind"
        if sink.canary is not None:
            text += f", canary p50 {sink.canary.p50:g} s, p99 {sink.canary.p99:g} s"
        if sink.trouble is not None:
            level = worst((level, Level.WARNING))
            text += f": {sink.trouble.message}"
        rows.append(Row((text,), level))
    return rows


def _coverage_rows(coverage: Coverage, now: datetime) -> list[Row]:
    rows = [
        (
            r.start,
            Row(
                (
                    "covered",
                    moment(r.start.time),
                    moment(r.end.time),
                    duration(float(r.end.t - r.start.t)),
                    _some(r.sources),
                ),
                Level.FINE,
            ),
        )
        for r in coverage.ranges
    ]
    rows += [
        (
            g.start,
            Row(
                (
                    "gap",
                    moment(g.start.time),
                    "-" if g.end is None else moment(g.end.time),
                    UNKNOWN if g.end is None else duration(float(g.end.t - g.start.t)),
                    g.text,
                ),
                Level.WARNING,
            ),
        )
        for g in coverage.gaps
    ]
    rows += [
        (
            b.start,
            Row(("branch", moment(b.start.time), moment(b.end.time), "0s", _some(b.sources)), Level.WARNING),
        )
        for b in coverage.branches
    ]
    # A gap begins where a range ends: the range comes first.
    return [row for _, row in sorted(rows, key=lambda pair: (pair[0], pair[1].cells[0] == "gap"))]


def _some(sources: tuple[str, ...]) -> str:
    shown = list(sources)
    if len(shown) > 3:
        shown = [shown[0], f"{len(shown) - 2} more", shown[-1]]
    return ", ".join(shown)


def _margin_level(coverage: Coverage, limits: Limits) -> Level:
    if coverage.margin_seconds is None:
        return Level.UNKNOWN
    return grade_least(coverage.margin_seconds, limits.margin)


def present_jobs(readings: Readings, verdict: Verdict, now: datetime, most: int = _SHOWN) -> Panel:
    """This host's jobs, and that of another host which writes to the deployment."""
    newest = sorted(
        all_jobs(readings), key=lambda j: (j.started_at is not None, j.started_at, j.job), reverse=True
    )
    # What runs is never among those that are left out.
    shown = sorted(newest, key=lambda j: j.state != RUNNING)[:most]
    rows = tuple(_job_row(job, now) for job in shown)
    notes = [] if rows else [Row(("none on this host",))]
    lock = readings.lock
    if lock is not None and lock.error is not None:
        notes.append(Row((f"jobs of other hosts are not known: {lock.error.message}",), Level.UNKNOWN))
    header = ("JOB", "KIND", "STATE", "STEP", "STARTED", "BY")
    return make_panel("jobs", "Jobs", readings.jobs, verdict, now, header if rows else (), rows, tuple(notes))


def _job_row(job: JobFacts, now: datetime) -> Row:
    percent = "" if job.percent is None else f" {job.percent:.0f}%"
    level = {"done": Level.FINE, RUNNING: Level.FINE, "stopped": Level.WARNING, "partial": Level.WARNING}
    started = UNKNOWN if job.started_at is None else f"{duration((now - job.started_at).total_seconds())} ago"
    by = job.owner if job.here or job.owner.endswith(f"@{job.host}") else f"{job.owner} on {job.host}"
    cells = (job.job, job.kind, job.state, f"{job.step}{percent}" or "-", started, by)
    return Row(cells, level.get(job.state, Level.CRITICAL), key=f"job:{job.job}")


def _over(value: float, target: float) -> Level:
    return Level.WARNING if value > target else Level.FINE
