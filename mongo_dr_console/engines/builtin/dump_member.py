"""Which member a dump reads data from: the one that has the least to do and is fit for it."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pymongo.errors import PyMongoError

from mongo_dr_console.model.setstatus import PRIMARY, SECONDARY, parse_set_status
from mongo_dr_console.model.trouble import Refused
from mongo_dr_console.mongo.client import Client, connect
from mongo_dr_console.mongo.members import member_uri

MAX_LAG_SECONDS = 10.0
"""A member that is further behind is not read from: it has enough to do, and every read would wait for it."""

_SECONDS = 3
_PING_STEP_MS = 5.0


@dataclass(frozen=True, slots=True)
class Candidate:
    """A member that answers.

    Args:
        name: ``host:port``.
        primary: Whether it is the primary.
        lag_seconds: Behind the primary; None where nobody says.
        ping_ms: The round trip from this host.
        active: Operations it is at work on, and those that wait.
    """

    name: str
    primary: bool
    lag_seconds: float | None
    ping_ms: float
    active: int


def least_loaded(candidates: Iterable[Candidate], max_lag: float = MAX_LAG_SECONDS) -> Candidate | None:
    """The secondary with the least to do; of equals the nearest, then the one that is least behind. None
    where no secondary is fit: then the primary is read from.

    >>> a, b = Candidate("a", False, 0, 1, 9), Candidate("b", False, 3, 40, 2)
    >>> least_loaded([a, b, Candidate("c", False, 60, 1, 0), Candidate("d", True, 0, 0, 0)]).name
    'b'
    """
    fit = [c for c in candidates if not c.primary and c.lag_seconds is not None and c.lag_seconds <= max_lag]
    return min(
        fit,
        key=lambda c: (c.active, round(c.ping_ms / _PING_STEP_MS), c.lag_seconds or 0.0, c.name),
        default=None,
    )


def ask_members(client: Client, uri: str) -> list[Candidate]:
    """What each data-bearing member says of itself; those that do not answer this host are left out."""
    try:
        status = client.admin.command("replSetGetStatus")
        hello = client.admin.command("hello")
    except PyMongoError:
        return []
    members = parse_set_status(status, hello).members
    found = []
    for member in members:
        if not member.healthy or member.state not in (PRIMARY, SECONDARY):
            continue
        try:
            with connect(member_uri(uri, member.name), direct=True, seconds=_SECONDS) as direct:
                direct.admin.command("ping")
                begun = time.perf_counter()
                direct.admin.command("ping")
                ping = (time.perf_counter() - begun) * 1000
                active = _active(direct)
        except PyMongoError:
            continue
        found.append(Candidate(member.name, member.state == PRIMARY, member.lag_seconds, ping, active))
    return found


def choose_member(client: Client, uri: str, named: str | None, max_lag: float) -> str | None:
    """The member to read from; None for the primary.

    Args:
        client: To the set.
        uri: The profile's.
        named: The member that was asked for.
        max_lag: Seconds that it may be behind.

    Raises:
        Refused: The member that was asked for is not fit.
    """
    candidates = ask_members(client, uri)
    if named is None:
        best = least_loaded(candidates, max_lag)
        return None if best is None else best.name
    found = next((c for c in candidates if c.name == named), None)
    if found is None:
        raise Refused(
            "member-unfit",
            f"There is no member {named} that answers this host and holds data. Nothing was backed up.",
            f"Members that do: {', '.join(c.name for c in candidates) or 'none'}",
        )
    if not found.primary and (found.lag_seconds is None or found.lag_seconds > max_lag):
        lag = "an unknown time" if found.lag_seconds is None else f"{found.lag_seconds:.0f} s"
        raise Refused(
            "member-unfit",
            f"{named} is {lag} behind the primary, more than {max_lag:g} s. Nothing was backed up.",
            "Wait until it has caught up, allow more with --max-lag, or leave --member out.",
        )
    return named


def _active(client: Client) -> int:
    try:
        answer: dict[str, Any] = client.admin.command("serverStatus")
        lock = answer["globalLock"]
        return int(lock["activeClients"]["total"]) + int(lock["currentQueue"]["total"])
    except (PyMongoError, KeyError):
        return 0
