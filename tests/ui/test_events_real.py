"""An event that the live oplog has no more: found on the screen in the segments, and undone from there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from support.consolekit import SMALL, screen_text
from support.jobs import backup_here
from support.prepared import PreparedProfile
from support.streamkit import committed, roll_over, streaming, with_filler_ignored
from support.wizardkit import wizard_of
from textual.pilot import Pilot

from mongo_dr_console.agent.streaming import snapshot_ends
from mongo_dr_console.model.eventscan import Filter
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.wizard import Step
from mongo_dr_console.mongo.launch import ReplicaSet
from mongo_dr_console.stream.finder import find_events
from mongo_dr_console.stream.sinks import sink_makers
from mongo_dr_console.ui.app import ConsoleApp
from mongo_dr_console.ui.screens.events import EventsScreen
from mongo_dr_console.ui.screens.operations import OperationsScreen
from mongo_dr_console.ui.wizard.screen import WizardScreen
from mongo_dr_console.workers.access import ConsoleAccess
from mongo_dr_console.workers.desk import Desk
from mongo_dr_console.workers.kept import kept_oplog
from mongo_dr_console.workers.pollers import Pollers

pytestmark = [pytest.mark.mongod, pytest.mark.slow]

SPOILT = 150
_SECONDS = 180


def spoilt(client: Any, prepared: PreparedProfile) -> Position:
    """A snapshot, a mass update, good writes; the live oplog begins after all of it. Where it did begin."""
    products = client.shop.products
    products.insert_many([{"_id": n, "price": n + 5} for n in range(2 * SPOILT)])
    backup_here(prepared)
    begin = committed(client)
    makers = dict(sink_makers(prepared.profile))
    uri, ends = prepared.profile.connection_uri(), snapshot_ends(prepared.profile)
    with streaming(uri, makers, ends) as stream:
        products.update_many({"_id": {"$lt": SPOILT}}, {"$set": {"price": 0}})
        products.update_one({"_id": 2}, {"$set": {"price": 7}})
        roll_over(client, committed(client))
        client.shop.carts.insert_one({"_id": 1})
        client.shop.carts.drop()
        stream.wait_for("segments:local", committed(client))
    return begin


async def until(pilot: Pilot[Any], condition: Callable[[], object]) -> None:
    try:
        async with asyncio.timeout(_SECONDS):
            while not condition():
                await pilot.pause(0.05)
    except TimeoutError:
        raise AssertionError(f"never came:\n{screen_text(pilot.app)}") from None  # type: ignore[arg-type]


async def test_it_is_found_in_the_segments_and_the_wizard_has_it_chosen(
    make_replica_set: Callable[..., ReplicaSet],
    profile_for: Callable[[ReplicaSet], PreparedProfile],
    state_dir: Any,
) -> None:
    own = make_replica_set(nodes=1, oplog_mb=16, checkpoint_seconds=1)
    prepared = with_filler_ignored(profile_for(own))
    with closing(own.client()) as client:
        begin = await asyncio.to_thread(spoilt, client, prepared)
        history = kept_oplog(prepared.profile, client)
        expected = find_events(history, begin, None, Filter((), prepared.profile.ignored), slow=True)
        update = next(e for e in expected if e.kind == "mass-update")

        access = ConsoleAccess(prepared.name, prepared.profile, "watch")
        desk = Desk(prepared.name, prepared.profile, prepared.config_file, access)
        app = ConsoleApp(desk, Pollers(prepared.name, prepared.profile))
        async with app.run_test(size=SMALL) as pilot:
            await until(pilot, lambda: app.feed.readings.events is not None and app.feed.readings.coverage)
            recent = app.feed.readings.events
            assert recent is not None and recent.value is not None
            assert update.id not in {e.id for e in recent.value.events}

            await pilot.press("E")
            await until(pilot, lambda: isinstance(app.screen, EventsScreen) and app.screen.looked.ended)
            screen = app.screen
            assert isinstance(screen, EventsScreen)
            assert [e.id for e in screen.looked.events] == [e.id for e in expected], screen_text(app)
            assert {e.kind: screen.looked.sources[e.id] for e in expected} == {
                "mass-update": "segments:local",
                "drop": "live",
            }
            assert screen.looked.unread == ()

            await pilot.press("G")
            await until(pilot, lambda: screen.chosen is not None and screen.chosen.id == update.id)
            assert "mass-update" in screen_text(app) and "merge or skip" in screen_text(app)
            await pilot.press("o")
            await until(
                pilot, lambda: isinstance(app.screen, OperationsScreen) and "update" in screen_text(app)
            )
            await pilot.press("escape")
            await until(pilot, lambda: app.screen is screen)
            await pilot.press("enter")
            await until(pilot, lambda: isinstance(app.screen, WizardScreen))
            await pilot.press("enter")
            await until(pilot, lambda: wizard_of(app).step is Step.WHEN and "(●)" in screen_text(app))
            event = wizard_of(app).state.event
            assert event is not None and event.id == update.id and event.documents == SPOILT
            assert f"(●)  mass-update  shop.products  {SPOILT}" in screen_text(app)
