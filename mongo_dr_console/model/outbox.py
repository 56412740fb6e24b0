"""Messages on their ways: each way takes them in order, one that failed is tried again. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from mongo_dr_console.model.alert import Message
from mongo_dr_console.model.alertfacts import Delivery, WayFacts
from mongo_dr_console.model.reading import SourceError
from mongo_dr_console.model.trouble import Trouble

FIRST_PAUSE = timedelta(seconds=10)
LONGEST_PAUSE = timedelta(minutes=10)
GIVEN_UP_AFTER = timedelta(hours=24)
MOST_WAITING = 100
"""For one way: a dead one must not fill a disk."""

Outbox = tuple[Delivery, ...]
Ways = tuple[WayFacts, ...]


def posted(
    outbox: Outbox, ways: Ways, messages: Iterable[Message], names: Sequence[str], now: datetime
) -> tuple[Outbox, Ways]:
    """With new messages on every way; those of a way that is gone from the configuration go too."""
    known = {w.name: w for w in ways}
    ways = tuple(known.get(name, WayFacts(name=name)) for name in names)
    new = [Delivery(message=m, way=name, next_try=now) for m in messages for name in names]
    rows = [d for d in (*outbox, *new) if d.way in names]
    kept: list[Delivery] = []
    for way in names:
        of_way = [d for d in rows if d.way == way]
        fresh = [d for d in of_way if now - d.message.at < GIVEN_UP_AFTER][-MOST_WAITING:]
        kept += fresh
        lost = len(of_way) - len(fresh)
        ways = tuple(_counted(w, lost) if w.name == way else w for w in ways)
    return tuple(sorted(kept, key=rows.index)), ways


def _counted(way: WayFacts, lost: int) -> WayFacts:
    return way.model_copy(update={"lost": way.lost + lost}) if lost else way


def due(outbox: Outbox, now: datetime) -> list[Delivery]:
    """What is to be tried now: of each way the oldest message, if its pause is over."""
    first: dict[str, Delivery] = {}
    for delivery in outbox:
        first.setdefault(delivery.way, delivery)
    return [d for d in first.values() if d.next_try <= now]


def went(outbox: Outbox, ways: Ways, delivery: Delivery, now: datetime) -> tuple[Outbox, Ways]:
    """After a try that succeeded."""
    changes = {"sent_at": now, "trouble": None, "trouble_since": None}
    return (
        tuple(d for d in outbox if not _same(d, delivery)),
        tuple(
            w.model_copy(update={**changes, "sent": w.sent + 1}) if w.name == delivery.way else w
            for w in ways
        ),
    )


def came_back(
    outbox: Outbox, ways: Ways, delivery: Delivery, why: Trouble, now: datetime
) -> tuple[Outbox, Ways]:
    """After a try that failed."""
    pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(delivery.tries, 10))
    again = delivery.model_copy(update={"tries": delivery.tries + 1, "next_try": now + pause})
    return (
        tuple(again if _same(d, delivery) else d for d in outbox),
        tuple(_failed(w, why, now) if w.name == delivery.way else w for w in ways),
    )


def _failed(way: WayFacts, why: Trouble, now: datetime) -> WayFacts:
    told = SourceError(why.code, why.message, why.hint)
    since = way.trouble_since or now
    return way.model_copy(update={"failed": way.failed + 1, "trouble": told, "trouble_since": since})


def _same(one: Delivery, other: Delivery) -> bool:
    return (one.way, one.message.id) == (other.way, other.message.id)
