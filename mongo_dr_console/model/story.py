"""What a recording tells: where in it something happened that one would want to go to. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from mongo_dr_console.model.event import Event
from mongo_dr_console.model.happenings import Happening, in_words, observed
from mongo_dr_console.model.level import Level
from mongo_dr_console.model.readings import EVENTS, JOBS, LOCK, Limits, Readings, with_reading
from mongo_dr_console.model.recording import Recorded
from mongo_dr_console.model.verdict import Verdict, verdict

_START = timedelta(minutes=1)
"""In which the sources answer for the first time: that changes the verdict, and is nothing that happened."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a recording.

    Args:
        number: Of the reading that brought it, from 1.
        text: What happened, in a few words.
    """

    number: int
    level: Level
    text: str


@dataclass(frozen=True, slots=True)
class Story:
    """A recording as it was looked through once.

    Args:
        marks: A change of the verdict, an event that was found, a job that began or ended; in order.
        happenings: What was observed, each with the number of the reading that showed it; in order.
    """

    marks: tuple[Mark, ...] = ()
    happenings: tuple[tuple[int, Happening], ...] = ()

    def next_mark(self, number: int) -> Mark | None:
        """The first one after a reading."""
        return next((m for m in self.marks if m.number > number), None)

    def mark_before(self, number: int) -> Mark | None:
        """The last one before a reading."""
        return next((m for m in reversed(self.marks) if m.number < number), None)

    def seen_marks(self, number: int) -> tuple[Mark, ...]:
        """Those up to a reading, and of it."""
        return tuple(m for m in self.marks if m.number <= number)

    def seen_until(self, number: int) -> tuple[Happening, ...]:
        """What had been observed when a reading had come."""
        return tuple(h for n, h in self.happenings if n <= number)


def tell(recording: Sequence[Recorded], limits: Limits) -> Story:
    """Looks through all of it: seconds of work for a long one."""
    if not recording:
        return Story()
    marks: list[Mark] = []
    happenings: list[tuple[int, Happening]] = []
    before = Readings(recording[0].profile, recording[0].environment)
    judged: Verdict | None = None
    silent = {recorded.source for recorded in recording}
    for number, recorded in enumerate(recording, 1):
        begins = bool(silent) and recorded.at - recording[0].at < _START
        silent.discard(recorded.source)
        after = with_reading(before, recorded.reading)
        seen = observed(before, after, recorded.at)
        happenings += ((number, happening) for happening in seen)
        found = verdict(after, limits, recorded.at)
        marks += (
            Mark(number, level, text)
            for level, text in (
                *(() if begins else _judged(judged, found)),
                *(_found(before, after) if recorded.source == EVENTS else ()),
                *(_worked(seen) if recorded.source in (JOBS, LOCK) else ()),
            )
        )
        before, judged = after, found
    return Story(_once(marks), tuple(happenings))


def _judged(old: Verdict | None, new: Verdict) -> Iterator[tuple[Level, str]]:
    """The verdict where it is another one: its level, or what the worst fact is about."""
    if old is not None and _worst(old) != _worst(new):
        yield new.level, f"the verdict changes: {new.text}"


def _worst(found: Verdict) -> tuple[object, ...]:
    worst = next((f for f in found.facts if f.level is not Level.FINE), None)
    return found.level, None if worst is None else (worst.code, worst.source)


def _found(before: Readings, after: Readings) -> Iterator[tuple[Level, str]]:
    known = {e.id for e in _events(before)}
    for event in _events(after):
        if event.id not in known:
            yield Level.WARNING, in_words(event)


def _events(readings: Readings) -> tuple[Event, ...]:
    facts = None if readings.events is None else readings.events.value
    return () if facts is None else facts.events


def _worked(seen: Sequence[Happening]) -> Iterator[tuple[Level, str]]:
    for happening in seen:
        if happening.key.startswith("job:"):
            yield happening.level, f"{happening.source}: {happening.text}"


def _once(marks: Sequence[Mark]) -> tuple[Mark, ...]:
    """What one reading brought as one mark."""
    kept: dict[int, Mark] = {}
    for mark in marks:
        old = kept.get(mark.number)
        if old is None:
            kept[mark.number] = mark
        else:
            level = max(old.level, mark.level, key=lambda level: level.rank)
            kept[mark.number] = Mark(mark.number, level, f"{old.text}; {mark.text}")
    return tuple(kept.values())
