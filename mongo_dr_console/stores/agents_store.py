"""Which store the agents of a profile share: their lease lies there, and what the next leader must know."""

from __future__ import annotations

from mongo_dr_console.config import Profile
from mongo_dr_console.stores.open import open_store
from mongo_dr_console.stores.patience import Patience
from mongo_dr_console.stores.store import Store

ROOT = "agent/"
"""Where in the store; ``agent/<set>/…`` for each replica set."""


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
