"""One pass over the oplog of a restore: feeds the timeline, sends in chunks, each confirmed by a majority."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from bson.raw_bson import RawBSONDocument

from mongo_dr_console.engines.builtin.replay import Replayer
from mongo_dr_console.engines.builtin.restore_state import RestoreState
from mongo_dr_console.model.namespace import Namespace, is_staging, known_as
from mongo_dr_console.model.oplogentry import Operation, TransactionAssembler, raw_entry
from mongo_dr_console.model.plainentry import PlainEntry, plain_entry
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.progress import Checkpoint, Report, StepProgress
from mongo_dr_console.model.timeline import Action, Staged, Timeline, Write
from mongo_dr_console.model.trouble import Failed
from mongo_dr_console.mongo.durability import Confirmation

CHUNK_ACTIONS = 20_000
CHUNK_BYTES = 8 * 1024 * 1024
"""One chunk is on its way while the next is gathered, and what is on its way is in memory several times."""
ZERO = Position(0, 0)

_GAINS = {b"i": 1, b"u": 0, b"d": -1}


@dataclass(slots=True)
class Tally:
    """Documents that a staging collection gained since the end of the window. Not ``exact`` where inserts and
    deletes do not tell: capped collections, and operations that an earlier restore wrote as upserts."""

    gained: int = 0
    exact: bool = True
    lenient: bool = False


@dataclass(slots=True)
class _Home:
    """What plain writes to a namespace go to (None: nothing), its name, and its tally."""

    staged: Staged | None
    name: str
    tally: Tally


@dataclass(slots=True)
class _Sent:
    """What is on its way: up to which position, how many operations of the pass that makes, and whether there
    is anything to write in it. ``done`` ends when all of it was acknowledged; None: it was."""

    position: Position
    operations: int
    confirm: bool
    writes: bool
    done: Future[None] | None = None


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
        plain: Whether what becomes of a plain write is decided by its namespace alone: no event is skipped.
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
    plain: bool = False
    position: Position = ZERO
    operations: int = 0
    tallies: dict[int, Tally] = field(default_factory=dict)
    assembler: TransactionAssembler = field(default_factory=TransactionAssembler)
    _chunk: list[Action] = field(default_factory=list)
    _chunk_bytes: int = 0
    _homes: dict[bytes, _Home | None] = field(default_factory=dict)
    _sent: _Sent | None = None

    def advance(self, entries: Iterable[bytes], *, confirm: bool = True) -> None:
        """Takes more entries; those at or before ``position`` are duplicates and dropped.

        Raises:
            Failed: An operation cannot be followed or applied.
            TermChanged: What was sent since the last confirmation may be lost; start a new pass.
        """
        self._homes.clear()
        with ThreadPoolExecutor(1, thread_name_prefix="replay") as background:
            # Whatever ends this, what is on its way has arrived by then.
            self._take(entries, confirm, background)
        self._send(confirm)

    def _take(self, entries: Iterable[bytes], confirm: bool, background: ThreadPoolExecutor) -> None:
        confirmed = self.state.confirmed or ZERO
        for raw in entries:
            plain = plain_entry(raw) if self.plain else None
            entry = raw_entry(raw) if plain is None else None
            position = Position(plain.t, plain.i) if plain else Position.of(entry["ts"])  # type: ignore[index]
            if position <= self.position:
                continue
            if position > self.window_end and self.state.baseline is None:
                self._send(confirm=True)
                self._take_baseline()
            actions = self._quickly(plain, position) if plain else None
            if actions is None:
                actions = list(self._actions(entry or raw_entry(raw), position))
            self.position = position
            if position > confirmed:
                self._chunk.extend(actions)
                self._chunk_bytes += len(raw)
                if len(self._chunk) >= CHUNK_ACTIONS or self._chunk_bytes >= CHUNK_BYTES:
                    self._send(confirm, background)
            elif self.operations % 50_000 == 0:
                self.guard()

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

    def _quickly(self, entry: PlainEntry, position: Position) -> list[Action] | None:
        """The same as ``_actions`` for most entries: what is done with a plain write is decided by its
        namespace alone, until a command comes. None where it has to be looked at more closely."""
        try:
            home = self._homes[entry.namespace]
        except KeyError:
            home = self._homes[entry.namespace] = self._home_of(entry)
        if home is None:
            return None
        self.operations += 1
        if home.staged is None:
            return []
        if position > self.window_end:
            home.tally.gained += _GAINS[entry.op]
        return [self.timeline.plain_write(entry, home.staged, home.name, position)]

    def _home_of(self, entry: PlainEntry) -> _Home | None:
        database, _, collection = entry.namespace.decode().partition(".")
        namespace = known_as(database, collection)
        if is_staging(collection):
            return None
        if self.timeline.ignores(database, collection):
            return _Home(None, str(namespace), Tally())
        staged = self.timeline.home_of(namespace)
        if staged is None:
            return None
        return _Home(staged, str(namespace), self.tallies.setdefault(staged.number, Tally()))

    def _actions(self, entry: RawBSONDocument, position: Position) -> Iterator[Action]:
        for operation in self.assembler.feed(entry):
            self.operations += 1
            if operation.op == "c":
                self._homes.clear()
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

    def _send(self, confirm: bool, background: ThreadPoolExecutor | None = None) -> None:
        """Sends what was gathered, once what was sent before is there and confirmed; in the background, while
        more is gathered, where there is one."""
        self._arrive()
        chunk, self._chunk, self._chunk_bytes = self._chunk, [], 0
        if self.position <= (self.state.confirmed or ZERO):
            return
        self.guard()
        self._sent = _Sent(self.position, self.operations, confirm, bool(chunk))
        if chunk:
            self._journal(sending=self.position)
            if background is not None:
                self._sent.done = background.submit(self.replayer.send, chunk)
                return
            self.replayer.send(chunk)
        self._arrive()

    def _arrive(self) -> None:
        """Waits for what is on its way, confirms it, and says so."""
        sent, self._sent = self._sent, None
        if sent is None:
            return
        if sent.done is not None:
            sent.done.result()
        if sent.confirm:
            if sent.writes:
                self.confirmation.confirm()
            self._journal(confirmed=sent.position)
        self.report(
            StepProgress(
                "replay",
                done=sent.operations,
                total=max(self.total, sent.operations) if self.total is not None else None,
                unit="operations",
                detail=f"{sent.position} {sent.position.time:%H:%M:%SZ}",
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
