"""Holds: what nothing may prune, each with a reason. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mongo_dr_console.model.catalogue import SnapshotEntry, parse_time, utc
from mongo_dr_console.model.position import Position

ADDED, RELEASED = "mdr.hold-record", "mdr.hold-release"


@dataclass(frozen=True, slots=True)
class Hold:
    """Every position from ``start`` to ``end``, both included, stays restorable as far as it is now; with
    ``snapshot`` only that snapshot stays.

    Args:
        id: Eight hex digits.
        reason: Why, as somebody said.
        by: ``user@host`` of who said it.
    """

    id: str
    reason: str
    by: str
    at: datetime
    start: Position | None = None
    end: Position | None = None
    snapshot: str | None = None

    def overlaps(self, start: Position, end: Position) -> bool:
        """Whether anything between two positions, both included, is in its range."""
        return self.start is not None and self.end is not None and start <= self.end and self.start <= end

    def to_record(self) -> dict[str, Any]:
        """What the ledger keeps of it."""
        return {
            "schema": ADDED,
            "id": self.id,
            "reason": self.reason,
            "by": self.by,
            "at": utc(self.at),
            "start": None if self.start is None else str(self.start),
            "end": None if self.end is None else str(self.end),
            "snapshot": self.snapshot,
        }


def keeps(hold: Hold, entry: SnapshotEntry) -> bool:
    """Whether a snapshot is held itself: it is named, or its window touches the range."""
    if hold.snapshot is not None:
        return hold.snapshot == entry.name
    if entry.window is None:
        moment = Position(max(0, int(entry.taken_at.timestamp())), 0)
        return hold.overlaps(moment, moment)
    return hold.overlaps(entry.window.start, entry.window.end)


def release_record(hold: str, by: str, at: datetime) -> dict[str, Any]:
    """What the ledger keeps of a hold's end: documents of the ledger are never changed."""
    return {"schema": RELEASED, "id": hold, "by": by, "at": utc(at)}


def standing(documents: Iterable[Mapping[str, Any]]) -> list[Hold]:
    """The holds that a store's ledger tells of and that were not released, oldest first. A document that
    cannot be understood releases nothing."""
    documents = list(documents)
    released = {d.get("id") for d in documents if d.get("schema") == RELEASED}
    found = [_read(d) for d in documents if d.get("schema") == ADDED and d.get("id") not in released]
    return sorted((h for h in found if h is not None), key=lambda h: (h.at, h.id))


def _read(document: Mapping[str, Any]) -> Hold | None:
    at, name = parse_time(document.get("at")), document.get("id")
    if at is None or not isinstance(name, str):
        return None
    snapshot = document.get("snapshot")
    try:
        start, end = (Position.parse(str(document[k])) if document.get(k) else None for k in ("start", "end"))
    except ValueError:
        return None
    reason, by = str(document.get("reason", "")), str(document.get("by", ""))
    return Hold(name, reason, by, at, start, end, str(snapshot) if snapshot else None)
