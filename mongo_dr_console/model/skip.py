"""Leaving events out of a replay, and seeing which later changes build on them (server-rules 20)."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import bson
from bson.raw_bson import RawBSONDocument

from mongo_dr_console.model.event import EventSelector
from mongo_dr_console.model.eventscan import changed_fields, selects
from mongo_dr_console.model.oplogentry import Operation

MAX_REMEMBERED = 5_000_000
"""Documents of skipped operations that are remembered, sixteen bytes each; later changes of the rest are not
recognised, and the report says so."""


@dataclass(slots=True)
class SkipWatch:
    """Tells the operations of skipped events, and later ones that build on them.

    A mass delete that is skipped clashes with a later insert of the same ``_id``; a mass update with a later
    change of the same fields of the same document, since a diff is absolute and assumes the state before it.
    """

    selectors: Sequence[EventSelector]
    remembered_all: bool = True
    _fields: dict[bytes, tuple[str, ...]] = field(default_factory=dict)

    def skips(self, operation: Operation) -> bool:
        for selector in self.selectors:
            if selects(selector, operation):
                self._remember(operation, selector)
                return True
        return False

    def overlap(self, operation: Operation) -> str | None:
        """A text if this operation builds on a skipped one, else None."""
        if not self._fields or operation.op == "c":
            return None
        skipped = self._fields.get(_key(operation))
        if skipped is None:
            return None
        shown = str(operation.document_id)[:80]
        if operation.op == "i":
            return f"_id={shown!r} was inserted anew after the skipped delete of it"
        if operation.op == "d":
            return None
        common = overlapping(skipped, changed_fields(operation.document))
        if not common:
            return None
        return f"_id={shown!r}: a later update of {', '.join(common[:5])} builds on the skipped one"

    def _remember(self, operation: Operation, selector: EventSelector) -> None:
        if operation.op not in "ud" or selector.op != operation.op:
            return
        if len(self._fields) >= MAX_REMEMBERED:
            self.remembered_all = False
            return
        self._fields[_key(operation)] = selector.fields if operation.op == "u" else ()


def overlapping(skipped: Sequence[str], later: Sequence[str]) -> list[str]:
    """The later paths that touch a skipped one: the same, above it or below it. A replacement (no paths)
    touches all.

    >>> overlapping(("a.b",), ("a", "c", "a.bc"))
    ['a']
    """
    if not later:
        return ["the whole document"]
    return [new for new in later if any(_touch(old, new) for old in skipped)]


def _touch(a: str, b: str) -> bool:
    return a == b or a.startswith(b + ".") or b.startswith(a + ".")


def _key(operation: Operation) -> bytes:
    identity = operation.document_id
    body = identity.raw if isinstance(identity, RawBSONDocument) else bson.encode({"": _folded(identity)})
    return hashlib.blake2b(operation.namespace.encode() + b"\0" + body, digest_size=16).digest()


def _folded(identity: object) -> object:
    """int 1 and double 1.0 are one ``_id`` (server-rules 8)."""
    if isinstance(identity, bool) or not isinstance(identity, int | float):
        return identity
    number = float(identity)
    # Not for integers that a double cannot hold.
    return number if number == identity or math.isnan(number) else identity
