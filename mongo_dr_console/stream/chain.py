"""The chain check: do these entries continue each other, with nothing missing in between?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mongo_dr_console.model import rawbson
from mongo_dr_console.model.entryhead import head
from mongo_dr_console.model.link import Link
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.trouble import Failed

__all__ = ["Chain", "Link", "check_joint", "checked"]


@dataclass(slots=True)
class Chain:
    """Checks that positions rise strictly and that the election term never falls.

    Entries that only rise may still have others missing between them: a copy proves itself complete by
    reading whole ranges and by its ends, see ``check_joint``.
    """

    last: Position | None = None
    term: int = -1
    count: int = 0

    def feed(self, raw: bytes) -> Position:
        """The entry's position.

        Raises:
            Failed: code ``stream-broken``: it does not come after the last one.
        """
        _, position, term = head(raw)
        if self.last is not None and position <= self.last:
            raise Failed(
                "stream-broken",
                f"The entry at {position} comes after the one at {self.last}: these entries are out of "
                "order or repeated, and cannot be replayed.",
            )
        if term < self.term:
            raise Failed(
                "stream-broken",
                f"The election term falls from {self.term} to {term} at {position}: two histories are mixed.",
            )
        self.last, self.term, self.count = position, term, self.count + 1
        return position


def checked(batches: Iterable[bytes], chain: Chain | None = None) -> Iterator[bytes]:
    """Passes batches on after each of their entries was checked."""
    chain = chain or Chain()
    for batch in batches:
        for raw in rawbson.split(batch):
            chain.feed(raw)
        yield batch


def check_joint(expected: Link, raw: bytes | None, where: str) -> None:
    """Whether a copy of the oplog has the very entry that another one ends with.

    Args:
        expected: The entry that must be there.
        raw: What the copy has at that position, None if nothing.
        where: Names the copy, for the message.

    Raises:
        Failed: ``stream-gap`` when the entry is not there, ``stream-diverged`` when another one is.
    """
    if raw is None:
        raise Failed(
            "stream-gap",
            f"{where} does not have the entry at {expected.position}: what lies between is missing, so "
            "nothing after it can be replayed.",
            "mdr coverage shows which positions can be restored to.",
        )
    if Link.of(raw) != expected:
        raise Failed(
            "stream-diverged",
            f"{where} has another entry at {expected.position} than was seen before: after an election the "
            "history went another way.",
            "mdr coverage shows the branches.",
        )
