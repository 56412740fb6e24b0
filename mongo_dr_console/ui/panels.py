"""What the dashboard's panels hold: lines at a width, in things that a cursor can stand on. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rich.cells import cell_len

from mongo_dr_console.model.panel import Panel, Row
from mongo_dr_console.model.verdict import Level
from mongo_dr_console.model.words import UNKNOWN
from mongo_dr_console.ui.glyphs import ROLE_OF_LEVEL
from mongo_dr_console.ui.lines import Line, Role, line, pad, plain, table, wrapped

NAMES = {
    1: ("set", "Replica set"),
    2: ("oplog", "Lag and oplog"),
    3: ("backups", "Backups"),
    4: ("coverage", "Restorable range"),
    5: ("events", "Events (UTC)"),
    6: ("jobs", "Jobs"),
}
"""Number = source and title; the digit keys are the numbers."""

HELP = {
    1: "Each member: its state, how far it is behind, whom it syncs from. Below: whether there is a "
    "majority, and since when a primary. One that does not answer keeps "
    "what was known of it, with ? and its age.",
    2: "How far each secondary was behind in the last minutes, on a scale that does not change, and how long "
    "the oplog reaches back: so long can a member that is down still catch up.",
    3: "The snapshots of all stores, the newest first: VERIFIED says how far one was read back, TESTED when "
    "it was last restored from. Enter opens one: its verification ladder, and what it holds.",
    4: "What can be restored to. Above what happened (▲ snapshot, ✗ event), below ═ covered and ░ gap; no "
    "zoom hides a gap. Then the gaps with their causes, and the stream with its lag.",
    5: "What happened, the newest first: destructive operations in the oplog, backups, members that went and "
    "came. Enter on an event opens the walk to a restore with it chosen, O the operations around it, E the "
    "events of days, also older than the live oplog.",
    6: "Backups, restores, drills and their like on this host, and the one of another host that has the "
    "deployment's lock. Enter opens one; leaving it never stops it.",
}
"""What each panel shows, for whoever asks with the focus on it."""

_DROPPED = {
    "set": ("VOTES", "SYNCS FROM", "HEARD"),
    "backups": ("DOCUMENTS", "SIZE", "STORE", "TESTED"),
    "coverage": ("BY", "LONG"),
    "events": (),
    "jobs": ("BY", "STARTED"),
}
"""Columns that a narrow panel goes without, the least needed first."""
_ONLY_FILLED = ("HEARD",)
"""Columns that are there only where something stands in them."""
_GAP = 2
_MARK = 2
_WIDEST = 24
"""Cells of a column that are reckoned with: a longer name is cut before a column goes."""


@dataclass(frozen=True, slots=True)
class Item:
    """One thing in a panel.

    Args:
        lines: How it looks.
        text: What is copied and what a filter looks at: whole, whatever the width.
        key: What it points to, as ``present`` says it; empty: nothing.
    """

    lines: tuple[Line, ...]
    text: str
    key: str = ""


@dataclass(frozen=True, slots=True)
class Body:
    """A panel without its frame.

    Args:
        head: Stays on top: why a source does not answer, names of columns, the range strip.
    """

    title: str
    level: Level
    head: tuple[Line, ...] = ()
    items: tuple[Item, ...] = ()


@dataclass(frozen=True, slots=True)
class Laid:
    """A body cut to a height, and the rows of it that the cursor stands on."""

    lines: tuple[Line, ...]
    cursor: range | None = None


def body_of(panel: Panel, number: int, width: int) -> Body:
    """A panel of ``present`` as lines: a table, sentences below it, and on top why it does not answer."""
    marked = stale_marked(panel)
    head = list(trouble_lines(panel, width))
    items: list[Item] = []
    if marked.rows:
        header, rows = narrowed(marked, width)
        lines = table(
            header, [(r.cells, _role(r.level), r.level.glyph if r.level else "") for r in rows], width, _GAP
        )
        if header:
            head.append(lines[0])
        body = lines[1:] if header else lines
        items = [
            Item((shown,), plain(row_text(whole)), whole.key)
            for shown, whole in zip(body, marked.rows, strict=True)
        ]
    items += [note_item(row, width) for row in notes_of(marked)]
    return Body(f"{number} {panel.title}", panel.level, tuple(head), tuple(items))


def notes_of(panel: Panel) -> tuple[Row, ...]:
    """The sentences below its rows; none while its source has told nothing: there is nothing to say of it."""
    return panel.notes if has_told(panel) else ()


def has_told(panel: Panel) -> bool:
    """Whether its source has told anything yet, also long ago."""
    return not (panel.trouble and panel.age == UNKNOWN)


def row_text(row: Row) -> str:
    """A row as it is copied: glyph and cells."""
    mark = "" if row.level is None else f"{row.level.glyph} "
    return mark + "  ".join(cell for cell in row.cells if cell)


def note_item(row: Row, width: int) -> Item:
    """A sentence below the table, in as many lines as it needs."""
    text = "  ".join(row.cells)
    if row.level is None or row.level is Level.FINE:
        return sentence("", "dim", text, width, row.key)
    return sentence(row.level.glyph, _role(row.level), text, width, row.key)


def sentence(sign: str, role: Role, text: str, width: int, key: str = "") -> Item:
    """A sign and a sentence beside it, in as many lines as it needs."""
    rows = wrapped(text, max(8, width - _MARK), role)
    lines = tuple(
        Line(((pad("" if number else sign, _MARK), role), *row.spans)) for number, row in enumerate(rows)
    )
    return Item(lines, plain(f"{sign} {text}".strip()), key)


def trouble_lines(panel: Panel, width: int) -> tuple[Line, ...]:
    """Why the source does not answer, which attempt, the next try: whole words, as many lines as needed."""
    if not panel.trouble:
        return ()
    if panel.stale:
        return sentence("✗", "critical", panel.trouble, width).lines
    return sentence("?", "unknown", panel.trouble, width).lines


def stale_marked(panel: Panel) -> Panel:
    """Every value of a source that does not answer marked ``?``: it was so, and may not be so now."""
    if not panel.stale or panel.source == "events":
        return panel
    rows = tuple(replace(row, cells=marked_cells(row.cells), level=Level.UNKNOWN) for row in panel.rows)
    notes = tuple(
        row if row.level in (Level.CRITICAL, Level.UNKNOWN) else replace(row, level=Level.UNKNOWN)
        for row in panel.notes
    )
    return replace(panel, rows=rows, notes=notes)


def marked_cells(cells: Sequence[str]) -> tuple[str, ...]:
    """All but the first, which says whose values they are.

    >>> marked_cells(("a:1", "PRIMARY", "-", "?", "?x"))
    ('a:1', '?PRIMARY', '-', '?', '?x')
    """
    return (*cells[:1], *(c if c in ("", "-") or c.startswith(UNKNOWN) else UNKNOWN + c for c in cells[1:]))


def narrowed(panel: Panel, width: int) -> tuple[tuple[str, ...], tuple[Row, ...]]:
    """Without the columns that there is no room for, and without those in which nothing stands."""
    if not panel.header:
        return (), panel.rows
    kept = list(range(len(panel.header)))
    marks = _MARK if any(r.level is not None for r in panel.rows) else 0
    grid = (panel.header, *(r.cells for r in panel.rows))
    natural = [min(_WIDEST, max(cell_len(plain(cells[i])) for cells in grid if i < len(cells))) for i in kept]
    empty = [panel.header[i] for i in kept if all(r.cells[i : i + 1] in (("-",), ()) for r in panel.rows)]
    wanted = _DROPPED.get(panel.source, ())
    for name in dict.fromkeys([*(n for n in wanted if n in empty), *empty, *wanted]):
        needed = sum(natural[i] for i in kept) + _GAP * (len(kept) - 1) + marks
        if name in panel.header and (needed > width or (name in empty and name in _ONLY_FILLED)):
            kept.remove(panel.header.index(name))
    header = tuple(panel.header[i] for i in kept)
    return header, tuple(
        replace(r, cells=tuple(r.cells[i] for i in kept if i < len(r.cells))) for r in panel.rows
    )


def filtered(body: Body, needle: str) -> Body:
    """Only what has the text in it, upper and lower case alike."""
    if not needle:
        return body
    wanted = needle.casefold()
    found = tuple(item for item in body.items if wanted in item.text.casefold())
    if not found:
        found = (Item((line(("  nothing here has ", "dim"), (f"“{needle}”", "strong")),), ""),)
    return replace(body, items=found)


def laid_out(body: Body, height: int, cursor: int | None, *, zoom: str = "z") -> Laid:
    """The body cut to a height so that the cursor's thing can be seen; what does not fit is counted.

    Args:
        zoom: The key that shows more; empty: nothing does.
    """
    head = body.head[: max(0, height - 1)] if body.items else body.head[:height]
    room = height - len(head)
    if sum(len(item.lines) for item in body.items) <= room:
        first, last = 0, len(body.items)
    else:
        first, last = _window(body.items, room - 1, cursor or 0)
    rows = list(head)
    here: range | None = None
    for number in range(first, last):
        lines = body.items[number].lines
        if number == cursor:
            here = range(len(rows), len(rows) + len(lines))
        rows += lines
    above, below = first, len(body.items) - last
    if above or below:
        del rows[max(0, height - 1) :]
        rows.append(_hidden(above, below, zoom))
    return Laid(tuple(rows[:height]), here)


def _window(items: Sequence[Item], room: int, cursor: int) -> tuple[int, int]:
    """Which of the things to show: from the first on, unless the cursor is further down."""
    cursor = min(max(0, cursor), len(items) - 1)
    first = 0
    while first < cursor and sum(len(i.lines) for i in items[first : cursor + 1]) > room:
        first += 1
    last, used = first, 0
    while last < len(items) and (used + len(items[last].lines) <= room or last == first):
        used += len(items[last].lines)
        last += 1
    return first, last


def _hidden(above: int, below: int, zoom: str) -> Line:
    counts = [f"{above} above"] if above else []
    if below:
        counts.append(f"{below} {'below' if above else 'more'}")
    return line((f"  … {', '.join(counts)}{f': {zoom}' if zoom else ''}", "dim"))


def _role(level: Level | None) -> Role:
    return "" if level is None else ROLE_OF_LEVEL[level]
