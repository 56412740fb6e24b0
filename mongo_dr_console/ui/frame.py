"""A panel's frame, drawn as lines: title, level and age in its upper edge, what it holds inside. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from mongo_dr_console.ui.lines import Line, Role, Span, fitted, with_role

SIDES = 4
"""Cells that the frame takes of a row: both edges, the cursor's column, and a blank."""


def framed(
    title: Line,
    right: Line,
    body: Sequence[Line],
    width: int,
    height: int,
    *,
    focused: bool = False,
    cursor: range | None = None,
) -> list[Line]:
    """Lines with a frame around them, exactly so wide and high.

    Args:
        title: Stands at the left of the upper edge; gives way to ``right``.
        right: Stands at the right of the upper edge.
        focused: Drawn so that it can be told without colours: ``▶`` before the title.
        cursor: Rows of the body that the cursor stands on.

    >>> from mongo_dr_console.ui.lines import line
    >>> for row in framed(line("1 Set"), line("age 1s"), [line("a")], 20, 3, focused=True, cursor=range(1)):
    ...     print(row.text)
    ┌▶ 1 Set ─ age 1s ─┐
    │▶a                │
    └──────────────────┘
    """
    if width < SIDES + 1 or height < 2:
        return [fitted(row, max(0, width), fill=True) for row in body[:height]]
    edge: Role = "focus" if focused else "border"
    room = width - SIDES
    rows = [_upper(title, right, width, edge, "▶" if focused else "─")]
    for number in range(height - 2):
        here = focused and cursor is not None and number in cursor
        inner = fitted(body[number] if number < len(body) else Line(), room, fill=True)
        if here:
            inner = with_role(inner, "cursor")
        mark: Span = ("▶", "focus") if here and cursor is not None and number == cursor.start else (" ", "")
        rows.append(_row((("│", edge), mark, *inner.spans, (" │", edge))))
    rows.append(Line((("└" + "─" * (width - 2) + "┘", edge),)))
    return rows


def _upper(title: Line, right: Line, width: int, edge: Role, lead: str) -> Line:
    tail = right.width + 2 if right.spans else 0
    kept = fitted(title, max(0, width - 5 - tail))
    line = width - 5 - kept.width - tail
    closing: tuple[Span, ...] = ((" ", ""), *right.spans, (" ", "")) if right.spans and line >= 0 else ()
    used = kept.width + (tail if closing else 0)
    spans: tuple[Span, ...] = (
        (f"┌{lead}", edge),
        (" ", ""),
        *kept.spans,
        (" ", ""),
        ("─" * max(0, width - 6 - used), edge),
        *closing,
        ("─┐", edge),
    )
    return fitted(_row(spans), width)


def _row(spans: Sequence[tuple[str, Role]]) -> Line:
    return Line(tuple((text, role) for text, role in spans if text))
