"""Taking a dead owner's lock off a deployment."""

from __future__ import annotations

import os
import socket

from mongo_dr_console.config import Profile
from mongo_dr_console.host import this_boot
from mongo_dr_console.model.lock import LockInfo, reason_to_keep
from mongo_dr_console.model.trouble import Refused, Trouble
from mongo_dr_console.mongo.client import Client
from mongo_dr_console.mongo.locks import read_lock, remove_lock
from mongo_dr_console.workers import jobs
from mongo_dr_console.workers.access import require
from mongo_dr_console.workers.folders import jobs_folder


def dead_lock(profile: Profile, client: Client) -> LockInfo | None:
    """The deployment's lock, whose owner is dead; None where it is not locked.

    Raises:
        Refused: Its owner lives, or that is not known.
    """
    lock = read_lock(client)
    if lock is None:
        return None
    this_host = lock.host == socket.gethostname()
    alive = _owner_lives(profile, lock, boot=this_boot()) if this_host else None
    if (reason := reason_to_keep(lock, this_host=this_host, alive=alive)) is not None:
        raise reason
    return lock


def remove_dead_lock(name: str, profile: Profile, client: Client, lock: LockInfo) -> None:
    """Removes a lock that ``dead_lock`` gave.

    Raises:
        Refused: The profile's access does not reach; it changed hands meanwhile.
    """
    require(name, profile, "restore")
    if not remove_lock(client, lock):
        raise Refused(
            "lock-changed",
            "The lock changed hands meanwhile. It was not removed.",
            "Look again: mdr jobs unlock",
        )


def _owner_lives(profile: Profile, lock: LockInfo, *, boot: str) -> bool:
    """By the lock of the job's own folder where that is here, else by the process id."""
    if lock.boot and boot and lock.boot != boot:
        return False
    try:
        return jobs.is_alive(jobs.find_job(jobs_folder(profile), lock.job))
    except Trouble:
        pass
    try:
        os.kill(lock.pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
