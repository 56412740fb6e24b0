"""The commands about alerts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mongo_dr_console.ui.background import Problem, in_thread
from mongo_dr_console.ui.commands import Command
from mongo_dr_console.ui.screens.acting import refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from mongo_dr_console.model.alert import Alert
    from mongo_dr_console.model.alertfacts import AlertFacts
    from mongo_dr_console.ui.app import ConsoleApp

_ONLY_HERE = " The store that agents share does not answer: only an agent of this host hears it."


def _alerts(app: ConsoleApp) -> None:
    from mongo_dr_console.ui.screens.alerts import AlertsScreen

    app.push_screen(AlertsScreen())


def _no_alerts(app: ConsoleApp) -> str:
    listed = type(app.screen).__name__ == "AlertsScreen"
    return "This is the list of alerts." if listed else ""


def _facts(app: ConsoleApp) -> AlertFacts | None:
    reading = app.feed.readings.alerts
    return None if reading is None else reading.value


def _subject(app: ConsoleApp) -> Alert | None:
    """The alert under the cursor; elsewhere the only one that runs."""
    from mongo_dr_console.ui.screens.alerts import AlertsScreen

    facts = _facts(app)
    running = () if facts is None else facts.running_alerts
    if isinstance(app.screen, AlertsScreen):
        return next((a for a in running if a.id == app.screen.chosen), None)
    return running[0] if len(running) == 1 else None


def _ack(app: ConsoleApp) -> None:
    alert = _subject(app)
    if alert is not None:
        done = f"Taken up: {alert.name}. It is not repeated until it ends or becomes worse."
        _work(app, _do(app, lambda: app.desk.acknowledge(alert.id), done))


def _no_ack(app: ConsoleApp) -> str:
    if why := refusal(app, "operate"):
        return why
    alert = _subject(app)
    if alert is None:
        return "No alert is chosen that could be taken up."
    return f"It is taken up already, by {alert.acked_by}." if alert.acked_by else ""


def _silence(app: ConsoleApp) -> None:
    _work(app, _ask_and_silence(app))


async def _ask_and_silence(app: ConsoleApp) -> None:
    from mongo_dr_console.model.alert import EVERYTHING
    from mongo_dr_console.ui.screens.silence import SilenceDialog

    alert = _subject(app)
    wanted = await app.push_screen_wait(SilenceDialog("" if alert is None else alert.kind.value))
    if wanted is not None:
        what = "Everything" if wanted.kind == EVERYTHING else wanted.kind
        await _do(app, lambda: app.desk.silence(wanted.kind, wanted.lasts), f"{what} is silenced.")


def _no_silence(app: ConsoleApp) -> str:
    return refusal(app, "operate")


def _unsilence(app: ConsoleApp) -> None:
    _work(app, _do(app, app.desk.unsilence, "Nothing is silenced any more."))


def _no_unsilence(app: ConsoleApp) -> str:
    facts = _facts(app)
    standing = facts is not None and any(app.clock() < s.until for s in facts.state.silences)
    return refusal(app, "operate") or ("" if standing else "Nothing is silenced.")


async def _do(app: ConsoleApp, call: Callable[[], str], done: str) -> None:
    """Has it noted, and says where only this host hears it."""
    from mongo_dr_console.workers.alertstate import HERE

    where = await in_thread(call)
    if isinstance(where, Problem):
        app.say_problem(where)
        return
    app.say(done + (_ONLY_HERE if where == HERE else " The agent hears it within seconds."))
    app.feed.refresh("alerts")


def _work(app: ConsoleApp, work: Coroutine[Any, Any, None]) -> None:
    app.run_worker(work, exit_on_error=False, exclusive=True, group="ask")


COMMANDS: tuple[Command, ...] = (
    Command(
        "alerts",
        "N",
        "alerts",
        "What the agent warns of, who is told, and what is silenced.",
        _alerts,
        _no_alerts,
        group="Alerts",
    ),
    Command(
        "alert-ack",
        "",
        "take an alert up",
        "Say that somebody sees to it: it is not repeated until it ends or becomes worse.",
        _ack,
        _no_ack,
        group="Alerts",
    ),
    Command(
        "alert-silence",
        "",
        "silence…",
        "Send nothing for a kind of alert, or for all, for a time; asks which and how long.",
        _silence,
        _no_silence,
        group="Alerts",
    ),
    Command(
        "alert-unsilence",
        "",
        "end silences",
        "Take all silences back: what they held back is told now.",
        _unsilence,
        _no_unsilence,
        group="Alerts",
    ),
)
