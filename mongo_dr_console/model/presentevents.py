"""What happened, as rows: newest first, with the time of day in UTC. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from mongo_dr_console.model.happenings import Happening, with_events
from mongo_dr_console.model.panel import Panel, Row, make_panel
from mongo_dr_console.model.readings import EVENTS, Readings
from mongo_dr_console.model.verdict import Verdict
from mongo_dr_console.model.words import clock, moment


def present_events(
    readings: Readings, happenings: Iterable[Happening], verdict: Verdict, now: datetime
) -> Panel:
    """Destructive events, snapshots, and what was observed since the console was opened.

    Args:
        happenings: As observed, in any order.
    """
    found = with_events(happenings, readings, now)
    rows = tuple(Row((_clock(h.at, now), h.source, h.text), h.level, h.key) for h in found)
    notes = [] if rows else [Row(("nothing happened in the last 24h",))]
    facts = None if readings.events is None else readings.events.value
    if facts is not None and not facts.complete and facts.scanned_from is not None:
        notes.append(Row((f"the oplog was looked through from {moment(facts.scanned_from.time)} on so far",)))
    return make_panel(EVENTS, "Events (UTC)", readings.events, verdict, now, (), rows, tuple(notes))


def _clock(when: datetime, now: datetime) -> str:
    """The time of day; with its date where that is not today's."""
    return clock(when) if when.date() == now.date() else f"{when:%m-%d} {clock(when)}"
