"""The primary is asked where there is one, also by a client that has heard of other members only."""

from __future__ import annotations

import time
from collections.abc import Callable

from pymongo.server_description import ServerDescription
from pymongo.server_type import SERVER_TYPE

LONGEST_SECONDS = 3.0


class PrimaryFirst:
    """What chooses among the members that a driver would read from.

    Told to read from the primary and else from another member, a driver takes whoever has answered: for a new
    client that may be a member that is hours behind, beside a primary that is well. So while the members that
    have answered know of a primary, it is waited for, for a moment.

    Args:
        seconds: How long is looked for a member at all; a part of that, and ``LONGEST_SECONDS`` at most.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds, self._clock = min(LONGEST_SECONDS, seconds / 2), clock
        self._missed_since: float | None = None

    def __call__(self, members: list[ServerDescription]) -> list[ServerDescription]:
        """Those that may be asked now; none: the driver waits and asks again."""
        if any(member.server_type == SERVER_TYPE.RSPrimary for member in members):
            self._missed_since = None
            return members
        if not any(member.primary for member in members):
            return members
        now = self._clock()
        if self._missed_since is None:
            self._missed_since = now
        return members if now - self._missed_since >= self._seconds else []
