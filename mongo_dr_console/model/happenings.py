"""What happened, as two looks at the readings show it, and as the oplog and the stores tell it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from mongo_dr_console.model.catalogue import rows
from mongo_dr_console.model.event import CHANGES, Event
from mongo_dr_console.model.jobfacts import RUNNING, JobFacts
from mongo_dr_console.model.reading import Reading
from mongo_dr_console.model.readings import (
    COVERAGE,
    EVENTS,
    JOBS,
    KAFKA,
    LOCK,
    OPLOG,
    SET,
    Readings,
    all_jobs,
    open_events,
)
from mongo_dr_console.model.setstatus import PRIMARY, Member
from mongo_dr_console.model.verdict import Level
from mongo_dr_console.model.words import counted, duration, size

T = TypeVar("T")

_KEPT = timedelta(hours=24)
_SILENT, _BACK = "does not answer: ", "answers again"
_ENDED = {"done": Level.FINE, "stopped": Level.WARNING, "partial": Level.WARNING}


@dataclass(frozen=True, slots=True)
class Happening:
    """One thing that happened.

    Args:
        source: Who it happened to or who tells it: a member, ``oplog``, ``backup``, ``job``, a source's name.
        key: What it points to, as a row's.
    """

    at: datetime
    level: Level
    source: str
    text: str
    key: str = ""


def observed(before: Readings, after: Readings, now: datetime) -> tuple[Happening, ...]:
    """What changed from one look to the next. What was not known before is no change."""
    return (
        *_sources(before, after, now),
        *_set(before, after, now),
        *_appeared(before, after, now),
        *_jobs(before, after, now),
    )


def with_events(happenings: Iterable[Happening], readings: Readings, now: datetime) -> tuple[Happening, ...]:
    """The same with the oplog's destructive events and the snapshots of the last day, newest first.

    What the stores and the oplog tell with its own time takes the place of having been observed. A source
    that answers again is one row and not two: in an incident many fall silent for a while, and must not push
    what was lost out of sight.
    """
    told = [*_destructive(readings, now), *_taken(readings, now)]
    keys = {h.key for h in told}
    seen = (h for h in _unanswered(happenings) if not (h.key.startswith("snapshot:") and h.key in keys))
    return tuple(sorted((*told, *seen), key=lambda h: (h.at, h.source, h.text), reverse=True))


# Sources


def _sources(before: Readings, after: Readings, now: datetime) -> Iterator[Happening]:
    was = _by_name(before)
    for name, reading in _by_name(after).items():
        old = was.get(name)
        failed = old is not None and old.error is not None
        if reading.error is not None and not failed:
            level = Level.CRITICAL if name == SET else Level.WARNING
            yield Happening(now, level, _called(name), f"{_SILENT}{reading.error.message}")
        elif reading.error is None and old is not None and failed:
            away = "" if old.taken_at is None else f" after {duration((now - old.taken_at).total_seconds())}"
            yield Happening(now, Level.FINE, _called(name), f"{_BACK}{away}")


def _unanswered(happenings: Iterable[Happening]) -> list[Happening]:
    """Without those silences of sources that have ended."""
    found = list(happenings)
    back = {h.source: h.at for h in sorted(found, key=lambda h: h.at) if h.text.startswith(_BACK)}
    return [h for h in found if not (h.text.startswith(_SILENT) and h.at < back.get(h.source, h.at))]


def _by_name(readings: Readings) -> dict[str, Reading[Any]]:
    names = (SET, OPLOG, KAFKA, COVERAGE, EVENTS, JOBS, LOCK)
    single = {name: getattr(readings, name) for name in names}
    return {name: r for name, r in (*single.items(), *readings.stores.items()) if r is not None}


def _called(name: str) -> str:
    """A source as people know it: ``store:local`` is ``store local``."""
    return name.replace(":", " ", 1)


# The set


def _set(before: Readings, after: Readings, now: datetime) -> Iterator[Happening]:
    old, new = _value(before.set), _value(after.set)
    if old is None or new is None or old is new:
        return
    known = {m.name: m for m in old.members}
    for member in new.members:
        yield from _member(known.get(member.name), member, now)
    for name in known.keys() - {m.name for m in new.members}:
        yield Happening(now, Level.WARNING, name, "was taken out of the set")
    if new.primary is not None and (new.primary, new.term) != (old.primary, old.term):
        term = "" if new.term is None else f", term {new.term}"
        yield Happening(now, Level.WARNING, new.primary, f"is the primary now{term}", f"member:{new.primary}")
    elif new.primary is None and old.primary is not None:
        yield Happening(now, Level.CRITICAL, new.set_name, "has no primary; writes fail")


def _member(old: Member | None, new: Member, now: datetime) -> Iterator[Happening]:
    key = f"member:{new.name}"
    if old is None:
        yield Happening(now, Level.FINE, new.name, f"is a new member, {new.state}", key)
    elif old.healthy and not new.healthy:
        yield Happening(now, Level.CRITICAL, new.name, "went down", key)
    elif not old.healthy and new.healthy:
        level = Level.FINE if new.up else Level.WARNING
        yield Happening(now, level, new.name, f"came back, {new.state}", key)
    elif new.healthy and new.state not in (old.state, PRIMARY):
        level = Level.FINE if new.up else Level.WARNING
        yield Happening(now, level, new.name, f"is {new.state} now, was {old.state}", key)


# Snapshots


def _appeared(before: Readings, after: Readings, now: datetime) -> Iterator[Happening]:
    for name, reading in after.stores.items():
        old, new = _value(before.stores.get(name)), _value(reading)
        if old is None or new is None or old is new:
            continue
        known = {(s.name, s.checksum) for s in old.snapshots}
        for entry in new.snapshots:
            if (entry.name, entry.checksum) not in known:
                text = f"snapshot {entry.name} appeared in {entry.store}, {size(entry.stored_bytes)}"
                key = f"snapshot:{entry.name}@{entry.store}"
                yield Happening(now, Level.FINE, "backup", text, key)


def _taken(readings: Readings, now: datetime) -> Iterator[Happening]:
    """The snapshots of the last day, a row for all copies of one."""
    facts = _value(readings.backups)
    held = [] if facts is None else [s for store in facts.stores for s in store.snapshots]
    for row in rows(held):
        entry = row.best
        at = entry.finished_at or entry.taken_at
        if not timedelta() <= now - at <= _KEPT:
            continue
        stores = ", ".join(e.store for e in row.entries)
        took = "" if entry.seconds is None else f" in {duration(entry.seconds)}"
        text = f"snapshot {entry.name} taken{took}, {size(entry.stored_bytes)}, in {stores}"
        bad = entry.problem is not None or entry.known_bad
        level = Level.CRITICAL if bad else Level.FINE
        text += "; it cannot be restored from" if bad else ""
        yield Happening(at, level, "backup", text, f"snapshot:{entry.name}@{entry.store}")


# Events of the oplog


def _destructive(readings: Readings, now: datetime) -> Iterator[Happening]:
    facts = _value(readings.events)
    if facts is None:
        return
    left = {e.id for e in open_events(readings, now)}
    for event in facts.events:
        if now - event.time <= _KEPT:
            text = in_words(event)
            level = Level.WARNING if event.id in left else Level.FINE
            text += "" if event.id in left or event.kind in CHANGES else ", restored since"
            yield Happening(event.time, level, "oplog", text, f"event:{event.id}")


def in_words(event: Event) -> str:
    """
    >>> from mongo_dr_console.model.event import EventSelector
    >>> from mongo_dr_console.model.position import Position
    >>> p = Position(5, 1)
    >>> own = EventSelector(first=p, last=p, op="c", namespaces=("shop.orders",))
    >>> in_words(Event(id="0", kind="drop", position=p, last=p, time=p.time, namespace="shop.orders",
    ...          operations=1, documents=40000, before=None, selector=own))
    'drop shop.orders (40,000 documents)'
    """
    if event.kind in CHANGES:
        return f"{event.kind} {event.namespace}" + (f" ({event.detail})" if event.detail else "")
    return f"{event.kind} {event.namespace} ({count(event.documents)})"


def count(documents: int | None) -> str:
    """A number of documents, which may not be known."""
    if documents is None:
        return "documents unknown"
    return counted(documents, "document")


# Jobs


def _jobs(before: Readings, after: Readings, now: datetime) -> Iterator[Happening]:
    if before.jobs is None or _value(before.jobs) is None:
        return
    known = {j.job: j for j in all_jobs(before)}
    for job in all_jobs(after):
        old = known.pop(job.job, None)
        key = f"job:{job.job}"
        if old is None or (old.state != RUNNING and job.state == RUNNING):
            verb = "goes on" if old is not None else "began"
            if not job.here:
                text = f"{job.kind} of {job.owner} took the lock of the deployment"
                yield Happening(now, Level.WARNING, f"job {job.job}", text, key)
            else:
                yield Happening(now, Level.FINE, f"job {job.job}", f"{job.kind} {verb}", key)
        if job.state != RUNNING and (old is None or old.state == RUNNING):
            yield _end(job, now)
    for old in known.values():
        if not old.here:
            text = f"{old.kind} of {old.owner} gave the lock of the deployment back"
            yield Happening(now, Level.FINE, f"job {old.job}", text, f"job:{old.job}")


def _end(job: JobFacts, now: datetime) -> Happening:
    why = "" if job.error is None else f": {job.error.message}"
    level = _ENDED.get(job.state, Level.CRITICAL)
    text = f"{job.kind} ended: {job.state}{why}"
    return Happening(job.ended_at or now, level, f"job {job.job}", text, f"job:{job.job}")


def _value(reading: Reading[T] | None) -> T | None:
    return None if reading is None else reading.value
