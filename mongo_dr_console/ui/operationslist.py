"""Operations as rows to choose from, and one of them whole. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len

from mongo_dr_console.model.operationpage import Found
from mongo_dr_console.model.operationtext import (
    change_text,
    extended_json,
    identity_text,
    operation_word,
    subject,
)
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.words import clock, moment
from mongo_dr_console.ui.jobpages import rule
from mongo_dr_console.ui.lines import Line, fit, fitted, line, plain, shrunk, table, wrapped
from mongo_dr_console.ui.widgets.row_list import RowItem

_WIDE = 100
_FIXED, _GAP = 3, 2
_HEADER = ("TIME", "POSITION", "OPERATION", "NAMESPACE", "_ID", "CHANGE")
HIDDEN = "values are hidden"


def operation_items(
    found: Sequence[Found], place: Position | None, width: int, *, redacted: bool
) -> tuple[list[RowItem], list[Line]]:
    """Rows to choose from, and their header.

    Args:
        place: Where a row of its own says that this is the position; None: nowhere.
    """
    if not found:
        return [], []
    rows = [
        (cells, "", "") for cells in _narrowed([_cells(f, width, redacted=redacted) for f in found], width)
    ]
    header, *lines = table(_HEADER, rows, width)  # type: ignore[arg-type]
    items: list[RowItem] = []
    marked = place is None
    for one, row in zip(found, lines, strict=True):
        if not marked and place is not None and one.operation.position >= place:
            items.append(RowItem("", _place(place, width)))
            marked = True
        items.append(RowItem(one.key, row))
        if one.more:
            items.append(RowItem("", line((f"  and {one.more:,} more of the same entry", "dim"))))
    if not marked and place is not None:
        items.append(RowItem("", _place(place, width)))
    return items, [header]


def _narrowed(rows: Sequence[tuple[str, ...]], width: int) -> list[tuple[str, ...]]:
    """Namespace, ``_id`` and change give way, never the position."""
    widths = [max(cell_len(plain(row[n])) for row in (_HEADER, *rows)) for n in range(len(_HEADER))]
    room = width - sum(widths[:_FIXED]) - _GAP * (len(_HEADER) - 1)
    kept = [*widths[:_FIXED], *shrunk(widths[_FIXED:], room)]
    return [tuple(fit(plain(cell), size) for cell, size in zip(row, kept, strict=True)) for row in rows]


def _place(place: Position, width: int) -> Line:
    text = f"── {moment(place.time)}  position {place} "
    return fitted(line((text + "─" * max(0, width - len(text)), "title")), width)


def _cells(one: Found, width: int, *, redacted: bool) -> tuple[str, ...]:
    operation = one.operation
    time = operation.position.time
    word = operation_word(operation)
    return (
        moment(time) if width >= _WIDE else clock(time),
        str(operation.position),
        f"txn {word}" if operation.transaction else word,
        subject(operation),
        identity_text(operation, redacted=redacted),
        change_text(operation, redacted=redacted),
    )


def whole_operation(one: Found, width: int, *, redacted: bool) -> list[Line]:
    """One operation with all that it says, its document as Extended JSON."""
    operation = one.operation
    within = ", in a transaction: its commit's position" if operation.transaction else ""
    rows = [
        rule(f"{operation_word(operation)} {plain(subject(operation))}", width),
        *wrapped(
            f"{moment(operation.position.time)}  position {operation.position}{within}", width, "strong"
        ),
    ]
    if redacted:
        rows += wrapped(HIDDEN, width, "dim")
    rows.append(Line())
    for text in extended_json(operation, redacted=redacted):
        rows += _folded(text, width)
    return rows


def _folded(text: str, width: int) -> list[Line]:
    """A line of JSON, its blanks kept, cut into as many rows as it needs."""
    shown = plain(text)
    return [line(shown[at : at + width]) for at in range(0, len(shown), width)] or [Line()]
