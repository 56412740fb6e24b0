"""Oplog, backups, estimates, words: the facts below the verdict."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.readingkit import (
    ELSEWHERE,
    HERE,
    NOW,
    at,
    member,
    oplog,
    reading,
    readings,
    set_status,
    snapshot,
    store,
)

from mongo_dr_console.config import Profile
from mongo_dr_console.model.backupfacts import backup_facts
from mongo_dr_console.model.estimate import Measured, Work, estimate, operations_between
from mongo_dr_console.model.readings import rto_now
from mongo_dr_console.model.trouble import Failed
from mongo_dr_console.model.words import duration
from mongo_dr_console.mongo.members import member_uri, seeds
from mongo_dr_console.mongo.oplogstats import member_lags
from mongo_dr_console.workers.backoff import delay
from mongo_dr_console.workers.limits import limits_of
from mongo_dr_console.workers.sources import measured_restores


def test_an_oplog_of_some_seconds_says_nothing_of_the_future() -> None:
    young = oplog(oldest=at(30), size_bytes=50_000_000, recent_bytes_per_second=1_600_000.0)
    assert young.churn_bytes_per_second is None
    assert young.seconds_until_gone(at(10)) is None
    # A few minutes old: what filled it in its first seconds is not its rate.
    older = oplog(oldest=at(600), size_bytes=50_000_000, recent_bytes_per_second=1000.0)
    assert older.churn_bytes_per_second == 1000.0


def test_an_old_oplog_reckons_with_its_busier_rate() -> None:
    quiet_now = oplog(recent_bytes_per_second=1.0)
    assert quiet_now.churn_bytes_per_second == quiet_now.average_bytes_per_second == 1000.0
    busy_now = oplog(recent_bytes_per_second=5000.0)
    assert busy_now.window_when_full_seconds == pytest.approx(20_000)


def test_what_is_gone_is_gone() -> None:
    assert oplog().seconds_until_gone(at(7201)) == 0.0
    full = oplog(size_bytes=7_200_000, max_bytes=7_200_000)
    assert full.seconds_until_gone(at(7200)) == 0.0
    assert full.seconds_until_gone(at(0)) == pytest.approx(7200)


def test_headroom_is_negative_only_for_a_member_that_fell_off() -> None:
    status = set_status(
        member("a:1", "PRIMARY"),
        member("b:1", position=at(100)),
        member("c:1", position=at(200)),
        member("d:1", "ARBITER", position=None),
        member("e:1", "DOWN", healthy=False, position=None),
    )
    rooms = [(m.name, m.headroom_seconds) for m in member_lags(status, at(100))]
    assert rooms == [("a:1", 100.0), ("b:1", 0.0), ("c:1", -100.0), ("e:1", None)]


def test_the_newest_whole_readable_snapshot_of_this_deployment_counts() -> None:
    held = (
        snapshot(500),
        snapshot(400, stored_bytes=1500),
        snapshot(300, scope=("shop",)),
        snapshot(200, problem=Failed("manifest-changed", "It is not as it was written.")),
        snapshot(100, identity=ELSEWHERE),
    )
    facts = backup_facts([store(*held)], HERE)
    assert facts.newest is not None and facts.newest.name == "s400"
    assert facts.size_delta == pytest.approx(0.5)
    assert facts.stores[0].problems == ("Snapshot s200: It is not as it was written.",)


@pytest.mark.parametrize("change", [{"compression": "zstd"}, {"scope": ("a",)}, {"origin": "mongodump"}])
def test_sizes_are_compared_with_their_like(change: dict[str, object]) -> None:
    assert backup_facts([store(snapshot(100, **change), snapshot(50))]).size_delta is None


def test_estimates_without_a_measurement_are_wide_and_say_so() -> None:
    found = estimate(Work(400_000, 0, 100_000))
    assert found.seconds == pytest.approx(10 + 10 + 10)
    assert found.low < found.seconds / 2 and found.high > found.seconds * 2
    assert "no restore was measured" in found.basis


def test_a_measured_restore_sets_the_rate_and_narrows_the_range() -> None:
    work = Work(400_000, 0)
    found = estimate(work, [Measured(work, 60.0)])
    assert found.seconds == pytest.approx(60)
    assert found.low / found.seconds > 0.5 and found.high / found.seconds < 2


def test_a_small_measured_restore_says_little_of_a_large_one() -> None:
    small = Measured(Work(1000, 0), 1.0)
    found = estimate(Work(100_000_000, 0), [small])
    assert found.seconds == pytest.approx(estimate(Work(100_000_000, 0)).seconds, rel=0.01)
    assert "much smaller" in found.basis


def test_what_was_measured_lies_within_the_range() -> None:
    work = Work(400_000, 0)
    found = estimate(work, [Measured(work, 20.0), Measured(work, 400.0), Measured(work, 30.0)])
    assert found.low <= 20.1 and found.high >= 399


works = st.builds(Work, st.integers(0, 10**9), st.integers(0, 10**12), st.integers(0, 10**9))


@given(works, works, st.lists(st.builds(Measured, works, st.floats(0.1, 1e6)), max_size=3))
def test_estimates_are_ordered_and_grow_with_the_work(one: Work, more: Work, done: list[Measured]) -> None:
    found = estimate(one, done)
    assert 0 < found.low <= found.seconds <= found.high
    both = Work(one.documents + more.documents, one.bytes + more.bytes, one.operations + more.operations)
    assert estimate(both).seconds >= estimate(one).seconds


def test_rto_now_counts_what_must_be_replayed() -> None:
    near, far = readings(snapshot(10)), readings(snapshot(7000))
    first, second = rto_now(near), rto_now(far)
    assert first is not None and second is not None and second.seconds > first.seconds
    assert rto_now(readings(snapshot(10, documents=None))) is None


def test_measured_restores_come_from_the_ledger_and_count_once() -> None:
    good = {"state": "done", "seconds": 12.5, "documents": 1000, "bytes": 5000, "operations": 7}
    found = measured_restores([good, good | {"state": "failed"}, {"seconds": "no"}, {}])
    assert found == (Measured(Work(1000, 5000, 7), 12.5),)
    twice = {n: reading(n, store(snapshot(5), measured=found)) for n in ("store:a", "store:b")}
    assert readings(stores=twice).measured == found


def test_a_profile_is_streamed_only_where_a_stream_is_configured() -> None:
    bare = Profile.model_validate({"uri": "mongodb://h/", "thresholds": {"margin": {"critical": "1h"}}})
    limits = limits_of(bare)
    assert (limits.streamed, limits.rpo, limits.margin.critical, limits.margin.warning) == (
        False,
        60,
        3600,
        None,
    )
    kafka = {"oplog": {"kafka": {"bootstrap": ["k:9092"]}}}
    assert limits_of(Profile.model_validate({"uri": "mongodb://h/", **kafka})).streamed


def test_all_stores_as_one_reading() -> None:
    here = reading("store:a", store(snapshot(5)))
    there = replace(reading("store:b", None), error=reading("x", None).error)
    both = readings(stores={"store:a": here, "store:b": there}).backups
    assert both is not None and both.error is None and both.taken_at == NOW
    assert readings(stores={}).backups is None


def test_operations_in_a_stretch() -> None:
    assert operations_between(1000, 100.0, 10.0) == 100
    assert operations_between(None, 100.0, 10.0) == operations_between(10, 0.0, 10.0) == 0


@given(st.integers(0, 10_000), st.floats(0.1, 60), st.floats(0, 1, exclude_max=True))
def test_backoff_stays_within_its_bounds(attempt: int, interval: float, chance: float) -> None:
    wait = delay(attempt, interval, chance)
    assert interval / 2 <= wait <= max(30.0, interval)
    if attempt == 0:
        assert wait == interval


def test_backoff_doubles_and_jitter_only_shortens() -> None:
    assert [delay(n, 2.0, 0.0) for n in range(7)] == [2, 2, 4, 8, 16, 30, 30]
    assert delay(4, 2.0, 0.5) == 12.0


def test_one_members_uri_keeps_user_and_options_but_not_the_sets() -> None:
    uri = "mongodb://us%40er:p%3Aw@h1:1,h2/db?replicaSet=rs0&authSource=admin&directConnection=false"
    assert member_uri(uri, "h9:9") == "mongodb://us%40er:p%3Aw@h9:9/db?authSource=admin"
    assert member_uri("mongodb+srv://u:p@c.example.net/", "h:1") == "mongodb://u:p@h:1/?tls=true"
    assert member_uri("mongodb://h1?tls=true", "h:1") == "mongodb://h:1/?tls=true"
    assert seeds("mongodb://u:p@h1,[::1]:5,[::2]/") == ("h1:27017", "[::1]:5", "[::2]:27017")
    assert seeds("mongodb+srv://c.example.net") == ()


def test_durations_are_short_and_keep_their_units() -> None:
    said = [duration(s) for s in (0, 59.6, 60, 3599.7, 86399.9, 90_061, 200 * 86400)]
    assert said == ["0s", "1m", "1m", "1h", "1d", "1d1h", "200d"]
