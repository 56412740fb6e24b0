"""The state of a replica set, as its members tell it. Pure: parses what ``replSetGetStatus``, ``hello`` and
``replSetGetConfig`` answered, and merges what several members say when there is no primary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from bson.timestamp import Timestamp

from mongo_dr_console.model.position import Position

PRIMARY = "PRIMARY"
SECONDARY = "SECONDARY"
ARBITER = "ARBITER"
UNREACHABLE_STATE = "(not reachable/healthy)"

_DATA_STATES = (PRIMARY, SECONDARY)
_VOTING_STATES = (PRIMARY, SECONDARY, ARBITER, "RECOVERING", "ROLLBACK")
WRITE_BLOCK_ON = 2
"""``repl.userWriteBlockMode`` of ``serverStatus`` while user writes are blocked (1: they are not)."""


@dataclass(frozen=True, slots=True)
class Member:
    """One member.

    Args:
        name: ``host:port`` as in the set's configuration.
        state: The server's word: PRIMARY, SECONDARY, RECOVERING, ROLLBACK, STARTUP2, ARBITER, DOWN, ...
        healthy: Whether the member that was asked (or the member itself) says it is up.
        lag_seconds: How far its newest applied entry is behind the primary's (without a primary: behind
            the newest of all members); None where it cannot be known, as for arbiters and dead members.
        ping_ms: Round trip: measured by the member that was asked, or by us for that member itself.
        votes, priority: From the configuration; None where it could not be read.
        sync_source: Whom it copies from; None for a primary.
        heartbeat_age_seconds: Since its last answer to the member that was asked; None for that member.
        position: Its newest applied entry.
        answered: Whether it answered us directly; None if it was not asked.
    """

    name: str
    state: str
    healthy: bool
    lag_seconds: float | None = None
    ping_ms: float | None = None
    votes: int | None = None
    priority: float | None = None
    sync_source: str | None = None
    heartbeat_age_seconds: float | None = None
    position: Position | None = None
    uptime_seconds: int | None = None
    message: str = ""
    answered: bool | None = None

    @property
    def up(self) -> bool:
        """Whether it can serve: healthy, and a primary, secondary or arbiter."""
        return self.healthy and self.state in (*_DATA_STATES, ARBITER)

    @property
    def can_vote(self) -> bool:
        return self.healthy and self.votes != 0 and self.state in _VOTING_STATES


@dataclass(frozen=True, slots=True)
class SetStatus:
    """The whole set at one moment.

    Args:
        told_by: The member whose view this is.
        primary_since: When the primary was elected; None without one.
        majority_needed: Votes that an election and a majority write need.
        majority_available: Votes of the members that are up.
        committed: The majority-committed point.
        clock: The clock of the member that answered.
        write_blocked: Whether user writes are blocked (``setUserWriteBlockMode``); None if not told.
        partial: Why this is not everything that could be known; empty otherwise.
    """

    set_name: str
    told_by: str
    primary: str | None
    primary_since: datetime | None
    term: int | None
    members: tuple[Member, ...]
    majority_needed: int | None
    majority_available: int
    committed: Position | None
    clock: datetime | None
    server_version: str = ""
    write_blocked: bool | None = None
    partial: str = ""

    @property
    def has_majority(self) -> bool:
        return self.majority_needed is not None and self.majority_available >= self.majority_needed

    @property
    def worst_lag(self) -> Member | None:
        """The member that is furthest behind; None where no lag is known."""
        behind = [m for m in self.members if m.lag_seconds is not None]
        return max(behind, key=lambda m: m.lag_seconds or 0.0, default=None)


def parse_set_status(
    status: Mapping[str, Any],
    hello: Mapping[str, Any],
    config: Mapping[str, Any] | None = None,
    *,
    round_trip_ms: float | None = None,
    write_block_mode: int | None = None,
    server_version: str = "",
) -> SetStatus:
    """One member's view. ``config`` is ``replSetGetConfig``'s ``config``, for votes and priorities."""
    configured = {str(m["host"]): m for m in (config or {}).get("members", ())}
    raw = list(status.get("members", ()))
    newest = _newest(raw)
    now = status.get("date")
    members = tuple(_member(m, configured.get(str(m["name"])), newest, now, round_trip_ms) for m in raw)
    leader = next((m for m in raw if m.get("stateStr") == PRIMARY and m.get("health")), None)
    optime = (status.get("optimes") or {}).get("lastCommittedOpTime") or {}
    return SetStatus(
        set_name=str(status.get("set", hello.get("setName", ""))),
        told_by=str(hello.get("me") or next((m["name"] for m in raw if m.get("self")), "")),
        primary=None if leader is None else str(leader["name"]),
        primary_since=None if leader is None else leader.get("electionDate"),
        term=_int(status.get("term")),
        members=members,
        majority_needed=_int(status.get("majorityVoteCount")) or _majority(members),
        majority_available=_available(members),
        committed=_position(optime.get("ts")),
        clock=now or hello.get("localTime"),
        server_version=server_version,
        write_blocked=None if write_block_mode in (None, 0) else write_block_mode == WRITE_BLOCK_ON,
    )


def merge_views(views: Sequence[SetStatus], silent: Sequence[str] = ()) -> SetStatus | None:
    """One picture from the views of members that were asked directly; ``silent`` did not answer.

    The view with the highest term is the base, one with a primary before one without. Every member that
    answered is described by itself: what it says about its own state beats what others last heard.
    """
    if not views:
        return None
    base = max(views, key=lambda v: (v.term or -1, v.primary == v.told_by, v.primary is not None))
    own = {v.told_by: _itself(v) for v in views}
    members = tuple(
        replace(own.get(m.name) or m, answered=m.name in own or (False if m.name in silent else None))
        for m in base.members
    )
    members = _lags_among(members)
    claimed = next((m.name for m in members if m.state == PRIMARY and m.healthy), None)
    return replace(
        base,
        members=members,
        primary=claimed,
        primary_since=base.primary_since if claimed == base.primary else None,
        majority_available=_available(members),
        partial="" if claimed else "There is no primary; the members were asked one by one.",
    )


def _itself(view: SetStatus) -> Member | None:
    return next((m for m in view.members if m.name == view.told_by), None)


def _lags_among(members: tuple[Member, ...]) -> tuple[Member, ...]:
    alive = [m for m in members if m.healthy and m.position is not None]
    if not alive:
        return members
    leader = next((m for m in alive if m.state == PRIMARY), None)
    newest = (leader or max(alive, key=lambda m: m.position or Position(0, 0))).position
    assert newest is not None
    return tuple(
        replace(m, lag_seconds=float(max(0, newest.t - m.position.t)))
        if m.healthy and m.position is not None and m.state != ARBITER
        else replace(m, lag_seconds=None)
        for m in members
    )


def _member(
    raw: Mapping[str, Any],
    configured: Mapping[str, Any] | None,
    newest: datetime | None,
    now: datetime | None,
    round_trip_ms: float | None,
) -> Member:
    itself = bool(raw.get("self"))
    heartbeat = raw.get("lastHeartbeatRecv") or raw.get("lastHeartbeat")
    healthy = bool(raw.get("health"))
    state = str(raw.get("stateStr", "UNKNOWN"))
    ping = raw.get("pingMs")
    return Member(
        name=str(raw["name"]),
        state="DOWN" if state == UNREACHABLE_STATE else state,
        healthy=healthy,
        lag_seconds=_lag(raw, newest) if healthy else None,
        ping_ms=round_trip_ms if itself else (float(ping) if healthy and ping is not None else None),
        votes=None if configured is None else _int(configured.get("votes")),
        priority=None if configured is None else float(configured.get("priority", 1)),
        sync_source=str(raw.get("syncSourceHost") or "") or None,
        heartbeat_age_seconds=None if itself or not heartbeat or not now else _seconds(now, heartbeat),
        position=_position((raw.get("optime") or {}).get("ts")),
        uptime_seconds=_int(raw.get("uptime")),
        message=str(raw.get("lastHeartbeatMessage") or ""),
    )


def _applied(raw: Mapping[str, Any]) -> datetime | None:
    """Wall time of the newest applied entry: exact to the millisecond where the server tells it."""
    value = raw.get("lastAppliedWallTime") or raw.get("optimeDate")
    return value if isinstance(value, datetime) and value.timestamp() > 0 else None


def _newest(raw: Sequence[Mapping[str, Any]]) -> datetime | None:
    alive = [m for m in raw if m.get("health") and _applied(m)]
    leader = next((m for m in alive if m.get("stateStr") == PRIMARY), None)
    if leader is not None:
        return _applied(leader)
    return max((t for m in alive if (t := _applied(m))), default=None)


def _lag(raw: Mapping[str, Any], newest: datetime | None) -> float | None:
    applied = _applied(raw)
    if newest is None or applied is None or raw.get("stateStr") == ARBITER:
        return None
    return max(0.0, _seconds(newest, applied))


def _seconds(later: datetime, earlier: datetime) -> float:
    return max(0.0, (later - earlier).total_seconds())


def _position(value: object) -> Position | None:
    return Position.of(value) if isinstance(value, Timestamp) and value.time > 0 else None


def _int(value: object) -> int | None:
    return int(value) if isinstance(value, int | float) else None


def _available(members: tuple[Member, ...]) -> int:
    return sum(1 if m.votes is None else m.votes for m in members if m.can_vote)


def _majority(members: tuple[Member, ...]) -> int | None:
    votes = sum(1 if m.votes is None else m.votes for m in members)
    return votes // 2 + 1 if votes else None
