"""What an agent does while it leads: duties, each in threads of its own, begun and ended together."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from mongo_dr_console.config import AgentConfig, Profile
from mongo_dr_console.stores.agents_store import Shared

Tell = Callable[[str], None]
"""A line for whoever looks after the process."""


@dataclass(frozen=True, slots=True)
class Term:
    """The time for which this agent leads.

    Args:
        fence: Greater than that of every leader before; 0 where nothing is shared with other agents.
        ended: Set as soon as the agent may lead no longer, or no longer knows whether it may. Whoever acts
            on the outside asks ``holds`` right before.
        runs: Asks the clock as well: a process that was stopped for a while may find itself in the middle of
            its work before anything could set ``ended``.
    """

    fence: int = 0
    ended: threading.Event = field(default_factory=threading.Event)
    runs: Callable[[], bool] = field(default=lambda: True)

    def holds(self) -> bool:
        return not self.ended.is_set() and self.runs()


@dataclass(frozen=True, slots=True)
class Post:
    """What a duty is given.

    Args:
        name, profile: Whose agent this is.
        config_file: Where the profile came from; jobs read it again.
        settings: The section ``[agent]``.
        term: Until when.
        tell: A line for whoever looks after the process.
        shared: What the agents of this deployment share; None where a duty is tried alone.
    """

    name: str
    profile: Profile
    config_file: Path
    settings: AgentConfig
    term: Term
    tell: Tell
    shared: Shared | None = None


__all__ = ["Duty", "Post", "Shared", "Tell", "Term"]


class Duty(Protocol):
    """One thing that an agent does all the time. It never raises out of its threads: what is wrong is a fact
    that it writes down and tells.

    Making one has no effect on anything: that is also done to see whether a profile asks for what can be had.
    """

    name: str

    def start(self) -> None: ...

    def stop(self) -> None:
        """Asks it to end after the step that it is in; returns at once."""
        ...

    def join(self, seconds: float) -> bool:
        """Waits for the end; whether everything that was begun was finished."""
        ...
