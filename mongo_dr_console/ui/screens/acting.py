"""What screens need that have things done: asking for access first, and following what was started."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mongo_dr_console.config import Access
from mongo_dr_console.model.trouble import Refused
from mongo_dr_console.ui.background import Problem, in_thread

if TYPE_CHECKING:
    from collections.abc import Callable

    from mongo_dr_console.ui.app import ConsoleApp
    from mongo_dr_console.workers.desk import Started


def refusal(app: ConsoleApp, needed: Access) -> str:
    """Why this console may not do what needs this access, now; empty if it may. The desk asks once more."""
    try:
        app.desk.access.require(needed)
    except Refused as refused:
        return str(refused)
    return ""


def allowed(app: ConsoleApp, needed: Access) -> bool:
    """Whether the console may; says why where it may not."""
    if why := refusal(app, needed):
        app.say(why, level="warning")
    return not why


async def start(app: ConsoleApp, call: Callable[[], Started]) -> None:
    """Has a job started and goes to its screen; says why where it does not start."""
    from mongo_dr_console.ui.screens.job import JobScreen

    started = await in_thread(call)
    if isinstance(started, Problem):
        app.say_problem(started)
        return
    app.feed.refresh("jobs")
    await app.push_screen(JobScreen(started.folder.id, started.warning))
