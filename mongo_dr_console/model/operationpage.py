"""What a look at operations found: those around a position, those on one document. Data alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mongo_dr_console.model.oplogentry import Operation
from mongo_dr_console.model.position import MAX_ORDINAL, Position

Way = Literal["before", "after"]
"""Those before a position, which is left out; or those after it, it included."""


@dataclass(frozen=True, slots=True)
class Found:
    """One operation that was found.

    Args:
        more: How many operations of the same entry come after it and are left out.
    """

    operation: Operation
    more: int = 0

    @property
    def key(self) -> str:
        """Tells it apart from all others of one oplog."""
        return f"{self.operation.position}/{self.operation.index}"


@dataclass(frozen=True, slots=True)
class OperationPage:
    """Operations next to a position, oldest first.

    Args:
        start, end: What was looked through, both ends included.
        ended: Whether the source has nothing further on that way.
        source: Where they were read.
        notes: What is missing, as sentences.
    """

    found: tuple[Found, ...]
    start: Position
    end: Position
    ended: bool
    source: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DocumentHistory:
    """The operations on one document, oldest first, commands on its collection among them.

    Args:
        start, end: What was looked through, both ends included.
        whole: Whether that is all that the source has.
        source: Where they were read.
        notes: What is missing, as sentences.
    """

    found: tuple[Found, ...]
    start: Position
    end: Position
    whole: bool
    source: str
    notes: tuple[str, ...] = ()

    @property
    def before(self) -> Position:
        """Up to where was not looked yet."""
        return just_before(self.start)

    def with_older(self, older: DocumentHistory) -> DocumentHistory:
        """The same with what was found further back."""
        return DocumentHistory(
            found=(*older.found, *self.found),
            start=min(older.start, self.start),
            end=self.end,
            whole=older.whole,
            source=", ".join(dict.fromkeys([*older.source.split(", "), *self.source.split(", ")])),
            notes=tuple(dict.fromkeys((*older.notes, *self.notes))),
        )


def just_before(position: Position) -> Position:
    """The last position there can be before this one."""
    if position.i:
        return Position(position.t, position.i - 1)
    return Position(max(position.t - 1, 0), MAX_ORDINAL)
