"""A job for the tests: counts to ``total`` with a checkpoint each, and does as its request says.

As a script it is a job's process (``selftest_job.py FOLDER``), or ``mdr`` with such jobs
(``selftest_job.py mdr ARGUMENTS``).
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any

from mongo_dr_console.config import state_path
from mongo_dr_console.model.progress import Checkpoint, Note, StepDone, StepProgress, StepStarted
from mongo_dr_console.model.trouble import Partly, Unreachable
from mongo_dr_console.workers import job, jobs
from mongo_dr_console.workers.context import JobContext, JobOutcome

COMMAND = (sys.executable, str(Path(__file__).absolute()))
RUNNERS = {"selftest": "selftest_job:run"}


def run(context: JobContext) -> JobOutcome:
    request = context.request
    if request.get("places"):
        return JobOutcome({"uri": context.profile.connection_uri(), "state": str(state_path())})
    total = int(request.get("total", 5))
    done = max((int(c.facts["done"]) for c in context.checkpoints if c.kind == "counted"), default=0)
    context.report(StepStarted("count", total, "documents"))
    for number in range(done + 1, total + 1):
        context.stop.check()
        context.report(Checkpoint("counted", {"done": number, "attempt": context.attempt}))
        context.report(StepProgress("count", number, total, "documents"))
        if number == _gate(request, context.attempt):
            _wait(context)
        if number == request.get("raise_at") and context.attempt == 1:
            _raise(request, context)
    context.report(StepDone("count"))
    return JobOutcome({"counted": total, "resumed_at": done}, partial=request.get("partial"))


def _gate(request: dict[str, Any], attempt: int) -> int:
    """Where to wait: the same in every attempt, or one place for each."""
    waits = request.get("wait_at", 0)
    return int((waits[attempt - 1 : attempt] or [0])[0] if isinstance(waits, list) else waits)


def _wait(context: JobContext) -> None:
    """Until the test opens the gate or asks to stop."""
    context.report(Note("waiting"))
    pause = threading.Event()
    while not (context.folder / "gate").exists():
        context.stop.check()
        pause.wait(0.01)


def _raise(request: dict[str, Any], context: JobContext) -> None:
    match request["error"]:
        case "unreachable":
            raise Unreachable("gone", f"No answer from {context.profile.connection_uri()}.", "Look there.")
        case "partly":
            raise Partly("some", "One is missing.")
        case "exit":
            raise SystemExit(7)
        case _:
            raise ValueError(f"surprise at {context.profile.connection_uri()}")


if __name__ == "__main__":
    if sys.argv[1] == "mdr":
        from mongo_dr_console.cli import main

        jobs.JOB_COMMAND = COMMAND
        main.GROUPS = ("jobs",)
        main.run(sys.argv[2:])
    else:
        raise SystemExit(job.main(Path(sys.argv[1]), RUNNERS))
