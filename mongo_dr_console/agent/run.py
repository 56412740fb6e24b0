"""The agent as a process: one for each profile of a config file, signals, and the service manager."""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from mongo_dr_console.agent.heard import Signals, listening
from mongo_dr_console.agent.log import Log
from mongo_dr_console.agent.notify import notify, reloading, watchdog_seconds
from mongo_dr_console.agent.orders import Orders, only_one
from mongo_dr_console.agent.profile import ProfileAgent
from mongo_dr_console.agent.term import END_SECONDS
from mongo_dr_console.config import load_config
from mongo_dr_console.model.trouble import Trouble, WrongUse

_LOOK_SECONDS = 1.0
_LAST_SECONDS = END_SECONDS + 10


def run_agent(config_file: Path, names: Sequence[str], log: Log) -> bool:
    """Does the work of these profiles until SIGTERM or SIGINT; SIGHUP reads the config file again. To be
    called in the main thread.

    Args:
        names: Of profiles; none: all that the file has.

    Returns:
        Whether everything that was begun was finished.

    Raises:
        WrongUse: The config is wrong, or a profile asks for nothing or for what cannot be had.
        Refused: Another agent of this host works for one of these profiles.
    """
    crew = _Crew(config_file, names, log)
    with listening(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals, crew.locks:
        crew.begin()
        notify("READY=1")
        _until_told_to_end(crew, signals)
        notify("STOPPING=1")
        return crew.end()


def _until_told_to_end(crew: _Crew, signals: Signals) -> None:
    every = watchdog_seconds()
    while True:
        heard = signals.next(min(_LOOK_SECONDS, every or _LOOK_SECONDS))
        if heard in (signal.SIGTERM, signal.SIGINT):
            return
        if heard == signal.SIGHUP:
            reloading()
            crew.reload()
            notify("READY=1")
        if every is not None and crew.alive:
            notify("WATCHDOG=1")


class _Crew:
    """An agent for each profile."""

    def __init__(self, config_file: Path, names: Sequence[str], log: Log) -> None:
        self._file, self._names, self._log = config_file, tuple(names), log
        self._agents: dict[str, ProfileAgent] = {}
        self._locked: dict[str, ExitStack] = {}
        self.locks = ExitStack()

    @property
    def alive(self) -> bool:
        return all(agent.alive for agent in self._agents.values())

    def begin(self) -> None:
        orders = self._orders()
        for each in orders:
            self._lock(each)
        for each in orders:
            self._begin(each)

    def reload(self) -> None:
        """By the config file as it is now; one that is wrong changes nothing."""
        try:
            orders = {each.name: each for each in self._orders()}
        except Trouble as trouble:
            self._log.say(f"the config was not reloaded, the old one stays: {trouble}", level="error")
            return
        for name in [n for n in self._agents if n not in orders]:
            agent = self._agents.pop(name)
            agent.stop()
            agent.join(_LAST_SECONDS)
            self._locked.pop(name).close()
        for name, each in orders.items():
            if name in self._agents:
                self._agents[name].reload(each)
            else:
                try:
                    self._lock(each)
                except Trouble as trouble:
                    self._log.say(str(trouble), name, "error")
                    continue
                self._begin(each)
        self._log.say("the config was reloaded")

    def end(self) -> bool:
        for agent in self._agents.values():
            agent.stop()
        deadline = time.monotonic() + _LAST_SECONDS
        ended = [a.join(max(0.0, deadline - time.monotonic())) for a in self._agents.values()]
        return all(ended)

    def _orders(self) -> list[Orders]:
        """Raises Trouble where one of them cannot be followed."""
        config = load_config(self._file)
        unknown = [name for name in self._names if name not in config.profiles]
        if unknown or not config.profiles:
            raise WrongUse(
                "profile-unknown",
                f"There is no profile {unknown[0]!r} in {self._file}." if unknown else "There is no profile.",
                f"Known: {', '.join(sorted(config.profiles)) or 'none'}",
            )
        orders = [
            Orders(name, config.profiles[name], self._file, config.agent)
            for name in self._names or sorted(config.profiles)
        ]
        for each in orders:
            each.check()
        return orders

    def _lock(self, orders: Orders) -> None:
        stack = ExitStack()
        stack.enter_context(only_one(orders.name, orders.profile))
        self._locked[orders.name] = stack
        self.locks.callback(stack.close)

    def _begin(self, orders: Orders) -> None:
        self._agents[orders.name] = agent = ProfileAgent(orders, self._log.of(orders.name))
        agent.start()
