"""What the failover monitor adds to the verdict. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from mongo_dr_console.model.failover import Standing
from mongo_dr_console.model.failovertext import pause_lines
from mongo_dr_console.model.level import Fact, Level
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.rank import Rank
from mongo_dr_console.model.readings import FAILOVER, Readings
from mongo_dr_console.model.words import duration

if TYPE_CHECKING:
    from mongo_dr_console.model.failoverdoc import FailoverFacts

_TOLD = timedelta(hours=24)


def judge_failover(readings: Readings, now: datetime) -> Iterator[Fact]:
    """Only where a monitor of this host watches, or did."""
    reading = readings.failover
    if reading is None:
        return
    if reading.error is not None:
        yield Fact(Level.UNKNOWN, "failover-unknown", FAILOVER, reading.error.message, Rank.UNREACHABLE)
    facts = reading.value
    if facts is None:
        return
    if facts.stale(now):
        if facts.endpoint_kind:
            ago = duration(max(0.0, (now - facts.written_at).total_seconds()))
            text = f"The failover monitor on {facts.host} is gone since {ago}: the endpoint is not switched."
            yield Fact(Level.WARNING, "failover-monitor-gone", FAILOVER, text, Rank.UNREACHABLE)
        return
    yield from _runs(facts)
    yield from _lost(facts, now)
    yield from _standing(facts)
    for text in pause_lines(facts.pause, now):
        yield Fact(Level.WARNING, "failover-paused", FAILOVER, f"Failover {text}", Rank.MEMBER)
    if facts.endpoint_error:
        text = f"The endpoint cannot be read: {facts.endpoint_error}"
        yield Fact(Level.WARNING, "endpoint-unread", FAILOVER, text, Rank.UNREACHABLE)


def _runs(facts: FailoverFacts) -> Iterator[Fact]:
    run = facts.run or facts.last
    if run is None:
        return
    stuck = run.stuck
    if stuck is not None and run.state in ("running", "failed"):
        text = f"FAILOVER {run.id} NEEDS A HAND at {stuck.step}: {stuck.manual}"
        yield Fact(Level.CRITICAL, "failover-by-hand", FAILOVER, text, Rank.UNDER_WAY)
    elif facts.run is not None:
        current = run.current
        step = "" if current is None else f" at {current.step}"
        text = f"FAILOVER {run.id} is under way{step}: {run.why}"
        yield Fact(Level.CRITICAL, "failover-running", FAILOVER, text, Rank.UNDER_WAY)


def _lost(facts: FailoverFacts, now: datetime) -> Iterator[Fact]:
    """What the former primary had and the new one has not, for a day."""
    run = facts.last
    if run is None or run.lost is None or run.ended_at is None or now - run.ended_at > _TOLD:
        return
    lost, text = run.lost, f"WRITES LOST in failover {run.id}: {run.lost.text}"
    if lost.beyond:
        yield Fact(Level.WARNING, "failover-writes-lost", FAILOVER, text, Rank.LOST_RESTORABLE)
    elif _position(lost.last_seen) > _position(lost.kept_through):
        yield Fact(Level.WARNING, "failover-writes-lost", FAILOVER, text, Rank.LOST)


def _position(text: str | None) -> Position:
    return Position(0, 0) if text is None else Position.parse(text)


def _standing(facts: FailoverFacts) -> Iterator[Fact]:
    if facts.standing is Standing.ONLY_THIS_HOST:
        yield Fact(Level.WARNING, "primary-hidden", FAILOVER, facts.text, Rank.UNREACHABLE)
    elif facts.standing is Standing.SUSPECT and facts.advice:
        text = f"{facts.text} {facts.advice}"
        yield Fact(Level.CRITICAL, "failover-by-hand", FAILOVER, text, Rank.NO_PRIMARY)
