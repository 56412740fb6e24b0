"""A job that an agent started by its schedule says itself, where the next leader sees it, that it began, that
it lives, and how it ended."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from mongo_dr_console.config import Profile
from mongo_dr_console.model.journal import JobEnded
from mongo_dr_console.model.runs import Began, Ended
from mongo_dr_console.model.trouble import Refused, Trouble
from mongo_dr_console.stores import owner
from mongo_dr_console.stores.runs import Runs

REQUEST = "run"
"""In a job's request: the path of its attempt, without its end."""
_SIGN_SECONDS = 20.0


@dataclass(slots=True)
class RunRecord:
    """The record of one run, kept by its job.

    Args:
        path: Of the attempt.
        job: Its id.
        stop: Asks the job to stop: another agent took it for lost.
    """

    runs: Runs
    path: str
    job: str
    stop: Callable[[], None]
    _over: threading.Event = field(default_factory=threading.Event)

    def begin(self) -> None:
        """Says that it began.

        Raises:
            Refused: ``run-given-up``: an agent gave the run up before this job began it.
            Unreachable: That cannot be said: another agent might begin it too.
        """
        mark = owner.sign()
        said = self.runs.begin(self.path, Began(job=self.job, host=_host(), at=_now(), mark=mark))
        if said.job != self.job:
            raise Refused(
                "run-given-up",
                "Another agent leads since, and gave this run up before its job began. Nothing was done.",
                "See what became of it: mdr schedule list",
            )
        threading.Thread(target=self._live, name="mdr-run", daemon=True).start()

    def end(self, ended: JobEnded) -> None:
        """Says how it ended, as far as the store answers."""
        self._over.set()
        error = str((ended.error or {}).get("message", ""))
        with suppress(Trouble):
            state = "failed" if ended.state == "running" else ended.state
            self.runs.end(self.path, Ended(state=state, error=error, at=_now()))

    def _live(self) -> None:
        with suppress(Trouble):
            self.runs.sign(self.path)
        while not self._over.wait(_SIGN_SECONDS):
            with suppress(Trouble):
                self.runs.sign(self.path)
                if self.runs.is_ended(self.path) and not self._over.is_set():
                    self.stop()
                    return


def record_of(
    request: dict[str, Any], job: str, profile: Profile, stop: Callable[[], None]
) -> RunRecord | None:
    """None for a job that no schedule started, or that goes on by hand after its run was over."""
    path = request.get(REQUEST)
    if not path:
        return None
    from mongo_dr_console.workers.agentplace import store_of_runs

    record = RunRecord(Runs(store_of_runs(profile), ""), str(path), job, stop)
    return None if record.runs.is_ended(record.path) else record


def _host() -> str:
    return socket.gethostname()


def _now() -> datetime:
    return datetime.now(UTC)
