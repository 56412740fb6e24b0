"""Where readings come from: pollers, a recording, or a test."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from mongo_dr_console.model.readings import Readings

if TYPE_CHECKING:
    from mongo_dr_console.workers.pollers import Listener


class Feed(Protocol):
    """``workers.latepollers.LatePollers`` is one."""

    @property
    def readings(self) -> Readings: ...

    @property
    def paused(self) -> bool: ...

    def subscribe(self, listener: Listener) -> Callable[[], None]: ...

    async def run(self) -> None: ...

    def refresh(self, name: str | None = None) -> None: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...
