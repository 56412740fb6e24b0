"""Jobs whose folder was damaged, or written by somebody who means harm: looked at in every way, they are
shown as far as they can be, or said to be unreadable."""

from __future__ import annotations

import shutil
from contextlib import suppress
from datetime import UTC, datetime
from random import Random

import pytest
from support.breaking import crafted
from support.consolekit import console
from support.jobkit import LOADED, ended, make_job, restored

from mongo_dr_console.cli.jobs import _page, _row
from mongo_dr_console.model.jobview import JobView, document
from mongo_dr_console.model.trouble import Failed, Trouble
from mongo_dr_console.ui.jobpages import Pace, header_lines
from mongo_dr_console.ui.resultpage import accept_lines, report_text, result_page, undo_lines
from mongo_dr_console.workers.jobs import JobFolder, load
from mongo_dr_console.workers.placed import placed_restore

ROUNDS = 200


def looked_at(view: JobView) -> None:
    now = datetime.now(UTC)
    _row(view)
    _page(view)
    document(view).model_dump_json()
    header_lines(view, now, 80)
    result_page(view, (), "/journal", Pace(), 80)
    report_text(view, (), "/journal", now)
    undo_lines(view, 3, True, 80)
    accept_lines(view, 80)


@pytest.mark.parametrize("seed", range(4))
def test_whatever_stands_in_its_folder_it_can_be_looked_at(seed: int) -> None:
    luck, desk = Random(seed), console(started_with="watch").desk
    for _ in range(ROUNDS // 4):
        end = luck.choice([ended("done", restored()), ended("failed", code="x", message="y", hint="z")])
        folder = make_job(
            luck.choice(("restore", "backup", "undo")), *LOADED, end, request={"job": "5eed0001"}
        )
        for _ in range(luck.choice((1, 2, 4))):
            file = folder.path / luck.choice(("plan.json", "journal.jsonl", "journal.jsonl"))
            file.write_bytes(crafted(file.read_bytes(), luck))
        for view in desk.jobs():
            looked_at(view)
        with suppress(Trouble):
            desk.settlements(folder.id)
        with suppress(Trouble):
            placed_restore(folder.path.parent, folder.id)
        shutil.rmtree(folder.path)


@pytest.mark.parametrize("at", ["2026-11-22T02:00:00", "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00Z"])
def test_a_job_of_no_time_that_can_be_is_unreadable(at: str) -> None:
    """It would be compared with others, and with now."""
    folder = make_job("backup")
    file = folder.path / "plan.json"
    plan = file.read_text().replace('"created_at": "', f'"created_at": "{at}", "was": "')
    file.write_text(plan)
    with pytest.raises(Failed, match="cannot be read"):
        load(JobFolder(folder.path))
    assert console().desk.jobs() == []
