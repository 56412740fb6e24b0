"""Arming: what it allows, for how long, whose environment. Cancel has the focus."""

from __future__ import annotations

from mongo_dr_console.config import Access
from mongo_dr_console.model.words import UNKNOWN
from mongo_dr_console.ui.lines import Line, line, wrapped
from mongo_dr_console.ui.screens.dialog import DIALOG_WIDTH, Dialog
from mongo_dr_console.ui.view import View
from mongo_dr_console.workers.access import ARM_SECONDS

_ALLOWS: dict[Access, str] = {
    "watch": "nothing",
    "operate": "back up and verify, but not restore",
    "restore": "back up and verify, restore, undo and accept restores",
}


class Arm(Dialog[bool]):
    """Asks whether the console shall be armed.

    Args:
        view: Whose environment, and what the console may do at most.
        profile: Its name.
    """

    def __init__(self, view: View, profile: str) -> None:
        super().__init__("Arm this console?", arm_lines(view, profile), "Arm")

    def answer(self) -> bool:
        return True


def arm_lines(view: View, profile: str) -> list[Line]:
    """What arming means here."""
    status = None if view.readings.set is None else view.readings.set.value
    members = UNKNOWN if status is None else status.set_name or UNKNOWN
    minutes = round(ARM_SECONDS / 60)
    where = line(
        (f" {view.readings.environment.upper()} ", "environment"), f" set {members}, profile {profile}"
    )
    allowed = f"For {minutes} minutes it may {_ALLOWS[view.granted]}. Arming itself changes nothing:"
    return [
        *([where] if where.width <= DIALOG_WIDTH else wrapped(where.text, DIALOG_WIDTH)),
        Line(),
        *wrapped(f"{allowed} what destroys anything still asks, and wants its name typed.", DIALOG_WIDTH),
        *wrapped("A disarms at once.", DIALOG_WIDTH, "dim"),
    ]
