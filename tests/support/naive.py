"""A naive reading of the oplog: each entry does to plain dictionaries what it says, one after the other.

The twin that restores are compared with. It shares nothing with them: no snapshot, no timeline, no staging,
no batches; a rename is a rename and a drop is a drop. That it reads entries rightly is itself held to the
server, wherever a history was recorded on one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import bson

Entry = dict[str, Any]


@dataclass
class Kept:
    """A collection: documents by key, options as they were given, indexes by name; ``uuid`` in hex."""

    documents: dict[bytes, bytes] = field(default_factory=dict)
    options: Entry = field(default_factory=dict)
    indexes: dict[str, Entry] = field(default_factory=dict)
    uuid: str | None = None

    def copy(self) -> Kept:
        return Kept(dict(self.documents), self.options, dict(self.indexes), self.uuid)


class Hole(AssertionError):
    """An entry cannot be applied to what is there; never so in an oplog that is read from its beginning."""


@dataclass
class Naive:
    """What there is after the entries that were fed.

    Args:
        skips: Whether an operation (position as ``(t, i)``, session or None, operation) is left out.
        lenient: Something was left out, so that later entries may meet another state than they were written
            for; what cannot be done then is not done.
    """

    skips: Callable[[tuple[int, int], bytes | None, Entry], bool] = lambda at, session, operation: False
    lenient: bool = False
    collections: dict[str, Kept] = field(default_factory=dict)
    views: dict[str, bytes] = field(default_factory=dict)
    _open: dict[tuple[bytes, int], list[Entry]] = field(default_factory=dict)

    def feed(self, raw: bytes) -> None:
        entry = bson.decode(raw)
        at = (entry["ts"].time, entry["ts"].inc)
        session = bytes(entry["lsid"]["id"]) if "lsid" in entry else None
        for operation in self._effective(entry):
            if not self.skips(at, session, operation):
                self._apply(operation)

    def copy(self) -> Naive:
        """As it is now, to look at or to go on with."""
        kept = {name: collection.copy() for name, collection in self.collections.items()}
        return Naive(self.skips, self.lenient, kept, dict(self.views), dict(self._open))

    def _effective(self, entry: Entry) -> list[Entry]:
        """The operations that take effect at an entry."""
        body = entry["o"]
        if entry["op"] != "c" or not {"applyOps", "commitTransaction", "abortTransaction"} & set(body):
            return [entry]
        inner: list[Entry] = list(body.get("applyOps", []))
        if "txnNumber" not in entry or entry.get("multiOpType") == 1:
            return inner
        key = (bson.encode(entry["lsid"]), int(entry["txnNumber"]))
        if "abortTransaction" in body:
            self._open.pop(key, None)
            return []
        parts = self._open.pop(key, []) + inner
        if body.get("partialTxn") or body.get("prepare"):
            self._open[key] = parts
            return []
        return parts

    def _apply(self, operation: Entry) -> None:
        if operation["op"] == "n":
            return
        if operation["op"] == "c":
            self._command(operation)
        elif operation["ns"].endswith(".system.views"):
            self._view(operation)
        else:
            self._write(operation)

    def _write(self, operation: Entry) -> None:
        kept = self.collections.get(operation["ns"])
        if kept is None:
            if not self.lenient:
                raise Hole(f"no {operation['ns']} for {operation}")
            return
        if operation["op"] == "u":
            key = key_of(operation["o2"]["_id"])
            if key in kept.documents:
                kept.documents[key] = updated(kept.documents[key], operation["o"])
            elif not self.lenient:
                raise Hole(f"nothing to update for {operation}")
            return
        key = key_of(operation["o"]["_id"])
        if operation["op"] == "d":
            if kept.documents.pop(key, None) is None and not self.lenient:
                raise Hole(f"nothing to delete for {operation}")
            return
        if key in kept.documents and not self.lenient:
            raise Hole(f"it is there already: {operation}")
        kept.documents[key] = bson.encode(operation["o"])

    def _view(self, operation: Entry) -> None:
        name = (operation["o2"] if operation["op"] == "u" else operation["o"])["_id"]
        if str(operation["o"].get("viewOn", "")).startswith("system.buckets."):
            return
        if operation["op"] == "d":
            self.views.pop(name, None)
        elif operation["op"] == "i":
            self.views[name] = bson.encode(operation["o"])
        else:
            self.views[name] = updated(self.views[name], operation["o"])

    def _command(self, operation: Entry) -> None:
        database, body = operation["ns"].partition(".")[0], operation["o"]
        command = next(iter(body))
        handler = getattr(self, f"_{command}", None)
        if handler is not None:
            handler(f"{database}.{body[command]}", body)
        elif command == "create":
            uuid = bytes(operation["ui"]).hex() if "ui" in operation else None
            self._make(f"{database}.{body[command]}", body, uuid)

    def _make(self, name: str, body: Entry, uuid: str | None) -> None:
        if name in self.collections:
            if not self.lenient:
                raise Hole(f"made twice: {name}")
            return
        options = {k: v for k, v in body.items() if k not in ("create", "idIndex")}
        self.collections[name] = Kept(options=options, uuid=uuid)

    def _drop(self, name: str, body: Entry) -> None:
        if name.endswith(".system.views"):
            self._forget_views(name.partition(".")[0])
        self.collections.pop(name, None)

    def _dropDatabase(self, name: str, body: Entry) -> None:  # noqa: N802
        database = name.partition(".")[0]
        for one in [n for n in self.collections if n.startswith(f"{database}.")]:
            del self.collections[one]
        self._forget_views(database)

    def _renameCollection(self, _: str, body: Entry) -> None:  # noqa: N802
        source, target = body["renameCollection"], body["to"]
        over = bool(body.get("dropTarget"))
        if source not in self.collections or (target in self.collections and not over):
            if not self.lenient:
                raise Hole(f"{source} cannot become {target}")
            return
        self.collections[target] = self.collections.pop(source)

    def _createIndexes(self, name: str, body: Entry) -> None:  # noqa: N802
        spec = {k: v for k, v in body.items() if k != "createIndexes"}
        self._index(name, spec)

    def _commitIndexBuild(self, name: str, body: Entry) -> None:  # noqa: N802
        for spec in body["indexes"]:
            self._index(name, spec)

    def _index(self, name: str, spec: Entry) -> None:
        if name in self.collections and spec["name"] != "_id_":
            self.collections[name].indexes[spec["name"]] = spec

    def _dropIndexes(self, name: str, body: Entry) -> None:  # noqa: N802
        if name in self.collections:
            self.collections[name].indexes.pop(body["index"], None)

    def _forget_views(self, database: str) -> None:
        for one in [n for n in self.views if n.startswith(f"{database}.")]:
            del self.views[one]


def key_of(identity: Any) -> bytes:
    """The key of a document: int 1, double 1.0 and decimal 1.00 are the same."""
    if isinstance(identity, bson.Decimal128) and float(identity.to_decimal()) == identity.to_decimal():
        identity = float(identity.to_decimal())
    if isinstance(identity, int) and not isinstance(identity, bool) and float(identity) == identity:
        identity = float(identity)
    return bson.encode({"": identity})


def updated(document: bytes, change: Entry) -> bytes:
    """A document after an update's ``o``: a diff (``$v: 2``), or another whole document."""
    if change.get("$v") == 2:
        return bson.encode(_changed(bson.decode(document), change["diff"]))
    return bson.encode(change)


def _changed(document: Entry, diff: Entry) -> Entry:
    """As the server applies a diff, also to a document that it was not made for."""
    deleted = diff.get("d", {})
    set_, inserted = diff.get("u", {}), diff.get("i", {})
    within = {k[1:]: v for k, v in diff.items() if k[0] == "s"}
    found: Entry = {}
    for name, value in document.items():
        if name in set_:
            found[name] = set_[name]
        elif name in within:
            found[name] = _within(value, within[name])
        elif name not in deleted and name not in inserted:
            found[name] = value
    for name, value in [*set_.items(), *inserted.items()]:
        if name not in found:
            found[name] = value
    return found


def _within(value: Any, diff: Entry) -> Any:
    if diff.get("a"):
        return _changed_array(value, diff) if isinstance(value, list) else None
    return _changed(value, diff) if isinstance(value, dict) else None


def _changed_array(values: list[Any], diff: Entry) -> list[Any]:
    size = diff.get("l")
    changes = {int(k[1:]): (k[0], v) for k, v in diff.items() if k not in ("a", "l")}
    length = max([size if size is not None else len(values), *(place + 1 for place in changes)])
    found: list[Any] = []
    for place in range(length):
        there = place < len(values) and (size is None or place < size)
        kind, change = changes.get(place, ("", None))
        if kind == "u":
            found.append(change)
        elif kind == "s":
            found.append(_within(values[place], change) if there else None)
        else:
            found.append(values[place] if there else None)
    return found
