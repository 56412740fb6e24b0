"""A mass update that is older than the live oplog: found in the list of events, or by one wrong document,
brought back by merge, and taken back again, by keys alone."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import bson
import pytest
from bson import json_util
from support.engineer import Engineer, console_of
from support.jobs import backup_here
from support.prepared import PreparedProfile
from support.streamkit import committed, roll_over, streaming, with_filler_ignored
from support.twin import RAW

from mongo_dr_console.agent.streaming import snapshot_ends
from mongo_dr_console.mongo.launch import ReplicaSet
from mongo_dr_console.stream.sinks import sink_makers

pytestmark = [pytest.mark.mongod, pytest.mark.slow]

PRODUCTS, SINCE = 200, frozenset({0, 10, 20, 30})
"""Documents, and which of those that the update changed were written since."""
LISTED, NOT_LISTED = 120, 80
"""How many an update changed that is an event by itself, and one that is too small for that."""


@pytest.mark.parametrize("spoilt", [LISTED, NOT_LISTED])
def test_brought_back_by_merge_and_taken_back(
    spoilt: int,
    make_replica_set: Callable[..., ReplicaSet],
    profile_for: Callable[[ReplicaSet], PreparedProfile],
    state_dir: Path,
    at_terminal: Callable[..., Engineer],
) -> None:
    own = make_replica_set(nodes=1, oplog_mb=16, checkpoint_seconds=1)
    prepared = with_filler_ignored(profile_for(own))
    with closing(own.client()) as client:
        before = spoilt_and_written_on(client, prepared, spoilt)
        after = documents(client)

        engineer = at_terminal(dict(os.environ), (80, 24), console_of("test"))
        engineer.dashboard()
        assert "MASS UPDATE" not in engineer.terminal.text
        find = by_the_list_of_events if spoilt == LISTED else by_one_document
        find(engineer, spoilt)
        job = merged(engineer, spoilt)
        wanted = after | {i: d for i, d in before.items() if i < spoilt and i not in SINCE}
        assert documents(client) == wanted
        lines = (state_dir / "jobs" / job / "conflicts.jsonl").read_text().splitlines()
        assert {conflict(line) for line in lines} == {("shop.products", i, before[i]) for i in SINCE}

        engineer.terminal.press("u")
        engineer.sees("Take this restore back?")
        engineer.confirms(job, "Undo")
        engineer.job_on_screen("undo")
        engineer.sees("✓ done", f"{spoilt - len(SINCE)} as before the merge")
        assert documents(client) == after


def spoilt_and_written_on(client: Any, prepared: PreparedProfile, spoilt: int) -> dict[Any, bytes]:
    """A snapshot, good writes, the update, good writes, and the live oplog begins later; the documents right
    before the update."""
    products = client.shop.products
    products.insert_many([{"_id": n, "name": f"p{n}", "price": n + 5, "stock": 1} for n in range(PRODUCTS)])
    backup_here(prepared)
    with streaming(
        prepared.profile.connection_uri(),
        dict(sink_makers(prepared.profile)),
        snapshot_ends(prepared.profile),
    ) as stream:
        for n in range(0, PRODUCTS, 7):
            products.update_one({"_id": n}, {"$inc": {"stock": n}})
        before = documents(client)
        products.update_many({"_id": {"$lt": spoilt}}, {"$set": {"price": 0}})
        for n in SINCE - {0}:
            products.update_one({"_id": n}, {"$inc": {"stock": 1}})
        products.delete_one({"_id": 0})
        products.insert_many([{"_id": f"new{n}", "name": "new", "price": 1, "stock": 1} for n in range(20)])
        products.update_one({"_id": PRODUCTS - 1}, {"$set": {"price": 7}})
        roll_over(client, committed(client))
        stream.wait_for("segments:local", committed(client))
    return before


def by_the_list_of_events(engineer: Engineer, spoilt: int) -> None:
    """Through the wizard, up to where it is said what becomes of what was written since."""
    engineer.terminal.press("E")
    engineer.sees("Events from", f"mass-update  shop.products  {spoilt}", "looked through back to")
    while not re.search("^▶ .*mass-update", engineer.terminal.text, re.MULTILINE):
        before = engineer.terminal.text
        engineer.terminal.press("down")
        engineer.terminal.wait_for(lambda shown, before=before: shown != before, what="the cursor to move")
    engineer.sees("merge or skip")
    engineer.terminal.press("enter")
    engineer.takes_what_is_proposed("findings", f"(●)  mass-update  shop.products  {spoilt}", "1 ticked")
    for mode in ("swap", "in-place", "beside"):
        engineer.sees(f"▶ (●) {mode}")
        engineer.terminal.press("down")
    engineer.takes_what_is_proposed("▶ (●) merge")


def by_one_document(engineer: Engineer, spoilt: int) -> None:
    """The same by the history of a document that is wrong."""
    engineer.types_command("document")
    engineer.sees("The history of one document")
    engineer.fills_in("shop.products", "42")
    engineer.sees("the oldest there is", "stock", "price", "▶")
    engineer.terminal.press("u")
    engineer.sees("Bring this back", "(mass-update", "chosen and mode merge")
    engineer.goes_past_cancel("Open the wizard")
    engineer.takes_what_is_proposed("findings", f"(●)  mass-update  shop.products  {spoilt}", "1 ticked")
    engineer.takes_what_is_proposed("▶ (●) merge")


def merged(engineer: Engineer, spoilt: int) -> str:
    """From the plan on; the job's id."""
    engineer.sees(f"up to {len(SINCE)} documents were written since the event", "brings documents back into")
    engineer.arms()
    engineer.terminal.press("enter")
    engineer.confirms("test/own/shop.products", "Restore")
    job = engineer.job_on_screen("restore")
    engineer.sees("! partial", f"{len(SINCE)} documents were left as they are now", "conflicts.jsonl")
    put_back = f"{spoilt - len(SINCE)} put back to what they"
    engineer.sees("_id=10: it was updated", "_id=0: it was deleted", put_back)
    return job


def documents(client: Any) -> dict[Any, bytes]:
    return {d["_id"]: bytes(d.raw) for d in client.shop.get_collection("products", codec_options=RAW).find()}


def conflict(line: str) -> tuple[str, Any, bytes]:
    """Where it is, and the document as it would have come back."""
    found = json.loads(line)
    document = json_util.loads(json.dumps(found["document"]))
    return found["namespace"], document["_id"], bson.encode(document)
