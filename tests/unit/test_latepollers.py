"""Pollers that are made once they are asked: nothing that is said to them before is lost."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from mongo_dr_console.config import Profile
from mongo_dr_console.model.readings import Readings
from mongo_dr_console.model.trouble import WrongUse
from mongo_dr_console.workers import pollers
from mongo_dr_console.workers.latepollers import LatePollers
from mongo_dr_console.workers.pollers import Pollers

PROFILE = Profile.model_validate({"uri": "mongodb://h/", "environment": "staging"})


class _Answers:
    name, interval, timeout = "set", 60.0, 5.0

    async def read(self) -> tuple[int, str]:
        return 7, "somewhere"


class Made:
    """Takes the place of the profile's pollers: made as soon as it is let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.let_go = threading.Event()
        self.thread: threading.Thread | None = None
        monkeypatch.setattr(pollers, "watching", self._make)

    def _make(self, name: str, profile: Profile) -> Pollers:
        self.thread = threading.current_thread()
        assert self.let_go.wait(10)
        return Pollers(name, profile, sources={"set": _Answers()})


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Made:
    return Made(monkeypatch)


def test_the_loop_goes_on_while_they_are_made_and_every_reading_is_heard(made: Made) -> None:
    feed, heard = LatePollers("p", PROFILE), asyncio.Queue[tuple[str, Readings]]()
    gone: list[str] = []
    feed.subscribe(lambda *told: heard.put_nowait(told))
    feed.subscribe(lambda name, _: gone.append(name))()
    assert feed.readings == Readings("p", "staging")

    async def scene() -> None:
        running = asyncio.create_task(feed.run())
        await asyncio.sleep(0)
        feed.refresh()
        assert feed.readings == Readings("p", "staging")
        made.let_go.set()
        name, readings = await asyncio.wait_for(heard.get(), 10)
        assert name == "set" and readings.set is not None and readings.set.value == 7
        assert feed.readings is readings
        feed.refresh("set")
        await asyncio.wait_for(heard.get(), 10)
        running.cancel()
        await asyncio.wait({running})

    asyncio.run(scene())
    assert made.thread is not None and made.thread is not threading.main_thread()
    assert gone == []


def test_a_pause_from_before_they_were_made_holds(made: Made) -> None:
    feed, heard = LatePollers("p", PROFILE), asyncio.Queue[str]()
    feed.subscribe(lambda name, _: heard.put_nowait(name))
    feed.pause()
    made.let_go.set()

    async def scene() -> None:
        running = asyncio.create_task(feed.run())
        while feed._pollers is None:
            await asyncio.sleep(0)
        for _ in range(20):
            await asyncio.sleep(0)
        assert feed.paused and feed._pollers.paused and heard.empty()
        feed.resume()
        assert not feed.paused
        await asyncio.wait_for(heard.get(), 10)
        running.cancel()
        await asyncio.wait({running})

    asyncio.run(scene())


def test_a_uri_that_cannot_be_had_is_said_before_anything_is_drawn(tmp_path: Path) -> None:
    profile = Profile.model_validate({"uri_file": str(tmp_path / "none")})
    with pytest.raises(WrongUse) as said:
        LatePollers("p", profile)
    assert said.value.code == "uri-missing"
