"""Retention: what of the stores stays and what goes, with a reason for each. Pure.

Each store has its days. What it promises: every position of that time which could be restored to with a
snapshot or a segment of this store can still be restored to afterwards. So it is not age alone that decides:

- a snapshot that is older stays where the kept time begins after it, and replay has to begin at it;
- segments live as long as the snapshots they extend: all that comes after the oldest snapshot that stays;
- a store that lacks a base or segments of its own is served by another store's, which then stay for it;
- the newest good snapshot stays whatever its age;
- nothing inside a hold goes, nor what a restore of a held position needs;
- what is not on the deployment's history (a branch, another deployment) is exempt: it may be the only copy.
  What a branch is restored from stays with it, and what shows that it is one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import chain

from mongo_dr_console.model.catalogue import SnapshotEntry
from mongo_dr_console.model.coverage import Ground, branch_name
from mongo_dr_console.model.hold import Hold, keeps
from mongo_dr_console.model.position import MAX_ORDINAL, Position
from mongo_dr_console.model.segment import Run, Segment, SegmentName, Unread
from mongo_dr_console.model.stretch import Line, Stretch, copy_of

_FIRST, _LAST = Position(0, 0), Position(MAX_ORDINAL, MAX_ORDINAL)


class Why(StrEnum):
    """Why something stays, or goes."""

    YOUNG = "within-retention"
    NEWEST = "newest-good"
    BASE = "base-of-kept-range"
    EXTENDS = "extends-kept-snapshot"
    HELD = "held"
    IN_USE = "in-use"
    BRANCH = "branch"
    UNSURE = "not-known"
    LOCKED = "kept-by-the-bucket"
    OLD = "older-than-retention"
    DAMAGED = "damaged"
    UNFINISHED = "unfinished"


@dataclass(frozen=True, slots=True)
class Use:
    """What another process reads just now: a snapshot, and the oplog that follows it up to ``end``.

    Args:
        store: Where the snapshot is read from; the oplog may come from any.
        who: For people: ``restore 1a2b3c4d of joe@host``.
    """

    store: str
    snapshot: str
    who: str
    start: Position | None = None
    end: Position | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of one snapshot or one segment in one store.

    Args:
        name: The snapshot's, or the segment's path.
        keep: Whether it stays.
        text: The reason in words.
        start, end: What it holds: a snapshot's window, a segment's ends; None where that is not known.
    """

    store: str
    name: str
    snapshot: bool
    keep: bool
    why: Why
    text: str
    stored_bytes: int
    start: Position | None = None
    end: Position | None = None


@dataclass(frozen=True, slots=True)
class StoredSegments:
    """The segments of one store, brought together, and those that cannot be read."""

    runs: Sequence[Run] = ()
    damaged: Sequence[SegmentName] = ()


@dataclass(frozen=True, slots=True)
class Facts:
    """All that is decided from.

    Args:
        days: How long each store keeps, by name; only these stores are decided on.
        snapshots: Of all stores.
        segments: Of all stores, by name.
        ground: Which of them lie on the deployment's history, and how they join.
        holds: Of all stores.
        uses: What other processes read.
        begun: Snapshots (store, name) that an earlier prune had begun to remove.
    """

    days: Mapping[str, float]
    snapshots: Sequence[SnapshotEntry]
    segments: Mapping[str, StoredSegments]
    ground: Ground
    holds: Sequence[Hold] = ()
    uses: Sequence[Use] = ()
    begun: frozenset[tuple[str, str]] = frozenset()


@dataclass(frozen=True, slots=True)
class _Need:
    """A snapshot that must stay, why, and the segments that must with it: from its end through ``through``
    of ``store``, and of others where that store has a hole."""

    entry: SnapshotEntry
    why: Why
    text: str
    line: Line
    store: str
    through: Position


def decide(facts: Facts, now: datetime) -> list[Decision]:
    """What becomes of everything in the stores that ``days`` names, snapshots first, oldest first."""
    cutoffs = {
        name: Position(max(0, int((now - timedelta(days=d)).timestamp())), 0)
        for name, d in facts.days.items()
    }
    needs = [*_promised(facts, cutoffs), *_held(facts), *_parted(facts)]
    kept = {_key(n.entry): n for n in reversed(needs)}
    snapshots = [_snapshot(facts, e, cutoffs[e.store], kept, now) for e in _ours(facts)]
    stay = {(d.store, d.name) for d in snapshots if d.keep and d.why in _LASTING}
    floors = _floors(facts, stay)
    found = sorted(snapshots, key=lambda d: (d.store, d.name))
    for store in facts.days:
        wanted = _Wanted(facts, store, cutoffs[store], floors.get(store), needs)
        found += sorted(wanted.decisions(), key=lambda d: (d.start or _FIRST, d.end or _FIRST, d.name))
    return found


_LASTING = {Why.YOUNG, Why.NEWEST, Why.BASE}
"""What is kept by the policy itself: the segments that follow it are too."""


def _ours(facts: Facts) -> Iterator[SnapshotEntry]:
    return (e for e in facts.snapshots if e.store in facts.days)


def _key(entry: SnapshotEntry) -> tuple[str, str]:
    return entry.store, entry.name


def is_base(entry: SnapshotEntry) -> bool:
    """Whether a restore of everything can begin at it, as far as is known."""
    return entry.restorable and not entry.known_bad and entry.scope is None


def _on_main(facts: Facts) -> list[SnapshotEntry]:
    return [e for e in facts.snapshots if is_base(e) and _key(e) not in facts.ground.apart]


# Bases


def _promised(facts: Facts, cutoffs: Mapping[str, Position]) -> Iterator[_Need]:
    for store, days in facts.days.items():
        text = f"restores to the last {days:g} days of store {store} begin at it"
        yield from _needs(facts, store, cutoffs[store], _LAST, Why.BASE, text)
        yield from _newest(facts, store, cutoffs[store])


def _newest(facts: Facts, store: str, cutoff: Position) -> Iterator[_Need]:
    """The newest good one; and the newest good one before the kept time, whether or not it is known today
    that the oplog goes on from it: what does not answer now may do so tomorrow."""
    own = sorted((e for e in _on_main(facts) if e.store == store), key=_end)
    if not own:
        return
    nothing = Line(())
    yield _Need(own[-1], Why.NEWEST, "the newest good snapshot of its store", nothing, store, _FIRST)
    older = [e for e in own if _end(e) <= cutoff]
    if older:
        text = "the newest good snapshot before the kept time"
        yield _Need(older[-1], Why.BASE, text, nothing, store, _FIRST)


def _held(facts: Facts) -> Iterator[_Need]:
    for hold in facts.holds:
        if hold.start is None or hold.end is None:
            continue
        for store in facts.days:
            text = f"needed for what is held: {hold.reason} ({hold.id})"
            yield from _needs(facts, store, hold.start, hold.end, Why.HELD, text)


def _parted(facts: Facts) -> Iterator[_Need]:
    """A branch is restored from a snapshot before the fork, and the oplog up to it."""
    for branch in facts.ground.branches:
        text = f"the branch {branch_name(branch)} is restored from it"
        for store in facts.days:
            yield from _needs(facts, store, branch.start, branch.start, Why.BRANCH, text)
        itself = Line((copy_of(branch),))
        for entry in _on_main(facts):
            if _lies_on(entry, itself):
                yield _Need(entry, Why.BRANCH, text, itself, entry.store, branch.end)


def _needs(facts: Facts, store: str, low: Position, high: Position, why: Why, text: str) -> Iterator[_Need]:
    """The base of every line on which this store has a part, for positions from ``low`` to ``high``: its own
    where it has one that is old enough, else also another store's."""
    on_main = _on_main(facts)
    for line in facts.ground.lines:
        if line.end < low or line.start > high:
            continue
        on = sorted((e for e in on_main if _lies_on(e, line) and _end(e) <= high), key=_end)
        own = [e for e in on if e.store == store]
        if not own and f"segments:{store}" not in line.sources:
            continue
        base = _base([e for e in own if _end(e) <= low]) or _base([e for e in on if _end(e) <= low])
        if base is None:
            base = next((e for e in on if _end(e) == _end(on[0]) and e.store == store), on[0]) if on else None
        if base is not None:
            yield _Need(base, why, text, line, store, min(high, line.end))


def _base(fitting: list[SnapshotEntry]) -> SnapshotEntry | None:
    return max(fitting, key=lambda e: (_end(e), e.verified), default=None)


def _end(entry: SnapshotEntry) -> Position:
    assert entry.end is not None
    return entry.end


def _lies_on(entry: SnapshotEntry, line: Line) -> bool:
    return entry.window is not None and line.has(entry.window.end, entry.window.end_hash)


# Snapshots


def _snapshot(
    facts: Facts,
    entry: SnapshotEntry,
    cutoff: Position,
    kept: Mapping[tuple[str, str], _Need],
    now: datetime,
) -> Decision:
    reasons = chain(_exempt(facts, entry), _by_policy(facts, entry, cutoff, kept, now), [_gone(facts, entry)])
    window = entry.window
    ends = (None, None) if window is None else (window.start, window.end)
    return Decision(entry.store, entry.name, True, *next(reasons), entry.stored_bytes, *ends)


_Reason = tuple[bool, Why, str]
"""Whether it stays, and why."""


def _exempt(facts: Facts, entry: SnapshotEntry) -> Iterator[_Reason]:
    for use in facts.uses:
        if (use.store, use.snapshot) == _key(entry):
            yield True, Why.IN_USE, f"{use.who} reads it"
    for hold in facts.holds:
        if keeps(hold, entry):
            yield True, Why.HELD, f"held: {hold.reason} ({hold.id})"
    if _key(entry) in facts.begun and not entry.restorable:
        yield False, Why.UNFINISHED, "an earlier prune was stopped while it removed this one"
    if _key(entry) in facts.ground.apart:
        yield True, Why.BRANCH, f"on another history: {facts.ground.apart[_key(entry)]}"


def _by_policy(
    facts: Facts,
    entry: SnapshotEntry,
    cutoff: Position,
    kept: Mapping[tuple[str, str], _Need],
    now: datetime,
) -> Iterator[_Reason]:
    if _age_position(entry, now) >= cutoff:
        yield True, Why.YOUNG, f"not older than {facts.days[entry.store]:g} days"
    need = kept.get(_key(entry))
    if need is not None:
        yield True, need.why, need.text


def _gone(facts: Facts, entry: SnapshotEntry) -> _Reason:
    old = f"older than {facts.days[entry.store]:g} days"
    if entry.problem is not None:
        why = Why.UNFINISHED if entry.problem.code == "snapshot-unfinished" else Why.DAMAGED
        return False, why, f"{old}, and {entry.problem.code}"
    if entry.known_bad:
        return False, Why.DAMAGED, f"{old}, and damaged"
    return False, Why.OLD, f"{old}; no kept position needs it"


def _age_position(entry: SnapshotEntry, now: datetime) -> Position:
    """What its age is counted from. One that cannot be restored from may be being written: its files tell."""
    if entry.end is not None:
        return entry.end
    moment = entry.taken_at if entry.problem is None else max(entry.modified_at, entry.taken_at)
    return Position(max(0, int(min(moment, now).timestamp())), 0)


# Segments


def _floors(facts: Facts, stay: set[tuple[str, str]]) -> dict[str, SnapshotEntry]:
    """The oldest snapshot of each store that the policy keeps: what follows it stays too."""
    found: dict[str, SnapshotEntry] = {}
    for entry in _on_main(facts):
        if _key(entry) in stay:
            old = found.get(entry.store)
            if old is None or _end(entry) < _end(old):
                found[entry.store] = entry
    return found


@dataclass(frozen=True, slots=True)
class _Span:
    """What stays of a line's segments: all that hold something after ``after``, up to ``through``."""

    line: Line
    after: Position
    through: Position
    why: Why
    text: str


class _Wanted:
    """The segments of one store."""

    def __init__(
        self,
        facts: Facts,
        store: str,
        cutoff: Position,
        floor: SnapshotEntry | None,
        needs: Sequence[_Need],
    ) -> None:
        self.facts, self.store, self.cutoff, self.floor = facts, store, cutoff, floor
        self.own = facts.segments.get(store, StoredSegments())
        self.name = f"segments:{store}"
        self.spans = [s for need in needs for s in self._spans(need)]

    def decisions(self) -> Iterator[Decision]:
        for run in self.own.runs:
            pieces = _pieces(run, self.name, self.facts.ground.main)
            for segment in run.segments:
                yield self._segment(segment, pieces)
        for name in self.own.damaged:
            text = "it is damaged, so it is not known on which history it lies"
            yield Decision(self.store, name.path, False, True, Why.UNSURE, text, 0, name.start, name.end)

    def _spans(self, need: _Need) -> Iterator[_Span]:
        """Of a need's line: all where it is this store's own, else what that store itself lacks."""
        after = _end(need.entry)
        special = need.why in (Why.HELD, Why.BRANCH)
        why = need.why if special else Why.EXTENDS
        text = need.text if special else f"snapshot {need.entry.name} is replayed from it"
        if need.store == self.store:
            yield _Span(need.line, after, need.through, why, text)
            return
        text = f"{text}, in store {need.store}, which has no segment of its own there"
        own = [(c.start, c.end) for c in need.line.copies if c.source == f"segments:{need.store}"]
        for start, end in _holes(after, need.through, own):
            yield _Span(need.line, start, end, why, text)

    def _segment(self, segment: Segment | Unread, pieces: Sequence[Stretch]) -> Decision:
        old = f"older than {self.facts.days[self.store]:g} days; extends no kept snapshot"
        reason = next(self._kept(segment, pieces), (False, Why.OLD, old))
        return Decision(
            self.store, segment.path, False, *reason, segment.stored_bytes, segment.start, segment.end
        )

    def _kept(self, segment: Segment | Unread, pieces: Sequence[Stretch]) -> Iterator[_Reason]:
        start, end = segment.start, segment.end
        # The entry before it is as good as its first one where that is not known: it stays a little longer.
        first = segment.header.first if isinstance(segment, Segment) else start
        for use in self.facts.uses:
            if use.start is not None and use.end is not None and start < use.end and use.start < end:
                yield True, Why.IN_USE, f"{use.who} reads it"
        for hold in self.facts.holds:
            if hold.overlaps(first, end):
                yield True, Why.HELD, f"held: {hold.reason} ({hold.id})"
        if not any(p.start <= start and end <= p.end for p in pieces):
            yield True, Why.BRANCH, "on another history than the deployment's"
        for branch in self.facts.ground.branches:
            if start <= branch.end and branch.start < end:
                yield True, Why.BRANCH, f"shows where the branch {branch_name(branch)} parted"
        if end >= self.cutoff:
            yield True, Why.YOUNG, f"not older than {self.facts.days[self.store]:g} days"
        if self.floor is not None and end > _end(self.floor):
            yield True, Why.EXTENDS, f"snapshot {self.floor.name} is replayed from it"
        for span in self.spans:
            on = any(c.source == self.name and c.start <= start and end <= c.end for c in span.line.copies)
            if on and end > span.after and start < span.through:
                yield True, span.why, span.text


def _pieces(run: Run, source: str, main: Iterable[Stretch]) -> list[Stretch]:
    """What of a run lies on the deployment's history."""
    links = set(run.links)
    return [s for s in main if s.source == source and s.last in links and s.links[0] in links]


def _holes(
    after: Position, through: Position, own: Iterable[tuple[Position, Position]]
) -> Iterator[tuple[Position, Position]]:
    """What of a range is in none of these."""
    for start, end in sorted(own):
        if start > after and after < through:
            yield after, min(start, through)
        after = max(after, end)
    if after < through:
        yield after, through


# For people


@dataclass(frozen=True, slots=True)
class Total:
    """Decisions of one kind together."""

    store: str
    keep: bool
    why: Why
    count: int
    stored_bytes: int
    start: Position | None
    end: Position | None


def totals(decisions: Iterable[Decision]) -> list[Total]:
    """Decisions on segments by store, whether they stay, and why."""
    groups: dict[tuple[str, bool, Why], list[Decision]] = defaultdict(list)
    for d in decisions:
        if not d.snapshot:
            groups[d.store, d.keep, d.why].append(d)
    return [
        Total(
            store,
            keep,
            why,
            len(group),
            sum(d.stored_bytes for d in group),
            min((d.start for d in group if d.start), default=None),
            max((d.end for d in group if d.end), default=None),
        )
        for (store, keep, why), group in sorted(groups.items())
    ]
