"""Holds as rows to choose from. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from mongo_dr_console.model.hold import Hold
from mongo_dr_console.model.pruneview import HOLDS_DO_NOT_REACH
from mongo_dr_console.model.trouble import Trouble
from mongo_dr_console.model.words import duration, moment
from mongo_dr_console.ui.jobpages import rule
from mongo_dr_console.ui.lines import Line, line, table, wrapped
from mongo_dr_console.ui.widgets.row_list import RowItem

_HEADER = ("ID", "KEEPS", "REASON", "BY", "SINCE")


def hold_items(holds: Sequence[Hold], now: datetime, width: int) -> tuple[list[RowItem], list[Line]]:
    """Rows to choose from, and their header."""
    if not holds:
        return [], []
    rows = [((h.id, keeps_text(h, short=True), h.reason, h.by, f"{_age(h, now)}"), "", "") for h in holds]
    header, *lines = table(_HEADER, rows, width)  # type: ignore[arg-type]
    return [RowItem(h.id, row) for h, row in zip(holds, lines, strict=True)], [header]


def holds_head(
    holds: Sequence[Hold], unread: Mapping[str, Trouble], stores: Sequence[str], width: int
) -> list[Line]:
    """How many there are, and in which stores they were looked for."""
    rows = [rule(f"Holds: {len(holds)}", width)]
    asked = [name for name in stores if name not in unread]
    if asked:
        rows += wrapped(
            f"In {', '.join(asked)}. What is held is not pruned until it is released.", width, "dim"
        )
    for name, trouble in unread.items():
        rows += wrapped(f"? Store {name} was not asked: {trouble.message}", width, "unknown", "  ")
    if not holds:
        rows.append(line("Nothing is held." if asked else "Nothing is known."))
    return rows


def chosen_hold(hold: Hold | None, now: datetime, width: int) -> list[Line]:
    """All of the hold under the cursor, since its row may be cut."""
    if hold is None:
        return []
    return [
        rule(f"Hold {hold.id}", width),
        *wrapped(f"keeps {keeps_text(hold)}", width),
        *wrapped(f"reason: {hold.reason}", width),
        *wrapped(f"by {hold.by} at {moment(hold.at)}, {_age(hold, now)} ago", width, "dim"),
        *wrapped(HOLDS_DO_NOT_REACH, width, "dim"),
    ]


def keeps_text(hold: Hold, *, short: bool = False) -> str:
    """What it keeps, in words."""
    if hold.snapshot is not None:
        return f"snapshot {hold.snapshot}"
    if hold.start is None or hold.end is None:
        return "?"
    if short:
        return f"{moment(hold.start.time)} to {moment(hold.end.time)}"
    return (
        f"every position from {hold.start} ({moment(hold.start.time)}) to {hold.end} "
        f"({moment(hold.end.time)})"
    )


def _age(hold: Hold, now: datetime) -> str:
    return duration(max(0.0, (now - hold.at).total_seconds()))


def release_lines(hold: Hold, width: int) -> list[Line]:
    """What is asked before one is released."""
    after = "What it kept goes with the next prune that finds it too old."
    return [
        *wrapped(f"It keeps {keeps_text(hold)}: {hold.reason}", width),
        *wrapped(f"By {hold.by} at {moment(hold.at)}.", width, "dim"),
        *wrapped(after, width, "strong"),
    ]
