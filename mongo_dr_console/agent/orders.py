"""What an agent does its work by: a profile, as the config file has it now."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mongo_dr_console.agent.bound import may_write
from mongo_dr_console.agent.duty import Post, Shared, Tell, Term
from mongo_dr_console.agent.term import Watchkeeping
from mongo_dr_console.config import AgentConfig, Profile, StoreConfig
from mongo_dr_console.model.trouble import Failed, Refused
from mongo_dr_console.stores.agents_store import agents_store_name
from mongo_dr_console.workers.streamstate import agent_folder


@dataclass(frozen=True, slots=True)
class Orders:
    """What an agent does its work by; anew with each reload.

    Args:
        config_file: Where the profile came from; jobs read it again.
        settings: The section ``[agent]``.
    """

    name: str
    profile: Profile
    config_file: Path
    settings: AgentConfig

    def post(self, term: Term, tell: Tell, shared: Shared | None = None) -> Post:
        return Post(self.name, self.profile, self.config_file, self.settings, term, tell, shared)

    def check(self) -> None:
        """Raises Trouble where the profile asks for something that cannot be had; begins nothing."""
        ended = Term()
        ended.ended.set()
        Watchkeeping(self.post(ended, lambda text: None))

    def place(self) -> tuple[str, StoreConfig | None, bool]:
        """What decides which lease it is, and whether it may be had: where that changes, a term ends."""
        name, profile = agents_store_name(self.profile), self.profile
        return profile.connection_uri(), None if name is None else profile.stores[name], may_write(profile)


@contextmanager
def only_one(name: str, profile: Profile) -> Iterator[None]:
    """One agent for each profile on one host: they would write the same state.

    Raises:
        Refused: ``agent-running``.
        Failed: The state folder cannot be written.
    """
    folder = agent_folder(profile)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (folder / f"{name}.lock").open("w")
    except OSError as error:
        raise Failed(
            "agent-state",
            f"The agent cannot keep its state in {folder}: {error.strerror}.",
            "Make room or correct the permissions; MDR_STATE_DIR or the profile's state_dir name another.",
        ) from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Refused(
                "agent-running",
                f"An agent of this host works for profile {name} already.",
                "See how far it is: mdr status",
            ) from None
        yield
