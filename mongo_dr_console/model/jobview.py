"""A job as people and scripts see it: its state, its steps, how it ended."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from mongo_dr_console.model.progress import Level, Unit
from mongo_dr_console.model.trouble import ExitCode

JobState = Literal["running", "done", "partial", "failed", "stopped"]
StepState = Literal["running", "done", "failed", "stopped"]

STARTING_SECONDS = 20
"""How long after it was made a job that has not begun counts as running: its process is on the way."""


@dataclass(frozen=True, slots=True)
class JobPlan:
    """What ``plan.json`` of a job's folder says: which work, for which profile of which config file."""

    job: str
    kind: str
    request: dict[str, Any]
    profile: str
    config_file: str
    created_at: datetime
    owner: str


@dataclass(frozen=True, slots=True)
class StepView:
    """One step of the latest attempt, or one that an earlier attempt finished.

    ``done`` and ``total`` count ``unit``; ``bytes`` is uncompressed data beside it. The rate is measured from
    ``base_done`` at ``base_at``, the first progress that was told: a resumed step does not begin at nothing.
    """

    step: str
    state: StepState
    started_at: datetime
    last_at: datetime
    done: int = 0
    total: int | None = None
    unit: Unit = ""
    bytes: int = 0
    detail: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    base_done: int | None = None
    base_at: datetime | None = None

    @property
    def seconds(self) -> float:
        return max(0.0, (self.last_at - self.started_at).total_seconds())

    @property
    def percent(self) -> float | None:
        """0 to 100; None where the total is not known."""
        if self.state == "done":
            return 100.0
        return min(100.0, 100 * self.done / self.total) if self.total else None

    @property
    def rate(self) -> float | None:
        """Units a second; None before there is anything to measure."""
        elapsed, done = self.seconds, self.done
        if self.state != "done" and self.base_at is not None and self.base_done is not None:
            since = (self.last_at - self.base_at).total_seconds()
            if since > 0:
                elapsed, done = since, self.done - self.base_done
        return done / elapsed if elapsed > 0 and done > 0 else None

    @property
    def eta_seconds(self) -> float | None:
        if self.state != "running" or not self.total or not self.rate:
            return None
        return max(0, self.total - self.done) / self.rate


@dataclass(frozen=True, slots=True)
class JobError:
    """Why a job did not end as it should; ``exit_code`` is that of the command which waited for it."""

    code: str
    message: str
    hint: str = ""
    exit_code: int = int(ExitCode.FAILED)


@dataclass(frozen=True, slots=True)
class NoteView:
    at: datetime
    text: str
    level: Level


@dataclass(frozen=True, slots=True)
class JobView:
    """A job, replayed from its journal. ``pid`` and ``host`` are those of the latest attempt."""

    job: str
    kind: str
    profile: str
    owner: str
    created_at: datetime
    state: JobState = "running"
    attempt: int = 0
    started_at: datetime | None = None
    ended_at: datetime | None = None
    pid: int | None = None
    host: str | None = None
    stop_requested: bool = False
    steps: tuple[StepView, ...] = ()
    notes: tuple[NoteView, ...] = ()
    error: JobError | None = None
    result: dict[str, Any] | None = None

    @property
    def current(self) -> StepView | None:
        """The step that is at work, the newest where there are several."""
        return next((s for s in reversed(self.steps) if s.state == "running"), None)

    @property
    def seconds(self) -> float | None:
        """From the first start to the end; None while it has not ended."""
        if self.started_at is None or self.ended_at is None:
            return None
        return (self.ended_at - self.started_at).total_seconds()

    @property
    def exit_code(self) -> int:
        """What the command that waited for the job ends with."""
        if self.error is not None:
            return self.error.exit_code
        return int(ExitCode.DONE)


def settled(view: JobView, *, alive: bool, now: datetime) -> JobView:
    """The view, once it is known whether the job's process lives: one that died without a last word has
    failed, and can be resumed.

    Args:
        view: As replayed from the journal.
        alive: Whether a process holds the job's lock.
        now: For a job that was made a moment ago and has not begun.
    """
    if alive or view.state != "running":
        return view
    if view.attempt == 0:
        if now - view.created_at < timedelta(seconds=STARTING_SECONDS):
            return view
        return replace(
            view,
            state="failed",
            error=JobError(
                "job-not-started",
                "The job was made and its process never began. Nothing was changed.",
                f"Start it: mdr jobs resume {view.job}",
            ),
        )
    return replace(
        view,
        state="failed",
        steps=tuple(replace(s, state="failed") if s.state == "running" else s for s in view.steps),
        error=JobError(
            "job-died",
            "The job's process ended without a last word (killed, out of memory, its disk full, or the host "
            "went down). What it had finished is in its journal.",
            f"Go on from there: mdr jobs resume {view.job}",
        ),
    )


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, populate_by_name=True)


class ErrorDocument(_Document):
    code: str
    message: str
    hint: str


class StepDocument(_Document):
    """A step of a job.

    Args:
        step: Its name.
        done, total: How much of ``unit`` is done, and of how much; the total may be unknown.
        unit: What is counted; empty: nothing is.
        detail: What it is at, or what came of it.
        seconds: How long it took so far.
        eta_seconds: How long it will still take, about.
    """

    step: str
    state: StepState
    done: int
    total: int | None
    unit: Unit
    bytes: int
    detail: str
    seconds: float
    eta_seconds: float | None


class JobDocument(_Document):
    """A job as JSON.

    Args:
        state: ``partial``: done but for something that ``error`` names. A job whose process died is
            ``failed``.
        attempt: How often it began; 0: not yet.
        stop_requested: Whether somebody asked it to stop.
        created_at: When it was made.
        seconds: From the first start to the end.
        steps: In the order in which they began.
        error: Why it did not end as it should.
        result: By its kind one of the documents above and below that have the result's ``schema``.
    """

    schema_name: Literal["mdr.job"] = Field(
        default="mdr.job", serialization_alias="schema", validation_alias="schema"
    )
    job: str
    kind: str
    profile: str
    owner: str
    state: JobState
    attempt: int
    stop_requested: bool
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    seconds: float | None
    steps: list[StepDocument]
    error: ErrorDocument | None
    result: dict[str, Any] | None


class JobsDocument(_Document):
    """The jobs, newest first."""

    schema_name: Literal["mdr.jobs"] = Field(
        default="mdr.jobs", serialization_alias="schema", validation_alias="schema"
    )
    jobs: list[JobDocument]


def document(view: JobView) -> JobDocument:
    error = view.error
    return JobDocument(
        job=view.job,
        kind=view.kind,
        profile=view.profile,
        owner=view.owner,
        state=view.state,
        attempt=view.attempt,
        stop_requested=view.stop_requested,
        created_at=view.created_at,
        started_at=view.started_at,
        ended_at=view.ended_at,
        seconds=view.seconds,
        steps=[_step(s) for s in view.steps],
        error=None
        if error is None
        else ErrorDocument(code=error.code, message=error.message, hint=error.hint),
        result=view.result,
    )


def _step(step: StepView) -> StepDocument:
    return StepDocument(
        step=step.step,
        state=step.state,
        done=step.done,
        total=step.total,
        unit=step.unit,
        bytes=step.bytes,
        detail=step.detail,
        seconds=round(step.seconds, 3),
        eta_seconds=None if step.eta_seconds is None else round(step.eta_seconds, 1),
    )
