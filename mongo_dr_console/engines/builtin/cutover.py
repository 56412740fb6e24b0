"""Putting collections in place by renames, and taking them back.

The wanted end is described by UUIDs: which collection has which name. Every pass looks where the collections
are and does what is still to be done, so the same call completes a cut-over that was interrupted anywhere.
A collection that an application made in between is set aside and reported, never dropped.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from bson import Binary
from pymongo.errors import OperationFailure, PyMongoError

from mongo_dr_console.model.namespace import aside_name, is_set_aside
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.progress import Checkpoint, Note, Report
from mongo_dr_console.model.trouble import Failed
from mongo_dr_console.mongo.client import Client
from mongo_dr_console.mongo.durability import is_lost_primary

RENAME_MS = 1000
"""An open transaction on a collection holds a rename up, and one anywhere the write block, with every write
of others waiting behind it for as long as the transaction may live; beyond this it is given up and tried
again."""

_STRAY = re.compile(r"tmp\w{5}\.rename")

_PASSES = 200
_BLOCKED = 2
_UNAUTHORIZED = 13


@dataclass(frozen=True, slots=True)
class Placement:
    """One collection's place.

    Args:
        database: Database of all the names.
        name: The name to be taken.
        incoming: Hex UUID of the collection that is to have it, None if none is to.
        outgoing: Hex UUID of the one that had it at the start, None if none had.
        aside: Name for the outgoing one.
        staging: The name under which the incoming one was made ready.
    """

    database: str
    name: str
    incoming: str | None
    outgoing: str | None
    aside: str
    staging: str = ""

    @property
    def namespace(self) -> str:
        return f"{self.database}.{self.name}"


@dataclass(frozen=True, slots=True)
class SetAside:
    """A collection that was set aside; ``expected`` is False where an application made it in between."""

    database: str
    name: str
    original: str
    uuid: str
    expected: bool


@dataclass(slots=True)
class CutOver:
    """What was done. ``position`` is that of the last rename; None where nothing was to do."""

    position: Position | None = None
    first_position: Position | None = None
    set_aside: list[SetAside] = field(default_factory=list)
    way: str = ""


class NotDrained(Exception):
    """The last writes did not come through in time; user writes must not stay blocked for them."""


@dataclass(frozen=True, slots=True)
class _Rename:
    database: str
    source: str
    target: str


def names_by_uuid(client: Client, database: str) -> dict[str, str]:
    """Hex UUID to name, for the ordinary collections of a database."""
    listed = client[database].list_collections()
    return {info["info"]["uuid"].hex(): info["name"] for info in listed if info.get("info", {}).get("uuid")}


def can_block_writes(client: Client) -> bool:
    """Whether user writes can be blocked without blocking ourselves (server-rules 16).

    From 6.0, with authentication on and the privileges that the role ``restore`` carries; without
    authentication the block is on us too.
    """
    status = client.admin.command({"connectionStatus": 1, "showPrivileges": True})["authInfo"]
    if not status["authenticatedUsers"]:
        return False
    actions = {a for p in status["authenticatedUserPrivileges"] for a in p["actions"]}
    return {"setUserWriteBlockMode", "bypassWriteBlockingMode"} <= actions or "anyAction" in actions


def writes_are_blocked(client: Client) -> bool:
    """Whether somebody, we or another, has blocked user writes."""
    status = client.admin.command({"serverStatus": 1, "repl": 1})
    return int(status.get("repl", {}).get("userWriteBlockMode", 0)) == _BLOCKED


def release_write_block(client: Client) -> None:
    """Lets user writes pass again, however long the next primary takes."""
    for attempt in range(60):
        try:
            client.admin.command({"setUserWriteBlockMode": 1, "global": False})
            return
        except PyMongoError as error:
            if attempt == 59 or not is_lost_primary(error):
                raise
            time.sleep(0.5)


@contextmanager
def write_block(client: Client, report: Report) -> Iterator[None]:
    """User writes are blocked within; journalled before and after, so that a resume lets them pass again.

    A block that was there before is somebody else's, and stays.
    """
    if writes_are_blocked(client):
        yield
        return
    report(Checkpoint("write-block", {"on": True}))
    try:
        client.admin.command({"setUserWriteBlockMode": 1, "global": True, "maxTimeMS": RENAME_MS})
        yield
    finally:
        release_write_block(client)
        report(Checkpoint("write-block", {"on": False}))


def cut_over(
    client: Client,
    placements: list[Placement],
    job: str,
    report: Report,
    *,
    drain: Callable[[], None],
    block: bool,
) -> CutOver:
    """Puts every incoming collection in its place.

    Args:
        client: To the primary.
        placements: The wanted places.
        job: For the names of what is set aside.
        report: Journals the renames before and after.
        drain: Called right before the renames, with user writes blocked where that can be had: brings what is
            to be placed up to date.
        block: Whether user writes can be blocked (``can_block_writes``).

    Raises:
        Failed: A collection that is to be placed is gone, or the names never came free; what was placed stays
            placed, and calling again goes on.
    """
    result = CutOver(way="write block" if block else "one applyOps")
    known = {uuid for _, uuid, _ in _strays(client, placements)}
    for attempt in range(_PASSES):
        _set_strays_aside(client, placements, job, known)
        renames = _outstanding(client, placements, job)
        if not renames:
            result.set_aside = set_aside_by(client, placements, job)
            return result
        # Onto names that are free nothing needs to be blocked: a write that came in between makes the name,
        # the rename is refused, and the next pass sets it aside. And a block waits for every transaction.
        blocks = block and (result.position is not None or any(is_set_aside(r.target) for r in renames))
        if block:
            result.way = "write block" if blocks else "separate renames"
        try:
            with write_block(client, report) if blocks else nullcontext():
                drain()
                _rename_once(client, _outstanding(client, placements, job), report, result)
        except NotDrained as error:
            report(Note(f"the cut-over is tried again: {error}", "warning"))
        except OperationFailure as error:
            if is_lost_primary(error):
                raise
            if error.code == _UNAUTHORIZED and result.way == "one applyOps":
                result.way = "separate renames"
                continue
            report(
                Note(f"the cut-over is tried again: {(error.details or {}).get('errmsg', error)}", "warning")
            )
            time.sleep(min(0.05 * (attempt + 1), 1))
    raise Failed(
        "cut-over-stuck",
        "The names of the collections did not come free: an application keeps making them, or a transaction "
        "stays open on them. What was restored lies ready beside the live collections.",
        "Stop the writers of these collections for a moment, then: mdr jobs resume",
    )


def _rename_once(client: Client, renames: list[_Rename], report: Report, result: CutOver) -> None:
    if not renames:
        return
    report(Checkpoint("renames", {"planned": [[r.database, r.source, r.target] for r in renames]}))
    work = _at_once if result.way == "one applyOps" else _in_turn
    for position in work(client, renames):
        result.first_position = result.first_position or position
        result.position = position
    report(Checkpoint("renamed", {"position": str(result.position)}))


def _outstanding(client: Client, placements: list[Placement], job: str) -> list[_Rename]:
    names = {db: names_by_uuid(client, db) for db in {p.database for p in placements}}
    renames: list[_Rename] = []
    by_name = {db: {name: uuid for uuid, name in here.items()} for db, here in names.items()}
    for number, placement in enumerate(placements, start=1):
        here = names[placement.database]
        if placement.incoming is None:
            if placement.outgoing is not None and here.get(placement.outgoing) == placement.name:
                renames.append(_Rename(placement.database, placement.name, placement.aside))
            continue
        source = here.get(placement.incoming)
        if source is None:
            raise Failed(
                "staging-lost",
                f"The collection that was to become {placement.namespace} is gone. The live one was not "
                "changed.",
                "Start the restore anew.",
            )
        if source == placement.name:
            continue
        occupant = by_name[placement.database].get(placement.name)
        if occupant is not None:
            aside = placement.aside
            if occupant != placement.outgoing or aside in by_name[placement.database]:
                aside = _free_name(job, number, here)
            renames.append(_Rename(placement.database, placement.name, aside))
        renames.append(_Rename(placement.database, source, placement.name))
    return renames


def set_aside_by(client: Client, placements: list[Placement], job: str) -> list[SetAside]:
    """The collections that this job has set aside, as they are now."""
    found: list[SetAside] = []
    for database in sorted({p.database for p in placements}):
        for uuid, name in names_by_uuid(client, database).items():
            match = re.fullmatch(rf"mdr_aside_{job}_u?(\d+)(?:x\d+)?", name)
            if match is None or int(match[1]) > len(placements):
                continue
            placement = placements[int(match[1]) - 1]
            if placement.database == database:
                found.append(SetAside(database, name, placement.name, uuid, uuid == placement.outgoing))
    return sorted(found, key=lambda a: (a.database, a.name))


def _strays(client: Client, placements: list[Placement]) -> list[tuple[str, str, str]]:
    """Database, UUID and name of what a rename in ``applyOps`` has moved out of its way: where the target was
    made after the last look, the server does not refuse it (server-rules 2)."""
    return [
        (database, uuid, name)
        for database in sorted({p.database for p in placements})
        for uuid, name in names_by_uuid(client, database).items()
        if _STRAY.fullmatch(name)
    ]


def _set_strays_aside(client: Client, placements: list[Placement], job: str, known: set[str]) -> None:
    """Gives them a name that is kept and reported; those in ``known`` are not of this cut-over."""
    for database, uuid, name in _strays(client, placements):
        if uuid in known:
            continue
        made = client.local["oplog.rs"].find_one(
            {"op": "c", "ui": Binary(bytes.fromhex(uuid), 4), "o.create": {"$exists": True}}
        )
        here = [(n, p.name) for n, p in enumerate(placements, start=1) if p.database == database]
        number = next((n for n, own in here if made and own == made["o"]["create"]), here[0][0])
        aside = _free_name(job, number, names_by_uuid(client, database))
        client.admin.command({"renameCollection": f"{database}.{name}", "to": f"{database}.{aside}"})


def _free_name(job: str, number: int, here: dict[str, str]) -> str:
    taken = set(here.values())
    return next(n for k in range(1, 100000) if (n := aside_name(job, f"{number}x{k}")) not in taken)


def _in_turn(client: Client, renames: list[_Rename]) -> list[Position]:
    positions = []
    for rename in renames:
        reply = client.admin.command(
            {
                "renameCollection": f"{rename.database}.{rename.source}",
                "to": f"{rename.database}.{rename.target}",
                "maxTimeMS": RENAME_MS,
            }
        )
        positions.append(Position.of(reply["operationTime"]))
    return positions


def _at_once(client: Client, renames: list[_Rename]) -> list[Position]:
    """All renames under one lock. None has ``dropTarget``: a rename in applyOps whose source is missing says
    that it succeeded, and would have dropped its target by then (server-rules 1)."""
    entries: list[dict[str, Any]] = [
        {
            "op": "c",
            "ns": f"{rename.database}.$cmd",
            "o": {
                "renameCollection": f"{rename.database}.{rename.source}",
                "to": f"{rename.database}.{rename.target}",
            },
        }
        for rename in renames
    ]
    reply = client.admin.command({"applyOps": entries, "maxTimeMS": RENAME_MS})
    return [Position.of(reply["operationTime"])]
