"""Leaving events out of a replay, and seeing which later changes build on them (server-rules 20)."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import bson
from bson.raw_bson import RawBSONDocument

from mongo_dr_console.model.event import EventSelector
from mongo_dr_console.model.eventscan import changed_fields, selects
from mongo_dr_console.model.oplogentry import Operation

MAX_REMEMBERED = 5_000_000
"""Documents of skipped operations that are remembered, sixteen bytes each; later changes of the rest are not
recognised, and the report says so."""


class LeavingOut(Protocol):
    """What a replay asks of each operation."""

    def skips(self, operation: Operation) -> bool:
        """Whether it is left out."""
        ...

    def overlap(self, operation: Operation) -> str | None:
        """A text where one that is not left out builds on one that is."""
        ...


@dataclass(slots=True)
class SkipWatch:
    """Tells the operations of skipped events, and later ones that build on them.

    A mass delete that is skipped clashes with a later insert of the same ``_id``; a mass update with a later
    change of the same fields of the same document, since a diff is absolute and assumes the state before it.
    """

    selectors: Sequence[EventSelector]
    remembered_all: bool = True
    _fields: dict[bytes, tuple[str, ...]] = field(default_factory=dict)
    _origins: dict[str, str] = field(default_factory=dict)
    """Namespace to what its collection is remembered by, where a rename made that another name."""

    def skips(self, operation: Operation) -> bool:
        for selector in self.selectors:
            if selects(selector, operation):
                self._remember(operation, selector)
                return True
        if self._fields and operation.command == "renameCollection":
            self._follow(operation)
        return False

    def overlap(self, operation: Operation) -> str | None:
        """A text if this operation builds on a skipped one, else None."""
        if not self._fields or operation.op == "c":
            return None
        skipped = self._fields.get(self._key(operation))
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
        self._fields[self._key(operation)] = selector.fields if operation.op == "u" else ()

    def _follow(self, operation: Operation) -> None:
        """The documents have another namespace from here on, and the old one is free for others."""
        source = str(operation.document["renameCollection"])
        self._origins[str(operation.document["to"])] = self._origins.get(source, source)
        self._origins[source] = f"{source} {operation.position}"

    def _key(self, operation: Operation) -> bytes:
        namespace = self._origins.get(operation.namespace, operation.namespace)
        return document_key(namespace, operation.document_id)


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


def document_key(namespace: str, identity: object) -> bytes:
    """Sixteen bytes that tell a document: the same for every ``_id`` that the server takes for the same."""
    body = identity.raw if isinstance(identity, RawBSONDocument) else bson.encode({"": _folded(identity)})
    return hashlib.blake2b(namespace.encode() + b"\0" + body, digest_size=16).digest()


def _folded(identity: object) -> object:
    """int 1 and double 1.0 are one ``_id`` (server-rules 8)."""
    if isinstance(identity, bool) or not isinstance(identity, int | float):
        return identity
    number = float(identity)
    # Not for integers that a double cannot hold.
    return number if number == identity or math.isnan(number) else identity
