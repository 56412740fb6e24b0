"""Which duties the agent of a profile has."""

from __future__ import annotations

from mongo_dr_console.agent.duty import Duty, Post
from mongo_dr_console.agent.scheduling import Scheduling
from mongo_dr_console.agent.streaming import Streaming
from mongo_dr_console.model.trouble import WrongUse
from mongo_dr_console.workers.schedules import entries_of


def duties_of(post: Post) -> list[Duty]:
    """Those that the profile asks for, in the order in which they start; they end in the reverse.

    Raises:
        WrongUse: The profile asks for nothing, or for something that cannot be had.
    """
    found: list[Duty] = []
    oplog = post.profile.oplog
    if oplog.segments is not None or oplog.kafka is not None:
        found.append(Streaming(post))
    if entries_of(post.name, post.profile):
        found.append(Scheduling(post))
    if not found:
        raise WrongUse(
            "nothing-to-do",
            f"Profile {post.name} has nothing to stream its oplog to, and no schedule.",
            f'Add a section to it: [profiles.{post.name}.oplog.segments] with stores = ["STORE"], or '
            f"[profiles.{post.name}.schedule]",
        )
    return found
