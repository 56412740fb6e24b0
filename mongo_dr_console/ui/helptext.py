"""What help says: keys by group, what the console costs, where things lie. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from itertools import zip_longest

from mongo_dr_console.model.reading import Reading
from mongo_dr_console.model.readings import Readings
from mongo_dr_console.model.words import duration
from mongo_dr_console.ui.lines import Line, Role, line, pad, table, wrapped
from mongo_dr_console.ui.offers import Offer

_KEYS, _NAME = 12, 21


def offer_groups(offers: Iterable[Offer], width: int) -> list[Line]:
    """Keys, names and sentences under the headings of their groups; what cannot be done says why."""
    groups: dict[str, list[Offer]] = {}
    for offer in offers:
        if offer.keys or " " not in offer.name:
            groups.setdefault(offer.group, []).append(offer)
    lines: list[Line] = []
    for group, members in groups.items():
        lines += [Line(), line((group, "title"))]
        for alike in _alike(members):
            lines += _offer(alike, width)
    return lines


def cost_lines(readings: Readings, now: datetime, width: int) -> list[Line]:
    """How often each source is asked, how long the last answer took, which attempt."""
    asked = list(sources(readings))
    rows: list[tuple[Sequence[str], str]] = []
    a_minute = 0.0
    for reading in asked:
        seconds = interval(reading)
        a_minute += 60 / seconds if seconds else 0
        every = "?" if seconds is None else duration(max(0.1, seconds))
        took = f"{reading.took.total_seconds() * 1000:.0f} ms"
        ago = duration(max(0.0, (now - reading.tried_at).total_seconds()))
        state = f"attempt {reading.attempt}" if reading.stale else "answers"
        rows.append(((reading.source, every, took, f"{ago} ago", state, reading.origin), ""))
    lines = [Line(), line(("What the console costs", "title"))]
    if not rows:
        return [*lines, line("No source has answered yet.")]
    header = ("SOURCE", "EVERY", "TOOK", "ASKED", "STATE", "WHERE")
    lines += table(header, [(cells, "", "") for cells, _ in rows], width)
    count = len(rows)
    told = f"{a_minute:.0f} questions a minute to {count} source{'s' if count != 1 else ''}, "
    return [*lines, *wrapped(f"{told}one at a time each; space stops them.", width, "dim")]


def place_lines(places: Mapping[str, str], width: int) -> list[Line]:
    """Where things lie, a row each; long ones on rows of their own."""
    lines = [Line(), line(("This console", "title"))]
    for name, value in places.items():
        first, *more = wrapped(value, width - 12)
        lines.append(line(pad(name, 10), "  ", first.text))
        lines += [line(" " * 12, part.text) for part in more]
    return lines


def sources(readings: Readings) -> Iterable[Reading[object]]:
    """Every reading that there is, the stores' among them."""
    for field in fields(readings):
        value = getattr(readings, field.name)
        if isinstance(value, Reading):
            yield value
        elif isinstance(value, Mapping):
            yield from (part for part in value.values() if isinstance(part, Reading))


def interval(reading: Reading[object]) -> float | None:
    """Seconds from one try to the next; None where it is not asked again."""
    if reading.next_try is None:
        return None
    return max(0.1, (reading.next_try - reading.tried_at + reading.took).total_seconds())


def _alike(members: Iterable[Offer]) -> list[list[Offer]]:
    """Those that do the same are told in one go: the digits of the panels, the keys of a cursor."""
    found: dict[tuple[str, str], list[Offer]] = {}
    for offer in members:
        found.setdefault((offer.text, offer.refusal), []).append(offer)
    return list(found.values())


def _offer(alike: Sequence[Offer], width: int) -> list[Line]:
    """Keys, names and the sentence as three columns, each folded in its own."""
    offer = alike[0]
    said = offer.text if not offer.refusal else f"{offer.text} Not now: {offer.refusal}"
    keys = wrapped(" ".join(o.keys for o in alike), _KEYS)
    names = wrapped(offer.name if len(alike) == 1 else f"{offer.name} …", _NAME)
    texts = wrapped(said, width - _KEYS - _NAME - 4)
    role: Role = "dim" if offer.refusal else ""
    return [
        line((pad(key.text, _KEYS), "key"), "  ", (pad(name.text, _NAME), "dim"), "  ", (text.text, role))
        for key, name, text in zip_longest(keys, names, texts, fillvalue=Line())
    ]
