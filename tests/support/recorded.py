"""A history of a deployment with a snapshot in its midst, cuts of it, and what there must be at each."""

from __future__ import annotations

import random
import threading
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bson
import pytest

from mongo_dr_console.engines.builtin import dump_scan
from mongo_dr_console.engines.builtin.dump import DumpRequest, dump
from mongo_dr_console.engines.builtin.snapshot import StoredSnapshot
from mongo_dr_console.model.event import Event
from mongo_dr_console.model.position import Bound, Limit, Position
from mongo_dr_console.mongo.identity import read_identity
from mongo_dr_console.stores.local import LocalStore
from mongo_dr_console.stores.snapshot_reader import open_snapshot
from mongo_dr_console.stores.snapshot_writer import SnapshotWriter
from support import histories
from support.found import events_in
from support.histories import History
from support.jobs import NeverStop
from support.naive import Naive
from support.prepared import PreparedProfile

BEFORE, WITHIN, AFTER = 60, 12, 160
"""Steps before, during and after the snapshot."""

_EVERY = 50


@dataclass(frozen=True)
class Cut:
    """A restore to be tried.

    Args:
        seed: Of its history.
        limit: Where it stops.
        scope: Databases and namespaces; none: all three databases.
        event: Left out.
    """

    seed: int
    limit: Limit
    scope: tuple[str, ...]
    event: Event | None

    def __str__(self) -> str:
        skipped = f" without {self.event.kind} {self.event.id} at {self.event.position}" if self.event else ""
        return f"seed {self.seed}: {self.limit} of {self.scope}{skipped}"


class Recorded:
    """A history with a snapshot in it."""

    def __init__(self, client: Any, prepared: PreparedProfile, seed: int) -> None:
        self.client, self.prepared = client, prepared
        self.history = History(client, f"h{seed}", seed)
        self.history.begin()
        for _ in range(BEFORE):
            self.history.step()
        self.name = snapshot_meanwhile(client, prepared.store, self.history)
        for _ in range(AFTER):
            self.history.step()
        self.history.end()
        self.snapshot = StoredSnapshot(open_snapshot(LocalStore("local", prepared.store), self.name))
        manifest = self.snapshot.reader.manifest
        assert manifest is not None
        self.window_end = manifest.window.end
        self.entries = histories.oplog_after(client, self.history.start)
        self.positions = [position_of(raw) for raw in self.entries]
        self.later = self.entries[self.positions.index(self.window_end) + 1 :]
        self.later_positions = [position_of(raw) for raw in self.later]
        found = events_in(client, *self.history.databases)
        self.events = [e for e in found if self.is_mistake(e) and e.position > self.window_end]
        self._kept = list(self._read())

    def is_of(self, namespace: str) -> bool:
        return namespace.partition(".")[0] in self.history.databases

    def is_mistake(self, event: Event) -> bool:
        """Whether it can be left out here: what single steps add up to is a mass by chance."""
        return self.is_of(event.namespace) and (event.selector.op == "c" or event.namespace.endswith(".many"))

    def _foreign(self, at: tuple[int, int], session: bytes | None, operation: dict[str, Any]) -> bool:
        return not self.is_of(operation["ns"])

    def _read(self) -> Iterator[Naive]:
        """What there was before the first entry, and after each ``_EVERY`` of them."""
        naive = Naive(skips=self._foreign)
        for number, raw in enumerate(self.entries):
            if number % _EVERY == 0:
                yield naive.copy()
            naive.feed(raw)
        yield naive

    def after(self, count: int) -> Naive:
        """What there was after so many entries."""
        naive = self._kept[count // _EVERY].copy()
        for raw in self.entries[count // _EVERY * _EVERY : count]:
            naive.feed(raw)
        return naive

    def twin_at(self, cut: Cut) -> Naive:
        """What there must be, of everything."""
        count = bisect_left(self.positions, True, key=lambda p: not cut.limit.admits(p))
        if cut.event is None or not cut.limit.admits(cut.event.position):
            return self.after(count)
        begin = bisect_left(self.positions, cut.event.position)
        naive = self.after(begin)
        of_event = self.of_event(cut.event)
        naive.lenient = True
        naive.skips = lambda at, session, operation: (
            self._foreign(at, session, operation) or of_event(Position(*at), operation)
        )
        for raw in self.entries[begin:count]:
            naive.feed(raw)
        return naive

    def of_event(self, event: Event) -> Callable[[Position, dict[str, Any]], bool]:
        """Whether an operation is the event's, by what the test knows of its steps: one, or for a mass all
        of the kind that lie in its range, since what is done twice within two seconds is one event."""
        kind = event.kind.replace("-", "_")
        first, last = self.step_of(event.position), self.step_of(event.last)
        steps = self.history.steps[first : last + 1]
        spans = [(s.first, s.last) for s in steps if event.selector.op == "c" or s.name == kind]
        return lambda at, operation: any(a < at <= b for a, b in spans) and is_mistake(event, operation)

    def step_of(self, position: Position) -> int:
        """The step that wrote it."""
        return bisect_left([s.last for s in self.history.steps], position)

    def a_cut(self, luck: random.Random) -> Cut:
        event = luck.choice(self.events) if self.events and luck.random() < 0.3 else None
        low = bisect_left(self.later_positions, event.position) if event else 0
        position = luck.choice(self.later_positions[low:])
        limit = Limit(position, luck.choice((Bound.BEFORE, Bound.THROUGH)))
        cut = Cut(self.history.seed, limit, (), event)
        names = sorted(placed(self.twin_at(cut)))
        if event is not None or not names:
            # What a skip leaves in place outside of a part decides on names inside it.
            return Cut(self.history.seed, limit, tuple(self.history.databases), event)
        choices = [
            tuple(self.history.databases),
            tuple(luck.sample(names, min(len(names), 3))),
            tuple({n.partition(".")[0] for n in luck.sample(names, 1)}),
        ]
        return Cut(self.history.seed, limit, luck.choice(choices), None)


def position_of(raw: bytes) -> Position:
    return Position.of(bson.decode(raw)["ts"])


def is_mistake(event: Event, operation: dict[str, Any]) -> bool:
    """Whether an operation of an event's steps is the event's."""
    database, _, collection = event.namespace.partition(".")
    if operation["op"] != event.selector.op:
        return False
    if operation["op"] != "c":
        return bool(operation["ns"] == event.namespace)
    body = operation["o"]
    if event.kind == "drop-database":
        return next(iter(body)) in ("drop", "dropDatabase")
    if event.kind == "rename-over":
        return "renameCollection" in body and event.namespace in (body["to"], body["renameCollection"])
    done = "collMod" if event.kind == "coll-mod" else "drop"
    return (
        body.get(done) in (collection, f"system.buckets.{collection}")
        and operation["ns"] == f"{database}.$cmd"
    )


def placed(naive: Naive) -> dict[str, list[bytes]]:
    """Namespace, as people know it, to documents; of a time series its buckets."""
    found = {
        name.replace(".system.buckets.", "."): sorted(kept.documents.values())
        for name, kept in naive.collections.items()
    }
    return {name: documents for name, documents in found.items() if ".system." not in name}


def in_scope(scope: tuple[str, ...], name: str) -> bool:
    return name in scope or name.partition(".")[0] in scope


def snapshot_meanwhile(client: Any, store: Path, history: History) -> str:
    """A snapshot, with steps of the history while collections are read."""
    left, turn, check = [WITHIN], threading.Lock(), dump_scan.Scanner._check

    def checking(scanner: Any) -> None:
        check(scanner)
        with turn:
            if left[0]:
                left[0] -= 1
                history.step()

    request = DumpRequest(identity=read_identity(client, "test"), threads=1)
    with pytest.MonkeyPatch.context() as patched, SnapshotWriter(LocalStore("local", store)) as writer:
        patched.setattr(dump_scan.Scanner, "_check", checking)
        name: str = dump(client, request, writer, lambda event: None, NeverStop()).name
    assert left[0] < WITHIN, "nothing went on meanwhile"
    return name
