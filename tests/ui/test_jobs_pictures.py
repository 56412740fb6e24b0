"""How jobs and their dialogs look, at both sizes; the words that matter stand there whole."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.consolekit import SIZES, FakeDesk, console
from support.jobkit import LOADED, LOADING, ended, hold_for_ever, lock_info, make_job, restored
from support.readingkit import NOW, reading, readings, snapshot
from support.states import LONG, ODD_COLLECTION, ODD_DATABASE, RTL
from test_jobs import JOB, said, until
from textual.pilot import Pilot

from mongo_dr_console.model.catalogue import Verification
from mongo_dr_console.model.jobfacts import JobFacts
from mongo_dr_console.model.namespace import Namespace
from mongo_dr_console.model.progress import Note, StepProgress, StepStarted
from mongo_dr_console.model.readings import Readings
from mongo_dr_console.ui.app import ConsoleApp
from mongo_dr_console.ui.screens.job import JobScreen
from mongo_dr_console.ui.screens.jobs import JobsScreen
from mongo_dr_console.ui.screens.snapshot import SnapshotScreen
from mongo_dr_console.workers.desk import Content

ODD = f"{ODD_DATABASE}.{ODD_COLLECTION}"
DAMAGED = {
    "code": "verification-failed",
    "message": "Snapshot 20261118_110000 is damaged: local: shop/orders.bson.gz: checksum differs.",
    "hint": "Do not restore from it; use another snapshot or another store's copy.",
    "exit_code": 1,
}
STOPPED = {
    "code": "stopped",
    "message": "The job was stopped at a safe point, as jane@db-1 asked.",
    "hint": f"Go on from there: mdr jobs resume {JOB}",
    "exit_code": 130,
}
MISSING = {
    "code": "partly-done",
    "message": "the snapshot is not in store s3: the store does not answer",
    "hint": "",
    "exit_code": 5,
}
BACKED_UP = {
    "snapshot": "20261118_110000",
    "stores": ["local"],
    "documents": 42_500,
    "bytes": 9_490_000,
    "stored_bytes": 2_100_000,
    "window": {"start": "1794999600:1", "end": "1794999601:4"},
}
TWO_CONFLICTS = [{"namespace": ODD, "text": f"_id {n} was written since"} for n in (7, 8)]

JOBS: dict[str, tuple[Callable[[], Any], list[str]]] = {
    "running": (
        lambda: hold_for_ever(make_job("restore", *LOADING, ago=20)),
        ["● running", f"restore job {JOB}", "jane@db-1", "16,900 of 42,500 documents", "7.9 s left", "40%"],
    ),
    "done": (
        lambda: make_job("restore", *LOADED, ended("done", restored())),
        ["✓ done", "exit code 0", "shop.orders [swap]", "u  undo", "c  accept", "u undo…", "c accept…"],
    ),
    "failed": (
        lambda: make_job("verify", StepStarted("files", 9, "files"), ended("failed", **DAMAGED)),
        ["✗ FAILED", "exit code 1", "is damaged", "next: Do not restore from it;", "r resume"],
    ),
    "partial": (
        lambda: make_job("backup", ended("partial", BACKED_UP, **MISSING)),
        ["! partial", "exit code 5", "is not in store s3", "42,500 documents"],
    ),
    "stopped": (
        lambda: make_job("restore", *LOADING, ended("stopped", **STOPPED)),
        ["! stopped", "exit code 130", "stopped at a safe point", "r  resume"],
    ),
    "odd": (
        lambda: make_job(
            "restore",
            StepStarted("load", 10, "documents"),
            StepProgress("load", 5, detail=f"{ODD}{LONG}"),
            Note(f"{ODD}: 1 document", "warning"),
            Note(LONG),
            ended(
                "done",
                restored(
                    namespaces=[{"from": ODD, "to": f"shop.{LONG}", "mode": "swap"}], conflicts=TWO_CONFLICTS
                ),
            ),
            owner=f"j{RTL}ane@[red]host",
        ),
        ["✓ done", "db[/].a\\nb\\u202ec[red]", "! conflict", "_id 7 was written since"],
    ),
    "long": (
        lambda: hold_for_ever(
            make_job("restore", *LOADING, *(Note(f"note {n}") for n in range(999)), ago=2100)
        ),
        ["● running", "note 998"],
    ),
}

Look = Callable[[Pilot[Any]], Awaitable[None]]


@pytest.fixture(autouse=True)
def same_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is shown of a path is the same on every machine."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MDR_STATE_DIR", "state")


def shows(*words: str, make: Callable[[], Any] | None = None, keys: tuple[str, ...] = ()) -> Look:
    async def look(pilot: Pilot[Any]) -> None:
        if make is not None:
            await pilot.app.push_screen(make())
        await pilot.press(*keys)
        await until(pilot, lambda: all(word in said(pilot) for word in words))

    return look


def armed_for_ever(app: ConsoleApp) -> ConsoleApp:
    app.desk.access._clock = lambda: 0.0
    app.desk.access.arm()
    return app


@pytest.mark.parametrize("size", SIZES, ids=["wide", "small"])
@pytest.mark.parametrize("state", JOBS)
def test_a_job(state: str, size: tuple[int, int], snap_compare: Any) -> None:
    make, words = JOBS[state]
    make()
    assert snap_compare(console(), terminal_size=size, run_before=shows(*words, make=lambda: JobScreen(JOB)))


@pytest.mark.parametrize("size", SIZES, ids=["wide", "small"])
@pytest.mark.parametrize(
    ("age", "words"), [(1.0, "● running"), (300.0, "it seems to be dead")], ids=["lives", "silent"]
)
def test_a_job_of_another_host(age: float, words: str, size: tuple[int, int], snap_compare: Any) -> None:
    app = console(readings(lock=reading("lock", lock_info(age_seconds=age))))
    look = shows(words, "restore job 0ff51de0", "joe@db-7", make=lambda: JobScreen("0ff51de0"))
    assert snap_compare(app, terminal_size=size, run_before=look)


LISTED = (
    JobFacts("aaaa0001", "restore", "running", "load", 40.0, "jane@db-1", NOW - timedelta(seconds=20)),
    JobFacts("aaaa0002", "backup", "done", owner="cron@db-1", started_at=NOW - timedelta(hours=9)),
    JobFacts("aaaa0003", "verify", "failed", owner=f"j[/]{RTL}{LONG}", started_at=NOW - timedelta(days=3)),
    JobFacts("aaaa0004", "backup", "partial", owner="cron@db-1", started_at=NOW - timedelta(days=4)),
)


@pytest.mark.parametrize("size", SIZES, ids=["wide", "small"])
@pytest.mark.parametrize("empty", [False, True], ids=["some", "none"])
def test_the_list(empty: bool, size: tuple[int, int], snap_compare: Any) -> None:
    first: Readings = (
        readings() if empty else readings(jobs=reading("jobs", LISTED), lock=reading("lock", lock_info()))
    )
    words = (
        ["There are no jobs."] if empty else ["running", "FAILED", "partial", "replay 43%", "enter attach"]
    )
    assert snap_compare(console(first), terminal_size=size, run_before=shows(*words, make=JobsScreen))


STORES: dict[str, Any] = {
    "local": {"type": "local", "path": "/backups/mongodb"},
    f"s3[/]{RTL}": {"type": "s3", "bucket": "b"},
}


@pytest.mark.parametrize("size", SIZES, ids=["wide", "small"])
@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (("B",), ["[x] local", "(●) gzip", "mongorestore cannot read it as it is", "Cancel", "Start"]),
        (("V",), ["(●) 2  checksums", "none is missing", "Cancel", "Start"]),
    ],
    ids=["backup", "verify"],
)
def test_a_dialog(keys: tuple[str, ...], words: list[str], size: tuple[int, int], snap_compare: Any) -> None:
    app = armed_for_ever(console(stores=STORES))
    assert snap_compare(app, terminal_size=size, run_before=shows(*words, make=JobsScreen, keys=keys))


@pytest.mark.parametrize("size", SIZES, ids=["wide", "small"])
@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (("u", "5", "e"), ["Take this restore back?", "1,234 writes reached", f"Type {JOB} to go on:", "5e"]),
        (("c",), ["Settle this restore?", "There is no undo after it.", f"Type {JOB} to go on:"]),
    ],
    ids=["undo", "accept"],
)
def test_a_typed_confirmation(
    keys: tuple[str, ...], words: list[str], size: tuple[int, int], snap_compare: Any
) -> None:
    app = armed_for_ever(console())
    assert isinstance(app.desk, FakeDesk)
    app.desk.writes = 1234
    make_job("restore", *LOADED, ended("done", restored()))

    async def look(pilot: Pilot[Any]) -> None:
        await shows("✓ done", make=lambda: JobScreen(JOB))(pilot)
        await pilot.press(keys[0])
        await until(pilot, lambda: words[0] in said(pilot))
        await pilot.press(*keys[1:])
        await shows(*words)(pilot)

    assert snap_compare(app, terminal_size=size, run_before=look)


@pytest.mark.parametrize("size", SIZES, ids=["wide", "small"])
@pytest.mark.parametrize("state", ["fine", "damaged", "odd"])
def test_a_snapshot(state: str, size: tuple[int, int], snap_compare: Any) -> None:
    changes: dict[str, Any] = {
        "fine": {"verification": Verification(3, NOW, good=True)},
        "damaged": {"verification": Verification(2, NOW, good=False), "restore_tested_at": None},
        "odd": {"scope": (ODD_DATABASE, f"x{RTL}"), "window": None, "documents": None, "bytes": None},
    }[state]
    words = {
        "fine": ["✓ restorable", "✓ good: level 3", "R restore from it…"],
        "damaged": ["✗ DAMAGED", "! never restored from"],
        "odd": ["! not restorable", "! only db[/], x\\u202e"],
    }[state]
    app = console(readings(replace(snapshot(30), **changes)))
    assert isinstance(app.desk, FakeDesk)
    if state == "odd":
        odd = Namespace(ODD_DATABASE, ODD_COLLECTION)
        app.desk.content = (*app.desk.content, Content(odd, "view", None, None))
        words.append("db[/].a\\nb")
    look = shows("COLLECTION", *words, make=lambda: SnapshotScreen("s30", "local"))
    assert snap_compare(app, terminal_size=size, run_before=look)
