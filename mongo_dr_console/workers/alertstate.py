"""Where the alerts of a profile are remembered: a file of this host, and the store that agents share."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from mongo_dr_console.config import Profile
from mongo_dr_console.model.alert import AT_ONCE, Rules, Timing
from mongo_dr_console.model.alertfacts import AlertFacts
from mongo_dr_console.model.alertkind import Kind
from mongo_dr_console.model.trouble import Trouble
from mongo_dr_console.stores.agents_store import Shared, agents_store_name
from mongo_dr_console.stores.alert_orders import AlertPlace
from mongo_dr_console.workers.agentplace import own_place
from mongo_dr_console.workers.streamstate import agent_folder
from mongo_dr_console.workers.wholefile import read_document, write_document

HERE = "here"
"""What this host's own folder is called among the places where orders lie."""


def facts_file(profile_name: str, profile: Profile) -> Path:
    return agent_folder(profile) / f"{profile_name}.alerts.json"


def write_facts(path: Path, facts: AlertFacts) -> None:
    """Whole or not at all."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_document(path, facts)


def read_facts(profile_name: str, profile: Profile) -> AlertFacts | None:
    """What an agent of this host wrote last; None where none ever did.

    Raises:
        Failed: There is something that cannot be understood.
    """
    return read_document(facts_file(profile_name, profile), AlertFacts, "alerts", "seconds")


def own_part(profile_name: str, profile: Profile) -> AlertPlace:
    """This host's own, for while the store does not answer."""
    place = own_place(profile_name, profile)
    agent_folder(profile).mkdir(mode=0o700, parents=True, exist_ok=True)
    return AlertPlace(place.store, place.folder)


def shared_part(profile: Profile, shared: Shared | None) -> AlertPlace | None:
    """Where all hosts see it; None where the profile has no store, or where it lies is not known."""
    if shared is None or agents_store_name(profile) is None:
        return None
    return AlertPlace(shared.store, shared.folder)


def newest_facts(profile_name: str, profile: Profile, shared: AlertPlace | None) -> AlertFacts | None:
    """What the leading agent wrote last, wherever it runs; where none is alive that leads, what one of this
    host says that only watches.

    Raises:
        Trouble: The store does not answer, and this host has nothing of its own.
    """
    own = read_facts(profile_name, profile)
    try:
        other = None if shared is None else shared.read_facts()
    except Trouble:
        if own is None:
            raise
        other = None
    found = [facts for facts in (own, other) if facts is not None]
    now = datetime.now(UTC)
    return max(found, key=lambda facts: (not facts.stale(now), facts.order), default=None)


def rules_of(profile: Profile) -> Rules:
    """The times of the profile's alerts as the model wants them."""
    alerts = profile.alerts
    usual = Timing(alerts.start_after, alerts.end_after, alerts.repeat)
    kinds = {kind: replace(usual, start_after=timedelta(0)) for kind in AT_ONCE}
    for name, own in alerts.kinds.items():
        before = kinds.get(Kind(name), usual)
        kinds[Kind(name)] = Timing(
            before.start_after if own.start_after is None else own.start_after,
            before.end_after if own.end_after is None else own.end_after,
            before.repeat if own.repeat is None else own.repeat,
            own.on,
        )
    return Rules(usual, kinds, alerts.clear_at)
