"""The drills that a profile's stores know of."""

from __future__ import annotations

from typing import Any

from mongo_dr_console.config import Profile
from mongo_dr_console.model.drill import DrillRecord, records
from mongo_dr_console.model.trouble import Trouble
from mongo_dr_console.stores import ledger
from mongo_dr_console.stores.open import choose_stores, open_answering


def read_history(profile: Profile) -> tuple[list[DrillRecord], list[str]]:
    """The drills, newest first, and in words which stores could not be asked.

    Raises:
        WrongUse: The profile has no stores.
    """
    choose_stores(profile, None)
    stores, troubles = open_answering(profile)
    documents: list[dict[str, Any]] = []
    for name, store in stores.items():
        try:
            documents += ledger.read_all(store, "drills")
        except Trouble as trouble:
            troubles[name] = trouble
    return records(documents), [
        f"store {name} could not be asked: {t.message}" for name, t in troubles.items()
    ]
