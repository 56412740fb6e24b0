"""What the agent writes down about alerts: what is remembered, what is still to be sent, and how the ways to
people are. The console, ``mdr alerts``, ``/metrics`` and the next leader read it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from mongo_dr_console.model.alert import Alert, AlertState, Message, Silence
from mongo_dr_console.model.alertkind import Kind
from mongo_dr_console.model.reading import SourceError

STALE_SECONDS = 60.0
"""From which age on what the agent wrote says that it is gone: to a store it writes every half a minute."""


class _Facts(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


class Delivery(_Facts):
    """A message on one way to people.

    Args:
        message: What is sent.
        way: By its name.
        tries: How often it was tried in vain.
        next_try: When it is tried again.
    """

    message: Message
    way: str
    tries: int = 0
    next_try: datetime


class WayFacts(_Facts):
    """One way to people.

    Args:
        name: ``log``, ``command``, or a service with the line of the file that names it: ``json-3``.
        sent: Messages that went, since the agents began to count.
        failed: Tries that did not.
        lost: Messages that were given up.
        sent_at: When one went last.
        trouble: Why the newest try failed; None: it did not.
        trouble_since: Since when all fail.
    """

    name: str
    sent: int = 0
    failed: int = 0
    lost: int = 0
    sent_at: datetime | None = None
    trouble: SourceError | None = None
    trouble_since: datetime | None = None


class AlertFacts(_Facts):
    """Everything about the alerts of one profile, as the leading agent wrote it last.

    Args:
        set_name: Of the replica set.
        host, pid: Of the agent.
        fence: Of its term: a greater one wrote later, whatever the clocks say.
        running: False once it ended in order.
        outbox: What is still to be sent, oldest first.
        store_trouble: Why the store that agents share could not be used; None: it could, or there is none.
    """

    schema_name: Literal["mdr.alert-facts.1"] = Field(default="mdr.alert-facts.1", alias="schema")
    profile: str
    environment: str = ""
    set_name: str = ""
    host: str
    pid: int
    fence: int = 0
    written_at: datetime
    running: bool = True
    state: AlertState = AlertState()
    outbox: tuple[Delivery, ...] = ()
    ways: tuple[WayFacts, ...] = ()
    store_trouble: SourceError | None = None

    def stale(self, now: datetime) -> bool:
        """Whether the agent is gone, or hangs."""
        return not self.running or (now - self.written_at).total_seconds() > STALE_SECONDS

    @property
    def order(self) -> tuple[int, datetime]:
        """What was written later is greater."""
        return self.fence, self.written_at

    @property
    def running_alerts(self) -> tuple[Alert, ...]:
        """The worst first, then the oldest."""
        found = [a for a in self.state.alerts if a.running]
        return tuple(sorted(found, key=lambda a: (-a.level.rank, a.began_at, a.kind, a.subject)))

    def silenced(self, kind: Kind, now: datetime) -> Silence | None:
        """The silence that holds a kind's messages back, the longest one."""
        found = [s for s in self.state.silences if s.covers(kind, now)]
        return max(found, key=lambda s: s.until, default=None)

    def waiting(self, way: str) -> int:
        """Messages that are still to go this way."""
        return sum(d.way == way for d in self.outbox)


class AlertsDocument(_Facts):
    """``mdr alerts list``.

    Args:
        agent: Host of the agent that wrote this; None: there was none yet.
        agent_seen_at: When it wrote last.
        agent_running: Whether it still does.
        set_name: Of the replica set.
        alerts: Those that run, the worst first.
        silenced: Ids of those of which nothing is sent now.
        past: The last ones that ended, newest first.
        silences: Those that stand.
        ways: How messages are sent, and whether they arrive.
        waiting: Messages that are still to be sent.
    """

    schema_name: Literal["mdr.alerts"] = Field(default="mdr.alerts", alias="schema")
    profile: str
    agent: str | None
    agent_seen_at: datetime | None
    agent_running: bool
    set_name: str
    alerts: list[Alert]
    silenced: list[str]
    past: list[Alert]
    silences: list[Silence]
    ways: list[WayFacts]
    waiting: int


def alerts_document(profile: str, facts: AlertFacts | None, now: datetime) -> AlertsDocument:
    """What is known, for ``--json``."""
    alerts: Sequence[Alert] = () if facts is None else facts.running_alerts
    silenced = [a.id for a in alerts if facts is not None and facts.silenced(a.kind, now) is not None]
    return AlertsDocument(
        profile=profile,
        agent=None if facts is None else facts.host,
        agent_seen_at=None if facts is None else facts.written_at,
        agent_running=facts is not None and not facts.stale(now),
        set_name="" if facts is None else facts.set_name,
        alerts=list(alerts),
        silenced=silenced,
        past=[] if facts is None else list(reversed(facts.state.past)),
        silences=[] if facts is None else [s for s in facts.state.silences if now < s.until],
        ways=[] if facts is None else list(facts.ways),
        waiting=0 if facts is None else len(facts.outbox),
    )


class AckDocument(_Facts):
    """``mdr alerts ack``.

    Args:
        alert: What was taken up.
        noted_in: The store where agents read that; ``here``: this host alone, the store does not answer.
    """

    schema_name: Literal["mdr.alerts.ack"] = Field(default="mdr.alerts.ack", alias="schema")
    alert: Alert
    noted_in: str


class SilenceDocument(_Facts):
    """``mdr alerts silence`` and ``unsilence``.

    Args:
        added: The new silence; None: none was added.
        removed: Ids of those that were taken back.
        noted_in: The store where agents read that; ``here``: this host alone, the store does not answer.
    """

    schema_name: Literal["mdr.alerts.silence"] = Field(default="mdr.alerts.silence", alias="schema")
    added: Silence | None = None
    removed: list[str] = []
    noted_in: str


class WayTested(_Facts):
    """One way that was tried.

    Args:
        name: As in ``mdr alerts list``.
        worked: Whether it took the message.
        trouble: Why it did not; None: it did.
        seconds: How long it took.
    """

    name: str
    worked: bool
    trouble: SourceError | None
    seconds: float


class AlertTestDocument(_Facts):
    """``mdr alerts test``.

    Args:
        ways: Each of them, with whether it took the message.
    """

    schema_name: Literal["mdr.alerts.test"] = Field(default="mdr.alerts.test", alias="schema")
    profile: str
    ways: list[WayTested]
