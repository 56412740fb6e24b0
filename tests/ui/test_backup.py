"""Backing up and verifying from the console: what is asked, what is started, what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from support.consolekit import SIZES, SMALL, console, screen_text
from support.jobkit import ended, make_job
from support.readingkit import DOWN, NOW, reading, readings, snapshot, store
from support.states import LONG, RTL
from test_jobs import desk, said, told, until
from textual.widgets import Button

from mongo_dr_console.model.catalogue import SnapshotEntry, Verification
from mongo_dr_console.model.namespace import Namespace
from mongo_dr_console.model.trouble import Failed
from mongo_dr_console.ui.app import ConsoleApp
from mongo_dr_console.ui.screens.backup import BackupDialog, CopyDialog, VerifyDialog
from mongo_dr_console.ui.screens.job import JobScreen
from mongo_dr_console.ui.screens.snapshot import SnapshotScreen
from mongo_dr_console.workers.desk import Content

STORES: dict[str, Any] = {
    "local": {"type": "local", "path": "/backups/mongodb"},
    "second": {"type": "local", "path": "/mnt/second"},
}
WITH_S3 = {**STORES, "s3": {"type": "s3", "bucket": "b"}}


def armed(*snapshots: SnapshotEntry, **options: Any) -> ConsoleApp:
    app = console(readings(*snapshots), **{"stores": STORES, **options})
    app.desk.access.arm()
    return app


@pytest.mark.parametrize("size", SIZES)
async def test_all_stores_are_proposed_and_cancel_has_the_focus(size: tuple[int, int]) -> None:
    app = armed()
    async with app.run_test(size=size) as pilot:
        await pilot.press("B")
        await until(pilot, lambda: isinstance(app.screen, BackupDialog) and "[x] second" in said(pilot))
        assert "[x] local  /backups/mongodb" in said(pilot)
        for words in ("(●) gzip", "( ) zstd", "( ) none", "read 10 documents", "Cancel", "Start"):
            assert words in said(pilot)
        assert app.screen.focused is app.screen.query_one("#cancel")
        await pilot.press("enter")
        await until(pilot, lambda: not isinstance(app.screen, BackupDialog))
        assert desk(app).done == []


async def test_start_starts_it_and_goes_to_its_screen() -> None:
    app = armed()
    desk(app).job_folder = make_job("backup", ended("done"))
    async with app.run_test(size=SMALL) as pilot:
        await pilot.press("B", "tab", "enter")
        await until(pilot, lambda: isinstance(app.screen, JobScreen) and "backup job 5eed0001" in said(pilot))
        assert desk(app).done == [("backup", {"stores": None, "compression": "gzip", "databases": None})]


async def test_stores_and_compression_can_be_chosen() -> None:
    app = armed(stores=WITH_S3)
    async with app.run_test(size=SMALL) as pilot:
        await pilot.press("B", "shift+tab", "shift+tab", "space")
        await until(pilot, lambda: "[ ] local" in said(pilot))
        await pilot.press("down", "down", "space")
        await until(pilot, lambda: "[ ] s3" in said(pilot))
        await pilot.press("tab", "down", "space")
        await until(pilot, lambda: "(●) zstd" in said(pilot))
        await pilot.press("tab", "tab", "enter")
        await until(pilot, lambda: desk(app).done)
        (started,) = desk(app).done
        assert started == ("backup", {"stores": ["second"], "compression": "zstd", "databases": None})


async def test_without_a_store_there_is_nothing_to_start() -> None:
    app = armed(stores={"local": STORES["local"]})
    async with app.run_test(size=SMALL) as pilot:
        await pilot.press("B", "shift+tab", "shift+tab", "space")
        await until(pilot, lambda: app.screen.query_one("#do", Button).disabled)


@pytest.mark.parametrize(
    ("key", "started_with"), [("B", "watch"), ("V", "watch"), ("B", "restore"), ("V", "restore")]
)
async def test_neither_without_access_nor_unarmed(key: str, started_with: Any) -> None:
    app = console(stores=STORES, started_with=started_with)
    async with app.run_test(size=SMALL) as pilot:
        before = app.screen
        await pilot.press(key)
        await until(pilot, lambda: told(app))
        wanted = "not armed" if started_with == "restore" else "was started for 'watch'"
        assert wanted in told(app) and app.screen is before and desk(app).done == []


async def test_disarmed_while_it_was_asked_nothing_starts() -> None:
    app = armed()
    async with app.run_test(size=SMALL) as pilot:
        await pilot.press("B")
        await until(pilot, lambda: isinstance(app.screen, BackupDialog))
        app.desk.access.disarm()
        await pilot.press("tab", "enter")
        await until(pilot, lambda: "not armed" in told(app))
        assert desk(app).done == []


async def test_a_profile_without_stores_says_so() -> None:
    app = armed(stores={})
    async with app.run_test(size=SMALL) as pilot:
        await pilot.press("B")
        await until(pilot, lambda: "no stores" in told(app))


async def test_the_newest_snapshot_is_verified_in_every_store_that_has_it() -> None:
    both = [replace(snapshot(30, checksum="c"), store=name) for name in ("local", "second")]
    stores = {f"store:{e.store}": reading(f"store:{e.store}", replace(store(e), name=e.store)) for e in both}
    app = console(readings(stores=stores), stores=STORES)
    app.desk.access.arm()
    async with app.run_test(size=SMALL) as pilot:
        await pilot.press("V")
        await until(pilot, lambda: isinstance(app.screen, VerifyDialog) and "(●) 2" in said(pilot))
        assert "s30 in local, second" in said(pilot)
        await pilot.press("shift+tab", "down", "space")
        await until(pilot, lambda: "(●) 3" in said(pilot))
        await pilot.press("tab", "tab", "enter")
        await until(pilot, lambda: desk(app).done)
        assert desk(app).done == [("verify", {"snapshot": "s30", "store": None, "level": 3})]


async def test_the_snapshot_that_is_looked_at_is_copied_into_a_store_that_lacks_it() -> None:
    both = [replace(snapshot(30, checksum="c"), store=name) for name in ("local", "second")]
    one = replace(snapshot(600, checksum="d"), store="local")
    known = {"local": store(both[0], one), "second": replace(store(both[1]), name="second")}
    stores = {f"store:{name}": reading(f"store:{name}", facts) for name, facts in known.items()}
    third = {**STORES, "third": {"type": "local", "path": "/mnt/third"}}
    app = console(readings(stores=stores), stores=third)
    app.desk.access.arm()
    async with app.run_test(size=SMALL) as pilot:
        await app.push_screen(SnapshotScreen("s30", "second"))
        await pilot.press("C")
        await until(pilot, lambda: isinstance(app.screen, CopyDialog) and "(●) third" in said(pilot))
        assert "lies in local, second" in said(pilot) and "(●) local" not in said(pilot)
        await pilot.press("tab", "enter")
        await until(pilot, lambda: desk(app).done)
        assert desk(app).done == [("copy", {"snapshot": "s30", "target": "third", "source": None})]
    app = console(readings(stores=stores), stores=third)
    app.desk.access.arm()
    async with app.run_test(size=SMALL) as pilot:
        await app.push_screen(SnapshotScreen("s600", "local"))
        await pilot.press("C")
        await until(pilot, lambda: "(●) second" in said(pilot) and "( ) third" in said(pilot))
        await pilot.press("shift+tab", "down", "space")
        await until(pilot, lambda: "(●) third" in said(pilot))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, SnapshotScreen))
        assert desk(app).done == []


@pytest.mark.parametrize(
    ("options", "entry", "words"),
    [
        ({"access": "watch"}, snapshot(30), "access"),
        ({"stores": {"local": STORES["local"]}}, snapshot(30), "no other store"),
        ({}, snapshot(30, problem=Failed("x", "Its manifest is torn.")), "manifest is torn"),
    ],
)
async def test_why_a_snapshot_is_not_copied(options: Any, entry: SnapshotEntry, words: str) -> None:
    app = console(readings(entry), **{"stores": STORES, **options})
    if "access" not in options:
        app.desk.access.arm()
    async with app.run_test(size=SMALL) as pilot:
        await app.push_screen(SnapshotScreen("s30", "local"))
        await pilot.press("C")
        await until(pilot, lambda: words in told(app))
        assert desk(app).done == []


async def test_without_a_snapshot_there_is_nothing_to_verify() -> None:
    app = console(readings(stores={"store:local": reading("store:local", store())}), stores=STORES)
    app.desk.access.arm()
    async with app.run_test(size=SMALL) as pilot:
        await pilot.press("V")
        await until(pilot, lambda: "No snapshot is known" in told(app))


# One snapshot


@pytest.mark.parametrize("size", SIZES)
async def test_all_that_is_known_of_a_snapshot(size: tuple[int, int]) -> None:
    app = armed(
        snapshot(30, verification=Verification(2, NOW, good=True)), snapshot(600, restore_tested_at=None)
    )
    async with app.run_test(size=size) as pilot:
        await app.push_screen(SnapshotScreen("s30", "local"))
        await until(pilot, lambda: "shop.orders" in said(pilot))
        for words in (
            "✓ restorable  snapshot s30",
            "10 documents",
            "1794999970:1 (2026-11-18T11:06:10Z)",
            "✓ good: level 2 at 2026-11-18T11:06:40Z",
            "✓ restored from at 2026-11-18T11:06:40Z",
            "test/rs0",
            "40,000",
            "8.6 MiB",
            "in no other store",
        ):
            assert words in said(pilot), words
        assert "V verify…" in said(pilot).splitlines()[-1]
        assert desk(app).asked == [("contents", "s30", "local")]


async def test_the_snapshot_that_is_looked_at_is_the_one_verified() -> None:
    app = armed(snapshot(30), snapshot(600))
    async with app.run_test(size=SMALL) as pilot:
        await app.push_screen(SnapshotScreen("s600", "local"))
        await pilot.press("V", "tab", "enter")
        await until(pilot, lambda: desk(app).done)
        assert desk(app).done == [("verify", {"snapshot": "s600", "store": "local", "level": 2})]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"problem": Failed("x", "Its manifest is torn.", "Use another.")},
            ["✗ UNREADABLE", "manifest is torn"],
        ),
        ({"verification": Verification(3, NOW, good=False)}, ["✗ DAMAGED", "level 3"]),
        ({"window": None}, ["! not restorable", "nothing can be replayed"]),
        ({"restore_tested_at": None}, ["! never restored from", "! never"]),
        ({"scope": ("shop", f"x{RTL}")}, ["! only shop, x\\u202e"]),
        ({"documents": None, "bytes": None, "origin": "mongodump"}, ["? documents", "mongodump"]),
    ],
)
async def test_what_is_wrong_with_a_snapshot_stands_there(changes: dict[str, Any], words: list[str]) -> None:
    app = armed(snapshot(30, **changes))
    async with app.run_test(size=SMALL) as pilot:
        await app.push_screen(SnapshotScreen("s30", "local"))
        await until(pilot, lambda: all(word in said(pilot) for word in words))


async def test_a_snapshot_that_is_gone_and_contents_that_fail_are_told() -> None:
    app = armed()
    desk(app).failing["contents"] = Failed("x", "The store is away [/].", "Mount it.")
    async with app.run_test(size=SMALL) as pilot:
        await app.push_screen(SnapshotScreen("gone[/]", "local"))
        await until(pilot, lambda: "The store is away [/]." in said(pilot) and "Mount it." in said(pilot))
        assert "No reading knows a snapshot gone[/]" in said(pilot)


async def test_odd_names_in_a_snapshot_stay_one_row() -> None:
    app = armed()
    odd = Namespace("db[/]", f"a\nb{RTL}")
    desk(app).content = (
        Content(odd, "collection", 1, 2),
        Content(Namespace("shop", LONG), "view", None, None),
    )
    async with app.run_test(size=SMALL) as pilot:
        await app.push_screen(SnapshotScreen("s30", "local"))
        await until(pilot, lambda: "db[/].a\\nb" in said(pilot))
        assert RTL not in said(pilot) and "…" in said(pilot)


async def test_a_store_that_fails_keeps_what_is_known() -> None:
    app = console(
        readings(stores={"store:local": replace(reading("store:local", store(snapshot(30))), error=DOWN)})
    )
    async with app.run_test(size=SMALL) as pilot:
        await app.push_screen(SnapshotScreen("s30", "local"))
        await until(pilot, lambda: "snapshot s30" in screen_text(app))
