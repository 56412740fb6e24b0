"""What a job's work is given, and what it gives back."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mongo_dr_console.config import Profile
from mongo_dr_console.model.progress import Checkpoint, Report, StopSignal
from mongo_dr_console.model.trouble import Trouble


@dataclass(frozen=True, slots=True)
class JobContext:
    """Everything that the work of a job may use.

    Args:
        job: The job's id: eight hex digits, also part of the names of staging collections.
        folder: The job's own folder; ``plan.json``, ``journal.jsonl`` and whatever the work keeps.
        profile_name: Name of the profile it works on.
        profile: The profile itself.
        request: What was asked for, as stored in ``plan.json``.
        report: Journals a progress event. A ``Checkpoint`` is on disk (fsync) when this returns.
        stop: Asked at safe points; raises ``Interrupted`` when a stop was asked for.
        checkpoints: Those that earlier runs of this job journalled, oldest first; empty on a first run.
        attempt: 1 for the first run, then one more for each resume.
    """

    job: str
    folder: Path
    profile_name: str
    profile: Profile
    request: dict[str, Any]
    report: Report
    stop: StopSignal
    checkpoints: tuple[Checkpoint, ...] = ()
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class JobOutcome:
    """How the work ended.

    Args:
        partial: What is missing, where it was done in part only.
        failed: Why the job failed, where it failed and has a result all the same.
    """

    result: dict[str, Any] = field(default_factory=dict)
    partial: str | None = None
    failed: Trouble | None = None
