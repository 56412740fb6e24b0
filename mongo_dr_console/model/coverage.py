"""Coverage: the positions that can be restored to, the gaps between them with their causes, and branches.

A position can be restored to when there is a snapshot whose end is not after it, and unbroken oplog from that
end to the position. A snapshot alone is restorable at its end. That the live oplog goes on where a snapshot
ends is proved by the entry at that position: it is there, and its hash is the manifest's (server-rules 13).
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

LIVE = "live"
"""Name of the live oplog among the sources of a range."""


class Cause(StrEnum):
    """Why a stretch cannot be restored to, or why a snapshot lies on another history."""

    ROLLED_OVER = "oplog-rolled-over"
    UNREACHABLE = "oplog-unreachable"
    BEHIND = "member-behind"
    DIVERGED = "diverged"
    FOREIGN = "other-deployment"


@dataclass(frozen=True, slots=True)
class Range:
    """Every position from ``start`` to ``end``, both included, can be restored to.

    ``sources`` are ``snapshot:NAME`` and ``live``.
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
    """A snapshot that is not on the deployment's history: restorable by name, at its own end only.

    Args:
        cause: Why it is not on this history.
    """

    start: Position
    end: Position
    sources: tuple[str, ...]
    cause: Cause
    text: str


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
class Coverage:
    """Ranges in order, gaps between them, branches.

    Args:
        latest: The newest position that can be restored to; None if there is none.
        margin_seconds: Until point-in-time recovery breaks at today's churn if nothing is done: until the
            newest joined snapshot's end falls off the live oplog. 0: it is broken; None: not known.
        rpo_seconds: What would be lost if the deployment itself were lost now; only what can be read from
            stores counts. None: everything, or not known (``bases`` tells which).
        rpo_undo_seconds: What a mistake on the living deployment would cost now. None: it is not living,
            or nothing could be restored.
        bases: How many snapshots a restore of everything can start from.
        live_error: Why the live oplog could not be read; None if it was.
        scoped: Names of snapshots of a few databases only; they cover nothing here.
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

    def covers(self, position: Position) -> bool:
        return any(r.start <= position <= r.end for r in self.ranges)

    def gap_at(self, position: Position) -> Gap | None:
        """The gap in which a position lies."""
        return next(
            (g for g in self.gaps if g.start < position and (g.end is None or position < g.end)), None
        )


@dataclass(frozen=True, slots=True)
class _Base:
    """One snapshot, in whichever stores it lies."""

    facts: SnapshotEntry
    end: Position
    verdict: Cause | None


def wanted_hashes(snapshots: Iterable[SnapshotEntry]) -> tuple[Position, ...]:
    """The positions that the live oplog must be asked about: the snapshots' ends, newest first."""
    ends = {s.end for s in snapshots if s.end is not None and s.restorable and s.scope is None}
    return tuple(sorted(ends, reverse=True))


def build(
    snapshots: Sequence[SnapshotEntry],
    live: LiveOplog | None,
    *,
    now: datetime,
    oplog: OplogFacts | None = None,
    live_error: SourceError | None = None,
) -> Coverage:
    """Everything together.

    Args:
        snapshots: From every readable store; the same name in two stores is one snapshot.
        live: The live oplog with the hashes of ``wanted_hashes``; None where it cannot be read.
        now: For the ages.
        oplog: Size and churn, for the margin.
        live_error: Why ``live`` is None.
    """
    bases = _bases(snapshots, live)
    on_line = [b for b in bases if b.verdict not in (Cause.DIVERGED, Cause.FOREIGN)]
    joined = [b for b in on_line if live is not None and b.verdict is None]
    ranges = _ranges(on_line, joined, live)
    latest = ranges[-1].end if ranges else None
    newest = on_line[-1].end if on_line else None
    rpo = None if newest is None else max(0.0, (now - newest.time).total_seconds())
    return Coverage(
        ranges=ranges,
        gaps=_gaps(ranges, on_line, live),
        branches=_branches(bases),
        latest=latest,
        margin_seconds=_margin(joined, live, oplog),
        rpo_seconds=rpo,
        rpo_undo_seconds=_undo(live, latest, now),
        bases=len(on_line),
        live=live,
        live_error=live_error,
        scoped=tuple(sorted({s.name for s in snapshots if s.scope is not None})),
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


def _bases(snapshots: Sequence[SnapshotEntry], live: LiveOplog | None) -> list[_Base]:
    """One a snapshot that a whole restore can start from, in order of its end."""
    whole = {(s.name, s.end): s for s in snapshots if s.restorable and s.scope is None and s.end is not None}
    known = [s.identity for s in sorted(whole.values(), key=lambda s: s.end or Position(0, 0)) if s.identity]
    identity = (live.identity if live is not None else None) or (known[-1] if known else None)
    found = []
    for facts in whole.values():
        assert facts.end is not None
        found.append(_Base(facts, facts.end, _joins(facts, facts.end, identity, live)))
    return sorted(found, key=lambda b: (b.end, b.facts.name))


def _joins(
    facts: SnapshotEntry, end: Position, identity: Identity | None, live: LiveOplog | None
) -> Cause | None:
    """None where the live oplog goes on from this snapshot's end, else why not."""
    if identity and facts.identity and not identity.same_deployment(facts.identity):
        return Cause.FOREIGN
    if live is None:
        return Cause.UNREACHABLE
    if end < live.oldest:
        return Cause.ROLLED_OVER
    if end > live.newest:
        return Cause.BEHIND
    found = live.hashes.get(end)
    if found is None or facts.window is None or found != facts.window.end_hash:
        return Cause.DIVERGED
    return None


def _ranges(on_line: list[_Base], joined: list[_Base], live: LiveOplog | None) -> tuple[Range, ...]:
    if live is None or not joined:
        return _points(on_line)
    first = joined[0].end
    inside = tuple(_source(b) for b in on_line if b.end >= first and b.end <= live.latest)
    whole = Range(first, max(first, live.latest), (*dict.fromkeys(inside), LIVE))
    alone = [b for b in on_line if b.end < first or b.end > whole.end]
    return tuple(sorted((*_points(alone), whole), key=lambda r: r.start))


def _points(bases: list[_Base]) -> tuple[Range, ...]:
    points: dict[Position, tuple[str, ...]] = {}
    for base in bases:
        points[base.end] = (*points.get(base.end, ()), _source(base))
    return tuple(Range(end, end, sources) for end, sources in sorted(points.items()))


def _source(base: _Base) -> str:
    return f"snapshot:{base.facts.name}"


def _gaps(ranges: tuple[Range, ...], on_line: list[_Base], live: LiveOplog | None) -> tuple[Gap, ...]:
    why = {b.end: b.verdict for b in on_line}
    gaps = [
        _gap(before.end, after.start, why.get(before.end), live)
        for before, after in itertools.pairwise(ranges)
    ]
    if ranges and LIVE not in ranges[-1].sources and live is not None and live.newest > ranges[-1].end:
        gaps.append(_gap(ranges[-1].end, live.newest, why.get(ranges[-1].end), live))
    return tuple(gaps)


def _gap(start: Position, end: Position, verdict: Cause | None, live: LiveOplog | None) -> Gap:
    if verdict is Cause.UNREACHABLE or live is None:
        text = "The live oplog cannot be read, so it is not known whether this can be replayed."
        return Gap(start, end, Cause.UNREACHABLE, text)
    if verdict is Cause.BEHIND:
        text = "The member that was asked has not got this far yet, or was set back."
        return Gap(start, end, Cause.BEHIND, text)
    text = f"The oplog that followed is gone: the live one begins at {live.oldest}."
    return Gap(start, end, Cause.ROLLED_OVER, text)


def _branches(bases: list[_Base]) -> tuple[Branch, ...]:
    texts = {
        Cause.DIVERGED: "The deployment's oplog does not have the entry at which this snapshot ends: it "
        "holds writes that were rolled back, or the deployment was replaced.",
        Cause.FOREIGN: "It is of another deployment (replica-set id).",
    }
    return tuple(
        Branch(b.end, b.end, (_source(b),), b.verdict, texts[b.verdict])
        for b in bases
        if b.verdict in (Cause.DIVERGED, Cause.FOREIGN)
    )


def _margin(joined: list[_Base], live: LiveOplog | None, oplog: OplogFacts | None) -> float | None:
    if live is None:
        return None
    if not joined:
        return 0.0
    return None if oplog is None else oplog.seconds_until_gone(joined[-1].end)


def _undo(live: LiveOplog | None, latest: Position | None, now: datetime) -> float | None:
    if live is None or latest is None:
        return None
    if latest == live.latest:
        return float(max(0, live.newest.t - live.latest.t))
    return max(0.0, (now - latest.time).total_seconds())
