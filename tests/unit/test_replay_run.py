"""The pass over the oplog without a server: the quick way comes to the same as the close look, and nothing is
called confirmed before it has arrived."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import bson
import pytest
from bson import Binary, Int64, Timestamp
from bson.raw_bson import RawBSONDocument

from mongo_dr_console.engines.builtin import replay_run
from mongo_dr_console.engines.builtin.replay_run import ReplayRun, tracked_with
from mongo_dr_console.engines.builtin.restore_state import RestoreState
from mongo_dr_console.model import journal, rawbson
from mongo_dr_console.model.eta import Pace
from mongo_dr_console.model.jobview import JobPlan
from mongo_dr_console.model.journal import Line
from mongo_dr_console.model.namespace import Namespace
from mongo_dr_console.model.oplogentry import Operation
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.progress import Checkpoint, Progress, StepProgress, StepStarted
from mongo_dr_console.model.timeline import Action, SnapshotCollection, Timeline, Write

EMPTY = RawBSONDocument(bson.encode({}), rawbson.RAW)
WINDOW_END = Position(1, 40)


def entry(at: int, op: str, namespace: str, document: Any, key: Any = None, **more: Any) -> bytes:
    fields = {"op": op, "ns": namespace, "ui": Binary(b"u" * 16, 4), "o": document}
    fields |= {} if key is None else {"o2": key}
    tail = {"ts": Timestamp(1, at), "t": Int64(1), "v": Int64(2), "wall": bson.datetime_ms.DatetimeMS(at)}
    return bson.encode({**fields, **more, **tail})


def writes(first: int, *namespaces: str) -> list[bytes]:
    found = []
    for n, namespace in enumerate(namespaces):
        at = first + 3 * n
        found.append(entry(at, "i", namespace, {"_id": n}))
        found.append(entry(at + 1, "u", namespace, {"$v": 2, "diff": {"u": {"x": at}}}, {"_id": n}))
        found.append(entry(at + 2, "d", namespace, {"_id": n + 1}, **({"b": True} if n % 2 else {})))
    return found


STAGING = ("mdr_0_7", "mdr_ffffffff_1")
"""This job's own, and one of an earlier restore."""
PLACES = ("d.a", "d.b", "d.no", "e.a", "d.system.buckets.a", "d.mdr_0_7", "d.mdr_ffffffff_1", "d.b.c")
HISTORY = [
    *writes(1, *PLACES),
    *writes(30, "d.a", "d.b", "d.a", "d.a", "d.a"),
    entry(50, "c", "d.$cmd", {"renameCollection": "d.a", "to": "d.no", "stayTemp": False}),
    entry(51, "c", "d.$cmd", {"create": "a"}),
    *writes(60, "d.a", "d.no", "d.b"),
    entry(70, "c", "admin.$cmd", {"applyOps": [{"op": "c", "ns": "d.$cmd", "o": {"drop": "no"}}]}),
    *writes(80, "d.a", "d.b", "d.mdr_0_7"),
    entry(90, "n", "", {"msg": "x"}),
]


class Sink:
    """In place of the replayer."""

    def __init__(self) -> None:
        self.sent: list[list[Action]] = []

    def send(self, actions: Iterable[Action]) -> None:
        self.sent.append(list(actions))

    def confirm(self) -> None:
        """In place of the confirmation."""


def a_run(sink: Any, *, plain: bool, report: Any = lambda event: None) -> ReplayRun:
    settled: set[Namespace] = set()
    known = frozenset(Namespace("d", name) for name in ("a", "b", "no", "b.c", *STAGING))
    timeline = Timeline(
        "0", tracked=tracked_with(lambda n: n in known, frozenset(), settled), window_end=WINDOW_END
    )
    timeline.begin(
        [SnapshotCollection(Namespace("d", n), EMPTY, (), None) for n in ("a", "b", "b.c", *STAGING)], {}
    )

    def settle(operation: Operation) -> bool:
        return operation.collection.startswith("mdr_0_")

    return ReplayRun(
        timeline=timeline,
        replayer=sink,
        confirmation=sink,
        state=RestoreState(),
        window_end=WINDOW_END,
        report=report,
        guard=lambda: None,
        settle=settle,
        count=lambda staged: 100,
        total=5,
        plain=plain,
    )


def shown(action: Action) -> Any:
    if not isinstance(action, Write):
        return type(action), action.staged.number, action.position
    key = None if action.key is None else bytes(action.key.raw)
    facts = (action.op, bytes(action.document.raw), key, action.upsert, action.original, action.lenient)
    return action.staged.number, action.position, facts


def test_the_quick_way_comes_to_the_same() -> None:
    found = []
    for plain in (False, True):
        sink = Sink()
        run = a_run(sink, plain=plain)
        run.advance(HISTORY[:25])
        run.advance(HISTORY[20:])
        run.finish()
        sent = [shown(action) for part in sink.sent for action in part]
        tallies = {number: tally for number, tally in run.tallies.items() if tally.gained or not tally.exact}
        found.append((sent, tallies, run.operations, run.position))
    assert found[0] == found[1]
    assert len(found[0][0]) > 30


def test_nothing_is_confirmed_before_it_has_arrived(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next chunk is made ready while one is on its way, and sent when that one is confirmed."""
    monkeypatch.setattr(replay_run, "CHUNK_ACTIONS", 5)
    told: list[Progress] = []
    ahead = threading.Event()
    here = threading.get_ident()
    elsewhere: list[bool] = []

    class Slow(Sink):
        def send(self, actions: Iterable[Action]) -> None:
            made = list(actions)
            confirmed = [c for c in positions(told, "confirmed") if c >= made[0].position]
            assert confirmed == []
            assert max(positions(told, "sending")) >= made[-1].position
            elsewhere.append(threading.get_ident() != here)
            if len(elsewhere) == 1:
                # The pass goes on meanwhile.
                assert ahead.wait(30)
            super().send(made)

    sink = Slow()
    run = a_run(sink, plain=True, report=told.append)

    def entries() -> Iterable[bytes]:
        for number, raw in enumerate(HISTORY):
            if number == 9:
                ahead.set()
            yield raw

    run.advance(entries())
    assert elsewhere[0]
    assert positions(told, "confirmed")[-1] == run.position == Position(1, 90)
    progress = [event for event in told if isinstance(event, StepProgress)]
    assert [p.done for p in progress] == sorted(p.done for p in progress)
    assert progress[-1].done == run.operations and progress[-1].detail.startswith("1:90 ")


def test_what_fails_on_its_way_fails_the_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay_run, "CHUNK_ACTIONS", 5)
    told: list[Progress] = []

    class Failing(Sink):
        def send(self, actions: Iterable[Action]) -> None:
            if self.sent:
                raise ConnectionError("the primary is gone")
            super().send(actions)

    sink = Failing()
    with pytest.raises(ConnectionError):
        a_run(sink, plain=True, report=told.append).advance(HISTORY)
    assert positions(told, "confirmed") == [sink.sent[0][-1].position]


def test_a_journal_of_it_has_position_rate_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay_run, "CHUNK_ACTIONS", 5)
    told: list[Progress] = [StepStarted("replay", 100, "operations")]
    run = a_run(Sink(), plain=True, report=told.append)
    run.total = 100
    run.advance(HISTORY)
    pace, begun = Pace(), datetime(2026, 11, 22, tzinfo=UTC)
    lines = [Line(begun + timedelta(seconds=n), event) for n, event in enumerate(told)]
    for line in lines:
        pace.feed(line)
    step = journal.replay(JobPlan("5eed0001", "restore", {}, "test", "/c", begun, "jane"), lines).steps[0]
    assert (step.done, step.total) == (run.operations, 100) and step.detail.startswith("1:90 ")
    assert step.rate is not None and step.rate > 0
    left = pace.left(step)
    assert left is not None and 0 < left[0] <= left[1]


def test_what_is_on_its_way_has_arrived_when_the_pass_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay_run, "CHUNK_ACTIONS", 5)
    failed = threading.Event()
    told: list[Progress] = []

    class Slow(Sink):
        def send(self, actions: Iterable[Action]) -> None:
            assert failed.wait(30)
            super().send(actions)

    def entries() -> Iterable[bytes]:
        yield from HISTORY[:8]
        failed.set()
        raise OSError("the saved oplog cannot be read")

    sink = Slow()
    with pytest.raises(OSError, match="saved oplog"):
        a_run(sink, plain=True, report=told.append).advance(entries())
    assert len(sink.sent) == 1
    assert positions(told, "confirmed") == [], "a pass that failed confirms nothing more"


def positions(told: list[Progress], kind: str) -> list[Position]:
    facts = [event.facts for event in told if isinstance(event, Checkpoint) and event.kind == "replay"]
    return [Position.parse(f[kind]) for f in facts if kind in f]
