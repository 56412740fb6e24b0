"""Pollers: bounded, one request in flight, backing off, keeping the last value."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from pydantic import ValidationError
from support.readingkit import snapshot, store

from mongo_dr_console.config import Profile
from mongo_dr_console.model.readings import Readings
from mongo_dr_console.model.trouble import Failed
from mongo_dr_console.workers.pollers import Pollers, watching
from mongo_dr_console.workers.threads import DaemonThreads, OneCall, run_bounded

PROFILE = Profile.model_validate({"uri": "mongodb://u:secret@h/"})


class Asked:
    """A source that answers as it is told, and counts."""

    def __init__(self, name: str, answer: Callable[[int], Awaitable[Any]], timeout: float = 5.0) -> None:
        self.name, self.interval, self.timeout = name, 0.001, timeout
        self._answer = answer
        self.times = self.now = self.most = 0

    async def read(self) -> tuple[Any, str]:
        self.times += 1
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            return await self._answer(self.times), "somewhere"
        finally:
            self.now -= 1


async def value(times: int) -> Any:
    return times


async def never(times: int) -> Any:
    await asyncio.Event().wait()


def pollers(*sources: Asked) -> Pollers:
    return Pollers("p", PROFILE, sources={s.name: s for s in sources}, chance=lambda: 0.0)


async def until(poller: Pollers, reached: Callable[[Readings], bool]) -> Readings:
    """Runs the pollers until their readings are so; fails after ten seconds."""
    done = asyncio.Event()
    poller.subscribe(lambda _, readings: done.set() if reached(readings) else None)
    running = asyncio.create_task(poller.run())
    try:
        await asyncio.wait_for(done.wait(), 10)
    finally:
        running.cancel()
        await asyncio.wait({running})
    return poller.readings


def test_a_hanging_source_delays_no_other() -> None:
    hanging, quick = Asked("set", never, timeout=1000), Asked("oplog", value)
    found = asyncio.run(until(pollers(hanging, quick), lambda r: bool(r.oplog and r.oplog.value >= 5)))
    assert found.set is None and hanging.times == 1


@pytest.mark.parametrize(("poll", "seconds"), [("2s", 3.0), ("500ms", 0.75), ("1m", 90.0)])
def test_what_looks_on_asks_at_the_profiles_pace(poll: str, seconds: float) -> None:
    profile = Profile.model_validate({"uri": "mongodb://h/", "poll": poll})
    source = Asked("set", value)
    source.interval = 3.0
    poller = watching("p", profile)
    poller._sources = {"set": source}
    found = asyncio.run(poller.once())
    assert found.set is not None and found.set.next_try is not None
    assert (found.set.next_try - found.set.tried_at).total_seconds() == pytest.approx(seconds)


@pytest.mark.parametrize("poll", ["499ms", "61s", "often"])
def test_a_pace_that_nobody_can_bear_is_refused(poll: str) -> None:
    with pytest.raises(ValidationError):
        Profile.model_validate({"uri": "mongodb://h/", "poll": poll})


def test_a_hanging_source_ends_in_an_error_and_is_asked_again_one_at_a_time() -> None:
    hanging = Asked("set", never, timeout=0.01)
    found = asyncio.run(until(pollers(hanging), lambda r: bool(r.set and r.set.attempt >= 3)))
    assert found.set is not None and found.set.error is not None and found.set.error.code == "timed-out"
    assert hanging.most == 1


def test_the_last_value_stays_while_its_source_fails_and_attempts_are_counted() -> None:
    async def once(times: int) -> Any:
        if times > 1:
            raise Failed("broken", "It broke.", "Mend it.")
        return 42

    found = asyncio.run(until(pollers(Asked("set", once)), lambda r: bool(r.set and r.set.attempt == 3)))
    assert found.set is not None and found.set.error is not None
    assert (found.set.value, found.set.error.code, found.set.origin) == (42, "broken", "somewhere")
    assert found.set.taken_at is not None and found.set.taken_at < found.set.tried_at
    assert found.set.next_try is not None and found.set.next_try > found.set.tried_at


def test_a_success_after_failures_counts_from_one_again() -> None:
    async def third(times: int) -> Any:
        if times < 3:
            raise OSError(5, "Input/output error")
        return times

    found = asyncio.run(until(pollers(Asked("set", third)), lambda r: bool(r.set and r.set.value)))
    assert found.set is not None and (found.set.attempt, found.set.error) == (1, None)


def test_whatever_a_source_raises_is_data_without_its_text() -> None:
    async def bad(times: int) -> Any:
        raise RuntimeError("mongodb://u:secret@h/")

    found = asyncio.run(until(pollers(Asked("set", bad)), lambda r: r.set is not None))
    assert found.set is not None and found.set.error is not None
    assert "secret" not in repr(found.set) and "RuntimeError" in found.set.error.message


def test_pause_starts_nothing_new_and_resume_goes_on() -> None:
    async def scene() -> None:
        source = Asked("set", value)
        poller = pollers(source)
        poller.pause()
        running = asyncio.create_task(poller.run())
        for _ in range(20):
            await asyncio.sleep(0)
        assert source.times == 0 and poller.paused
        told = asyncio.Event()
        poller.subscribe(lambda *_: told.set())
        poller.resume()
        await asyncio.wait_for(told.wait(), 10)
        running.cancel()
        await asyncio.wait({running})

    asyncio.run(scene())


def test_refresh_does_not_wait_for_the_interval() -> None:
    async def scene() -> None:
        source = Asked("set", value)
        source.interval = 3600
        poller = pollers(source)
        twice = asyncio.Event()
        poller.subscribe(lambda _, r: twice.set() if r.set and r.set.value == 2 else poller.refresh("set"))
        running = asyncio.create_task(poller.run())
        await asyncio.wait_for(twice.wait(), 10)
        running.cancel()
        await asyncio.wait({running})

    asyncio.run(scene())


def test_coverage_is_built_after_the_others_and_again_when_a_store_changes() -> None:
    seen: list[tuple[str, ...]] = []
    poller: Pollers

    async def held(times: int) -> Any:
        return store(*(snapshot(n) for n in range(min(times, 3))))

    async def covered(times: int) -> Any:
        known = poller.readings.stores["store:local"].value
        seen.append(tuple(s.name for s in known.snapshots) if known else ())
        return times

    async def scene() -> None:
        nonlocal poller
        late = Asked("coverage", covered)
        late.interval = 3600
        poller = pollers(late, Asked("store:local", held))
        await until(poller, lambda _: bool(seen and len(seen[-1]) == 3))

    asyncio.run(scene())
    assert seen[0] != ()


def test_a_cancellation_that_comes_together_with_a_refresh_ends_the_pollers() -> None:
    async def scene() -> None:
        source = Asked("set", value)
        source.interval = 3600
        poller = pollers(source)
        running = asyncio.create_task(poller.run())
        await poller.tried()
        for _ in range(3):
            await asyncio.sleep(0)
        poller.refresh()
        await asyncio.sleep(0)
        running.cancel()
        done, _ = await asyncio.wait({running}, timeout=5)
        assert done, "the pollers go on"

    asyncio.run(scene())


def test_a_listener_that_leaves_hears_no_more() -> None:
    async def scene() -> None:
        heard: list[str] = []
        poller = pollers(Asked("set", value))
        leave = poller.subscribe(lambda name, _: heard.append(name))
        await poller.once()
        leave()
        await poller.once()
        assert heard == ["set"]

    asyncio.run(scene())


def test_a_call_that_hangs_is_not_joined_by_a_second_and_holds_up_no_exit() -> None:
    let_go = threading.Event()
    calls: list[int] = []

    def hang() -> int:
        calls.append(1)
        let_go.wait()
        return 7

    async def scene() -> int:
        thread = OneCall(DaemonThreads())
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(thread.call(hang), 0.02)
        assert len(calls) == 1
        let_go.set()
        return await thread.call(hang)

    assert run_bounded(scene()) == 7
    assert len(calls) == 2


_HANGS = """
import asyncio, threading
from mongo_dr_console.workers.threads import run_bounded
async def scene():
    asyncio.get_running_loop().run_in_executor(None, threading.Event().wait)
run_bounded(scene())
print("ended")
"""


def test_a_process_ends_though_a_thread_of_it_hangs() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _HANGS], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "ended\n"
