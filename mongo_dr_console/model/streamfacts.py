"""What the running stream says of itself: how far each sink is, what broke it, what the canary measured."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from mongo_dr_console.model.lease import Leader
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.trouble import Trouble

STALE_SECONDS = 10.0
"""From which age on what the agent wrote says nothing about now: it writes every second."""


class _Facts(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


class BreakCause(StrEnum):
    """Why what a sink got does not continue what it had."""

    ROLLED_OVER = "oplog-rolled-over"
    DIVERGED = "diverged"
    REPLACED = "other-deployment"


class Break(_Facts):
    """Where a sink's stream was broken, for good.

    Args:
        cause: The oplog rolled over unread; the history forked; the set was initiated anew.
        start: The last position before it that the sink has.
        end: The position after which it goes on; before ``start`` where the history forked.
        at: When it was found.
    """

    cause: BreakCause
    start: Position
    end: Position
    at: datetime


class Latency(_Facts):
    """Seconds from before a canary's write to its being safe in the sink.

    Args:
        p50, p99: Half of them, and 99 of 100, took at most so long.
        count: How many were measured.
    """

    p50: float
    p99: float
    count: int

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Latency | None:
        """None of nothing.

        >>> Latency.of([3.0, 1.0, 2.0]).p50
        2.0
        """
        if not seconds:
            return None
        row = sorted(seconds)
        return cls(
            p50=round(row[(len(row) - 1) // 2], 3),
            p99=round(row[min(len(row) - 1, int(len(row) * 0.99))], 3),
            count=len(row),
        )


SinkState = Literal["starting", "streaming", "waiting", "failed", "stopped"]


class SinkFacts(_Facts):
    """One sink.

    Args:
        name: ``kafka`` or ``segments:STORE``.
        state: ``waiting``: for the deployment; ``failed``: the sink itself gives trouble.
        durable: The newest position that is safe in it.
        given: The newest position that it was given.
        entries, bytes: Given since the agent started.
        member: That is read from.
        trouble: What it waits for, or why it failed; None while all is well.
        breaks: Gaps and forks since the agent started, oldest first.
        canary: Measured over the last heartbeats.
    """

    name: str
    state: SinkState = "starting"
    durable: Position | None = None
    given: Position | None = None
    entries: int = 0
    bytes: int = 0
    member: str | None = None
    trouble: Trouble | None = None
    breaks: tuple[Break, ...] = ()
    canary: Latency | None = None

    def lag_seconds(self, committed: Position | None) -> float | None:
        """How far what is safe lies behind what a majority has; None where one of them is not known."""
        if committed is None or self.durable is None:
            return None
        return float(max(0, committed.t - self.durable.t))


Role = Literal["leads", "alone", "stands-by", "waits", "watches"]
"""Of an agent: it leads by the lease; leads since nothing is shared with others; another one leads; nobody is
known to lead, since the store or the deployment does not answer; it may write nothing, and only watches."""


class StreamFacts(_Facts):
    """The stream of one profile, as its agent on this host wrote it last.

    Args:
        committed: What a majority of the deployment has, as far as the agent knows.
        running: False once the agent ended in order.
        role: What this agent is to the others of this deployment.
        leader: Who leads, this agent or another; None where that is not known.
        waits_for: What an agent waits for that neither leads nor knows who does.
    """

    schema_name: Literal["mdr.stream.1"] = Field(default="mdr.stream.1", alias="schema")
    profile: str
    pid: int
    host: str
    started_at: datetime
    written_at: datetime
    running: bool = True
    committed: Position | None = None
    sinks: tuple[SinkFacts, ...] = ()
    role: Role = "alone"
    leader: Leader | None = None
    waits_for: Trouble | None = None

    def stale(self, now: datetime) -> bool:
        """Whether the agent is gone, or hangs."""
        return not self.running or (now - self.written_at).total_seconds() > STALE_SECONDS


def standing(facts: StreamFacts) -> str:
    """What an agent is to the others, in words."""
    leader = facts.leader
    if facts.role == "waits":
        why = "" if facts.waits_for is None else f": {facts.waits_for.message}"
        return f"the agent on {facts.host} leads nothing yet{why}"
    if facts.role == "stands-by" and leader is not None:
        other = f" (profile {leader.profile})" if leader.profile != facts.profile else ""
        return f"the agent on {facts.host} stands by, {leader.host}{other} leads"
    if facts.role == "watches":
        return f"the agent on {facts.host} only watches, since its access is watch: it streams nothing"
    return f"the agent on {facts.host} leads"


class KeptTopic(_Facts):
    """What the topic holds, of whichever deployment.

    Args:
        topic: Its name.
        bootstrap: The brokers that were asked.
        oldest, newest: Both ends; None: it is empty.
        retention_seconds: How long it keeps an entry; None: for ever, or not known.
        foreign: Messages of others that were come by.
    """

    topic: str
    bootstrap: str
    oldest: Position | None
    newest: Position | None
    retention_seconds: float | None
    foreign: int
