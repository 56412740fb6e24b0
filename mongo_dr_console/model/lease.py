"""Which agent leads: one lease for each deployment, its numbers, and when it is over. Pure.

The lease is a row of numbered documents of which the highest counts. A number is taken once, by a write that
succeeds only where there is none, so that it grows and no two agents have the same; it is the *fence*. The
leader writes its document anew every ``RENEW_SECONDS``.

No two lead at a time, whatever the clocks of the hosts say, since each side counts by a clock of its own
that only runs forward: a term ends ``TERM_SECONDS`` after its last renewal was *begun*, and somebody else
takes the next number once it has *seen* the document unchanged for ``LEASE_SECONDS``. What lies between the
two is for clocks that run at different speeds. A term that has ended is never renewed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

LEASE_SECONDS = 10.0
"""A lease that was seen unchanged for so long is over."""
TERM_SECONDS = 7.0
"""A leader that cannot renew leads no longer after this."""
RENEW_SECONDS = 2.5


class Leader(BaseModel):
    """Who leads, as others are told.

    Args:
        profile, host: Whose agent, and where.
        fence: The number of its lease; 0 where nothing is shared with other agents.
        since: When its term began, by the clock of its host.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    profile: str
    host: str
    fence: int
    since: datetime


class LeaseDocument(Leader):
    """One numbered document.

    Args:
        pid: Of its process.
        mark: Tells that process from any other, see ``stores.owner``.
        renewed: How often it was written anew.
        ended: It was given back.
    """

    schema_name: Literal["mdr.lease.1"] = Field(default="mdr.lease.1", alias="schema")
    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    pid: int
    mark: dict[str, Any] = Field(default_factory=dict)
    renewed: int = 0
    ended: bool = False

    def leader(self) -> Leader:
        return Leader.model_validate(self.model_dump(include={"profile", "host", "fence", "since"}))


@dataclass(slots=True)
class Patience:
    """How long somebody who waits for a sign of life has seen none, by a clock of its own.

    Args:
        seconds: After so long it is over.
    """

    seconds: float = LEASE_SECONDS
    seen: object = None
    since: float = 0.0

    def is_over(self, seen: object, began: float, ended: float) -> bool:
        """Whether it stood still for too long.

        Args:
            seen: Whatever changes with each renewal.
            began, ended: When the look that saw it did, in seconds of a clock that only runs forward. A
                renewal may fall into a look: the first counts from its end, the last to its beginning.
        """
        if seen != self.seen:
            self.seen, self.since = seen, ended
        return began - self.since >= self.seconds
