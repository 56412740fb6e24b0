"""A destructive operation, or a change of definitions, users and roles, found in the oplog."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from mongo_dr_console.model.position import Position

EventKind = Literal[
    "drop",
    "drop-database",
    "rename-over",
    "mass-delete",
    "mass-update",
    "coll-mod",
    "user-change",
    "role-change",
]
LOGINS: frozenset[EventKind] = frozenset({"user-change", "role-change"})
"""Changes of users and roles, which are merged and not replayed: nothing can be left out of them."""
MASSES: frozenset[EventKind] = frozenset({"mass-delete", "mass-update"})
"""Of many operations, which are counted."""
CHANGES: frozenset[EventKind] = LOGINS | {"coll-mod"}
"""Events that destroy no document: worth finding, and no alarm."""


ID_LENGTH = 8


def event_id(kind: str, namespace: str, first: Position) -> str:
    """Eight hex digits of SHA-256: the same in every scan that finds the event."""
    return hashlib.sha256(f"{kind}\0{namespace}\0{first}".encode()).hexdigest()[:ID_LENGTH]


class EventSelector(BaseModel):
    """Tells an event's own operations from those of others that were written at the same time.

    The range is ``first`` to ``last``, both included. For drops and renames every command of the range on
    these namespaces belongs to the event. For mass deletes and updates an operation belongs when it is of
    kind ``op`` on one of ``namespaces``, comes from the same writer (``session``: hex of the session's id;
    None for operations without one, as ``deleteMany`` and ``updateMany`` write them) and, for updates,
    touches the same fields (``fields``: the sorted paths of the diff).

    Args:
        first, last: The range, both ends included.
        op: The oplog's word for the kind of operation.
        namespaces: Where its operations are.
        session: The writer's, hex.
        fields: Paths of the diff, sorted.
    """

    model_config = ConfigDict(frozen=True)

    first: Position
    last: Position
    op: Literal["c", "i", "d", "u"]
    namespaces: tuple[str, ...]
    session: str | None = None
    fields: tuple[str, ...] = ()


class Event(BaseModel):
    """One event.

    Args:
        id: Tells it apart; can be given to ``--skip`` and as ``event:ID``.
        position: Its first entry's.
        last: Its last entry's.
        time: The first entry's second.
        operations: How many operations are its own.
        documents: Documents that it destroyed or changed; None where the oplog does not say.
        before: The newest entry before it: ``--through`` it and ``--before`` the event's position mean
            the same state.
        detail: More in words; may be empty.
        share: Which part of the collection that was, from 0 to 1; None where that is not known.
        selector: What tells its operations from others'.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    kind: EventKind
    position: Position
    last: Position
    time: datetime
    namespace: str
    operations: int
    documents: int | None
    before: Position | None
    detail: str = ""
    share: float | None = None
    selector: EventSelector
