"""The list of all profiles, and the console on the one that is gone into."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from mongo_dr_console.cli.console import (
    Wanted,
    ending_timer,
    leave_on_signals,
    settings,
    show,
    speaks_unicode,
)
from mongo_dr_console.config import Config, config_path, load_config
from mongo_dr_console.model.trouble import Trouble, WrongUse

if TYPE_CHECKING:
    from mongo_dr_console.ui.feed import Feed
    from mongo_dr_console.ui.profiles import ProfilesApp, Watched


def run_list(wanted: Wanted) -> None:
    """Shows the list until it, or a profile that was gone into, is left for good.

    Raises:
        WrongUse: No profile is configured.
    """
    from mongo_dr_console.cli.context import config_of
    from mongo_dr_console.workers.threads import run_bounded

    path = config_of(None)
    config = load_config(path)
    if not config.profiles:
        raise WrongUse("profile-unsaid", "No profile is configured.", "Begin with: mdr config init")
    ending = ending_timer()
    error = run_bounded(_run(path, config, wanted, ending))
    ending.cancel()
    if error is not None:
        raise error


async def _run(path: Path, config: Config, wanted: Wanted, ending: threading.Timer) -> Exception | None:
    """The list, a profile, the list again; what one of them died of, if any. Then ``ending`` runs."""
    from mongo_dr_console.cli.context import Chosen

    watched = [_watched(name, config) for name in sorted(config.profiles)]
    feeds = [w.feed for w in watched if w.feed is not None]
    drawn = asyncio.Event()
    tasks = [asyncio.create_task(_poll(feed, drawn), name="profile") for feed in feeds]
    at = ""
    try:
        while True:
            listed = _app(path, watched, wanted, at, drawn)
            leave_on_signals(listed)
            at = await listed.run_async(mouse=wanted.mouse) or ""
            if not at or listed.failure is not None:
                return listed.failure
            for feed in feeds:  # what is not looked at is not asked
                feed.pause()
            chosen = Chosen(at, config.profiles[at], path, named=True, alone=len(config.profiles) == 1)
            app = await show(chosen, wanted, listed=True)
            if app.failure is not None or not app.to_list:
                return app.failure
            for feed in feeds:
                feed.resume()
    finally:
        ending.start()
        await _ended(tasks)


async def _poll(feed: Feed, drawn: asyncio.Event) -> None:
    # Asking loads libraries, which takes longer than drawing the list.
    await drawn.wait()
    # Whatever ends one profile's pollers, the others go on; its values grow old, which its row says.
    with suppress(Exception):
        await feed.run()


async def _ended(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=1)


def _watched(name: str, config: Config) -> Watched:
    """A profile with pollers of its own; one that has none says why in its row."""
    from mongo_dr_console.ui.profiles import Watched
    from mongo_dr_console.workers.latepollers import LatePollers
    from mongo_dr_console.workers.limits import limits_of

    profile = config.profiles[name]
    limits = limits_of(profile)
    try:
        return Watched(name, profile.environment, limits, LatePollers(name, profile))
    except Trouble as trouble:
        return Watched(name, profile.environment, limits, None, trouble.message)


def _app(path: Path, watched: list[Watched], wanted: Wanted, at: str, drawn: asyncio.Event) -> ProfilesApp:
    from mongo_dr_console.ui.driver import LastingDriver
    from mongo_dr_console.ui.profiles import ProfilesApp

    theme, keys = settings(path)
    app = ProfilesApp(
        watched,
        at=at,
        theme=wanted.theme or theme,
        themes=config_path().parent / "themes",
        keys=keys,
        ascii_only=wanted.ascii or not speaks_unicode(),
        drawn=drawn.set,
    )
    app.driver_class = LastingDriver
    return app
