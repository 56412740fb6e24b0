"""What keeps oplog outside the deployment: segments in a store, a Kafka topic."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from mongo_dr_console.model.coverage import Damage
from mongo_dr_console.model.link import Link
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.stretch import Stretch


@dataclass(frozen=True, slots=True)
class Left:
    """What the stream left in one place: unbroken stretches, of whichever history and deployment, and what
    cannot be used any more."""

    stretches: tuple[Stretch, ...] = ()
    damage: tuple[Damage, ...] = ()


class Keep(Protocol):
    """One place. Any method may raise ``Unreachable``, and ``Failed`` for what is damaged.

    Args:
        name: ``segments:STORE`` or ``kafka``; the ``source`` of its stretches.
        condemned: How much turned out to be damaged while it was read: ``left`` tells it from then on.
    """

    name: str
    condemned: int

    def left(self) -> Left:
        """All that is there now."""
        ...

    def link_in(self, stretch: Stretch, position: Position) -> Link | None:
        """The entry at a position of a stretch, as ``left`` gave it; None where it has none there."""
        ...

    def read_in(self, stretch: Stretch, start: Position, end: Position) -> Iterator[bytes]:
        """Batches of whole raw entries of a stretch with ``start <= ts <= end``, oldest first, each checked
        before it is given."""
        ...
