"""The verdict: the worst fact first, and unknown never green."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.readingkit import (
    DOWN,
    ELSEWHERE,
    HERE,
    LIMITS,
    NOW,
    at,
    coverage,
    live,
    member,
    oplog,
    reading,
    readings,
    set_status,
    snapshot,
    store,
)

from mongo_dr_console.model import coverage as covering
from mongo_dr_console.model.backupfacts import Drilled
from mongo_dr_console.model.catalogue import Verification
from mongo_dr_console.model.identity import Identity
from mongo_dr_console.model.jobfacts import JobFacts
from mongo_dr_console.model.link import Link
from mongo_dr_console.model.oplogfacts import MemberLag
from mongo_dr_console.model.reading import SourceError
from mongo_dr_console.model.readings import Readings, Threshold
from mongo_dr_console.model.stretch import Stretch
from mongo_dr_console.model.verdict import Level, Verdict, grade, grade_least, verdict

READ_BACK = Verification(level=3, at=NOW, good=True)


def judged(given_readings: Readings, **changes: Any) -> Verdict:
    return verdict(given_readings, replace(LIMITS, **changes), NOW)


def codes(found: Verdict) -> list[str]:
    return [f.code for f in found.facts if f.level is not Level.FINE]


def test_all_is_well() -> None:
    found = judged(readings())
    assert (found.level, found.exit_code, codes(found)) == (Level.FINE, 0, [])
    assert "loses nothing" in found.consequence


def test_a_dead_deployment_is_critical_and_says_what_the_stores_still_give() -> None:
    gone = covering.build([snapshot(30)], None, now=NOW, live_error=DOWN)
    found = judged(
        readings(
            set=reading("set", None, error=DOWN),
            oplog=reading("oplog", None, error=DOWN),
            coverage=reading("coverage", gone),
        )
    )
    assert found.exit_code == 2
    assert codes(found)[0] == "deployment-down"
    assert "from a snapshot in a store (loses 30s)" in found.consequence


@pytest.mark.parametrize(
    ("sources", "words"),
    [
        (("segments:far",), "from the segments in store far (loses 10s)"),
        (("segments:far", "segments:near"), "from the segments in store far and near (loses 10s)"),
        (("segments:far", "kafka"), "from the segments in store far and the Kafka topic (loses 10s)"),
        (("kafka",), "from the Kafka topic (loses 10s)"),
    ],
)
def test_where_the_stream_reaches_further_than_the_snapshot_it_is_said_so(
    sources: tuple[str, ...], words: str
) -> None:
    base = snapshot(30)
    assert base.window is not None
    links = Link(base.window.end, base.window.end_term, base.window.end_hash), Link(at(10), 1, "there")
    left = [Stretch(name, links, HERE) for name in sources]
    gone = covering.build([base], None, now=NOW, live_error=DOWN, stretches=left)
    assert gone.latest == at(10)
    found = judged(readings(set=reading("set", None, error=DOWN), coverage=reading("coverage", gone)))
    assert words in found.consequence


@pytest.mark.parametrize("source", ["set", "oplog", "coverage", "events", "jobs"])
def test_a_source_that_fails_is_unknown_though_its_last_value_was_fine(source: str) -> None:
    known = getattr(readings(), source)
    failed = replace(known, error=SourceError("timed-out", "No answer in time."), attempt=3)
    found = judged(readings(**{source: failed}))
    assert found.level is Level.UNKNOWN and found.exit_code == 3


@pytest.mark.parametrize("source", ["set", "oplog", "coverage", "events", "jobs"])
def test_a_source_that_never_answered_is_unknown(source: str) -> None:
    assert judged(readings(**{source: None})).level is Level.UNKNOWN


@pytest.mark.parametrize("source", ["set", "oplog", "coverage", "events", "jobs"])
def test_a_value_that_nobody_renews_is_unknown(source: str) -> None:
    old = replace(getattr(readings(), source), taken_at=NOW - timedelta(hours=1))
    assert judged(readings(**{source: old})).level is not Level.FINE


def test_no_store_at_all_is_unknown_backups() -> None:
    assert "backups-unknown" in codes(judged(readings(stores={})))


def test_no_primary_and_no_majority() -> None:
    dead = member("b:1", "DOWN", healthy=False, lag_seconds=None)
    found = judged(readings(set=reading("set", set_status(member("a:1"), dead, replace(dead, name="c:1")))))
    assert found.exit_code == 2 and "NO MAJORITY" in found.text
    electing = judged(readings(set=reading("set", set_status(member("a:1"), member("b:1"), dead))))
    assert "NO PRIMARY" in electing.text and electing.exit_code == 2


def test_the_last_member_that_may_fail_is_named_as_such() -> None:
    dead = member("c:1", "DOWN", healthy=False, lag_seconds=None, heartbeat_age_seconds=41.0)
    found = judged(readings(set=reading("set", set_status(member("a:1", "PRIMARY"), member("b:1"), dead))))
    assert found.exit_code == 1
    assert found.text == "c:1 is down, last heard of 41s ago; one more loss stops writes."


@pytest.mark.parametrize(("lag", "level"), [(9.0, "fine"), (11.0, "warning"), (61.0, "critical")])
def test_lag_is_held_against_its_threshold(lag: float, level: str) -> None:
    status = set_status(member("a:1", "PRIMARY"), member("b:1", lag_seconds=lag), member("c:1"))
    assert judged(readings(set=reading("set", status))).level == level


def test_a_left_write_block_is_critical() -> None:
    found = judged(readings(set=reading("set", set_status(write_blocked=True))))
    assert codes(found) == ["write-blocked"] and found.exit_code == 2


def test_no_backup_is_critical() -> None:
    empty = readings(
        stores={"store:local": reading("store:local", store())},
        coverage=reading("coverage", covering.build([], live(7200), now=NOW)),
    )
    found = judged(empty)
    assert codes(found) == ["no-backup", "nothing-covered"] and found.exit_code == 2
    assert found.consequence == "There is nothing to restore from."


def test_an_old_backup_and_one_of_another_size() -> None:
    old = judged(readings(snapshot(90_000)), rpo=1e9, margin=Threshold(0))
    assert codes(old)[:2] == ["margin", "backup-age"]
    half = judged(readings(snapshot(60), snapshot(30, stored_bytes=400)))
    assert codes(half) == ["backup-size"]


def test_an_unreadable_store_is_a_fact_though_another_answers() -> None:
    failed = reading("store:far", None, error=SourceError("unreadable", "It cannot be read."), origin="/far")
    both = {"store:local": reading("store:local", store(snapshot(30))), "store:far": failed}
    assert codes(judged(readings(stores=both))) == ["store-unreachable"]


def test_rpo_over_target_is_critical_only_where_a_stream_promises_more() -> None:
    late = readings(snapshot(600))
    assert (codes(judged(late)), judged(late).exit_code) == (["rpo"], 1)
    assert judged(late, streamed=True).exit_code == 2


def test_rto_over_target() -> None:
    large = snapshot(30, documents=200_000_000)
    assert codes(judged(readings(large))) == ["rto"]


@pytest.mark.parametrize(("margin", "level"), [(10, "fine"), (200_000, "critical"), (98_000, "warning")])
def test_margin_is_held_against_its_threshold(margin: float, level: str) -> None:
    found = judged(
        readings(snapshot(30)), margin=Threshold(margin if level == "critical" else 5, margin + 5_000)
    )
    assert found.level == level


def test_a_branch_is_a_warning() -> None:
    good, bad = snapshot(40), snapshot(30)
    forked = covering.build([good, bad], live(7200, good, hashes={at(40): "hash of " + str(at(40))}), now=NOW)
    found = judged(readings(good, bad, coverage=reading("coverage", forked)))
    assert codes(found) == ["branch"] and found.exit_code == 1


def test_a_member_that_fell_off_the_oplog_is_critical() -> None:
    lost = oplog(members=(MemberLag("b:1", 9000.0, -5.0), MemberLag("c:1", 0.0, 0.0)))
    found = judged(readings(oplog=reading("oplog", lost)))
    assert codes(found) == ["member-off-oplog"] and "b:1" in found.text


def test_the_last_job_of_a_kind_counts_and_not_those_before() -> None:
    bad = JobFacts("1", "backup", "failed", started_at=NOW - timedelta(hours=2))
    good = JobFacts("2", "backup", "done", started_at=NOW - timedelta(hours=1))
    assert codes(judged(readings(jobs=reading("jobs", (bad, good))))) == []
    again = replace(bad, job="3", started_at=NOW, error=SourceError("x", "The disk is full."))
    found = judged(readings(jobs=reading("jobs", (bad, good, again))))
    assert codes(found) == ["backup-failed"] and "The disk is full." in found.text
    drill = replace(bad, kind="drill", started_at=NOW, error=SourceError("x", "The index few is missing."))
    assert codes(judged(readings(jobs=reading("jobs", (drill, good))))) == ["drill-failed"]


def test_never_restored_is_a_warning() -> None:
    untested = snapshot(30, restore_tested_at=None, verification=READ_BACK)
    assert codes(judged(readings(untested))) == ["never-restore-tested"]


def test_a_good_drill_resets_the_age_of_the_restore_test_and_another_deployments_does_not() -> None:
    def seen(ago: timedelta, identity: Identity, tested: timedelta | None = None) -> Verdict:
        drilled = (Drilled(NOW - ago, "small", identity),)
        moment = None if tested is None else NOW - tested
        held = snapshot(30, restore_tested_at=moment, verification=READ_BACK)
        reading_of_store = reading("store:local", store(held, drilled=drilled))
        return judged(readings(held, stores={"store:local": reading_of_store}))

    days = timedelta(days=1)
    assert codes(seen(days, HERE)) == []
    assert codes(seen(days, HERE, tested=50 * days)) == []
    old = seen(40 * days, HERE, tested=50 * days)
    assert codes(old) == ["restore-test-age"] and "a small drill, was 40d" in old.text
    assert "drill" not in seen(50 * days, HERE, tested=40 * days).text
    assert codes(seen(days, ELSEWHERE)) == ["never-restore-tested"]


def test_every_level_has_a_glyph_and_a_word_of_its_own() -> None:
    assert len({level.glyph for level in Level}) == len({level.word for level in Level}) == 4
    assert [level.exit_code for level in Level] == [0, 1, 3, 2]


@given(st.floats(0, 1e9), st.floats(0, 1e9), st.floats(0, 1e9))
def test_more_is_never_better_where_too_much_is_bad(value: float, more: float, limit: float) -> None:
    threshold = Threshold(limit, limit / 2)
    assert grade(value + more, threshold).rank >= grade(value, threshold).rank
    assert grade_least(value + more, threshold).rank <= grade_least(value, threshold).rank


def test_coverage_that_is_only_old_still_ages_its_rpo() -> None:
    stale = replace(readings().coverage, taken_at=NOW - timedelta(seconds=100))
    assert "rpo" in codes(judged(readings(coverage=stale)))
    assert coverage(snapshot(30)).rpo_seconds == 30
