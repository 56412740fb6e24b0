"""Pollers: each source asked on its own, one request in flight, bounded, with backoff; readings come out.

A hanging source never delays another: every try has a time limit, calls that block run in threads of their
own, and the loop of one source waits for nothing but itself (coverage alone waits for the others' first try).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from time import perf_counter
from typing import Any

from mongo_dr_console.config import USUAL_POLL, Profile
from mongo_dr_console.model.reading import Reading
from mongo_dr_console.model.readings import COVERAGE, KAFKA, Readings, reading_of, with_reading
from mongo_dr_console.workers.backoff import delay
from mongo_dr_console.workers.sources import Deployment, Source, all_sources, explain
from mongo_dr_console.workers.threads import run_bounded

Listener = Callable[[str, Readings], None]
"""Called in the loop after each try: the source's name and all readings as they are now."""

_STORE = "store:"


def _now() -> datetime:
    return datetime.now(UTC)


class Pollers:
    """All sources of one profile.

    Args:
        profile_name, profile: What is watched.
        sources: By name, instead of the profile's own; for tests and for replaying a recording.
        pace: How much slower than usual each source is asked.
        clock: Tells the time (UTC).
        chance: From 0 to 1, for the jitter.

    Raises:
        WrongUse: The profile's URI cannot be had or understood.
    """

    def __init__(
        self,
        profile_name: str,
        profile: Profile,
        *,
        sources: Mapping[str, Source[Any]] | None = None,
        pace: float = 1.0,
        clock: Callable[[], datetime] = _now,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.readings = Readings(profile_name, profile.environment)
        self._deployment: Deployment | None = None
        if sources is None:
            sources, self._deployment = all_sources(profile_name, profile, lambda: self.readings)
        self._sources = dict(sources)
        self._pace = pace
        self._clock = clock
        self._chance = chance
        self._listeners: list[Listener] = []
        self._wake = {name: asyncio.Event() for name in self._sources}
        self._tried = {name: asyncio.Event() for name in self._sources}
        self._going = asyncio.Event()
        self._going.set()

    @property
    def names(self) -> tuple[str, ...]:
        """Of all sources."""
        return tuple(self._sources)

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Adds a listener; what is returned removes it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    async def run(self) -> None:
        """Polls until it is cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                for source in self._sources.values():
                    group.create_task(self._poll(source), name=f"poll {source.name}")
        finally:
            await self.close()

    async def once(self, names: Iterable[str] | None = None) -> Readings:
        """Asks each source one time (all, or the named ones), coverage after the others."""
        wanted = [s for n, s in self._sources.items() if names is None or n in set(names)]
        await asyncio.gather(*(self._try(s) for s in wanted if s.name != COVERAGE))
        await asyncio.gather(*(self._try(s) for s in wanted if s.name == COVERAGE))
        return self.readings

    async def tried(self) -> None:
        """Waits until every source was tried once."""
        for event in self._tried.values():
            await event.wait()

    def refresh(self, name: str | None = None) -> None:
        """Asks a source (or all) now instead of at its next turn."""
        for known, event in self._wake.items():
            if name in (None, known):
                event.set()

    def pause(self) -> None:
        """No new tries; what is in flight ends."""
        self._going.clear()

    def resume(self) -> None:
        self._going.set()
        self.refresh()

    @property
    def paused(self) -> bool:
        return not self._going.is_set()

    async def close(self) -> None:
        if self._deployment is not None:
            await self._deployment.close()

    async def _poll(self, source: Source[Any]) -> None:
        if source.name == COVERAGE:
            for name, event in self._tried.items():
                if name != COVERAGE:
                    await event.wait()
        while True:
            await self._going.wait()
            self._wake[source.name].clear()
            wait = await self._try(source)
            # Not wait_for: before Python 3.12 it swallows a cancellation that comes as the event does, and
            # the poller would never end.
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._wake[source.name].wait()

    async def _try(self, source: Source[Any]) -> float:
        """One try; publishes its reading and returns how long to wait for the next."""
        before = reading_of(self.readings, source.name)
        started = perf_counter()
        value, origin, error = None, "", None
        try:
            async with asyncio.timeout(source.timeout):
                value, origin = await source.read()
        except Exception as failure:  # whatever a source does, its error is data and the others go on
            error = explain(failure)
        failures = 0 if error is None else 1 + (before.attempt if before and before.error else 0)
        wait = delay(failures, source.interval * self._pace, self._chance())
        now = self._clock()
        kept = before if error is not None else None
        reading: Reading[Any] = Reading(
            source=source.name,
            value=value if error is None else (kept.value if kept else None),
            error=error,
            taken_at=now if error is None else (kept.taken_at if kept else None),
            tried_at=now,
            took=timedelta(seconds=perf_counter() - started),
            attempt=max(1, failures),
            next_try=now + timedelta(seconds=wait),
            origin=origin or (kept.origin if kept else ""),
        )
        self._publish(reading, before)
        return wait

    def _publish(self, reading: Reading[Any], before: Reading[Any] | None) -> None:
        name = reading.source
        self.readings = with_reading(self.readings, reading)
        self._tried[name].set()
        changed = before is None or before.stale != reading.stale
        stored = name.startswith(_STORE) and _snapshots(before) != _snapshots(reading)
        if stored or (changed and (name.startswith(_STORE) or name == KAFKA)):
            self.refresh(COVERAGE)
        for listener in tuple(self._listeners):
            listener(name, self.readings)


def watching(profile_name: str, profile: Profile) -> Pollers:
    """The pollers for somebody who looks on, at the pace that the profile says."""
    return Pollers(profile_name, profile, pace=profile.poll / USUAL_POLL)


def _snapshots(reading: Reading[Any] | None) -> object:
    return None if reading is None or reading.value is None else getattr(reading.value, "snapshots", None)


async def gather(profile_name: str, profile: Profile, names: Iterable[str] | None = None) -> Readings:
    """Every source (or the named ones) asked once."""
    pollers = Pollers(profile_name, profile)
    try:
        return await pollers.once(names)
    finally:
        await pollers.close()


def gather_once(profile_name: str, profile: Profile, names: Iterable[str] | None = None) -> Readings:
    """The same for commands: without a loop of their own, done within a few seconds whatever hangs."""
    return run_bounded(gather(profile_name, profile, names))
