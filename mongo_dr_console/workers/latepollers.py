"""The pollers of a console, which are made once it asks for readings: what they need, the driver above all,
takes longer to load than a first frame to be drawn."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from mongo_dr_console.config import Profile
from mongo_dr_console.model.readings import Readings

if TYPE_CHECKING:
    from mongo_dr_console.workers.pollers import Listener, Pollers


class LatePollers:
    """A feed that stands at once, without readings, and has the profile's pollers behind it while it runs.

    Args:
        profile_name, profile: What is watched, at the pace that the profile says.

    Raises:
        WrongUse: The profile's URI cannot be had.
    """

    def __init__(self, profile_name: str, profile: Profile) -> None:
        profile.connection_uri()  # what is wrong with it is said before anything is drawn
        self._profile_name, self._profile = profile_name, profile
        self._none_yet = Readings(profile_name, profile.environment)
        self._listeners: list[Listener] = []
        self._pollers: Pollers | None = None
        self._paused = False

    @property
    def readings(self) -> Readings:
        return self._none_yet if self._pollers is None else self._pollers.readings

    @property
    def paused(self) -> bool:
        return self._paused

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Adds a listener; what is returned removes it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    async def run(self) -> None:
        """Polls until it is cancelled. In a thread until the pollers are there: the loop answers keys."""
        pollers = await asyncio.to_thread(self._make)
        pollers.subscribe(self._tell)
        if self._paused:
            pollers.pause()
        self._pollers = pollers
        await pollers.run()

    def refresh(self, name: str | None = None) -> None:
        """Asks a source (or all) now; pollers that are still to come ask all of them first thing."""
        if self._pollers is not None:
            self._pollers.refresh(name)

    def pause(self) -> None:
        """No new tries; what is in flight ends."""
        self._paused = True
        if self._pollers is not None:
            self._pollers.pause()

    def resume(self) -> None:
        self._paused = False
        if self._pollers is not None:
            self._pollers.resume()

    def _make(self) -> Pollers:
        from mongo_dr_console.workers.pollers import watching

        return watching(self._profile_name, self._profile)

    def _tell(self, name: str, readings: Readings) -> None:
        for listener in tuple(self._listeners):
            listener(name, readings)
