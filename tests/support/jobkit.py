"""Jobs to look at: folders with a plan and a journal, as a job's process would have left them.

job = make_job("restore", *steps(...), ended("done", result))
with held(job): ...     as if its process lived
"""

from __future__ import annotations

import contextlib
import fcntl
import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from mongo_dr_console.config import config_path, state_path
from mongo_dr_console.model.journal import JobEnded, JobStarted, JournalEvent, Line, encode
from mongo_dr_console.model.lock import LockInfo
from mongo_dr_console.model.progress import Checkpoint, Note, StepDone, StepProgress, StepStarted
from mongo_dr_console.workers.jobs import JOURNAL, LOCK, PLAN, JobFolder
from support.readingkit import NOW

OWNER = "jane@db-1"


def make_job(
    kind: str,
    *events: JournalEvent,
    job: str = "5eed0001",
    ago: float = 120,
    every: float = 2,
    profile: str = "test",
    request: dict[str, Any] | None = None,
    started: bool = True,
    owner: str = OWNER,
) -> JobFolder:
    """A job of this host, made so many seconds ago, with these events in its journal, one every so often."""
    folder = JobFolder(state_path() / "jobs" / job)
    folder.path.mkdir(parents=True)
    made = NOW - timedelta(seconds=ago)
    plan = {
        "job": job,
        "kind": kind,
        "request": request or {},
        "profile": profile,
        "config_file": str(config_path()),
        "created_at": made.isoformat(),
        "owner": owner,
    }
    (folder.path / PLAN).write_text(json.dumps(plan))
    first: tuple[JournalEvent, ...] = (JobStarted(1, 4711, "db-1"),) if started else ()
    write(folder, *first, *events, at=made, every=every)
    return folder


def permit(profile: str = "test") -> None:
    """Writes the config that jobs are bound by: whatever they are, they may be resumed and stopped."""
    config_path().write_text(f"[profiles.{profile}]\nuri = 'mongodb://h/'\naccess = 'restore'\n")


def write(folder: JobFolder, *events: JournalEvent, at: datetime = NOW, every: float = 0) -> None:
    """Appends to the journal of a job."""
    with (folder.path / JOURNAL).open("ab") as file:
        for number, event in enumerate(events):
            file.write(encode(Line(at + timedelta(seconds=number * every), event)))


@contextlib.contextmanager
def held(folder: JobFolder) -> Iterator[JobFolder]:
    """As long as this lasts a process of the job seems to live."""
    with (folder.path / LOCK).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield folder


def hold_for_ever(folder: JobFolder) -> JobFolder:
    """The same until this process ends; for snapshots, whose app outlives the function that makes it."""
    file = (folder.path / LOCK).open("w")
    fcntl.flock(file, fcntl.LOCK_EX)
    _HELD.append(file)
    return folder


_HELD: list[Any] = []

LOADING: tuple[JournalEvent, ...] = (
    StepStarted("check-base", 42_500, "documents"),
    StepProgress("check-base", 42_500, 42_500, "documents", 9_490_000),
    StepDone("check-base", "the base is whole"),
    StepStarted("load", 42_500, "documents"),
    Note("shop.orders: 40,000 documents to load"),
    StepProgress("load", 4_000, 42_500, "documents", 900_000, "shop.orders"),
    StepProgress("load", 8_200, 42_500, "documents", 1_800_000, "shop.orders"),
    StepProgress("load", 16_900, 42_500, "documents", 3_700_000, "shop.orders"),
)
"""A restore in the middle of its loading."""

LOADED: tuple[JournalEvent, ...] = (
    *LOADING,
    StepProgress("load", 42_500, 42_500, "documents", 9_490_000),
    StepDone("load"),
    StepStarted("replay", 1_234, "operations"),
    StepProgress("replay", 1_234, 1_234, "operations"),
    StepDone("replay"),
    StepStarted("cut-over", 1, "collections"),
    StepProgress("cut-over", 1, 1, "collections"),
    StepDone("cut-over", "1 collection by rename"),
    Checkpoint("placed", {"placements": [], "position": None}),
    StepStarted("ledger"),
    StepDone("ledger", "ledger/restores/20261118T110640Z-1a2b3c4d.json"),
)
"""All that a restore does."""


def restored(job: str = "5eed0001", **changes: Any) -> dict[str, Any]:
    """A restore's result: one collection by swap."""
    return {
        "schema": "mdr.restore",
        "snapshot": "20261118_110000",
        "store": "local",
        "namespaces": [{"from": "shop.orders", "to": "shop.orders", "mode": "swap"}],
        "last_applied": "1794999000:1",
        "skipped": ["1794999100-1"],
        "skipped_operations": 1,
        "conflicts": [],
        "safety_snapshot": None,
        "set_aside": [{"namespace": "shop.orders", "kept_as": f"mdr_aside_{job}_1", "expected": True}],
        "take_back": f"mdr restore undo {job}",
        "settle": f"mdr restore accept {job}",
    } | changes


def ended(state: Any = "done", result: dict[str, Any] | None = None, **error: Any) -> JobEnded:
    return JobEnded(state, result or {}, error or None)


def lock_info(job: str = "0ff51de0", **changes: Any) -> LockInfo:
    """The deployment's lock, held from another host."""
    facts: dict[str, Any] = {
        "kind": "restore",
        "owner": "joe@db-7",
        "host": "db-7",
        "pid": 99,
        "boot": "",
        "fencing": 7,
        "step": "replay",
        "percent": 43.0,
        "started": NOW - timedelta(seconds=95),
        "heartbeat": NOW - timedelta(seconds=1),
        "age_seconds": 1.2,
    }
    return LockInfo(job, **(facts | changes))
