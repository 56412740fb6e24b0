"""One pass over the oplog of a restore: feeds the timeline, sends in chunks, each confirmed by a majority."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from mongo_dr_console.engines.builtin.replay import Replayer
from mongo_dr_console.engines.builtin.restore_state import RestoreState
from mongo_dr_console.model.namespace import Namespace, is_staging
from mongo_dr_console.model.oplogentry import Operation, TransactionAssembler, raw_entry
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.progress import Checkpoint, Report, StepProgress
from mongo_dr_console.model.timeline import Action, Staged, Timeline, Write
from mongo_dr_console.model.trouble import Failed
from mongo_dr_console.mongo.durability import Confirmation

CHUNK_ACTIONS = 10_000
CHUNK_BYTES = 32 * 1024 * 1024
ZERO = Position(0, 0)


@dataclass(slots=True)
class Tally:
    """Documents that a staging collection gained since the end of the window. Not ``exact`` where inserts and
    deletes do not tell: capped collections, and operations that an earlier restore wrote as upserts."""

    gained: int = 0
    exact: bool = True
    lenient: bool = False


@dataclass(slots=True)
class ReplayRun:
    """A pass that can be continued with later entries.

    Args:
        timeline: Fresh, already begun with the snapshot's collections.
        replayer: Sends to the server.
        confirmation: Proves what was sent.
        state: What earlier runs confirmed; kept up to date by ``report``.
        window_end: The end of the snapshot's window.
        report: Journals.
        guard: Asked between chunks; raises to stop.
        settle: Told of each operation first; True where it is one of this job's own renames or drops.
        count: Documents in a staging collection now, for the baseline.
        total: Expected operations, for the progress.
    """

    timeline: Timeline
    replayer: Replayer
    confirmation: Confirmation
    state: RestoreState
    window_end: Position
    report: Report
    guard: Callable[[], None]
    settle: Callable[[Operation], bool]
    count: Callable[[Staged], int]
    total: int | None
    position: Position = ZERO
    operations: int = 0
    tallies: dict[int, Tally] = field(default_factory=dict)
    assembler: TransactionAssembler = field(default_factory=TransactionAssembler)
    _chunk: list[Action] = field(default_factory=list)
    _chunk_bytes: int = 0

    def advance(self, entries: Iterable[bytes], *, confirm: bool = True) -> None:
        """Takes more entries; those at or before ``position`` are duplicates and dropped.

        Raises:
            Failed: An operation cannot be followed or applied.
            TermChanged: What was sent since the last confirmation may be lost; start a new pass.
        """
        confirmed = self.state.confirmed or ZERO
        for raw in entries:
            entry = raw_entry(raw)
            position = Position.of(entry["ts"])
            if position <= self.position:
                continue
            if position > self.window_end and self.state.baseline is None:
                self._send(confirm=True)
                self._take_baseline()
            actions = list(self._actions(entry, position))
            self.position = position
            if position > confirmed:
                self._chunk.extend(actions)
                self._chunk_bytes += len(raw)
                if len(self._chunk) >= CHUNK_ACTIONS or self._chunk_bytes >= CHUNK_BYTES:
                    self._send(confirm=confirm)
            elif self.operations % 50_000 == 0:
                self.guard()
        self._send(confirm=confirm)

    def finish(self) -> None:
        """After the last entry: nothing may be missing from a transaction that was committed."""
        if self.state.baseline is None:
            self._take_baseline()
        if self.assembler.incomplete:
            raise Failed(
                "transaction-incomplete",
                f"The transaction committed at {self.assembler.incomplete[0]} began before the oplog that "
                "is at hand, so a part of it is missing. Nothing live was changed.",
                "Choose another base snapshot: mdr snapshots list",
            )

    def expected(self, staged: Staged) -> int | None:
        """How many documents there must be now; None where that is not known exactly."""
        tally = self.tallies.get(staged.number, Tally())
        if not tally.exact or staged.options.get("capped"):
            return None
        return (self.state.baseline or {}).get(staged.number, 0) + tally.gained

    def is_lenient(self, staged: Staged) -> bool:
        return self.tallies.get(staged.number, Tally()).lenient

    def _actions(self, entry: object, position: Position) -> Iterator[Action]:
        for operation in self.assembler.feed(entry):  # type: ignore[arg-type]
            self.operations += 1
            if self.settle(operation):
                continue
            for action in self.timeline.feed(operation):
                if isinstance(action, Write) and position > self.window_end:
                    self._tally(action, operation)
                yield action

    def _tally(self, write: Write, operation: Operation) -> None:
        tally = self.tallies.setdefault(write.staged.number, Tally())
        tally.gained += {"i": 1, "d": -1}.get(write.op, 0)
        tally.lenient = tally.lenient or write.lenient
        if write.upsert or operation.loose or is_staging(operation.collection):
            tally.exact = False

    def _send(self, *, confirm: bool) -> None:
        chunk, self._chunk, self._chunk_bytes = self._chunk, [], 0
        if self.position <= (self.state.confirmed or ZERO):
            return
        self.guard()
        if chunk:
            self._journal(sending=self.position)
            self.replayer.send(chunk)
        if confirm:
            if chunk:
                self.confirmation.confirm()
            self._journal(confirmed=self.position)
        self.report(
            StepProgress(
                "replay",
                done=self.operations,
                total=max(self.total, self.operations) if self.total is not None else None,
                unit="operations",
                detail=f"{self.position} {self.position.time:%H:%M:%SZ}",
            )
        )

    def _journal(self, *, sending: Position | None = None, confirmed: Position | None = None) -> None:
        facts = {"sending": sending, "confirmed": confirmed}
        checkpoint = Checkpoint("replay", {k: str(v) for k, v in facts.items() if v is not None})
        self.report(checkpoint)
        self.state.take(checkpoint)

    def _take_baseline(self) -> None:
        counts = {str(s.number): self.count(s) for s in self.timeline.collections.values()}
        checkpoint = Checkpoint("baseline", {"documents": counts})
        self.report(checkpoint)
        self.state.take(checkpoint)


def tracked_with(
    wanted: Callable[[Namespace], bool], closure: frozenset[Namespace], settled: set[Namespace]
) -> Callable[[Namespace], bool]:
    """What a timeline follows: the wanted and the sources of renames onto them, until a cut-over of this very
    job has put a namespace in place."""

    def tracked(namespace: Namespace) -> bool:
        return namespace not in settled and (namespace in closure or wanted(namespace))

    return tracked
