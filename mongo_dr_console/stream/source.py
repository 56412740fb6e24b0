"""What a source of oplog entries can do: the live oplog, a saved range, Kafka, segments."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from mongo_dr_console.model.position import Position, Span


class StreamSource(Protocol):
    """Raw oplog entries in order."""

    name: str

    def windows(self) -> list[Span]:
        """The ranges it can give, both ends included, in order, not touching each other."""
        ...

    def read(self, start: Position, end: Position) -> Iterator[bytes]:
        """Batches of whole raw entries with ``start <= ts <= end``, oldest first."""
        ...
