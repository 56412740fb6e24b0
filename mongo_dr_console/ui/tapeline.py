"""The rows that say where a recording stands. Pure."""

from __future__ import annotations

from rich.cells import cell_len

from mongo_dr_console.model.words import clock
from mongo_dr_console.ui.glyphs import ROLE_OF_LEVEL
from mongo_dr_console.ui.lines import Line, fit, fitted, line, plain
from mongo_dr_console.ui.view import Tape, View

_LEAST_TEXT = 40


def tape_rows(view: View, width: int) -> list[Line]:
    """Time, reading, event and speed, and what happened last: beside it, or below where that has no room.
    None where this is no recording."""
    tape = view.tape
    if tape is None:
        return []
    forms = (_parts(tape, view, long=True), _parts(tape, view, long=False))
    texts = [f"   {', '.join(parts)}" for parts in forms]
    text = next((t for t in texts if cell_len(t) <= width), fit(texts[-1], width))
    first = fitted(line((text, "strong")), width)
    if tape.mark is None:
        return [first]
    said, room = plain(tape.mark.text), width - cell_len(text) - 4
    mark = (f"{tape.mark.level.glyph} ", ROLE_OF_LEVEL[tape.mark.level])
    if room >= min(cell_len(said), _LEAST_TEXT):
        return [line((f"{text}  ", "strong"), mark, fit(said, room))]
    return [first, fitted(line("   ", mark, fit(said, width - 5)), width)]


def tape_number(view: View) -> str:
    """The same in the fewest cells, for a screen without that row; empty where this is no recording."""
    tape = view.tape
    return "" if tape is None else f" {tape.position.number}/{tape.position.count}"


def _parts(tape: Tape, view: View, *, long: bool) -> list[str]:
    position = tape.position
    where = f"{view.now:%Y-%m-%d} {clock(view.now)}"
    parts = [f"{where} of {clock(position.ends_at)}" if long else where]
    parts.append(f"reading {position.number} of {position.count}")
    if tape.marks is not None:
        parts.append(f"event {tape.marks[0]} of {tape.marks[1]}")
    parts.append(f"{position.speed:g}x")
    if view.paused:
        parts.append("paused")
    elif position.number == position.count:
        parts.append("at its end")
    return parts
