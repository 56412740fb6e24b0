"""The lock of a deployment that is written to: who has it, how far he is, and who may take it away."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from mongo_dr_console.model.trouble import Refused

STALE_SECONDS = 60.0
"""A heartbeat older than this has missed thirty beats: the owner is dead, or cut off and has given up."""
DEAD_HERE_SECONDS = 10.0
"""On the owner's own host, where its process is known to be gone, five missed beats are enough."""


@dataclass(frozen=True, slots=True)
class LockInfo:
    """What the lock document says.

    Args:
        owner: ``user@host`` of whoever started the job.
        host, pid: Where its process runs.
        boot: Tells one run of that host from the next; empty where the system does not say.
        fencing: Rises with every lock taken.
        step: What it is at; empty: nothing yet.
        percent: Of that step.
        started: When the lock was taken.
        heartbeat: Its last sign of life.
        age_seconds: How old that was, by the server's clock.
    """

    job: str
    kind: str
    owner: str
    host: str
    pid: int
    boot: str
    fencing: int
    step: str
    percent: float | None
    started: datetime
    heartbeat: datetime
    age_seconds: float

    @property
    def fresh(self) -> bool:
        return self.age_seconds <= STALE_SECONDS

    @property
    def where(self) -> str:
        """The step in words: ``step 'replay' at 43%``."""
        if not self.step:
            return "not at a step yet"
        return f"step {self.step!r}" + ("" if self.percent is None else f" at {self.percent:.0f}%")


def locked(lock: LockInfo) -> Refused:
    """The refusal that a second job gets: whose lock it is, how far he is, what can be done."""
    what = (
        f"The deployment is being written to by job {lock.job} ({lock.kind}) of {lock.owner}, {lock.where}, "
        f"heartbeat {lock.age_seconds:.0f} s ago. Nothing was changed."
    )
    if lock.fresh:
        hint = f"On {lock.host}: mdr jobs attach {lock.job} (or stop {lock.job}); then start this one again."
    else:
        hint = (
            f"It seems to be dead. On {lock.host}: mdr jobs resume {lock.job}; "
            "if that cannot be, take the lock away with: mdr jobs unlock"
        )
    return Refused("locked", what, hint)


def reason_to_keep(lock: LockInfo, *, this_host: bool, alive: bool | None) -> Refused | None:
    """Why the lock may not be taken away; None where its owner is dead.

    Args:
        lock: As read a moment ago.
        this_host: Whether the owner ran on this host.
        alive: Whether the owner's process lives; None where that cannot be known from here.
    """
    if this_host and alive:
        return Refused(
            "lock-owner-lives",
            f"Job {lock.job} ({lock.kind}) of {lock.owner} has the lock and its process {lock.pid} lives on "
            f"this host ({lock.where}). The lock was not removed.",
            f"Stop it at a safe point: mdr jobs stop {lock.job}",
        )
    needed = DEAD_HERE_SECONDS if this_host and alive is False else STALE_SECONDS
    if lock.age_seconds <= needed:
        return Refused(
            "lock-fresh",
            f"Job {lock.job} ({lock.kind}) of {lock.owner} has the lock and gave a sign of life "
            f"{lock.age_seconds:.0f} s ago ({lock.where}). The lock was not removed.",
            f"On {lock.host}: mdr jobs stop {lock.job}. If it is dead, try again when its heartbeat is older "
            f"than {needed:.0f} s.",
        )
    return None
