"""Thousands of keys by chance on the real desk, while sources fail and hang by chance: the console neither
falls nor stands still, and nothing is written, neither on the server nor in the store.

MDR_KEYS_SEED=<what a failure names> repeats the keys; answers come as fast as they come.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from bson.timestamp import Timestamp
from support.consolekit import SIZES, screen_text
from support.jobs import backup_here
from support.keys import key_event, phrases
from support.scene import files_in
from support.writers import fill

from mongo_dr_console.config import Access, Profile
from mongo_dr_console.model.trouble import Failed, Refused
from mongo_dr_console.mongo.client import APPNAME
from mongo_dr_console.ui.app import ConsoleApp, Options
from mongo_dr_console.workers.access import ConsoleAccess
from mongo_dr_console.workers.desk import Desk
from mongo_dr_console.workers.jobs import jobs_folder
from mongo_dr_console.workers.pollers import Pollers
from mongo_dr_console.workers.sources import all_sources

pytestmark = [pytest.mark.mongod, pytest.mark.slow]

KEYS = 600
"""Keys a run; there are four runs, which take about 20 s together."""

LONGEST_STANDSTILL = 10.0
"""Seconds that the loop may be held up by one thing on a machine that is busy with other tests. What is made
to hang below hangs for longer."""
HANGS = 12.0

WRITING_COMMANDS = (
    "applyOps",
    "collMod",
    "convertToCapped",
    "create",
    "createIndexes",
    "delete",
    "drop",
    "dropDatabase",
    "dropIndexes",
    "findAndModify",
    "insert",
    "renameCollection",
    "setUserWriteBlockMode",
    "update",
)


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
                    ValueError("x"),
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


async def heartbeat(gaps: list[float]) -> None:
    """Notes how long the loop stood still."""
    last = time.monotonic()
    while True:
        await asyncio.sleep(0.01)
        now = time.monotonic()
        gaps.append(now - last)
        last = now


@contextmanager
def nothing_written(replica_set: Any, database: str, folders: tuple[Path, ...]) -> Iterator[None]:
    """Fails where the server or the folders were written to meanwhile: by the oplog, which every write
    passes, by the server's counters of commands, by its profiler, and by the files' own hashes."""
    profiled = (database, "mongo_dr", "admin")
    with closing(replica_set.client()) as client:
        files = [files_in(folder) for folder in folders]
        for name in profiled:
            client[name].command("profile", 2)
        start = client.admin.command("hello")["lastWrite"]["opTime"]["ts"]
        counted = _counters(client)
        try:
            yield
            assert _counters(client) == counted, "commands that write were sent"
            assert _oplog_since(client, start) == []
            for name in profiled:
                assert _profiled(client[name]) == []
            assert [files_in(folder) for folder in folders] == files
        finally:
            for name in profiled:
                client[name].command("profile", 0)
                client[name].drop_collection("system.profile")


def _counters(client: Any) -> dict[str, int]:
    # The server keeps its books of sessions by update and delete: for these, profiler and oplog tell.
    counted = client.admin.command("serverStatus")["metrics"]["commands"]
    return {
        c: counted[c]["total"] for c in WRITING_COMMANDS if c in counted and c not in ("update", "delete")
    }


def _oplog_since(client: Any, start: Timestamp) -> list[dict[str, Any]]:
    by_somebody = {"op": {"$ne": "n"}, "ns": {"$not": {"$regex": "^config[.]"}}}
    return list(client.local["oplog.rs"].find({"ts": {"$gt": start}, **by_somebody}))


def _profiled(database: Any) -> list[dict[str, Any]]:
    by_us = [d for d in database["system.profile"].find() if d.get("appName") == APPNAME]
    return [
        d
        for d in by_us
        if d["op"] in ("insert", "update", "remove") or set(d.get("command", {})) & set(WRITING_COMMANDS)
    ]


@pytest.fixture(scope="module")
def scene(replica_set: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A snapshot, a dropped collection and writes after it: everything that the wizard can be walked with."""
    from support.prepared import prepare

    folder = tmp_path_factory.mktemp("keys")
    (folder / "state").mkdir()
    prepared = prepare(folder, replica_set.uri, folder / "state")
    database = "t_random_keys"
    with closing(replica_set.client()) as client:
        fill(client, database)
        backup_here(prepared)
        client[database].orders.drop()
        client[database].items.insert_one({"_id": "later", "qty": 1})
        yield prepared, database
        client.drop_database(database)


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
async def test_any_keys(scene: Any, replica_set: Any, access: Access, size: tuple[int, int]) -> None:
    prepared, database = scene
    seed = os.environ.get("MDR_KEYS_SEED") or str(random.SystemRandom().getrandbits(32))
    luck = random.Random(seed)
    app, _ = made(prepared, access, luck)
    letters = [chr(c) for c in range(33, 127) if access == "watch" or chr(c) != "A"]
    pressed: list[str] = []
    gaps: list[float] = []
    said: list[str] = []
    troubles: list[Any] = []
    app.exit = lambda *_, **__: None  # type: ignore[method-assign]
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: troubles.append(context))
    notify = app.notify
    app.notify = lambda text, **more: (said.append(text), notify(text, **more))[1]  # type: ignore[method-assign]
    jobs, shown = _jobs(prepared), ""
    try:
        with nothing_written(replica_set, database, (prepared.store,)):
            async with app.run_test(size=size) as pilot:
                beating = asyncio.create_task(heartbeat(gaps))
                for phrase in phrases(luck, letters, sorted(app.commands)):
                    if len(pressed) >= KEYS or app.failure is not None:
                        break
                    for key in phrase:
                        pressed.append(key)
                        app._driver.send_message(key_event(app, key))  # type: ignore[union-attr]
                    await pilot.pause(0)
                    if luck.random() < 0.01:
                        await pilot.resize_terminal(*luck.choice(SIZES))
                for _ in range(5):
                    await pilot.pause()  # what was pressed last is still on its way from widget to widget
                shown = screen_text(app)
                beating.cancel()
        assert max(gaps) < LONGEST_STANDSTILL
        assert app.desk.access.armed_seconds is None
        assert _jobs(prepared) == jobs
        assert not [t for t in said if "does not know" in t]
        assert troubles == []
    except BaseException:
        print(f"MDR_KEYS_SEED={seed}; the last keys: {pressed[-80:]}\n{shown}")
        raise


def test_a_write_is_seen(scene: Any, replica_set: Any) -> None:
    """What the test above relies on."""
    prepared, database = scene
    with closing(replica_set.client()) as client:
        for write in (
            lambda: client[database].items.update_one({"_id": 1}, {"$set": {"x": 1}}),
            lambda: client[database].items.update_one({"_id": "nobody"}, {"$set": {"x": 1}}),
            lambda: client.mongo_dr.locks.insert_one({"_id": "somebody"}),
            lambda: client.mongo_dr.locks.delete_one({"_id": "somebody"}),
            lambda: client[f"{database}_other"].made.insert_one({}),
            lambda: client.drop_database(f"{database}_other"),
            lambda: (prepared.store / "left").write_text("x"),
        ):
            with pytest.raises(AssertionError), nothing_written(replica_set, database, (prepared.store,)):
                write()
