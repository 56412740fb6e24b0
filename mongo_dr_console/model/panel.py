"""A panel: one source's rows as text, with its level and the age of its data. Pure.

Every value comes with its age; a level is a glyph and a word, never colour alone. Text is data of others
(names, error texts): whoever prints it cleans it, and never reads it as markup.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mongo_dr_console.model.reading import Reading
from mongo_dr_console.model.verdict import Fact, Level, Verdict, worst
from mongo_dr_console.model.words import UNKNOWN, clock, duration


@dataclass(frozen=True, slots=True)
class Row:
    """One line: a level and cells; a row without a level is plain.

    ``key`` says what it points to: ``event:<id>``, ``snapshot:<name>@<store>``, ``job:<id>``,
    ``member:<name>``; empty: nothing.
    """

    cells: tuple[str, ...]
    level: Level | None = None
    key: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """One source's rows.

    Args:
        title: What it is about.
        level: The worst of its facts.
        age: How old its value is, in words; ``?`` where there is none.
        stale: Whether the value is not of now: its source failed since.
        header: Names of the columns; empty where rows are sentences.
        rows: Lines of the table.
        notes: Sentences below it.
        trouble: Why the source does not answer, which attempt, and when the next one is; empty if it does.
    """

    source: str
    title: str
    level: Level
    age: str
    stale: bool
    header: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()
    notes: tuple[Row, ...] = ()
    trouble: str = ""


def make_panel(
    source: str,
    title: str,
    reading: Reading[Any] | None,
    verdict: Verdict,
    now: datetime,
    header: tuple[str, ...] = (),
    rows: tuple[Row, ...] = (),
    notes: tuple[Row, ...] = (),
) -> Panel:
    """A panel of one reading, with the level of its source's facts."""
    facts: Iterable[Fact] = (f for f in verdict.facts if f.source == source)
    level = worst(f.level for f in facts)
    if reading is None or (reading.stale and level is Level.FINE):
        level = Level.UNKNOWN
    stale = reading is not None and reading.stale
    return Panel(
        source, title, level, age_in_words(reading, now), stale, header, rows, notes, _trouble(reading, now)
    )


def age_in_words(reading: Reading[Any] | None, now: datetime) -> str:
    """How old the value is, to the second; ``?`` where there is none."""
    age = None if reading is None else reading.age(now)
    return UNKNOWN if age is None else duration(round(max(0.0, age.total_seconds())))


def _trouble(reading: Reading[Any] | None, now: datetime) -> str:
    if reading is None:
        return "has not answered yet"
    if reading.error is None:
        return ""
    parts = [reading.error.message.rstrip("."), f"attempt {reading.attempt}"]
    if reading.next_try is not None and reading.next_try > now:
        parts.append(f"next try {clock(reading.next_try)}")
    if reading.taken_at is not None:
        parts.append(f"last value of {clock(reading.taken_at)}")
    return ", ".join(parts)
