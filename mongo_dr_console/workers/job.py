"""The process of one job: ``python -m mongo_dr_console.workers.job FOLDER``.

It holds the folder's lock for its life, reads config and plan again, does the work that the plan's kind
names, and journals all of it. A lost terminal does not end it; SIGTERM and SIGINT ask it to
stop at a safe point.
"""

from __future__ import annotations

import fcntl
import importlib
import json
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias, cast
from urllib.parse import unquote

from pymongo.errors import PyMongoError

from mongo_dr_console.config import Profile
from mongo_dr_console.engines.builtin.dump_memory import return_large_buffers
from mongo_dr_console.host import this_boot
from mongo_dr_console.model.jobview import JobPlan
from mongo_dr_console.model.journal import (
    JobEnded,
    JobStarted,
    JournalEvent,
    Line,
    StopRequested,
    checkpoints,
    decode_all,
    encode,
)
from mongo_dr_console.model.progress import (
    Checkpoint,
    Note,
    Progress,
    StepDone,
    StepProgress,
)
from mongo_dr_console.model.secrets import scrub
from mongo_dr_console.model.trouble import ExitCode, Failed, Interrupted, Partly, Trouble
from mongo_dr_console.mongo.client import told
from mongo_dr_console.stores import patience
from mongo_dr_console.workers.context import JobContext, JobOutcome
from mongo_dr_console.workers.jobs import (
    JOURNAL,
    LOCK,
    STOP,
    JobFolder,
    already_running,
    permitted,
    read_plan,
    write_once,
)
from mongo_dr_console.workers.scheduled import record_of

Runner: TypeAlias = Callable[[JobContext], JobOutcome]

RUNNERS: Mapping[str, str] = {
    "backup": "mongo_dr_console.workers.run_backup:run",
    "verify": "mongo_dr_console.workers.run_verify:run",
    "prune": "mongo_dr_console.workers.run_prune:run",
    "copy": "mongo_dr_console.workers.run_copy:run",
    "restore": "mongo_dr_console.workers.run_restore:run",
    "undo": "mongo_dr_console.workers.run_undo:run",
    "accept": "mongo_dr_console.workers.run_accept:run",
    "drill": "mongo_dr_console.workers.run_drill:run",
}
"""Where the work of each kind is: module and function."""

PROGRESS_SECONDS = 0.2
PROGRESS_SECONDS_LATER = 1.0
"""A step's progress is journalled this often at most, less often as the step grows long, so that the journal
of a job of hours is still read in a blink; the last one always is."""
_STOP_LOOK_SECONDS = 0.2
_LOCK_SECONDS = 2.0


class Journal:
    """The writing end of a job's journal; any thread may write."""

    def __init__(
        self, path: Path, secrets: tuple[str, ...] = (), clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self._guard = threading.RLock()
        self._clock = clock
        self._begun: dict[str, float] = {}
        self._told: dict[str, float] = {}
        self._pending: dict[str, StepProgress] = {}
        self.secrets = secrets
        self.before = decode_all(path.read_bytes())
        self.attempt = 1 + sum(isinstance(line.event, JobStarted) for line in self.before)
        size = os.fstat(self._file).st_size
        # A line that kill -9 tore off stays as it is; the next one must not be glued to it.
        self._torn = size > 0 and os.pread(self._file, 1, size - 1) != b"\n"

    def report(self, event: Progress) -> None:
        """Journals a progress event; a checkpoint is on the disk when this returns.

        Raises:
            Failed: A checkpoint cannot be written: going on would lose what a resume needs.
        """
        with self._guard:
            if isinstance(event, StepProgress):
                self._progress(event)
                return
            self._flush_pending()
            self.write(self._clean(event), sync=isinstance(event, Checkpoint))

    def write(self, event: JournalEvent, *, sync: bool = False) -> None:
        """One line, whole. What is not synced may be lost without harm, so a full disk does not end the job
        for it."""
        text = encode(Line(datetime.now(UTC), event))
        with self._guard:
            try:
                self._append(text)
                if sync:
                    os.fsync(self._file)
            except OSError as error:
                if sync:
                    raise Failed(
                        "journal-unwritable",
                        f"The job's journal cannot be written: {error.strerror}. The job stopped, since "
                        "without it a resume could not tell what is done.",
                        "Make room in the state folder, then resume the job.",
                    ) from None

    def close(self) -> None:
        with self._guard:
            self._flush_pending()

    def _append(self, text: bytes) -> None:
        text = b"\n" + text if self._torn else text
        self._torn = True
        while text:
            text = text[os.write(self._file, text) :]
        self._torn = False

    def _progress(self, event: StepProgress) -> None:
        now = self._clock()
        took = now - self._begun.setdefault(event.step, now)
        pace = max(PROGRESS_SECONDS, min(PROGRESS_SECONDS_LATER, took / 100))
        if now - self._told.get(event.step, float("-inf")) < pace:
            self._pending[event.step] = event
            return
        self._pending.pop(event.step, None)
        self._told[event.step] = now
        self.write(self._clean(event))

    def _flush_pending(self) -> None:
        for event in self._pending.values():
            self.write(self._clean(event))
        self._pending.clear()

    def _clean(self, event: Progress) -> Progress:
        if isinstance(event, Note):
            return replace(event, text=scrub(event.text, self.secrets))
        if isinstance(event, StepProgress | StepDone) and event.detail:
            return replace(event, detail=scrub(event.detail, self.secrets))
        return event


class Stop:
    """The stop that was asked for: by a signal, or by the file that ``mdr jobs stop`` leaves."""

    def __init__(self, folder: JobFolder, journal: Journal) -> None:
        self._file, self._journal, self._job = folder.path / STOP, journal, folder.id
        self._signalled = ""
        self._looked = float("-inf")
        self._asked = False
        # A stop that was asked of an earlier attempt is not meant for this one.
        self._file.unlink(missing_ok=True)

    def signal(self, number: int, _frame: object) -> None:
        # Journalled by check(): a signal may come while the journal is being written.
        self._signalled = signal.Signals(number).name

    def check(self) -> None:
        """Raises ``Interrupted`` when a stop was asked for."""
        by = self._by()
        if by is None:
            return
        if not self._asked:
            self._asked = True
            self._journal.write(StopRequested(by))
        raise Interrupted(
            "stopped",
            f"The job was stopped at a safe point, as {by} asked.",
            f"Go on from there: mdr jobs resume {self._job}",
        )

    def _by(self) -> str | None:
        if self._signalled:
            return self._signalled
        now = time.monotonic()
        if not self._asked and now - self._looked < _STOP_LOOK_SECONDS:
            return None
        self._looked = now
        try:
            return str(json.loads(self._file.read_bytes()).get("by", "somebody"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, AttributeError):
            return "somebody"


def main(path: Path, runners: Mapping[str, str] = RUNNERS) -> int:
    """Runs the job in this folder; returns the exit code. Its state is in the journal."""
    folder = JobFolder(path)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        plan = read_plan(folder)
        hold = _hold(folder)
        journal = Journal(path / JOURNAL)
        stop = Stop(folder, journal)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop.signal)
        journal.write(JobStarted(journal.attempt, os.getpid(), socket.gethostname(), this_boot()), sync=True)
    except Trouble as trouble:
        sys.stderr.write(f"{trouble}\n")
        return int(trouble.exit_code)
    except OSError as error:
        sys.stderr.write(f"The job's folder cannot be used: {error.strerror}\n")
        return int(ExitCode.FAILED)
    ended = _work(plan, folder, journal, stop, runners)
    journal.close()
    code = int((ended.error or {}).get("exit_code", 0))
    try:
        journal.write(ended, sync=True)
    except Failed as trouble:
        sys.stderr.write(f"{trouble}\n")
        code = code or int(ExitCode.FAILED)
    os.close(hold)
    return code


def _hold(folder: JobFolder) -> int:
    """The lock, kept by the open descriptor until the process ends. Whoever looks whether the job lives holds
    it for a moment too, so one refusal is not enough.

    Raises:
        Refused: Another process of this job is at work.
    """
    descriptor = os.open(folder.path / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + _LOCK_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(descriptor)
                raise already_running(folder) from None
            time.sleep(0.02)
    holder = {"pid": os.getpid(), "host": socket.gethostname(), "boot": this_boot()}
    os.ftruncate(descriptor, 0)
    os.write(descriptor, json.dumps(holder).encode())
    return descriptor


def _work(
    plan: JobPlan,
    folder: JobFolder,
    journal: Journal,
    stop: Stop,
    runners: Mapping[str, str],
) -> JobEnded:
    """Does the work; whatever it meets becomes the end of the job. One that a schedule started keeps the
    record of its run."""
    try:
        profile = permitted(plan)
        journal.secrets = secrets_of(profile)
        record = record_of(plan.request, plan.job, profile, lambda: stop_for_good(folder))
        if record is None:
            return _done(plan, profile, folder, journal, stop, runners)
        record.begin()
    except BaseException as error:
        return _failed(error, plan.job, journal.secrets)
    ended = _done(plan, profile, folder, journal, stop, runners)
    record.end(ended)
    return ended


def stop_for_good(folder: JobFolder) -> None:
    write_once(folder.path / STOP, json.dumps({"by": "an agent that took it for lost"}).encode())


def _done(
    plan: JobPlan,
    profile: Profile,
    folder: JobFolder,
    journal: Journal,
    stop: Stop,
    runners: Mapping[str, str],
) -> JobEnded:
    try:
        threading.excepthook = lambda failed: _last_words(failed.exc_value, journal.secrets)
        context = JobContext(
            job=plan.job,
            folder=folder.path,
            profile_name=plan.profile,
            profile=profile,
            request=plan.request,
            report=journal.report,
            stop=stop,
            checkpoints=checkpoints(journal.before),
            attempt=journal.attempt,
        )
        outcome = _runner(plan.kind, runners)(context)
    except BaseException as error:
        return _failed(error, plan.job, journal.secrets)
    if outcome.failed is not None:
        return JobEnded("failed", outcome.result, _error(outcome.failed, journal.secrets))
    if outcome.partial is not None:
        trouble = Partly("partly-done", outcome.partial)
        return JobEnded("partial", outcome.result, _error(trouble, journal.secrets))
    return JobEnded("done", outcome.result)


def _runner(kind: str, runners: Mapping[str, str]) -> Runner:
    if kind not in runners:
        raise Failed(
            "job-kind-unknown",
            f"This version does not know jobs of the kind {kind!r}. Nothing was changed.",
            "Use the version that made the job.",
        )
    module, function = runners[kind].split(":")
    return cast(Runner, getattr(importlib.import_module(module), function))


def secrets_of(profile: Profile) -> tuple[str, ...]:
    """The profile's URI and the password in it, for scrubbing; empty where the URI cannot be had."""
    try:
        uri = profile.connection_uri()
    except Trouble:
        return ()
    user, at, _ = uri.partition("://")[2].rpartition("@")
    password = user.partition(":")[2] if at else ""
    # A password of one or two letters would turn every text into stars.
    return tuple(s for s in {uri, password, unquote(password)} if len(s) > 2)


def _failed(error: BaseException, job: str, secrets: tuple[str, ...]) -> JobEnded:
    match error:
        case Interrupted():
            return JobEnded("stopped", {}, _error(error, secrets))
        case Partly():
            return JobEnded("partial", {}, _error(error, secrets))
        case Trouble():
            trouble: Trouble = error
        case PyMongoError():
            trouble = told(error)
        case _:
            trouble = Failed(
                "unexpected",
                f"The job met an error that it does not know: {type(error).__name__}: {error}",
                "What it had finished is in its journal. Where it happened is in stderr.log of the job's "
                f"folder. Once the cause is gone: mdr jobs resume {job}",
            )
    if not isinstance(error, Trouble):
        _last_words(error, secrets)
    return JobEnded("failed", {}, _error(trouble, secrets))


def _error(trouble: Trouble, secrets: tuple[str, ...]) -> dict[str, Any]:
    return {
        "code": trouble.code,
        "message": scrub(trouble.message, secrets),
        "hint": scrub(trouble.hint, secrets),
        "exit_code": int(trouble.exit_code),
    }


def _last_words(error: BaseException | None, secrets: tuple[str, ...]) -> None:
    """The traceback, for ``stderr.log`` alone."""
    if error is not None:
        sys.stderr.write(scrub("".join(traceback.format_exception(error)), secrets) + "\n")
        sys.stderr.flush()


if __name__ == "__main__":
    # Before there is a second thread.
    return_large_buffers()
    patience.be_lasting()
    raise SystemExit(main(Path(sys.argv[1])))
