"""Alerts: what they are about, how long something must be so, and what is remembered of each. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from mongo_dr_console.model.alertkind import Kind
from mongo_dr_console.model.level import Level

EVERYTHING = "all"
"""What a silence is for that is for every kind."""


ABOUT: Mapping[Kind, str] = {
    Kind.BACKUP_AGE: "The newest whole snapshot is too old, or there is none.",
    Kind.BACKUP_SIZE: "The newest snapshot differs much in size from the one before.",
    Kind.RESTORE_TEST: "No restore was rehearsed for long, or ever.",
    Kind.OPLOG_LAG: "A member is far behind the primary.",
    Kind.STREAM_LAG: "A sink of the stream is far behind the deployment, or does not go on.",
    Kind.STREAM_GAP: "Something is missing in the stream since the newest snapshot.",
    Kind.CANARY: "A heartbeat takes long until it is safe in a sink.",
    Kind.NO_PRIMARY: "There is no primary, no majority, or nobody answers: writes fail.",
    Kind.FAILOVER: "A failover is under way or wants a hand, or only this host cannot see the primary.",
    Kind.MEMBER_DOWN: "A member is down, or does not serve.",
    Kind.MARGIN: "Point-in-time recovery will break soon, or is broken.",
    Kind.OPLOG_WINDOW: "The oplog reaches back for less time than a backup takes.",
    Kind.JOB_FAILED: "The newest job of its kind on the agent's host failed, or was done in part.",
    Kind.STORE_UNREACHABLE: "A store does not answer.",
    Kind.RPO: "More would be lost than the target allows.",
    Kind.RTO: "A restore would take longer than the target allows.",
    Kind.SOURCE_SILENT: "A source gives no value: what depends on it is not known.",
}
"""What each kind says, in a sentence."""


AT_ONCE = (Kind.FAILOVER,)
"""What was made sure of before it is seen here: it is told without waiting, where the profile says nothing
else."""


@dataclass(frozen=True, slots=True)
class Timing:
    """When messages are sent.

    Args:
        start_after: How long something must be so before it is told.
        end_after: How long it must be over before that is told.
        repeat: From one message to the next while it lasts; zero: it is told once.
        on: Whether this kind is watched at all.
    """

    start_after: timedelta = timedelta(seconds=30)
    end_after: timedelta = timedelta(seconds=60)
    repeat: timedelta = timedelta(hours=4)
    on: bool = True


@dataclass(frozen=True, slots=True)
class Rules:
    """The timing of every kind.

    Args:
        clear_at: What a value must come back to, as a share of its limit, before it counts as below: 0.9
            of a limit of 60 s is 54 s. Where little is bad it is the other way round.
    """

    usual: Timing = field(default_factory=Timing)
    kinds: Mapping[Kind, Timing] = field(default_factory=dict)
    clear_at: float = 0.9

    def of(self, kind: Kind) -> Timing:
        return self.kinds.get(kind, self.usual)


class _Kept(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


class Toward(_Kept):
    """Another level that is seen.

    Args:
        since: Since when without a break.
    """

    level: Level
    since: datetime


class Alert(_Kept):
    """One thing that is, was, or may soon be wrong.

    Args:
        id: Eight hex digits.
        kind: What it is about.
        subject: Which member, store, sink or job; empty: the deployment.
        level: How bad it is; ``fine`` while it is not so for long enough, and once it is over.
        told: The level that people were told of last; ``fine``: nothing, or that it is over.
        text: In words, as it was seen last.
        value: What was held against a limit: seconds, or a ratio.
        began_at: When it was seen first.
        started_at: When it had been so for long enough; None: not yet.
        ended_at: When it had been over for long enough; None: not yet.
        told_at: When a message was written last.
        acked_by, acked_at: Who took it up, and when; None: nobody.
        unknown_since: Since when it is not known whether it is still so; None: it is known.
        rising, falling: A level that is seen and has not lasted for long enough.
    """

    id: str
    kind: Kind
    subject: str = ""
    level: Level = Level.FINE
    told: Level = Level.FINE
    text: str = ""
    value: float | None = None
    began_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    told_at: datetime | None = None
    acked_by: str | None = None
    acked_at: datetime | None = None
    unknown_since: datetime | None = None
    rising: Toward | None = None
    falling: Toward | None = None

    @property
    def running(self) -> bool:
        """Whether it is so, as far as is known, for long enough."""
        return self.level is not Level.FINE

    @property
    def name(self) -> str:
        return f"{self.kind} {self.subject}".rstrip()


class Silence(_Kept):
    """Nothing is sent for a kind until a time; what happens meanwhile is remembered.

    Args:
        id: Eight hex digits.
        kind: A kind, or ``all``.
        until: When it ends.
        reason: As somebody said; may be empty.
        by: ``user@host`` of who said it.
        at: When.
    """

    id: str
    kind: str
    until: datetime
    reason: str = ""
    by: str = ""
    at: datetime

    def covers(self, kind: Kind, now: datetime) -> bool:
        return now < self.until and self.kind in (EVERYTHING, kind.value)


class Ack(_Kept):
    """Somebody takes an alert up: it is not repeated any more, until it ends or becomes worse.

    Args:
        alert: Its id.
        level: How bad it was then. Not a time is compared: clocks differ.
        by: ``user@host``.
        at: When.
    """

    alert: str
    level: Level
    by: str
    at: datetime


Event = Literal["start", "worse", "repeat", "end", "test"]


class Message(_Kept):
    """What is sent.

    Args:
        id: Eight hex digits; the same message, tried again, has the same.
        event: ``start``, ``worse``, ``repeat`` while it lasts, ``end``; ``test`` is of nothing.
        alert: The alert's id.
        kind: What it is about.
        subject: Which member, store, sink or job; empty: the deployment.
        level: How bad it is; of an end: how bad it was.
        text: In words.
        value: What was held against a limit: seconds, or a ratio.
        profile: Name of the profile.
        environment: As the profile names it.
        set_name: Of the replica set; empty where it is not known.
        started_at: When it began to be so.
        at: When the message was written.
    """

    schema_name: Literal["mdr.alert"] = Field(default="mdr.alert", alias="schema")
    id: str
    event: Event
    alert: str
    kind: str
    subject: str = ""
    level: Level
    text: str
    value: float | None = None
    profile: str = ""
    environment: str = ""
    set_name: str = ""
    started_at: datetime | None = None
    at: datetime

    @property
    def title(self) -> str:
        """One line: how bad, where, what."""
        word = {"end": "OVER", "test": "TEST", "repeat": f"STILL {self.level.word}".upper()}.get(
            self.event, self.level.word.upper()
        )
        where = "/".join(part for part in (self.environment, self.set_name or self.profile) if part)
        return f"[{word}] {where}: {self.kind} {self.subject}".rstrip()


class AlertState(_Kept):
    """Everything that is remembered.

    Args:
        alerts: Those that run, may soon run, or whose end is still to be told.
        silences: Those that stand.
        past: The last ones that ended, oldest first.
    """

    alerts: tuple[Alert, ...] = ()
    silences: tuple[Silence, ...] = ()
    past: tuple[Alert, ...] = ()


def short_id(*parts: object) -> str:
    """Eight hex digits that the same parts always lead to."""
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()[:8]
