"""Putting and taking back holds, in every store of a profile."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from mongo_dr_console.config import Profile
from mongo_dr_console.host import this_owner
from mongo_dr_console.model.hold import Hold, release_record, standing
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.trouble import Trouble, WrongUse
from mongo_dr_console.stores import ledger
from mongo_dr_console.stores.catalogue import list_all
from mongo_dr_console.stores.open import choose_stores, open_answering
from mongo_dr_console.stores.store import Store
from mongo_dr_console.workers.access import require


@dataclass(frozen=True, slots=True)
class Noted:
    """A change of holds: the hold, and the stores (with why) that could not be told of it."""

    hold: Hold
    not_in: Mapping[str, Trouble]


def list_holds(profile: Profile) -> tuple[list[Hold], dict[str, Trouble]]:
    """Every hold that stands in a store, oldest first, and by name why a store could not be read.

    Raises:
        Trouble: The stores' own where not one of them answers.
    """
    choose_stores(profile, None)
    found: dict[str, Hold] = {}
    answering, troubles = open_answering(profile)
    for name, store in answering.items():
        try:
            for hold in standing(ledger.read_all(store, "holds")):
                found.setdefault(hold.id, hold)
        except Trouble as trouble:
            troubles[name] = trouble
    if troubles and len(troubles) == len(profile.stores):
        raise next(iter(troubles.values()))
    return sorted(found.values(), key=lambda h: (h.at, h.id)), troubles


def add_hold(
    name: str, profile: Profile, reason: str, *, span: tuple[Position, Position] | None, snapshot: str | None
) -> Noted:
    """Puts a hold on a range or on a snapshot, into every store.

    Raises:
        Refused: The profile's access does not reach.
        WrongUse: No such snapshot; a range that goes backwards; no reason.
        Trouble: No store could be told.
    """
    require(name, profile, "operate")
    choose_stores(profile, None)
    stores, silent = open_answering(profile)
    if not reason.strip():
        raise WrongUse("hold-without-reason", "A hold needs a reason: whoever meets it must know why.")
    if span is not None and span[0] > span[1]:
        raise WrongUse("range-backwards", f"The range ends ({span[1]}) before it begins ({span[0]}).")
    if snapshot is not None and all(e.name != snapshot for e in list_all(stores)[0]):
        raise WrongUse("snapshot-unknown", f"There is no snapshot {snapshot!r}.", "See: mdr snapshots list")
    hold = Hold(secrets.token_hex(4), reason.strip(), this_owner(), datetime.now(UTC), snapshot=snapshot)
    if span is not None:
        hold = replace(hold, start=span[0], end=span[1])
    return Noted(hold, _note(stores, silent, hold.to_record()))


def release_hold(name: str, profile: Profile, wanted: str) -> Noted:
    """Takes a hold back, in every store. Where one cannot be told, the hold stands there.

    Raises:
        Refused: The profile's access does not reach.
        WrongUse: No hold, or several, whose id begins so.
        Trouble: No store could be told.
    """
    require(name, profile, "operate")
    holds, _ = list_holds(profile)
    found = [h for h in holds if h.id.startswith(wanted.strip().lower())] if wanted.strip() else []
    if len(found) != 1:
        several = ", ".join(h.id for h in found)
        text = (
            f"Several holds begin with {wanted!r}: {several}." if found else f"There is no hold {wanted!r}."
        )
        raise WrongUse("hold-unknown", text, "See: mdr hold list")
    record = release_record(found[0].id, this_owner(), datetime.now(UTC))
    return Noted(found[0], _note(*open_answering(profile), record))


def _note(
    stores: Mapping[str, Store], silent: Mapping[str, Trouble], record: dict[str, Any]
) -> dict[str, Trouble]:
    not_in = dict(silent)
    for store_name, store in stores.items():
        try:
            # A disk that is not mounted must not be written beneath.
            store.folders()
            ledger.append(store, "holds", record)
        except Trouble as trouble:
            not_in[store_name] = trouble
    if not_in and len(not_in) == len(stores) + len(silent):
        raise next(iter(not_in.values()))
    return not_in


def range_of(text: str, read: Callable[[str], tuple[Position, Position]]) -> tuple[Position, Position]:
    """A range as people write it: ``FROM..TO``, or ``event:ID`` for all that the event touched.

    Args:
        read: What one time means: its first and its last position.

    Raises:
        WrongUse: Neither.
    """
    start, dots, end = text.partition("..")
    if not dots:
        return read(text)
    if not start.strip() or not end.strip():
        raise WrongUse("range-wrong", f"Not a range: {text!r}.", "FROM..TO, event:ID, or a snapshot's name")
    return read(start)[0], read(end)[1]
