"""Watching for alerts while nobody can lead.

The lease lies in a store. While that is silent no agent leads, so none streams, runs the schedule or leads
applications over; that the store is silent, and what goes wrong meanwhile, must be told all the same. Then
each agent watches for alerts by itself: people may be told by several of them, which beats by none.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from mongo_dr_console.agent.alerting import alert_duties
from mongo_dr_console.agent.duty import Duty, Post, Term

AFTER_SECONDS = 15.0
"""A store that is silent for a moment is no reason: the lease outlasts it."""
_END_SECONDS = 5.0


class AloneWatch:
    """The alerts of one agent for as long as no lease can be had.

    Args:
        make: The duties of a post; raises nothing but Trouble.
        clock: Seconds that only grow.
    """

    def __init__(
        self,
        make: Callable[[Post], Sequence[Duty]] = alert_duties,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._make, self._clock = make, clock
        self._since: float | None = None
        self._term: Term | None = None
        self._duties: Sequence[Duty] = ()

    def waits(self, post: Callable[[Term], Post], fence: int) -> None:
        """No lease could be had just now.

        Args:
            post: What the duties are given, for a term.
            fence: Of the newest leader that is known: what is remembered is newer than what that one wrote.
        """
        now = self._clock()
        self._since = now if self._since is None else self._since
        if self._term is not None or now - self._since < AFTER_SECONDS:
            return
        self._term = Term(fence)
        made = post(self._term)
        made.tell("watches for alerts by itself, since no lease can be had")
        self._duties = self._make(made)
        for duty in self._duties:
            duty.start()

    def over(self) -> None:
        """It is known again who leads, or the agent ends. Nothing is sent from here any more."""
        self._since = None
        if self._term is None:
            return
        self._term.ended.set()
        for duty in self._duties:
            duty.stop()
        for duty in self._duties:
            duty.join(_END_SECONDS)
        self._term, self._duties = None, ()
