"""What the agent of this host wrote last about its stream, and the source that reads it."""

from __future__ import annotations

from pathlib import Path

from mongo_dr_console.config import Profile
from mongo_dr_console.model.readings import STREAM
from mongo_dr_console.model.streamfacts import StreamFacts
from mongo_dr_console.workers.folders import jobs_folder
from mongo_dr_console.workers.threads import DaemonThreads, OneCall
from mongo_dr_console.workers.wholefile import read_document, write_document


def agent_folder(profile: Profile) -> Path:
    """Where the agent keeps what it says of itself."""
    return jobs_folder(profile).parent / "agent"


def state_file(profile_name: str, profile: Profile) -> Path:
    return agent_folder(profile) / f"{profile_name}.json"


def write_state(path: Path, facts: StreamFacts) -> None:
    """Whole or not at all. Not flushed: after a crash of the host it says nothing about now anyway."""
    write_document(path, facts)


def read_state(profile_name: str, profile: Profile) -> StreamFacts | None:
    """None where no agent of this host ever wrote.

    Raises:
        Failed: There is something that cannot be understood.
    """
    return read_document(state_file(profile_name, profile), StreamFacts, "itself", "a second")


class StreamStateSource:
    """The stream as this host's agent sees it; None where there is no agent."""

    name, interval, timeout = STREAM, 1.0, 3.0

    def __init__(self, profile_name: str, profile: Profile, threads: DaemonThreads) -> None:
        self._profile_name, self._profile = profile_name, profile
        self._thread = OneCall(threads)

    async def read(self) -> tuple[StreamFacts | None, str]:
        facts = await self._thread.call(lambda: read_state(self._profile_name, self._profile))
        return facts, "" if facts is None else facts.host
