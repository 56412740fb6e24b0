"""Real jobs from the screen, by keys; and all who look at one job see the same."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import dumping
import pytest
from support.consolekit import SMALL, WIDE
from support.jobkit import LOADING, held, make_job, write
from support.jobs import backup_here, mdr, plan_for
from support.prepared import PreparedProfile, prepare
from test_jobs import said, until
from textual.pilot import Pilot

from mongo_dr_console.model.catalogue import SnapshotEntry
from mongo_dr_console.model.progress import StepDone, StepProgress, StepStarted
from mongo_dr_console.mongo.client import connect
from mongo_dr_console.mongo.launch import ReplicaSet
from mongo_dr_console.ui.app import ConsoleApp
from mongo_dr_console.ui.background import Problem, in_thread
from mongo_dr_console.ui.screens.job import JobScreen
from mongo_dr_console.workers.access import ConsoleAccess
from mongo_dr_console.workers.desk import Desk
from mongo_dr_console.workers.pollers import Pollers

if TYPE_CHECKING:
    from conftest import ProfileFor


def real_console(prepared: PreparedProfile) -> ConsoleApp:
    access = ConsoleAccess(prepared.name, prepared.profile, "restore")
    desk = Desk(prepared.name, prepared.profile, prepared.config_file, access)
    return ConsoleApp(desk, Pollers(prepared.name, prepared.profile))


def newest(app: ConsoleApp) -> SnapshotEntry | None:
    backups = app.view.readings.backups
    return None if backups is None or backups.value is None else backups.value.newest


@contextmanager
def reads_held(replica_set: ReplicaSet, namespace: str) -> Iterator[Callable[[], None]]:
    """Readings of a collection wait on every member until what is yielded is called, so that a backup is seen
    at work however slow the machine."""
    point = "waitInFindBeforeMakingBatch"

    def let_go() -> None:
        for uri in replica_set.member_uris:
            with connect(uri, direct=True) as member:
                member.admin.command({"configureFailPoint": point, "mode": "off"})

    held_for = {"nss": namespace, "shouldCheckForInterrupt": True}
    for uri in replica_set.member_uris:
        with connect(uri, direct=True) as member:
            member.admin.command({"configureFailPoint": point, "mode": "alwaysOn", "data": held_for})
    try:
        yield let_go
    finally:
        let_go()


async def armed(pilot: Pilot[Any], app: ConsoleApp) -> None:
    await pilot.press("A")
    await until(pilot, lambda: "Arm this console?" in said(pilot))
    await pilot.press("tab", "enter")
    await until(pilot, lambda: app.desk.access.armed_seconds is not None)


@pytest.mark.slow
@pytest.mark.mongod
async def test_a_backup_is_taken_and_verified_by_keys(
    replica_set: ReplicaSet, profile_for: ProfileFor, database_name: str
) -> None:
    with closing(connect(replica_set.uri)) as client:
        dumping.seed(client, database_name, 200)
    app = real_console(profile_for(replica_set))
    with reads_held(replica_set, f"{database_name}.a") as let_go:
        async with app.run_test(size=WIDE) as pilot:
            await armed(pilot, app)
            await pilot.press("B")
            await until(pilot, lambda: "Back up the whole deployment" in said(pilot))
            await pilot.press("tab", "enter")
            await until(pilot, lambda: isinstance(app.screen, JobScreen) and "● data" in said(pilot))
            let_go()
            await until(pilot, lambda: "✓ done" in said(pilot) and "How it ended" in said(pilot))
            assert "exit code 0" in said(pilot) and "documents" in said(pilot)
            await pilot.press("escape")
            await until(pilot, lambda: newest(app) is not None)
            taken = newest(app)
            assert taken is not None
            await pilot.press("V")
            await until(pilot, lambda: f"Snapshot {taken.name} in local" in said(pilot))
            await pilot.press("tab", "enter")
            await until(pilot, lambda: "good, level 2" in said(pilot))
            await until(pilot, lambda: (known := newest(app)) is not None and known.verified)


@pytest.mark.slow
@pytest.mark.mongod
async def test_a_restore_is_followed_taken_back_and_settled_by_keys(
    replica_set: ReplicaSet, profile_for: ProfileFor, database_name: str
) -> None:
    prepared = profile_for(replica_set)
    with closing(connect(replica_set.uri)) as client:
        db = client[database_name]
        dumping.seed(client, database_name, 50)
        taken = backup_here(prepared)["snapshot"]
        db["a"].delete_many({"n": {"$lt": 40}})
        after = sorted(d["_id"] for d in db["a"].find())
        plan = plan_for(prepared, snapshot=taken, namespaces=(f"{database_name}.a",))
        app = real_console(prepared)
        async with app.run_test(size=SMALL) as pilot:
            await armed(pilot, app)
            started = await in_thread(lambda: app.desk.restore(plan, plan.confirm))
            assert not isinstance(started, Problem), started
            restore = started.folder.id
            await app.push_screen(JobScreen(restore))
            await until(pilot, lambda: f"✓ done  restore job {restore}" in said(pilot))
            assert f"{database_name}.a [swap]" in said(pilot)
            assert db["a"].count_documents({}) == 50
            db["a"].insert_many([{"_id": -1}, {"_id": -2}])
            await pilot.press("u")
            await until(pilot, lambda: "2 writes reached the restored collections since." in said(pilot))
            await pilot.press(*restore, "enter", "enter")
            await until(pilot, lambda: "✓ done  undo job" in said(pilot))
            assert sorted(d["_id"] for d in db["a"].find()) == after
            await pilot.press("escape")
            await until(pilot, lambda: "it was taken back by job" in said(pilot))
            await pilot.press("c")
            await until(pilot, lambda: "Settle this restore?" in said(pilot))
            aside = [name for name in db.list_collection_names() if name.startswith("mdr_aside_")]
            assert aside and all(name in said(pilot) for name in aside)
            await pilot.press(*restore, "enter", "enter")
            await until(pilot, lambda: "✓ done  accept job" in said(pilot))
            assert not [name for name in db.list_collection_names() if name.startswith("mdr_")]
            await pilot.press("escape")
            await until(pilot, lambda: "it was settled by job" in said(pilot))
            await pilot.press("u", "c")
            assert isinstance(app.screen, JobScreen)


async def test_all_who_look_see_the_same_job_at_the_same_step(tmp_path: Any) -> None:
    prepared = prepare(tmp_path, "mongodb://localhost:1/", tmp_path / "state")
    folder = make_job("restore", *LOADING)
    desk = real_console(prepared).desk
    one, other = desk.watch(folder.id), desk.watch(folder.id)
    app = real_console(prepared)
    with held(folder):
        async with app.run_test(size=SMALL) as pilot:
            await app.push_screen(JobScreen(folder.id))
            for step in ("load", "replay", "indexes"):
                await until(pilot, lambda step=step: f"● {step}" in said(pilot))
                answer = await in_thread(lambda: mdr(prepared, "jobs", "show", folder.id, "--json"))
                views = [watch.read()[0] for watch in (one, other)]
                steps = {view.current.step for view in views if view.current}
                told_by_command = [s["step"] for s in answer.json["steps"] if s["state"] == "running"]
                assert steps == {step} and told_by_command == [step]
                after = {"load": "replay", "replay": "indexes", "indexes": "verify"}[step]
                write(folder, StepDone(step), StepStarted(after, 9, "operations"), StepProgress(after, 3))


async def test_a_watcher_reads_only_what_is_new(tmp_path: Any) -> None:
    folder = make_job("restore", *LOADING)
    watch = real_console(prepare(tmp_path, "mongodb://localhost:1/", tmp_path / "state")).desk.watch(
        folder.id
    )
    with held(folder):
        assert len(watch.read()[1]) == len(LOADING) + 1
        assert watch.read()[1] == []
        with folder.journal.open("ab") as torn:
            torn.write(b'{"at":"2026-11-18T11:06:40Z","event":"note","da')
        assert watch.read()[1] == []
        with folder.journal.open("ab") as rest:
            rest.write(b'ta":{"text":"whole now"}}\n')
        view, lines = await asyncio.get_running_loop().run_in_executor(None, watch.read)
        assert len(lines) == 1 and view.notes[-1].text == "whole now"
    assert watch.read()[0].error is not None  # its process is gone
