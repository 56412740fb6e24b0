"""The verdict: what has to be heard first, and what it means for what can be got back. Pure.

The order is that of ``model.rank``; the level is the worst of all facts. Unknown is never fine: a source that
has not answered, or whose value is old, is a fact of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from mongo_dr_console.model.backupverdict import judge_backups
from mongo_dr_console.model.coverage import Coverage
from mongo_dr_console.model.coverageverdict import judge_coverage, judge_targets
from mongo_dr_console.model.eventverdict import judge_events
from mongo_dr_console.model.failoververdict import judge_failover
from mongo_dr_console.model.jobverdict import judge_alerts, judge_jobs
from mongo_dr_console.model.level import Fact, Level, grade, grade_least, worst
from mongo_dr_console.model.rank import Rank
from mongo_dr_console.model.reading import Reading
from mongo_dr_console.model.readings import KAFKA, Limits, Readings, live_coverage
from mongo_dr_console.model.remedy import remedy
from mongo_dr_console.model.setverdict import judge_oplog, judge_set
from mongo_dr_console.model.streamverdict import judge_stream
from mongo_dr_console.model.unknown import STALE_SECONDS, UNREACHABLE, is_down, missing
from mongo_dr_console.model.words import duration, moment

__all__ = [
    "STALE_SECONDS",
    "UNREACHABLE",
    "Fact",
    "Level",
    "Verdict",
    "consequence",
    "grade",
    "grade_least",
    "verdict",
    "worst",
]

SEGMENTS = "segments:"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is so now.

    Args:
        level: The worst of all facts.
        text: What stands first.
        facts: All of them, in their order.
        consequence: What can be got back now, and what it would cost.
    """

    level: Level
    text: str
    facts: tuple[Fact, ...]
    consequence: str

    @property
    def first(self) -> Fact | None:
        """What stands first; None where all is well."""
        return next((fact for fact in self.facts if fact.level is not Level.FINE), None)

    @property
    def exit_code(self) -> int:
        return self.level.exit_code


def verdict(readings: Readings, limits: Limits, now: datetime) -> Verdict:
    """Holds everything against the profile's targets and thresholds."""
    coverage = live_coverage(readings, now)
    found = [
        *judge_backups(readings.backups, limits, now),
        *judge_set(readings.set, limits, now),
        *judge_failover(readings, now),
        *judge_coverage(readings, coverage, limits, now),
        *judge_targets(readings, coverage, limits),
        *judge_oplog(readings, now),
        *_event_facts(readings, coverage, now),
        *judge_jobs(readings, now),
        *judge_stream(readings, limits, now),
        *judge_alerts(readings, now),
    ]
    # Of one rank the worse first, and then as they were found.
    told = (_told(fact, readings, now) for fact in found)
    facts = tuple(sorted(told, key=lambda fact: (fact.rank.place, -fact.level.rank)))
    bad = [f for f in facts if f.level is not Level.FINE]
    text = bad[0].text if bad else "All is well: every source answers, and nothing is over its limit."
    return Verdict(worst(f.level for f in facts), text, facts, consequence(coverage, now))


def _told(fact: Fact, readings: Readings, now: datetime) -> Fact:
    """With what it means, the command that answers it, and the age of the value that says so."""
    rank = Rank.FINE if fact.level is Level.FINE else fact.rank
    known = remedy(fact.code, rank)
    reading: Reading[Any] | None = getattr(readings, fact.source)
    age = None if reading is None else reading.age(now)
    return replace(
        fact,
        rank=rank,
        weight=rank.weight,
        means=fact.means or ("" if rank is Rank.FINE else known.means),
        command=fact.command or ("" if rank is Rank.FINE else known.command),
        age_seconds=None if age is None else max(0.0, round(age.total_seconds(), 3)),
    )


def consequence(coverage: Coverage | None, now: datetime) -> str:
    """What can be got back, and what is lost then."""
    if coverage is None:
        return "It is not known what can be restored to."
    if coverage.latest is None:
        return "There is nothing to restore from." + _branch_hint(coverage)
    point = f"Newest restore point {moment(coverage.latest.time)}"
    if coverage.rpo_undo_seconds is not None:
        return f"{point} ({_loses(coverage.rpo_undo_seconds)})."
    ago = max(0.0, (now - coverage.latest.time).total_seconds())
    return f"{point}, from {_outside(coverage)} (loses {duration(ago)})."


def _outside(coverage: Coverage) -> str:
    """What holds the newest restore point without the deployment: a snapshot by itself, or what the stream
    left, which reaches further."""
    sources = next((r.sources for r in reversed(coverage.ranges) if r.end == coverage.latest), ())
    stores = [s.removeprefix(SEGMENTS) for s in sources if s.startswith(SEGMENTS)]
    words = [f"the segments in store {' and '.join(stores)}"] if stores else []
    words += ["the Kafka topic"] if KAFKA in sources else []
    return " and ".join(words) or "a snapshot in a store"


def _loses(seconds: float) -> str:
    return "loses nothing" if seconds < 1 else f"loses {duration(seconds)}"


def _branch_hint(coverage: Coverage) -> str:
    named = sum(not branch.name for branch in coverage.branches)
    return f" {named} snapshot(s) of another history can be restored by name." if named else ""


def _event_facts(readings: Readings, coverage: Coverage | None, now: datetime) -> Iterator[Fact]:
    if not is_down(readings.set):
        yield from missing(readings.events, "events", now)
    yield from judge_events(readings, coverage, now)
