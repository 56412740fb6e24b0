"""Stretches of oplog that sources other than the live one hold, and on which history each lies. Pure.

A stretch is unbroken. Two copies that have the same entry at one position have the same entries before it, as
far as both reach (a term and a position are given out once): so agreement at one position is proof for all
before it, and a difference at one position means that they parted before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from mongo_dr_console.model.identity import Identity
from mongo_dr_console.model.link import Link
from mongo_dr_console.model.position import Position

Hashes = Mapping[Position, str | None]


@dataclass(frozen=True, slots=True)
class Stretch:
    """Unbroken entries of one source.

    Args:
        source: ``segments:STORE`` or ``kafka``.
        links: Entries that are known, in order: the first is the one before the stretch, which need not be in
            it; the last is its end.
        identity: Of the deployment, None where the source does not tell.
        hashes: For more positions what is there, None where nothing is.
        kept: For how many seconds the source keeps an entry; None: until somebody prunes it, or not known.
    """

    source: str
    links: tuple[Link, ...]
    identity: Identity | None = None
    hashes: Hashes = field(default_factory=dict)
    kept: float | None = None

    @property
    def start(self) -> Position:
        return self.links[0].position

    @property
    def end(self) -> Position:
        return self.links[-1].position

    @property
    def last(self) -> Link:
        return self.links[-1]

    def answers(self) -> dict[Position, str | None]:
        """All that is known of it by position."""
        return {**self.hashes, **{link.position: link.hash for link in self.links}}

    def cut(self, index: int) -> tuple[Stretch | None, Stretch | None]:
        """Up to a link, and from it on; None where nothing is left."""
        before = replace(self, links=self.links[: index + 1]) if index > 0 else None
        after = replace(self, links=self.links[index:]) if index < len(self.links) - 1 else None
        return before, after


@dataclass(frozen=True, slots=True)
class Copy:
    """A stretch, or the live oplog, as it is compared: both ends included, and what is known of it."""

    source: str
    start: Position
    end: Position
    known: Hashes

    def touches(self, other: Copy) -> bool:
        return self.start <= other.end and other.start <= self.end

    def agrees(self, other: Copy) -> bool:
        """Whether both are known to have one entry in common, and none differs."""
        common = [p for p in self.known.keys() & other.known.keys() if self._has(p) and other._has(p)]
        return bool(common) and all(self.known[p] == other.known[p] is not None for p in common)

    def differs_at(self, other: Copy) -> Position | None:
        """The first position at which they are known to differ."""
        common = (p for p in self.known.keys() & other.known.keys() if self._has(p) and other._has(p))
        return min((p for p in common if self.known[p] != other.known[p]), default=None)

    def _has(self, position: Position) -> bool:
        return self.start <= position <= self.end


def copy_of(stretch: Stretch) -> Copy:
    return Copy(stretch.source, stretch.start, stretch.end, stretch.answers())


@dataclass(frozen=True, slots=True)
class Sorted:
    """Stretches by where they lie.

    Args:
        main: On the deployment's history.
        branches: Not on it; each begins with the entry at which it parted, where that is known.
        foreign: Of another deployment.
    """

    main: tuple[Stretch, ...]
    branches: tuple[Stretch, ...]
    foreign: tuple[Stretch, ...]


def sort_out(stretches: Iterable[Stretch], live: Copy | None, identity: Identity | None) -> Sorted:
    """Which history each lies on. The live oplog's is the deployment's; without it the one with the newest
    end, by term and position, and whatever does not contradict it."""
    own = [s for s in stretches if _same(s.identity, identity)]
    foreign = tuple(s for s in stretches if not _same(s.identity, identity))
    main: list[Stretch] = []
    branches: list[Stretch] = []
    for stretch in sorted(own, key=lambda s: (s.last.term, s.end, s.last.hash, s.source), reverse=True):
        others = [copy_of(s) for s in main] + ([live] if live is not None else [])
        kept, left = _parted(stretch, others)
        if kept is not None:
            main.append(kept)
        if left is not None:
            branches.append(left)
    return Sorted(tuple(main), tuple(branches), foreign)


def _same(one: Identity | None, other: Identity | None) -> bool:
    return one is None or other is None or one.same_deployment(other)


def _parted(stretch: Stretch, others: Sequence[Copy]) -> tuple[Stretch | None, Stretch | None]:
    """What of it is on the others' history, and what is not."""
    here = copy_of(stretch)
    where = min((p for o in others if (p := here.differs_at(o)) is not None), default=None)
    if where is None:
        return stretch, None
    known = [o.known for o in others]
    agreed = [
        n
        for n, link in enumerate(stretch.links)
        if link.position < where and any(k.get(link.position) == link.hash for k in known)
    ]
    return stretch.cut(agreed[-1]) if agreed else (None, stretch)


@dataclass(frozen=True, slots=True)
class Line:
    """Copies that continue each other: every entry from ``start`` to ``end``, both included, is in one of
    them."""

    copies: tuple[Copy, ...]

    @property
    def start(self) -> Position:
        return min(c.start for c in self.copies)

    @property
    def end(self) -> Position:
        return max(c.end for c in self.copies)

    @property
    def sources(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(c.source for c in self.copies))

    def has(self, position: Position, entry_hash: str) -> bool:
        """Whether this very entry is known to be on it."""
        return any(c.start <= position <= c.end and c.known.get(position) == entry_hash for c in self.copies)


def joined(copies: Iterable[Copy], live: Copy | None) -> list[Line]:
    """Copies of one history brought together where one continues the other, and that is proved: by an entry
    that both have, or by one that each has in common with the live oplog."""
    lines: list[list[Copy]] = []
    for copy in sorted(copies, key=lambda c: (c.start, c.end, c.source)):
        at = [row for row in lines if any(c.touches(copy) and _proved(c, copy, live) for c in row)]
        merged = [c for row in at for c in row] + [copy]
        lines = [row for row in lines if row not in at] + [merged]
    return sorted((Line(tuple(row)) for row in lines), key=lambda line: line.start)


def _proved(one: Copy, other: Copy, live: Copy | None) -> bool:
    if one.agrees(other):
        return True
    if live is None or one.differs_at(other) is not None:
        return False
    return _ends_on(one, live) and _ends_on(other, live)


def _ends_on(copy: Copy, live: Copy) -> bool:
    found = live.known.get(copy.end)
    return found is not None and copy.known.get(copy.end) == found


# What must be asked


def live_questions(stretches: Iterable[Stretch], answered: Hashes, oldest: Position) -> set[Position]:
    """Positions at which the live oplog must be asked for its entry: both ends of each stretch, and where an
    end differs, halfway in between, until it is known where they parted.

    Args:
        answered: What it said so far; empty at first.
        oldest: Where it begins; nothing before that can be asked.
    """
    wanted: set[Position] = set()
    for stretch in stretches:
        wanted |= {stretch.start, stretch.end}
        wanted |= set(_halfway(stretch, answered, oldest))
    return wanted


def _halfway(stretch: Stretch, answered: Hashes, oldest: Position) -> Iterator[Position]:
    if answered.get(stretch.end, stretch.last.hash) == stretch.last.hash:
        return
    asked = [n for n, link in enumerate(stretch.links) if link.position >= oldest]
    same = [n for n in asked if answered.get(stretch.links[n].position) == stretch.links[n].hash]
    other = [n for n in asked if n not in same and stretch.links[n].position in answered]
    yield from (stretch.links[n].position for n in (*same, *other))
    low = max(same, default=asked[0] - 1 if asked else 0)
    high = min((n for n in other if n > low), default=None)
    if high is not None and high - low > 1:
        yield stretch.links[(low + high) // 2].position


def stretch_questions(stretches: Sequence[Stretch], bases: Iterable[Position]) -> list[set[Position]]:
    """For each stretch the positions at which it must be asked: the ends of snapshots, and of other
    stretches."""
    bases = set(bases)
    ends: list[Callable[[Stretch], Position]] = [lambda s: s.start, lambda s: s.end]
    found = []
    for stretch in stretches:
        edges = {end(s) for s in stretches if s is not stretch for end in ends}
        known = stretch.answers()
        found.append({p for p in bases | edges if stretch.start < p < stretch.end and p not in known})
    return found
