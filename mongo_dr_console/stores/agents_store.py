"""Which store the agents of a profile share: their lease lies there, and what the next leader must know."""

from __future__ import annotations

from dataclasses import dataclass

from mongo_dr_console.config import Profile
from mongo_dr_console.model.identity import Identity
from mongo_dr_console.model.segment import quoted_set
from mongo_dr_console.stores.open import open_store
from mongo_dr_console.stores.patience import Patience
from mongo_dr_console.stores.store import Store

ROOT = "agent/"
"""Where in the store; see ``deployment_folder``."""


@dataclass(frozen=True, slots=True)
class Shared:
    """Where the agents of one deployment keep what the next leader must know.

    Args:
        store: That they share; where the profile has none, a folder of this host.
        folder: Of this deployment there, with a slash at its end.
    """

    store: Store
    folder: str


def agents_store_name(profile: Profile) -> str | None:
    """The first that other hosts reach too (S3), else the first local one; None where there is no store.

    Every agent of a profile comes to the same, whatever answers just now.
    """
    shared = [name for name, config in profile.stores.items() if config.type == "s3"]
    return next(iter([*shared, *profile.stores]), None)


def agents_store(profile: Profile, patience: Patience | None = None) -> Store | None:
    """That store; nothing is asked of it yet."""
    name = agents_store_name(profile)
    return None if name is None else open_store(name, profile.stores[name], patience)


def deployment_folder(identity: Identity) -> str:
    """Where in that store the agents of one deployment keep what they share, with a slash at its end: the
    same for every profile that points to it.

    >>> deployment_folder(Identity(environment="test", set_name="rs0", replica_set_id="65a1"))
    'agent/rs0/65a1/'
    """
    return f"{ROOT}{quoted_set(identity.set_name)}/{identity.replica_set_id}/"
