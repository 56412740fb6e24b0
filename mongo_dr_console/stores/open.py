"""From a profile's configuration to stores."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from mongo_dr_console.config import LocalStoreConfig, Profile, StoreConfig
from mongo_dr_console.model.trouble import Trouble, WrongUse
from mongo_dr_console.stores.local import LocalStore
from mongo_dr_console.stores.patience import Patience, of_a_look, of_this_process
from mongo_dr_console.stores.store import Store


def open_store(name: str, config: StoreConfig, patience: Patience | None = None) -> Store:
    """The store of one configuration section; nothing is asked of it yet.

    Args:
        patience: How long one over the network is waited for; None for what this process does.
    """
    if isinstance(config, LocalStoreConfig):
        return LocalStore(name, config.path)
    from mongo_dr_console.stores.s3 import S3Store

    return S3Store(name, config, patience)


def open_stores(profile: Profile) -> dict[str, Store]:
    """All stores of a profile, by name: the nearest first, which are the local ones, else as configured."""
    return {name: open_store(name, profile.stores[name]) for name in _nearest_first(profile)}


def _nearest_first(profile: Profile) -> list[str]:
    return sorted(profile.stores, key=lambda name: profile.stores[name].type != "local")


def open_answering(profile: Profile) -> tuple[dict[str, Store], dict[str, Trouble]]:
    """The stores of a profile that answer, the nearest first, and by name why the others do not. That is seen
    within seconds, also by a job, which would wait for minutes later on."""
    found: dict[str, Store] = {}
    troubles: dict[str, Trouble] = {}
    names = _nearest_first(profile)
    with ThreadPoolExecutor(max(1, len(names))) as pool:
        asked = {name: pool.submit(_ask, name, profile.stores[name]) for name in names}
        for name, answer in asked.items():
            try:
                found[name] = answer.result()
            except Trouble as trouble:
                troubles[name] = trouble
    return found, troubles


def _ask(name: str, config: StoreConfig) -> Store:
    """The store, once it has answered.

    Raises:
        Trouble: It does not, within seconds.
    """
    store = asked = open_store(name, config)
    if not isinstance(store, LocalStore) and of_a_look() != of_this_process():
        # A job: what waits for minutes is another connection.
        asked = open_store(name, config, of_a_look())
    asked.folders("ledger")
    return store


def choose_stores(profile: Profile, names: list[str] | None) -> dict[str, Store]:
    """The named stores, else all of the profile's.

    Raises:
        WrongUse: No stores are configured, or an unknown name.
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
