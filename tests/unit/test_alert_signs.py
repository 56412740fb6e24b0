"""Every kind of alert over real readings and simulated time: it starts, ends, and small moves are no news."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from support.failoverstates import failing, monitor, run, stuck
from support.readingkit import (
    DOWN,
    LIMITS,
    NOW,
    at,
    coverage,
    member,
    oplog,
    reading,
    readings,
    set_status,
    snapshot,
    store,
)

from mongo_dr_console.model.alert import ABOUT, AlertState, Rules
from mongo_dr_console.model.alerting import step
from mongo_dr_console.model.alertkind import Kind
from mongo_dr_console.model.alertsigns import look_at
from mongo_dr_console.model.coverage import Cause, Gap
from mongo_dr_console.model.jobfacts import JobFacts
from mongo_dr_console.model.level import Level
from mongo_dr_console.model.reading import Reading, SourceError
from mongo_dr_console.model.readings import Limits, Readings, Threshold
from mongo_dr_console.model.streamfacts import Break, BreakCause, Latency, SinkFacts, StreamFacts

STREAMED = replace(LIMITS, streamed=True, canary=Threshold(60, 30))
TIMED_OUT = SourceError("timed-out", "No answer in time.")
EVERY = timedelta(seconds=5)


def aged(value: Readings, now: datetime) -> Readings:
    """The same readings, taken now."""

    def fresh(one: Reading[Any] | None) -> Reading[Any] | None:
        return None if one is None else replace(one, taken_at=one.taken_at and now, tried_at=now)

    stream = fresh(value.stream)
    if stream is not None and stream.value is not None:
        stream = replace(stream, value=stream.value.model_copy(update={"written_at": now}))
    return replace(
        value,
        set=fresh(value.set),
        oplog=fresh(value.oplog),
        stores={name: fresh(one) for name, one in value.stores.items()},
        coverage=fresh(value.coverage),
        jobs=fresh(value.jobs),
        failover=fresh(value.failover),
        stream=stream,
    )


def sinks(**changes: Any) -> Readings:
    facts: dict[str, Any] = {"name": "kafka", "state": "streaming", "durable": at(0)}
    sink = SinkFacts(**(facts | changes))
    stream = StreamFacts(
        profile="test", pid=1, host="a", started_at=NOW, written_at=NOW, committed=at(0), sinks=(sink,)
    )
    return readings(snapshot(30), stream=reading("stream", stream))


def lagging(seconds: float) -> Readings:
    status = set_status(member("a:1", "PRIMARY"), member("b:1", lag_seconds=seconds), member("c:1"))
    return readings(set=reading("set", status))


def gapped() -> Readings:
    found = coverage(snapshot(30))
    gap = Gap(at(20), at(10), Cause.ROLLED_OVER, "The oplog that followed is gone.")
    return readings(coverage=reading("coverage", replace(found, gaps=(gap,))))


def margin(seconds: float) -> Readings:
    return readings(coverage=reading("coverage", replace(coverage(snapshot(30)), margin_seconds=seconds)))


def lost(seconds: float) -> Readings:
    return readings(coverage=reading("coverage", replace(coverage(snapshot(30)), rpo_seconds=seconds)))


def sized(stored: int) -> Readings:
    return readings(snapshot(30, stored_bytes=stored), snapshot(90_000, stored_bytes=1000))


def job(state: str, name: str = "aaaa0001", ago: float = 100) -> JobFacts:
    return JobFacts(name, "backup", state, started_at=at(ago).time)


def took(seconds: float) -> Readings:
    """A backup that took so long, beside an oplog of 100,000 s when it is full."""
    ended = at(30).time
    return readings(snapshot(30, started_at=ended - timedelta(seconds=seconds), finished_at=ended))


def large(documents: int) -> Readings:
    return readings(snapshot(30, documents=documents))


def stores(*errors: SourceError | None) -> Readings:
    return readings(
        stores={
            f"store:s{n}": reading(f"store:s{n}", store(snapshot(30)), error=error)
            for n, error in enumerate(errors)
        }
    )


def dead(available: int) -> Readings:
    status = set_status(
        member("a:1", "PRIMARY"), member("b:1"), member("c:1", "DOWN", healthy=False, lag_seconds=None)
    )
    return readings(set=reading("set", replace(status, majority_available=available)))


@dataclass(frozen=True)
class Case:
    """What makes a kind fire, what of it is worse, what is only just below the limit, and what is well."""

    bad: Readings
    level: Level
    well: Readings
    near: Readings | None = None
    other: Readings | None = None
    other_level: Level = Level.CRITICAL
    limits: Limits = LIMITS


FINE = readings()
STREAM_FINE = sinks(canary=Latency(p50=1, p99=2, count=9))

CASES: dict[Kind, Case] = {
    Kind.BACKUP_AGE: Case(
        readings(snapshot(50_000)),
        Level.WARNING,
        FINE,
        readings(snapshot(41_000)),
        readings(snapshot(90_000)),
    ),
    Kind.BACKUP_SIZE: Case(sized(1600), Level.CRITICAL, sized(1000), sized(1480), sized(400)),
    Kind.RESTORE_TEST: Case(
        readings(snapshot(30, restore_tested_at=None)),
        Level.WARNING,
        FINE,
        None,
        readings(snapshot(30, restore_tested_at=NOW - timedelta(days=31))),
    ),
    Kind.OPLOG_LAG: Case(lagging(20), Level.WARNING, lagging(0), lagging(9.5), lagging(70)),
    Kind.STREAM_LAG: Case(
        sinks(durable=at(20)), Level.WARNING, STREAM_FINE, None, sinks(durable=at(70)), limits=STREAMED
    ),
    Kind.STREAM_GAP: Case(
        sinks(breaks=(Break(cause=BreakCause.DIVERGED, start=at(20), end=at(10), at=NOW),)),
        Level.WARNING,
        STREAM_FINE,
        None,
        gapped(),
        limits=STREAMED,
    ),
    Kind.CANARY: Case(
        sinks(canary=Latency(p50=1, p99=40, count=9)),
        Level.WARNING,
        STREAM_FINE,
        sinks(canary=Latency(p50=1, p99=29, count=9)),
        sinks(canary=Latency(p50=1, p99=70, count=9)),
        limits=STREAMED,
    ),
    Kind.NO_PRIMARY: Case(
        readings(set=reading("set", set_status(member("a:1"), member("b:1")))),
        Level.CRITICAL,
        FINE,
        None,
        readings(set=reading("set", set_status(), error=DOWN)),
    ),
    Kind.FAILOVER: Case(
        readings(failover=reading("failover", monitor(run=run(2, 5, state="running")))),
        Level.WARNING,
        readings(failover=reading("failover", monitor(last=run()))),
        None,
        readings(failover=reading("failover", failing(stuck()))),
    ),
    Kind.MEMBER_DOWN: Case(dead(3), Level.WARNING, FINE, None, dead(2)),
    Kind.MARGIN: Case(margin(7000), Level.WARNING, margin(20_000), margin(7500), margin(60)),
    Kind.OPLOG_WINDOW: Case(took(60_000), Level.WARNING, took(100), took(49_000), took(150_000)),
    Kind.JOB_FAILED: Case(
        readings(jobs=reading("jobs", (job("partial"),))),
        Level.WARNING,
        readings(jobs=reading("jobs", (job("failed"), job("done", "aaaa0002", 50)))),
        None,
        readings(jobs=reading("jobs", (job("failed"),))),
    ),
    Kind.STORE_UNREACHABLE: Case(
        stores(TIMED_OUT, None), Level.WARNING, stores(None, None), None, stores(TIMED_OUT, TIMED_OUT)
    ),
    Kind.RPO: Case(lost(70), Level.CRITICAL, lost(1), lost(58), limits=STREAMED),
    Kind.RTO: Case(large(200_000_000), Level.WARNING, large(10), large(140_000_000), large(900_000_000)),
    Kind.SOURCE_SILENT: Case(
        readings(oplog=reading("oplog", oplog(), error=TIMED_OUT)),
        Level.WARNING,
        FINE,
        None,
        readings(set=reading("set", set_status(), error=TIMED_OUT)),
    ),
}


class Clock:
    """Steps of five seconds, and every message that they led to."""

    def __init__(self, kind: Kind, limits: Limits) -> None:
        self.kind, self.limits = kind, limits
        self.now, self.state = NOW, AlertState()
        self.events: list[tuple[str, Level]] = []

    def run(self, seen: Readings, seconds: float) -> None:
        for _ in range(int(seconds / EVERY.total_seconds())):
            # The newest snapshot and the rest stay as old as they are said to be.
            looks = look_at(aged(seen, NOW), self.limits, NOW)
            only = {self.kind: looks[self.kind]}
            self.state, messages = step(self.state, only, Rules(), self.now)
            self.events += [(m.event, m.level) for m in messages]
            assert all(m.kind == self.kind and m.text for m in messages)
            self.now += EVERY


def test_every_kind_is_looked_at_and_has_a_case() -> None:
    assert set(CASES) == set(Kind) == set(look_at(FINE, LIMITS, NOW)) == set(ABOUT)


@pytest.mark.parametrize("kind", Kind)
def test_it_starts_and_ends_once(kind: Kind) -> None:
    case = CASES[kind]
    clock = Clock(kind, case.limits)
    clock.run(case.well, 60)
    assert clock.events == [] and clock.state.alerts == ()
    clock.run(case.bad, 25)
    assert clock.events == [], "not before it was so for long enough"
    clock.run(case.bad, 600)
    assert clock.events == [("start", case.level)]
    clock.run(case.well, 55)
    assert len(clock.events) == 1, "not before it was over for long enough"
    clock.run(case.well, 60)
    assert clock.events == [("start", case.level), ("end", case.level)]
    assert clock.state.alerts == () and [a.kind for a in clock.state.past] == [kind]


@pytest.mark.parametrize("kind", [k for k, case in CASES.items() if case.other is not None])
def test_the_other_level_is_reached(kind: Kind) -> None:
    case = CASES[kind]
    clock = Clock(kind, case.limits)
    assert case.other is not None
    clock.run(case.other, 60)
    assert set(clock.events) == {("start", case.other_level)}


@pytest.mark.parametrize("kind", [k for k, case in CASES.items() if case.near is not None])
def test_just_below_the_limit_it_neither_starts_nor_ends(kind: Kind) -> None:
    case = CASES[kind]
    clock = Clock(kind, case.limits)
    assert case.near is not None
    clock.run(case.near, 600)
    assert clock.events == []
    clock.run(case.bad, 60)
    for _ in range(10):
        clock.run(case.near, 300)
        clock.run(case.bad, 60)
    assert clock.events == [("start", case.level)]


@pytest.mark.parametrize("kind", Kind)
def test_what_comes_and_goes_faster_than_it_counts_is_no_news(kind: Kind) -> None:
    case = CASES[kind]
    clock = Clock(kind, case.limits)
    for _ in range(20):
        clock.run(case.bad, 25)
        clock.run(case.well, 5)
    assert clock.events == []
    clock.run(case.bad, 60)
    for _ in range(20):
        clock.run(case.well, 50)
        clock.run(case.bad, 5)
    assert clock.events == [("start", case.level)]


def silent(value: Readings) -> Readings:
    """Nothing answers any more; what was known last stands there still."""
    down = TIMED_OUT

    def mute(one: Reading[Any] | None) -> Reading[Any] | None:
        return None if one is None else replace(one, error=down)

    return replace(
        value,
        set=mute(value.set),
        oplog=mute(value.oplog),
        stores={name: mute(one) for name, one in value.stores.items()},
        coverage=mute(value.coverage),
        jobs=mute(value.jobs),
        failover=mute(value.failover),
        stream=mute(value.stream),
    )


@pytest.mark.parametrize("kind", [k for k in Kind if k not in (Kind.STORE_UNREACHABLE, Kind.SOURCE_SILENT)])
def test_a_source_that_says_nothing_neither_starts_nor_ends_it(kind: Kind) -> None:
    case = CASES[kind]
    mute: Callable[[], Readings] = lambda: silent(case.well)  # noqa: E731
    clock = Clock(kind, case.limits)
    clock.run(silent(case.bad) if kind is not Kind.NO_PRIMARY else mute(), 600)
    if kind is not Kind.STREAM_GAP:
        assert clock.events == []
    clock = Clock(kind, case.limits)
    clock.run(case.bad, 60)
    clock.run(mute(), 3600)
    assert [event for event, _ in clock.events] == ["start"]
    (alert,) = clock.state.alerts
    assert alert.running and alert.unknown_since is not None
    clock.run(case.well, 120)
    assert [event for event, _ in clock.events] == ["start", "end"]


def test_a_value_that_nobody_renewed_is_not_one_of_now() -> None:
    old = {
        kind: look for kind, look in look_at(FINE, LIMITS, NOW + timedelta(hours=1)).items() if look.unknown
    }
    assert {Kind.OPLOG_LAG, Kind.NO_PRIMARY, Kind.MARGIN, Kind.BACKUP_AGE, Kind.JOB_FAILED} <= set(old)
    silent_ones = look_at(FINE, LIMITS, NOW + timedelta(hours=1))[Kind.SOURCE_SILENT]
    assert set(silent_ones.signs) == {"set", "oplog", "coverage", "jobs"}


def test_a_deployment_that_is_down_is_told_once_and_not_by_all_that_hides_behind_it() -> None:
    down = readings(
        set=reading("set", set_status(), error=DOWN),
        oplog=reading("oplog", oplog(), error=DOWN),
        coverage=reading("coverage", coverage(snapshot(30)), error=DOWN),
    )
    state = AlertState()
    messages = []
    for n in range(30):
        now = NOW + n * EVERY
        state, sent = step(state, look_at(aged(down, now), LIMITS, now), Rules(), now)
        messages += sent
    assert [m.kind for m in messages] == ["no-primary"]


def test_a_newer_job_that_fails_too_is_news_and_a_running_one_is_not() -> None:
    clock = Clock(Kind.JOB_FAILED, LIMITS)
    clock.run(readings(jobs=reading("jobs", (job("failed"),))), 60)
    clock.run(readings(jobs=reading("jobs", (job("failed"), job("running", "aaaa0002", 50)))), 600)
    assert [e for e, _ in clock.events] == ["start"]
    clock.run(readings(jobs=reading("jobs", (job("failed"), job("failed", "aaaa0002", 50)))), 120)
    assert [e for e, _ in clock.events] == ["start", "start", "end"]


def test_two_snapshots_of_one_position_are_compared_by_their_order() -> None:
    """Of a deployment at rest: the third is as large as the second, whatever the first was."""
    seen = readings(
        snapshot(90, stored_bytes=9000),
        snapshot(30, name="20261122_020000", stored_bytes=1000),
        snapshot(30, name="20261122_020001", stored_bytes=1000),
    )
    assert look_at(seen, LIMITS, NOW)[Kind.BACKUP_SIZE].signs[""].level is Level.FINE


def test_a_snapshot_behind_a_gap_ends_it() -> None:
    gap = Gap(at(60), at(50), Cause.ROLLED_OVER, "The oplog that followed is gone.")
    seen = readings(coverage=reading("coverage", replace(coverage(snapshot(30)), gaps=(gap,))))
    assert look_at(seen, STREAMED, NOW)[Kind.STREAM_GAP].signs == {}
    older = readings(snapshot(70), coverage=reading("coverage", replace(coverage(snapshot(70)), gaps=(gap,))))
    assert set(look_at(older, STREAMED, NOW)[Kind.STREAM_GAP].signs) == {str(at(60))}
    assert look_at(older, LIMITS, NOW)[Kind.STREAM_GAP].signs == {}, "without a stream it has no gap"
