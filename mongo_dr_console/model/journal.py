"""A job's journal: lines that are appended and never changed, and the job that they add up to.

A line is one JSON object, ``{"at", "event", "data"}``. Whatever a line cannot be read as (its end torn off by
kill -9 or a full disk, an event of a newer version) is passed over: the rest still tells the story.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import Any, TypeAlias, get_args

from mongo_dr_console.model.jobview import (
    JobError,
    JobPlan,
    JobState,
    JobView,
    NoteView,
    StepState,
    StepView,
)
from mongo_dr_console.model.moment import moment_of
from mongo_dr_console.model.progress import (
    Checkpoint,
    Note,
    Progress,
    StepDone,
    StepProgress,
    StepStarted,
    Unit,
)
from mongo_dr_console.model.trouble import ExitCode

END_STATES: tuple[JobState, ...] = ("done", "partial", "failed", "stopped")
KEPT_NOTES = 200
"""How many notes a view of a job keeps, the newest; the journal has all."""


@dataclass(frozen=True, slots=True)
class JobStarted:
    """A process took the job up: the first time (attempt 1), or again."""

    attempt: int
    pid: int
    host: str
    boot: str = ""


@dataclass(frozen=True, slots=True)
class StopRequested:
    """Somebody asked the job to stop at its next safe point."""

    by: str = ""


@dataclass(frozen=True, slots=True)
class JobEnded:
    """The last line of an attempt. ``error`` has code, message, hint and exit_code."""

    state: JobState
    result: dict[str, Any] = field(default_factory=dict)
    error: dict[str, Any] | None = None


JournalEvent: TypeAlias = Progress | JobStarted | StopRequested | JobEnded


@dataclass(frozen=True, slots=True)
class Line:
    """One line: when (UTC), and what."""

    at: datetime
    event: JournalEvent


_NAMES: dict[type[Any], str] = {
    JobStarted: "job-started",
    StopRequested: "stop-requested",
    JobEnded: "job-ended",
    StepStarted: "step-started",
    StepProgress: "step-progress",
    StepDone: "step-done",
    Note: "note",
    Checkpoint: "checkpoint",
}
_TYPES: dict[str, type[Any]] = {name: event for event, name in _NAMES.items()}
_FIELDS = {event: tuple(f.name for f in fields(event)) for event in _NAMES}
_REQUIRED = {event: [f.name for f in fields(event) if f.default is MISSING and f.default_factory is MISSING]
             for event in _NAMES}  # fmt: skip
_KINDS: dict[str, tuple[type, ...]] = {
    "step": (str,), "total": (int, type(None)), "unit": (str,), "done": (int,), "bytes": (int,),
    "detail": (str,), "facts": (dict,), "text": (str,), "level": (str,), "kind": (str,), "attempt": (int,),
    "pid": (int,), "host": (str,), "boot": (str,), "by": (str,), "state": (str,), "result": (dict,),
    "error": (dict, type(None)),
}  # fmt: skip
_UNITS = frozenset(get_args(Unit))


def encode(line: Line) -> bytes:
    """One line with its newline. Raises TypeError for facts that are not JSON values: a checkpoint that reads
    back as something else would mislead a resumed job."""
    at = line.at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    document = {"at": at, "event": _NAMES[type(line.event)], "data": asdict(line.event)}
    return json.dumps(document, separators=(",", ":")).encode("ascii") + b"\n"


def decode(text: bytes) -> Line | None:
    """The line, or None where it is torn, or of a kind that this version does not know."""
    try:
        document = json.loads(text)
        at = moment_of(document["at"])
        event, data = _TYPES[document["event"]], document["data"]
        known = {name: data[name] for name in _FIELDS[event] if name in data}
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if not all(name in known for name in _REQUIRED[event]):
        return None
    if not all(isinstance(value, _KINDS[name]) for name, value in known.items()):
        return None
    if known.get("unit", "") not in _UNITS:
        return None
    return Line(at, event(**known))


def decode_all(text: bytes) -> list[Line]:
    """All lines of a journal that can be read; an unfinished last line counts if it is whole but for its
    newline."""
    return [line for part in text.split(b"\n") if part and (line := decode(part)) is not None]


def checkpoints(lines: Iterable[Line]) -> tuple[Checkpoint, ...]:
    """Those of all attempts, oldest first."""
    return tuple(line.event for line in lines if isinstance(line.event, Checkpoint))


def replay(plan: JobPlan, lines: Iterable[Line]) -> JobView:
    """The job that these lines add up to. Without an end line of the latest attempt it is ``running``:
    whether its process lives is another question (``jobview.settled``)."""
    job = Replay(plan)
    for line in lines:
        job.feed(line)
    return job.view()


class Replay:
    """A job as its journal comes in, line by line."""

    def __init__(self, plan: JobPlan) -> None:
        self._view = JobView(plan.job, plan.kind, plan.profile, plan.owner, plan.created_at)
        self._steps: dict[str, StepView] = {}
        self._notes: list[NoteView] = []

    def view(self) -> JobView:
        return replace(self._view, steps=tuple(self._steps.values()), notes=tuple(self._notes))

    def feed(self, line: Line) -> None:
        match line.event:
            case StepStarted() | StepProgress() | StepDone():
                # A thread's last word may come after the end line.
                if self._view.state == "running":
                    self._step(line.at, line.event)
            case Note(text=text, level=level):
                self._notes = [*self._notes[1 - KEPT_NOTES :], NoteView(line.at, text, level)]
            case Checkpoint():
                pass
            case JobStarted():
                self._started(line.at, line.event)
            case StopRequested():
                self._view = replace(self._view, stop_requested=True)
            case JobEnded():
                self._ended(line.at, line.event)

    def _step(self, at: datetime, event: StepStarted | StepProgress | StepDone) -> None:
        name = event.step
        if isinstance(event, StepStarted):
            self._steps.pop(name, None)
            self._steps[name] = StepView(name, "running", at, at, total=event.total, unit=event.unit)
            return
        step = self._steps.get(name) or StepView(name, "running", at, at)
        if isinstance(event, StepProgress):
            first = step.base_at is None
            self._steps[name] = replace(
                step,
                last_at=at,
                done=event.done,
                total=step.total if event.total is None else event.total,
                unit=event.unit or step.unit,
                bytes=event.bytes or step.bytes,
                detail=event.detail or step.detail,
                base_done=event.done if first else step.base_done,
                base_at=at if first else step.base_at,
            )
        else:
            self._steps[name] = replace(
                step, state="done", last_at=at, detail=event.detail or step.detail, facts=event.facts
            )

    def _started(self, at: datetime, event: JobStarted) -> None:
        self._steps = {name: step for name, step in self._steps.items() if step.state == "done"}
        self._view = replace(
            self._view,
            state="running",
            attempt=event.attempt,
            started_at=self._view.started_at or at,
            ended_at=None,
            pid=event.pid,
            host=event.host,
            stop_requested=False,
            error=None,
            result=None,
        )

    def _ended(self, at: datetime, event: JobEnded) -> None:
        state = event.state if event.state in END_STATES else "failed"
        left: StepState = "stopped" if state == "stopped" else "failed"
        self._steps = {
            name: replace(step, state="done" if state == "done" else left)
            if step.state == "running"
            else step
            for name, step in self._steps.items()
        }
        self._view = replace(
            self._view,
            state=state,
            ended_at=at,
            result=event.result or None,
            error=_error(state, event.error),
        )


_EXIT: dict[str, ExitCode] = {
    "done": ExitCode.DONE,
    "partial": ExitCode.PARTLY,
    "failed": ExitCode.FAILED,
    "stopped": ExitCode.INTERRUPTED,
}


def _error(state: JobState, error: dict[str, Any] | None) -> JobError | None:
    if state == "done":
        return None
    told = error or {}
    code = told.get("exit_code")
    return JobError(
        code=str(told.get("code", state)),
        message=str(told.get("message", f"The job ended {state} and did not say why.")),
        hint=str(told.get("hint", "")),
        exit_code=code if isinstance(code, int) and 0 < code < 256 else int(_EXIT[state]),
    )
