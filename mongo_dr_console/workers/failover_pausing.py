"""The pause of the failover monitor, written where every agent of the profile looks."""

from __future__ import annotations

from contextlib import closing, suppress

from pymongo.errors import PyMongoError

from mongo_dr_console.config import Profile
from mongo_dr_console.model.failoverdoc import Pause
from mongo_dr_console.model.trouble import Trouble
from mongo_dr_console.mongo.client import connect
from mongo_dr_console.stores.agents_store import agents_store_name
from mongo_dr_console.workers.access import require
from mongo_dr_console.workers.failover_state import FailoverFiles, read_monitor, shared_pause, write_pause

_SECONDS = 3.0


def put_pause(name: str, profile: Profile, pause: Pause) -> list[str]:
    """Writes it on this host and into the agents' store; where it could not be written, and why.

    Raises:
        Refused: The profile's access does not reach.
    """
    require(name, profile, "operate")
    files = FailoverFiles.of(name, profile)
    set_name = set_name_of(name, profile)
    failed = write_pause(files, shared_pause(profile, set_name), pause)
    store = agents_store_name(profile)
    if store is not None and not set_name:
        failed.append(f"store {store}: the set's name is not known while no member answers")
    return failed


def set_name_of(name: str, profile: Profile) -> str:
    """From whichever member answers, else as the monitor knew it last; empty: not known."""
    with (
        suppress(PyMongoError, Trouble),
        closing(
            connect(profile.connection_uri(), any_member=True, seconds=_SECONDS, answer_seconds=_SECONDS)
        ) as client,
    ):
        return str(client.admin.command("hello").get("setName", ""))
    with suppress(Trouble):
        facts = read_monitor(name, profile)
        return "" if facts is None else facts.set_name
    return ""
