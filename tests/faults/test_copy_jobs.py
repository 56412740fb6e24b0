"""A copy as a job: killed in the middle and resumed, it goes on by file. No server is needed."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
from support import snapshots
from support.keepkit import prepare_gone

from mongo_dr_console.model.journal import JobEnded
from mongo_dr_console.model.progress import Note, StepProgress
from mongo_dr_console.stores.begin import begin_snapshot
from mongo_dr_console.stores.catalogue import list_snapshots, read_manifest
from mongo_dr_console.stores.local import LocalStore
from mongo_dr_console.workers import jobs

pytestmark = pytest.mark.slow

FILES = 6
SIZE = 9 * 1024 * 1024
"""So that one is whole when the first progress is told."""
NAME = snapshots.NAME


def test_a_copy_job_that_is_killed_goes_on_by_file(tmp_path: Path) -> None:
    prepared = prepare_gone(tmp_path, tmp_path / "far")
    near, far = LocalStore("local", prepared.store), LocalStore("far", tmp_path / "far")
    like = snapshots.write_snapshot(LocalStore("like", tmp_path / "like"), snapshots.rows(1000))
    with begin_snapshot(near, NAME) as writer:
        files = [writer.put(f"shop/c{n}.bson", bytes([n]) * SIZE) for n in range(FILES)]
        writer.finish(like.model_copy(update={"files": files, "collections": []}).sealed())
    request = {"snapshot": NAME, "target": "far", "source": None, "rate": 20 * 1024 * 1024}
    folder = jobs.create(prepared.name, prepared.profile, prepared.config_file, "copy", request)
    jobs.launch(folder)
    for line in jobs.follow(folder):
        if isinstance(line.event, StepProgress):
            os.kill(int(json.loads((folder.path / "lock").read_text())["pid"]), signal.SIGKILL)
            break
    for _ in jobs.follow(folder):
        pass
    assert jobs.load(folder).state == "failed" and list_snapshots(far) == []
    jobs.resume(folder)
    said, ended = [], []
    for line in jobs.follow(folder):
        said += [line.event.text] if isinstance(line.event, Note) else []
        ended += [line.event.state] if isinstance(line.event, JobEnded) else []
    assert ended[-1:] == ["done"]
    (kept,) = (text for text in said if text.endswith("files are in store far already"))
    assert 1 <= int(kept.split()[0]) < FILES
    assert read_manifest(far, NAME) == read_manifest(near, NAME)
