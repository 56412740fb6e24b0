"""Every situation of the verdict: its level, its rank, its whole text, and what stands before what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import combinations, pairwise
from typing import Any

import pytest
from support import failoverstates
from support.readingkit import (
    DOWN,
    HERE,
    LIMITS,
    NOW,
    at,
    coverage,
    event,
    event_facts,
    member,
    oplog,
    reading,
    readings,
    set_status,
    snapshot,
    store,
)

from mongo_dr_console.model import coverage as covering
from mongo_dr_console.model.alertfacts import AlertFacts, WayFacts
from mongo_dr_console.model.backupfacts import Drilled
from mongo_dr_console.model.catalogue import Verification
from mongo_dr_console.model.coverage import Cause, Gap, Unread
from mongo_dr_console.model.failover import Standing
from mongo_dr_console.model.failoverdoc import FailoverFacts
from mongo_dr_console.model.jobfacts import JobFacts
from mongo_dr_console.model.level import Fact, Level
from mongo_dr_console.model.lock import LockInfo
from mongo_dr_console.model.oplogfacts import MemberLag
from mongo_dr_console.model.rank import Rank
from mongo_dr_console.model.reading import SourceError
from mongo_dr_console.model.readings import Readings, Threshold
from mongo_dr_console.model.remedy import BY_CODE, BY_RANK
from mongo_dr_console.model.streamfacts import Break, BreakCause, SinkFacts, StreamFacts
from mongo_dr_console.model.trouble import Failed
from mongo_dr_console.model.verdict import Verdict, verdict

Change = Callable[[Readings], Readings]
SNAPSHOTS = snapshot(30), snapshot(3600)
TIMED_OUT = SourceError("timed-out", "No answer in time.")


def well(**changes: Any) -> Readings:
    """Nothing is wrong; a restore to every moment of the last hour."""
    return readings(*SNAPSHOTS, **changes)


@dataclass(frozen=True)
class Case:
    """A situation: what is other than well, and what the verdict must say of it."""

    rank: Rank
    level: Level
    code: str
    text: str
    change: Change = lambda r: r
    limits: dict[str, Any] = field(default_factory=dict)


def put(**changes: Any) -> Change:
    return lambda r: replace(r, **changes)


def happened(*more: Any) -> Change:
    """Events, beside those that happened already."""

    def change(r: Readings) -> Readings:
        assert r.events is not None and r.events.value is not None
        return replace(r, events=reading("events", event_facts(*r.events.value.events, *more)))

    return change


def members(*found: Any, **changes: Any) -> Change:
    return put(set=reading("set", set_status(*found, **changes)))


def held(*snapshots: Any, drilled: tuple[Drilled, ...] = ()) -> Change:
    return put(stores={"store:local": reading("store:local", store(*snapshots, drilled=drilled))})


def covered(**changes: Any) -> Change:
    return lambda r: replace(r, coverage=reading("coverage", replace(coverage(*SNAPSHOTS), **changes)))


def job(kind: str, state: str, ago: float = 60.0, **changes: Any) -> JobFacts:
    ended = None if state == "running" else at(ago).time
    error = SourceError("x", "The disk is full.") if state == "failed" else None
    facts = {"owner": "ann@a", "started_at": at(ago + 60).time, "ended_at": ended, "error": error}
    return JobFacts("1a2b3c4d", kind, state, **(facts | changes))


def jobs(*found: JobFacts) -> Change:
    return put(jobs=reading("jobs", found))


def streams(*sinks: SinkFacts, **changes: Any) -> Change:
    facts: dict[str, Any] = {
        "profile": "test",
        "pid": 1,
        "host": "backup-1",
        "started_at": NOW,
        "written_at": NOW,
        "committed": at(0),
        "sinks": sinks,
    }
    return put(stream=reading("stream", StreamFacts(**(facts | changes))))


def sink(**changes: Any) -> SinkFacts:
    return SinkFacts(**({"name": "kafka", "state": "streaming", "durable": at(1)} | changes))


def watches(**changes: Any) -> Change:
    facts = {"profile": "test", "host": "backup-1", "pid": 1, "written_at": NOW}
    return put(alerts=reading("alerts", AlertFacts(**(facts | changes))))


def monitored(facts: FailoverFacts) -> Change:
    return put(failover=reading("failover", facts))


def failed(source: str) -> Change:
    return lambda r: replace(r, **{source: replace(getattr(r, source), error=TIMED_OUT, attempt=3)})


def old(source: str, seconds: float) -> Change:
    moment = NOW - timedelta(seconds=seconds)
    return lambda r: replace(r, **{source: replace(getattr(r, source), taken_at=moment)})


def bad_store(r: Readings) -> Readings:
    return replace(r, stores={**r.stores, "store:far": reading("store:far", None, error=TIMED_OUT)})


PRIMARY, LAGGING = member("a:1", "PRIMARY"), member("b:1", lag_seconds=24.0)
DEAD = member("c:1", "DOWN", healthy=False, lag_seconds=None, heartbeat_age_seconds=41.0)
VERIFIED = Verification(level=3, at=NOW, good=True)
DAMAGED = Verification(level=3, at=NOW, good=False)
LOCK = LockInfo("9f8e7d6c", "restore", "bob@b", "b", 7, "", 3, "replay", 43.0, NOW, NOW, 2.0)
HOLE = Gap(at(20), at(10), Cause.ROLLED_OVER, "The oplog that followed is gone: the live one begins at 9:1.")
WAY = WayFacts(name="json-1", trouble=SourceError("alert-not-sent", "The way is shut."))
LONG_AGO = NOW - timedelta(days=40)
CRITICAL, WARNING, UNKNOWN, FINE = Level.CRITICAL, Level.WARNING, Level.UNKNOWN, Level.FINE

# Of each rank one, which can be so beside all others.
FIRST: dict[str, Case] = {
    "a drop that can be taken back": Case(
        Rank.LOST_RESTORABLE,
        WARNING,
        "event-drop",
        "DATA DROPPED: shop.orders at 10:56:40Z (10m ago), 40,000 documents; restorable.",
        happened(event(600)),
    ),
    "a drop before all snapshots": Case(
        Rank.LOST,
        CRITICAL,
        "event-drop",
        "DATA DROPPED: crm.people at 09:43:20Z (1h23m ago), 40,000 documents; not restorable: no "
        "snapshot is older than it.",
        happened(event(5000, namespace="crm.people")),
    ),
    "nobody is primary": Case(
        Rank.NO_PRIMARY,
        CRITICAL,
        "no-primary",
        "NO MAJORITY: 1 of 2 needed votes are up. Writes fail until a member comes back.",
        members(member("a:1"), DEAD, replace(DEAD, name="d:1")),
    ),
    "a restore goes on": Case(
        Rank.UNDER_WAY,
        WARNING,
        "job-running",
        "RESTORE UNDER WAY: 1a2b3c4d, replay 43%.",
        jobs(job("restore", "running", step="replay", percent=43.0)),
    ),
    "RPO over a target of ten seconds": Case(
        Rank.RPO,
        WARNING,
        "rpo",
        "RPO 30s is over the target of 10s.",
        limits={"rpo": 10.0},
    ),
    "little margin": Case(
        Rank.CONTINUITY,
        WARNING,
        "margin",
        "Point-in-time recovery breaks in 1d3h unless a backup is taken.",
        limits={"margin": Threshold(5, 200_000)},
    ),
    "one of two stores is silent": Case(
        Rank.UNREACHABLE, WARNING, "store-unreachable", "Store far: No answer in time.", bad_store
    ),
    "an old snapshot": Case(
        Rank.BACKUP,
        WARNING,
        "backup-age",
        "The newest snapshot, s30, is 30s old (limit 1d).",
        limits={"backup_age": Threshold(86_400, 10)},
    ),
    "a member lags": Case(
        Rank.MEMBER,
        WARNING,
        "member-lag",
        "b:1 lags 24s behind.",
        lambda r: replace(
            r, set=replace(r.set, value=replace(r.set.value, members=(*r.set.value.members[1:], LAGGING)))
        ),
    ),
    "a restore takes too long": Case(
        Rank.RTO, WARNING, "rto", "RTO of about 10s is over the target of 5s.", limits={"rto": 5.0}
    ),
    "no rehearsal for a while": Case(
        Rank.DRILL,
        CRITICAL,
        "restore-test-age",
        "The last restore test was 0s ago.",
        limits={"restore_test_age": Threshold(-1)},
    ),
    "all is well": Case(
        Rank.FINE, FINE, "", "All is well: every source answers, and nothing is over its limit."
    ),
}

MORE: dict[str, Case] = {
    "a mass delete, coverage unknown": Case(
        Rank.LOST_RESTORABLE,
        WARNING,
        "event-mass-delete",
        "MASS DELETE: shop.orders at 10:56:40Z (10m ago), 40,000 documents; whether it can be "
        "restored is not known.",
        lambda r: happened(event(600, kind="mass-delete"))(replace(r, coverage=None)),
    ),
    "a mass update in a gap": Case(
        Rank.LOST,
        CRITICAL,
        "event-mass-update",
        "MASS UPDATE: shop.orders at 11:06:25Z (15s ago); not restorable: the newest restore "
        "point before it is 2026-11-18T11:06:20Z. The oplog that followed is gone: the live one "
        "begins at 9:1.",
        lambda r: happened(event(15, kind="mass-update", documents=None))(
            covered(
                ranges=(
                    covering.Range(at(3600), at(20), ("live",)),
                    covering.Range(at(10), at(0), ("live",)),
                ),
                gaps=(HOLE,),
            )(r)
        ),
    ),
    "five events": Case(
        Rank.LOST_RESTORABLE,
        WARNING,
        "events-open",
        "2 more destructive events in the last 24h: mdr find",
        happened(*(event(n, namespace=f"shop.c{n}") for n in (600, 610, 620, 630, 640))),
    ),
    "a drop of an empty collection": Case(
        Rank.DRILL,
        WARNING,
        "event-drop",
        "DATA DROPPED: shop.orders at 10:56:40Z (10m ago), 0 documents; restorable.",
        happened(event(600, documents=0)),
    ),
    "a failover lost writes that a member has": Case(
        Rank.LOST_RESTORABLE,
        WARNING,
        "failover-writes-lost",
        "WRITES LOST in failover 77aa88bb: 7 operations are not on the new primary, and still in "
        "member:mongo-1.db.example:27017.",
        monitored(failoverstates.monitor(last=failoverstates.lost().model_copy(update={"ended_at": NOW}))),
    ),
    "every member is silent": Case(
        Rank.NO_PRIMARY,
        CRITICAL,
        "deployment-down",
        "DEPLOYMENT DOWN: no member answers. Writes and reads fail.",
        put(set=reading("set", None, error=DOWN)),
    ),
    "an election": Case(
        Rank.NO_PRIMARY,
        CRITICAL,
        "no-primary",
        "NO PRIMARY: 2 of 2 needed votes are up; an election should end this within seconds. Writes fail.",
        members(member("a:1"), member("b:1"), DEAD),
    ),
    "a write block was left": Case(
        Rank.NO_PRIMARY,
        CRITICAL,
        "write-blocked",
        "User writes are blocked (setUserWriteBlockMode).",
        members(write_blocked=True),
    ),
    "the monitor suspects the primary": Case(
        Rank.NO_PRIMARY,
        CRITICAL,
        "failover-by-hand",
        "a:1 is silent. Look at a:1.",
        monitored(
            failoverstates.monitor(standing=Standing.SUSPECT, text="a:1 is silent.", advice="Look at a:1.")
        ),
    ),
    "a failover goes on": Case(
        Rank.UNDER_WAY,
        CRITICAL,
        "failover-running",
        "FAILOVER 0a1b2c3d is under way at election: mongo-1.db.example:27017 does not answer, "
        "and mongo-2.db.example:27017 and mongo-3.db.example:27017 do not follow it any more.",
        monitored(failoverstates.failing(failoverstates.run(1, 5))),
    ),
    "a failover waits for a person": Case(
        Rank.UNDER_WAY,
        CRITICAL,
        "failover-by-hand",
        "FAILOVER 0a1b2c3d NEEDS A HAND at endpoint: Let /etc/app/mongo-endpoint.json name "
        "mongo-2.db.example:27017 (term 15), or: mdr endpoint switch",
        monitored(failoverstates.failing(failoverstates.stuck())),
    ),
    "a restore of another host": Case(
        Rank.UNDER_WAY,
        WARNING,
        "job-running",
        "RESTORE UNDER WAY: 9f8e7d6c of bob@b, replay 43%.",
        put(lock=reading("lock", LOCK)),
    ),
    "a restore of another host is silent": Case(
        Rank.UNDER_WAY,
        WARNING,
        "job-running",
        "RESTORE UNDER WAY: 9f8e7d6c of bob@b, no sign of life for 5m.",
        put(lock=reading("lock", replace(LOCK, age_seconds=300.0))),
    ),
    "an undo goes on": Case(
        Rank.UNDER_WAY,
        WARNING,
        "job-running",
        "UNDO UNDER WAY: 1a2b3c4d, rename.",
        jobs(job("undo", "running", step="rename")),
    ),
    "a restore failed": Case(
        Rank.UNDER_WAY,
        WARNING,
        "restore-failed",
        "restore 1a2b3c4d failed at 11:05:40Z: The disk is full.",
        jobs(job("restore", "failed")),
    ),
    "a restore failed two days ago": Case(
        Rank.DRILL,
        WARNING,
        "restore-failed",
        "restore 1a2b3c4d failed at 11:06:40Z: The disk is full.",
        jobs(job("restore", "failed", 172_800)),
    ),
    "an undo was done in part": Case(
        Rank.UNDER_WAY,
        WARNING,
        "undo-partial",
        "undo 1a2b3c4d was done in part at 11:05:40Z",
        jobs(job("undo", "partial")),
    ),
    "no backup at all": Case(
        Rank.RPO, CRITICAL, "no-backup", "NO BACKUP: no store holds a whole snapshot.", held()
    ),
    "nothing is covered": Case(
        Rank.RPO,
        CRITICAL,
        "nothing-covered",
        "Nothing can be restored to.",
        covered(latest=None, ranges=(), rpo_seconds=None),
    ),
    "RPO over its target with a stream": Case(
        Rank.RPO,
        CRITICAL,
        "rpo",
        "RPO 30s is over the target of 10s.",
        limits={"rpo": 10.0, "streamed": True},
    ),
    "point in time is broken": Case(
        Rank.CONTINUITY,
        CRITICAL,
        "margin",
        "POINT IN TIME BROKEN: the oplog no longer reaches back to any snapshot. Take a backup now.",
        covered(margin_seconds=0.0),
    ),
    "a gap after the newest snapshot": Case(
        Rank.CONTINUITY,
        CRITICAL,
        "gap",
        "GAP from 2026-11-18T11:06:20Z to 2026-11-18T11:06:30Z: The oplog that followed is gone: "
        "the live one begins at 9:1.",
        covered(gaps=(HOLE,)),
        {"streamed": True},
    ),
    "a gap that ends nowhere": Case(
        Rank.CONTINUITY,
        CRITICAL,
        "gap",
        "GAP since 2026-11-18T11:06:20Z: A segment is damaged.",
        covered(gaps=(replace(HOLE, end=None, cause=Cause.DAMAGED, text="A segment is damaged."),)),
        {"streamed": True},
    ),
    "another history": Case(
        Rank.CONTINUITY,
        WARNING,
        "branch",
        "kafka lies on another history. It was rolled back.",
        covered(
            branches=(covering.Branch(at(90), at(80), ("kafka",), Cause.DIVERGED, "It was rolled back."),)
        ),
    ),
    "a sink is behind": Case(
        Rank.CONTINUITY,
        CRITICAL,
        "stream-lag",
        "kafka is 10m behind the deployment.",
        streams(sink(durable=at(600))),
    ),
    "a sink does not go on": Case(
        Rank.CONTINUITY,
        WARNING,
        "stream-trouble",
        "kafka does not go on: No broker answers.",
        streams(sink(trouble=Failed("kafka-unreachable", "No broker answers."))),
    ),
    "a sink has a gap": Case(
        Rank.CONTINUITY,
        WARNING,
        "stream-oplog-rolled-over",
        "kafka has a gap from 1794999940:1 to 1794999970:1: the oplog rolled over unread.",
        streams(sink(breaks=(Break(cause=BreakCause.ROLLED_OVER, start=at(60), end=at(30), at=NOW),))),
    ),
    "the agent is gone": Case(
        Rank.CONTINUITY,
        WARNING,
        "agent-gone",
        "The agent on backup-1 is gone since 1m30s: the oplog is not streamed.",
        streams(sink(), written_at=at(90).time),
    ),
    "an agent waits": Case(
        Rank.CONTINUITY,
        WARNING,
        "agent-waits",
        "The agent on backup-1 leads nothing yet: store s3 is silent",
        streams(role="waits", waits_for=Failed("store-unreachable", "store s3 is silent")),
    ),
    "an agent that stood by is gone": Case(
        Rank.MEMBER,
        WARNING,
        "agent-gone",
        "The agent on backup-1 is gone since 0s: nobody stands by on this host.",
        streams(role="stands-by", running=False),
    ),
    "the set was asked in vain": Case(
        Rank.UNREACHABLE, UNKNOWN, "set-timed-out", "set: No answer in time.", failed("set")
    ),
    "the oplog was asked in vain": Case(
        Rank.UNREACHABLE, UNKNOWN, "oplog-timed-out", "oplog: No answer in time.", failed("oplog")
    ),
    "coverage is old": Case(
        Rank.UNREACHABLE,
        UNKNOWN,
        "coverage-stale",
        "coverage: the newest value is 3m20s old.",
        old("coverage", 200),
        {"rpo": 1e9},
    ),
    "events were never read": Case(
        Rank.UNREACHABLE, UNKNOWN, "events-unknown", "Nothing is known of: events.", put(events=None)
    ),
    "jobs cannot be read": Case(
        Rank.UNREACHABLE, UNKNOWN, "jobs-timed-out", "jobs: No answer in time.", failed("jobs")
    ),
    "no store is known": Case(
        Rank.UNREACHABLE,
        UNKNOWN,
        "backups-unknown",
        "No store is known, or none has answered yet: there may be no backup at all.",
        put(stores={}),
    ),
    "the live oplog cannot be read": Case(
        Rank.UNREACHABLE,
        UNKNOWN,
        "oplog-unreadable",
        "The live oplog cannot be read: No answer in time.",
        covered(live_error=TIMED_OUT),
    ),
    "a part of the stream cannot be read": Case(
        Rank.UNREACHABLE,
        WARNING,
        "stream-unread",
        "kafka cannot be read: No answer in time.",
        covered(unread=(Unread("kafka", TIMED_OUT),)),
    ),
    "the lock cannot be read": Case(
        Rank.UNREACHABLE,
        WARNING,
        "lock-timed-out",
        "Whether a job of another host writes to the deployment is not known: No answer in time.",
        put(lock=reading("lock", None, error=TIMED_OUT)),
    ),
    "what the agent says cannot be read": Case(
        Rank.UNREACHABLE,
        UNKNOWN,
        "stream-unknown",
        "stream: No answer in time.",
        put(stream=reading("stream", None, error=TIMED_OUT)),
    ),
    "nobody watches for alerts": Case(
        Rank.UNREACHABLE,
        WARNING,
        "alerts-unwatched",
        "Nobody watches for alerts: the agent on backup-1 was last seen 1m30s ago.",
        watches(written_at=at(90).time),
    ),
    "alerts do not arrive": Case(
        Rank.UNREACHABLE,
        WARNING,
        "alerts-not-sent",
        "Alerts are not sent by json-1: The way is shut.",
        watches(ways=(WAY,)),
    ),
    "alerts cannot be read": Case(
        Rank.UNREACHABLE,
        WARNING,
        "alerts-unknown",
        "Which alerts run is not known: No answer in time.",
        put(alerts=reading("alerts", None, error=TIMED_OUT)),
    ),
    "the failover monitor is gone": Case(
        Rank.UNREACHABLE,
        WARNING,
        "failover-monitor-gone",
        "The failover monitor on bastion-2 is gone since 4m: the endpoint is not switched.",
        monitored(failoverstates.away()),
    ),
    "the primary is hidden from this host": Case(
        Rank.UNREACHABLE,
        WARNING,
        "primary-hidden",
        "Nothing is switched.",
        monitored(failoverstates.monitor(standing=Standing.ONLY_THIS_HOST, text="Nothing is switched.")),
    ),
    "the endpoint cannot be read": Case(
        Rank.UNREACHABLE,
        WARNING,
        "endpoint-unread",
        "The endpoint cannot be read: No such file.",
        monitored(failoverstates.monitor(endpoint_error="No such file.")),
    ),
    "a snapshot of half the size": Case(
        Rank.BACKUP,
        WARNING,
        "backup-size",
        "Snapshot s30 differs in size by -60% from the last.",
        held(snapshot(30, stored_bytes=400), snapshot(3600)),
        {"size_delta": Threshold(0.9, 0.5)},
    ),
    "the newest snapshot is damaged": Case(
        Rank.BACKUP,
        CRITICAL,
        "backup-bad",
        "The newest snapshot, s30, was found damaged in store local.",
        held(snapshot(30, verification=DAMAGED), snapshot(3600)),
    ),
    "one copy of it is damaged": Case(
        Rank.BACKUP,
        WARNING,
        "backup-bad",
        "The newest snapshot, s30, was found damaged in store local.",
        held(
            snapshot(30, verification=DAMAGED),
            snapshot(30, verification=VERIFIED, store="far"),
        ),
    ),
    "no snapshot was read back": Case(
        Rank.BACKUP,
        WARNING,
        "backup-unverified",
        "No snapshot was ever read back to verify it.",
        held(snapshot(30, restore_tested_at=None), drilled=(Drilled(NOW, "small", HERE),)),
    ),
    "a snapshot cannot be read": Case(
        Rank.BACKUP,
        WARNING,
        "snapshot-unreadable",
        "Snapshot s9000: Its manifest is no JSON.",
        held(*SNAPSHOTS, snapshot(9000, problem=Failed("manifest-damaged", "Its manifest is no JSON."))),
    ),
    "a backup failed": Case(
        Rank.BACKUP,
        WARNING,
        "backup-failed",
        "backup 1a2b3c4d failed at 11:05:40Z: The disk is full.",
        jobs(job("backup", "failed")),
    ),
    "a member is down": Case(
        Rank.MEMBER,
        WARNING,
        "member-down",
        "c:1 is down, last heard of 41s ago; one more loss stops writes.",
        members(PRIMARY, member("b:1"), DEAD),
    ),
    "a member does not serve": Case(
        Rank.MEMBER,
        WARNING,
        "member-state",
        "c:1 is in state RECOVERING: it does not serve.",
        members(PRIMARY, member("b:1"), member("c:1", "RECOVERING")),
    ),
    "a member fell off the oplog": Case(
        Rank.MEMBER,
        CRITICAL,
        "member-off-oplog",
        "b:1 has fallen off the oplog and must be copied afresh.",
        put(oplog=reading("oplog", oplog(members=(MemberLag("b:1", 9000.0, -5.0),)))),
    ),
    "failover is paused": Case(
        Rank.MEMBER,
        WARNING,
        "failover-paused",
        "Failover PAUSED until 2026-11-18T12:06:40Z by jane@db-1: the disk of db-2 is replaced; "
        "the endpoint stays as it is.",
        monitored(failoverstates.paused()),
    ),
    "nothing was ever restored as a test": Case(
        Rank.DRILL,
        WARNING,
        "never-restore-tested",
        "No snapshot was ever restored as a test.",
        held(snapshot(30, restore_tested_at=None, verification=VERIFIED)),
    ),
    "the last restore test was long ago": Case(
        Rank.DRILL,
        CRITICAL,
        "restore-test-age",
        "The last restore test was 40d ago.",
        held(snapshot(30, restore_tested_at=LONG_AGO)),
    ),
    "a drill failed": Case(
        Rank.DRILL,
        WARNING,
        "drill-failed",
        "drill 1a2b3c4d failed at 11:05:40Z: The disk is full.",
        jobs(job("drill", "failed")),
    ),
}


def judged(*cases: Case) -> Verdict:
    found, limits = well(), LIMITS
    for case in cases:
        found, limits = case.change(found), replace(limits, **case.limits)
    return verdict(found, limits, NOW)


def of(found: Verdict, case: Case) -> Fact:
    return next(f for f in found.facts if f.code == case.code)


@pytest.mark.parametrize("name", [*FIRST, *MORE])
def test_each_situation_has_its_level_rank_and_whole_text(name: str) -> None:
    case = (FIRST | MORE)[name]
    found = judged(case)
    if case.rank is Rank.FINE:
        assert (found.level, found.text, found.first) == (case.level, case.text, None)
        return
    fact = of(found, case)
    assert (fact.rank, fact.level, fact.text) == (case.rank, case.level, case.text)
    assert fact.means and fact.command


@pytest.mark.parametrize(("one", "other"), [*combinations(FIRST, 2), *((b, a) for a, b in pairwise(FIRST))])
def test_of_two_that_are_so_together_the_first_of_the_order_stands_first(one: str, other: str) -> None:
    cases = FIRST[one], FIRST[other]
    found = judged(*cases)
    first, second = sorted(cases, key=lambda case: list(Rank).index(case.rank))
    assert found.text == first.text
    both = [f.text for f in found.facts if f.text in (first.text, second.text)]
    assert both == [case.text for case in (first, second) if case.rank is not Rank.FINE]
    assert found.level == max((first.level, second.level), key=lambda level: level.rank)


def test_the_order_is_that_of_the_table_and_each_rank_has_a_case() -> None:
    assert [case.rank for case in FIRST.values()] == list(Rank)
    assert len(FIRST) + len(MORE) >= 40


@pytest.mark.parametrize(
    ("names", "text", "level"),
    [
        (
            ("one of two stores is silent", "a member fell off the oplog"),
            "Store far: No answer in time.",
            CRITICAL,
        ),
        (
            ("a restore goes on", "point in time is broken"),
            "RESTORE UNDER WAY: 1a2b3c4d, replay 43%.",
            CRITICAL,
        ),
        (("one of two stores is silent", "jobs cannot be read"), "jobs: No answer in time.", UNKNOWN),
    ],
)
def test_a_worse_level_does_not_go_before_a_higher_rank(
    names: tuple[str, str], text: str, level: Level
) -> None:
    """Of one rank the worse level does."""
    found = judged(*((FIRST | MORE)[name] for name in names))
    assert (found.text, found.level) == (text, level)


def test_of_one_rank_who_is_down_comes_before_who_lags_and_the_backups_before_other_silence() -> None:
    both = members(PRIMARY, LAGGING, DEAD)(well())
    assert [f.code for f in verdict(both, LIMITS, NOW).facts][:2] == ["member-down", "member-lag"]
    nothing = Readings("test", "test")
    assert [f.code for f in verdict(nothing, LIMITS, NOW).facts] == [
        "backups-unknown",
        "set-unknown",
        "coverage-unknown",
        "oplog-unknown",
        "events-unknown",
        "jobs-unknown",
    ]


def test_all_at_once_stand_in_the_order_and_weights_fall() -> None:
    found = judged(*FIRST.values())
    assert [f.rank for f in found.facts if f.text in {c.text for c in FIRST.values()}] == list(Rank)[:-1]
    weights = [f.weight for f in found.facts]
    assert weights == sorted(weights, reverse=True) and weights[0] == 110


def test_what_is_fine_asks_for_nothing_and_stands_last() -> None:
    age = next(f for f in judged().facts if f.code == "backup-age")
    assert (age.rank, age.means, age.command, age.weight) == (Rank.FINE, "", "", 0)
    assert judged(MORE["another history"]).facts[-1].rank is Rank.FINE


def test_a_fact_has_the_age_of_the_value_that_says_so() -> None:
    assert judged().facts[0].age_seconds == 0
    stale = of(judged(MORE["coverage is old"]), MORE["coverage is old"])
    assert stale.age_seconds == 200
    assert of(judged(MORE["events were never read"]), MORE["events were never read"]).age_seconds is None


def test_without_a_stream_a_gap_is_no_surprise_and_behind_a_newer_snapshot_it_is_over() -> None:
    case = MORE["a gap after the newest snapshot"]
    assert "gap" not in {f.code for f in judged(replace(case, limits={})).facts}
    over = replace(case, change=covered(gaps=(replace(HOLE, start=at(50), end=at(40)),)))
    assert "gap" not in {f.code for f in judged(over).facts}


def test_a_full_drill_has_read_a_snapshot_back() -> None:
    rehearsed = held(snapshot(30, restore_tested_at=None), drilled=(Drilled(NOW, "full", HERE),))
    assert verdict(rehearsed(well()), LIMITS, NOW).level is FINE


def test_every_remedy_is_that_of_a_rank_and_every_command_is_known_to_the_console() -> None:
    from mongo_dr_console.ui.app import COMMANDS
    from mongo_dr_console.ui.panels import NAMES

    assert list(BY_RANK) == list(Rank)
    known = {c.id for c in COMMANDS if c.keys} | {f"dashboard.panel-{number}" for number in NAMES}
    assert {r.command for r in (*BY_CODE.values(), *BY_RANK.values())} - {""} <= known
