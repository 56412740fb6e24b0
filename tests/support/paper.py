"""A restore on paper: the real assembler, limit, skip watch, timeline, lanes and pass over the oplog, and
dictionaries where the server would be. Thousands of cuts cost no more than seconds."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import bson
from bson.raw_bson import RawBSONDocument

from mongo_dr_console.engines.builtin import lanes
from mongo_dr_console.engines.builtin.replay_run import ReplayRun, tracked_with
from mongo_dr_console.engines.builtin.restore_request import SnapshotSource
from mongo_dr_console.engines.builtin.restore_state import RestoreState
from mongo_dr_console.model import rawbson
from mongo_dr_console.model.event import EventSelector
from mongo_dr_console.model.namespace import Namespace, Patterns, is_staging
from mongo_dr_console.model.oplogentry import Operation, TransactionAssembler, raw_entry
from mongo_dr_console.model.position import Limit, Position
from mongo_dr_console.model.skip import SkipWatch
from mongo_dr_console.model.timeline import (
    Action,
    Create,
    SnapshotCollection,
    Staged,
    Timeline,
    rename_closure,
)
from mongo_dr_console.model.timeline import Write as TimelineWrite
from support.naive import key_of, updated

_LANES = 4

StagedData = list[tuple[SnapshotCollection, Callable[[], Iterator[bytes]], int | None]]


@dataclass
class PaperSnapshot:
    """A base that lies in memory."""

    collections: StagedData
    window: list[bytes]
    definitions: dict[Namespace, RawBSONDocument] = field(default_factory=dict)

    def staged_collections(self) -> StagedData:
        return self.collections

    def views(self) -> dict[Namespace, RawBSONDocument]:
        return self.definitions

    def oplog(self) -> Iterator[bytes]:
        return iter(self.window)

    def fall_over(self, namespace: Namespace) -> bool:
        return False


@dataclass
class PaperServer:
    """Does what ``applyOps`` does, in place of the replayer: what may overtake each other does, by luck."""

    data: dict[str, dict[bytes, bytes]] = field(default_factory=dict)
    missed: list[Position] = field(default_factory=list)
    applied: int = 0
    luck: random.Random = field(default_factory=lambda: random.Random(1))

    def send(self, actions: Iterable[Action]) -> None:
        writes: list[TimelineWrite] = []
        for action in actions:
            self.applied += 1
            if isinstance(action, TimelineWrite):
                writes.append(action)
                continue
            self._side_by_side(writes)
            writes = []
            if isinstance(action, Create):
                assert action.staged.name not in self.data, f"{action.staged.name} is made twice"
                self.data[action.staged.name] = {}
        self._side_by_side(writes)

    def _side_by_side(self, writes: list[TimelineWrite]) -> None:
        inserts, found = lanes.split(writes, _LANES)
        self.luck.shuffle(found)
        for lane in [*inserts.values(), *found]:
            for write in lane:
                self._write(self.data[write.staged.name], write)

    def _write(self, documents: dict[bytes, bytes], write: TimelineWrite) -> None:
        body = bson.decode(write.document.raw)
        if write.op == "i":
            documents[key_of(body["_id"])] = bytes(write.document.raw)
        elif write.op == "d":
            documents.pop(key_of(body["_id"]), None)
        else:
            assert write.key is not None
            identity = bson.decode(write.key.raw)["_id"]
            key = key_of(identity)
            if key not in documents and not write.upsert:
                assert write.lenient, f"the document of the update at {write.position} is missing"
                self.missed.append(write.position)
                return
            documents[key] = updated(documents.get(key) or bson.encode({"_id": identity}), body)


class _Confirmed:
    def confirm(self) -> None:
        """Paper has a majority."""


@dataclass(frozen=True)
class OnPaper:
    """What a restore comes to: documents (sorted), options and indexes (name to specification) by name."""

    collections: dict[str, tuple[list[bytes], Any, dict[str, Any]]]
    views: dict[str, bytes]
    conflicts: set[str]
    operations: int


def restore_on_paper(
    base: SnapshotSource,
    window_end: Position,
    later: Sequence[bytes],
    limit: Limit,
    *,
    scope: tuple[str, ...] = (),
    skipped: Sequence[EventSelector] = (),
) -> OnPaper:
    """As a plan and a restore work together, without a server.

    Args:
        base: The snapshot.
        window_end: The end of its window.
        later: The entries after it.
        limit: Not before the window's end.
        scope: ``--ns`` patterns.
        skipped: What ``--skip`` leaves out.
    """
    chosen = [raw for raw in later if limit.admits(Position.of(raw_entry(raw)["ts"]))]
    entries = [*rawbson.documents(base.oplog()), *chosen]
    patterns = Patterns(scope)
    closure = frozenset(rename_closure(patterns.match, _renames(entries)))
    tracked = tracked_with(patterns.match, closure, set())
    watch = SkipWatch(list(skipped))
    timeline = Timeline(
        "0",
        tracked=tracked,
        wanted=patterns.match,
        window_end=window_end,
        skipped=watch.skips,
        overlaps=watch.overlap,
    )
    wanted = [c for c in base.staged_collections() if tracked(c[0].namespace)]
    timeline.begin([c for c, _, _ in wanted], {n: v for n, v in base.views().items() if tracked(n)})
    server = PaperServer()
    for staged, (_, data, _) in zip(timeline.all, wanted, strict=True):
        documents = rawbson.documents(data())
        server.data[staged.name] = {key_of(bson.decode(d)["_id"]): bytes(d) for d in documents}
    run = _run(timeline, server, window_end, plain=not skipped)
    run.advance(entries)
    run.finish()
    found = timeline.placed(lambda n: patterns.match(n) and not is_staging(n.collection))
    _check_counts(run, server, found)
    conflicts = {c.namespace for c in timeline.conflicts}
    return OnPaper(
        {str(n): _state(s, server) for n, s in found.items()},
        {str(n): bytes(v.raw) for n, v in timeline.views.items() if patterns.match(n)},
        conflicts,
        run.operations,
    )


def _run(timeline: Timeline, server: PaperServer, window_end: Position, *, plain: bool) -> ReplayRun:
    def settle(operation: Operation) -> bool:
        return False

    return ReplayRun(
        timeline=timeline,
        replayer=server,  # type: ignore[arg-type]
        confirmation=_Confirmed(),  # type: ignore[arg-type]
        state=RestoreState(),
        window_end=window_end,
        report=lambda event: None,
        guard=lambda: None,
        settle=settle,
        count=lambda staged: len(server.data[staged.name]),
        total=None,
        plain=plain,
    )


def _check_counts(run: ReplayRun, server: PaperServer, found: dict[Namespace, Staged]) -> None:
    """What the restore's own verification holds against the server."""
    for namespace, staged in found.items():
        expected = run.expected(staged)
        if expected is not None and not run.is_lenient(staged):
            assert len(server.data[staged.name]) == expected, f"{namespace} has not {expected} documents"


def _state(staged: Staged, server: PaperServer) -> tuple[list[bytes], Any, dict[str, Any]]:
    indexes = {name: bson.decode(spec.raw) for name, spec in staged.indexes.items()}
    return sorted(server.data[staged.name].values()), bson.decode(staged.options.raw), indexes


def _renames(entries: Iterable[bytes]) -> list[tuple[Namespace, Namespace]]:
    assembler = TransactionAssembler()
    bodies = [o.document for raw in entries for o in assembler.feed(raw_entry(raw)) if o.op == "c"]
    found = [b for b in bodies if next(iter(b)) == "renameCollection"]
    return [(Namespace.parse(b["renameCollection"]), Namespace.parse(b["to"])) for b in found]
