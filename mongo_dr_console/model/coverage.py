"""Coverage: the positions that can be restored to, the gaps between them with their causes, and branches.

A position can be restored to when there is a snapshot whose end is not after it, and unbroken oplog from that
end to the position. A snapshot alone is restorable at its end. That the live oplog goes on where a snapshot
ends is proved by the entry at that position: it is there, and its hash is the manifest's (server-rules 13).
The stream's stretches join the same way, see ``model.stretch``.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from mongo_dr_console.model.catalogue import SnapshotEntry
from mongo_dr_console.model.identity import Identity
from mongo_dr_console.model.oplogfacts import OplogFacts
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.reading import SourceError
from mongo_dr_console.model.stretch import (
    Copy,
    Line,
    Sorted,
    Stretch,
    copy_of,
    joined,
    live_questions,
    sort_out,
)

LIVE = "live"
"""Name of the live oplog among the sources of a range."""


class Cause(StrEnum):
    """Why a stretch cannot be restored to, or why a snapshot lies on another history."""

    ROLLED_OVER = "oplog-rolled-over"
    UNREACHABLE = "oplog-unreachable"
    BEHIND = "member-behind"
    DIVERGED = "diverged"
    FOREIGN = "other-deployment"
    DAMAGED = "segment-damaged"


@dataclass(frozen=True, slots=True)
class Range:
    """Every position from ``start`` to ``end``, both included, can be restored to.

    ``sources`` are ``snapshot:NAME``, ``segments:STORE``, ``kafka`` and ``live``.
    """

    start: Position
    end: Position
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Gap:
    """What lies between two ranges (or after the last): neither end is part of it.

    ``end`` is None where nothing is known to follow.

    Args:
        cause: Why it cannot be restored to.
    """

    start: Position
    end: Position | None
    cause: Cause
    text: str


@dataclass(frozen=True, slots=True)
class Branch:
    """A snapshot or a stretch of the stream that is not on the deployment's history: a snapshot is restorable
    by name, at its own end; a stretch from the fork on, with a snapshot that ends before that.

    Args:
        start: Where it parted, as far as is known; its end where it is a snapshot.
        cause: Why it is not on this history.
        name: What it is called where a restore is to take it; empty for a snapshot, which has a name.
    """

    start: Position
    end: Position
    sources: tuple[str, ...]
    cause: Cause
    text: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class LiveOplog:
    """What the live oplog says about joining.

    Args:
        oldest: Its oldest entry.
        latest: The newest entry that a restore may use: majority-committed.
        newest: The newest entry of all.
        hashes: For the asked positions the hash of the entry that is there, None where there is none.
        identity: Of the deployment, None where it could not be read.
    """

    oldest: Position
    latest: Position
    newest: Position
    hashes: Mapping[Position, str | None] = field(default_factory=dict)
    identity: Identity | None = None


@dataclass(frozen=True, slots=True)
class Unread:
    """A source of the stream that could not be read: what it alone holds counts for nothing meanwhile.

    Args:
        source: ``segments:STORE`` or ``kafka``.
    """

    source: str
    error: SourceError


@dataclass(frozen=True, slots=True)
class Coverage:
    """Ranges in order, gaps between them, branches.

    Args:
        latest: The newest position that can be restored to; None if there is none.
        margin_seconds: Until point-in-time recovery breaks at today's churn if nothing is done: until what is
            kept outside falls off the live oplog, or a topic's retention takes its joint to the snapshot.
            0: it is broken; None: not known.
        rpo_seconds: What would be lost if the deployment itself were lost now; only what can be read from
            stores counts. None: everything, or not known (``bases`` tells which).
        rpo_undo_seconds: What a mistake on the living deployment would cost now. None: it is not living,
            or nothing could be restored.
        bases: How many snapshots a restore of everything can start from.
        live_error: Why the live oplog could not be read; None if it was.
        scoped: Names of snapshots of a few databases only; they cover nothing here.
        unread: What of the stream could not be read.
    """

    ranges: tuple[Range, ...]
    gaps: tuple[Gap, ...]
    branches: tuple[Branch, ...]
    latest: Position | None
    margin_seconds: float | None
    rpo_seconds: float | None
    rpo_undo_seconds: float | None
    bases: int = 0
    live: LiveOplog | None = None
    live_error: SourceError | None = None
    scoped: tuple[str, ...] = ()
    unread: tuple[Unread, ...] = ()

    def covers(self, position: Position) -> bool:
        return any(r.start <= position <= r.end for r in self.ranges)

    def gap_at(self, position: Position) -> Gap | None:
        """The gap in which a position lies."""
        return next(
            (g for g in self.gaps if g.start < position and (g.end is None or position < g.end)), None
        )


@dataclass(frozen=True, slots=True)
class Damage:
    """A stretch that a damaged segment held: neither end is lost. ``text`` says what is wrong with it."""

    start: Position
    end: Position
    text: str


@dataclass(frozen=True, slots=True)
class _Base:
    """One snapshot, in whichever stores it lies.

    Args:
        verdict: Why no oplog is known to go on from its end; None where some does.
    """

    facts: SnapshotEntry
    end: Position
    verdict: Cause | None

    @property
    def end_hash(self) -> str:
        return "" if self.facts.window is None else self.facts.window.end_hash


def wanted_hashes(
    snapshots: Iterable[SnapshotEntry], stretches: Iterable[Stretch] = (), live: LiveOplog | None = None
) -> tuple[Position, ...]:
    """The positions that the live oplog must be asked about, newest first: the snapshots' ends and those of
    the stretches; with what it said already, also where a stretch parted from it."""
    ends = {s.end for s in snapshots if s.end is not None and s.restorable and s.scope is None}
    answered = {} if live is None else live.hashes
    more = live_questions(stretches, answered, Position(0, 0) if live is None else live.oldest)
    return tuple(sorted(ends | more, reverse=True))


@dataclass(frozen=True, slots=True)
class _Known:
    """Everything that was gathered, sorted out.

    Args:
        lines: Of all copies; ``stored``: of those outside the deployment; ``lasting``: of those of them that
            no retention of their own takes.
    """

    live: LiveOplog | None
    history: Sorted
    bases: list[_Base]
    lines: list[Line]
    stored: list[Line]
    lasting: list[Line]
    damage: Sequence[Damage]

    @property
    def on_line(self) -> list[_Base]:
        return [b for b in self.bases if b.verdict not in (Cause.DIVERGED, Cause.FOREIGN)]


def build(
    snapshots: Sequence[SnapshotEntry],
    live: LiveOplog | None,
    *,
    now: datetime,
    oplog: OplogFacts | None = None,
    live_error: SourceError | None = None,
    stretches: Sequence[Stretch] = (),
    damage: Sequence[Damage] = (),
    unread: Sequence[Unread] = (),
) -> Coverage:
    """Everything together.

    Args:
        snapshots: From every readable store; the same name in two stores is one snapshot.
        live: The live oplog with the hashes of ``wanted_hashes``; None where it cannot be read.
        now: For the ages.
        oplog: Size and churn, for the margin.
        live_error: Why ``live`` is None.
        stretches: What the stream left in stores and topics.
        damage: What cannot be read there.
        unread: What of the stream did not answer at all.
    """
    known = _sort_out(snapshots, live, stretches, damage)
    ranges = _ranges(known)
    latest = max((r.end for r in ranges), default=None)
    kept = [_reach(known, base) for base in known.on_line]
    rpo = None if not kept else max(0.0, (now - max(kept).time).total_seconds())
    return Coverage(
        ranges=ranges,
        gaps=_gaps(ranges, known),
        branches=_branches(known),
        latest=latest,
        margin_seconds=_margin(known, oplog, now),
        rpo_seconds=rpo,
        rpo_undo_seconds=_undo(live, latest, now),
        bases=len(known.on_line),
        live=live,
        live_error=live_error,
        scoped=tuple(sorted({s.name for s in snapshots if s.scope is not None})),
        unread=tuple(unread),
    )


def at(coverage: Coverage, now: datetime, taken_at: datetime) -> Coverage:
    """The same coverage seen ``now``: what it would cost has grown since it was taken, the margin shrunk.

    ``rpo_undo_seconds`` stays: the living deployment goes on writing its own oplog.
    """
    passed = max(0.0, (now - taken_at).total_seconds())
    return replace(
        coverage,
        rpo_seconds=None if coverage.rpo_seconds is None else coverage.rpo_seconds + passed,
        margin_seconds=None
        if coverage.margin_seconds is None
        else max(0.0, coverage.margin_seconds - passed),
    )


@dataclass(frozen=True, slots=True)
class Ground:
    """What retention stands on.

    Args:
        lines: Unbroken oplog of the deployment's history, from whatever has it.
        main: The stretches of stores and topics that lie on it.
        branches: Those that parted from it; each begins where it did, as far as is known.
        apart: Of the snapshots (store, name) that are not on it, why.
    """

    lines: tuple[Line, ...]
    main: tuple[Stretch, ...]
    branches: tuple[Stretch, ...]
    apart: Mapping[tuple[str, str], Cause]


def ground(
    snapshots: Sequence[SnapshotEntry], live: LiveOplog | None, stretches: Sequence[Stretch]
) -> Ground:
    """The histories, without what is restorable on them."""
    known = _sort_out(snapshots, live, stretches, ())
    identity = identity_of([s for s in snapshots if s.restorable and s.scope is None], live, stretches)
    apart = {}
    for entry in snapshots:
        if entry.restorable and entry.end is not None:
            verdict = _joins(entry, entry.end, identity, live, known.lines)
            if verdict in (Cause.DIVERGED, Cause.FOREIGN):
                apart[entry.store, entry.name] = verdict
    return Ground(tuple(known.lines), known.history.main, known.history.branches, apart)


def _sort_out(
    snapshots: Sequence[SnapshotEntry],
    live: LiveOplog | None,
    stretches: Sequence[Stretch],
    damage: Sequence[Damage],
) -> _Known:
    whole = {
        (s.name, s.end): s
        for s in snapshots
        if s.restorable and not s.known_bad and s.scope is None and s.end is not None
    }
    identity = identity_of(whole.values(), live, stretches)
    # To the newest entry for comparing, to the majority's for restoring.
    seen = None if live is None else Copy(LIVE, live.oldest, live.newest, live.hashes)
    history = sort_out(stretches, seen, identity)
    copies = [copy_of(s) for s in history.main]
    usable = [] if live is None else [Copy(LIVE, live.oldest, max(live.oldest, live.latest), live.hashes)]
    lines = joined([*copies, *usable], seen)
    bases = []
    for facts in whole.values():
        assert facts.end is not None
        bases.append(_Base(facts, facts.end, _joins(facts, facts.end, identity, live, lines)))
    bases.sort(key=lambda b: (b.end, b.facts.name))
    lasting = [copy_of(s) for s in history.main if s.kept is None]
    return _Known(live, history, bases, lines, joined(copies, seen), joined(lasting, seen), damage)


def identity_of(
    snapshots: Iterable[SnapshotEntry], live: LiveOplog | None, stretches: Iterable[Stretch]
) -> Identity | None:
    """The deployment's; while it does not answer, that of whatever reaches furthest."""
    if live is not None and live.identity is not None:
        return live.identity
    told = [(s.end or Position(0, 0), s.identity) for s in snapshots]
    told += [(s.end, s.identity) for s in stretches]
    known = [(end, identity) for end, identity in told if identity is not None]
    return max(known, key=lambda pair: pair[0])[1] if known else None


def _joins(
    facts: SnapshotEntry,
    end: Position,
    identity: Identity | None,
    live: LiveOplog | None,
    lines: Sequence[Line],
) -> Cause | None:
    """None where some oplog goes on from this snapshot's end, else why not."""
    if identity and facts.identity and not identity.same_deployment(facts.identity):
        return Cause.FOREIGN
    end_hash = "" if facts.window is None else facts.window.end_hash
    if live is not None and live.oldest <= end <= live.newest:
        return None if live.hashes.get(end) == end_hash else Cause.DIVERGED
    if any(line.has(end, end_hash) for line in lines):
        return None
    if any(end in c.known and c.start <= end <= c.end for line in lines for c in line.copies):
        return Cause.DIVERGED
    if live is None:
        return Cause.UNREACHABLE
    return Cause.ROLLED_OVER if end < live.oldest else Cause.BEHIND


def _on(line: Line, bases: Iterable[_Base]) -> list[_Base]:
    return [b for b in bases if line.has(b.end, b.end_hash)]


def _reach(known: _Known, base: _Base, *, lasting: bool = False) -> Position:
    """How far a snapshot can be replayed with what lies in stores and topics alone.

    Args:
        lasting: Without topics, which drop what is older than their retention.
    """
    lines = known.lasting if lasting else known.stored
    return max((line.end for line in lines if _goes_on(known, line, base)), default=base.end)


def _goes_on(known: _Known, line: Line, base: _Base) -> bool:
    if line.has(base.end, base.end_hash):
        return True
    # Both proved by the live oplog, so that one is the other's past.
    proved = known.live is not None and known.live.hashes.get(base.end) == base.end_hash
    on_live = known.live is not None and any(
        known.live.hashes.get(c.end) is not None and known.live.hashes[c.end] == c.known.get(c.end)
        for c in line.copies
    )
    return proved and on_live and line.start <= base.end <= line.end


def _ranges(known: _Known) -> tuple[Range, ...]:
    found: list[Range] = []
    used: set[int] = set()
    for line in known.lines:
        inside = [b for b in _on(line, known.on_line) if b.end <= line.end]
        if not inside:
            continue
        used |= {id(b) for b in inside}
        names = dict.fromkeys(_source(b) for b in inside)
        sources = sorted(line.sources, key=lambda s: s == LIVE)
        reach = [s for s in sources if any(c.source == s and c.end >= inside[0].end for c in line.copies)]
        found.append(Range(inside[0].end, max(inside[0].end, line.end), (*names, *reach)))
    alone = [b for b in known.on_line if id(b) not in used and not any(_in(b.end, r) for r in found)]
    return tuple(sorted((*_points(alone), *found), key=lambda r: r.start))


def _in(position: Position, stretch: Range) -> bool:
    return stretch.start <= position <= stretch.end


def _points(bases: list[_Base]) -> tuple[Range, ...]:
    points: dict[Position, tuple[str, ...]] = {}
    for base in bases:
        points[base.end] = (*points.get(base.end, ()), _source(base))
    return tuple(Range(end, end, sources) for end, sources in sorted(points.items()))


def _source(base: _Base) -> str:
    return f"snapshot:{base.facts.name}"


def _gaps(ranges: tuple[Range, ...], known: _Known) -> tuple[Gap, ...]:
    live = known.live
    gaps = [_gap(before.end, after.start, known) for before, after in itertools.pairwise(ranges)]
    if ranges and LIVE not in ranges[-1].sources and live is not None and live.newest > ranges[-1].end:
        gaps.append(_gap(ranges[-1].end, live.newest, known))
    return tuple(gaps)


def _gap(start: Position, end: Position, known: _Known) -> Gap:
    live = known.live
    verdict = {b.end: b.verdict for b in known.on_line}.get(start)
    harmed = [d for d in known.damage if d.start < end and start < d.end]
    if harmed:
        return Gap(start, end, Cause.DAMAGED, harmed[0].text)
    later = [line.start for line in known.lines if start < line.start < end]
    bare = f" From {min(later)} on there is oplog again, and no snapshot to begin from." if later else ""
    if verdict is Cause.UNREACHABLE or live is None:
        text = "The live oplog cannot be read, so it is not known whether this can be replayed."
        return Gap(start, end, Cause.UNREACHABLE, text + bare)
    if verdict is Cause.BEHIND:
        text = "The member that was asked has not got this far yet, or was set back."
        return Gap(start, end, Cause.BEHIND, text)
    text = f"The oplog that followed is gone: the live one begins at {live.oldest}."
    return Gap(start, end, Cause.ROLLED_OVER, text + bare)


_BRANCH_TEXTS = {
    Cause.DIVERGED: "The deployment's oplog does not have the entry at which this snapshot ends: it "
    "holds writes that were rolled back, or the deployment was replaced.",
    Cause.FOREIGN: "It is of another deployment (replica-set id).",
}
_STRETCH_TEXTS = {
    Cause.DIVERGED: "The deployment's oplog went another way here (a forced reconfiguration): this may be "
    "the only copy of writes that were acknowledged.",
    Cause.FOREIGN: "It is of another deployment (replica-set id).",
}


def _branches(known: _Known) -> tuple[Branch, ...]:
    snapshots = [
        Branch(b.end, b.end, (_source(b),), b.verdict, _BRANCH_TEXTS[b.verdict])
        for b in known.bases
        if b.verdict in (Cause.DIVERGED, Cause.FOREIGN)
    ]
    parted = [(s, Cause.DIVERGED) for s in known.history.branches]
    parted += [(s, Cause.FOREIGN) for s in known.history.foreign]
    found: dict[str, Branch] = {}
    for stretch, cause in sorted(parted, key=lambda pair: (pair[0].end, pair[0].start, pair[0].source)):
        name = branch_name(stretch)
        sources = (*(found[name].sources if name in found else ()), stretch.source)
        start = min(stretch.start, found[name].start) if name in found else stretch.start
        text = _STRETCH_TEXTS[cause]
        found[name] = Branch(start, stretch.end, tuple(dict.fromkeys(sources)), cause, text, name)
    return (*snapshots, *found.values())


def branch_name(stretch: Stretch) -> str:
    """By the entry at its end, so that the same branch in two stores has one name."""
    return f"{stretch.end.t}-{stretch.end.i}.{stretch.last.term}"


def _margin(known: _Known, oplog: OplogFacts | None, now: datetime) -> float | None:
    """Until what is kept outside the deployment no longer reaches the live oplog, if nothing more comes."""
    if known.live is None:
        return None
    kept = [b for line in known.lines if LIVE in line.sources for b in _on(line, known.on_line)]
    if not kept:
        return 0.0
    if oplog is None:
        return None
    found = [m for base in kept if (m := _margin_of(known, base, oplog, now)) is not None]
    return max(found, default=None)


def _margin_of(known: _Known, base: _Base, oplog: OplogFacts, now: datetime) -> float | None:
    """A topic carries a snapshot until its retention takes the entry at the snapshot's end."""
    whole, lasting = _reach(known, base), _reach(known, base, lasting=True)
    gone = oplog.seconds_until_gone(whole)
    if gone is None or whole == lasting:
        return gone
    retention = max((s.kept for s in known.history.main if s.kept is not None), default=0.0)
    joined_for = max(0.0, retention - (now - base.end.time).total_seconds())
    return max(oplog.seconds_until_gone(lasting) or 0.0, min(gone, joined_for))


def _undo(live: LiveOplog | None, latest: Position | None, now: datetime) -> float | None:
    if live is None or latest is None:
        return None
    if latest == live.latest:
        return float(max(0, live.newest.t - live.latest.t))
    return max(0.0, (now - latest.time).total_seconds())
