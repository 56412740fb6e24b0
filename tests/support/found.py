"""The events of a test's own databases."""

from __future__ import annotations

import re
from typing import Any

from mongo_dr_console.model.event import Event
from mongo_dr_console.model.eventscan import Filter
from mongo_dr_console.model.position import Position
from mongo_dr_console.stream.finder import find_events
from mongo_dr_console.stream.live import LiveOplog


def events_in(client: Any, *databases: str) -> list[Event]:
    """Those of databases that were made within the oplog: what other tests wrote before, often a hundred
    times as much, is not looked through.
    """
    named = "|".join(map(re.escape, databases))
    first = client.local["oplog.rs"].find_one({"ns": {"$regex": rf"^({named})\."}}, {"ts": 1})
    return find_events(LiveOplog(client), Position.of(first["ts"]), None, Filter(databases))
