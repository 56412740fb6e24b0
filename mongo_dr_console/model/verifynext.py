"""Which snapshot is to be verified next, where that is done bit by bit in the background. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum

from mongo_dr_console.model.catalogue import LEVELS, SnapshotEntry


@dataclass(frozen=True, slots=True)
class VerifyPolicy:
    """What is promised of every snapshot that is kept, in each store that has it.

    Args:
        level: The rung that it must have reached; up to 3, no server is needed for it.
        within: How old that may be: what lies on a disk decays.
    """

    level: int = 3
    within: timedelta = timedelta(days=14)


class Need(IntEnum):
    """The most pressing first."""

    NEVER = 0
    LOW = 1
    OLD = 2


@dataclass(frozen=True, slots=True)
class ToVerify:
    """One copy of a snapshot, the level that it is to be brought to, and why, in words."""

    snapshot: str
    store: str
    level: int
    need: Need
    why: str


def next_to_verify(
    snapshots: Iterable[SnapshotEntry], now: datetime, policy: VerifyPolicy | None = None
) -> ToVerify | None:
    """The copy that is most in need: one that was never looked at, then one that was looked at less closely
    than is wanted, then one that was not looked at for too long; of each the newest, which is what a restore
    would use. None where all is as promised.

    One that is known to be damaged, or cannot be restored from at all, is left to people: another look says
    the same.

    Args:
        snapshots: One entry for each copy.
    """
    wanted = policy or VerifyPolicy()
    needs = [
        (need, entry)
        for entry in snapshots
        if entry.problem is None and not entry.known_bad and (need := _need(entry, now, wanted)) is not None
    ]
    if not needs:
        return None
    need, entry = min(needs, key=lambda each: (each[0], -each[1].taken_at.timestamp(), each[1].store))
    return ToVerify(entry.name, entry.store, wanted.level, need, _words(entry, need, now, wanted))


def _need(entry: SnapshotEntry, now: datetime, policy: VerifyPolicy) -> Need | None:
    if entry.verification is None:
        return Need.NEVER
    at = _reached(entry, policy.level)
    if at is None:
        return Need.LOW
    # A time to come is a wrong clock's: it must not put a look off for ever.
    return None if now - policy.within < at <= now else Need.OLD


def _reached(entry: SnapshotEntry, level: int) -> datetime | None:
    """When it last reached a level, or a higher one that includes it. A drill looks at no file by itself."""
    rungs = () if entry.verification is None else entry.verification.rungs
    return max((at for n, at in rungs if level <= n), default=None)


def _words(entry: SnapshotEntry, need: Need, now: datetime, policy: VerifyPolicy) -> str:
    if need is Need.NEVER:
        return "never verified"
    if need is Need.LOW:
        return f"never verified as {LEVELS[policy.level]}"
    at = _reached(entry, policy.level)
    days = 0.0 if at is None else (now - at) / timedelta(days=1)
    if days < 0:
        return "last verified at a time to come, by a wrong clock"
    return f"last verified as {LEVELS[policy.level]} {days:.0f} days ago"
