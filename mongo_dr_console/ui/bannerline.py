"""The dashboard's first rows: where am I, may I do harm, what would be lost, what is worst. Pure.

Each row has forms from long to short; the longest that fits is shown, so that no word is ever cut that
matters.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import fields
from datetime import datetime, timedelta

from rich.cells import cell_len

from mongo_dr_console.model.present import numbers_line
from mongo_dr_console.model.readings import ALERTS, FAILOVER, KAFKA, Readings, live_coverage, rto_now
from mongo_dr_console.model.verdict import Fact, Level
from mongo_dr_console.model.words import clock, duration
from mongo_dr_console.ui.answers import Answer
from mongo_dr_console.ui.glyphs import ROLE_OF_LEVEL
from mongo_dr_console.ui.lines import Line, Role, Span, fit, fitted, line, plain, wrapped
from mongo_dr_console.ui.view import View
from mongo_dr_console.ui.widgets.status_line import armed_text, level_word

# What this host's agent says of itself is no source of the deployment.
_NO_SOURCES = ("profile", "environment", "stores", "stream", ALERTS, FAILOVER, KAFKA)
_LONGEST_NAME, _SHORT_NAME, _SHORTEST_NAME = 24, 14, 8
_VERDICT_ROWS = 2
_FROM_WHERE = re.compile(r", from [^(]*(?= \()")


def banner(
    view: View, width: int, *, stores: int = 0, host: str = "", local: timedelta | None = None
) -> Line:
    """The first row, exactly so wide.

    Args:
        stores: How many stores the profile has: one that has not answered yet counts too.
        host: The host that this console runs on; given up first.
        local: The local time's offset; None: UTC only.
    """
    role: Role = "banner" if view.armed_seconds is None else "armed"
    status = None if view.readings.set is None else view.readings.set.value
    live, known = sources_live(view.readings, stores)
    access = view.access_word
    harm = [access, *([armed_text(view.armed_seconds)] if view.armed_seconds is not None else [])]
    paused = ["PAUSED"] if view.paused else []
    times = [clock(view.now), f"{clock(view.now)} ({local_clock(view.now, local)})"]
    count = f"{live} of {known} sources live"
    forms = [
        [*harm, times[1], count, *paused, *([host] if host else [])],
        [*harm, times[1], count, *paused],
        [*harm, times[1], f"{live}/{known} live", *paused],
        [*harm, times[0], f"{live}/{known} live", *paused],
        [*harm, times[0], *paused],
        [*harm, *paused],
    ]
    names = plain(view.readings.environment.upper()), plain("?" if status is None else status.set_name or "?")
    environment, members, tail = _named(names, [_barred(form) for form in forms], width)
    row = line((f" {environment} ", "environment"), (f" {members}{tail} ", role))
    kept = fitted(row, width)
    return Line((*kept.spans, (" " * max(0, width - kept.width), role)))


def _named(names: tuple[str, str], tails: Sequence[str], width: int) -> tuple[str, str, str]:
    """Names and what follows them: long names give way to the clock, and everything else to access."""
    for longest, few in (
        (_LONGEST_NAME, tails[:-2]),
        (_SHORT_NAME, tails[2:-1]),
        (_SHORTEST_NAME, tails[-1:]),
    ):
        environment, members = fit(names[0], longest), fit(names[1], longest)
        taken = cell_len(environment) + cell_len(members) + 4
        for tail in few:
            if taken + cell_len(tail) <= width:
                return environment, members, tail
    return fit(names[0], _SHORTEST_NAME), "", tails[-1]


def _barred(parts: Iterable[str]) -> str:
    return "".join(f" │ {part}" for part in parts)


def local_clock(now: datetime, offset: timedelta | None) -> str:
    """The local time with its offset, as an engineer elsewhere needs it.

    >>> from datetime import UTC
    >>> local_clock(datetime(2026, 11, 22, 2, 17, 43, tzinfo=UTC), timedelta(hours=5, minutes=30))
    '07:47 +05:30'
    >>> local_clock(datetime(2026, 11, 22, 2, 17, 43, tzinfo=UTC), timedelta(hours=-3))
    '23:17 -03'
    """
    shift = offset or timedelta()
    minutes = int(shift.total_seconds()) // 60
    sign, size = ("-", -minutes) if minutes < 0 else ("+", minutes)
    rest = f":{size % 60:02d}" if size % 60 else ""
    return f"{now + shift:%H:%M} {sign}{size // 60:02d}{rest}"


def sources_live(readings: Readings, stores: int = 0) -> tuple[int, int]:
    """How many sources answered at their newest try, of how many."""
    single = [getattr(readings, f.name) for f in fields(readings) if f.name not in _NO_SOURCES]
    topic = [] if readings.kafka is None else [readings.kafka]  # not every profile has one
    every = [*single, *topic, *readings.stores.values()]
    missing = max(0, stores - len(readings.stores))
    return sum(1 for r in every if r is not None and not r.stale), len(every) + missing


def numbers(view: View, width: int) -> Line:
    """The second row: RPO now, RPO undo, RTO now with targets and age, with glyph and word where not fine."""
    row = numbers_line(view.readings, view.limits, view.now)
    level = row.level or Level.UNKNOWN
    coverage = live_coverage(view.readings, view.now)
    rto = rto_now(view.readings)
    rpo = duration(None if coverage is None else coverage.rpo_seconds)
    undo = duration(None if coverage is None else coverage.rpo_undo_seconds)
    about = "?" if rto is None else f"~{duration(rto.seconds)}"
    spread = "" if rto is None else f" ({duration(rto.low)} to {duration(rto.high)})"
    targets = duration(view.limits.rpo), duration(view.limits.rto)
    rpo_now, rto_text = f"RPO now {rpo} (target {targets[0]})", f"RTO now {about}"
    goal, age = f" (target {targets[1]})", row.cells[-1]
    forms: list[tuple[str, ...]] = [
        (rpo_now, f"RPO undo {undo}", f"{rto_text}{spread}{goal}", age),
        (rpo_now, f"RPO undo {undo}", f"{rto_text}{goal}", age),
        (f"RPO now {rpo}/{targets[0]}", f"undo {undo}", f"{rto_text}/{targets[1]}", age),
        (f"RPO now {rpo}/{targets[0]}", f"{rto_text}/{targets[1]}"),
        (f"RPO now {rpo}", rto_text),
    ]
    mark = f" {level.glyph} "
    texts = [mark + " │ ".join(form) for form in forms]
    chosen = next((n for n, text in enumerate(texts) if cell_len(text) <= width), len(forms) - 1)
    spans: list[Span] = [(mark, ROLE_OF_LEVEL[level])]
    for number, cell in enumerate(forms[chosen]):
        if number:
            spans.append((" │ ", "border"))
        spans.append((cell, "dim" if cell == age else "strong"))
    return fitted(line(*spans), width)


def verdict_rows(
    view: View, width: int, *, most: int = _VERDICT_ROWS, answer: Answer | None = None, all_facts: str = "v"
) -> list[Line]:
    """What stands first (in more than one row where it is long), then what can be got back.

    Args:
        answer: The key that answers what stands first; shown where there is room.
        all_facts: The key that shows what else there is.
    """
    level = view.verdict.level
    role = ROLE_OF_LEVEL[level]
    mark = f" {level.glyph} {level_word(level)}  "
    rows = wrapped(view.verdict.text, max(8, width - cell_len(mark) - 1), role)
    if len(rows) > most:
        rest = " ".join(row.text for row in rows[most - 1 :])
        rows = [*rows[: most - 1], line((fit(rest, width - cell_len(mark) - 1), role))]
    indent = " " * cell_len(mark)
    shown = [Line((((mark if not number else indent), role), *row.spans)) for number, row in enumerate(rows)]
    return [*(fitted(row, width) for row in shown), _consequence(view, width, answer, all_facts)]


def _consequence(view: View, width: int, answer: Answer | None, all_facts: str) -> Line:
    more = len(further(view.verdict.facts))
    count = f"+{more} more: {all_facts} " if more else ""
    hints = [f"{answer.key} {answer.does}  {count or ' '}"] if answer is not None else []
    *forms, last = _shorter(view)
    shortest = min(cell_len(text) for text in forms)
    whole = next((h for h in hints if shortest <= width - cell_len(h) - 4), count)
    hint = line((whole, "key")) if whole else Line()
    room = width - hint.width - 4
    text = next((t for t in (*forms, last) if cell_len(t) <= room), "") or fit(last, room)
    blank = " " * max(1, width - 3 - cell_len(text) - hint.width)
    return Line((*line("   ", (text, "strong")).spans, (blank, ""), *hint.spans))


def _shorter(view: View) -> Sequence[str]:
    """The consequence from its full form to its shortest: today's date says nothing that is not known."""
    whole = view.verdict.consequence
    today = whole.replace(f"{view.now:%Y-%m-%d}T", "")
    short = _FROM_WHERE.sub("", today)
    return whole, today, short, short.replace("Newest restore point", "Restorable to")


def further(facts: Iterable[Fact]) -> list[Fact]:
    """What is not fine besides the worst."""
    return [f for f in facts if f.level is not Level.FINE][1:]
