"""The commands about drills."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mongo_dr_console.ui.commands import Command
from mongo_dr_console.ui.screens.acting import refusal, start

if TYPE_CHECKING:
    from mongo_dr_console.ui.app import ConsoleApp


def _drills(app: ConsoleApp) -> None:
    from mongo_dr_console.ui.screens.drills import DrillsScreen

    app.push_screen(DrillsScreen())


def _no_drills(app: ConsoleApp) -> str:
    return "This is the list of drills." if type(app.screen).__name__ == "DrillsScreen" else ""


def _drill(app: ConsoleApp) -> None:
    app.run_worker(_ask_and_drill(app), exit_on_error=False, exclusive=True, group="ask")


async def _ask_and_drill(app: ConsoleApp) -> None:
    from mongo_dr_console.ui.screens.drill_dialog import DrillDialog

    kind = await app.push_screen_wait(DrillDialog())
    if kind is not None:
        await start(app, lambda: app.desk.drill(full=kind == "full"))


def _no_drill(app: ConsoleApp) -> str:
    if not app.desk.profile.stores:
        return "The profile has no stores, so there is nowhere to keep a snapshot."
    return refusal(app, "restore")


COMMANDS: tuple[Command, ...] = (
    Command(
        "drills",
        "D",
        "drills",
        "Rehearsed recoveries: score card, trend, each one's steps.",
        _drills,
        _no_drills,
        group="Jobs",
    ),
    Command(
        "drill",
        "",
        "new drill…",
        "Rehearse a recovery now; asks which kind.",
        _drill,
        _no_drill,
        group="Jobs",
    ),
)
