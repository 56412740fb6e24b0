"""Where readings come from: pollers, a recording, or a test."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from mongo_dr_console.model.readings import Readings
from mongo_dr_console.workers.pollers import Listener


class Feed(Protocol):
    """``workers.pollers.Pollers`` is one."""

    readings: Readings

    @property
    def paused(self) -> bool: ...

    def subscribe(self, listener: Listener) -> Callable[[], None]: ...

    async def run(self) -> None: ...

    def refresh(self, name: str | None = None) -> None: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...
