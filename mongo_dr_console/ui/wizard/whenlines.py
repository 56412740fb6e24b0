"""What the step "what happened" shows. Pure."""

from __future__ import annotations

from datetime import datetime

from mongo_dr_console.model.catalogue import SnapshotEntry
from mongo_dr_console.model.event import Event
from mongo_dr_console.model.position import MAX_ORDINAL, Bound, Limit
from mongo_dr_console.model.trouble import WrongUse
from mongo_dr_console.model.wizard import (
    Base,
    Known,
    WizardState,
    base_problem,
    entry_of,
    limit_of,
    lost,
    reach,
    stops_at,
)
from mongo_dr_console.model.words import duration, moment, size
from mongo_dr_console.ui.lines import Line, line, table, wrapped
from mongo_dr_console.ui.widgets.row_list import RowItem


def event_items(facts: Known, chosen: Event | None, width: int) -> list[RowItem]:
    """The events, newest first; the first item is the header."""
    rows = [
        (
            (
                _mark(event, chosen, facts),
                event.kind,
                event.namespace,
                "?" if event.documents is None else f"{event.documents:,}",
                f"{event.time:%m-%d %H:%M:%SZ}",
                ago(event.time, facts.now) + (" brought back" if event.id in facts.answered else ""),
            ),
            "",
            "",
        )
        for event in facts.undoable
    ]
    header = ("", "EVENT", "NAMESPACE", "DOCUMENTS", "TIME (UTC)", "AGE")
    lines = table(header, rows, width)  # type: ignore[arg-type]
    return [
        RowItem("", lines[0]),
        *(RowItem(e.id, one) for e, one in zip(facts.undoable, lines[1:], strict=True)),
    ]


def _mark(event: Event, chosen: Event | None, facts: Known) -> str:
    if chosen is not None and event.id == chosen.id:
        return "(●)"
    return " ✗ " if reach(Limit(event.position, Bound.BEFORE), facts) else "( )"


def ago(when: datetime, now: datetime) -> str:
    return duration(max(0.0, (now - when).total_seconds()))


def base_items(facts: Known, stop: Limit | None, chosen: Base | None, width: int) -> list[RowItem]:
    """The snapshots, newest first; the first item is the header."""
    rows = []
    for entry in facts.snapshots:
        bad = base_problem(entry, stop, facts)
        mark = "(●)" if chosen == Base(entry.name, entry.store) else " ✗ " if bad else "( )"
        rows.append(((mark, *base_cells(entry, facts.now)), "", ""))
    header = ("", "SNAPSHOT", "STORE", "AGE", "SIZE", "VERIFIED", "TESTED")
    lines = table(header, rows, width, gap=2)  # type: ignore[arg-type]
    keys = [f"{e.name}@{e.store}" for e in facts.snapshots]
    return [RowItem("", lines[0]), *(RowItem(k, one) for k, one in zip(keys, lines[1:], strict=True))]


def base_cells(entry: SnapshotEntry, now: datetime) -> tuple[str, ...]:
    verified = "yes" if entry.verified else "DAMAGED" if entry.known_bad else "no"
    tested = "never" if entry.restore_tested_at is None else f"{ago(entry.restore_tested_at, now)} ago"
    age = duration(max(0.0, entry.age_seconds(now)))
    return entry.name, entry.store, age, size(entry.stored_bytes), verified, tested


def base_line(state: WizardState, facts: Known, width: int) -> list[Line]:
    """The snapshot that it starts from."""
    entry = entry_of(state.base, facts)
    if entry is None and not is_said(state, facts):
        return _labelled("Base", "the newest snapshot before that is proposed", width)
    if entry is None:
        text = "no snapshot fits" if facts.snapshots else "no snapshot is known; planning looks for one"
        if state.base is not None:
            text = f"{state.base.name} in {state.base.store}; nothing else is known of it at present"
        return _labelled("Base", text, width)
    _, _, age, stored, _, tested = base_cells(entry, facts.now)
    verified = "verified" if entry.verified else "NOT verified"
    tried = "never restore-tested" if tested == "never" else f"restore-tested {tested}"
    text = f"{entry.name} in {entry.store}, {age} old, {stored}, {verified}, {tried}"
    if entry.scope is not None:
        text += f"; holds only {', '.join(entry.scope)}"
    return _labelled("Base", text + ("" if state.base_chosen else " (proposed)"), width)


def is_said(state: WizardState, facts: Known) -> bool:
    """Whether it is said where to stop, and it can be reached."""
    try:
        stop = stops_at(state, facts)
    except WrongUse:
        return False
    return stop is None or not reach(stop, facts)


def lost_line(state: WizardState, facts: Known, width: int) -> list[Line]:
    if not is_said(state, facts):
        return _labelled("Lost", "it is not said yet where to stop", width)
    return _labelled("Lost", lost(state, facts), width)


def way_line(state: WizardState) -> str:
    """What the choice for an event means."""
    if state.keep_later:
        return "Replay goes on past the event without its operations; later writes stay."
    return "Replay stops before the event; what was written to the scope since then is not in the result."


def meaning(state: WizardState, facts: Known) -> tuple[str, bool]:
    """What a typed time means, and whether it is a good one."""
    if not state.text.strip():
        return "For example 2026-11-22T02:11:31Z, -10m, 1763777491:3, event:ID or latest.", True
    try:
        limit = limit_of(state, facts)
    except WrongUse as error:
        return f"{error.message} {error.hint}".strip(), False
    assert limit is not None
    words, why = _limit_words(limit, facts.now), reach(limit, facts)
    return (f"{words}. {why}", False) if why else (words, True)


def _limit_words(limit: Limit, now: datetime) -> str:
    position = limit.position
    back = ago(position.time, now)
    if position.i in (0, MAX_ORDINAL):
        edge = "the start of" if limit.bound is Bound.BEFORE else "the last operation of"
        return f"= {limit.bound} {edge} {moment(position.time)}, {back} ago"
    taken = "NOT applied" if limit.bound is Bound.BEFORE else "applied"
    return f"= {limit.bound} {position} ({moment(position.time)}), {back} ago; that operation is {taken}"


def _labelled(label: str, text: str, width: int) -> list[Line]:
    parts = wrapped(text, max(20, width - 10))
    return [
        line((f"  {label:<8}" if number == 0 else " " * 10, "dim"), part.text)
        for number, part in enumerate(parts)
    ]
