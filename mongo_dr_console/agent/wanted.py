"""What a scheduled job is asked to do."""

from __future__ import annotations

from typing import Any

from mongo_dr_console.config import Profile
from mongo_dr_console.model.catalogue import SnapshotEntry
from mongo_dr_console.model.schedule import Kind
from mongo_dr_console.stores.catalogue import list_snapshots
from mongo_dr_console.stores.open import open_answering

VERIFY_RATE = 20 * 2**20
"""Bytes that a verification in the background reads in a second: it is to hinder nobody."""
_LEVEL = 3


class NothingToDo(Exception):
    """There is nothing that this kind of job could do now; why, in words."""


def request_for(kind: Kind, profile: Profile) -> dict[str, Any]:
    """The request of a job, as the command by hand would make it.

    Raises:
        NothingToDo: Nothing is to be done.
        Trouble: It cannot be told.
    """
    match kind:
        case "backup":
            return {"stores": None, "compression": "gzip", "databases": None, "engine": profile.engine}
        case "prune":
            return {"store": None}
        case "drill":
            return {"store": None, "full": False}
        case "verify":
            return _verification(profile)


def _verification(profile: Profile) -> dict[str, Any]:
    """Of the snapshot that is most in need: the newest that was never verified, else the one whose
    verification is the oldest."""
    stores, _ = open_answering(profile)
    entries = [e for s in stores.values() for e in list_snapshots(s) if e.problem is None]
    if not entries:
        raise NothingToDo("there is no snapshot to verify")
    wanted = min(entries, key=_need)
    return {"snapshot": wanted.name, "store": wanted.store, "level": _LEVEL, "rate": VERIFY_RATE}


def _need(entry: SnapshotEntry) -> tuple[bool, float]:
    if entry.verification is None:
        return False, -entry.taken_at.timestamp()
    return True, entry.verification.at.timestamp()
