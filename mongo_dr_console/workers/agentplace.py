"""Where the agents of a profile keep what they share, for those that are no agent: jobs, commands, the
console."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path

from pydantic import ValidationError
from pymongo.errors import PyMongoError

from mongo_dr_console.config import Profile
from mongo_dr_console.model.identity import Identity
from mongo_dr_console.model.trouble import Trouble, Unreachable
from mongo_dr_console.mongo.client import connect
from mongo_dr_console.mongo.identity import read_identity
from mongo_dr_console.stores.agents_store import (
    ROOT,
    Shared,
    agents_store,
    agents_store_name,
    deployment_folder,
)
from mongo_dr_console.stores.local import LocalStore
from mongo_dr_console.stores.store import Store
from mongo_dr_console.workers.streamstate import agent_folder

_ID = re.compile(r"[0-9a-f]{24}")


def identity_file(name: str, profile: Profile) -> Path:
    """Where the agent of this host remembers whose it is."""
    return agent_folder(profile) / f"{name}.identity"


def own_place(name: str, profile: Profile) -> Shared:
    """Of a profile without stores: on this host alone."""
    return Shared(LocalStore("agent", agent_folder(profile)), f"{name}/")


def store_of_runs(profile: Profile) -> Store:
    """Where the runs of a schedule are written down."""
    return agents_store(profile) or LocalStore("agent", agent_folder(profile))


def place_of(name: str, profile: Profile) -> Shared:
    """What the agents of this profile share, also while the deployment is gone.

    Raises:
        Unreachable: Which deployment it is cannot be told.
    """
    found = place_known(name, profile, None if agents_store_name(profile) is None else _asked(profile))
    if found is None:
        raise Unreachable(
            "deployment-unreachable",
            "The deployment does not answer, so it cannot be told which agents are its own.",
            "Try again once a member answers.",
        )
    return found


def place_known(name: str, profile: Profile, identity: Identity | None) -> Shared | None:
    """The same without asking the deployment; None where nothing tells which one it is.

    Args:
        identity: The deployment's, where it is known.
    """
    store = agents_store(profile)
    if store is None:
        return own_place(name, profile)
    identity = identity or _remembered(identity_file(name, profile))
    if identity is not None:
        return Shared(store, deployment_folder(identity))
    known = _deployments(store)
    return Shared(store, known[0]) if len(known) == 1 else None


def _deployments(store: Store) -> list[str]:
    """Folders of all whose agents share this store: by set, then by id."""
    sets = [f"{ROOT}{name}/" for name in store.folders(ROOT)]
    return [f"{of}{name}/" for of in sets for name in store.folders(of) if _ID.fullmatch(name)]


def _asked(profile: Profile) -> Identity | None:
    uri = profile.connection_uri()
    try:
        with closing(connect(uri, any_member=True, seconds=2, answer_seconds=2)) as client:
            return read_identity(client, profile.environment)
    except (Trouble, PyMongoError):
        return None


def _remembered(file: Path) -> Identity | None:
    try:
        return Identity.model_validate_json(file.read_bytes())
    except (OSError, ValidationError):
        return None
