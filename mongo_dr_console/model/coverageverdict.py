"""What can be restored to, and what that costs, held against targets and thresholds. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from mongo_dr_console.model.coverage import Cause, Coverage, Gap
from mongo_dr_console.model.level import Fact, Level, grade_least
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.rank import Rank
from mongo_dr_console.model.readings import Limits, Readings, rto_now
from mongo_dr_console.model.remedy import remedy
from mongo_dr_console.model.unknown import is_down, missing
from mongo_dr_console.model.words import duration, moment


def judge_coverage(
    readings: Readings, coverage: Coverage | None, limits: Limits, now: datetime
) -> Iterator[Fact]:
    """Whether every moment can be restored to, and for how long that stays so."""
    yield from missing(readings.coverage, "coverage", now)
    if coverage is None:
        return
    if coverage.live_error is not None and is_down(readings.set):
        text = "What the live oplog reaches is not known while the deployment is down."
        yield Fact(Level.UNKNOWN, "oplog-unreachable", "coverage", text, Rank.UNREACHABLE)
    elif coverage.live_error is not None:
        text = f"The live oplog cannot be read: {coverage.live_error.message}"
        yield Fact(Level.UNKNOWN, "oplog-unreadable", "coverage", text, Rank.UNREACHABLE)
    for unread in coverage.unread:
        text = f"{unread.source} cannot be read: {unread.error.message}"
        yield Fact(Level.WARNING, "stream-unread", "coverage", text, Rank.UNREACHABLE)
    if coverage.latest is None:
        yield Fact(Level.CRITICAL, "nothing-covered", "coverage", "Nothing can be restored to.", Rank.RPO)
    if coverage.bases and coverage.margin_seconds is not None:
        yield from _margin_facts(coverage, coverage.margin_seconds, limits)
    yield from _gap_facts(readings, coverage, limits)
    for branch in coverage.branches:
        text = f"{', '.join(branch.sources)} lies on another history. {branch.text}"
        level = Level.WARNING if branch.cause is Cause.DIVERGED else Level.FINE
        yield Fact(level, "branch", "coverage", text, Rank.CONTINUITY)


def _gap_facts(readings: Readings, coverage: Coverage, limits: Limits) -> Iterator[Fact]:
    """Where a stream promises that there are none: those after the newest snapshot. Once there is one behind
    a gap, all that is newer is whole again."""
    if not limits.streamed:
        return
    backups = None if readings.backups is None else readings.backups.value
    newest = None if backups is None else backups.newest
    whole_from = None if newest is None else newest.end
    for gap in coverage.gaps:
        if gap.cause in (Cause.ROLLED_OVER, Cause.DAMAGED) and _after(gap, whole_from):
            yield Fact(Level.CRITICAL, "gap", "coverage", f"GAP {_span(gap)}: {gap.text}", Rank.CONTINUITY)


def _after(gap: Gap, whole_from: Position | None) -> bool:
    return whole_from is None or gap.end is None or gap.end > whole_from


def _span(gap: Gap) -> str:
    """From when to when, in UTC."""
    start = moment(gap.start.time)
    return f"since {start}" if gap.end is None else f"from {start} to {moment(gap.end.time)}"


def _margin_facts(coverage: Coverage, margin: float, limits: Limits) -> Iterator[Fact]:
    level = grade_least(margin, limits.margin)
    if margin <= 0:
        text = "POINT IN TIME BROKEN: the oplog no longer reaches back to any snapshot. Take a backup now."
        yield Fact(Level.CRITICAL, "margin", "coverage", text, Rank.CONTINUITY)
    elif level is not Level.FINE:
        text = f"Point-in-time recovery breaks in {duration(margin)} unless a backup is taken."
        yield Fact(level, "margin", "coverage", text, Rank.CONTINUITY)


def judge_targets(readings: Readings, coverage: Coverage | None, limits: Limits) -> Iterator[Fact]:
    """RPO now and RTO now."""
    if coverage is not None and coverage.rpo_seconds is not None and coverage.rpo_seconds > limits.rpo:
        # Without a stream no snapshot schedule can meet such a target, and the age of the newest snapshot
        # has a threshold of its own; a breach with a stream is a guarantee that has broken.
        level = Level.CRITICAL if limits.streamed else Level.WARNING
        text = f"RPO {duration(coverage.rpo_seconds)} is over the target of {duration(limits.rpo)}."
        means = remedy("rpo-streamed" if limits.streamed else "rpo", Rank.RPO)
        yield Fact(level, "rpo", "coverage", text, Rank.RPO, means.means, means.command)
    rto = rto_now(readings)
    if rto is not None and rto.seconds > limits.rto:
        level = Level.CRITICAL if rto.low > limits.rto else Level.WARNING
        text = f"RTO of about {duration(rto.seconds)} is over the target of {duration(limits.rto)}."
        yield Fact(level, "rto", "backups", text, Rank.RTO)
