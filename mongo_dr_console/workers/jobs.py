"""Jobs from outside: making, starting, watching, stopping and resuming them.

A job's folder has ``plan.json``, ``journal.jsonl``, ``lock`` (held by its process for as long as it lives),
``stop`` once a stop was asked for, and ``stderr.log``. The process itself is ``workers.job``.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mongo_dr_console.config import Profile, load_config, state_path
from mongo_dr_console.host import this_owner
from mongo_dr_console.model.jobview import JobPlan, JobView, settled
from mongo_dr_console.model.journal import JobEnded, JobStarted, Line, decode, decode_all, replay
from mongo_dr_console.model.moment import moment_of
from mongo_dr_console.model.trouble import Failed, Interrupted, Refused, Trouble, WrongUse
from mongo_dr_console.workers.access import needed_for, require
from mongo_dr_console.workers.folders import jobs_folder
from mongo_dr_console.workers.login import outliving

PLAN, JOURNAL, LOCK, STOP, STDERR = "plan.json", "journal.jsonl", "lock", "stop", "stderr.log"
JOB_COMMAND: tuple[str, ...] = (sys.executable, "-m", "mongo_dr_console.workers.job")
"""What starts a job's process; the folder comes after it."""

POLL_SECONDS = 0.1
_START_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class JobFolder:
    """Where a job keeps what it has; named by its id."""

    path: Path

    @property
    def id(self) -> str:
        return self.path.name

    @property
    def journal(self) -> Path:
        return self.path / JOURNAL


def create(
    profile_name: str,
    profile: Profile,
    config_file: Path,
    kind: str,
    request: dict[str, Any],
    owner: str | None = None,
) -> JobFolder:
    """Makes a job's folder (0700) with its plan (0600). Nothing runs yet.

    Args:
        request: What is asked for, as JSON values; never a secret.
        owner: Who is told to have started it; None: this user.

    Raises:
        Refused: The profile's access does not reach for this kind of job.
        Failed: The state folder cannot be written.
    """
    require(profile_name, profile, needed_for(kind))
    root = jobs_folder(profile)
    folder: JobFolder | None = None
    try:
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder = _new_folder(root)
        plan = {
            "schema": "mdr.job-plan",
            "job": folder.id,
            "kind": kind,
            "request": request,
            "profile": profile_name,
            "config_file": str(config_file.expanduser().absolute()),
            "created_at": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
            "owner": owner or this_owner(),
        }
        write_once(folder.path / PLAN, json.dumps(plan, indent=2).encode())
    except OSError as error:
        if folder is not None:
            shutil.rmtree(folder.path, ignore_errors=True)
        raise Failed(
            "job-not-created",
            f"The job's folder under {root} cannot be made: {error.strerror}. Nothing was changed.",
            "Make room or correct the permissions; MDR_STATE_DIR or the profile's state_dir name another.",
        ) from None
    return folder


def _new_folder(root: Path) -> JobFolder:
    while True:
        path = root / secrets.token_hex(4)
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=0o700)
            return JobFolder(path)


def write_once(path: Path, content: bytes) -> None:
    """Whole or not at all, readable by its owner alone."""
    part = path.with_suffix(".part")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.rename(path)


def read_plan(folder: JobFolder) -> JobPlan:
    """Raises Failed where the plan is missing or cannot be understood."""
    try:
        data = json.loads((folder.path / PLAN).read_bytes())
        return JobPlan(
            job=folder.id,
            kind=str(data["kind"]),
            request=dict(data["request"]),
            profile=str(data["profile"]),
            config_file=str(data["config_file"]),
            created_at=moment_of(data["created_at"]),
            owner=str(data["owner"]),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Failed(
            "job-unreadable",
            f"The plan of job {folder.id} cannot be read: {folder.path / PLAN}: {type(error).__name__}.",
            "Without its plan the job cannot be shown or resumed; start a new one.",
        ) from None


def permitted(plan: JobPlan) -> Profile:
    """The profile that a job works on, read anew from its config file: whoever starts, resumes or stops a
    job has what that allows now, wherever the folder came from.

    Raises:
        Refused: The profile's access does not reach for this kind of job.
        WrongUse: The config cannot be read, or does not have the profile any more.
    """
    path = Path(plan.config_file)
    profiles = load_config(path).profiles
    if plan.profile not in profiles:
        raise WrongUse(
            "profile-unknown",
            f"The job is for profile {plan.profile!r}, and {path} does not have it any more.",
            "Put it back, then resume the job.",
        )
    require(plan.profile, profiles[plan.profile], needed_for(plan.kind))
    return profiles[plan.profile]


def is_alive(folder: JobFolder) -> bool:
    """Whether a process holds the job's lock."""
    try:
        with (folder.path / LOCK).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def read_lines(folder: JobFolder) -> list[Line]:
    """The journal as it is now; empty where there is none."""
    try:
        return decode_all(folder.journal.read_bytes())
    except FileNotFoundError:
        return []


def load(folder: JobFolder | Path) -> JobView:
    """The job as it is now. Raises Failed where its plan cannot be read."""
    folder = JobFolder(folder) if isinstance(folder, Path) else folder
    plan = read_plan(folder)
    # Asked before the journal is read: a process that ends in between has written its last line by then.
    alive = is_alive(folder)
    return as_it_is(folder, replay(plan, read_lines(folder)), alive=alive)


def as_it_is(folder: JobFolder, replayed: JobView, *, alive: bool) -> JobView:
    """What a journal adds up to, and what else is known of the job: whether its process lives, and whether a
    stop was asked for that it has not seen yet."""
    view = settled(replayed, alive=alive, now=datetime.now(UTC))
    asked = view.state == "running" and (folder.path / STOP).exists()
    return replace(view, stop_requested=view.stop_requested or asked)


def list_jobs(root: Path) -> list[JobView]:
    """All jobs under a folder, newest first; folders that are no jobs are left out."""
    views = []
    for path in root.iterdir() if root.is_dir() else ():
        if (path / PLAN).exists():
            with contextlib.suppress(Failed):
                views.append(load(path))
    return sorted(views, key=lambda view: view.created_at, reverse=True)


def find_job(root: Path, id_prefix: str) -> JobFolder:
    """The job whose id begins so.

    Raises:
        WrongUse: None does, or several do.
    """
    wanted = id_prefix.strip().lower()
    found = [p for p in root.glob("*") if p.name.startswith(wanted) and (p / PLAN).exists()] if wanted else []
    if not found:
        raise WrongUse("job-unknown", f"There is no job {id_prefix!r}.", "See: mdr jobs list")
    if len(found) > 1:
        names = ", ".join(sorted(p.name for p in found))
        raise WrongUse("job-ambiguous", f"Several jobs begin with {id_prefix!r}: {names}.", "Say more of it.")
    return JobFolder(found[0])


def launch(folder: JobFolder) -> str:
    """Starts the job's process in a session of its own and waits until it has journalled its start.

    Returns:
        A warning to be shown (it cannot outlive the login), else an empty text.

    Raises:
        Refused: A process of this job is at work already.
        Failed: The process died before it began.
        Interrupted: Ctrl-C while waiting; the job goes on.
    """
    if is_alive(folder) and load(folder).state == "running":
        raise already_running(folder)
    way = outliving()
    before = _attempts(folder)
    log = folder.path / STDERR
    words_before = log.stat().st_size if log.exists() else 0
    process = _spawn([*way.prefix, *JOB_COMMAND, str(folder.path.absolute())], log)
    deadline = time.monotonic() + _START_SECONDS
    try:
        while _attempts(folder) == before:
            if process.poll() is not None and _attempts(folder) == before:
                raise _died(folder, log, words_before, process.returncode)
            if time.monotonic() > deadline:
                raise Failed(
                    "job-slow-start",
                    f"The process of job {folder.id} runs (pid {process.pid}) and has not begun its work in "
                    f"{_START_SECONDS:.0f} s.",
                    f"See what it does: mdr jobs show {folder.id}",
                )
            time.sleep(0.02)
    except KeyboardInterrupt:
        raise detached(folder.id) from None
    finally:
        threading.Thread(target=process.wait, name="job-reaper", daemon=True).start()
    return way.warning


def already_running(folder: JobFolder) -> Refused:
    return Refused(
        "job-running",
        f"Job {folder.id} is at work already. Nothing was changed.",
        f"Watch it: mdr jobs attach {folder.id}",
    )


def detached(job: str) -> Interrupted:
    """What a person is told who lets go of a job that goes on."""
    return Interrupted("detached", f"Detached; job {job} goes on.", f"Attach again: mdr jobs attach {job}")


def _spawn(command: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    with os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as words:
        try:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=words,
                start_new_session=True,
                close_fds=True,
                cwd="/",
                env=_environment(),
            )
        except OSError as error:
            raise Failed(
                "job-not-started",
                f"The job's process cannot be started: {error.strerror}. Nothing was changed.",
            ) from None


def _environment() -> dict[str, str]:
    """Passed on, since it may hold the URI. A relative state folder stays what it is for a process at /."""
    environment = dict(os.environ)
    if environment.get("MDR_STATE_DIR"):
        environment["MDR_STATE_DIR"] = str(state_path().absolute())
    return environment


def _attempts(folder: JobFolder) -> int:
    return sum(isinstance(line.event, JobStarted) for line in read_lines(folder))


def _died(folder: JobFolder, log: Path, skip: int, code: int | None) -> Trouble:
    try:
        words = log.read_bytes()[skip:].decode("utf-8", "replace").strip().splitlines()
    except OSError:
        words = []
    if code == Refused.exit_code:
        return already_running(folder)
    last = words[-1] if words else "it left no message"
    return Failed(
        "job-not-started",
        f"The process of job {folder.id} ended before it began (code {code}): {last}. It changed nothing.",
        f"What it said is in {log}",
    )


def request_stop(folder: JobFolder) -> JobView:
    """Asks the job to stop at its next safe point; returns at once.

    Raises:
        Refused: It is not running, or the access of its profile does not reach.
        WrongUse: Its profile is gone.
    """
    permitted(read_plan(folder))
    view = load(folder)
    if view.state != "running":
        raise Refused(
            "job-not-running", f"Job {folder.id} is not running ({view.state}); there is nothing to stop."
        )
    if not view.stop_requested:
        write_once(folder.path / STOP, json.dumps({"by": this_owner()}).encode())
    return load(folder)


def resume(folder: JobFolder) -> str:
    """Starts the job again in its folder; it goes on from its checkpoints.

    Returns:
        A warning, as ``launch`` does.

    Raises:
        Refused: It is running, or it is done, or the access of its profile does not reach.
        WrongUse: Its profile is gone.
        Failed: Its process died before it began.
    """
    permitted(read_plan(folder))
    view = load(folder)
    if view.state == "running" and view.attempt:
        raise already_running(folder)
    if view.state == "done":
        raise Refused("job-done", f"Job {folder.id} is done; there is nothing to resume.")
    return launch(folder)


def follow(folder: JobFolder) -> Iterator[Line]:
    """The journal's lines as they come, from its start, until the end line or until the process is dead."""
    for lines in follow_batches(folder):
        yield from lines


def follow_batches(folder: JobFolder) -> Iterator[list[Line]]:
    """The same, all lines that are there at a time; an empty batch where nothing came for a moment.

    The first batch is the whole journal so far.
    """
    tail = Tail(folder.journal)
    while True:
        alive = is_alive(folder)
        lines = tail.read()
        yield lines
        if not alive or tail.ended:
            return
        if not lines:
            time.sleep(POLL_SECONDS)


class Tail:
    """Reads what was appended to a journal since the last time, whole lines only.

    Holds no file open in between, so that whoever loses interest may just drop it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._rest = b""
        self.ended = False

    def read(self) -> list[Line]:
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                new = file.read()
        except FileNotFoundError:
            return []
        self._offset += len(new)
        *whole, self._rest = (self._rest + new).split(b"\n")
        lines = [line for part in whole if part and (line := decode(part)) is not None]
        for line in lines:
            if isinstance(line.event, JobEnded):
                self.ended = True
            elif isinstance(line.event, JobStarted):
                self.ended = False
        return lines
