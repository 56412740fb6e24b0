"""The console on three sources that never answer: the set and the oplog wait for ever in the loop, the store
in a thread. Run by ``bench/console.py`` on a terminal of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

from mongo_dr_console.config import config_path, load_config
from mongo_dr_console.ui.app import ConsoleApp
from mongo_dr_console.workers.access import ConsoleAccess
from mongo_dr_console.workers.desk import Desk
from mongo_dr_console.workers.pollers import Pollers
from mongo_dr_console.workers.sources import all_sources
from mongo_dr_console.workers.threads import DaemonThreads, run_bounded


class Hanging:
    """A source that is asked and never answers; its tries time out and are made again."""

    interval, timeout = 2.0, 1.0

    def __init__(self, name: str, wait: Callable[[], Any]) -> None:
        self.name = name
        self._wait = wait

    async def read(self) -> tuple[Any, str]:
        await self._wait()
        raise AssertionError("a hanging source has answered")


async def _run(name: str) -> None:
    file = config_path()
    profile = load_config(file).profiles[name]
    stuck = asyncio.get_running_loop().run_in_executor(DaemonThreads(), threading.Event().wait)

    async def in_thread() -> None:
        await asyncio.shield(stuck)

    feed: Pollers
    sources, deployment = all_sources(name, profile, lambda: feed.readings)
    hanging = {
        "set": asyncio.Event().wait,
        "oplog": asyncio.Event().wait,
        **{name: in_thread for name in sources if name.startswith("store:")},
    }
    feed = Pollers(name, profile, sources={**sources, **{n: Hanging(n, w) for n, w in hanging.items()}})
    desk = Desk(name, profile, file, ConsoleAccess(name, profile, "restore"))
    app = ConsoleApp(desk, feed)
    await app.run_async(mouse=False)
    await deployment.close()
    if app.failure is not None:
        raise app.failure


if __name__ == "__main__":
    run_bounded(_run("test"))
