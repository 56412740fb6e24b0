"""The commands about jobs, backups and snapshots."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mongo_dr_console.ui.commands import Command
from mongo_dr_console.ui.screens.acting import refusal, start

if TYPE_CHECKING:
    from mongo_dr_console.model.catalogue import SnapshotEntry
    from mongo_dr_console.ui.app import ConsoleApp
    from mongo_dr_console.workers.desk import StoreChoice


def _jobs(app: ConsoleApp) -> None:
    from mongo_dr_console.ui.screens.job import JobScreen
    from mongo_dr_console.ui.screens.jobs import JobsScreen

    # From a job that the list led to it is a step back, not another list on top.
    if isinstance(app.screen, JobScreen) and isinstance(app.screen_stack[-2], JobsScreen):
        app.pop_screen()
    else:
        app.push_screen(JobsScreen())


def _no_jobs(app: ConsoleApp) -> str:
    listed = type(app.screen).__name__ == "JobsScreen"
    return "This is the list of jobs." if listed else ""


def _backup(app: ConsoleApp) -> None:
    _work(app, _ask_and_back_up(app))


async def _ask_and_back_up(app: ConsoleApp) -> None:
    from mongo_dr_console.ui.screens.backup import BackupDialog, reading_lines

    wanted = await app.push_screen_wait(BackupDialog(app.desk.stores(), reading_lines(app.view)))
    if wanted is not None:
        await start(app, lambda: app.desk.backup(wanted.stores, wanted.compression))


def _no_backup(app: ConsoleApp) -> str:
    if not app.desk.profile.stores:
        return "The profile has no stores, so there is nowhere to keep a snapshot."
    return refusal(app, "operate")


def _verify(app: ConsoleApp) -> None:
    _work(app, _ask_and_verify(app))


async def _ask_and_verify(app: ConsoleApp) -> None:
    from mongo_dr_console.ui.screens.backup import VerifyDialog, verify_lines

    entry, stores = _subject(app)
    if entry is None:
        return
    level = await app.push_screen_wait(VerifyDialog(verify_lines(entry, stores)))
    if level is not None:
        store = stores[0] if len(stores) == 1 else None
        await start(app, lambda: app.desk.verify(entry.name, store, level))


def _subject(app: ConsoleApp) -> tuple[SnapshotEntry | None, list[str]]:
    """The snapshot that is looked at and its store; elsewhere the newest one and every store that has it."""
    from mongo_dr_console.ui.screens.snapshot import SnapshotScreen
    from mongo_dr_console.ui.snapshotpage import entry_of, holders

    backups = app.view.readings.backups
    if backups is None or backups.value is None:
        return None, []
    if isinstance(app.screen, SnapshotScreen):
        return entry_of(backups.value.stores, app.screen.snapshot, app.screen.store), [app.screen.store]
    newest = backups.value.newest
    return newest, [] if newest is None else holders(backups.value.stores, newest)


def _no_verify(app: ConsoleApp) -> str:
    if why := refusal(app, "operate"):
        return why
    return "" if _subject(app)[0] is not None else "No snapshot is known that could be verified."


def _copy(app: ConsoleApp) -> None:
    _work(app, _ask_and_copy(app))


async def _ask_and_copy(app: ConsoleApp) -> None:
    from mongo_dr_console.ui.screens.backup import CopyDialog, copy_lines

    entry, _ = _subject(app)
    if entry is None:
        return
    targets = _targets(app, entry)
    target = await app.push_screen_wait(CopyDialog(copy_lines(entry, _having(app, entry)), targets))
    if target is not None:
        await start(app, lambda: app.desk.copy(entry.name, None, target))


def _having(app: ConsoleApp, entry: SnapshotEntry) -> list[str]:
    from mongo_dr_console.ui.snapshotpage import holders

    backups = app.view.readings.backups
    return [] if backups is None or backups.value is None else holders(backups.value.stores, entry)


def _targets(app: ConsoleApp, entry: SnapshotEntry) -> list[StoreChoice]:
    """Stores that can be used and do not have it."""
    having = _having(app, entry)
    return [s for s in app.desk.stores() if not s.refusal and s.name not in having]


def _no_copy(app: ConsoleApp) -> str:
    if why := refusal(app, "operate"):
        return why
    entry, _ = _subject(app)
    if entry is None:
        return "No snapshot is known that could be copied."
    if entry.problem is not None:
        return f"It cannot be copied: {entry.problem.message}"
    if not _targets(app, entry):
        return f"There is no other store that {entry.name} could be copied into."
    return ""


def _work(app: ConsoleApp, work: object) -> None:
    app.run_worker(work, exit_on_error=False, exclusive=True, group="ask")  # type: ignore[arg-type]


COMMANDS: tuple[Command, ...] = (
    Command(
        "backup",
        "B",
        "backup…",
        "Take a snapshot into the stores; asks which and how.",
        _backup,
        _no_backup,
        shown=True,
        group="Jobs",
    ),
    Command(
        "jobs", "J", "jobs", "All jobs; attach to one, and leave it again.", _jobs, _no_jobs, True, "Jobs"
    ),
    Command(
        "verify",
        "V",
        "verify…",
        "Read a snapshot back: the one that is looked at, else the newest.",
        _verify,
        _no_verify,
        shown=False,
        group="Jobs",
    ),
    Command(
        "copy",
        "",
        "copy…",
        "Copy a snapshot into another store: the one that is looked at, else the newest.",
        _copy,
        _no_copy,
        group="Jobs",
    ),
)
