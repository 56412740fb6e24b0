"""Finding destructive operations: fed with operations in order, it yields events.

Commands speak for themselves. A mass delete or update does not: the oplog has an entry a document and no
mark of the statement that made them. What belongs together is taken from what a statement leaves behind: one
writer, one namespace, one kind, the same changed fields, and pace.

A multi-update cannot be retried, so its entries have no session; the single updates of an application have
one, and a busy application makes hundreds of them a second. So updates with a session count only where one
transaction holds a mass of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from mongo_dr_console.model.event import CHANGES, Event, EventKind, EventSelector, event_id
from mongo_dr_console.model.eventchanges import is_of_users, login_change, modification, modified, shown
from mongo_dr_console.model.namespace import Namespace, Patterns, is_of_logins, is_system_database
from mongo_dr_console.model.oplogentry import COMMAND, Operation
from mongo_dr_console.model.position import Position

DEFAULT_MINIMUM = 100
"""Fewer deletes or updates than this are not a mass."""

PACE = 20
"""Operations within one second, of one writer, from which on they are looked at."""

GAP_SECONDS = 2.0
"""A pause longer than this ends a group; operations this close to its fast part belong to it."""

DROP_GAP_SECONDS = 2
"""Drops further apart than this are not those of one ``dropDatabase``."""

DROP_WAIT_SECONDS = 60
"""How long ``dropDatabase`` may wait, after its drops, for a majority to have them."""

_VIEWS = "system.views"
_IN_TRANSACTION = "@"
_MOST_KEPT = 10_000
_SWEEP = 20_000


def selects(selector: EventSelector, operation: Operation) -> bool:
    """Whether an operation is one of the event's own: what ``--skip`` leaves out."""
    if operation.op != selector.op or not selector.first <= operation.position <= selector.last:
        return False
    if operation.command == "collMod":
        return selector.first == selector.last and str(modified(operation)) in selector.namespaces
    if operation.op == "c":
        return bool(_subjects(operation) & set(selector.namespaces))
    if operation.namespace not in selector.namespaces or operation.session != selector.session:
        return False
    # Of users and roles a position says it all.
    return (
        operation.op in "di"
        or operation.database == "admin"
        or _contains(frozenset(selector.fields), frozenset(changed_fields(operation.document)))
    )


def is_part(operation: Operation, event: Event) -> bool:
    """Whether it is one of the operations of an event that took documents away or changed them."""
    return event.kind not in CHANGES and selects(event.selector, operation)


def changed_fields(document: Mapping[str, Any]) -> tuple[str, ...]:
    """Paths that an update's ``o`` changes, sorted, array positions as ``*``; none for a whole document.

    A diff of ``$v: 2`` (5.0 and later) and modifiers of ``$v: 1``.
    """
    diff = document.get("diff")
    if isinstance(diff, Mapping) and "$v" in document:
        return tuple(sorted(set(_diff_paths(diff, ""))))
    return tuple(sorted({key for part in ("$set", "$unset") for key in document.get(part, ())}))


def _contains(fields: frozenset[str], others: frozenset[str]) -> bool:
    """Whether one statement could have changed both; a replacement (no fields) goes with its like only."""
    return others <= fields and bool(others) == bool(fields)


def counts_as_mass(operation: Operation) -> bool:
    """Whether an update may be one of a mass: written without a session, or in a transaction."""
    return operation.session is None or operation.transaction


def in_transaction(session: str | None, position: Position) -> str:
    """The writer of a transaction's updates: those of the session's others are no part of them."""
    return f"{session}{_IN_TRANSACTION}{position}"


@dataclass(frozen=True, slots=True)
class Filter:
    """Which events are wanted.

    Args:
        patterns: ``--ns``; none wants all.
        ignored: A profile's ``ignore_events``: nobody's mistakes.
        minimum: The least number of deletes or updates.
    """

    patterns: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    minimum: int = DEFAULT_MINIMUM

    def wants(self, event: Event) -> bool:
        hit = touched(event)
        if self.ignored and all(Patterns(self.ignored).match(n) for n in hit):
            return False
        return not self.patterns or any(Patterns(self.patterns).match(n) for n in hit)


def touched(event: Event) -> list[Namespace]:
    """What an event destroyed or changed; of a database without collections ``db.*``."""
    return [Namespace.parse(event.namespace)] if "." in event.namespace else _dropped_with(event)


@dataclass(frozen=True, slots=True)
class _Drop:
    namespace: Namespace
    position: Position
    documents: int | None


@dataclass(slots=True)
class _Stretch:
    """A number of operations, from first to last."""

    first: Position
    last: Position
    began: float
    ended: float
    count: int

    def add(self, position: Position, time: float, count: int = 1) -> None:
        self.last, self.ended, self.count = position, time, self.count + count

    def reach(self, other: _Stretch) -> bool:
        return self.began - GAP_SECONDS <= other.ended and other.began <= self.ended + GAP_SECONDS

    def join(self, other: _Stretch) -> _Stretch:
        return _Stretch(
            first=min(self.first, other.first),
            last=max(self.last, other.last),
            began=min(self.began, other.began),
            ended=max(self.ended, other.ended),
            count=self.count + other.count,
        )


@dataclass(slots=True)
class _Track:
    """Operations with the same changed fields. While it is not fast it remembers the last seconds only."""

    recent: deque[tuple[Position, float]] = field(default_factory=deque)
    held: _Stretch | None = None
    fast: _Stretch | None = None
    fast_at: float = 0.0

    @property
    def last_time(self) -> float:
        return self.recent[-1][1] if self.recent else 0.0


_Key = tuple[str, str, str | None]
_Fields = frozenset[str]
NO_FIELDS: _Fields = frozenset()


class Write(NamedTuple):
    """A delete or an update, as far as the detector looks at it; ``time`` in seconds since 1970."""

    op: str
    namespace: str
    session: str | None
    fields: frozenset[str]
    position: Position
    time: float


@dataclass(slots=True)
class _Writer:
    """One writer's deletes or updates in one namespace."""

    key: _Key
    tracks: dict[_Fields, _Track] = field(default_factory=dict)
    left: list[tuple[_Fields, _Stretch]] = field(default_factory=list)
    found: list[tuple[_Fields, _Stretch]] = field(default_factory=list)
    seen: float = 0.0
    settled: float = 0.0

    @property
    def fast(self) -> bool:
        return any(t.fast is not None for t in self.tracks.values())


class EventScan:
    """The detector. Memory is bounded by the writers of the last seconds.

    Args:
        minimum: The least number of deletes or updates that make an event.
    """

    def __init__(self, minimum: int = DEFAULT_MINIMUM) -> None:
        self._minimum = minimum
        self._drops: dict[str, list[_Drop]] = {}
        self._writers: dict[_Key, _Writer] = {}
        self._fed = 0

    def feed(self, operation: Operation, time: float) -> Iterator[Event]:
        """Takes the next operation; yields what is certain by now, not in order of position.

        Inserts matter only while ``watching`` says so.

        Args:
            operation: In the order of the oplog.
            time: Seconds since 1970 at which it was written, as exactly as known; never falling.
        """
        if operation.op == "c":
            yield from self._command(operation)
            return
        if is_of_logins(Namespace(operation.database, operation.collection)):
            yield login_change(operation)
            return
        yield from self._flush_drops(operation.database)
        if operation.op == "d" or (operation.op == "u" and counts_as_mass(operation)):
            fields = frozenset(changed_fields(operation.document)) if operation.op == "u" else NO_FIELDS
            namespace, session = operation.namespace, operation.session
            if operation.op == "u" and operation.transaction:
                session = in_transaction(session, operation.position)
            yield from self.write(Write(operation.op, namespace, session, fields, operation.position, time))

    def finish(self) -> Iterator[Event]:
        """What is still open at the end of the scan."""
        for database in list(self._drops):
            yield from self._flush_drops(database)
        for writer in self._writers.values():
            yield from self._settle(writer, float("inf"))
        self._writers.clear()

    @property
    def watching(self) -> bool:
        """Whether a write into some database would tell drops in it from those of a ``dropDatabase``, during
        which the server lets nothing be written there."""
        return bool(self._drops)

    def wrote(self, database: str) -> Iterator[Event]:
        """Says that something was written into a database."""
        yield from self._flush_drops(database)

    @property
    def open_since(self) -> Position | None:
        """First position of the oldest group that may still go on, None if none is."""
        firsts = [d.position for drops in self._drops.values() for d in drops]
        firsts += [t.fast.first for w in self._writers.values() for t in w.tracks.values() if t.fast]
        return min(firsts, default=None)

    # Commands

    def _command(self, operation: Operation) -> Iterator[Event]:
        name, database = operation.command, operation.database
        if is_system_database(database):
            return
        if name == "drop":
            yield from self._drop(operation)
        elif name == "dropDatabase":
            yield from self._drop_database(operation)
        elif name == "renameCollection":
            yield from self._flush_drops(database)
            yield from _rename_over(operation)
        elif name in ("create", "importCollection"):
            yield from self._flush_drops(database)
        elif name == "collMod":
            yield from self._flush_drops(database)
            if is_of_users(database, modified(operation).collection):
                yield modification(operation)

    def _drop(self, operation: Operation) -> Iterator[Event]:
        drops = self._drops.setdefault(operation.database, [])
        if drops and operation.position.t - drops[-1].position.t > DROP_GAP_SECONDS:
            yield from self._flush_drops(operation.database)
            drops = self._drops.setdefault(operation.database, [])
        namespace = Namespace(operation.database, str(operation.document["drop"]))
        drops.append(_Drop(namespace, operation.position, _records(operation)))
        if len(drops) > _MOST_KEPT:
            yield from self._flush_drops(operation.database)

    def _flush_drops(self, database: str) -> Iterator[Event]:
        for drop in self._drops.pop(database, ()):
            if is_of_users(database, drop.namespace.collection) and not _is_temporary(
                drop.namespace.collection
            ):
                yield _command_event(
                    "drop",
                    str(shown(drop.namespace)),
                    [drop.position],
                    drop.documents,
                    namespaces=(str(drop.namespace),),
                )

    def _drop_database(self, operation: Operation) -> Iterator[Event]:
        waiting = self._drops.get(operation.database)
        if waiting and operation.position.t - waiting[-1].position.t > DROP_WAIT_SECONDS:
            yield from self._flush_drops(operation.database)
        drops = self._drops.pop(operation.database, [])
        namespaces = tuple(str(d.namespace) for d in drops)
        counted = [d.documents for d in drops if is_of_users(operation.database, d.namespace.collection)]
        known = [c for c in counted if c is not None]
        collections = len(counted)
        yield _command_event(
            "drop-database",
            operation.database,
            [*(d.position for d in drops), operation.position],
            sum(known) if len(known) == len(counted) else None,
            namespaces=(*namespaces, f"{operation.database}.{COMMAND}"),
            detail=f"{collections} collection{'' if collections == 1 else 's'}",
        )

    # Documents

    def write(self, write: Write) -> Iterator[Event]:
        """The same for a delete or an update that was read without making an ``Operation`` of it."""
        self._fed += 1
        if self._fed % _SWEEP == 0:
            yield from self._sweep(write.time)
        key, time = write[:3], write.time
        if self._drops:
            yield from self._flush_drops(write.namespace.partition(".")[0])
        writer = self._writers.get(key)
        if writer is None:
            database, _, collection = write.namespace.partition(".")
            if not is_of_users(database, collection):
                return
            writer = self._writers[key] = _Writer(key, settled=time)
        elif time - writer.settled > GAP_SECONDS / 4:
            yield from self._settle(writer, time)
        writer.seen = time
        track = writer.tracks.get(write.fields)
        if track is None:
            track = writer.tracks[write.fields] = _Track()
        _advance(writer, track, write.position, time)

    def _settle(self, writer: _Writer, now: float) -> Iterator[Event]:
        """Closes every track that has been quiet, or slow again, for longer than the gap."""
        writer.settled = now
        for fields, track in list(writer.tracks.items()):
            since = track.fast_at if track.fast is not None else track.last_time
            if now - since > GAP_SECONDS:
                _close(writer, fields, track)
        if not writer.fast:
            yield from self._resolve(writer)

    def _resolve(self, writer: _Writer) -> Iterator[Event]:
        """No track is fast any more: puts together what one statement wrote."""
        if not writer.found:
            writer.left.clear()
            return
        for track_fields, track in writer.tracks.items():
            stretch = _whole(track)
            if stretch is not None:
                writer.left.append((track_fields, stretch))
            track.held = None
        for fields, stretch in _merge(writer.found, writer.left):
            if stretch.count >= self._minimum:
                yield _mass_event(writer.key, fields, stretch)
        writer.found.clear()
        writer.left.clear()

    def _sweep(self, now: float) -> Iterator[Event]:
        for key, writer in list(self._writers.items()):
            if now - writer.seen > GAP_SECONDS:
                yield from self._settle(writer, now)
                del self._writers[key]


def _advance(writer: _Writer, track: _Track, position: Position, time: float) -> None:
    recent = track.recent
    recent.append((position, time))
    is_fast = len(recent) >= PACE and time - recent[-PACE][1] <= 1.0
    if track.fast is not None:
        track.fast.add(position, time)
        while len(recent) > PACE:
            recent.popleft()
        if is_fast:
            track.fast_at = time
        return
    while time - recent[0][1] > GAP_SECONDS:
        old, then = recent.popleft()
        if not writer.fast:
            continue
        if track.held is None:
            track.held = _Stretch(old, old, then, then, 1)
        else:
            track.held.add(old, then)
    if is_fast:
        # What was held aside stays in it: it lies within the gap of a fast track of the same writer.
        whole = _whole(track)
        assert whole is not None
        track.fast, track.fast_at = whole, time


def _whole(track: _Track) -> _Stretch | None:
    """All that a track remembers."""
    if track.fast is not None:
        return track.fast
    if not track.recent:
        return track.held
    (first, began), (last, ended) = track.recent[0], track.recent[-1]
    stretch = _Stretch(first, last, began, ended, len(track.recent))
    return stretch if track.held is None else track.held.join(stretch)


def _close(writer: _Writer, fields: _Fields, track: _Track) -> None:
    del writer.tracks[fields]
    stretch = _whole(track)
    if stretch is None:
        return
    if track.fast is not None:
        writer.found.append((fields, stretch))
    elif len(writer.left) < _MOST_KEPT:
        writer.left.append((fields, stretch))


def _merge(
    found: Sequence[tuple[_Fields, _Stretch]], left: Sequence[tuple[_Fields, _Stretch]]
) -> list[tuple[_Fields, _Stretch]]:
    """Joins groups whose fields contain each other and whose times touch.

    ``$set: {status: "x", total: 0}`` logs ``status`` alone for the documents whose total was 0 already, so
    one statement leaves several sets of fields. A selector takes every subset of its fields, so what it takes
    is counted here.
    """
    pool = [(*one, True) for one in found] + [(*one, False) for one in left]
    pool.sort(key=lambda one: (-len(one[0]), not one[2]))
    merged: list[tuple[_Fields, _Stretch]] = []
    while any(is_fast for _, _, is_fast in pool):
        start = max((n for n in range(len(pool)) if pool[n][2]), key=lambda n: pool[n][1].count)
        fields, stretch, _ = pool.pop(start)
        grown = True
        while grown:
            grown = False
            for n, (other_fields, other, _) in enumerate(pool):
                related = _contains(fields, other_fields) or _contains(other_fields, fields)
                if related and stretch.reach(other):
                    fields, stretch, grown = fields | other_fields, stretch.join(other), True
                    pool.pop(n)
                    break
        merged.append((fields, stretch))
    return merged


def _mass_event(key: _Key, fields: _Fields, stretch: _Stretch) -> Event:
    op, namespace, writer = key
    session = writer.partition(_IN_TRANSACTION)[0] if writer is not None else None
    kind: EventKind = "mass-delete" if op == "d" else "mass-update"
    paths = tuple(sorted(fields))
    return Event(
        id=event_id(kind, namespace, stretch.first),
        kind=kind,
        position=stretch.first,
        last=stretch.last,
        time=stretch.first.time,
        namespace=namespace,
        operations=stretch.count,
        documents=stretch.count,
        before=None,
        detail=_fields_in_words(paths) if op == "u" else "",
        selector=EventSelector(
            first=stretch.first,
            last=stretch.last,
            op="d" if op == "d" else "u",
            namespaces=(namespace,),
            session=session,
            fields=paths,
        ),
    )


def _fields_in_words(paths: tuple[str, ...]) -> str:
    if not paths:
        return "whole documents"
    shown = ", ".join(paths[:4])
    return f"fields: {shown}" + (f" and {len(paths) - 4} more" if len(paths) > 4 else "")


def _command_event(
    kind: EventKind,
    namespace: str,
    positions: list[Position],
    documents: int | None,
    *,
    namespaces: tuple[str, ...],
    detail: str = "",
) -> Event:
    return Event(
        id=event_id(kind, namespace, positions[0]),
        kind=kind,
        position=positions[0],
        last=positions[-1],
        time=positions[0].time,
        namespace=namespace,
        operations=len(positions),
        documents=documents,
        before=None,
        detail=detail,
        selector=EventSelector(first=positions[0], last=positions[-1], op="c", namespaces=namespaces),
    )


def _rename_over(operation: Operation) -> Iterator[Event]:
    if not operation.document.get("dropTarget"):
        return
    source = Namespace.parse(str(operation.document["renameCollection"]))
    target = Namespace.parse(str(operation.document["to"]))
    if not all(is_of_users(n.database, n.collection) for n in (source, target)):
        return
    how = (
        "$out of an aggregation"
        if source.collection.startswith("tmp.agg_out.")
        else f"{source} renamed over it"
    )
    yield _command_event(
        "rename-over",
        str(target),
        [operation.position],
        _records(operation),
        namespaces=(str(source), str(target)),
        detail="convertToCapped" if ".convertToCapped." in source.collection else how,
    )


def _records(operation: Operation) -> int | None:
    found = operation.key.get("numRecords") if operation.key is not None else None
    return int(found) if found is not None else None


def _subjects(operation: Operation) -> set[str]:
    """The namespaces that a destructive command is about; none for other commands."""
    name = operation.command
    if name == "drop":
        return {f"{operation.database}.{operation.document['drop']}"}
    if name == "dropDatabase":
        return {f"{operation.database}.{COMMAND}"}
    if name == "renameCollection":
        return {str(operation.document["renameCollection"]), str(operation.document["to"])}
    return set()


def _is_temporary(collection: str) -> bool:
    return collection.startswith("tmp.agg_out.") or (
        collection.startswith("tmp") and collection.endswith((".renameCollection", ".rename"))
    )


def _dropped_with(event: Event) -> list[Namespace]:
    """The collections of a dropped database; one that stands for all where it had none."""
    dropped = [Namespace.parse(n) for n in event.selector.namespaces]
    users = [shown(n) for n in dropped if n.collection != COMMAND and is_of_users(n.database, n.collection)]
    return users or [Namespace(event.namespace, "*")]


def _diff_paths(diff: Mapping[str, Any], prefix: str) -> Iterator[str]:
    in_array = bool(diff.get("a"))
    for key, value in diff.items():
        if in_array:
            if key.startswith("s") and isinstance(value, Mapping):
                yield from _diff_paths(value, f"{prefix}*.")
            elif key != "a":
                yield f"{prefix}*"
        elif key in ("u", "i", "d"):
            yield from (prefix + name for name in value)
        elif key.startswith("s"):
            yield from _diff_paths(value, f"{prefix}{key[1:]}.")
