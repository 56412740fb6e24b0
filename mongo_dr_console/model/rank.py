"""The order of facts: what stands first. The one place where it is said. Pure.

A fact's level says how bad it is by itself, and decides the word and the colour; its rank says what a person
has to hear before all else. A dropped collection that can be brought back is no more than a warning, and
comes before a set without a primary: each second more makes more writes to keep.
"""

from __future__ import annotations

from enum import StrEnum


class Rank(StrEnum):
    """From what stands first to what stands last."""

    LOST_RESTORABLE = "lost-restorable"
    """Data is lost or being lost, and can be brought back, as far as is known."""
    LOST = "lost"
    """Data is lost, and nothing that can be read has it."""
    NO_PRIMARY = "no-primary"
    """No primary, no majority, no member, or writes are blocked: applications cannot write."""
    UNDER_WAY = "under-way"
    """A restore, an undo or a failover is under way, or stands still half done."""
    RPO = "rpo"
    """A loss of the deployment would cost more than the target, or everything."""
    CONTINUITY = "continuity"
    """A gap, another history, a margin below its threshold, a stream that does not keep up."""
    UNREACHABLE = "unreachable"
    """A source of truth does not answer, or nobody watches: unknown is never fine."""
    BACKUP = "backup"
    """Backups: too old, too small, damaged, not verified, failed."""
    MEMBER = "member"
    """A member is down or lags: there is less to fall back on."""
    RTO = "rto"
    """A restore would take longer than the target."""
    DRILL = "drill"
    """A rehearsal is overdue, or failed; an event that destroyed nothing."""
    FINE = "fine"
    """What is as it should be."""

    @property
    def place(self) -> int:
        """0 stands first."""
        return _PLACES[self]

    @property
    def weight(self) -> int:
        """The greater, the earlier it stands."""
        return 10 * (len(_PLACES) - 1 - self.place)


_PLACES: dict[Rank, int] = {rank: place for place, rank in enumerate(Rank)}
