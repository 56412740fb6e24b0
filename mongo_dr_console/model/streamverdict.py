"""What the stream's agent on this host adds to the verdict. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from mongo_dr_console.model.level import Fact, Level, grade
from mongo_dr_console.model.rank import Rank
from mongo_dr_console.model.readings import Limits, Readings
from mongo_dr_console.model.remedy import remedy
from mongo_dr_console.model.streamfacts import Break, BreakCause, standing
from mongo_dr_console.model.unknown import is_down
from mongo_dr_console.model.words import duration

_LESS: dict[str, tuple[str, str]] = {
    "stands-by": ("nobody stands by on this host", "agent-standby-gone"),
    "watches": ("nobody watches on this host", "agent-watch-gone"),
}
"""Roles without which the stream goes on: what is lost with such an agent, and the code of its remedy."""


def judge_stream(readings: Readings, limits: Limits, now: datetime) -> Iterator[Fact]:
    """Only where an agent of this host streams, or did: one of another host is seen by its results alone."""
    facts = None if readings.stream is None else readings.stream.value
    if readings.stream is not None and readings.stream.error is not None:
        text = f"stream: {readings.stream.error.message}"
        yield Fact(Level.UNKNOWN, "stream-unknown", "coverage", text, Rank.UNREACHABLE)
    if facts is None:
        return
    if facts.stale(now):
        ago = duration(max(0.0, (now - facts.written_at).total_seconds()))
        gone = f"The agent on {facts.host} is gone since {ago}"
        if facts.role in _LESS:
            lost, code = _LESS[facts.role]
            text, less = f"{gone}: {lost}.", remedy(code, Rank.MEMBER)
            yield Fact(Level.WARNING, "agent-gone", "coverage", text, Rank.MEMBER, less.means, less.command)
        else:
            text = f"{gone}: the oplog is not streamed."
            yield Fact(Level.WARNING, "agent-gone", "coverage", text, Rank.CONTINUITY)
        return
    if facts.role == "waits":
        text = f"{standing(facts)[0].upper()}{standing(facts)[1:]}"
        yield Fact(Level.WARNING, "agent-waits", "coverage", text, Rank.CONTINUITY)
    for sink in facts.sinks:
        if sink.trouble is not None and not is_down(readings.set):
            text = f"{sink.name} does not go on: {sink.trouble.message}"
            yield Fact(Level.WARNING, "stream-trouble", "coverage", text, Rank.CONTINUITY)
        lag = sink.lag_seconds(facts.committed)
        level = Level.FINE if lag is None else grade(lag, limits.oplog_lag)
        if level is not Level.FINE and lag is not None:
            text = f"{sink.name} is {duration(lag)} behind the deployment."
            yield Fact(level, "stream-lag", "coverage", text, Rank.CONTINUITY)
        for broke in sink.breaks:
            text = _broke(sink.name, broke)
            yield Fact(Level.WARNING, f"stream-{broke.cause}", "coverage", text, Rank.CONTINUITY)


def _broke(sink: str, broke: Break) -> str:
    if broke.cause is BreakCause.ROLLED_OVER:
        return f"{sink} has a gap from {broke.start} to {broke.end}: the oplog rolled over unread."
    what = "another deployment" if broke.cause is BreakCause.REPLACED else "another history"
    return f"{sink} found {what} after {broke.start}; what it had is kept as a branch: mdr coverage"
