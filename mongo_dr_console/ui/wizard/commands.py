"""The commands that open the wizard."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mongo_dr_console.ui.commands import Command, is_open

if TYPE_CHECKING:
    from mongo_dr_console.ui.app import ConsoleApp


def _open(app: ConsoleApp) -> None:
    from mongo_dr_console.ui.wizard.screen import open_wizard

    open_wizard(app)


def _refusal(app: ConsoleApp) -> str:
    if is_open(app, "mongo_dr_console.ui.wizard.screen", "WizardScreen"):
        return "The restore wizard is open already."
    return ""


COMMANDS: tuple[Command, ...] = (
    Command(
        "restore",
        "R",
        "restore…",
        "Walk to a restore, step by step; nothing is changed before the last step is confirmed.",
        _open,
        _refusal,
        shown=True,
        group="Restore",
    ),
)
