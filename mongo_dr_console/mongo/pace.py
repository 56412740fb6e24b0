"""Holding a restore's pace to what the members can follow."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from pymongo.errors import OperationFailure, PyMongoError

from mongo_dr_console.mongo.client import Client

MAX_LAG = timedelta(seconds=20)
"""A member that is further behind is waited for: one that falls off the oplog needs a full resync."""

_PATIENCE_SECONDS = 120
_SECONDARY = 2
_PRIMARY = 1


def worst_lag(status: dict[str, Any]) -> timedelta:
    """How far the slowest healthy secondary is behind the primary, from ``replSetGetStatus``."""
    members = status["members"]
    primary = next((m["optimeDate"] for m in members if m["state"] == _PRIMARY), None)
    behind = [m["optimeDate"] for m in members if m["state"] == _SECONDARY and m.get("health") == 1]
    if primary is None or not behind:
        return timedelta(0)
    lag: timedelta = primary - min(behind)
    return max(lag, timedelta(0))


def hold_pace(client: Client, wait: Callable[[str], None]) -> None:
    """Waits while a healthy member is too far behind, two minutes at most: a member that is stuck must not
    hold a recovery up for ever. Does nothing where the status may not be read."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    said = False
    while time.monotonic() < deadline:
        try:
            lag = worst_lag(client.admin.command("replSetGetStatus"))
        except (OperationFailure, PyMongoError):
            return
        if lag <= MAX_LAG:
            return
        if not said:
            wait(f"waiting for a member that is {lag.total_seconds():.0f} s behind")
            said = True
        time.sleep(0.5)
