"""Which positions can be restored to, judged from snapshots and the live oplog."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.readingkit import ELSEWHERE, HERE, NOW, at, hash_of, live, oplog, snapshot

from mongo_dr_console.model.coverage import Cause, LiveOplog, Range, build, wanted_hashes
from mongo_dr_console.model.coverage import at as seen_at
from mongo_dr_console.model.link import Link
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.reading import SourceError
from mongo_dr_console.model.stretch import Stretch


def test_a_snapshot_that_the_live_oplog_continues_covers_everything_since() -> None:
    base = snapshot(600)
    found = build([base], live(7200, base), now=NOW)
    assert found.ranges == (Range(at(600), at(0), ("snapshot:s600", "live")),)
    assert (found.gaps, found.branches, found.latest) == ((), (), at(0))
    assert (found.rpo_seconds, found.rpo_undo_seconds) == (600, 0)
    assert found.covers(at(600)) and found.covers(at(0)) and not found.covers(at(600, 0))


def test_without_the_deployment_each_snapshot_is_restorable_at_its_end_alone() -> None:
    error = SourceError("deployment-unreachable", "gone")
    found = build([snapshot(600), snapshot(60)], None, now=NOW, live_error=error)
    assert [(r.start, r.end) for r in found.ranges] == [(at(600), at(600)), (at(60), at(60))]
    assert [g.cause for g in found.gaps] == [Cause.UNREACHABLE]
    assert (found.latest, found.rpo_seconds, found.rpo_undo_seconds) == (at(60), 60, None)
    assert found.margin_seconds is None


def test_of_several_joined_snapshots_the_oldest_begins_the_range_and_all_are_named() -> None:
    old, new = snapshot(6000), snapshot(600)
    found = build([new, old], live(7200, old, new), now=NOW)
    assert found.ranges == (Range(at(6000), at(0), ("snapshot:s6000", "snapshot:s600", "live")),)


def test_a_rolled_over_oplog_leaves_a_gap_up_to_the_next_snapshot() -> None:
    old, new = snapshot(9000), snapshot(600)
    found = build([new, old], live(7200, old, new), now=NOW)
    assert [(r.start, r.end) for r in found.ranges] == [(at(9000), at(9000)), (at(600), at(0))]
    (gap,) = found.gaps
    assert (gap.start, gap.end, gap.cause) == (at(9000), at(600), Cause.ROLLED_OVER)
    assert found.gap_at(at(8000)) == gap
    assert found.gap_at(at(9000)) is None and found.gap_at(at(600)) is None


def test_when_no_snapshot_joins_the_gap_reaches_to_now_and_the_margin_is_gone() -> None:
    old = snapshot(9000)
    found = build([old], live(7200, old), now=NOW, oplog=oplog())
    assert (found.gaps[0].start, found.gaps[0].end) == (at(9000), at(0))
    assert (found.latest, found.margin_seconds) == (at(9000), 0.0)
    assert found.rpo_undo_seconds == 9000


@pytest.mark.parametrize("there", [None, "another hash"])
def test_a_snapshot_whose_end_is_not_in_the_live_oplog_is_a_branch(there: str | None) -> None:
    good, bad = snapshot(600), snapshot(300)
    joints = {at(600): hash_of(at(600)), at(300): there}
    found = build([good, bad], live(7200, hashes=joints), now=NOW)
    assert [(b.sources, b.cause) for b in found.branches] == [(("snapshot:s300",), Cause.DIVERGED)]
    assert found.ranges == (Range(at(600), at(0), ("snapshot:s600", "live")),)
    assert found.rpo_seconds == 600


def test_another_deployments_snapshot_is_a_branch_and_protects_nothing() -> None:
    found = build([snapshot(60, identity=ELSEWHERE)], live(7200), now=NOW)
    assert found.branches[0].cause is Cause.FOREIGN
    assert (found.ranges, found.latest, found.rpo_seconds, found.bases) == ((), None, None, 0)


def test_with_the_deployment_gone_the_newest_snapshot_says_whose_history_it_is() -> None:
    found = build([snapshot(600, identity=ELSEWHERE), snapshot(60)], None, now=NOW)
    assert [b.end for b in found.branches] == [at(600)]
    assert found.latest == at(60)


def test_a_member_that_is_behind_a_snapshot_makes_no_branch_of_it() -> None:
    base = snapshot(60)
    behind = live(7200, latest=at(120), newest=at(120))
    found = build([base], behind, now=NOW)
    assert (found.branches, found.latest) == ((), at(60))
    assert found.rpo_undo_seconds == 60


def test_entries_that_are_not_majority_committed_cannot_be_restored_to() -> None:
    base = snapshot(600)
    found = build([base], live(7200, base, latest=at(5)), now=NOW)
    assert (found.latest, found.rpo_undo_seconds) == (at(5), 5)


def test_a_snapshot_of_some_databases_or_without_an_oplog_covers_nothing() -> None:
    some, bare = snapshot(60, scope=("shop",)), snapshot(30, window=None)
    found = build([some, bare], live(7200, some), now=NOW)
    assert (found.ranges, found.rpo_seconds, found.scoped) == ((), None, ("s60",))
    assert wanted_hashes([some, bare]) == ()


def test_copies_in_two_stores_are_one_snapshot() -> None:
    here, there = snapshot(60), snapshot(60, store="far")
    found = build([here, there], None, now=NOW)
    assert found.ranges == (Range(at(60), at(60), ("snapshot:s60",)),)


def test_margin_is_what_churn_leaves_until_the_newest_base_falls_off() -> None:
    base = snapshot(3600)
    # 100 MB oplog, 1000 B/s, 3.6 MB written since the base: 96.4 MB are left.
    found = build([base], live(7200, base), now=NOW, oplog=oplog())
    assert found.margin_seconds == pytest.approx(96_400)


def test_coverage_grows_old_between_two_polls() -> None:
    base = snapshot(600)
    taken = build([base], live(7200, base), now=NOW, oplog=oplog())
    later = seen_at(taken, NOW + timedelta(seconds=40), NOW)
    assert (later.rpo_seconds, later.rpo_undo_seconds) == (640, 0)
    assert later.margin_seconds == pytest.approx((taken.margin_seconds or 0) - 40)


bases = st.lists(st.integers(0, 5000), max_size=6, unique=True)


@given(bases, st.integers(0, 5000), st.integers(0, 5000), st.sets(st.integers(0, 5)))
def test_whatever_there_is_ranges_are_sound(ages: list[int], oldest: int, lag: int, broken: set[int]) -> None:
    snapshots = [snapshot(age) for age in ages]
    hashes: dict[Position, str | None] = {
        s.end: (None if n in broken else hash_of(s.end)) for n, s in enumerate(snapshots) if s.end
    }
    there = LiveOplog(at(oldest), at(min(lag, oldest)), at(min(lag, oldest)), hashes, HERE)
    found = build(snapshots, there, now=NOW, oplog=oplog())

    edges = [p for r in found.ranges for p in (r.start, r.end)]
    assert edges == sorted(edges)
    for before, after in zip(found.ranges, found.ranges[1:], strict=False):
        assert before.end < after.start
    for stretch in found.ranges:
        # Every range begins at a snapshot's end, and reaches beyond it only by an unbroken live oplog.
        begun = [s for s in snapshots if s.end == stretch.start]
        assert begun
        if stretch.end > stretch.start:
            assert there.oldest <= stretch.start and stretch.end == there.latest
            assert any(hashes[s.end] == hash_of(s.end) for s in begun if s.end)
    for base in snapshots:
        # What joins the live oplog is covered from its end on, whatever else there is.
        if base.end and there.oldest <= base.end <= there.latest and hashes[base.end]:
            assert any(r.start <= base.end and r.end == there.latest for r in found.ranges)
    for gap in found.gaps:
        assert found.covers(gap.start)
        assert gap.end is None or gap.start < gap.end
    assert found.latest == (found.ranges[-1].end if found.ranges else None)
    for branch in found.branches:
        assert branch.cause is Cause.DIVERGED


@given(bases, st.integers(0, 5000))
def test_an_unreachable_deployment_never_makes_more_restorable(ages: list[int], oldest: int) -> None:
    snapshots = [snapshot(age) for age in ages]
    up = build(snapshots, live(oldest, *snapshots), now=NOW)
    down = build(snapshots, None, now=NOW)
    for stretch in down.ranges:
        assert up.covers(stretch.start)
    assert up.rpo_seconds == down.rpo_seconds


def test_the_order_of_snapshots_does_not_matter() -> None:
    some = [snapshot(9000), snapshot(600), snapshot(60), replace(snapshot(300), identity=ELSEWHERE)]
    there = live(7200, *some)
    assert build(some, there, now=NOW) == build(some[::-1], there, now=NOW)


def test_a_topics_retention_takes_the_joint_to_the_snapshot_before_the_stream_falls_behind() -> None:
    base = snapshot(9000)
    ends = [Link(at(ago), 1, hash_of(at(ago))) for ago in (9000, 10)]
    kept = Stretch("kafka", tuple(ends), HERE)
    known = live(7200, hashes={at(10): hash_of(at(10))})

    def margin(*stretches: Stretch) -> float | None:
        found = build([base], known, now=NOW, oplog=oplog(), stretches=stretches)
        assert found.ranges == (Range(at(9000), at(0), ("snapshot:s9000", *found.ranges[0].sources[1:])),)
        return found.margin_seconds

    unbounded = margin(kept)
    assert unbounded is not None and unbounded > 2000
    assert margin(replace(kept, kept=9000 + 1500.0)) == 1500
    assert margin(replace(kept, kept=8000.0)) == 0
    assert margin(replace(kept, kept=10_000_000.0)) == unbounded
    # Segments hold the same, and nobody takes them.
    assert margin(replace(kept, kept=8000.0), replace(kept, source="segments:local")) == unbounded
