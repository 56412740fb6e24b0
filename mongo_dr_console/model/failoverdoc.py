"""What is written and told of failovers: the endpoint's content, the run-book, the monitor's state. Pure.

A run-book is what one failover does, step by step; ended, it is a line of the ledger (``failovers``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mongo_dr_console.model.failover import Leader, Standing
from mongo_dr_console.model.trouble import Refused, Trouble

STALE_SECONDS = 10.0
"""From which age on what the monitor wrote says nothing about now: it writes every second."""

STEPS = ("alert", "election", "verify", "endpoint", "broadcast", "compare", "all-clear")
Cause = Literal["unreachable", "planned", "endpoint-behind", "by-hand", "test"]
StepState = Literal["waiting", "running", "done", "failed", "skipped"]
RunState = Literal["running", "done", "failed", "superseded"]


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, populate_by_name=True, extra="ignore")


class EndpointContent(_Document):
    """Where applications are led: what stands in the endpoint's file, goes to its program, and is
    broadcast."""

    schema_name: Literal["mdr.endpoint-content"] = Field(default="mdr.endpoint-content", alias="schema")
    set_name: str
    primary: str = Field(description="`host:port` of the primary, as the set's configuration names it.")
    host: str = Field(description="Its host alone.")
    port: int = Field(description="Its port alone.")
    term: int = Field(description="The election term in which it is the primary.")
    switched_at: datetime = Field(description="When it was written.")
    by: str = Field(description="`user@host` that wrote it.")
    fence: int = Field(description="Of the agent that led then: a lower one may not overwrite it.")

    @property
    def leader(self) -> Leader:
        return Leader(self.primary, self.term)


def content_of(leader: Leader, set_name: str, at: datetime, by: str, fence: int) -> EndpointContent:
    """What is to be written of a primary."""
    host, _, port = leader.member.rpartition(":")
    return EndpointContent(
        set_name=set_name,
        primary=leader.member,
        host=host.strip("[]"),
        port=int(port),
        term=leader.term,
        switched_at=at,
        by=by,
        fence=fence,
    )


def check_order(old: EndpointContent | None, new: EndpointContent) -> None:
    """Whether what stands there may be overwritten by ``new``.

    Raises:
        Refused: It is another set's, from a higher term, or from an agent that leads after this one; nothing
            was changed.
    """
    if old is None:
        return
    if old.set_name != new.set_name:
        raise Refused(
            "endpoint-other-set",
            f"The endpoint leads to set {old.set_name}, not to {new.set_name}: two profiles share it. "
            "Nothing was "
            "changed.",
            "Give each profile an endpoint of its own.",
        )
    if new.term < old.term or (new.term == old.term and new.primary != old.primary):
        raise Refused(
            "endpoint-lower-term",
            f"The endpoint leads to {old.primary} in term {old.term}, and {new.primary} is from term "
            f"{new.term}. "
            "Nothing was changed: a lower term is an older primary.",
            "After a forced reconfiguration, and only then: mdr endpoint switch --lower-term",
        )
    if new.fence < old.fence:
        raise Refused(
            "endpoint-fenced",
            f"The endpoint was written by a newer leader of the agents ({old.fence}; this one is "
            f"{new.fence}). "
            "Nothing was changed.",
        )


class RunStep(_Document):
    """One step of a run-book."""

    step: Literal["alert", "election", "verify", "endpoint", "broadcast", "compare", "all-clear"] = Field(
        description="In this order."
    )
    state: StepState = Field(default="waiting", description="How it stands; `skipped`: nothing to do.")
    started_at: datetime | None = None
    ended_at: datetime | None = None
    seconds: float | None = Field(default=None, description="How long it took; null: it has not ended.")
    attempts: int = Field(default=0, description="How often it was tried.")
    detail: str = Field(default="", description="What came of it.")
    trouble: Trouble | None = Field(
        default=None, description="Why it does not succeed: `kind`, `code`, `message`, `hint`."
    )
    manual: str = Field(default="", description="What to do by hand instead; empty unless it fails.")


class KeptBeyond(_Document):
    """A place that has oplog which the new primary does not have."""

    source: str = Field(description="`segments:STORE` or `kafka`; `member:HOST` for a former primary.")
    after: str = Field(description="The last entry in common.")
    through: str = Field(description="The last entry that it has beyond.")
    entries: int | None = Field(description="How many; null: not counted.")
    namespaces: dict[str, int] = Field(
        default={}, description="Operations by namespace, where they were read."
    )


class LostWrites(_Document):
    """What the former primary had and the new one has not. The server rolls it back when the former one
    returns."""

    text: str
    complete: bool = Field(description="Whether every source could be asked.")
    kept_through: str | None = Field(
        description="The newest entry from before the election; null: not known."
    )
    last_seen: str | None = Field(description="The former primary's newest entry that a probe saw.")
    seconds: float | None = Field(description="Between the two, at least; null: not known.")
    beyond: list[KeptBeyond] = Field(default=[], description="Where such writes are still to be had.")
    unread: list[str] = Field(default=[], description="What could not be asked, and why.")


class FailoverRecord(_Document):
    """A run-book: one change of the primary, and what was done about it. Ended, it is a line of the
    ledger."""

    schema_name: Literal["mdr.failover"] = Field(default="mdr.failover", alias="schema")
    id: str = Field(description="8 hex digits.")
    profile: str
    environment: str
    set_name: str
    cause: Cause = Field(
        description="`unreachable`; `planned`: the primary changed without being silent; `endpoint-behind`: "
        "the endpoint led elsewhere when the monitor began; `by-hand`; `test`."
    )
    state: RunState = Field(
        default="running",
        description="`done`; `failed`: a step has to be taken by hand; `superseded`: the former primary came "
        "back in its term, or another agent did it.",
    )
    by: str = Field(description="`user@host` that ran it.")
    fence: int = Field(description="Of the agent that led; 0: nothing is shared with others.")
    from_member: str | None = Field(alias="from", description="The former primary; null: not known.")
    from_term: int | None = Field(description="Its term.")
    to: str | None = Field(default=None, description="The new primary; null: none yet.")
    to_term: int | None = Field(default=None, description="Its term.")
    started_at: datetime
    ended_at: datetime | None = None
    seconds: float | None = Field(default=None, description="How long it took in all.")
    why: str = Field(default="", description="What the monitor saw.")
    steps: list[RunStep] = Field(description="Each of the seven, with its time.")
    lost: LostWrites | None = Field(default=None, description="Null: not compared.")

    def step(self, name: str) -> RunStep:
        return next(s for s in self.steps if s.step == name)

    def with_step(self, name: str, **changes: Any) -> FailoverRecord:
        """The record with one step changed."""
        steps = [s.model_copy(update=changes) if s.step == name else s for s in self.steps]
        return self.model_copy(update={"steps": steps})

    @property
    def current(self) -> RunStep | None:
        """The step that is under way or next; None after the last."""
        return next((s for s in self.steps if s.state in ("running", "waiting")), None)

    @property
    def stuck(self) -> RunStep | None:
        """The step that wants a hand."""
        return next((s for s in self.steps if s.manual), None)


class MemberProbe(_Document):
    """What the monitor knows of one member."""

    name: str
    answers: bool = Field(description="Whether it answered the newest probe.")
    primary: bool = Field(default=False, description="Whether it says that it is the primary.")
    term: int | None = Field(default=None, description="The newest that it knows.")
    follows: str | None = Field(default=None, description="Whom it takes for the primary.")
    silent: int = Field(default=0, description="Probes in a row without an answer.")


class Pause(_Document):
    """Whether the monitor may act: the newest such document counts."""

    paused: bool = Field(description="Whether it watches and does nothing outside.")
    at: datetime = Field(description="When it was asked for.")
    until: datetime | None = Field(default=None, description="When it ends by itself; null: not by itself.")
    by: str = Field(default="", description="`user@host`.")
    reason: str = Field(default="", description="Why.")

    def holds(self, now: datetime) -> bool:
        return self.paused and (self.until is None or now < self.until)


class FailoverFacts(_Document):
    """What the failover monitor of this host said last."""

    schema_name: Literal["mdr.failover-state"] = Field(default="mdr.failover-state", alias="schema")
    profile: str
    pid: int = Field(description="The agent's process.")
    host: str = Field(description="Where it runs.")
    written_at: datetime = Field(description="Every second while it runs.")
    running: bool = Field(default=True, description="False once the agent ended in order.")
    set_name: str = ""
    standing: Standing = Field(description="How the primary stands: docs/failover.md.")
    since: datetime = Field(description="Since when it stands so.")
    text: str
    advice: str = Field(default="", description="What can be done by hand; empty: nothing has to be.")
    primary: str | None = Field(description="Whom a majority follows; null: nobody.")
    term: int | None = Field(description="The primary's.")
    members: list[MemberProbe] = Field(default=[], description="All that are known.")
    endpoint_kind: str = Field(default="", description="`file`, `exec`, `route53`; empty: there is none.")
    endpoint: EndpointContent | None = Field(default=None, description="What it says; null: nothing yet.")
    endpoint_error: str = Field(default="", description="Why it cannot be read.")
    broadcast_kind: str = Field(default="", description="`kafka`, `webhook`, `exec`, `file`; empty: none.")
    pause: Pause | None = Field(default=None, description="Null, or `paused` false: it acts.")
    run: FailoverRecord | None = Field(default=None, description="The failover that is under way.")
    last: FailoverRecord | None = Field(default=None, description="The newest one that ended on this host.")
    unsent: int = Field(default=0, description="Records that no store has taken yet.")

    def stale(self, now: datetime) -> bool:
        """Whether the monitor is gone, or hangs."""
        return not self.running or (now - self.written_at).total_seconds() > STALE_SECONDS


class FailoversDocument(_Document):
    """``mdr failover show``."""

    schema_name: Literal["mdr.failovers"] = Field(default="mdr.failovers", alias="schema")
    profile: str
    monitor: FailoverFacts | None = Field(description="Of this host's agent; null: none ever ran here.")
    alive: bool = Field(description="Whether it wrote within the last ten seconds.")
    failovers: list[FailoverRecord] = Field(
        description="Newest first, each once, whichever stores know of it."
    )
    unread: list[str] = Field(default=[], description="Stores that could not be asked, and why.")


class PauseDocument(_Document):
    """``mdr failover pause``, ``resume``."""

    schema_name: Literal["mdr.failover-pause"] = Field(default="mdr.failover-pause", alias="schema")
    profile: str
    pause: Pause = Field(description="What holds now.")
    not_in: list[str] = Field(default=[], description="Where it could not be written, and why.")


class FailoverTestDocument(_Document):
    """``mdr failover test``: a planned stepdown. Times are since the stepdown was asked for."""

    schema_name: Literal["mdr.failover-test"] = Field(default="mdr.failover-test", alias="schema")
    profile: str
    from_member: str = Field(alias="from", description="The primary that stepped down.")
    to: str | None = Field(description="The new one; null: there was none in time.")
    term: int | None = Field(description="The new one's.")
    success: bool = Field(description="Whether all of it was reached in time.")
    primary_seconds: float | None = Field(description="Until a new primary was followed by a majority.")
    write_seconds: float | None = Field(description="Until it took a majority write.")
    endpoint_seconds: float | None = Field(description="Until the endpoint led to it; null: there is none.")
    broadcast_seconds: float | None = Field(description="Until that was broadcast; null: it is not.")
    by: Literal["agent", "this command"] = Field(description="Who switched.")
    record: FailoverRecord | None = Field(description="Its run-book.")
    problems: list[str] = Field(description="What was not reached; empty after a success.")


class EndpointDocument(_Document):
    """``mdr endpoint show``, ``switch``."""

    schema_name: Literal["mdr.endpoint"] = Field(default="mdr.endpoint", alias="schema")
    profile: str
    kind: str = Field(description="`file`, `exec`, `route53`.")
    where: str = Field(description="Which file, program or record.")
    content: EndpointContent | None = Field(description="What it says; null: nothing yet.")
    primary: str | None = Field(default=None, description="The set's primary now; null: none is known.")
    term: int | None = Field(default=None, description="Its term.")
    record: FailoverRecord | None = Field(default=None, description="Of a switch: its line of the ledger.")


def records(documents: Iterable[Mapping[str, Any]]) -> list[FailoverRecord]:
    """The failovers of one or several ledgers, newest first, each once. What cannot be understood is left
    out:
    a damaged line of history must not hide the rest."""
    found: dict[str, FailoverRecord] = {}
    for document in documents:
        try:
            record = FailoverRecord.model_validate(document)
        except ValidationError:
            continue
        found[record.id] = record
    return sorted(found.values(), key=lambda r: r.started_at, reverse=True)
