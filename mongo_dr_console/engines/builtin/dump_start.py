"""Where a dump's window begins, and notes in the oplog where one is wanted."""

from __future__ import annotations

import time

from pymongo.errors import OperationFailure

from mongo_dr_console.engines.builtin.dump_oplog import check_entry, overflow
from mongo_dr_console.model.oplogentry import raw_entry
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.progress import StopSignal
from mongo_dr_console.model.trouble import Failed
from mongo_dr_console.mongo.client import Client
from mongo_dr_console.mongo.oplog import ends, entry_at, majority_position

_SETTLE_SECONDS = 25


def find_start(client: Client, stop: StopSignal) -> Position:
    """The majority point, or the first entry of the oldest transaction that is still open, if earlier.

    An entry at the start is replayed over data that was read after it. That is harmless for all but the
    ones that a dump cannot bear: then it begins at the next entry, a note of our own where that may be
    written (role backup), else the one that an idle primary writes every 10 s.
    """
    deadline = time.monotonic() + _SETTLE_SECONDS
    noted = False
    while True:
        opened = _oldest_transaction(client)
        position, _ = majority_position(client)
        start = position if opened is None else min(position, opened)
        trouble = _bars(client, start)
        if trouble is None:
            oldest, _ = ends(client)
            if oldest > start:
                raise overflow(start, oldest)
            return start
        if time.monotonic() > deadline:
            raise trouble
        if not noted:
            note_in_oplog(client, "backup begins")
            noted = True
        stop.check()
        time.sleep(0.05)


def note_in_oplog(client: Client, what: str) -> Position | None:
    """Writes an entry that changes nothing, and says where it is; None without the right to do so."""
    try:
        reply = client.admin.command("appendOplogNote", data={"msg": f"mongo-dr-console: {what}"})
    except OperationFailure:
        return None
    return Position.of(reply["operationTime"])


def _oldest_transaction(client: Client) -> Position | None:
    found = client.config.transactions.find(
        {"state": {"$in": ["prepared", "inProgress"]}}, {"startOpTime": 1}
    )
    return min((Position.of(t["startOpTime"]["ts"]) for t in found if "startOpTime" in t), default=None)


def _bars(client: Client, position: Position) -> Failed | None:
    raw = entry_at(client, position)
    if raw is None:
        return overflow(position, None)
    try:
        check_entry(raw_entry(raw))
    except Failed as trouble:
        return trouble
    return None
