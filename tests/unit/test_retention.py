"""What stays and what goes: examples, and random histories held against a restore by hand."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.readingkit import ELSEWHERE, HERE

from mongo_dr_console.model import retention
from mongo_dr_console.model.catalogue import SnapshotEntry, Verification
from mongo_dr_console.model.coverage import LiveOplog, ground, wanted_hashes
from mongo_dr_console.model.hold import Hold, release_record, standing
from mongo_dr_console.model.link import Link
from mongo_dr_console.model.manifest import Window
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.retention import Decision, Facts, StoredSegments, Use, Why, decide, totals
from mongo_dr_console.model.segment import Segment, SegmentHeader, runs
from mongo_dr_console.model.stretch import Stretch, stretch_questions
from mongo_dr_console.model.trouble import Failed

DAY = 100
"""Ticks that stand for a day; there is an entry a tick."""
T0 = 1_795_000_000
_STEP = 86_400 // DAY
STORES = {"near": 2.0, "far": 5.0}


def at(tick: int) -> Position:
    return Position(T0 + tick * _STEP, 1)


def time_of(tick: int) -> datetime:
    return datetime.fromtimestamp(T0 + tick * _STEP, UTC)


@dataclass(frozen=True)
class Piece:
    """A segment: entries after ``start`` through ``end``."""

    store: str
    start: int
    end: int
    tag: str = "a"
    fork: int = -1

    @property
    def ticks(self) -> range:
        return range(self.start + 1, self.end + 1)


@dataclass
class Place:
    """What the stores hold, and what lives."""

    snapshots: list[SnapshotEntry] = field(default_factory=list)
    pieces: list[Piece] = field(default_factory=list)
    holds: list[Hold] = field(default_factory=list)
    live_from: int | None = None
    now: int = 0
    uses: list[Use] = field(default_factory=list)
    begun: frozenset[tuple[str, str]] = frozenset()

    def decide(self) -> list[Decision]:
        segments = {
            store: StoredSegments(runs([segment(p) for p in self.pieces if p.store == store]))
            for store in STORES
        }
        stretches = [
            Stretch(f"segments:{store}", r.links, HERE) for store, s in segments.items() for r in s.runs
        ]
        ends = [s.end for s in self.snapshots if s.end is not None]
        asked = stretch_questions(stretches, ends)
        known = [
            replace(s, hashes={p: hash_in(s, p) for p in wanted})
            for s, wanted in zip(stretches, asked, strict=True)
        ]
        live = self.live(known)
        facts = Facts(
            STORES,
            self.snapshots,
            segments,
            ground(self.snapshots, live, known),
            self.holds,
            self.uses,
            self.begun,
        )
        return decide(facts, time_of(self.now))

    def live(self, stretches: list[Stretch]) -> LiveOplog | None:
        if self.live_from is None:
            return None
        oldest, newest = at(self.live_from), at(self.now)
        hashes: dict[Position, str | None] = {}
        for _ in range(40):
            seen = LiveOplog(oldest, newest, newest, hashes, HERE)
            more = {p for p in wanted_hashes(self.snapshots, stretches, seen) if oldest <= p <= newest}
            if more <= set(hashes):
                break
            hashes = {p: link(tick_of(p)).hash for p in more | set(hashes)}
        return LiveOplog(oldest, newest, newest, hashes, HERE)

    def after(self, decisions: Iterable[Decision]) -> Place:
        kept = {(d.store, d.name) for d in decisions if d.keep}
        return replace(
            self,
            snapshots=[s for s in self.snapshots if (s.store, s.name) in kept],
            pieces=[p for p in self.pieces if (p.store, segment(p).path) in kept],
        )

    def reachable(self, base_in: Iterable[str] = STORES, oplog_in: Iterable[str] = STORES) -> set[int]:
        """By hand: from each good base on, as far as there is an entry after another."""
        bases, oplog = set(base_in), set(oplog_in)
        there = {
            t for p in self.pieces if p.store in oplog and p.tag == "a" for t in range(p.start + 1, p.end + 1)
        }
        if self.live_from is not None and oplog == set(STORES):
            there |= set(range(self.live_from + 1, self.now + 1))
        found: set[int] = set()
        for snapshot in self.snapshots:
            if snapshot.store not in bases or snapshot.known_bad or snapshot.end is None:
                continue
            tick = tick_of(snapshot.end)
            if snapshot.window is None or snapshot.window.end_hash != link(tick).hash:
                continue
            found.add(tick)
            while tick + 1 in there:
                tick += 1
                found.add(tick)
        return found


def tick_of(position: Position) -> int:
    return (position.t - T0) // _STEP


def link(tick: int, tag: str = "a", term: int = 1) -> Link:
    return Link(at(tick), term, f"{tag}{tick}")


def hash_in(stretch: Stretch, position: Position) -> str | None:
    tag = stretch.last.hash[0]
    fork = max((tick_of(k.position) for k in stretch.links if k.hash[0] == "a"), default=-1)
    tick = tick_of(position)
    return link(tick, "a" if tag == "a" or tick <= fork else tag).hash


def segment(piece: Piece) -> Segment:
    previous = (
        link(piece.start) if piece.start <= piece.fork or piece.tag == "a" else link(piece.start, piece.tag)
    )
    header = SegmentHeader(
        identity=HERE,
        previous=previous,
        first=at(piece.start + 1),
        last=link(piece.end, piece.tag, 1 if piece.tag == "a" else 0),
        count=piece.end - piece.start,
        bytes=1,
        sha256="",
        stored_bytes=1,
        stored_sha256="",
    )
    return Segment(header.name.path, header)


def snapshot(store: str, tick: int, *, bad: bool = False, tag: str = "a", **changes: Any) -> SnapshotEntry:
    end = at(tick)
    facts: dict[str, Any] = {
        "name": f"s{tick:04}",
        "store": store,
        "origin": "mongo-dr-console",
        "stored_bytes": 10,
        "modified_at": end.time,
        "window": Window(start=end, end=end, end_term=1, end_hash=link(tick, tag).hash, operations=1),
        "identity": HERE,
        "verification": Verification(2, end.time, good=False) if bad else None,
    }
    return SnapshotEntry(**(facts | changes))


def chain(store: str, start: int, end: int, step: int = 10) -> list[Piece]:
    return [Piece(store, n, min(n + step, end)) for n in range(start, end, step)]


def hold(start: int, end: int) -> Hold:
    return Hold("0a0a0a0a", "the drop", "joe@host", time_of(0), at(start), at(end))


def why(decisions: list[Decision]) -> dict[str, Why]:
    return {
        f"{d.store}/{d.name}" if d.snapshot else f"{d.store}/{tick_of(d.end or at(0))}": d.why
        for d in decisions
    }


# Examples


def test_a_base_and_what_follows_it_stay_beyond_their_age() -> None:
    place = Place([snapshot("near", t) for t in (100, 250, 350, 550)], chain("near", 0, 600, 50), now=600)
    found = why(place.decide())
    # The kept time begins at 400: replay to it begins at 350.
    assert found["near/s0250"] is Why.OLD and found["near/s0350"] is Why.BASE
    assert found["near/s0550"] is Why.YOUNG
    assert found["near/350"] is Why.OLD, "what lies before the base is of no use"
    assert (found["near/400"], found["near/450"]) == (Why.YOUNG, Why.YOUNG)
    place.pieces = chain("near", 0, 600, 10)
    assert why(place.decide())["near/360"] is Why.EXTENDS


def test_the_newest_good_one_stays_however_old() -> None:
    place = Place([snapshot("near", 10), snapshot("near", 20), snapshot("near", 30, bad=True)], now=2000)
    found = why(place.decide())
    assert (found["near/s0010"], found["near/s0030"]) == (Why.OLD, Why.DAMAGED)
    assert found["near/s0020"] in (Why.NEWEST, Why.BASE)


def test_a_damaged_base_is_none() -> None:
    place = Place(
        [snapshot("near", 250), snapshot("near", 350, bad=True), snapshot("near", 550)],
        chain("near", 0, 600),
        now=600,
    )
    found = why(place.decide())
    assert (found["near/s0250"], found["near/s0350"]) == (Why.BASE, Why.DAMAGED)
    assert found["near/260"] is Why.EXTENDS and found["near/250"] is Why.OLD


def test_one_store_serves_another() -> None:
    """Snapshots lie near alone, segments far alone: both stay as long as the longer of them promises."""
    place = Place([snapshot("near", t) for t in (50, 90, 300, 550)], chain("far", 0, 600), now=600)
    found = why(place.decide())
    assert (found["near/s0050"], found["near/s0090"]) == (Why.OLD, Why.BASE)
    assert found["far/100"] is Why.YOUNG and found["far/90"] is Why.OLD
    # The other way round the segments of the store that keeps less stay for the one that keeps more.
    place = Place([snapshot("far", t) for t in (50, 90, 300, 550)], chain("near", 0, 600), now=600)
    found = why(place.decide())
    assert found["near/100"] is Why.EXTENDS and found["near/90"] is Why.OLD
    # Not where that one has its own.
    place.pieces += chain("far", 0, 600)
    assert why(place.decide())["near/100"] is Why.OLD


def test_a_hold_keeps_its_range_restorable() -> None:
    place = Place([snapshot("near", t) for t in (50, 150, 250, 550)], chain("near", 0, 600), now=600)
    place.holds = [hold(180, 205)]
    found = why(place.decide())
    assert found["near/s0150"] is Why.HELD and found["near/s0050"] is Why.OLD
    kept = [k for k, v in found.items() if v is Why.HELD]
    assert sorted(kept) == [
        "near/160",
        "near/170",
        "near/180",
        "near/190",
        "near/200",
        "near/210",
        "near/s0150",
    ]
    place.holds = [Hold("1", "x", "y", time_of(0), snapshot="s0050")]
    assert why(place.decide())["near/s0050"] is Why.HELD


def test_branches_and_other_deployments_are_exempt() -> None:
    other = snapshot("near", 40, identity=ELSEWHERE)
    branch = [Piece("near", 100, 110, "b", 100), Piece("near", 110, 120, "b", 100)]
    place = Place(
        [other, *(snapshot("near", t) for t in (50, 600, 900))], [*chain("near", 0, 900), *branch], now=900
    )
    found = place.decide()
    assert why(found)["near/s0040"] is Why.BRANCH
    exempt = [d for d in found if d.why is Why.BRANCH and not d.snapshot]
    ends = [(d.start, d.end) for d in exempt]
    # Both branch segments, the three that show where they parted, and what leads there from the base.
    ways = [(50 + n, 60 + n) for n in range(0, 50, 10)]
    wanted = [*ways, (100, 110), (100, 110), (110, 120), (110, 120), (120, 130)]
    assert ends == [(at(start), at(end)) for start, end in wanted]
    assert why(found)["near/s0050"] is Why.BRANCH


def test_what_is_read_just_now_stays_and_says_who_reads_it() -> None:
    place = Place([snapshot("near", 50), snapshot("near", 550)], chain("near", 0, 600), now=600)
    place.uses = [Use("near", "s0050", "restore 0a of joe@host", at(50), at(70))]
    found = {d.name: d for d in place.decide()}
    assert (found["s0050"].why, found["s0050"].text) == (Why.IN_USE, "restore 0a of joe@host reads it")
    assert [tick_of(d.end or at(0)) for d in found.values() if d.why is Why.IN_USE and not d.snapshot] == [
        60,
        70,
    ]


def test_what_a_prune_left_half_removed_goes_on_a_rerun() -> None:
    torn = Failed("snapshot-unfinished", "no manifest")
    young = snapshot("near", 590, window=None, problem=torn)
    place = Place([young, snapshot("near", 580)], now=600)
    assert why(place.decide())["near/s0590"] is Why.YOUNG, "it may be being written"
    place.begun = frozenset({("near", "s0590")})
    assert why(place.decide())["near/s0590"] is Why.UNFINISHED
    assert [d.keep for d in place.decide()] == [True, False]


def test_totals_bring_segments_together() -> None:
    place = Place([snapshot("near", 550)], chain("near", 0, 600), now=600)
    old, young = totals(place.decide())
    assert (old.keep, old.why, old.count, old.start, old.end) == (False, Why.OLD, 39, at(0), at(390))
    assert (young.keep, young.count) == (True, 21)


def test_a_hold_stands_until_it_is_released() -> None:
    one, two = hold(1, 2), replace(hold(3, 4), id="b")
    documents = [one.to_record(), two.to_record(), release_record("b", "x", time_of(1)), {"schema": "?"}]
    assert standing(documents) == [one]


# Random histories


def invented(luck: random.Random) -> Place:
    """Two stores with snapshots and segments, holes, damage, a branch, holds; an oplog that lives or not."""
    now = luck.randrange(250, 900)
    place = Place(now=now)
    for store in STORES:
        tick = luck.randrange(0, now)
        while luck.random() < 0.9 and tick < now:
            end = min(now, tick + luck.randrange(1, 60))
            if luck.random() < 0.85:
                place.pieces.append(Piece(store, tick, end))
            tick = end
    for tick in sorted(luck.sample(range(now), luck.randrange(1, 9))):
        for store in luck.choice((("near",), ("far",), ("near", "far"))):
            place.snapshots.append(snapshot(store, tick, bad=luck.random() < 0.15))
    if luck.random() < 0.3:
        fork = luck.randrange(0, now)
        place.pieces.append(Piece("near", fork, fork + luck.randrange(1, 30), "b", fork))
    for _ in range(luck.choice((0, 0, 1, 2))):
        start = luck.randrange(0, now)
        place.holds.append(replace(hold(start, start + luck.randrange(0, 80)), id=str(start)))
    if luck.random() < 0.5:
        place.live_from = luck.randrange(0, now)
    return place


def check(place: Place) -> Place:
    """Prunes, and holds what is left against what was promised."""
    decisions = place.decide()
    after = place.after(decisions)
    left = after.reachable()
    lost = place.reachable() - left
    for store, days in STORES.items():
        cutoff = place.now - int(days * DAY)
        took_part = place.reachable(base_in=[store])
        took_part |= {t for p in place.pieces if p.store == store and p.tag == "a" for t in p.ticks}
        assert not {t for t in lost & took_part if t >= cutoff}, (store, "together with the other store")
        alone = place.reachable([store], [store]) - after.reachable([store], [store])
        assert not {t for t in alone if t >= cutoff}, (store, "alone")
        good = [s.name for s in place.snapshots if s.store == store and not s.known_bad]
        if good:
            assert max(good) in {s.name for s in after.snapshots if s.store == store}, "the newest good one"
    for held in place.holds:
        assert held.start is not None and held.end is not None
        span = range(tick_of(held.start), tick_of(held.end) + 1)
        assert not lost & set(span), "held"
    for branch in (p for p in place.pieces if p.tag == "b"):
        if any(d.why is Why.BRANCH and d.name == segment(branch).path for d in decisions):
            assert branch in after.pieces and branch.fork not in lost, "a branch"
            assert any(d.why is Why.BRANCH and d.name == segment(branch).path for d in after.decide())
    return after


def live_through(luck: random.Random) -> None:
    """Prunes again and again while time goes on."""
    place = invented(luck)
    for _ in range(3):
        place = check(place)
        place = replace(
            place, now=place.now + luck.randrange(1, 200), holds=place.holds[: luck.choice((0, 2))]
        )


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**40))
def test_whatever_is_promised_can_still_be_restored(seed: int) -> None:
    live_through(random.Random(seed))


def by_age_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "_floors", lambda *_: {})
    monkeypatch.setattr(retention._Wanted, "_spans", lambda *_: iter(()))


def no_base(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "_base", lambda _: None)
    monkeypatch.setattr(retention, "_newest", lambda *_: iter(()))


def no_other_store(monkeypatch: pytest.MonkeyPatch) -> None:
    needs = retention._needs

    def own(facts: Facts, store: str, *more: Any) -> Any:
        return (n for n in needs(facts, store, *more) if n.entry.store == store)

    monkeypatch.setattr(retention, "_needs", own)


def no_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "_held", lambda _: iter(()))


def no_branches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "_parted", lambda _: iter(()))


def damage_is_good(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "is_base", lambda e: e.restorable)


@pytest.mark.parametrize(
    "broken", [by_age_alone, no_base, no_other_store, no_holds, no_branches, damage_is_good]
)
def test_a_retention_that_ignores_what_is_needed_is_caught(
    monkeypatch: pytest.MonkeyPatch, broken: Callable[[pytest.MonkeyPatch], None]
) -> None:
    broken(monkeypatch)
    with pytest.raises(AssertionError):
        for seed in range(300):
            live_through(random.Random(seed))
