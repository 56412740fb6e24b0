"""Lines of text with roles: what every part of the console draws. Pure; text is data and never markup.

A role says what a span means (``critical``, ``dim``, ``key``); the theme decides how that looks, and the text
itself must say it too, since colour alone says nothing to some.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from rich.cells import cell_len, get_character_cell_size

from mongo_dr_console.model.foldtext import clean

Role = Literal[
    "",
    "fine",
    "warning",
    "critical",
    "unknown",
    "info",
    "dim",
    "strong",
    "title",
    "border",
    "focus",
    "key",
    "cursor",
    "banner",
    "armed",
    "environment",
]
ROLES: tuple[str, ...] = get_args(Role)

Span = tuple[str, Role]
ELLIPSIS = "…"


@dataclass(frozen=True, slots=True)
class Line:
    """One row: spans of text with their roles. The text holds no control characters."""

    spans: tuple[Span, ...] = ()

    @property
    def text(self) -> str:
        return "".join(text for text, _ in self.spans)

    @property
    def width(self) -> int:
        """In terminal cells."""
        return cell_len(self.text)


def line(*parts: str | Span) -> Line:
    """A line of parts, made harmless: newlines and other control characters are shown, not obeyed.

    >>> line("a", ("b", "dim")).spans
    (('a', ''), ('b', 'dim'))
    """
    spans: list[Span] = [(p, "") if isinstance(p, str) else p for p in parts]
    return Line(tuple((plain(text), role) for text, role in spans if text))


def plain(text: str) -> str:
    r"""Text of others as one line.

    >>> plain("a\nb\x1b[1m")
    'a\\nb\\x1b[1m'
    """
    return clean(text).replace("\n", "\\n").replace("\t", "\\t")


def fit(text: str, width: int) -> str:
    """Cut to so many cells, with an ellipsis where something is missing.

    >>> fit("restorable", 6), fit("日本語", 4), fit("abc", 3)
    ('resto…', '日…', 'abc')
    """
    if cell_len(text) <= width:
        return text
    if width <= 0:
        return ""
    kept, used = [], 0
    for character in text:
        size = get_character_cell_size(character)
        if used + size > width - 1:
            break
        kept.append(character)
        used += size
    return "".join(kept) + ELLIPSIS


def pad(text: str, width: int) -> str:
    """Exactly so many cells: cut or filled up with blanks.

    >>> pad("ab", 4), pad("日本語", 4)
    ('ab  ', '日… ')
    """
    text = fit(text, width)
    return text + " " * (width - cell_len(text))


def fitted(whole: Line, width: int, *, fill: bool = False) -> Line:
    """The line cut to a width; with ``fill`` exactly that wide."""
    spans: list[Span] = []
    left = width
    for number, (text, role) in enumerate(whole.spans):
        rest = sum(cell_len(t) for t, _ in whole.spans[number + 1 :])
        size = cell_len(text)
        if size > left or (size == left and rest):
            cut = fit(text, left) if size > left else fit(text + " ", left)
            spans.append((cut, role))
            left -= cell_len(cut)
            break
        spans.append((text, role))
        left -= size
    if fill and left > 0:
        spans.append((" " * left, ""))
    return Line(tuple(spans))


def with_role(whole: Line, role: Role) -> Line:
    """The same text in one role: the row under the cursor."""
    return Line(((whole.text, role),)) if whole.spans else whole


def joined(left: Line, right: Line, width: int) -> Line:
    """One at the left, the other at the right edge; the left one gives way."""
    room = max(0, width - right.width - 1)
    kept = fitted(left, room)
    return Line((*kept.spans, (" " * max(1, width - kept.width - right.width), ""), *right.spans))


def wrapped(text: str, width: int, role: Role = "", indent: str = "") -> list[Line]:
    """A sentence as lines that fit, whole words where they fit; what follows the first line is indented.

    >>> [row.text for row in wrapped("the oplog is gone", 9)]
    ['the oplog', 'is gone']
    >>> [row.text for row in wrapped("日本語です x", 6)]
    ['日本語', 'です x']
    """
    room = max(4, width)
    indent = indent if cell_len(indent) < room // 2 else ""
    rows: list[str] = []
    row = ""
    for word in plain(text).split():
        grown = f"{row} {word}" if row.strip() else f"{row}{word}"
        if cell_len(grown) <= room:
            row = grown
            continue
        if row.strip():
            rows.append(row)
        row = f"{indent}{word}" if rows else word
        while cell_len(row) > room:
            head = _head(row, room)
            rows.append(head)
            row = indent + row[len(head) :]
    return [Line(((part, role),)) for part in (*rows, row) if part.strip()] or [Line()]


def _head(text: str, room: int) -> str:
    """As much of a long word as fits."""
    used = 0
    for at, character in enumerate(text):
        used += get_character_cell_size(character)
        if used > room:
            return text[: max(1, at)]
    return text


def table(
    header: Sequence[str], rows: Iterable[tuple[Sequence[str], Role, str]], width: int, gap: int = 2
) -> list[Line]:
    """Columns as wide as their content; where that is too much, the widest give way.

    Args:
        header: Names of the columns; empty for none.
        rows: Cells, the role of the row's mark, and the mark itself (a glyph; may be empty).
    """
    body = [([plain(c) for c in cells], role, mark) for cells, role, mark in rows]
    grid = [list(header)] * bool(header) + [cells for cells, _, _ in body]
    if not grid:
        return []
    marked = any(mark for _, _, mark in body)
    columns = max(len(cells) for cells in grid)
    widths = [max((cell_len(c[i]) for c in grid if i < len(c)), default=0) for i in range(columns)]
    room = width - (2 if marked else 0) - gap * (columns - 1)
    widths = shrunk(widths, room)
    lines = []
    if header:
        lines.append(Line(((_cells([plain(h) for h in header], widths, gap, marked), "dim"),)))
    for cells, role, mark in body:
        text = _cells(cells, widths, gap, marked=False)
        spans: tuple[Span, ...] = ((pad(mark, 2), role), (text, "")) if marked else ((text, role),)
        lines.append(Line(spans))
    return lines


def shrunk(widths: Sequence[int], room: int) -> list[int]:
    """Widths that fit into a room: the widest columns give way first, none below four cells.

    >>> shrunk([10, 30, 5], 30)
    [10, 15, 5]
    """
    result = list(widths)
    while sum(result) > room:
        widest = max(range(len(result)), key=result.__getitem__)
        if result[widest] <= 4:
            break
        result[widest] -= 1
    return result


def _cells(cells: Sequence[str], widths: Sequence[int], gap: int, marked: bool) -> str:
    text = (" " * gap).join(pad(c, w) for c, w in zip(cells, widths, strict=False))
    return ("  " if marked else "") + text.rstrip()
