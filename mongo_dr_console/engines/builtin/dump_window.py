"""What of the oplog belongs to a dump whose window is not the oplog itself: of some namespaces only, or with
collections that were read anew because a rename touched them.

Pure: entries in, entries out. mongorestore must be able to replay what is left, so no rename is in it and
nothing of a namespace that the dump does not hold.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import bson
from bson.raw_bson import RawBSONDocument

from mongo_dr_console.model import rawbson
from mongo_dr_console.model.namespace import Namespace, known_as
from mongo_dr_console.model.oplogentry import raw_entry
from mongo_dr_console.model.position import Position

_VIEWS = "system.views"
_OF_TRANSACTIONS = frozenset({"commitTransaction", "abortTransaction"})


@dataclass(frozen=True, slots=True)
class Rename:
    """A rename in the window: what was read of its namespaces before it is of no use."""

    position: Position
    source: Namespace
    target: Namespace

    @property
    def touched(self) -> tuple[Namespace, Namespace]:
        return self.source, self.target


@dataclass(slots=True)
class WindowFilter:
    """Chooses the entries.

    Args:
        in_scope: Whether a dump of a part holds this namespace; None where it holds everything.
        whole_database: Whether it holds all of a database.
        read_anew: Namespaces that a rename touched, with the newest one's position: up to it, what was done
            to them is in the data, which was read later.
    """

    in_scope: Callable[[Namespace], bool] | None = None
    whole_database: Callable[[str], bool] = lambda database: True
    read_anew: dict[Namespace, Position] = field(default_factory=dict)

    @property
    def active(self) -> bool:
        return self.in_scope is not None or bool(self.read_anew)

    def note(self, rename: Rename) -> None:
        for namespace in rename.touched:
            self.read_anew[namespace] = max(self.read_anew.get(namespace, rename.position), rename.position)

    def apply(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """The entries of a stream of oplog that belong to the dump, in pieces of whole entries."""
        kept: list[bytes] = []
        size = 0
        for raw in rawbson.documents(chunks):
            chosen = self.choose(raw)
            if chosen is not None:
                kept.append(chosen)
                size += len(chosen)
            if size > 1_000_000:
                yield b"".join(kept)
                kept, size = [], 0
        if kept:
            yield b"".join(kept)

    def choose(self, raw: bytes) -> bytes | None:
        """An entry as it belongs to the dump: unchanged, with fewer operations in it, or not at all."""
        if not self.active:
            return raw
        entry = raw_entry(raw)
        position = Position.of(entry["ts"])
        if entry["op"] == "n":
            return raw
        chosen = self._chosen(entry, position)
        if chosen is None:
            # A transaction's parts stay, also empty ones: its commit builds on them.
            return bytes(_with_operations(entry, []).raw) if _is_part(entry) else None
        return raw if chosen is entry else bytes(chosen.raw)

    def _chosen(self, entry: RawBSONDocument, position: Position) -> RawBSONDocument | None:
        if not _is_several(entry):
            return entry if self._wants(entry, position) else None
        inner = list(entry["o"]["applyOps"])
        kept = [found for e in inner if (found := self._chosen(e, position)) is not None]
        if inner and not kept:
            return None
        unchanged = len(kept) == len(inner) and all(map(operator.is_, kept, inner))
        return entry if unchanged else _with_operations(entry, kept)

    def _wants(self, entry: RawBSONDocument, position: Position) -> bool:
        database, _, collection = str(entry["ns"]).partition(".")
        if entry["op"] == "c":
            return self._wants_command(entry["o"], database, position)
        if collection == _VIEWS:
            key = (entry["o2"] if entry["op"] == "u" else entry["o"]).get("_id")
            return self._wants_name(Namespace(database, str(key).partition(".")[2]), position)
        return self._wants_name(known_as(database, collection), position)

    def _wants_command(self, body: RawBSONDocument, database: str, position: Position) -> bool:
        name = next(iter(body), "")
        if name in _OF_TRANSACTIONS:
            return True
        if name == "renameCollection":
            return False
        if name == "dropDatabase":
            # Each collection's own drop came before it, and what was read anew must not go with it.
            anew = any(n.database == database and position <= p for n, p in self.read_anew.items())
            return not anew and self.whole_database(database)
        return self._wants_name(known_as(database, str(body[name])), position)

    def _wants_name(self, namespace: Namespace, position: Position) -> bool:
        if self.in_scope is not None and not self.in_scope(namespace):
            return False
        return position > self.read_anew.get(namespace, Position(0, 0))


def renames_in(entry: RawBSONDocument) -> Iterator[Rename]:
    """The renames that an entry holds, also inside ``applyOps``."""
    body: Any = entry["o"]
    if entry["op"] != "c":
        return
    position = Position.of(entry["ts"]) if "ts" in entry else Position(0, 0)
    name = next(iter(body), "")
    if name == "applyOps":
        for inner in body["applyOps"]:
            for rename in renames_in(inner):
                yield replace(rename, position=position)
    elif name == "renameCollection":
        yield Rename(position, Namespace.parse(str(body[name])), Namespace.parse(str(body["to"])))


def _is_several(entry: RawBSONDocument) -> bool:
    return entry["op"] == "c" and next(iter(entry["o"]), "") == "applyOps"


def _with_operations(entry: RawBSONDocument, operations: list[RawBSONDocument]) -> RawBSONDocument:
    """The entry with other operations in its ``applyOps``."""
    return raw_entry(bson.encode({**entry, "o": {**entry["o"], "applyOps": operations}}))


def _is_part(entry: RawBSONDocument) -> bool:
    """Whether other entries of a transaction come before or after this one."""
    if not _is_several(entry):
        return False
    body = entry["o"]
    if body.get("partialTxn") or body.get("prepare"):
        return True
    before = entry.get("prevOpTime")
    return "txnNumber" in entry and before is not None and before["ts"].time != 0
