"""What can be restored to where a stream helps: joins by position, term and hash, forks, gaps, damage."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.readingkit import ELSEWHERE, HERE, NOW, at, oplog, snapshot

from mongo_dr_console.model.catalogue import SnapshotEntry
from mongo_dr_console.model.coverage import Cause, Coverage, Damage, LiveOplog, build, wanted_hashes
from mongo_dr_console.model.link import Link
from mongo_dr_console.model.manifest import Window
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.stretch import Stretch, stretch_questions


@dataclass(frozen=True)
class History:
    """An entry a second; ``fork`` seconds before now it went another way than ``trunk``."""

    tag: str = "a"
    fork: int = -1
    trunk: str = "a"

    def hash(self, ago: int) -> str:
        return f"{self.tag if ago < self.fork or self.fork < 0 else self.trunk} {ago}"

    def link(self, ago: int) -> Link:
        return Link(at(ago), 1, self.hash(ago))

    def stretch(self, start: int, end: int, source: str = "segments:local", step: int = 7) -> Stretch:
        between = [ago for ago in range(start - 1, end, -1) if ago % step == 0]
        return Stretch(source, tuple(self.link(ago) for ago in (start, *between, end)), HERE)

    def base(self, ago: int) -> SnapshotEntry:
        end = at(ago)
        return snapshot(
            ago, window=Window(start=end, end=end, end_term=1, end_hash=self.hash(ago), operations=1)
        )


MAIN = History()


def cover(
    bases: Sequence[SnapshotEntry],
    stretches: Sequence[Stretch],
    live: tuple[History, int, int] | None = None,
    damage: Sequence[Damage] = (),
    histories: dict[int, History] | None = None,
) -> Coverage:
    """As the sources would be asked: stretches first, then the live oplog while there are questions."""
    ends = [b.end for b in bases if b.end is not None]
    asked = stretch_questions(stretches, ends)
    known = []
    for n, (stretch, wanted) in enumerate(zip(stretches, asked, strict=True)):
        history = (histories or {}).get(n, MAIN)
        known.append(replace(stretch, hashes={p: history.hash(ago(p)) for p in wanted}))
    seen: LiveOplog | None = None
    if live is not None:
        history, oldest, newest = live
        inside: set[Position] = set()
        for _ in range(40):
            more = {p for p in wanted_hashes(bases, known, seen) if at(oldest) <= p <= at(newest)}
            if seen is not None and more <= inside:
                break
            inside |= more
            seen = LiveOplog(
                at(oldest), at(newest), at(newest), {p: history.hash(ago(p)) for p in inside}, HERE
            )
    return build(bases, seen, now=NOW, oplog=oplog(), stretches=known, damage=damage)


def ago(position: Position) -> int:
    return int(NOW.timestamp()) - position.t


def extent(found: Coverage) -> list[tuple[int, int]]:
    return [(ago(r.start), ago(r.end)) for r in found.ranges]


def test_a_stream_reaches_on_where_the_deployment_is_gone() -> None:
    found = cover([MAIN.base(600)], [MAIN.stretch(700, 3)])
    assert extent(found) == [(600, 3)]
    assert found.ranges[0].sources == ("snapshot:s600", "segments:local")
    assert (found.rpo_seconds, found.rpo_undo_seconds, found.gaps) == (3, None, ())


def test_rpo_counts_what_is_stored_and_undo_what_lives() -> None:
    found = cover([MAIN.base(600)], [MAIN.stretch(700, 30)], (MAIN, 300, 0))
    assert extent(found) == [(600, 0)]
    assert found.ranges[0].sources == ("snapshot:s600", "segments:local", "live")
    assert (found.rpo_seconds, found.rpo_undo_seconds) == (30, 0)
    # The oplog holds 100,000 s: the stream's end, not the base's, is what may not fall off it.
    assert found.margin_seconds == pytest.approx(100_000 - 30)


def test_of_two_stores_with_a_hole_each_nothing_is_missing() -> None:
    parts = [
        MAIN.stretch(700, 500),
        MAIN.stretch(300, 10),
        MAIN.stretch(550, 280, "segments:far"),
    ]
    found = cover([MAIN.base(650)], parts)
    assert extent(found) == [(650, 10)]
    assert found.ranges[0].sources == ("snapshot:s650", "segments:local", "segments:far")


def test_a_hole_in_all_of_them_is_a_gap() -> None:
    found = cover(
        [MAIN.base(650), MAIN.base(90)], [MAIN.stretch(700, 500), MAIN.stretch(300, 10)], (MAIN, 100, 0)
    )
    assert extent(found) == [(650, 500), (90, 0)]
    (gap,) = found.gaps
    assert (ago(gap.start), gap.end, gap.cause) == (500, at(90), Cause.ROLLED_OVER)
    assert str(at(300)) in gap.text


def test_copies_that_only_overlap_are_not_taken_for_one_history() -> None:
    """What could not be read is unproved; an entry in common, or one with the live oplog, proves it."""
    apart = [MAIN.stretch(700, 501, step=1000), MAIN.stretch(550, 10, "segments:far", step=1000)]
    found = build([MAIN.base(700)], None, now=NOW, stretches=apart)
    assert extent(found) == [(700, 501)]
    assert extent(cover([MAIN.base(700)], apart)) == [(700, 10)]
    hashes: dict[Position, str | None] = {at(n): MAIN.hash(n) for n in (501, 10, 700)}
    seen = LiveOplog(at(510), at(0), at(0), hashes, HERE)
    assert extent(build([MAIN.base(700)], seen, now=NOW, stretches=apart)) == [(700, 0)]


def test_a_damaged_segment_is_the_cause_of_its_gap() -> None:
    harm = Damage(at(500), at(480), "segments:local: cut off")
    found = cover(
        [MAIN.base(650), MAIN.base(400)], [MAIN.stretch(700, 500), MAIN.stretch(480, 10)], None, [harm]
    )
    assert extent(found) == [(650, 500), (400, 10)]
    assert [(g.cause, g.text) for g in found.gaps] == [(Cause.DAMAGED, "segments:local: cut off")]


def test_another_deployments_stream_is_never_joined() -> None:
    foreign = replace(MAIN.stretch(700, 3), identity=ELSEWHERE)
    found = cover([MAIN.base(600)], [foreign], (MAIN, 300, 0))
    assert extent(found) == [(600, 600)]
    assert [(b.cause, b.end) for b in found.branches] == [(Cause.FOREIGN, at(3))]


@pytest.mark.parametrize("one_store", [True, False])
def test_what_a_forced_reconfiguration_dropped_is_a_branch_from_the_fork_on(one_store: bool) -> None:
    lost = History("lost", fork=200)
    parts = [lost.stretch(700, 100, step=10)]
    histories = {0: lost}
    if not one_store:
        parts.append(MAIN.stretch(210, 20))
    found = cover([MAIN.base(600)], parts, (MAIN, 650, 0), histories=histories)
    assert extent(found) == [(600, 0)]
    (branch,) = found.branches
    # Segments end every ten seconds: the fork lies after the one at 200.
    assert (ago(branch.start), ago(branch.end), branch.cause) == (200, 100, Cause.DIVERGED)
    assert branch.sources == ("segments:local",) and branch.name.startswith(str(at(100).t))
    assert found.rpo_seconds == (200 if one_store else 20)


def test_a_snapshot_of_the_lost_history_is_not_continued_by_the_other() -> None:
    lost = History("lost", fork=200)
    found = cover(
        [lost.base(150)], [lost.stretch(700, 100), MAIN.stretch(210, 20)], (MAIN, 650, 0), histories={0: lost}
    )
    assert found.ranges == ()
    assert {b.cause for b in found.branches} == {Cause.DIVERGED}


spans = st.tuples(st.integers(0, 400), st.integers(0, 400)).map(lambda p: (max(p) + 1, min(p)))


@settings(max_examples=200)
@given(
    st.lists(st.tuples(spans, st.booleans(), st.sampled_from(["local", "far"])), max_size=5),
    st.lists(st.tuples(st.integers(0, 400), st.booleans()), max_size=4, unique_by=lambda b: b[0]),
    st.one_of(st.none(), st.tuples(st.integers(50, 400), st.booleans())),
    st.integers(1, 399),
)
def test_whatever_there_is_only_what_is_proved_is_covered(
    parts: list[tuple[tuple[int, int], bool, str]],
    bases: list[tuple[int, bool]],
    live: tuple[int, bool] | None,
    fork: int,
) -> None:
    """Two histories that part somewhere; stretches, snapshots and the live oplog of either."""
    other = History("b", fork=fork)
    of = {False: MAIN, True: other}
    stretches = [of[b].stretch(*span, f"segments:{store}") for span, b, store in parts]
    histories = {n: of[b] for n, (_, b, _) in enumerate(parts)}
    snapshots = [of[b].base(n) for n, b in bases]
    found = cover(
        snapshots, stretches, None if live is None else (of[live[1]], live[0], 0), histories=histories
    )

    edges = [(r.start, r.end) for r in found.ranges]
    assert all(a[1] < b[0] for a, b in itertools.pairwise(edges))
    for r in found.ranges:
        # One history has all of it: a base at its start, and every second after it in some copy of that one.
        start, end = ago(r.start), ago(r.end)
        assert any(_replayable(h, start, end, bases, parts, live, of) for h in (MAIN, other))
    if live is not None:
        # Nothing of the deployment's own history is left out that the live oplog proves.
        mine = of[live[1]]
        for n, b in bases:
            if n <= live[0] and of[b].hash(n) == mine.hash(n):
                assert found.covers(at(n)) and found.covers(at(0))
    assert found.latest == max((r.end for r in found.ranges), default=None)


def _replayable(
    history: History,
    start: int,
    end: int,
    bases: list[tuple[int, bool]],
    parts: list[tuple[tuple[int, int], bool, str]],
    live: tuple[int, bool] | None,
    of: dict[bool, History],
) -> bool:
    if not any(n == start and of[b].hash(n) == history.hash(n) for n, b in bases):
        return False
    held = [(s, e, of[b]) for (s, e), b, _ in parts]
    if live is not None:
        held.append((live[0] + 1, 0, of[live[1]]))
    return all(
        any(s > second >= e and h.hash(second) == history.hash(second) for s, e, h in held)
        for second in range(start - 1, end - 1, -1)
    )


@settings(max_examples=100)
@given(
    st.lists(st.tuples(spans, st.sampled_from(["local", "far"])), max_size=5),
    st.lists(st.integers(0, 400), max_size=3, unique=True),
    st.randoms(),
)
def test_neither_the_order_of_sources_nor_the_deployments_absence_makes_more_restorable(
    parts: list[tuple[tuple[int, int], str]], ages: list[int], luck: object
) -> None:
    stretches = [MAIN.stretch(*span, f"segments:{store}") for span, store in parts]
    bases = [MAIN.base(n) for n in ages]
    down = cover(bases, stretches)
    mixed = list(stretches)
    luck.shuffle(mixed)  # type: ignore[attr-defined]
    assert extent(cover(bases[::-1], mixed)) == extent(down)
    up = cover(bases, stretches, (MAIN, 200, 0))
    for r in down.ranges:
        assert up.covers(r.start) and up.covers(r.end)
