"""The rows of a small terminal that say how the panels are that it has no room for. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from mongo_dr_console.model.jobfacts import RUNNING
from mongo_dr_console.model.panel import Panel
from mongo_dr_console.model.readings import all_jobs, live_coverage
from mongo_dr_console.model.verdict import Level
from mongo_dr_console.model.words import UNKNOWN, duration
from mongo_dr_console.ui.glyphs import ROLE_OF_LEVEL
from mongo_dr_console.ui.lines import Line, Role, line, pad
from mongo_dr_console.ui.panels import NAMES
from mongo_dr_console.ui.view import View


def tab_word(number: int, view: View) -> str:
    """One word that says how a panel is."""
    return {1: _set_word, 2: _lag_word, 3: _backup_word, 4: _range_word}[number](view)


def _set_word(view: View) -> str:
    status = None if view.readings.set is None else view.readings.set.value
    return UNKNOWN if status is None else f"{sum(m.up for m in status.members)}/{len(status.members)} up"


def _lag_word(view: View) -> str:
    status = None if view.readings.set is None else view.readings.set.value
    behind = None if status is None else status.worst_lag
    return UNKNOWN if behind is None else _single(behind.lag_seconds or 0.0)


def _backup_word(view: View) -> str:
    backups = view.readings.backups
    if backups is None or backups.value is None:
        return UNKNOWN
    newest = backups.value.newest
    return "none" if newest is None else _single(newest.age_seconds(view.now))


def _range_word(view: View) -> str:
    coverage = live_coverage(view.readings, view.now)
    if coverage is None:
        return UNKNOWN
    if coverage.latest is None:
        return "none"
    gaps = len(coverage.gaps)
    return f"{gaps} gap{'' if gaps == 1 else 's'}" if gaps else "whole"


def _single(seconds: float) -> str:
    """An age to its larger unit, which is all that a tab has room for.

    >>> [_single(s) for s in (40, 8220, 93784)]
    ['40s', '2h', '1d']
    """
    text = duration(round(seconds))
    for at, character in enumerate(text):
        if character.isalpha():
            return text[: at + 1]
    return text


TABS = {1: "Set", 2: "Lag", 3: "Backup", 4: "Range"}


def tab_line(view: View, levels: Mapping[int, Level], chosen: int, width: int) -> Line:
    """Panels 1 to 4 in one row: glyph, number, name and a word each; ``▶`` at the chosen one."""
    stale = _stale_tabs(view)
    cells = {n: f"{n} {name} {'?' if n in stale else ''}{tab_word(n, view)}" for n, name in TABS.items()}
    room = max(1, width // len(TABS))
    parts: list[tuple[str, Role]] = []
    for number, text in cells.items():
        level = levels.get(number, Level.UNKNOWN)
        here = number == chosen
        parts.append(("▶" if here else " ", "focus"))
        parts.append((f"{level.glyph} ", ROLE_OF_LEVEL[level]))
        parts.append((pad(text.replace("??", "?"), room - 3), "focus" if here else ""))
    return line(*parts)


def _stale_tabs(view: View) -> set[int]:
    readings = view.readings
    by_number = {1: readings.set, 2: readings.set, 3: readings.backups, 4: readings.coverage}
    return {n for n, reading in by_number.items() if reading is not None and reading.stale}


def lower_hint(number: int, view: View, panels: Mapping[str, Panel]) -> Line:
    """In a small terminal: what the lower panel that is not shown has to say."""
    other = {5: 6, 6: 5}.get(number)
    if other is None:
        return Line()
    if other == 6:
        running = sum(job.state == RUNNING for job in all_jobs(view.readings))
        text = f"6 Jobs: {running} running" if running else "6 Jobs"
    else:
        text = "5 Events"
    panel = panels.get(NAMES[other][0])
    level = "" if panel is None or panel.level is Level.FINE else f" {panel.level.glyph}"
    return line((f"{text}{level}", "key"), "  ")
