"""Where a drill works, and how nothing of it stays: a database of its own, marked as such, and its snapshot.

``mongo_dr.drills`` has the mark: which job, and the snapshots that it began. It is written before the first
thing is made, and goes last, so whatever a drill that was killed left is known to the next one, on any host.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from typing import Any

from pymongo.errors import PyMongoError
from pymongo.write_concern import WriteConcern

from mongo_dr_console.config import Profile
from mongo_dr_console.host import this_boot
from mongo_dr_console.model.drilldata import COLLECTION, DATABASE
from mongo_dr_console.model.lock import LockInfo, reason_to_keep
from mongo_dr_console.model.manifest import Manifest
from mongo_dr_console.model.namespace import OWN_DATABASE, is_set_aside, is_staging
from mongo_dr_console.model.progress import Note, Report, StopSignal
from mongo_dr_console.model.trouble import Failed, Refused
from mongo_dr_console.mongo.client import Client, told
from mongo_dr_console.mongo.locks import DeploymentLock, read_lock, remove_lock
from mongo_dr_console.stores.catalogue import read_manifest
from mongo_dr_console.stores.open import open_store
from mongo_dr_console.stores.pruning import remove_snapshot
from mongo_dr_console.stores.store import Store

MARKS = "drills"
_MARK = "drill"
_MAJORITY = WriteConcern("majority")
_LOOK_SECONDS = 0.5


def take_lock(client: Client, job: str, owner: str, stop: StopSignal) -> DeploymentLock:
    """The deployment's lock for a drill. That of a drill whose process is known to be dead is taken over.

    Raises:
        Refused: Another job has it.
        Unreachable: No majority to confirm it.
    """
    lock = DeploymentLock(client, job, "drill", owner)
    while True:
        try:
            lock.acquire()
        except Refused as refused:
            held = read_lock(client) if refused.code == "locked" else None
            if held is None or held.kind != "drill":
                raise
            alive = _lives_here(held)
            reason = reason_to_keep(held, this_host=alive is not None, alive=alive)
            if reason is not None and alive is not False:
                raise
            if reason is None:
                remove_lock(client, held)
            else:
                stop.check()
                time.sleep(_LOOK_SECONDS)
        else:
            return lock


def _lives_here(held: LockInfo) -> bool | None:
    """Whether the owner's process lives; None where it ran on another host."""
    if held.host != socket.gethostname():
        return None
    if held.boot and held.boot != this_boot():
        return False
    try:
        os.kill(held.pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def read_mark(client: Client) -> Mapping[str, Any] | None:
    """What a drill left, or is at; None: nothing."""
    try:
        return client[OWN_DATABASE][MARKS].find_one({"_id": _MARK})
    except PyMongoError as error:
        raise told(error) from None


def require_own(client: Client) -> None:
    """Raises Refused where the drill's database is there and holds what no drill of ours made."""
    try:
        there = client[DATABASE].list_collection_names()
    except PyMongoError as error:
        raise told(error) from None
    foreign = sorted(n for n in there if n != COLLECTION and not is_staging(n) and not is_set_aside(n))
    if not there or (read_mark(client) is not None and not foreign):
        return
    raise Refused(
        "drill-database-taken",
        f"The database {DATABASE} is there and was not made by a drill: it has "
        f"{', '.join((foreign or sorted(there))[:3])}. It was not touched, and nothing was drilled.",
        f"Look at what it is, and rename or drop it: a drill needs the name {DATABASE} for itself.",
    )


def mark(client: Client, job: str) -> None:
    _change(client, {"$set": {"job": job, "snapshots": []}})


def mark_snapshot(client: Client, store: str, name: str) -> None:
    """Before there is anything of it."""
    _change(client, {"$push": {"snapshots": {"store": store, "name": name}}})


def _change(client: Client, change: dict[str, Any]) -> None:
    marks = client[OWN_DATABASE].get_collection(MARKS, write_concern=_MAJORITY)
    try:
        marks.update_one({"_id": _MARK}, change, upsert=True)
    except PyMongoError as error:
        raise told(error) from None


def clean(client: Client, profile: Profile, report: Report) -> bool:
    """Removes all that a drill made; the mark goes last.

    Returns:
        Whether there was anything.

    Raises:
        Refused: The database holds what no drill made.
        Trouble: A store or the deployment does not answer; what is left stays marked.
    """
    require_own(client)
    found = read_mark(client)
    if found is None:
        return False
    try:
        own = client.get_database(DATABASE, write_concern=_MAJORITY)
        for name in sorted(own.list_collection_names()):
            own.drop_collection(name)
        # A database without collections is none.
    except PyMongoError as error:
        raise told(error) from None
    for snapshot in found.get("snapshots", []):
        _remove(profile, str(snapshot["store"]), str(snapshot["name"]), report)
    try:
        client[OWN_DATABASE].get_collection(MARKS, write_concern=_MAJORITY).drop()
    except PyMongoError as error:
        raise told(error) from None
    return True


def _remove(profile: Profile, store_name: str, name: str, report: Report) -> None:
    config = profile.stores.get(store_name)
    if config is None:
        report(
            Note(f"snapshot {name} of a drill lies in {store_name}, which the profile has no more", "warning")
        )
        return
    store = open_store(store_name, config)
    manifest = _manifest(store, name)
    if manifest is not None and manifest.scope != [DATABASE]:
        report(Note(f"snapshot {name} in {store_name} is none of a drill; it stays", "warning"))
        return
    remove_snapshot(store, name)


def _manifest(store: Store, name: str) -> Manifest | None:
    if not any(store.list(f"{name}/")):
        return None
    try:
        return read_manifest(store, name)
    except Failed:
        return None
