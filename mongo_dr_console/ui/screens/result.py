"""What can be done about a job, each typed first: stopping it, taking a swap back, settling it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mongo_dr_console.model.jobview import JobView
from mongo_dr_console.ui.background import Problem, in_thread
from mongo_dr_console.ui.lines import wrapped
from mongo_dr_console.ui.resultpage import accept_lines, undo_lines
from mongo_dr_console.ui.screens.acting import start
from mongo_dr_console.ui.screens.dialog import DIALOG_WIDTH
from mongo_dr_console.ui.screens.typed import TypedConfirmation

if TYPE_CHECKING:
    from mongo_dr_console.ui.app import ConsoleApp

_COUNTING_SECONDS = 4.0
"""How long somebody in a hurry waits for the number of writes."""


async def stop(app: ConsoleApp, view: JobView) -> None:
    """Asks a job to end at its next safe point, once ``stop`` was typed."""
    text = (
        f"Job {view.job} is asked to end at its next safe point: what it has finished stays, and it can be "
        "resumed from there. Nothing is left half-written."
    )
    dialog = TypedConfirmation(f"Stop this {view.kind}?", wrapped(text, DIALOG_WIDTH), "stop", "Stop")
    typed = await app.push_screen_wait(dialog)
    if typed is None:
        return
    answer = await in_thread(lambda: app.desk.stop(view.job, typed))
    if isinstance(answer, Problem):
        app.say_problem(answer)
    else:
        app.say(f"Job {view.job} will stop at its next safe point.")


async def undo(app: ConsoleApp, view: JobView, restore: str) -> None:
    """Takes a swap back, once its job's id was typed; says what happens to the writes made since."""
    counted: int | Problem | None = Problem("timeout", "")
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_COUNTING_SECONDS):
            counted = await in_thread(lambda: app.desk.writes_since(restore))
    known = not isinstance(counted, Problem)
    said = undo_lines(view, None if isinstance(counted, Problem) else counted, known, DIALOG_WIDTH)
    dialog = TypedConfirmation("Take this restore back?", said, restore, "Undo")
    typed = await app.push_screen_wait(dialog)
    if typed is not None:
        await start(app, lambda: app.desk.undo(restore, typed))


async def accept(app: ConsoleApp, view: JobView, settlements: Sequence[JobView], restore: str) -> None:
    """Drops what a swap, or its undo, has set aside, once the restore's id was typed."""
    undone = [s for s in settlements if s.kind == "undo" and s.state == "done"]
    said = accept_lines(undone[-1] if undone else view, DIALOG_WIDTH)
    dialog = TypedConfirmation("Settle this restore?", said, restore, "Accept")
    typed = await app.push_screen_wait(dialog)
    if typed is not None:
        await start(app, lambda: app.desk.accept(restore, typed))
