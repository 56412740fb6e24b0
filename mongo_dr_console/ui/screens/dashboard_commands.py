"""The commands that the dashboard adds everywhere. Its panels' keys are bindings of its own screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mongo_dr_console.ui.commands import Command

if TYPE_CHECKING:
    from mongo_dr_console.ui.app import ConsoleApp


def _facts(app: ConsoleApp) -> None:
    from mongo_dr_console.ui.screens.facts import FactsScreen

    app.push_screen(FactsScreen(app.view))


def _shown_already(app: ConsoleApp) -> str:
    from mongo_dr_console.ui.screens.facts import FactsScreen

    return "All facts are on the screen already." if isinstance(app.screen, FactsScreen) else ""


COMMANDS: tuple[Command, ...] = (
    Command(
        "facts",
        "v",
        "facts",
        "All facts of the verdict, the most urgent first.",
        _facts,
        _shown_already,
        shown=True,
        group="Watching",
    ),
)
