"""What a scheduled job is asked to do."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from mongo_dr_console.config import Profile
from mongo_dr_console.model.schedule import Kind
from mongo_dr_console.model.verifynext import next_to_verify
from mongo_dr_console.stores.catalogue import list_snapshots
from mongo_dr_console.stores.open import open_answering

VERIFY_RATE = 20 * 2**20
"""Bytes that a verification in the background reads in a second: it is to hinder nobody."""


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
    """Of the copy that is most in need."""
    stores, _ = open_answering(profile)
    wanted = next_to_verify([e for s in stores.values() for e in list_snapshots(s)], datetime.now(UTC))
    if wanted is None:
        raise NothingToDo("every snapshot is verified as it should be")
    return {"snapshot": wanted.snapshot, "store": wanted.store, "level": wanted.level, "rate": VERIFY_RATE}
