"""Where the alerts of a profile are remembered: a file of this host, and the store that agents share."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from pydantic import ValidationError

from mongo_dr_console.config import Profile
from mongo_dr_console.model.alert import Kind, Rules, Timing
from mongo_dr_console.model.alertfacts import AlertFacts
from mongo_dr_console.model.readings import Readings
from mongo_dr_console.model.trouble import Failed, Trouble
from mongo_dr_console.stores.agents_store import agents_store
from mongo_dr_console.stores.alert_orders import AlertPlace, set_names
from mongo_dr_console.stores.local import LocalStore
from mongo_dr_console.stores.patience import QUICK
from mongo_dr_console.workers.streamstate import agent_folder

HERE = "here"
"""What this host's own folder is called among the places where orders lie."""


def facts_file(profile_name: str, profile: Profile) -> Path:
    return agent_folder(profile) / f"{profile_name}.alerts.json"


def write_facts(path: Path, facts: AlertFacts) -> None:
    """Whole or not at all."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_text(facts.model_dump_json(by_alias=True), encoding="utf-8")
    part.replace(path)


def read_facts(profile_name: str, profile: Profile) -> AlertFacts | None:
    """What an agent of this host wrote last; None where none ever did.

    Raises:
        Failed: There is something that cannot be understood.
    """
    path = facts_file(profile_name, profile)
    try:
        return AlertFacts.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError:
        raise Failed(
            "agent-state-damaged",
            f"What the agent wrote about alerts cannot be understood: {path}.",
            "A running agent writes it again within seconds.",
        ) from None


def set_name_of(profile_name: str, profile: Profile, readings: Readings | None) -> str:
    """The replica set's name, also while the deployment does not answer; empty where nothing tells it.

    The URI says it, or the deployment, or what an agent of this host noted, or the store, where it holds one
    set's alone.
    """
    named = parse_qs(urlsplit(profile.connection_uri()).query).get("replicaSet", [""])[0]
    if named:
        return named
    if readings is not None and readings.set is not None and readings.set.value is not None:
        return readings.set.value.set_name
    try:
        noted = read_facts(profile_name, profile)
        if noted is not None and noted.set_name:
            return noted.set_name
        store = agents_store(profile, QUICK)
        names = () if store is None else set_names(store)
    except Trouble:
        return ""
    return names[0] if len(names) == 1 else ""


def shared_place(profile: Profile, set_name: str) -> AlertPlace | None:
    """Where all hosts see it; None where the profile has no store, or the set is not known."""
    store = agents_store(profile, QUICK)
    return AlertPlace(store, set_name) if store is not None and set_name else None


def own_place(profile: Profile, set_name: str) -> AlertPlace:
    """This host's own, for while the store does not answer."""
    folder = agent_folder(profile)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return AlertPlace(LocalStore(HERE, folder), set_name or "unknown")


def newest_facts(profile_name: str, profile: Profile, set_name: str) -> AlertFacts | None:
    """What the leading agent wrote last, wherever it runs.

    Raises:
        Trouble: The store does not answer, and this host has nothing of its own.
    """
    own = read_facts(profile_name, profile)
    place = shared_place(profile, set_name)
    try:
        shared = None if place is None else place.read_facts()
    except Trouble:
        if own is None:
            raise
        shared = None
    found = [facts for facts in (own, shared) if facts is not None]
    return max(found, key=lambda facts: facts.order, default=None)


def rules_of(profile: Profile) -> Rules:
    """The times of the profile's alerts as the model wants them."""
    alerts = profile.alerts
    usual = Timing(alerts.start_after, alerts.end_after, alerts.repeat)
    kinds = {}
    for name, own in alerts.kinds.items():
        kinds[Kind(name)] = Timing(
            usual.start_after if own.start_after is None else own.start_after,
            usual.end_after if own.end_after is None else own.end_after,
            usual.repeat if own.repeat is None else own.repeat,
            own.on,
        )
    return Rules(usual, kinds, alerts.clear_at)
