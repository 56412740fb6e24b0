"""Running jobs in tests: as processes, as users do, or in this process, so that a test can break the code."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mongo_dr_console.model.journal import checkpoints
from mongo_dr_console.model.plan import Intent, Plan
from mongo_dr_console.workers import jobs, plan_sources
from mongo_dr_console.workers.context import JobContext, JobOutcome
from mongo_dr_console.workers.job import RUNNERS, Journal
from mongo_dr_console.workers.plan_sources import open_deployments
from mongo_dr_console.workers.planning import make_plan


class NeverStop:
    def check(self) -> None:
        """Nobody asks a test's job to stop."""


def run_here(prepared: Any, kind: str, request: dict[str, Any]) -> tuple[str, JobOutcome]:
    """A job's work in this process, journalled like any other; its troubles come out as they are."""
    folder = jobs.create(prepared.name, prepared.profile, prepared.config_file, kind, request)
    return folder.id, resume_here(prepared, folder)


def resume_here(prepared: Any, folder: jobs.JobFolder) -> JobOutcome:
    journal = Journal(folder.journal)
    plan = jobs.read_plan(folder)
    module, function = RUNNERS[plan.kind].split(":")
    context = JobContext(
        job=folder.id,
        folder=folder.path,
        profile_name=prepared.name,
        profile=prepared.profile,
        request=plan.request,
        report=journal.report,
        stop=NeverStop(),
        checkpoints=checkpoints(journal.before),
        attempt=journal.attempt,
    )
    try:
        outcome: JobOutcome = getattr(importlib.import_module(module), function)(context)
        return outcome
    finally:
        journal.close()


def plan_for(prepared: Any, **intent: Any) -> Plan:
    deployments = open_deployments(prepared.name, prepared.profile, None)
    return make_plan(prepared.name, prepared.profile, Intent(**intent), deployments)


def not_waited_for(gone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A deployment that is gone, by its URI, is not waited for as long as a person would; others are."""
    connect = plan_sources.connect
    monkeypatch.setattr(plan_sources, "connect", lambda uri: connect(uri, seconds=0.3 if uri == gone else 60))


def restore_here(prepared: Any, **intent: Any) -> tuple[str, dict[str, Any]]:
    """Plans and restores; returns the job's id and its result."""
    plan = plan_for(prepared, **intent)
    job, outcome = run_here(prepared, "restore", {"plan": plan.to_json()})
    return job, outcome.result


def backup_here(prepared: Any) -> dict[str, Any]:
    return run_here(prepared, "backup", {"stores": None, "compression": "gzip", "databases": None})[1].result


@dataclass(frozen=True)
class Answer:
    """What a command said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.out)
        return found


def mdr(prepared: Any, *words: str, config: Path | None = None, profile: bool = True) -> Answer:
    """The command as a process without a terminal; its config is the prepared one."""
    import os

    env = {**os.environ, "MDR_CONFIG": str(config or prepared.config_file)}
    chosen = ["--profile", prepared.name] if profile else []
    done = subprocess.run(
        [sys.executable, "-m", "mongo_dr_console", *chosen, *words],
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=220,
        check=False,
    )
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    return Answer(done.returncode, done.stdout, done.stderr)
