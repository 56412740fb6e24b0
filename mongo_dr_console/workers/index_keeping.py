"""What jobs know of a bucket's catalogue from before, and the index that they keep in it."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from mongo_dr_console.config import Profile, cache_folder
from mongo_dr_console.model.trouble import Trouble
from mongo_dr_console.stores.catalogue import list_snapshots
from mongo_dr_console.stores.catalogue_index import is_worth_it, publish
from mongo_dr_console.stores.remembered import Remembered
from mongo_dr_console.stores.store import Store


def known_of(profile: Profile, store: Store) -> Remembered | None:
    """What was read of a bucket before, for a look that must be right: its objects do not change unless their
    time does. None for a directory, where a bit may flip unseen: what is decided from it is read anew."""
    return Remembered.of(store, cache_folder(profile)) if is_worth_it(store) else None


def keep_index(profile: Profile, stores: Iterable[Store]) -> None:
    """Writes the index of each store anew where it has fallen behind. What goes wrong is no trouble of the
    job: an index only saves time."""
    for store in filter(is_worth_it, stores):
        with suppress(Trouble):
            known = Remembered.of(store, cache_folder(profile))
            list_snapshots(store, known, whole=False)
            publish(store, known)
