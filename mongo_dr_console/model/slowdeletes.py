"""Mass deletes that are slow: spread over minutes or hours, at a pace at which applications delete too. Pure.

What tells one from an application's own deletes is what becomes of the collection: one writer goes on
deleting, with pauses of some minutes at most, and far fewer documents are inserted there meanwhile. Updates
have no such mark. Made of counts by the minute, which a server sums up by itself, so that every way of
reading an oplog finds the same. Deletes within transactions are not counted here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from mongo_dr_console.model.event import Event, EventSelector, event_id
from mongo_dr_console.model.eventchanges import is_of_users
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.words import duration

PAUSE_MINUTES = 10
"""A longer pause ends one."""
_INSERTED = 0.5
"""So many inserts for each delete, and the collection is in use as ever."""


class Tally(NamedTuple):
    """Deletes of one writer, or inserts of all (``session`` is None), in one namespace in one minute.

    Args:
        op: ``d`` or ``i``.
        session: Hex of the session's id; None without one.
        minute: Since 1970.
        number: How many.
        first, last: Positions of the first and the last of them.
    """

    op: str
    namespace: str
    session: str | None
    minute: int
    number: int
    first: Position
    last: Position


def slow_deletes(tallies: Iterable[Tally], fast: Sequence[Event], minimum: int) -> list[Event]:
    """The events, in order.

    Args:
        tallies: Of one range of the oplog.
        fast: The mass deletes of that range that were found by their pace; what they deleted is not told
            again.
        minimum: The least number of other deletes.
    """
    inserts: dict[str, list[Tally]] = defaultdict(list)
    writers: dict[tuple[str, str | None], list[Tally]] = defaultdict(list)
    for tally in tallies:
        if tally.op == "i":
            inserts[tally.namespace].append(tally)
        elif is_of_users(*_parts(tally.namespace)):
            writers[tally.namespace, tally.session].append(tally)
    found = []
    for (namespace, session), mine in writers.items():
        for stretch in _stretches(sorted(mine, key=lambda t: t.first)):
            if _is_mass(stretch, fast, inserts[namespace], minimum):
                found.append(_event(namespace, session, stretch))
    return sorted(found, key=lambda e: (e.position, e.id))


def _parts(namespace: str) -> tuple[str, str]:
    database, _, collection = namespace.partition(".")
    return database, collection


def _stretches(tallies: Sequence[Tally]) -> Iterator[list[Tally]]:
    stretch: list[Tally] = []
    for tally in tallies:
        if stretch and tally.minute - stretch[-1].minute > PAUSE_MINUTES:
            yield stretch
            stretch = []
        stretch.append(tally)
    if stretch:
        yield stretch


def _is_mass(stretch: list[Tally], fast: Sequence[Event], inserts: list[Tally], minimum: int) -> bool:
    first, last, one = stretch[0].first, stretch[-1].last, stretch[0]
    told = sum(
        e.operations
        for e in fast
        if e.kind == "mass-delete"
        and (e.namespace, e.selector.session) == (one.namespace, one.session)
        and e.last >= first
        and e.position <= last
    )
    deleted = sum(t.number for t in stretch)
    inserted = sum(t.number for t in inserts if t.last >= first and t.first <= last)
    return deleted - told >= minimum and inserted <= deleted * _INSERTED


def _event(namespace: str, session: str | None, stretch: list[Tally]) -> Event:
    first, last = stretch[0].first, stretch[-1].last
    count = sum(t.number for t in stretch)
    return Event(
        # One that is fast at its beginning is an event of its own there.
        id=event_id("slow mass-delete", namespace, first),
        kind="mass-delete",
        position=first,
        last=last,
        time=first.time,
        namespace=namespace,
        operations=count,
        documents=count,
        before=None,
        detail=f"slow: spread over {duration(last.t - first.t)}",
        selector=EventSelector(first=first, last=last, op="d", namespaces=(namespace,), session=session),
    )
