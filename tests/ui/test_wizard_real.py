"""The wizard on a real replica set, unarmed: from a dropped collection to the plan the command line makes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from support.consolekit import SMALL, answered, screen_text
from support.jobs import backup_here, plan_for
from support.wizardkit import wizard_of
from textual.pilot import Pilot

from mongo_dr_console.model.event import Event
from mongo_dr_console.model.plan import Plan
from mongo_dr_console.model.wizard import Step
from mongo_dr_console.ui.app import ConsoleApp
from mongo_dr_console.ui.widgets.row_list import RowList
from mongo_dr_console.ui.wizard.plan import PlanStep
from mongo_dr_console.ui.wizard.screen import open_wizard
from mongo_dr_console.workers import jobs
from mongo_dr_console.workers.access import ConsoleAccess
from mongo_dr_console.workers.desk import Desk
from mongo_dr_console.workers.pollers import Pollers

pytestmark = [pytest.mark.mongod, pytest.mark.slow]

_SECONDS = 180


@pytest.fixture
def prepared(profile_for: Any, replica_set: Any) -> Any:
    return profile_for(replica_set)


@pytest.fixture
def dropped(prepared: Any, replica_set: Any, database_name: str) -> Any:
    """A snapshot, a write after it, a dropped collection, and an application that goes on."""
    with closing(replica_set.client()) as client:
        shop = client[database_name]
        shop.orders.insert_many([{"_id": n, "total": n} for n in range(50)])
        shop.items.insert_one({"_id": 1})
        backup_here(prepared)
        shop.orders.insert_one({"_id": "after the snapshot"})
        shop.orders.drop()
        shop.orders.insert_one({"_id": "after the drop"})
        yield client


def real_console(prepared: Any) -> ConsoleApp:
    access = ConsoleAccess(prepared.name, prepared.profile, "restore")
    desk = Desk(prepared.name, prepared.profile, prepared.config_file, access)
    return ConsoleApp(desk, Pollers(prepared.name, prepared.profile))


async def until(app: ConsoleApp, true: Callable[[], Any]) -> Any:
    """Waits for a reading that makes it true."""
    came = asyncio.Event()
    leave = app.feed.subscribe(lambda *_: came.set())
    try:
        async with asyncio.timeout(_SECONDS):
            while not (found := true()):
                came.clear()
                await came.wait()
            return found
    finally:
        leave()


def the_drop(app: ConsoleApp, database: str) -> Event | None:
    reading = app.feed.readings.events
    known = () if reading is None or reading.value is None else reading.value.events
    return next((e for e in known if e.kind == "drop" and e.namespace == f"{database}.orders"), None)


def all_known(app: ConsoleApp) -> bool:
    readings = app.feed.readings
    stores = readings.stores.values()
    return all(s.value is not None and s.value.snapshots for s in stores) and readings.coverage is not None


async def press(pilot: Pilot[Any], *keys: str) -> None:
    for key in keys:
        await pilot.press(key)
        async with asyncio.timeout(_SECONDS):
            await answered(pilot)


async def choose(pilot: Pilot[Any], app: ConsoleApp, event: Event) -> None:
    """By keys from the list; the only one there is, is chosen already."""
    events = app.screen.query_one("#events", RowList)
    for _ in events.keys:
        if wizard_of(app).state.event is None and events.key != event.id:
            await press(pilot, "down")
    if wizard_of(app).state.event is None:
        await press(pilot, "enter")
    assert wizard_of(app).state.event == event, screen_text(app)


async def to_the_plan(pilot: Pilot[Any], app: ConsoleApp) -> Plan:
    assert wizard_of(app).step is Step.PLAN, screen_text(app)
    page = wizard_of(app).page
    assert isinstance(page, PlanStep)
    assert page.plan is not None, screen_text(app)
    return page.plan


async def test_from_the_dropped_collection_to_the_same_plan(
    prepared: Any, dropped: Any, database_name: str
) -> None:
    app = real_console(prepared)
    async with app.run_test(size=SMALL) as pilot:
        event: Event = await until(app, lambda: all_known(app) and the_drop(app, database_name))
        await press(pilot, "R", "enter")
        await choose(pilot, app, event)
        await press(pilot, "enter", "enter", "enter")
        plan = await to_the_plan(pilot, app)
        same = await asyncio.to_thread(
            plan_for, prepared, skip=(event.id,), namespaces=(f"{database_name}.orders",)
        )
        assert (
            plan.hash == same.hash and plan.confirm == same.confirm == f"test/shared/{database_name}.orders"
        )
        assert plan.limit.follow and [e.id for e in plan.skipped] == [event.id]
        await press(pilot, "enter")
        assert "not armed" in screen_text(app)
    assert jobs.list_jobs(jobs.jobs_folder(prepared.profile))[0].kind == "backup"
    assert [d["_id"] for d in dropped[database_name].orders.find()] == ["after the drop"]


async def test_before_the_event_beside(prepared: Any, dropped: Any, database_name: str) -> None:
    app = real_console(prepared)
    async with app.run_test(size=SMALL) as pilot:
        event: Event = await until(app, lambda: all_known(app) and the_drop(app, database_name))
        open_wizard(app, event=event.id)
        await pilot.pause()
        await press(pilot, "enter", "right", "enter", "enter", "down", "down", "enter")
        plan = await to_the_plan(pilot, app)
        name = f"{database_name}.orders"
        same = await asyncio.to_thread(
            plan_for,
            prepared,
            before=f"event:{event.id}",
            namespaces=(name,),
            renames=(f"{name}={name}_restored",),
            mode="beside",
        )
        assert plan.hash == same.hash and plan.confirm == same.confirm == ""
        assert [n.target for n in plan.namespaces] == [f"{name}_restored"]
        assert plan.namespaces[0].documents == 51
