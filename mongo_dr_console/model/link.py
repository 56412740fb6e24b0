"""What identifies an entry of the oplog, whichever copy it is read from."""

from __future__ import annotations

from dataclasses import dataclass

from mongo_dr_console.model import rawbson
from mongo_dr_console.model.entryhead import head
from mongo_dr_console.model.position import Position


@dataclass(frozen=True, slots=True)
class Link:
    """Two copies of the oplog agree at a position when position, term and hash are equal: then they also
    agree on everything before it (a term and a position are given out once, server-rules 13).

    ``hash`` is SHA-256 of the raw entry, in hex, the same on all members (server-rules 14).
    """

    position: Position
    term: int
    hash: str

    @classmethod
    def of(cls, raw: bytes) -> Link:
        _, position, term = head(raw)
        return cls(position, term, rawbson.entry_hash(raw))
