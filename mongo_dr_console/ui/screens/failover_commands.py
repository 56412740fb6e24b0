"""The command that opens the failover screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mongo_dr_console.ui.commands import Command

if TYPE_CHECKING:
    from mongo_dr_console.ui.app import ConsoleApp


def _open(app: ConsoleApp) -> None:
    from mongo_dr_console.ui.screens.failover import FailoverScreen

    app.push_screen(FailoverScreen())


def _open_already(app: ConsoleApp) -> str:
    shown = type(app.screen).__name__ == "FailoverScreen"
    return "The failovers are on the screen already." if shown else ""


COMMANDS: tuple[Command, ...] = (
    Command(
        "failover",
        "F",
        "failover",
        "How the primary stands, where applications are led, and each failover step by step.",
        _open,
        _open_already,
        shown=False,
        group="Watching",
    ),
)
