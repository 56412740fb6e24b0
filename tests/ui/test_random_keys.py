"""Keys by chance on the real desk of a real set, while sources fail and hang by chance and the world itself
breaks: members fall silent, the store vanishes, hangs and is damaged, the broker talks nonsense, the agent is
dead and what it and jobs left is spoilt. The console neither falls nor stands still, and nothing is written,
neither on the server nor in the store.

MDR_KEYS=<number> presses more of them, MDR_KEYS_SEED=<what a failure names> repeats keys and what breaks;
answers come when they come.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.agentkit import Agent, add_kafka, add_segments
from support.breaking import World, broker_of_nonsense
from support.consolekit import SIZES, screen_text
from support.jobs import backup_here, restore_here
from support.keys import key_event, phrases
from support.partition import CutSet
from support.prepared import PreparedProfile, prepare
from support.watched import nothing_written
from support.writers import fill

from mongo_dr_console.config import Access, Profile, load_config
from mongo_dr_console.model.readings import reading_of
from mongo_dr_console.model.trouble import Failed, Refused
from mongo_dr_console.mongo.launch import Options as SetOptions
from mongo_dr_console.mongo.oplog import ends
from mongo_dr_console.ui.app import ConsoleApp, Options
from mongo_dr_console.workers.access import ConsoleAccess
from mongo_dr_console.workers.desk import Desk
from mongo_dr_console.workers.jobs import jobs_folder
from mongo_dr_console.workers.pollers import Pollers
from mongo_dr_console.workers.sources import all_sources

pytestmark = [pytest.mark.mongod, pytest.mark.slow]

DATABASE = "t_random_keys"

KEYS = int(os.environ.get("MDR_KEYS", "400"))
"""A run; both together take about 20 s."""

TURN_SECONDS = 0.15
"""So often something more breaks, or is mended."""

LONGEST_STANDSTILL = 10.0
"""Seconds that the loop may be held up by one thing on a machine that is busy with other tests. What is made
to hang below hangs for longer."""
HANGS = 12.0


class OfTheTest(Exception):
    """What no source foresees."""


class Unreliable:
    """A source that answers, fails or hangs as luck will have it; asked far more often than usual."""

    interval, timeout = 0.5, 0.4

    def __init__(self, source: Any, luck: random.Random) -> None:
        self.name = source.name
        self._source, self._luck = source, luck

    async def read(self) -> tuple[Any, str]:
        fate = self._luck.random()
        if fate < 0.15:
            raise self._luck.choice(
                (
                    OSError(5, "db[/]\n\x1b[31m"),
                    Failed("failed", "[bold]odd[/] é\u202e", "[/]"),
                    OfTheTest("x"),
                )
            )
        if fate < 0.3:
            await asyncio.Event().wait()
        found: tuple[Any, str] = await self._source.read()
        return found


def slowed(desk: Desk, luck: random.Random) -> Desk:
    """What may be asked of the desk sometimes hangs for a while, as a dead network file system does."""

    def slow(call: Any) -> Any:
        def called(*arguments: Any, **more: Any) -> Any:
            if luck.random() < 0.05:
                time.sleep(HANGS)
            return call(*arguments, **more)

        return called

    for name in ("preflight", "contents", "targets", "plan", "changes", "jobs", "folder"):
        setattr(desk, name, slow(getattr(desk, name)))
    return desk


def defects(reading: Any) -> list[str]:
    """What a source met and did not foresee, but for the test's own."""
    text = "" if reading is None or reading.error is None else reading.error.message
    unforeseen = "failed unexpectedly" in text and OfTheTest.__name__ not in text
    return [f"{text} ({reading.source})"] if unforeseen else []


async def heartbeat(gaps: list[float]) -> None:
    """Notes how long the loop stood still."""
    last = time.monotonic()
    while True:
        await asyncio.sleep(0.01)
        now = time.monotonic()
        gaps.append(now - last)
        last = now


@pytest.fixture(scope="module")
def members(mongod: Path, sets_folder: Path) -> Iterator[CutSet]:
    quiet = {"disableLogicalSessionCacheRefresh": "true"}
    made = CutSet.launch(sets_folder / "keys", SetOptions(set_name="keys", parameters=quiet))
    assert isinstance(made, CutSet)
    made.wait_for_members()
    yield made
    made.close()


@pytest.fixture(scope="module")
def scene(members: CutSet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PreparedProfile]:
    """A snapshot, a dropped collection and writes after it: everything that the wizard can be walked with; an
    agent that streamed all that, and was killed; jobs of all kinds of ends."""
    folder = tmp_path_factory.mktemp("keys")
    (folder / "state").mkdir()
    prepared = prepare(folder, members.uri, folder / "state")
    with closing(members.client()) as client, broker_of_nonsense(random.Random(1)) as bootstrap:
        fill(client, DATABASE)
        add_segments(prepared)
        agent = Agent(prepared)
        agent.start()
        try:
            backup_here(prepared)
            restore_here(prepared, namespaces=(f"{DATABASE}.items",))
            client[DATABASE].orders.drop()
            client[DATABASE].items.insert_one({"_id": "later", "qty": 1})
            agent.wait_for(ends(client)[1])
        finally:
            agent.end(signal.SIGKILL)
        add_kafka(prepared, bootstrap, "oplog-backup")
        yield replace(prepared, profile=load_config(prepared.config_file).profiles["test"])


def made(prepared: Any, access: Access, luck: random.Random) -> tuple[ConsoleApp, Pollers]:
    """The console as ``mdr console`` makes it, with sources and a desk that luck disturbs."""
    profile: Profile = prepared.profile
    feed: Pollers
    sources, deployment = all_sources(prepared.name, profile, lambda: feed.readings)
    feed = Pollers(prepared.name, profile, sources={n: Unreliable(s, luck) for n, s in sources.items()})
    feed._deployment = deployment
    granted = ConsoleAccess(prepared.name, profile, access)
    if access == "restore":
        granted.arm = _no_arming  # type: ignore[method-assign]
    desk = slowed(Desk(prepared.name, profile, prepared.config_file, granted), luck)
    return ConsoleApp(desk, feed, Options()), feed


def _jobs(prepared: Any) -> list[str]:
    return sorted(p.name for p in jobs_folder(prepared.profile).iterdir())


def _no_arming() -> None:
    raise Refused("not-armed", "This console is not to be armed.")


@pytest.mark.parametrize(("access", "size"), zip(["watch", "restore"], SIZES, strict=True))
async def test_any_keys(
    scene: PreparedProfile, members: CutSet, access: Access, size: tuple[int, int], monkeypatch: Any
) -> None:
    seed = os.environ.get("MDR_KEYS_SEED") or str(random.SystemRandom().getrandbits(32))
    luck = random.Random(seed)
    app, feed = made(scene, access, luck)
    world = World(luck, members, scene.store, scene.config_file.parent / "state")
    letters = [chr(c) for c in range(33, 127) if access == "watch" or chr(c) != "A"]
    pressed: list[str] = []
    gaps: list[float] = []
    said: list[str] = []
    troubles: list[Any] = []
    feed.subscribe(lambda name, readings: said.extend(defects(reading_of(readings, name))))
    app.exit = lambda *_, **__: None  # type: ignore[method-assign]
    asyncio.get_running_loop().set_exception_handler(lambda _, context: troubles.append(context))
    monkeypatch.setattr(threading, "excepthook", troubles.append)
    notify = app.notify
    app.notify = lambda text, **more: (said.append(text), notify(text, **more))[1]  # type: ignore[method-assign]
    jobs, shown = _jobs(scene), ""
    try:
        with nothing_written(members, [scene.store], moved=True):
            async with app.run_test(size=size) as pilot:
                beating = asyncio.create_task(heartbeat(gaps))
                turned = time.monotonic()
                for phrase in phrases(luck, letters, sorted(app.commands)):
                    if len(pressed) >= KEYS or app.failure is not None:
                        break
                    for key in phrase:
                        pressed.append(key)
                        app._driver.send_message(key_event(app, key))  # type: ignore[union-attr]
                    await pilot.pause(0)
                    if luck.random() < 0.01:
                        await pilot.resize_terminal(*luck.choice(SIZES))
                    if time.monotonic() - turned > TURN_SECONDS:
                        world.turn()
                        turned = time.monotonic()
                for _ in range(5):
                    await pilot.pause()  # what was pressed last is still on its way from widget to widget
                shown = screen_text(app)
                beating.cancel()
                world.mend_all()
        assert app.failure is None
        assert max(gaps) < LONGEST_STANDSTILL
        assert app.desk.access.armed_seconds is None
        assert _jobs(scene) == jobs
        assert not [t for t in said if "does not know:" in t or "failed unexpectedly" in t]
        assert troubles == []
    except BaseException:
        world.mend_all()
        print(f"MDR_KEYS_SEED={seed}; the last keys: {pressed[-80:]}\nbroken: {world.told[-20:]}\n{shown}")
        raise


def test_a_write_is_seen(scene: PreparedProfile, members: CutSet) -> None:
    """What the test above relies on, and that of access."""
    left = scene.store / "left"
    with closing(members.client()) as client:
        database = client[DATABASE]
        for write in (
            lambda: database.items.update_one({"_id": 1}, {"$set": {"x": 1}}),
            lambda: database.items.update_one({"_id": "nobody"}, {"$set": {"x": 1}}),
            lambda: list(database.items.aggregate([{"$limit": 1}, {"$out": "made"}])),
            lambda: client.mongo_dr.locks.insert_one({"_id": "somebody"}),
            lambda: client.mongo_dr.locks.delete_one({"_id": "somebody"}),
            lambda: client[f"{DATABASE}_other"].made.insert_one({}),
            lambda: client.drop_database(f"{DATABASE}_other"),
            lambda: client.admin.command({"setUserWriteBlockMode": 1, "global": False}),
            lambda: left.write_text("x"),
            lambda: left.write_text("x"),
            lambda: left.rename(scene.store / "right"),
            (scene.store / "right").unlink,
        ):
            with pytest.raises(AssertionError), nothing_written(members, [scene.store], moved=True):
                write()
        # By another process: a file that came and went.
        with pytest.raises(AssertionError), nothing_written(members, [scene.store]):
            subprocess.run(["sh", "-c", f"touch '{left}' && rm '{left}'"], check=True)
