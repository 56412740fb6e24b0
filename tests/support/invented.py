"""Invented oplogs: entries as a server writes them, of kinds that the one at hand may not write, by seed.

Vectored inserts (7.0), transactions of many parts that cross each other, prepared ones, and everything twice
in one second. ``support.naive`` keeps the books.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import bson
from bson import Binary, Int64, Timestamp

from mongo_dr_console.model.event import EventSelector
from mongo_dr_console.model.namespace import Namespace
from mongo_dr_console.model.oplogentry import raw_entry
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.timeline import SnapshotCollection
from support.naive import Kept, Naive, key_of
from support.paper import PaperSnapshot

Entry = dict[str, Any]

DATABASES = ("d0", "d1")
NAMES = ("a", "b", "c")
_START = 1_795_313_400
_NOTHING = {"ts": Timestamp(0, 0), "t": Int64(-1)}


@dataclass(frozen=True)
class Mistake:
    """What ``--skip`` can leave out: how it is told, and where its operations are."""

    kind: str
    selector: EventSelector
    positions: frozenset[Position]


@dataclass
class Transaction:
    """One that is open, and the documents that nobody else may write meanwhile."""

    session: bytes
    number: int
    first: int
    waiting: list[Entry] = field(default_factory=list)
    held: set[tuple[str, bytes]] = field(default_factory=set)
    last: Timestamp | None = None
    end: int = 0


class Invented:
    """An oplog of ``length`` entries and some more.

    ``entries`` and ``positions`` go together; ``states[n]`` is what there is after entry n, ``oldest[n]`` the
    index of the first entry of the oldest transaction that is open then (n itself, if none is).
    """

    def __init__(self, seed: int, length: int) -> None:
        self.luck = random.Random(seed)
        self.entries: list[bytes] = []
        self.positions: list[Position] = []
        self.states: list[Naive] = []
        self.oldest: list[int] = []
        self.mistakes: list[Mistake] = []
        self.renames: list[int] = []
        self._ranges: list[Transaction] = []
        self._naive = Naive()
        self._uuids: dict[str, Binary] = {}
        self._open: list[Transaction] = []
        self._second, self._ordinal, self._count = _START, 0, 0
        for _ in range(3):
            self._create()
        while len(self.entries) < length:
            self._something()
        for one in list(self._open):
            self._finish(one)

    # Entries

    def _put(
        self, op: str, ns: str, o: Entry, *, by: Transaction | bytes | None = None, **more: Any
    ) -> Position:
        if self.luck.random() < 0.1:
            self._second, self._ordinal = self._second + self.luck.randrange(1, 3), 0
        self._ordinal += 1
        position = Position(self._second, self._ordinal)
        entry: Entry = {}
        if isinstance(by, Transaction):
            entry = {"lsid": _lsid(by.session), "txnNumber": Int64(by.number)}
        elif by is not None:
            entry = {"lsid": _lsid(by), "txnNumber": Int64(self._next())}
        entry |= {"op": op, "ns": ns, **{k: more.pop(k) for k in ("ui",) if k in more}, "o": o, **more}
        entry |= {"ts": position.timestamp, "t": Int64(1), "v": Int64(2), "wall": position.time}
        if isinstance(by, Transaction):
            entry["prevOpTime"] = _NOTHING if by.last is None else {"ts": by.last, "t": Int64(1)}
            by.last, by.end = position.timestamp, len(self.entries)
            if by not in self._ranges:
                self._ranges.append(by)
        raw = bson.encode(entry)
        self._naive.feed(raw)
        self.entries.append(raw)
        self.positions.append(position)
        self.states.append(self._naive.copy())
        here = len(self.entries) - 1
        ending = [by] if isinstance(by, Transaction) else []
        self.oldest.append(min((t.first for t in [*self._open, *ending]), default=here))
        return position

    def _next(self) -> int:
        self._count += 1
        return self._count

    def _command(self, database: str, o: Entry, **more: Any) -> Position:
        return self._put("c", f"{database}.$cmd", o, **more)

    # What happens

    def _something(self) -> None:
        kinds: tuple[tuple[int, Callable[[], object]], ...] = (
            (30, self._single),
            (4, self._vectored),
            (14, self._transaction),
            (4, self._create),
            (3, self._drop),
            (3, self._rename),
            (4, self._index),
            (2, self._mass),
            (1, self._drop_database),
            (2, lambda: self._put("n", "", {"msg": "periodic noop"})),
        )
        self.luck.choices([k for _, k in kinds], [w for w, _ in kinds])[0]()

    def _some(self, *, free: bool = False) -> str | None:
        """A collection that is there; ``free``: no transaction has it."""
        held = {ns for t in self._open for ns, _ in t.held} if free else set()
        names = [n for n in self._naive.collections if n not in held]
        return self.luck.choice(names) if names else None

    def _single(self) -> None:
        name = self._some()
        operation = self._operation(name) if name else None
        if operation is not None:
            session = self.luck.choice((None, b"1" * 16, b"2" * 16))
            self._put(by=session, **operation)

    def _operation(self, ns: str, held: frozenset[tuple[str, bytes]] = frozenset()) -> Entry | None:
        """One on a document that no transaction has; None if there is no such document."""
        documents = self._naive.collections[ns].documents
        taken = held.union(*(t.held for t in self._open))
        identity = self.luck.choice((1, 2, 3, 4, "x", "y", None))
        key = key_of(identity)
        if (ns, key) in taken:
            return None
        base: Entry = {"ns": ns, "ui": self._uuids[ns]}
        if key not in documents:
            if isinstance(identity, int) and self.luck.random() < 0.5:
                identity = float(identity)
            fields = {n: self._value() for n in self.luck.sample("abcde", 3)}
            return {**base, "op": "i", "o": {"_id": identity, **fields}, "o2": {"_id": identity}}
        document = bson.decode(documents[key])
        identity = document["_id"]
        if self.luck.random() < 0.25:
            return {**base, "op": "d", "o": {"_id": identity}}
        if self.luck.random() < 0.2:
            return {**base, "op": "u", "o": {"_id": identity, "z": self._value()}, "o2": {"_id": identity}}
        diff = self._diff({k: v for k, v in document.items() if k != "_id"})
        return {**base, "op": "u", "o": {"$v": 2, "diff": diff}, "o2": {"_id": identity}}

    def _value(self) -> Any:
        n = self._next()
        return self.luck.choice((n, float(n), str(n), [n, {"p": n}, [n]], {"a": n, "b": {"c": [n]}}))

    def _diff(self, document: Entry) -> Entry:
        diff: Entry = {}
        for name in self.luck.sample("abcde", self.luck.randrange(1, 4)):
            value = document.get(name)
            if name not in document:
                diff.setdefault("i", {})[name] = self._value()
            elif isinstance(value, dict) and self.luck.random() < 0.7:
                diff[f"s{name}"] = (
                    {"u": {"a": self._value()}} if "a" in value else {"i": {"a": self._value()}}
                )
            elif isinstance(value, list) and self.luck.random() < 0.7:
                diff[f"s{name}"] = {"a": True, **self._array(value)}
            elif self.luck.random() < 0.4:
                diff.setdefault("d", {})[name] = False
            else:
                diff.setdefault("u", {})[name] = self._value()
        order = [*(k for k in "dui" if k in diff), *(k for k in diff if k[0] == "s")]
        return {k: diff[k] for k in order}

    def _array(self, value: list[Any]) -> Entry:
        if value and self.luck.random() < 0.3:
            return {"l": len(value) - 1}
        return {f"u{self.luck.randrange(len(value) + 1)}": self._value()}

    def _vectored(self) -> None:
        name = self._some()
        if name is None:
            return
        free = [i for i in range(10, 16) if key_of(i) not in self._naive.collections[name].documents]
        inner = [self._insert(name, i) for i in free[:3]]
        if inner:
            by = self.luck.choice((None, b"1" * 16))
            more = {"multiOpType": 1} if by else {}
            self._put("c", "admin.$cmd", {"applyOps": inner}, by=by, **more)

    def _insert(self, ns: str, identity: Any) -> Entry:
        document = {"_id": identity, "m": "new"}
        return {"op": "i", "ns": ns, "ui": self._uuids[ns], "o": document, "o2": {"_id": identity}}

    def _transaction(self) -> None:
        """Begins one, goes on with one, or ends one."""
        if not self._open or (len(self._open) < 3 and self.luck.random() < 0.4):
            session = bytes([self.luck.randrange(5)]) * 16
            if all(t.session != session for t in self._open):
                self._open.append(Transaction(session, self._next(), len(self.entries)))
            return
        one = self.luck.choice(self._open)
        name = self._some()
        for _ in range(self.luck.randrange(1, 4)):
            operation = self._operation(name, frozenset(one.held)) if name else None
            if operation is not None:
                one.waiting.append(operation)
                one.held.add((operation["ns"], key_of(operation["o2" if "o2" in operation else "o"]["_id"])))
        if self.luck.random() < 0.4:
            self._finish(one)
        elif one.waiting and self.luck.random() < 0.5:
            self._part(one, partialTxn=True)

    def _part(self, one: Transaction, **more: bool) -> None:
        waiting, one.waiting = one.waiting, []
        self._put("c", "admin.$cmd", {"applyOps": waiting, **more}, by=one)

    def _finish(self, one: Transaction) -> None:
        kind = self.luck.choice(("commit", "commit", "prepare", "abort"))
        logged = one.last is not None
        if kind == "prepare" and one.waiting:
            self._part(one, prepare=True)
            self._single()
            self._open.remove(one)
            ending = {"commitTransaction": 1} if self.luck.random() < 0.7 else {"abortTransaction": 1}
            self._put("c", "admin.$cmd", ending, by=one)
            return
        self._open.remove(one)
        if kind == "abort":
            if logged:
                self._put("c", "admin.$cmd", {"abortTransaction": 1}, by=one)
        elif one.waiting or logged:
            self._part(one)

    # Definitions

    def _create(self) -> None:
        database, name = self.luck.choice(DATABASES), self.luck.choice(NAMES)
        ns = f"{database}.{name}"
        if ns in self._naive.collections:
            return
        options = self.luck.choice(({}, {"validator": {"n": self._next()}}))
        self._uuids[ns] = Binary(self._next().to_bytes(16, "big"), 4)
        self._command(database, {"create": name, **options, "idIndex": {"v": 2}}, ui=self._uuids[ns])

    def _drop(self) -> None:
        ns = self._some(free=True)
        if ns is None:
            return
        database, _, name = ns.partition(".")
        at = self._command(database, {"drop": name}, ui=self._uuids[ns])
        self._mistake("drop", "c", (ns,), [at])

    def _rename(self) -> None:
        source, target = self._some(free=True), f"{self.luck.choice(DATABASES)}.{self.luck.choice(NAMES)}"
        held = {ns for t in self._open for ns, _ in t.held}
        if source is None or source == target or target in held:
            return
        over = target in self._naive.collections
        more = {"dropTarget": self._uuids[target]} if over else {}
        body = {"renameCollection": source, "to": target, "stayTemp": False, **more}
        self._uuids[target] = self._uuids[source]
        self.renames.append(len(self.entries))
        at = self._command(source.partition(".")[0], body, ui=self._uuids[source])
        if over:
            self._mistake("rename-over", "c", (source, target), [at])

    def _index(self) -> None:
        ns = self._some()
        if ns is None:
            return
        database, _, name = ns.partition(".")
        there = self._naive.collections[ns].indexes
        key = self.luck.choice("ab")
        if f"{key}_1" in there:
            self._command(database, {"dropIndexes": name, "index": f"{key}_1"}, ui=self._uuids[ns])
            return
        spec = {"v": 2, "key": {key: 1}, "name": f"{key}_1"}
        if self.luck.random() < 0.5:
            body: Entry = {"createIndexes": name, **spec}
        else:
            body = {"commitIndexBuild": name, "indexBuildUUID": Binary(b"i" * 16, 4), "indexes": [spec]}
        self._command(database, body, ui=self._uuids[ns])

    def _mass(self) -> None:
        """Writes without a session, with others' in between."""
        ns = self._some(free=True)
        if ns is None:
            return
        op, value = self.luck.choice("du"), self._next()
        mine = []
        for raw in list(self._naive.collections[ns].documents.values()):
            document = bson.decode(raw)
            base: Entry = {"op": op, "ns": ns, "ui": self._uuids[ns]}
            part = "u" if "m" in document else "i"
            change = {"o": {"$v": 2, "diff": {part: {"m": value}}}, "o2": {"_id": document["_id"]}}
            mine.append(self._put(**base, **({"o": {"_id": document["_id"]}} if op == "d" else change)))
            if self.luck.random() < 0.2:
                self._put(by=b"3" * 16, **self._insert(ns, f"between {self._next()}"))
        if mine:
            self._mistake("mass", op, (ns,), mine, ("m",) if op == "u" else ())

    def _drop_database(self) -> None:
        database = self.luck.choice(DATABASES)
        names = [n for n in self._naive.collections if n.startswith(f"{database}.")]
        if any(t.waiting or t.held for t in self._open) or not names:
            return
        drops = [self._command(database, {"drop": n.partition(".")[2]}, ui=self._uuids[n]) for n in names]
        drops.append(self._command(database, {"dropDatabase": 1}))
        self._mistake("drop-database", "c", (*names, f"{database}.$cmd"), drops)

    def _mistake(
        self,
        kind: str,
        op: Any,
        namespaces: tuple[str, ...],
        at: list[Position],
        fields: tuple[str, ...] = (),
    ) -> None:
        selector = EventSelector(first=at[0], last=at[-1], op=op, namespaces=namespaces, fields=fields)
        self.mistakes.append(Mistake(kind, selector, frozenset(at)))

    # Snapshots

    def snapshot(self, begin: int, end: int) -> PaperSnapshot | None:
        """As a dump makes one that lists at entry ``begin`` and whose window ends at ``end``: each document
        as it was at a moment of its own. None where a rename lies in the window: the dump reads anew then."""
        start = min(self.oldest[begin], begin)
        while cut := [t.first for t in self._ranges if t.first < start <= t.end]:
            start = min(cut)
        if any(start <= r <= end for r in self.renames):
            return None
        collections = []
        for name, kept in sorted(self.states[begin].collections.items()):
            collections.append(self._scanned(name, kept, begin, end))
        return PaperSnapshot(collections, self.entries[start : end + 1])

    def _scanned(self, name: str, kept: Kept, begin: int, end: int) -> Any:
        # A drop and what comes after it are of another collection.
        gone = next((n for n in range(begin + 1, end + 1) if self._is_drop(n, name)), end + 1)
        states = [self.states[n].collections[name].documents for n in range(begin, gone)]
        documents = []
        for key in {k for s in states for k in s}:
            found = self.luck.choice(states).get(key)
            if found is not None:
                documents.append(found)
        collection = SnapshotCollection(
            Namespace.parse(name),
            as_raw(kept.options),
            tuple(as_raw(spec) for spec in kept.indexes.values()),
            kept.uuid,
        )
        return collection, partial(_chunks, b"".join(documents)), len(documents)

    def _is_drop(self, index: int, name: str) -> bool:
        entry = bson.decode(self.entries[index])
        database, _, collection = name.partition(".")
        return entry["ns"] == f"{database}.$cmd" and entry["o"].get("drop") == collection


def _chunks(data: bytes) -> Iterator[bytes]:
    yield data


def as_raw(fields: Entry) -> Any:
    return raw_entry(bson.encode(fields))


def _lsid(session: bytes) -> Entry:
    return {"id": Binary(session, 4), "uid": b"u" * 32}
