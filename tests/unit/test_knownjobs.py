"""Jobs that are listed every second: the same as a fresh look, at the price of what is new."""

from __future__ import annotations

import fcntl
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from mongo_dr_console.model.journal import JobEnded, JobStarted, Line, encode
from mongo_dr_console.model.progress import StepProgress, StepStarted
from mongo_dr_console.workers import knownjobs
from mongo_dr_console.workers.jobs import JOURNAL, LOCK, PLAN, STOP, list_jobs
from mongo_dr_console.workers.jobsource import job_facts
from mongo_dr_console.workers.knownjobs import KnownJobs

AT = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)


def make(root: Path, job: str, *events: Any, kind: str = "restore") -> Path:
    folder = root / job
    folder.mkdir()
    plan = {
        "kind": kind,
        "request": {},
        "profile": "test",
        "config_file": "/c",
        "created_at": AT.isoformat(),
        "owner": "a@b",
    }
    (folder / PLAN).write_text(json.dumps(plan))
    append(folder, *events)
    return folder


def append(folder: Path, *events: Any) -> None:
    with (folder / JOURNAL).open("ab") as file:
        for event in events:
            file.write(encode(Line(AT, event)))


def alive(folder: Path) -> Any:
    """Holds the job's lock for as long as what is returned is open."""
    file = (folder / LOCK).open("wb")
    fcntl.flock(file, fcntl.LOCK_EX)
    return file


BEGUN = (JobStarted(1, 7, "here"), StepStarted("load", 100, "documents"))
DONE = (*BEGUN, JobEnded("done"))


def test_it_says_what_a_fresh_look_says_at_every_stage(tmp_path: Path) -> None:
    known = KnownJobs(tmp_path)
    assert known.views() == []
    make(tmp_path, "1", *DONE)
    make(tmp_path, "2")
    folder = make(tmp_path, "3", *BEGUN)
    (tmp_path / "no-job").mkdir()
    torn = make(tmp_path, "4", *BEGUN)
    with (torn / JOURNAL).open("ab") as file:
        file.write(encode(Line(AT, JobEnded("done")))[:-1])
    with alive(folder):
        assert known.views() == list_jobs(tmp_path)
        append(folder, StepProgress("load", 50, 100))
        assert known.views() == list_jobs(tmp_path)
        (folder / STOP).write_text("{}")
        assert known.views() == list_jobs(tmp_path)
        assert {v.job: v.stop_requested for v in known.views()}["3"]
    assert known.views() == list_jobs(tmp_path)
    assert {v.job: v.state for v in known.views()} == {
        "1": "done",
        "2": "failed",
        "3": "failed",
        "4": "done",
    }
    append(folder, JobStarted(2, 8, "here"))
    with alive(folder):
        assert known.views() == list_jobs(tmp_path)
        append(folder, JobEnded("stopped"))
    assert known.views() == list_jobs(tmp_path)
    (folder / PLAN).unlink()
    (folder / JOURNAL).unlink()
    (folder / STOP).unlink()
    (folder / LOCK).unlink()
    folder.rmdir()
    assert [v.job for v in known.views()] == [v.job for v in list_jobs(tmp_path)]


def test_a_line_that_comes_in_two_pieces_is_read_whole(tmp_path: Path) -> None:
    folder = make(tmp_path, "1", *BEGUN)
    known = KnownJobs(tmp_path)
    line = encode(Line(AT, StepProgress("load", 50, 100)))
    with alive(folder), (folder / JOURNAL).open("ab", buffering=0) as file:
        file.write(line[:20])
        assert job_facts(known.views()[0]).percent == 0
        file.write(line[20:])
        assert job_facts(known.views()[0]).percent == 50


def test_hundreds_of_ended_jobs_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(300):
        make(tmp_path, f"{number:03}", *(DONE if number % 2 else BEGUN))
    known = KnownJobs(tmp_path)
    known.views()
    read: list[object] = []
    monkeypatch.setattr(knownjobs, "decode", read.append)
    monkeypatch.setattr(knownjobs, "load", read.append)
    monkeypatch.setattr(knownjobs, "read_plan", read.append)
    assert len(known.views()) == 300 and read == []


def test_a_job_in_short_says_what_it_brought_back(tmp_path: Path) -> None:
    result = {
        "schema": "mdr.restore",
        "limit": {"position": "5:1", "bound": "before", "follow": False},
        "skipped": ["e1"],
        "namespaces": [{"from": "shop.orders", "to": "shop.orders", "mode": "swap"}],
    }
    make(tmp_path, "1", *BEGUN, JobEnded("done", result))
    make(tmp_path, "2", *BEGUN, JobEnded("done", {"schema": "mdr.undo", "undone": "1"}), kind="undo")
    make(tmp_path, "3", *BEGUN, JobEnded("failed", result))
    facts = {v.job: job_facts(v) for v in KnownJobs(tmp_path).views()}
    assert facts["1"].restored is not None and facts["1"].restored.targets == ("shop.orders",)
    assert facts["2"].undone == "1" and facts["1"].undone == ""
    assert facts["3"].restored is None
    assert facts["1"].host == "here" and facts["1"].here
