"""The command that opens the schedule."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mongo_dr_console.ui.commands import Command

if TYPE_CHECKING:
    from mongo_dr_console.ui.app import ConsoleApp


def _open(app: ConsoleApp) -> None:
    from mongo_dr_console.ui.screens.schedule import ScheduleScreen

    app.push_screen(ScheduleScreen())


def _open_already(app: ConsoleApp) -> str:
    shown = type(app.screen).__name__ == "ScheduleScreen"
    return "The schedule is on the screen already." if shown else ""


COMMANDS: tuple[Command, ...] = (
    Command(
        "schedule",
        "S",
        "schedule",
        "What the agent runs by itself, when, what became of it, and who leads.",
        _open,
        _open_already,
        shown=False,
        group="Watching",
    ),
)
