"""What the replica set and its oplog add to the verdict. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from mongo_dr_console.model.level import Fact, Level, grade
from mongo_dr_console.model.rank import Rank
from mongo_dr_console.model.reading import Reading
from mongo_dr_console.model.readings import Limits, Readings
from mongo_dr_console.model.setstatus import ARBITER, PRIMARY, SECONDARY, Member, SetStatus
from mongo_dr_console.model.unknown import is_down, missing
from mongo_dr_console.model.words import duration


def judge_set(reading: Reading[SetStatus] | None, limits: Limits, now: datetime) -> Iterator[Fact]:
    """Whether writes can go on, and which members carry them."""
    if is_down(reading):
        text = "DEPLOYMENT DOWN: no member answers. Writes and reads fail."
        yield Fact(Level.CRITICAL, "deployment-down", "set", text, Rank.NO_PRIMARY)
        return
    yield from missing(reading, "set", now)
    if reading is None or reading.value is None or reading.error is not None:
        return
    status = reading.value
    if status.primary is None:
        yield _no_primary(status)
    if status.write_blocked:
        text = "User writes are blocked (setUserWriteBlockMode)."
        yield Fact(Level.CRITICAL, "write-blocked", "set", text, Rank.NO_PRIMARY)
    # Who is down before who lags.
    for member in sorted(status.members, key=lambda m: m.healthy):
        yield from _member_facts(member, status, limits)


def _no_primary(status: SetStatus) -> Fact:
    needed = "?" if status.majority_needed is None else status.majority_needed
    votes = f"{status.majority_available} of {needed} needed votes are up"
    if status.has_majority:
        text = f"NO PRIMARY: {votes}; an election should end this within seconds. Writes fail."
    else:
        text = f"NO MAJORITY: {votes}. Writes fail until a member comes back."
    return Fact(Level.CRITICAL, "no-primary", "set", text, Rank.NO_PRIMARY)


def _member_facts(member: Member, status: SetStatus, limits: Limits) -> Iterator[Fact]:
    if not member.healthy:
        left = status.majority_available - (status.majority_needed or 0)
        more = "; one more loss stops writes" if status.primary and left <= 0 else ""
        text = f"{member.name} is down{_last_seen(member)}{more}."
        yield Fact(Level.WARNING, "member-down", "set", text, Rank.MEMBER)
    elif member.state not in (PRIMARY, SECONDARY, ARBITER):
        text = f"{member.name} is in state {member.state}: it does not serve."
        yield Fact(Level.WARNING, "member-state", "set", text, Rank.MEMBER)
    elif member.lag_seconds is not None:
        level = grade(member.lag_seconds, limits.oplog_lag)
        if level is not Level.FINE:
            text = f"{member.name} lags {duration(member.lag_seconds)} behind."
            yield Fact(level, "member-lag", "set", text, Rank.MEMBER)


def _last_seen(member: Member) -> str:
    if member.heartbeat_age_seconds is None:
        return ""
    return f", last heard of {duration(member.heartbeat_age_seconds)} ago"


def judge_oplog(readings: Readings, now: datetime) -> Iterator[Fact]:
    """Members that the oplog no longer reaches."""
    if is_down(readings.set):
        return
    yield from missing(readings.oplog, "oplog", now)
    if readings.oplog is None or readings.oplog.value is None:
        return
    for member in readings.oplog.value.members:
        if member.headroom_seconds is not None and member.headroom_seconds < 0:
            text = f"{member.name} has fallen off the oplog and must be copied afresh."
            yield Fact(Level.CRITICAL, "member-off-oplog", "oplog", text, Rank.MEMBER)
