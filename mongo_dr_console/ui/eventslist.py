"""Events over days as rows to choose from, what a search for them says, and one of them whole. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from mongo_dr_console.model.coverage import LIVE
from mongo_dr_console.model.event import CHANGES, LOGINS, Event
from mongo_dr_console.model.eventfacts import is_answered
from mongo_dr_console.model.eventscan import DEFAULT_MINIMUM
from mongo_dr_console.model.eventsearch import Looked
from mongo_dr_console.model.happenings import count
from mongo_dr_console.model.level import Level
from mongo_dr_console.model.position import Bound, Limit
from mongo_dr_console.model.readings import Readings
from mongo_dr_console.model.wizard import Known, reach
from mongo_dr_console.model.words import counted, duration, moment
from mongo_dr_console.ui.glyphs import ROLE_OF_LEVEL
from mongo_dr_console.ui.jobpages import rule
from mongo_dr_console.ui.lines import Line, Role, line, table, wrapped
from mongo_dr_console.ui.widgets.row_list import RowItem

MOST_ROWS = 500
_WITH_SOURCE = 70
_HEADER = ("AGE", "EVENT", "NAMESPACE", "DOCUMENTS", "UNDO", "SOURCE")
_TOPIC = "kafka"


@dataclass(frozen=True, slots=True)
class Outlook:
    """What can be done about an event: in a word or two, and in a sentence."""

    level: Level
    word: str
    text: str


def outlook(event: Event, readings: Readings, facts: Known) -> Outlook:
    """What can be done about an event, as far as is known now."""
    if event.kind not in CHANGES and is_answered(event, readings.restores, readings.identity):
        return Outlook(Level.FINE, "restored since", "A restore has brought back what it took.")
    if why := reach(Limit(event.position, Bound.BEFORE), facts):
        return Outlook(Level.CRITICAL, "out of reach", f"It cannot be gone back to. {why}")
    if event.kind in LOGINS:
        text = "Of users and roles nothing can be left out: enter opens the wizard at the time before it."
        return Outlook(Level.FINE, "time before", text)
    if event.kind in CHANGES:
        text = "It can be left out of a restore (skip), or gone back to before it: enter."
        return Outlook(Level.FINE, "skip", text)
    text = (
        "Enter opens the wizard with it left out (skip); merge brings back only what it removed or changed."
    )
    return Outlook(Level.WARNING, "merge or skip", text)


def event_items(
    looked: Looked, readings: Readings, facts: Known, width: int
) -> tuple[list[RowItem], list[Line]]:
    """Rows to choose from, the newest first, and their header."""
    shown = looked.events[::-1][:MOST_ROWS]
    if not shown:
        return [], []
    columns = len(_HEADER) if width >= _WITH_SOURCE else len(_HEADER) - 1
    rows: list[tuple[tuple[str, ...], Role, str]] = []
    for event in shown:
        view = outlook(event, readings, facts)
        cells = (
            _age(event, facts.now),
            event.kind,
            event.namespace,
            "?" if event.documents is None else f"{event.documents:,}",
            view.word,
            _short(looked.sources.get(event.id, "")),
        )
        rows.append((cells[:columns], ROLE_OF_LEVEL[view.level], view.level.glyph))
    header, *lines = table(_HEADER[:columns], rows, width)
    return [RowItem(event.id, row) for event, row in zip(shown, lines, strict=True)], [header]


def search_head(looked: Looked, width: int, most: int) -> list[Line]:
    """What is looked through, how far it has come, and what could not be looked at.

    Args:
        most: Rows for what could not be looked at.
    """
    until = "now" if looked.end is None else moment(looked.end.time)
    rows = [rule(f"Events from {moment(looked.start.time)} to {until}", width)]
    rows += wrapped(_progress(looked), width, "dim" if looked.ended else "info")
    rows += _not_looked_at(looked, width, most)
    if len(looked.events) > MOST_ROWS:
        rows.append(line((f"The newest {MOST_ROWS} are shown: t takes a shorter range.", "dim")))
    if looked.ended and not looked.events and looked.reached is not None:
        rows += wrapped("No drop, mass delete, mass update or changed definition was found there.", width)
        few = f"Fewer than {DEFAULT_MINIMUM} documents are no mass: :document shows one document's history."
        rows += wrapped(few, width, "dim")
    return rows


def _progress(looked: Looked) -> str:
    found = f"{len(looked.events)} event{'' if len(looked.events) == 1 else 's'}"
    if looked.ended and looked.reached is None:
        return "Nothing was looked through."
    if looked.ended:
        return f"{found}; looked through back to {moment(looked.reached.time)}. p looks further back."  # type: ignore[union-attr]
    if looked.reached is None:
        return "The sources are being asked … esc leaves."
    if looked.slow is not None:
        at = f"now at {moment(looked.slow.time)}"
        return f"{found} so far; then deletes spread over hours, {at} … esc leaves."
    back = f"back to {moment(looked.reached.time)} ({looked.share:.0%})"
    return f"{found} so far; {back} … esc leaves."


def _not_looked_at(looked: Looked, width: int, most: int) -> list[Line]:
    told: list[tuple[str, Role]] = [(f"! {text}", "warning") for text in looked.missing]
    told += [(f"? {text}", "unknown") for text in looked.unread]
    rows: list[Line] = []
    for number, (text, role) in enumerate(told):
        lines = wrapped(text, width, role, "  ")
        if rows and len(rows) + len(lines) > most - (number + 1 < len(told)):
            rows.append(
                line((f"? and {len(told) - number} more of that kind: a larger terminal.", "unknown"))
            )
            break
        rows += lines
    return rows


def chosen_event(event: Event | None, source: str, view: Outlook | None, width: int, most: int) -> list[Line]:
    """All of the event under the cursor, since its row may be cut; no more than so many rows."""
    if event is None or view is None:
        return []
    extent = "" if event.kind in CHANGES else f", {count(event.documents)}"
    share = "" if event.share is None else f", about {event.share:.0%} of the collection"
    detail = f" ({event.detail})" if event.detail else ""
    last = "" if event.last == event.position else f" to {event.last}"
    operations = counted(event.operations, "operation")
    rows = [
        rule(f"Event {event.id}", width),
        *wrapped(f"{event.kind} {event.namespace}{extent}{share}{detail}", width),
        *wrapped(view.text, width, "critical" if view.level is Level.CRITICAL else ""),
        *wrapped(
            f"{moment(event.time)}, position {event.position}{last}, {operations}, read from {_long(source)}",
            width,
            "dim",
        ),
    ]
    return rows[:most]


def _age(event: Event, now: datetime) -> str:
    return duration(max(0.0, (now - event.time).total_seconds()))


def _short(source: str) -> str:
    """A source in one word; which store, stands below."""
    return "topic" if source == _TOPIC else source.partition(":")[0] or "?"


def _long(source: str) -> str:
    store = source.partition(":")[2]
    names = {LIVE: "the live oplog", _TOPIC: "the topic", "": "an unknown source"}
    return names.get(source) or f"the segments in store {store}"
