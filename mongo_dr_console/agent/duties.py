"""Which duties the agent of a profile has."""

from __future__ import annotations

from mongo_dr_console.agent.alerting import alert_duties
from mongo_dr_console.agent.bound import may_write
from mongo_dr_console.agent.duty import Duty, Post
from mongo_dr_console.agent.failing_over import FailoverMonitor
from mongo_dr_console.agent.scheduling import Scheduling
from mongo_dr_console.agent.streaming import Streaming
from mongo_dr_console.workers.schedules import entries_of


def duties_of(post: Post) -> list[Duty]:
    """Those that the profile asks for, in the order in which they start; they end in the reverse. The primary
    and alerts are watched in any case, and nothing else is done where the access is watch.

    Raises:
        WrongUse: The profile asks for something that cannot be had.
    """
    found: list[Duty] = []
    oplog = post.profile.oplog
    if may_write(post.profile) and (oplog.segments is not None or oplog.kafka is not None):
        found.append(Streaming(post))
    if entries_of(post.name, post.profile):
        found.append(Scheduling(post))
    return [*found, FailoverMonitor(post), *alert_duties(post)]
