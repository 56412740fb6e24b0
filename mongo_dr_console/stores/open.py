"""From a profile's configuration to stores."""

from __future__ import annotations

from mongo_dr_console.config import LocalStoreConfig, Profile, StoreConfig
from mongo_dr_console.model.trouble import Refused, WrongUse
from mongo_dr_console.stores.local import LocalStore
from mongo_dr_console.stores.store import Store


def open_store(name: str, config: StoreConfig) -> Store:
    """The store of one configuration section.

    Raises:
        Refused: A type of store that this version cannot use.
    """
    if isinstance(config, LocalStoreConfig):
        return LocalStore(name, config.path)
    raise Refused(
        "store-unsupported",
        f"Store {name!r} is of type {config.type!r}; this version works with local stores.",
        "Name a local store: --store NAME",
    )


def open_stores(profile: Profile) -> dict[str, Store]:
    """All stores of a profile that this version can use, by name: local ones first, else as configured."""
    names = sorted(profile.stores, key=lambda name: profile.stores[name].type != "local")
    return {
        name: open_store(name, profile.stores[name])
        for name in names
        if isinstance(profile.stores[name], LocalStoreConfig)
    }


def choose_stores(profile: Profile, names: list[str] | None) -> dict[str, Store]:
    """The named stores, else all of the profile's.

    Raises:
        WrongUse: No stores are configured, or an unknown name.
        Refused: A named store is of a type that this version cannot use.
    """
    if not profile.stores:
        raise WrongUse(
            "no-store",
            "The profile has no stores, so there is nowhere to keep a snapshot.",
            "Add one to the profile: [profiles.NAME.stores.local] with type and path",
        )
    if names is None:
        return open_stores(profile)
    for name in names:
        if name not in profile.stores:
            raise WrongUse(
                "store-unknown",
                f"The profile has no store {name!r}.",
                f"Known: {', '.join(profile.stores)}",
            )
    return {name: open_store(name, profile.stores[name]) for name in names}
