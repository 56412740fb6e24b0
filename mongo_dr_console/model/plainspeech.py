"""Status for ears: sentences, one a line, without signs, columns or colour; and of what follows only what
changed. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from mongo_dr_console.model.event import Event
from mongo_dr_console.model.happenings import in_words, observed
from mongo_dr_console.model.panel import Panel, Row
from mongo_dr_console.model.present import numbers_line, present
from mongo_dr_console.model.readings import Limits, Readings, live_coverage, rto_now
from mongo_dr_console.model.verdict import Fact, Level, Verdict
from mongo_dr_console.model.words import UNKNOWN, clock, duration, moment

_AMOUNT = re.compile(r"(?<![\w.-])~?\d[\w.,:%]*")
"""A number or a time in a sentence, but not the one in a name: what changes while nothing else does."""
_MOVED, _MOVED_SECONDS = 0.2, 30.0
"""RPO and RTO tick: they are said again when they differ by so much of what was said, and by so long."""


@dataclass(frozen=True, slots=True)
class Said:
    """What somebody who listens knows.

    Args:
        rpo, rto: Seconds, as they were said last.
    """

    readings: Readings
    verdict: Verdict
    rpo: float | None
    rto: float | None


def everything(readings: Readings, verdict: Verdict, limits: Limits, now: datetime) -> list[str]:
    """The verdict first, RPO and RTO second."""
    rest = (f for f in verdict.facts if f.level is not Level.FINE)
    return [
        _sentence(f"Verdict: {verdict.level.word}. {verdict.text}"),
        _sentence(", ".join(_spoken(cell) for cell in numbers_line(readings, limits, now).cells)),
        _sentence(verdict.consequence),
        _sentence(f"Profile {readings.profile}, environment {readings.environment}, {moment(now)}"),
        *(_fact(fact) for fact in list(rest)[1:]),
        *(line for panel in present(readings, verdict, limits, now) for line in _panel(panel)),
    ]


def heard(readings: Readings, verdict: Verdict, now: datetime) -> Said:
    """What was said by ``everything``."""
    return Said(readings, verdict, *_numbers(readings, now))


def changes(
    before: Said, readings: Readings, verdict: Verdict, limits: Limits, now: datetime
) -> tuple[list[str], Said]:
    """What is to be said now, each with its time, and what is known then. Ages alone are no change."""
    rpo, rto = _numbers(readings, now)
    said = [
        *_verdict(before.verdict, verdict),
        *(_happened(h.level, h.source, h.text) for h in observed(before.readings, readings, now)),
        *(_happened(Level.WARNING, "oplog", in_words(e)) for e in _new_events(before.readings, readings)),
        *_facts(before.verdict.facts, verdict.facts),
    ]
    rpo_moved, rto_moved = _moved(before.rpo, rpo, limits.rpo), _moved(before.rto, rto, limits.rto)
    if rpo_moved:
        said.append(_number("RPO", rpo, before.rpo, limits.rpo))
    if rto_moved:
        said.append(_number("RTO", rto, before.rto, limits.rto))
    known = Said(readings, verdict, rpo if rpo_moved else before.rpo, rto if rto_moved else before.rto)
    return [f"{clock(now)}: {text}" for text in said], known


# Everything


def _panel(panel: Panel) -> Iterator[str]:
    age = "its age is unknown" if panel.age == UNKNOWN else f"{panel.age} old"
    stale = ", not of now" if panel.stale and panel.age != UNKNOWN else ""
    yield _sentence(f"{panel.title}: {panel.level.word}, {age}{stale}")
    if panel.trouble:
        yield _sentence(f"{panel.title}: {panel.trouble}")
    for row in (*panel.rows, *panel.notes):
        named = panel.header if row in panel.rows else ()
        if text := _row(row, named):
            yield _sentence(text)


def _row(row: Row, header: tuple[str, ...]) -> str:
    if header:
        pairs = [(n, c) for n, c in zip(header, row.cells, strict=False) if c not in ("", "-")]
        text = ", ".join(f"{name.lower()} {_spoken(cell)}".strip() for name, cell in pairs)
    else:
        text = ", ".join(_spoken(cell) for cell in row.cells if cell)
    return text if row.level in (None, Level.FINE) or not text else f"{_level(row.level)}: {text}"


def _spoken(cell: str) -> str:
    """A cell without the signs that only the eye reads.

    >>> [_spoken(c) for c in ("?", "?PRIMARY", "RTO now ~20s", "RPO now ? (target 1m)", "a?b")]
    ['unknown', 'last known as PRIMARY', 'RTO now about 20s', 'RPO now unknown (target 1m)', 'a?b']
    """
    if cell.startswith(UNKNOWN) and len(cell) > 1:
        return f"last known as {cell[1:]}"
    whole = re.sub(r"(?<!\S)\?(?=[\s,.)]|$)", "unknown", cell)
    return re.sub(r"(?<!\S)~(?=\d)", "about ", whole)


def _sentence(text: str) -> str:
    flat = " ".join(text.split())
    return flat if flat.endswith((".", "!")) else f"{flat}."


def _fact(fact: Fact) -> str:
    return _sentence(f"{_level(fact.level)}: {fact.text}")


def _level(level: Level | None) -> str:
    return "" if level is None else level.word.capitalize()


# Changes


def _verdict(old: Verdict, new: Verdict) -> Iterator[str]:
    if old.level is not new.level:
        yield _sentence(f"Verdict: {new.level.word}, was {old.level.word}. {new.text}")


def _happened(level: Level, source: str, text: str) -> str:
    word = "" if level is Level.FINE else f"{_level(level)}: "
    return _sentence(f"{word}{source} {text}")


def _facts(old: Iterable[Fact], new: Iterable[Fact]) -> Iterator[str]:
    """What is so now, or has another level, or is over."""
    was, now = _bad(old), _bad(new)
    for key, fact in now.items():
        if key not in was:
            yield _fact(fact)
        elif was[key].level is not fact.level:
            yield _sentence(f"{_level(fact.level)}, was {was[key].level.word}: {fact.text}")
    for key, fact in was.items():
        if key not in now:
            yield _sentence(f"Over: {fact.text}")


def _bad(facts: Iterable[Fact]) -> dict[tuple[str, str, str], Fact]:
    return {(f.code, f.source, _AMOUNT.sub("", f.text)): f for f in facts if f.level is not Level.FINE}


def _new_events(old: Readings, new: Readings) -> Iterator[Event]:
    if old.events is None or old.events.value is None or new.events is None or new.events.value is None:
        return
    known = {e.id for e in old.events.value.events}
    yield from (e for e in new.events.value.events if e.id not in known)


def _numbers(readings: Readings, now: datetime) -> tuple[float | None, float | None]:
    coverage, rto = live_coverage(readings, now), rto_now(readings)
    return (None if coverage is None else coverage.rpo_seconds), (None if rto is None else rto.seconds)


def _moved(old: float | None, new: float | None, target: float) -> bool:
    if old is None or new is None:
        return old is not new
    if (old > target) != (new > target):
        return True
    return abs(new - old) > max(_MOVED_SECONDS, _MOVED * old)


def _number(name: str, new: float | None, old: float | None, target: float) -> str:
    words = ["unknown" if n is None else duration(n) for n in (new, old)]
    held = "within" if new is None or new <= target else "over"
    return _sentence(f"{name} now {words[0]}, {held} its target of {duration(target)}, was {words[1]}")
