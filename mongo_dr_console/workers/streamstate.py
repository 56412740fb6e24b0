"""What the agent of this host wrote last about its stream, and the source that reads it."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import ValidationError

from mongo_dr_console.config import Profile
from mongo_dr_console.model.readings import STREAM
from mongo_dr_console.model.streamfacts import StreamFacts
from mongo_dr_console.model.trouble import Failed
from mongo_dr_console.workers.jobs import jobs_folder
from mongo_dr_console.workers.threads import DaemonThreads, OneCall


def agent_folder(profile: Profile) -> Path:
    """Where the agent keeps what it says of itself."""
    return jobs_folder(profile).parent / "agent"


def state_file(profile_name: str, profile: Profile) -> Path:
    return agent_folder(profile) / f"{profile_name}.json"


def write_state(path: Path, facts: StreamFacts) -> None:
    """Whole or not at all. Not flushed: after a crash of the host it says nothing about now anyway."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_text(facts.model_dump_json(by_alias=True), encoding="utf-8")
    part.replace(path)


def read_state(profile_name: str, profile: Profile) -> StreamFacts | None:
    """None where no agent of this host ever wrote.

    Raises:
        Failed: There is something that cannot be understood.
    """
    path = state_file(profile_name, profile)
    try:
        return StreamFacts.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError:
        raise Failed(
            "agent-state-damaged",
            f"What the agent wrote about itself cannot be understood: {path}.",
            "A running agent writes it again within a second.",
        ) from None


class StreamStateSource:
    """The stream as this host's agent sees it; None where there is no agent."""

    name, interval, timeout = STREAM, 1.0, 3.0

    def __init__(self, profile_name: str, profile: Profile, threads: DaemonThreads) -> None:
        self._profile_name, self._profile = profile_name, profile
        self._thread = OneCall(threads)

    async def read(self) -> tuple[StreamFacts | None, str]:
        facts = await self._thread.call(lambda: read_state(self._profile_name, self._profile))
        return facts, "" if facts is None else facts.host
