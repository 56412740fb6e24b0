"""Which duties the agent of a profile has."""

from __future__ import annotations

from mongo_dr_console.agent.duty import Duty, Post
from mongo_dr_console.agent.failing_over import FailoverMonitor


def duties_of(post: Post) -> list[Duty]:
    """Those that the profile asks for, in the order in which they start; they end in the reverse.

    Raises:
        WrongUse: The profile asks for something that cannot be had.
    """
    return [FailoverMonitor(post)]
