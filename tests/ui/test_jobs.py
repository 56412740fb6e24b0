"""Jobs on the screen: followed, left, stopped, taken back, settled; nothing by a slip of the hand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from support.consolekit import SIZES, SMALL, WIDE, FakeDesk, FakeFeed, console, screen_text
from support.jobkit import LOADED, LOADING, ended, held, lock_info, make_job, permit, restored, write
from support.readingkit import DOWN, NOW, reading, readings
from textual import events
from textual.pilot import Pilot
from textual.widgets import Button

from mongo_dr_console.model.jobfacts import JobFacts
from mongo_dr_console.model.journal import JobStarted
from mongo_dr_console.model.progress import Note, StepDone, StepProgress
from mongo_dr_console.model.trouble import Unreachable
from mongo_dr_console.ui.app import ConsoleApp
from mongo_dr_console.ui.screens.job import JobScreen
from mongo_dr_console.ui.screens.jobs import JobsScreen
from mongo_dr_console.ui.screens.typed import TypedConfirmation
from mongo_dr_console.ui.widgets.typed_field import TypedField
from mongo_dr_console.workers.jobs import STOP, JobFolder

JOB = "5eed0001"


async def until(pilot: Pilot[Any], condition: Callable[[], object]) -> None:
    """Waits for something to be so; the screen is shown where it never is."""
    try:
        async with asyncio.timeout(120):
            while not condition():
                await pilot.pause()
    except TimeoutError:
        raise AssertionError(f"never came:\n{screen_text(pilot.app)}") from None  # type: ignore[arg-type]


async def opened(pilot: Pilot[Any], job: str, *words: str) -> JobScreen:
    """A job's screen, with these words on it."""
    screen = JobScreen(job)
    await pilot.app.push_screen(screen)
    await until(pilot, lambda: all(word in said(pilot) for word in words))
    return screen


def said(pilot: Pilot[Any]) -> str:
    assert isinstance(pilot.app, ConsoleApp)
    return screen_text(pilot.app)


def desk(app: ConsoleApp) -> FakeDesk:
    assert isinstance(app.desk, FakeDesk)
    return app.desk


def told(app: ConsoleApp) -> str:
    return "\n".join(n.message for n in app._notifications)


def running(**plan: Any) -> JobFolder:
    return make_job("restore", *LOADING, ago=20, **plan)


def done() -> JobFolder:
    return make_job("restore", *LOADED, ended("done", restored(JOB)))


# Following


@pytest.mark.parametrize("size", SIZES)
async def test_what_is_journalled_is_seen_and_the_end_becomes_the_result(size: tuple[int, int]) -> None:
    app, folder = console(), running()
    async with app.run_test(size=size) as pilot:
        with held(folder):
            screen = await opened(pilot, JOB, "● running", "16,900 of 42,500 documents", "40%")
            write(folder, StepProgress("load", 42_500, 42_500, "documents"), StepDone("load"), Note("all in"))
            await until(pilot, lambda: "all in" in said(pilot) and "✓ load" in said(pilot))
            assert "How it ended" not in said(pilot)
            write(folder, *LOADED[-6:], ended("done", restored(JOB)))
            await until(pilot, lambda: "✓ done at 2026-11-18T11:06:40Z, exit code 0" in said(pilot))
        assert "shop.orders [swap]" in said(pilot) and "u  undo" in said(pilot)
        await until(pilot, lambda: not screen._following)


async def test_it_is_looked_at_again_only_while_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    app, folder = console(), done()
    reads: list[str] = []
    watch = desk(app).watch

    def counting(job: str) -> Any:
        found = watch(job)
        reads.append(job)
        return found

    monkeypatch.setattr(desk(app), "watch", counting)
    async with app.run_test(size=SMALL) as pilot:
        screen = await opened(pilot, JOB, "✓ done")
        await until(pilot, lambda: not screen._following)
        for _ in range(5):
            app.refresh_view()
            await pilot.pause()
        assert reads == [JOB] and not screen._following
        # Somebody resumes it from another terminal: the readings say so, and it is followed again.
        write(folder, JobStarted(2, 4712, "db-1"))
        with held(folder):
            facts = JobFacts(JOB, "restore", "running", started_at=NOW)
            newer = reading("jobs", (facts,), taken_at=NOW + timedelta(seconds=1))
            assert isinstance(app.feed, FakeFeed)
            app.feed.push(readings(jobs=newer), "jobs")
            await until(pilot, lambda: "attempt 2" in said(pilot))


async def test_a_process_that_died_is_told_and_can_be_resumed(monkeypatch: pytest.MonkeyPatch) -> None:
    app, folder = console(), running()
    app.desk.access.arm()
    permit()
    resumed: list[str] = []

    def launch(again: JobFolder) -> str:
        resumed.append(again.id)
        write(folder, JobStarted(2, 4712, "db-1"), ended("done", restored(JOB)))
        return ""

    monkeypatch.setattr("mongo_dr_console.workers.jobs.launch", launch)
    async with app.run_test(size=SMALL) as pilot:
        await opened(pilot, JOB, "✗ FAILED", "ended without a last word", "r  resume")
        await pilot.press("r")
        await until(pilot, lambda: "✓ done" in said(pilot))
        assert resumed == [JOB]


async def test_resuming_asks_for_an_armed_console() -> None:
    app, _ = console(), running()
    async with app.run_test(size=SMALL) as pilot:
        await opened(pilot, JOB, "✗ FAILED")
        await pilot.press("r")
        assert "not armed" in told(app)


# Leaving


@pytest.mark.parametrize("key", ["d", "escape"])
async def test_leaving_never_stops_it(key: str) -> None:
    app, folder = console(), running()
    app.desk.access.arm()
    with held(folder):
        async with app.run_test(size=SMALL) as pilot:
            await opened(pilot, JOB, "● running")
            await pilot.press(key)
            assert not isinstance(app.screen, JobScreen)
            assert f"Detached; job {JOB} goes on. Attach again: J" in told(app)
            # The end of the console is no end of the job either.
        assert not (folder.path / STOP).exists()
        assert desk(app).watch(JOB).read()[0].state == "running"


# Stopping


async def test_a_stop_must_be_typed_and_then_is_asked_for() -> None:
    app, folder = console(), running()
    app.desk.access.arm()
    permit()
    with held(folder):
        async with app.run_test(size=SMALL) as pilot:
            await opened(pilot, JOB, "● running")
            await pilot.press("s")
            await until(pilot, lambda: isinstance(app.screen, TypedConfirmation))
            assert "Type stop to go on:" in said(pilot)
            await pilot.press(*"sto")
            assert app.screen.query_one("#do", Button).disabled
            await pilot.press("p", "enter", "enter")
            await until(pilot, lambda: "● stopping" in said(pilot))
            assert (folder.path / STOP).exists()
            assert "will stop at its next safe point" in told(app)


@pytest.mark.parametrize(
    "keys", [["enter"], ["escape"], [*"sto", "enter", "escape"], [*"stopp", "enter", "escape"]]
)
async def test_less_than_the_word_stops_nothing(keys: list[str]) -> None:
    app, folder = console(), running()
    app.desk.access.arm()
    with held(folder):
        async with app.run_test(size=SMALL) as pilot:
            await opened(pilot, JOB, "● running")
            await pilot.press("s")
            await until(pilot, lambda: isinstance(app.screen, TypedConfirmation))
            await pilot.press(*keys)
            await until(pilot, lambda: isinstance(app.screen, JobScreen))
            assert not (folder.path / STOP).exists()


async def test_unarmed_there_is_no_question_even() -> None:
    app, folder = console(), running()
    with held(folder):
        async with app.run_test(size=SMALL) as pilot:
            await opened(pilot, JOB, "● running")
            await pilot.press("s")
            assert isinstance(app.screen, JobScreen) and "not armed" in told(app)


async def test_disarmed_meanwhile_nothing_is_stopped() -> None:
    app, folder = console(), running()
    app.desk.access.arm()
    with held(folder):
        async with app.run_test(size=SMALL) as pilot:
            await opened(pilot, JOB, "● running")
            await pilot.press("s")
            await until(pilot, lambda: isinstance(app.screen, TypedConfirmation))
            app.desk.access.disarm()
            await pilot.press(*"stop", "enter", "enter")
            await until(pilot, lambda: "not armed" in told(app))
            assert not (folder.path / STOP).exists()


# Taking back and settling


async def asked(pilot: Pilot[Any], key: str) -> TypedConfirmation:
    await pilot.press(key)
    await until(pilot, lambda: isinstance(pilot.app.screen, TypedConfirmation))
    assert isinstance(pilot.app.screen, TypedConfirmation)
    return pilot.app.screen


@pytest.mark.parametrize(("key", "kind"), [("u", "undo"), ("c", "accept")])
@pytest.mark.parametrize("size", SIZES)
async def test_the_jobs_id_takes_it_back_or_settles_it(
    key: str, kind: str, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    app, _ = console(), done()
    app.desk.access.arm()
    monkeypatch.setattr(desk(app), "_settle", lambda kind, job, typed: settled(desk(app), kind, job, typed))
    async with app.run_test(size=size) as pilot:
        await opened(pilot, JOB, "✓ done")
        await asked(pilot, key)
        assert f"Type {JOB} to go on:" in said(pilot)
        await pilot.press(*JOB, "enter", "enter")
        await until(pilot, lambda: isinstance(app.screen, JobScreen) and app.screen.job == "5eed0002")
        assert desk(app).done == [(kind, {"job": JOB, "typed": JOB})]
        # Back on the restore's page it is known what was done about it.
        await pilot.press("escape")
        what = "taken back" if kind == "undo" else "settled"
        await until(pilot, lambda: f"it was {what} by job 5eed0002" in said(pilot))


def settled(on: FakeDesk, kind: str, job: str, typed: str) -> Any:
    on.access.require("restore")
    on.job_folder = make_job(kind, ended("done"), job="5eed0002", request={"job": JOB})
    return on._start(kind, {"job": job, "typed": typed})


@pytest.mark.parametrize("key", ["u", "c"])
async def test_enter_at_once_takes_nothing_back_and_settles_nothing(key: str) -> None:
    app, _ = console(), done()
    app.desk.access.arm()
    async with app.run_test(size=SMALL) as pilot:
        await opened(pilot, JOB, "✓ done")
        dialog = await asked(pilot, key)
        assert dialog.focused is dialog.query_one("#cancel")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, JobScreen))
        assert desk(app).done == []


async def test_an_undo_says_what_becomes_of_the_writes_since() -> None:
    app, _ = console(), done()
    app.desk.access.arm()
    desk(app).writes = 1234
    async with app.run_test(size=SMALL) as pilot:
        await opened(pilot, JOB, "✓ done")
        await asked(pilot, "u")
        assert "1,234 writes reached the restored collections since." in said(pilot)


async def test_an_undo_can_be_had_while_nobody_can_count_the_writes() -> None:
    app, _ = console(), done()
    app.desk.access.arm()
    desk(app).failing["writes_since"] = Unreachable("x", "Nobody answers.")
    async with app.run_test(size=SMALL) as pilot:
        await opened(pilot, JOB, "✓ done")
        await asked(pilot, "u")
        assert "it could not be counted now" in " ".join(said(pilot).replace("│", " ").split())


@pytest.mark.parametrize("key", ["u", "c", "r", "s"])
async def test_keys_that_do_not_fit_say_so_and_do_nothing(key: str) -> None:
    app = console()
    app.desk.access.arm()
    make_job("backup", ended("done", None), job=JOB)
    async with app.run_test(size=SMALL) as pilot:
        await opened(pilot, JOB, "✓ done")
        await pilot.press(key)
        assert "there is nothing to" in told(app).lower() or "nothing here to" in told(app)
        assert isinstance(app.screen, JobScreen) and desk(app).done == []
        footer = said(pilot).splitlines()[-1]
        assert all(word not in footer for word in ("undo", "accept", "resume", "stop"))


async def test_pasting_is_refused_with_a_word() -> None:
    app, _ = console(), done()
    app.desk.access.arm()
    async with app.run_test(size=SMALL) as pilot:
        await opened(pilot, JOB, "✓ done")
        dialog = await asked(pilot, "c")
        field = dialog.query_one(TypedField)
        field.focus()
        field.post_message(events.Paste(JOB))
        await until(pilot, lambda: "Pasting is not possible here" in said(pilot))
        assert field.value == "" and dialog.query_one("#do", Button).disabled


async def test_the_report_is_copied() -> None:
    app, _ = console(), done()
    async with app.run_test(size=SMALL) as pilot:
        await opened(pilot, JOB, "✓ done")
        await pilot.press("y")
        assert f"restore job {JOB}" in app.clipboard and "shop.orders [swap]" in app.clipboard


async def test_conflicts_are_without_values_where_these_are_hidden() -> None:
    conflict = {"position": "1:1", "namespace": "shop.orders", "text": "_id='roe' was written since"}
    result = restored(JOB, conflicts=[conflict], conflict_count=1)
    make_job("restore", *LOADED, Note("shop.orders _id='roe' is odd"), ended("partial", result))
    app = console()
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot, JOB, "! partial", "_id='roe' was written since")
        app.run_command("hide-values")
        await until(pilot, lambda: "_id=<value> was written since" in said(pilot))
        await pilot.press("y")
        assert "'roe'" not in said(pilot) + app.clipboard


# The log


async def test_a_long_log_stays_at_its_newest_note_until_somebody_scrolls() -> None:
    app = console()
    folder = make_job("restore", *LOADING, *(Note(f"note {n}") for n in range(60)), ago=700)
    with held(folder):
        async with app.run_test(size=SMALL) as pilot:
            await opened(pilot, JOB, "note 59")
            write(folder, Note("the next one"))
            await until(pilot, lambda: "the next one" in said(pilot))
            await pilot.press("home")
            await until(pilot, lambda: "note 0\n" in said(pilot))
            write(folder, Note("the one after"))
            await until(pilot, lambda: "the one after" in app.screen.query_one("#text").text)  # type: ignore[attr-defined]
            await pilot.pause()
            assert "note 0\n" in said(pilot)


# Jobs of other hosts


@pytest.mark.parametrize("size", SIZES)
async def test_a_job_of_another_host_follows_the_lock(size: tuple[int, int]) -> None:
    app = console(readings(lock=reading("lock", lock_info())))
    async with app.run_test(size=size) as pilot:
        await opened(pilot, "0ff51de0", "● running", "'replay' at 43%", "joe@db-7", "attach 0ff51de0")
        assert isinstance(app.feed, FakeFeed)
        app.feed.push(readings(lock=reading("lock", lock_info(percent=71.0))), "lock")
        await until(pilot, lambda: "'replay' at 71%" in said(pilot))
        app.desk.access.arm()
        await pilot.press("s")
        assert "on db-7: mdr jobs stop 0ff51de0" in told(app)
        broken = replace(reading("lock", lock_info(percent=71.0)), error=DOWN)
        app.feed.push(readings(lock=broken), "lock")
        await until(pilot, lambda: "The lock cannot be read now" in said(pilot))
        app.feed.push(readings(lock=reading("lock", None, taken_at=NOW)), "lock")
        await until(pilot, lambda: "? ended" in said(pilot) and "mdr jobs show 0ff51de0" in said(pilot))


async def test_a_job_that_nobody_knows_is_no_crash() -> None:
    app = console()
    async with app.run_test(size=SMALL) as pilot:
        await opened(pilot, "ffffffff", "This host has no job ffffffff")
        await pilot.press("y", "u", "c", "r", "s", "d")
        assert desk(app).done == []


async def test_a_plan_that_cannot_be_read_is_told() -> None:
    app, folder = console(), done()
    (folder.path / "plan.json").write_text("{")
    async with app.run_test(size=SMALL) as pilot:
        await opened(pilot, JOB, "✗ The plan of job 5eed0001 cannot be read")


# The list


JOBS = (
    JobFacts(JOB, "restore", "done", owner="jane@db-1", started_at=NOW - timedelta(hours=2)),
    JobFacts("5eed0002", "backup", "failed", owner="cron@db-1", started_at=NOW - timedelta(hours=1)),
)
LISTED = readings(jobs=reading("jobs", JOBS), lock=reading("lock", lock_info()))


@pytest.mark.parametrize("size", SIZES)
async def test_the_list_has_this_hosts_jobs_and_the_locks(size: tuple[int, int]) -> None:
    app, _ = console(LISTED), done()
    async with app.run_test(size=size) as pilot:
        await pilot.press("J")
        await until(pilot, lambda: isinstance(app.screen, JobsScreen) and "Jobs: 3, 1 running" in said(pilot))
        rows = [row for row in said(pilot).splitlines() if "@db-" in row]
        assert ["0ff51de0" in rows[0], "5eed0002" in rows[1], JOB in rows[2]] == [True] * 3
        assert "replay 43%" in rows[0] and "FAILED" in rows[1] and "✓" in rows[2]
        await pilot.press("down", "down", "enter")
        await until(pilot, lambda: isinstance(app.screen, JobScreen) and "✓ done" in said(pilot))
        await pilot.press("J")
        assert isinstance(app.screen, JobsScreen) and len(app.screen_stack) == 3


async def test_the_cursor_stays_on_its_job_when_a_new_one_comes() -> None:
    app = console(LISTED)
    async with app.run_test(size=SMALL) as pilot:
        await pilot.press("J", "down")
        await until(pilot, lambda: "▶ ✗ 5eed0002" in said(pilot))
        new = JobFacts("5eed0003", "verify", "running", owner="jane@db-1", started_at=NOW)
        assert isinstance(app.feed, FakeFeed)
        app.feed.push(readings(jobs=reading("jobs", (*JOBS, new))), "jobs")
        await until(pilot, lambda: "5eed0003" in said(pilot))
        assert "▶ ✗ 5eed0002" in said(pilot)


async def test_the_filter_narrows_and_esc_takes_it_away_first() -> None:
    app = console(LISTED)
    async with app.run_test(size=SMALL) as pilot:
        await pilot.press("J", "slash", *"cron")
        await until(pilot, lambda: "Jobs: 1 of 3" in said(pilot))
        assert JOB not in said(pilot)
        await pilot.press("enter", "escape")
        await until(pilot, lambda: "Jobs: 3, 1 running" in said(pilot) and JOB in said(pilot))
        await pilot.press("escape")
        assert not isinstance(app.screen, JobsScreen)


async def test_an_empty_list_says_what_would_be_in_it() -> None:
    app = console()
    async with app.run_test(size=SMALL) as pilot:
        await pilot.press("J")
        await until(pilot, lambda: "There are no jobs." in said(pilot))
