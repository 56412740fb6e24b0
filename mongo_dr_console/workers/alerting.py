"""What people do about alerts: take one up, silence a kind, take that back, try the ways."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from mongo_dr_console.config import Profile
from mongo_dr_console.host import this_owner
from mongo_dr_console.model.alert import EVERYTHING, Ack, Alert, Message, Silence, short_id
from mongo_dr_console.model.alertfacts import AlertFacts, WayTested
from mongo_dr_console.model.alertkind import Kind
from mongo_dr_console.model.level import Level
from mongo_dr_console.model.readings import Readings
from mongo_dr_console.model.trouble import Trouble, WrongUse
from mongo_dr_console.stores.alert_orders import AlertPlace
from mongo_dr_console.workers.access import require
from mongo_dr_console.workers.agentplace import place_known, place_of
from mongo_dr_console.workers.alertstate import HERE, newest_facts, own_part, shared_part
from mongo_dr_console.workers.notify import tested, ways_of


def known_alerts(name: str, profile: Profile, readings: Readings | None = None) -> AlertFacts | None:
    """What the leading agent wrote last, on this host or in the store; None: none ever did.

    Args:
        readings: Say which deployment it is; None: it is asked.

    Raises:
        Trouble: The store's own where it does not answer and this host has nothing.
    """
    if readings is None:
        return newest_facts(name, profile, _shared(name, profile))
    return newest_facts(name, profile, shared_part(profile, place_known(name, profile, readings.identity)))


def _shared(name: str, profile: Profile) -> AlertPlace | None:
    """Where all hosts see it; None where there is no such place, or it cannot be told now."""
    try:
        return shared_part(profile, place_of(name, profile))
    except Trouble:
        return None


def acknowledge(name: str, profile: Profile, wanted: str) -> tuple[Alert, str]:
    """Takes up an alert that runs; returns it and where that was noted.

    Args:
        wanted: Its id, or how it begins.

    Raises:
        Refused: The profile's access does not reach.
        WrongUse: No alert that runs, or several, whose id begins so.
        Trouble: It could be noted nowhere.
    """
    require(name, profile, "operate")
    facts = known_alerts(name, profile)
    running = () if facts is None else facts.running_alerts
    found = [a for a in running if a.id.startswith(wanted.strip().lower())] if wanted.strip() else []
    if len(found) != 1:
        several = ", ".join(a.id for a in found)
        text = f"Several alerts begin with {wanted!r}: {several}." if found else f"No alert {wanted!r} runs."
        raise WrongUse("alert-unknown", text, "See: mdr alerts list")
    (alert,) = found
    ack = Ack(alert=alert.id, level=alert.level, by=this_owner(), at=datetime.now(UTC))
    return alert, _noted(name, profile, lambda place: place.write_ack(ack))


def silence(
    name: str, profile: Profile, kind: str, lasts: timedelta | None = None, reason: str = ""
) -> tuple[Silence, str]:
    """Sends nothing for a kind, or for ``all``, for a time; returns that and where it was noted.

    Raises:
        Refused: The profile's access does not reach.
        WrongUse: There is no such kind; no time at all.
        Trouble: It could be noted nowhere.
    """
    require(name, profile, "operate")
    if kind != EVERYTHING and kind not in set(Kind):
        raise WrongUse(
            "alert-kind-unknown", f"There is no kind of alert {kind!r}.", f"all, or one of: {', '.join(Kind)}"
        )
    lasts = profile.alerts.silence if lasts is None else lasts
    if lasts <= timedelta(0):
        raise WrongUse("silence-wrong", "A silence lasts longer than 0s.", "--for 2h")
    now = datetime.now(UTC)
    made = Silence(
        id=secrets.token_hex(4), kind=kind, until=now + lasts, reason=reason, by=this_owner(), at=now
    )
    return made, _noted(name, profile, lambda place: place.write_silence(made))


def unsilence(name: str, profile: Profile, wanted: str) -> tuple[list[str], str]:
    """Takes silences back: of a kind, ``all`` of them, or the one with an id.

    Raises:
        Refused: The profile's access does not reach.
        WrongUse: There is no such silence.
        Trouble: A place where it lies cannot be changed.
    """
    require(name, profile, "operate")
    shared = _shared(name, profile)
    removed: dict[str, None] = {}
    for place in (shared, own_part(name, profile)):
        for one in () if place is None else place.read_orders().silences:
            if wanted in (EVERYTHING, one.kind) or (len(wanted) > 2 and one.id.startswith(wanted)):
                assert place is not None
                place.remove_silence(one.id)
                removed[one.id] = None
    if not removed:
        raise WrongUse("silence-unknown", f"There is no silence {wanted!r}.", "See: mdr alerts list")
    return list(removed), HERE if shared is None else shared.store.name


def _noted(name: str, profile: Profile, write: Callable[[AlertPlace], None]) -> str:
    """Writes where all hosts see it; else into this host's own folder, which its agent reads too."""
    shared = _shared(name, profile)
    if shared is not None:
        try:
            write(shared)
            return shared.store.name
        except Trouble:
            pass
    write(own_part(name, profile))
    return HERE


def try_ways(
    name: str, profile: Profile, tell: Callable[[str], None] | None, set_name: str = ""
) -> list[WayTested]:
    """Sends a test message each way.

    Raises:
        Refused: The profile's access does not reach.
        WrongUse: A way is configured wrongly, or there is none.
    """
    require(name, profile, "operate")
    ways = ways_of(profile, tell)
    if not ways:
        raise WrongUse(
            "alert-no-way",
            f"Profile {name} names no way to tell anybody.",
            f"Add to it: [profiles.{name}.alerts] with urls_file or command",
        )
    now = datetime.now(UTC)
    message = Message(
        id=short_id("test", now),
        event="test",
        alert="00000000",
        kind="test",
        level=Level.FINE,
        text=f"A test by {this_owner()}. Nothing is wrong.",
        profile=name,
        environment=profile.environment,
        set_name=set_name,
        at=now,
    )
    return [tested(way, message, profile.alerts.timeout.total_seconds()) for way in ways]
