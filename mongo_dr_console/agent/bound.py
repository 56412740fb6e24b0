"""What a profile's access lets its agent do; jobs and by-hand commands ask for themselves."""

from __future__ import annotations

from mongo_dr_console.config import Profile
from mongo_dr_console.stream.sinks import sink_makers
from mongo_dr_console.workers.access import reaches


def may_write(profile: Profile) -> bool:
    """Whether its agent may write anything outside its own state folder, the lease among it."""
    return reaches(profile.access, "operate")


def left_undone(name: str, profile: Profile) -> str:
    """What an agent that may write nothing says at its start."""
    sinks = " and ".join(sink_makers(profile))
    stream = f" The oplog is not streamed into {sinks} by it." if sinks else ""
    return (
        f"only watches, since access = {profile.access!r}: it reads, alerts and serves metrics, and writes "
        "nothing into the deployment, a store or Kafka; it does not compete for the lease, and what it "
        f"remembers stays on this host.{stream} To have it stream, back up and verify, set "
        f'access = "operate" in profile {name}; to prune, drill and lead applications too, "restore".'
    )
