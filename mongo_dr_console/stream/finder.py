"""Looking for things in a source: events, what lies around a position, the history of one document."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Protocol, runtime_checkable

import bson
from bson.codec_options import CodecOptions
from bson.timestamp import Timestamp

from mongo_dr_console.model import rawbson
from mongo_dr_console.model.describe import describe_entry, describe_operation
from mongo_dr_console.model.documentid import comparable
from mongo_dr_console.model.entryhead import head, operation_type, place_of
from mongo_dr_console.model.event import ID_LENGTH, MASSES, Event
from mongo_dr_console.model.eventscan import (
    DEFAULT_MINIMUM,
    GAP_SECONDS,
    NO_FIELDS,
    PACE,
    EventScan,
    Filter,
    Write,
    changed_fields,
    in_transaction,
    is_part,
)
from mongo_dr_console.model.oplogentry import (
    Operation,
    TransactionAssembler,
    begins,
    is_transaction,
    raw_entry,
    session_of,
)
from mongo_dr_console.model.position import MAX_ORDINAL, Bound, Limit, Position, Span
from mongo_dr_console.model.slowdeletes import PAUSE_MINUTES, Tally, slow_deletes
from mongo_dr_console.model.trouble import WrongUse
from mongo_dr_console.model.when import event_by_id
from mongo_dr_console.stream.source import StreamSource

_LOOK_BACK = 60
"""Seconds before ``since`` from which on is read, so that an event keeps its first entry and so its id."""

_REACH = int(2 * GAP_SECONDS) + 1
_LOOK_SLOW = 6 * 3600
"""Seconds around what is asked for in which a slow one must be a mass to be seen."""
_JUST_NOW, _RECENT = 120, 3600
_PAUSE = (PAUSE_MINUTES + 1) * 60
_MINIMA = (DEFAULT_MINIMUM, PACE)
"""What counts as a mass, when an event is looked for that is there: the usual first."""
_FROM_THE_USUAL_ON = [(slow, minimum) for slow in (False, True) for minimum in _MINIMA]

# Whole entries as plain dictionaries: for the many small deletes and updates faster than a raw document.
_PLAIN: CodecOptions[dict[str, Any]] = CodecOptions(
    document_class=dict,
    datetime_conversion=rawbson.RAW.datetime_conversion,
    unicode_decode_error_handler=rawbson.RAW.unicode_decode_error_handler,
)
_LARGE = 4096
_LOGINS = b"admin.system."
_APPLY_OPS = b"\x04applyOps\0"
_NAMED_BY = 400
"""An entry's namespace lies within so many bytes of its front, behind the session at most."""


@runtime_checkable
class Searchable(StreamSource, Protocol):
    """A source that can look things up by itself, which the live oplog does on its server."""

    def entry_before(self, position: Position) -> Position | None: ...

    def destructive(self, start: Position, end: Position, threshold: int, reach: int) -> Iterator[bytes]: ...

    def tallies(self, start: Position, end: Position, minimum: int) -> list[Tally]: ...

    def sizes(self, namespaces: Sequence[str]) -> dict[str, int]: ...

    def touching(
        self, namespace: str, identities: Sequence[Any], start: Position, end: Position
    ) -> Iterator[bytes]: ...

    def newest(self, end: Position, count: int) -> list[bytes]: ...

    def oldest(self, start: Position, count: int) -> list[bytes]: ...


@dataclass(frozen=True, slots=True)
class Neighbouring:
    """An entry next to a limit, in words."""

    position: Position
    text: str


@dataclass(frozen=True, slots=True)
class Change:
    """One operation in the history of a document; ``raw`` is its ``o``."""

    position: Position
    operation: str
    text: str
    raw: bytes
    transaction: bool


def find_events(
    source: StreamSource,
    since: Position | None = None,
    until: Position | None = None,
    wanted: Filter | None = None,
    *,
    slow: bool = False,
) -> list[Event]:
    """The events of a source that reach into ``since`` to ``until`` (both included), oldest first; with
    ``slow`` also mass deletes that are spread over hours, for which more is read.

    Whatever ``since`` is, an event is found whole and with the same id, unless the source itself begins in
    the middle of it.

    Raises:
        Unreachable, Failed: As the source says.
    """
    found = scan_events(source, since, until, wanted or Filter(), slow=slow)
    return [_with_before(source, e) for e in found]


def scan_events(
    source: StreamSource,
    since: Position | None,
    until: Position | None,
    wanted: Filter,
    *,
    slow: bool = False,
) -> list[Event]:
    """The same without what lies before each, which is read for one at a time."""
    found: list[Event] = []
    for window in source.windows():
        if (since and window.end < since) or (until and window.start > until):
            continue
        span = Span(since or window.start, until or window.end)
        fast = _scan_window(source, window, span.start, span.end, wanted.minimum)
        found += fast
        if slow:
            found += find_slow(source, window, span, fast, wanted.minimum)
    return sorted((e for e in found if wanted.wants(e)), key=lambda e: (e.position, e.id))


def _with_before(source: StreamSource, event: Event) -> Event:
    return event.model_copy(update={"before": entry_before(source, event.position)})


def find_event(source: StreamSource, identity: str) -> Event:
    """The event with this id, wherever in the source it is, also one of fewer documents than usual.

    Raises:
        WrongUse: There is none, or several begin with it.
    """
    for events in _looked_for(source, whole=len(identity) == ID_LENGTH):
        try:
            return _with_before(source, event_by_id(events, identity))
        except WrongUse as trouble:
            if trouble.code != "event-unknown":
                raise
            unknown = trouble
    raise unknown


def _looked_for(source: StreamSource, *, whole: bool) -> Iterator[list[Event]]:
    """Events among which one may be, the cheapest to find first: what counts as a mass usually, then fewer
    documents, then what is spread over hours.

    Most mistakes are looked for soon, and what a busy deployment or a restore writes in an hour is much to
    look through. An id that is not whole may mean several events, so everything is looked at.
    """
    windows = source.windows()
    if whole and windows:
        oldest, latest = min(w.start for w in windows), max(w.end for w in windows)
        for seconds in (_JUST_NOW, _RECENT):
            since = Position(max(latest.t - seconds, 0), 0)
            if since > oldest:
                yield scan_events(source, since, None, Filter(minimum=PACE))
    fast = {w: _scan_window(source, w, w.start, w.end, PACE) for w in windows}
    known = {minimum: {w: _at_least(minimum, events) for w, events in fast.items()} for minimum in _MINIMA}
    for minimum in _MINIMA:
        yield list(chain.from_iterable(known[minimum].values()))
    for minimum in _MINIMA:
        yield [e for w in windows for e in find_slow(source, w, w, known[minimum][w], minimum)]


def _at_least(minimum: int, events: Sequence[Event]) -> list[Event]:
    return [e for e in events if e.kind not in MASSES or e.operations >= minimum]


def event_of(source: StreamSource, operation: Operation) -> Event | None:
    """The event that an operation is a part of, found as ``find_event`` finds it; None: it stands alone."""
    at = operation.position
    for slow, minimum in _FROM_THE_USUAL_ON:
        # Those that are spread over hours, for which hours are read, are deletes.
        if operation.op == "d" or not slow:
            for event in scan_events(source, at, at, Filter(minimum=minimum), slow=slow):
                if is_part(operation, event):
                    return _with_before(source, event)
    return None


def with_shares(source: StreamSource, events: Sequence[Event]) -> list[Event]:
    """The events with the share of their collections that mass deletes and updates hit, where the source
    knows how many documents there are now; what was written since makes it inexact."""
    if not isinstance(source, Searchable):
        return list(events)
    sizes = source.sizes(sorted({e.namespace for e in events if e.kind in MASSES}))
    found = []
    for event in events:
        now = sizes.get(event.namespace)
        if now is None or not event.documents or event.kind not in MASSES:
            found.append(event)
            continue
        before = now + event.documents if event.kind == "mass-delete" else max(now, event.documents)
        found.append(event.model_copy(update={"share": round(event.documents / before, 4)}))
    return found


def entry_before(source: StreamSource, position: Position) -> Position | None:
    """Position of the newest entry before this one that the source has."""
    if isinstance(source, Searchable):
        return source.entry_before(position)
    before = _newest(source, position, 1, noops=True)
    return head(before[0]).position if before else None


def neighbours(
    source: StreamSource, limit: Limit, count: int = 1
) -> tuple[list[Neighbouring], list[Neighbouring]]:
    """The last entries that a limit lets through and the first that it does not, in words, oldest first.

    The server's own no-ops are passed over.
    """
    border = limit.position if limit.bound is Bound.BEFORE else _after(limit.position)
    if isinstance(source, Searchable):
        applied, left_out = source.newest(border, count), source.oldest(border, count)
    else:
        applied, left_out = _newest(source, border, count), _oldest(source, border, count)
    return [_neighbour(raw) for raw in applied], [_neighbour(raw) for raw in left_out]


def document_history(
    source: StreamSource, namespace: str, identities: Sequence[Any], since: Position, until: Position
) -> Iterator[Change]:
    """Every operation on a document with one of these ``_id``, and every command that took its collection
    away or brought it, in order. The ids are alternatives: what was typed may be a number or a string.
    """
    assembler = TransactionAssembler()
    keys = {comparable(i) for i in identities}
    for window in source.windows():
        start, end = max(since, window.start), min(until, window.end)
        if start > end:
            continue
        if isinstance(source, Searchable):
            batches = source.touching(namespace, identities, start, end)
        else:
            batches = source.read(start, end)
        for raw in _entries(batches):
            for operation in assembler.feed(raw_entry(raw)):
                if concerns(operation, namespace, keys):
                    yield Change(
                        position=operation.position,
                        operation=operation.command or operation.op,
                        text=describe_operation(operation),
                        raw=bytes(operation.document.raw),
                        transaction=operation.transaction,
                    )


# Scanning


def _scan_window(
    source: StreamSource, window: Span, since: Position, until: Position, minimum: int
) -> list[Event]:
    look_back = _LOOK_BACK
    while True:
        start = max(window.start, Position(max(since.t - look_back, 0), 0))
        found = _scan(source, start, until, window.end, minimum)
        # Of one that is wanted; where others lie thick, the whole oplog would be read for nothing.
        cut = start > window.start and any(
            e.position.t - start.t <= _REACH and e.last >= since for e in found
        )
        if not cut:
            return [e for e in found if e.last >= since and e.position <= until]
        look_back *= 20


def find_slow(
    source: StreamSource, window: Span, span: Span, known: Sequence[Event], minimum: int
) -> list[Event]:
    """The slow mass deletes of a window that reach into a span, each as a whole; ``known``: the other events
    of that span."""
    reach = _LOOK_SLOW
    while True:
        start = max(window.start, Position(max(span.start.t - reach, 0), 0))
        end = min(window.end, Position(min(span.end.t + reach, MAX_ORDINAL), MAX_ORDINAL))
        tallies = _tallies(source, start, end, minimum)
        wider = start < span.start or end > span.end
        fast = _scan(source, start, end, end, minimum) if tallies and wider else known
        found = [
            e for e in slow_deletes(tallies, fast, minimum) if e.last >= span.start and e.position <= span.end
        ]
        cut = any(start > window.start and e.position.t - start.t <= _PAUSE for e in found) or any(
            end < window.end and end.t - e.last.t <= _PAUSE for e in found
        )
        if not cut:
            return found
        reach *= 6


def _tallies(source: StreamSource, start: Position, end: Position, minimum: int) -> list[Tally]:
    if isinstance(source, Searchable):
        return source.tallies(start, end, minimum)
    # Of each minute: how many, and the first and last position.
    deletes: dict[tuple[str, str | None, int], list[Any]] = {}
    inserts: dict[tuple[bytes, int], list[Any]] = {}
    for raw in _entries(source.read(start, end)):
        op, name, second, ordinal = place_of(raw)
        if op == b"i":
            place = (name, second // 60)
            if (row := inserts.get(place)) is None:
                row = inserts[place] = [0, (second, ordinal), None]
        elif op == b"d":
            entry = bson.decode(raw, _PLAIN)
            writer = session_of(entry)
            at = (name.decode(), writer, second // 60)
            if (row := deletes.get(at)) is None:
                row = deletes[at] = [0, (second, ordinal), None]
        else:
            continue
        row[0] += 1
        row[2] = (second, ordinal)
    totals: Counter[tuple[str, str | None]] = Counter()
    for key, row in deletes.items():
        totals[key[:2]] += row[0]
    many = {key for key, count in totals.items() if count >= minimum}
    names = {namespace.encode() for namespace, _ in many}
    found = [
        Tally("d", *key, row[0], Position(*row[1]), Position(*row[2]))
        for key, row in deletes.items()
        if key[:2] in many
    ]
    return found + [
        Tally("i", name.decode(), None, minute, row[0], Position(*row[1]), Position(*row[2]))
        for (name, minute), row in inserts.items()
        if name in names
    ]


def _scan(source: StreamSource, start: Position, until: Position, end: Position, minimum: int) -> list[Event]:
    """Reads past ``until`` for as long as something that began before it goes on."""
    scan, reader = EventScan(minimum), _Reader()
    found: list[Event] = []
    begin, stop = start, min(end, Position(min(until.t + _LOOK_BACK, MAX_ORDINAL), MAX_ORDINAL))
    while True:
        for raw in _entries(_relevant(source, begin, stop)):
            found += reader.feed(scan, raw)
        going_on = scan.open_since is not None and scan.open_since <= until
        if stop >= end or not going_on:
            break
        begin, stop = (
            _after(stop),
            min(end, Position(min(stop.t + 10 * _LOOK_BACK, MAX_ORDINAL), MAX_ORDINAL)),
        )
    found += scan.finish()
    return found


def _relevant(source: StreamSource, start: Position, end: Position) -> Iterator[bytes]:
    if isinstance(source, Searchable):
        return source.destructive(start, end, PACE // 2, _REACH)
    return source.read(start, end)


@dataclass(frozen=True, slots=True)
class _Several:
    """Writes that took effect at once: a transaction that is one entry, or an ``applyOps`` that was sent.

    Args:
        writes: The entries in it.
    """

    stamp: Timestamp
    wall: Any
    session: str | None
    transaction: bool
    writes: list[dict[str, Any]]


def _several(raw: bytes) -> _Several | None:
    """The short way for entries that are nothing but writes to documents; None: it must be looked at closely.

    A busy application, or a restore, writes most of what it writes like this, and as raw documents that takes
    four times as long.
    """
    if raw.find(_APPLY_OPS) < 0 or raw.find(_LOGINS) >= 0:
        return None
    entry = bson.decode(raw, _PLAIN)
    body = entry["o"]
    if next(iter(body), "") != "applyOps" or body.get("partialTxn") or body.get("prepare"):
        return None
    transaction = is_transaction(entry)
    if transaction and not begins(entry):
        return None
    writes: list[dict[str, Any]] = body["applyOps"]
    if any(one["op"] == "c" for one in writes):
        return None
    return _Several(entry["ts"], entry.get("wall"), session_of(entry), transaction, writes)


class _Reader:
    """Makes of raw entries what the detector wants, with a short way for plain deletes and updates."""

    def __init__(self) -> None:
        self._assembler = TransactionAssembler()
        self._time = 0.0

    def feed(self, scan: EventScan, raw: bytes) -> Iterator[Event]:
        op = operation_type(raw)
        if op in "iud" and raw.find(_LOGINS, 0, _NAMED_BY) >= 0:
            # Few have that near their front; what it is is looked at below.
            whole = raw_entry(raw)
            time = self._tick(whole["ts"].time, whole.get("wall"))
            for operation in self._assembler.feed(whole):
                yield from scan.feed(operation, time)
        elif op in "du":
            entry = bson.decode(raw, _PLAIN) if len(raw) < _LARGE else raw_entry(raw)
            session = session_of(entry)
            if op == "u" and session is not None:
                return
            stamp = entry["ts"]
            yield from scan.write(
                Write(
                    op,
                    entry["ns"],
                    session,
                    frozenset(changed_fields(entry["o"])) if op == "u" else NO_FIELDS,
                    Position(stamp.time, stamp.inc),
                    self._tick(stamp.time, entry.get("wall")),
                )
            )
        elif op == "i" and scan.watching:
            yield from scan.wrote(str(raw_entry(raw)["ns"]).partition(".")[0])
        elif op == "c" and (several := _several(raw)) is not None:
            yield from self._writes(scan, several)
        elif op == "c":
            whole = raw_entry(raw)
            time = self._tick(whole["ts"].time, whole.get("wall"))
            for operation in self._assembler.feed(whole):
                yield from scan.feed(operation, time)

    def _writes(self, scan: EventScan, several: _Several) -> Iterator[Event]:
        time = self._tick(several.stamp.time, several.wall)
        position, session = Position(several.stamp.time, several.stamp.inc), several.session
        for one in several.writes:
            op, namespace = one["op"], one["ns"]
            if op == "d":
                yield from scan.write(Write("d", namespace, session, NO_FIELDS, position, time))
            elif op == "u" and (several.transaction or session is None):
                writer = in_transaction(session, position) if several.transaction else session
                fields = frozenset(changed_fields(one["o"]))
                yield from scan.write(Write("u", namespace, writer, fields, position, time))
            elif op != "n" and scan.watching:
                yield from scan.wrote(namespace.partition(".")[0])

    def _tick(self, second: int, wall: Any) -> float:
        """The oplog's second with the fraction of the writer's clock, which may be a little off."""
        fraction = 0.0
        if wall is not None and hasattr(wall, "microsecond"):
            off = (wall.second - second) % 60
            fraction = wall.microsecond / 1e6 if off == 0 else (0.999 if off == 1 else 0.0)
        self._time = max(self._time, second + fraction)
        return self._time


def _entries(batches: Iterator[bytes]) -> Iterator[bytes]:
    for batch in batches:
        yield from rawbson.split(batch)


# Around a position


def _neighbour(raw: bytes) -> Neighbouring:
    return Neighbouring(head(raw).position, describe_entry(raw))


def _after(position: Position) -> Position:
    if position.i < MAX_ORDINAL:
        return Position(position.t, position.i + 1)
    return Position(min(position.t + 1, MAX_ORDINAL), 0)


def _newest(source: StreamSource, end: Position, count: int, *, noops: bool = False) -> list[bytes]:
    """The newest entries before ``end`` of a source that can only be read forwards."""
    windows = [w for w in source.windows() if w.start < end]
    if not windows:
        return []
    window, span = windows[-1], 1
    while True:
        start = max(window.start, Position(max(min(end.t, window.end.t) - span, 0), 0))
        kept: list[bytes] = []
        for raw in _entries(source.read(start, min(end, window.end))):
            entry = head(raw)
            if entry.position < end and (noops or entry.op != "n"):
                kept = [*kept[-(count - 1) :], raw] if count > 1 else [raw]
        if len(kept) >= count or start == window.start:
            return kept
        span *= 20


def _oldest(source: StreamSource, start: Position, count: int) -> list[bytes]:
    found: list[bytes] = []
    for window in source.windows():
        if window.end < start:
            continue
        for raw in _entries(source.read(max(start, window.start), window.end)):
            if operation_type(raw) != "n":
                found.append(raw)
            if len(found) >= count:
                return found
    return found


# The history of a document


def concerns(operation: Operation, namespace: str, keys: set[bytes]) -> bool:
    """Whether it wrote a document with one of these ``_id`` (see ``comparable``), or is a command that took
    its collection away or brought it."""
    if operation.op != "c":
        return operation.namespace == namespace and comparable(operation.document_id) in keys
    database, _, collection = namespace.partition(".")
    name = operation.command
    if name == "renameCollection":
        return namespace in (operation.document[name], operation.document.get("to"))
    if operation.database != database:
        return False
    return name == "dropDatabase" or (name in ("drop", "create") and operation.document[name] == collection)
