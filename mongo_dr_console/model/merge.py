"""Which documents chosen events removed or changed, and which of them were written since: what merge mode
brings back, and what it must leave alone. Pure: fed with the operations in order, from before the events to
now.

What is brought back of a document is its state right before the first operation of a chosen event on it. So
the replay must leave out that operation and every later one on the document: what was replayed stands still
there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from mongo_dr_console.model.event import EventSelector
from mongo_dr_console.model.eventscan import selects
from mongo_dr_console.model.namespace import Namespace, known_as
from mongo_dr_console.model.oplogentry import COMMAND, Operation
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.skip import document_key
from mongo_dr_console.model.trouble import Failed

MOST_DOCUMENTS = 5_000_000
"""Documents that are kept in mind, about a hundred bytes each; beyond that merge mode is no way."""

_TAKES_AWAY = frozenset({"drop", "dropDatabase", "renameCollection"})
_WORDS = {"i": "inserted", "u": "updated", "d": "deleted"}


class Since(NamedTuple):
    """A write after the event: where, and what (the oplog's letter)."""

    position: Position
    op: str

    @property
    def text(self) -> str:
        return f"it was {_WORDS.get(self.op, 'written')} at {self.position}, after the event"


@dataclass(slots=True)
class Foreseen:
    """What the oplog says of one namespace.

    Args:
        documents: Those that the events removed or changed; None where a whole collection went and the entry
            does not say how many it had.
        since: Documents written after the events. Where a whole collection went, only the collection itself
            tells which of them it had.
    """

    documents: int | None = 0
    since: int = 0


@dataclass(slots=True)
class MergeWatch:
    """Tells the operations of the chosen events, and every later one on what they hit.

    Args:
        selectors: The chosen events'.
        ours: Ids (hex) of the sessions in which this very merge writes.
        settling: Those of other merges, and of what took them back.
        touched: Documents that the events deleted (False) or updated (True).
        frozen: Collections that an event took away as a whole, to whether it put another in their place.
        since: Documents of these that were written after the event, and by what first.
        written: Documents that this merge has written, and that did not go with their collection since.
        gone: Collections that were dropped, or replaced, after the event and not by it, and where first.
        taken: Where last.
        operations: How many operations are the events' own.
    """

    selectors: Sequence[EventSelector]
    ours: set[str] = field(default_factory=set)
    settling: set[str] = field(default_factory=set)
    touched: dict[bytes, bool] = field(default_factory=dict)
    frozen: dict[Namespace, bool] = field(default_factory=dict)
    since: dict[bytes, Since] = field(default_factory=dict)
    written: dict[Namespace, set[bytes]] = field(default_factory=dict)
    gone: dict[Namespace, Position] = field(default_factory=dict)
    taken: dict[Namespace, Position] = field(default_factory=dict)
    operations: int = 0
    foreseen: dict[Namespace, Foreseen] = field(default_factory=dict)
    _begun: dict[Namespace, Position] = field(default_factory=dict)
    _left: set[Namespace] = field(default_factory=set)

    def __post_init__(self) -> None:
        for selector in self.selectors:
            if selector.op != "c":
                for text in selector.namespaces:
                    named = Namespace.parse(text)
                    namespace = known_as(named.database, named.collection)
                    first = min(selector.first, self._begun.get(namespace, selector.first))
                    self._begun[namespace] = first
                    self.foreseen.setdefault(namespace, Foreseen())

    def skips(self, operation: Operation) -> bool:
        """Takes the next operation; whether the replay leaves it out."""
        if operation.op == "c":
            return self._command(operation)
        namespace = known_as(operation.database, operation.collection)
        key = document_key(str(namespace), operation.document_id)
        if operation.session in self.ours:
            self.written.setdefault(namespace, set()).add(key)
            return True
        if any(selects(selector, operation) for selector in self.selectors):
            self._touch(namespace, key, changed=operation.op == "u")
            return True
        if namespace in self._left:
            return True
        if namespace not in self.frozen and key not in self.touched:
            return False
        if key not in self.since and operation.session not in self.settling:
            self._check_room(len(self.since))
            self.since[key] = Since(operation.position, operation.op)
            self.foreseen[namespace].since += 1
        return True

    def overlap(self, operation: Operation) -> str | None:
        """Nothing that is replayed builds on what is left out: all later ones on the same are left out
        too."""
        return None

    def hits(self, namespace: Namespace) -> bool:
        """Whether the events removed or changed documents there."""
        return namespace in self.foreseen

    def hit(self, namespace: Namespace, key: bytes) -> bool:
        """Whether the events removed or changed this document."""
        return namespace in self.frozen or key in self.touched

    def leaves_one(self, namespace: Namespace, key: bytes) -> bool:
        """Whether the events left another state of the document, rather than none."""
        if namespace in self.frozen:
            return self.frozen[namespace] and namespace not in self.gone
        return self.touched[key]

    def is_written(self, namespace: Namespace, key: bytes) -> bool:
        return key in self.written.get(namespace, ())

    def nothing_can(self, namespace: Namespace) -> bool:
        """Whether nothing at all can be brought back there: it is another collection now."""
        return namespace in self.gone and namespace not in self.frozen

    def against(self, namespace: Namespace, key: bytes) -> str | None:
        """Why this document must be left alone, in words; None if nothing in the oplog speaks against it."""
        since = self.since.get(key)
        if since is not None:
            return since.text
        if self.nothing_can(namespace):
            return f"its collection was dropped or replaced at {self.gone[namespace]}, after the event"
        return None

    def _touch(self, namespace: Namespace, key: bytes, *, changed: bool) -> None:
        self.operations += 1
        if key not in self.touched:
            self._check_room(len(self.touched))
            foreseen = self.foreseen[namespace]
            if foreseen.documents is not None:
                foreseen.documents += 1
        self.touched[key] = changed

    def _command(self, operation: Operation) -> bool:
        if any(selects(selector, operation) for selector in self.selectors):
            self._freeze(operation)
            return True
        subjects = self._subjects(operation)
        if operation.command in _TAKES_AWAY:
            for namespace in subjects:
                if namespace in self.frozen or self._has_begun(namespace, operation.position):
                    self.gone.setdefault(namespace, operation.position)
                    self.taken[namespace] = operation.position
                    self.written.pop(namespace, None)
            return any(self._stands_still(n) or n in self.gone for n in subjects)
        return any(self._stands_still(n) for n in subjects)

    def _stands_still(self, namespace: Namespace) -> bool:
        return namespace in self.frozen or namespace in self._left

    def _has_begun(self, namespace: Namespace, position: Position) -> bool:
        begun = self._begun.get(namespace)
        return begun is not None and begun < position

    def _freeze(self, operation: Operation) -> None:
        """The event's own command: what it took away stands still from here on."""
        name, body = operation.command, operation.document
        self.operations += 1
        if name == "drop":
            self._frozen(known_as(operation.database, str(body[name])), operation, replaced=False)
        elif name == "renameCollection":
            self._left.add(Namespace.parse(str(body[name])))
            self._frozen(Namespace.parse(str(body["to"])), operation, replaced=True)

    def _frozen(self, namespace: Namespace, operation: Operation, *, replaced: bool) -> None:
        self._left.discard(namespace)
        self.frozen[namespace] = replaced
        self.gone.pop(namespace, None)
        records = operation.key.get("numRecords") if operation.key is not None else None
        before = self.foreseen.get(namespace)
        self.foreseen[namespace] = Foreseen(
            None if records is None else int(records), before.since if before else 0
        )

    def _subjects(self, operation: Operation) -> set[Namespace]:
        name, body = operation.command, operation.document
        if name == "renameCollection":
            return {Namespace.parse(str(body[name])), Namespace.parse(str(body["to"]))}
        if name == "dropDatabase":
            known = {*self.frozen, *self._begun, *self._left}
            return {n for n in known if n.database == operation.database}
        subject = body[name] if name else None
        if not isinstance(subject, str) or not subject or subject == COMMAND:
            return set()
        return {known_as(operation.database, subject)}

    def _check_room(self, count: int) -> None:
        if count >= MOST_DOCUMENTS:
            raise Failed(
                "merge-too-large",
                f"The events, or the writes after them, hit more than {MOST_DOCUMENTS:,} documents, more "
                "than merge mode keeps in mind. Nothing live was changed.",
                "Leave the events out of a whole restore instead: --mode swap",
            )
