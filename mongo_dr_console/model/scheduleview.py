"""What a profile's schedule is and what became of it, as commands and the console show it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from mongo_dr_console.model.lease import Leader
from mongo_dr_console.model.runs import Run, RunState
from mongo_dr_console.model.schedule import Entry, Hold, Kind
from mongo_dr_console.model.words import UNKNOWN, duration, moment


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


class Held(_Document):
    """A run that is due and may not begin just now.

    Args:
        due: When it was due.
        reason: Why it may not.
    """

    due: datetime
    reason: str

    def hold(self) -> Hold:
        return Hold(self.due, self.reason)


class RunFacts(_Document):
    """The newest run of a kind.

    Args:
        due: When it was due; the run is named by that.
        attempt: More than 1 where it was lost and done anew.
        state: `starting`: decided, its job has not begun; `lost`: its job, or the agent that was to start
            it, died.
        reason: Why it was skipped, or is not done.
        missed: How many were due before it and not run: it caught up for them.
        job: Its job's id; null: none began it.
        host: Where that runs, or the agent that decided it.
        decided_at: When it was decided, by that host's clock.
        fence: Of the agent that decided it.
    """

    due: datetime
    attempt: int
    state: RunState
    reason: str
    missed: int
    job: str | None
    host: str
    decided_at: datetime
    ended_at: datetime | None
    fence: int

    @classmethod
    def of(cls, run: Run) -> RunFacts:
        began = run.began if run.began is not None and run.began.job else None
        return cls(
            due=run.due,
            attempt=run.attempt,
            state=run.state,
            reason=run.reason,
            missed=run.decided.missed,
            job=None if began is None else began.job,
            host=run.decided.host if began is None else began.host,
            decided_at=run.decided.at,
            ended_at=None if run.ended is None else run.ended.at,
            fence=run.decided.fence,
        )


class ScheduledKind(_Document):
    """One kind of job.

    Args:
        kind: What is run.
        expression: Cron.
        next: When the next run begins at the earliest, with its jitter; null: never.
        held: A run that is due and waits.
        last: The newest run; null: there was none yet.
    """

    kind: Kind
    expression: str
    next: datetime | None
    held: Held | None
    last: RunFacts | None


class ScheduleDocument(_Document):
    """The schedule of a profile.

    Args:
        timezone: Of the expressions and the window.
        window: Hours within which runs may begin; null: any.
        jitter_seconds: How much later than its time a run begins at most.
        leader: Which agent does it; null: none is known.
        leading: Whether that one has given a sign of life within the last minute.
        agent_seen_at: When that was, by the store's clock.
        kinds: Those that have an expression.
    """

    schema_name: Literal["mdr.schedule"] = Field(default="mdr.schedule", alias="schema")
    profile: str
    timezone: str
    window: str | None
    jitter_seconds: float
    leader: Leader | None
    leading: bool
    agent_seen_at: datetime | None
    kinds: tuple[ScheduledKind, ...]


LEADING_SECONDS = 60.0


def kinds_of(
    entries: Sequence[Entry], runs: Mapping[Kind, Run | None], held: Mapping[Kind, Held], now: datetime
) -> tuple[ScheduledKind, ...]:
    """One row for each kind that has an expression.

    Args:
        held: As the leader wrote it last; one that was decided since counts for nothing.
    """
    found = []
    for entry in entries:
        last, waits = runs.get(entry.kind), held.get(entry.kind)
        if waits is not None and last is not None and last.due >= waits.due and last.state != "lost":
            waits = None
        found.append(
            ScheduledKind(
                kind=entry.kind,
                expression=entry.expression,
                next=_next(entry, now),
                held=waits,
                last=None if last is None else RunFacts.of(last),
            )
        )
    return tuple(found)


def _next(entry: Entry, now: datetime) -> datetime | None:
    due = entry.due_by(now)
    if due is not None and entry.begins(due) > now:
        return entry.begins(due)
    following = entry.due_after(now)
    return None if following is None else entry.begins(following)


def schedule_lines(document: ScheduleDocument, now: datetime) -> list[str]:
    """As a table of text, and who sees to it."""
    rows = [("KIND", "WHEN", "LAST RUN (UTC)", "", "NEXT (UTC)")]
    rows += [
        (k.kind, k.expression, *last_words(k), "never" if k.next is None else moment(k.next))
        for k in document.kinds
    ]
    widths = [max(len(row[n]) for row in rows) for n in range(5)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    lines = [text.rstrip() for text in lines] if document.kinds else ["Nothing is scheduled."]
    for kind in document.kinds:
        lines += [f"{kind.kind}: {text}" for text in notes(kind)]
    where = document.timezone if document.window is None else f"{document.timezone}, {document.window} only"
    return [*lines, "", f"Times of the expressions: {where}.", who_leads(document, now)]


def last_words(kind: ScheduledKind) -> tuple[str, str]:
    """When the newest run was due, and what became of it."""
    if kind.last is None:
        return "none yet", ""
    return moment(kind.last.due), kind.last.state


def notes(kind: ScheduledKind) -> list[str]:
    """What a person should know of it beside the row."""
    found = []
    if kind.held is not None:
        found.append(f"the run of {moment(kind.held.due)} waits: {kind.held.reason}")
    last = kind.last
    if last is not None and last.reason:
        found.append(f"the run of {moment(last.due)} is {last.state}: {last.reason}")
    if last is not None and last.missed:
        found.append(f"the run of {moment(last.due)} caught up for {last.missed} that nobody ran")
    return found


def who_leads(document: ScheduleDocument, now: datetime) -> str:
    """Which agent does it, or since when none does."""
    leader, seen = document.leader, document.agent_seen_at
    if leader is None:
        return "No agent has led here yet: nothing is run by itself."
    if document.leading:
        return f"The agent of profile {leader.profile} on {leader.host} leads (term {leader.fence})."
    ago = UNKNOWN if seen is None else duration(max(0.0, (now - seen).total_seconds()))
    return f"No agent leads: the one on {leader.host} was last seen {ago} ago. Nothing is run by itself."
