"""Operations next to a position, and those on one document, a bounded amount at a time.

A transaction is shown at its commit: parts of it that were written earlier are looked up there by the chain
that the server keeps in its entries, so that a page can begin anywhere.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from bson.raw_bson import RawBSONDocument

from mongo_dr_console.model import rawbson
from mongo_dr_console.model.documentid import comparable
from mongo_dr_console.model.entryhead import head, operation_type
from mongo_dr_console.model.nspattern import matches
from mongo_dr_console.model.operationpage import DocumentHistory, Found, OperationPage, Way, just_before
from mongo_dr_console.model.oplogentry import Operation, TransactionAssembler, raw_entry
from mongo_dr_console.model.position import Position, Span
from mongo_dr_console.model.trouble import Trouble
from mongo_dr_console.stream.finder import Searchable, concerns
from mongo_dr_console.stream.source import StreamSource

MOST_OF_ONE = 100
"""Operations of one entry that are shown; a transaction may have a million."""
_MOST_PARTS = 40
"""Entries of one transaction that are fetched for its commit; each may have 16 MiB."""
_STEP, _GROWTH, _WIDEST = 2, 4, 3600
"""Seconds that are looked through at first, how that grows, and how far."""


@dataclass(frozen=True, slots=True)
class Budget:
    """How much one look may cost.

    Args:
        entries: That are read at most; what lies in one step may be more.
        seconds: After which no further step is begun.
    """

    entries: int = 100_000
    seconds: float = 5.0
    clock: Callable[[], float] = time.monotonic


def page(
    source: StreamSource,
    position: Position,
    way: Way,
    count: int,
    pattern: str = "",
    budget: Budget | None = None,
) -> OperationPage:
    """The operations next to a position: before it (left out), or after it (included).

    Args:
        count: How many are wanted; all of the last entry are given, so it may be more.
        pattern: Only those of such namespaces (``db``, ``db.coll``, ``*``); empty: all.

    Raises:
        Trouble: The source cannot be read.
    """
    look = _Look(source, pattern, budget or Budget())
    return look.back(position, count) if way == "before" else look.on(position, count)


class _Look:
    def __init__(self, source: StreamSource, pattern: str, budget: Budget) -> None:
        self._source, self._pattern, self._budget = source, pattern, budget
        self._until = budget.clock() + budget.seconds
        self._read = 0
        self._notes: list[str] = []

    def on(self, position: Position, count: int) -> OperationPage:
        found: list[Found] = []
        windows = self._source.windows()
        window = next((w for w in windows if w.end >= position), None)
        if window is None:
            return self._page([], position, just_before(position), ended=True)
        at = max(position, window.start)
        if at > position and windows[0] is not window:
            self._gap(position, at)
        for batch in self._source.read(at, window.end):
            for raw in rawbson.split(batch):
                self._read += 1
                found += self._of(raw)
                at = head(raw).position
                if len(found) >= count:
                    return self._page(found, position, at, ended=at == windows[-1].end)
            if self._spent:
                return self._page(found, position, at, ended=False)
        return self._page(found, position, window.end, ended=window is windows[-1])

    def back(self, position: Position, count: int) -> OperationPage:
        windows = self._source.windows()
        window = next((w for w in reversed(windows) if w.start < position), None)
        if window is None:
            return self._page([], position, position, ended=True)
        end = just_before(position)
        if window.end < end:
            if window is not windows[-1]:
                self._gap(window.end, position)
            end = window.end
        found: list[Found] = []
        start, step = end, _STEP
        while True:
            begin = max(window.start, Position(max(start.t - step, 0), 0))
            stop = end if start == end else just_before(start)
            newer, reached = self._newest_of(begin, stop, count - len(found))
            found, start = [*newer, *found], reached
            if len(found) >= count or start <= window.start or self._spent:
                return self._page(found, start, end, ended=start == windows[0].start)
            step = min(step * _GROWTH, _WIDEST)

    def _newest_of(self, start: Position, end: Position, count: int) -> tuple[list[Found], Position]:
        """The last ones of a range, and from where on all are among them."""
        kept: deque[tuple[Position, list[Found]]] = deque()
        number, cut = 0, False
        for raw in _entries(self._source.read(start, end)):
            self._read += 1
            if not (these := self._of(raw)):
                continue
            kept.append((head(raw).position, these))
            number += len(these)
            while number - len(kept[0][1]) >= count:
                number -= len(kept.popleft()[1])
                cut = True
        return [f for _, these in kept for f in these], kept[0][0] if cut else start

    def _of(self, raw: bytes) -> list[Found]:
        """The operations of an entry that are wanted."""
        if operation_type(raw) == "n":
            return []
        operations = operations_of(self._source, raw, self._notes)
        wanted = (o for o in operations if not self._pattern or _fits(self._pattern, o))
        return _first(wanted)

    @property
    def _spent(self) -> bool:
        return self._read >= self._budget.entries or self._budget.clock() >= self._until

    def _gap(self, start: Position, end: Position) -> None:
        self._notes.append(f"No source has what lies between {start} and {end}.")

    def _page(self, found: list[Found], start: Position, end: Position, *, ended: bool) -> OperationPage:
        notes = tuple(dict.fromkeys(self._notes))
        return OperationPage(tuple(found), start, end, ended, self._source.name, notes)


def on_document(
    source: StreamSource,
    namespace: str,
    identities: Sequence[Any],
    until: Position | None = None,
    most: int = 200,
    budget: Budget | None = None,
) -> DocumentHistory:
    """The newest operations on a document with one of these ``_id``, up to ``until`` (included), and commands
    on its collection. The ids are alternatives: what was typed may be a number or a string.

    Raises:
        Trouble: The source cannot be read.
    """
    budget = budget or Budget()
    keys = {comparable(i) for i in identities}
    notes: list[str] = []
    found: deque[Found] = deque(maxlen=most)
    windows = source.windows()
    spans = list(_backwards(windows, until))
    finish, reached, whole = budget.clock() + budget.seconds, None, True
    for number, span in enumerate(spans):
        here: list[Found] = []
        if isinstance(source, Searchable):
            batches = source.touching(namespace, identities, span.start, span.end)
        else:
            batches = source.read(span.start, span.end)
        for raw in _entries(batches):
            if operation_type(raw) != "n":
                wanted = (o for o in operations_of(source, raw, notes) if concerns(o, namespace, keys))
                here += _first(wanted)
        reached = span.start
        cut = len(here) + len(found) > most
        found.extendleft(reversed(here[max(0, len(here) - (most - len(found))) :]))
        if cut:
            reached = found[0].operation.position
        if cut or (budget.clock() >= finish and number + 1 < len(spans)):
            whole = False
            break
    end = spans[0].end if spans else (until or Position(0, 0))
    return DocumentHistory(tuple(found), reached or end, end, whole, source.name, tuple(dict.fromkeys(notes)))


def operations_of(source: StreamSource, raw: bytes, notes: list[str]) -> Iterator[Operation]:
    """The operations that take effect at one entry; those of a transaction at its commit.

    Args:
        source: Where earlier parts of its transaction are looked up.
        notes: Gets a sentence for each transaction of which parts are missing.
    """
    entry = raw_entry(raw)
    if entry["op"] != "c":
        yield from TransactionAssembler().feed(entry)
        return
    body = entry["o"]
    name = next(iter(body), "")
    if name == "abortTransaction" or body.get("partialTxn") or body.get("prepare"):
        return
    assembler = TransactionAssembler()
    if name in ("commitTransaction", "applyOps"):
        for part in _earlier_parts(source, entry):
            # What it gives by itself is given at the commit.
            deque(assembler.feed(part), maxlen=0)
    yield from assembler.feed(entry)
    if assembler.incomplete:
        notes.append(f"The transaction that was committed at {entry_position(entry)} is not shown whole.")


def entry_position(entry: RawBSONDocument) -> Position:
    return Position.of(entry["ts"])


def _earlier_parts(source: StreamSource, entry: RawBSONDocument) -> list[RawBSONDocument]:
    """The entries of a transaction before its last one, oldest first; fewer where they cannot be had."""
    parts: list[RawBSONDocument] = []
    before = entry.get("prevOpTime")
    while before is not None and before["ts"].time and len(parts) < _MOST_PARTS:
        place = Position.of(before["ts"])
        try:
            raw = next(_entries(source.read(place, place)), None)
        except Trouble:
            raw = None
        if raw is None:
            break
        parts.append(raw_entry(raw))
        before = parts[-1].get("prevOpTime")
    return parts[::-1]


def _first(operations: Iterator[Operation]) -> list[Found]:
    shown = list(islice(operations, MOST_OF_ONE))
    more = sum(1 for _ in operations)
    return [Found(o, more if n == len(shown) - 1 else 0) for n, o in enumerate(shown)]


def _fits(pattern: str, operation: Operation) -> bool:
    database, collection = operation.database, operation.collection
    if operation.op == "c":
        subject = operation.document.get(operation.command)
        if operation.command == "renameCollection":
            names = [str(subject), str(operation.document.get("to"))]
            return any(matches(pattern, *_parted(name)) for name in names)
        collection = subject if isinstance(subject, str) else ""
        if not collection:
            # A command on the whole database concerns whatever is in it.
            return matches(pattern.partition(".")[0], database, "")
    return matches(pattern, database, collection)


def _parted(namespace: str) -> tuple[str, str]:
    database, _, collection = namespace.partition(".")
    return database, collection


def _backwards(windows: Sequence[Span], until: Position | None) -> Iterator[Span]:
    """The windows up to a position in growing steps, the newest first."""
    step = 600
    for window in reversed(windows):
        end = window.end if until is None else min(until, window.end)
        while end >= window.start:
            start = max(window.start, Position(max(end.t - step, 0), 0))
            yield Span(start, end)
            if start == window.start:
                break
            end, step = just_before(start), step * _GROWTH


def _entries(batches: Iterator[bytes]) -> Iterator[bytes]:
    for batch in batches:
        yield from rawbson.split(batch)
