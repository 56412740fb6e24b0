"""A restore by the builtin engine: load, replay, index, verify, cut over.

All work happens in staging collections; nothing live is touched before the cut-over, except that in-place
mode drops the live collections first, when the plan said so. Every step can be done again: what is confirmed
is journalled, and a resumed job goes on from there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from bson.raw_bson import RawBSONDocument
from pymongo.errors import PyMongoError

from mongo_dr_console.engines.builtin import cutover, indexes, views
from mongo_dr_console.engines.builtin.cutover import CutOver, Placement, names_by_uuid
from mongo_dr_console.engines.builtin.late import carry_over_late_writes
from mongo_dr_console.engines.builtin.load import create_staged, insert
from mongo_dr_console.engines.builtin.replay import Replayer
from mongo_dr_console.engines.builtin.replay_run import ZERO, ReplayRun, tracked_with
from mongo_dr_console.engines.builtin.restore_state import RestoreState
from mongo_dr_console.engines.builtin.verify import problems_of
from mongo_dr_console.model import extjson, rawbson
from mongo_dr_console.model.namespace import Namespace, Patterns, Renames, aside_name, is_staging
from mongo_dr_console.model.oplogentry import Operation, TransactionAssembler, raw_entry
from mongo_dr_console.model.plan import Plan
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.progress import (
    Checkpoint,
    Note,
    Progress,
    Report,
    StepDone,
    StepProgress,
    StepStarted,
)
from mongo_dr_console.model.skip import SkipWatch
from mongo_dr_console.model.timeline import SnapshotCollection, Staged, Timeline, Write
from mongo_dr_console.model.trouble import Failed
from mongo_dr_console.mongo.client import Client, told
from mongo_dr_console.mongo.durability import (
    Confirmation,
    TermChanged,
    forget,
    is_lost_primary,
    wait_for_primary,
)
from mongo_dr_console.mongo.oplog import majority_position
from mongo_dr_console.mongo.pace import hold_pace

T = TypeVar("T")

PRIMARY_PATIENCE_SECONDS = 180
FOLLOW_BYTES = 8 * 1024 * 1024
"""The follower is waited for after this much was written; a sixth of the smallest oplog there should be."""

_ATTEMPTS = 40
_CAUGHT_UP_OPERATIONS = 500


class SnapshotSource(Protocol):
    """What a restore reads of its base snapshot."""

    def staged_collections(
        self,
    ) -> list[tuple[SnapshotCollection, Callable[[], Iterator[bytes]], int | None]]:
        """The ordinary collections in a fixed order, each with its data (chunks) and its documents."""
        ...

    def views(self) -> dict[Namespace, RawBSONDocument]:
        """The views' definitions."""
        ...

    def oplog(self) -> Iterator[bytes]:
        """The oplog of the window, in chunks."""
        ...


class OplogRange(Protocol):
    """The saved oplog after the snapshot's window."""

    def read(self, start: Position, end: Position) -> Iterator[bytes]:
        """Batches of whole entries with ``start <= ts <= end``."""
        ...


class Following(Protocol):
    """The thread that keeps up with the live oplog."""

    @property
    def position(self) -> Position: ...

    def wait_for(self, position: Position, seconds: float, check: Callable[[], None]) -> None: ...


@dataclass(frozen=True, slots=True)
class RestoreRequest:
    """What to restore, and from what.

    Args:
        job: The job's id.
        plan: The confirmed plan.
        snapshot: The base.
        saved: The oplog after the base's window, outside the deployment.
        follower: Set where writes up to the cut-over itself are replayed.
        checkpoints: Of earlier runs.
    """

    job: str
    plan: Plan
    snapshot: SnapshotSource
    saved: OplogRange
    follower: Following | None
    checkpoints: tuple[Checkpoint, ...] = ()


@dataclass(slots=True)
class BuiltinRestore:
    """One restore.

    Args:
        client: To the deployment that is written to.
        request: What to do.
        report: Journals every progress event.
        guard: Asked at safe points; raises to stop, or when the lock is lost.
    """

    client: Client
    request: RestoreRequest
    report: Report
    guard: Callable[[], None]
    state: RestoreState = field(init=False)
    run: ReplayRun = field(init=False)
    _settled: set[Namespace] = field(default_factory=set)
    _stale: bool = False
    _unfollowed: int = 0
    _skips: SkipWatch = field(init=False)

    def __post_init__(self) -> None:
        self.state = RestoreState.of(self.request.checkpoints)

    def check_base(self) -> None:
        """Where live collections are about to be dropped: reads all that takes their place first, since a
        damaged byte that shows only while it is loaded would show too late.

        Raises:
            Failed: ``snapshot-corrupt``, ``snapshot-incomplete``; nothing was dropped.
        """
        if not any(n.mode == "in-place" and n.live_uuid for n in self.request.plan.namespaces):
            return
        if self.state.dropped:
            return
        wanted = [c for c in self.request.snapshot.staged_collections() if self._tracked(c[0].namespace)]
        total = sum(documents or 0 for _, _, documents in wanted)
        self.report(StepStarted("check-base", total, "documents"))
        done = 0
        for collection, data, documents in wanted:
            found = 0
            for chunk in data():
                self.guard()
                found += rawbson.count(chunk)
                self.report(
                    StepProgress("check-base", done + found, total, "documents", 0, str(collection.namespace))
                )
            if documents is not None and found != documents:
                raise _incomplete(collection.namespace, found, documents)
            done += found
        self.report(StepDone("check-base", f"{done} documents can be read and are as they were written"))

    def restore(self) -> dict[str, Any]:
        """Does it; returns the facts for the report.

        Raises:
                Failed, Unreachable, Interrupted: Not placed; ``jobs resume`` goes on where that is possible.
        """
        self._release_block()
        if self.state.placed is None:
            self._persist(self._prepare)
            self._persist(self._place)
        else:
            self._persist(self._look_again)
        self._persist(self._place_views)
        self._persist(self._clean_up)
        return self._result()

    def abandon(self) -> None:
        """Removes what was staged, when nothing of it can be used; a resumed job starts over.

        That it does is journalled first: it must not look for what was removed.
        """
        if self.state.placements is not None:
            return
        self._note(Checkpoint("reset"))
        try:
            self._clean_up()
        except (TermChanged, PyMongoError):
            text = f"staging collections named mdr_{self.request.job}_… may be left; mdr doctor lists them"
            self.report(Note(text, "warning"))

    # Steps

    def _prepare(self) -> None:
        """Everything up to the cut-over; called again from its start when the primary was lost."""
        if self.state.placements is not None and not self.request.plan.limit.follow:
            self._look_again()
            return
        self.run = self._new_run()
        self._drop_live()
        self._load()
        self._replay()
        placed = self._placed()
        self._index(placed)
        self._verify(placed)
        self._index_ttl(placed)
        self._stale = False

    def _look_again(self) -> None:
        """Brings the timeline to where it was when everything was ready; nothing is sent for what is done."""
        self.run = self._new_run()
        self.run.advance(self._entries())
        self._stale = False

    def _drop_live(self) -> None:
        wanted = [n for n in self.request.plan.namespaces if n.mode == "in-place" and n.live_uuid]
        if not wanted:
            return
        self.report(StepStarted("drop", len(wanted), "collections"))
        for planned in wanted:
            target = Namespace.parse(planned.target)
            live = {n: u for u, n in names_by_uuid(self.client, target.database).items()}.get(
                target.collection
            )
            if planned.target not in self.state.dropped and live == planned.live_uuid:
                self.client[target.database].drop_collection(target.collection)
                self._note(Checkpoint("dropped", {"namespace": planned.target}))
        self.report(StepDone("drop", f"{len(wanted)} live collections dropped, as planned"))

    def _load(self) -> None:
        collections = self.request.snapshot.staged_collections()
        wanted = [c for c in collections if self._tracked(c[0].namespace)]
        total = sum(documents or 0 for _, _, documents in wanted)
        self.report(StepStarted("load", total, "documents"))
        done = size = 0
        for staged, (collection, data, documents) in zip(self.run.timeline.all, wanted, strict=False):
            if staged.number in self.state.loaded:
                done += self.state.loaded[staged.number]
                continue
            confirmation = self._confirmation()
            self.client[staged.database].drop_collection(staged.name)
            create_staged(self.client, staged)
            loaded = 0
            for count, weight in insert(self.client, staged, data()):
                self.guard()
                loaded, size = loaded + count, size + weight
                self._keep_close(weight)
                self.report(
                    StepProgress("load", done + loaded, total, "documents", size, str(collection.namespace))
                )
            if documents is not None and loaded != documents:
                raise _incomplete(collection.namespace, loaded, documents)
            confirmation.confirm()
            done += loaded
            self._note(Checkpoint("loaded", {"number": staged.number, "documents": loaded}))
            self._pace()
        self.report(StepDone("load", f"{done} documents", {"documents": done, "bytes": size}))

    def _replay(self) -> None:
        self.report(StepStarted("replay", self.request.plan.operations, "operations"))
        if self.state.indexed:
            self._unindex()
        self.run.advance(self._entries())
        self.run.finish()
        last = self.run.position
        self.report(StepDone("replay", f"through {last}", {"applied": self.run.replayer.applied}))

    def _index(self, placed: dict[Namespace, Staged]) -> None:
        total = sum(not indexes.is_ttl(s) for p in placed.values() for s in p.indexes.values())
        self._note(Checkpoint("indexing"))
        self.report(StepStarted("indexes", total, "indexes"))
        built = 0
        for namespace, staged in self._ready(placed).items():
            self.guard()
            built += indexes.build(self.client, staged, lambda spec: not indexes.is_ttl(spec))
            self.report(StepProgress("indexes", built, total, "indexes", detail=str(namespace)))
        self.run.confirmation.confirm()
        self.report(StepDone("indexes", f"{built} indexes"))

    def _verify(self, placed: dict[Namespace, Staged]) -> None:
        """Documents, options and indexes against what snapshot and oplog say."""
        self.report(StepStarted("verify", len(placed), "collections"))
        found: list[str] = []
        for done, (namespace, staged) in enumerate(self._ready(placed).items(), start=1):
            self.guard()
            expected = self.run.expected(staged)
            problems, conflict = problems_of(
                self.client, staged, expected, lenient=self.run.is_lenient(staged)
            )
            found += [f"{namespace}: {problem}" for problem in problems]
            if conflict is not None:
                self.run.timeline.conflict_at(self.run.position, namespace, conflict)
            self.report(StepProgress("verify", done, len(placed), "collections", detail=str(namespace)))
        if found:
            raise Failed(
                "verification",
                f"What was restored is not what snapshot and oplog say: {'; '.join(found[:5])}. "
                "Nothing live was replaced.",
                "Keep the job's folder and report this; another base snapshot may help.",
            )
        self.report(StepDone("verify", f"{len(placed)} collections agree with snapshot and oplog"))

    def _index_ttl(self, placed: dict[Namespace, Staged]) -> None:
        built = sum(
            indexes.build(self.client, staged, indexes.is_ttl) for staged in self._ready(placed).values()
        )
        self.run.confirmation.confirm()
        if built:
            self.report(StepDone("ttl-indexes", f"{built} TTL indexes, built last"))

    def _place(self) -> None:
        """The cut-over. Where the primary is lost in it, everything is looked at again."""
        if self._stale:
            self._prepare()
        self.report(StepStarted("cut-over", len(self._placed()), "collections"))
        self._catch_up()
        placements = self._placements()
        block = cutover.can_block_writes(self.client)
        self._note(Checkpoint("ready", {"placements": [_as_facts(p) for p in placements], "block": block}))
        try:
            result = cutover.cut_over(
                self.client, placements, self.request.job, self._note, drain=self._drain, block=block
            )
            self.run.confirmation.confirm()
        except (TermChanged, PyMongoError):
            # What was sent to the old primary may be gone, so the staging collections are made right again.
            self._stale = True
            raise
        late = self._late_writes(placements)
        self._note(Checkpoint("placed", _placed_facts(placements, result, self.run.position, late)))
        self.report(StepDone("cut-over", f"{len(placements)} collections in place by {result.way}"))

    def _place_views(self) -> None:
        """Compares with what is there each time: what a lost primary had may be gone again."""
        journalled = {v["name"] for v in self.state.views}
        wanted = self._wanted_views()
        confirmation = self._confirmation()
        for target, definition in wanted.items():
            before = views.live_definition(self.client, target)
            if before is not None and before.raw == definition.raw:
                continue
            if str(target) not in journalled:
                text = extjson.dumps(bytes(before.raw)) if before else None
                self._note(Checkpoint("view", {"name": str(target), "before": text}))
            views.put(self.client, target, definition)
        if wanted:
            confirmation.confirm()
            self.report(StepDone("views", f"{len(wanted)} views"))

    def _clean_up(self) -> None:
        """Removes the staging collections that stand for nothing (any more)."""
        ours = re.compile(rf"mdr_{self.request.job}_\d+")
        placed = {p["incoming"] for p in (self.state.placed or {}).get("placements", [])}
        confirmation = self._confirmation()
        for database in {Namespace.parse(n.target).database for n in self.request.plan.namespaces}:
            for uuid, name in names_by_uuid(self.client, database).items():
                if ours.fullmatch(name) and uuid not in placed:
                    self.client[database].drop_collection(name)
        confirmation.confirm()
        forget(self.client, self.request.job)

    # Pieces

    def _new_run(self) -> ReplayRun:
        plan = self.request.plan
        self._settled.clear()
        self._skips = SkipWatch([e.selector for e in plan.skipped])
        timeline = self._begun_timeline(self._skips, self._homes())
        names = re.compile(rf"mdr_{self.request.job}_\d+")
        replayer = Replayer(
            self.client,
            may_write=lambda ns: names.fullmatch(ns.partition(".")[2]) is not None,
            describe=describe_write,
            upsert_through=self.state.sent or ZERO,
            is_placed=self._placed_staging(),
        )
        return ReplayRun(
            timeline=timeline,
            replayer=replayer,
            confirmation=self._confirmation(),
            state=self.state,
            window_end=plan.snapshot.end,
            report=self.report,
            guard=self._guarded_pace,
            settle=self._settle,
            count=lambda s: self.client[s.database][s.name].count_documents({}),
            total=plan.operations,
        )

    def _begun_timeline(self, skips: SkipWatch, homes: dict[int, str]) -> Timeline:
        targets = [Namespace.parse(n.target).database for n in self.request.plan.namespaces]

        def home(namespace: Namespace, number: int) -> str:
            # What ends nowhere lies in a database of the plan too: nothing else is touched, or cleaned up.
            here = namespace.database
            return homes.get(number) or (here if here in targets else targets[0])

        timeline = Timeline(
            self.request.job,
            tracked=tracked_with(self._wanted, self._closure, self._settled),
            wanted=self._wanted,
            home=home,
            window_end=self.request.plan.snapshot.end,
            skipped=skips.skips,
            overlaps=skips.overlap,
        )
        collections = [
            c for c, _, _ in self.request.snapshot.staged_collections() if self._tracked(c.namespace)
        ]
        found = {n: v for n, v in self.request.snapshot.views().items() if self._tracked(n)}
        timeline.begin(collections, found)
        return timeline

    def _homes(self) -> dict[int, str]:
        """Number of a staging collection to the database of its place in the end, where that may be another
        than the one it begins in: found by a pass over the definitions alone."""
        places = {n.source: Namespace.parse(n.target).database for n in self.request.plan.namespaces}
        if all(Namespace.parse(n).database == database for n, database in places.items()):
            return {}
        timeline = self._begun_timeline(SkipWatch([e.selector for e in self.request.plan.skipped]), {})
        assembler = TransactionAssembler()
        for raw in self._entries():
            for operation in assembler.feed(raw_entry(raw)):
                if operation.op == "c":
                    timeline.feed(operation)
        return {s.number: places[str(n)] for n, s in timeline.collections.items() if str(n) in places}

    @property
    def _renames(self) -> Renames:
        return Renames(tuple((n.source, n.target) for n in self.request.plan.namespaces))

    @property
    def _closure(self) -> frozenset[Namespace]:
        return frozenset(Namespace.parse(text) for text in self.request.plan.tracked)

    def _wanted(self, namespace: Namespace) -> bool:
        return Patterns(tuple(self.request.plan.scope)).match(namespace)

    def _tracked(self, namespace: Namespace) -> bool:
        return self._wanted(namespace) or namespace in self._closure

    def _placed(self) -> dict[Namespace, Staged]:
        """What exists at the limit and was asked for; an earlier restore's staging collections are data for
        the replay only (server-rules 4)."""
        planned = {n.source for n in self.request.plan.namespaces}
        return self.run.timeline.placed(lambda n: str(n) in planned and not is_staging(n.collection))

    def _ready(self, placed: dict[Namespace, Staged]) -> dict[Namespace, Staged]:
        """Those of them that do not have their final name yet."""
        return {n: s for n, s in placed.items() if not self.run.replayer.is_placed(s)}

    def _placed_staging(self) -> Callable[[Staged], bool]:
        """Which staging collections have their final name already, as the server sees it now."""
        facts = self.state.placements or []
        names = {db: names_by_uuid(self.client, db) for db in {f["database"] for f in facts}}
        there = {f["staging"] for f in facts if names[f["database"]].get(f["incoming"]) == f["name"]}
        return lambda staged: staged.name in there

    def _wanted_views(self) -> dict[Namespace, RawBSONDocument]:
        planned = {n.source for n in self.request.plan.namespaces if n.kind == "view"}
        found = self.run.timeline.views.items()
        return {self._renames.apply(n): views.normal_definition(v) for n, v in found if str(n) in planned}

    def _settle(self, operation: Operation) -> bool:
        """Whether an operation is this job's own: a cut-over's rename, or in-place mode's drop."""
        job = self.request.job
        if operation.command == "renameCollection":
            source = Namespace.parse(operation.document["renameCollection"])
            target = Namespace.parse(operation.document["to"])
            if source.collection.startswith(f"mdr_{job}_"):
                self._settled.add(target)
                self.run.timeline.collections.pop(target, None)
                return True
            return target.collection.startswith(f"mdr_aside_{job}_")
        if operation.command == "drop":
            ours = {n.live_uuid for n in self.request.plan.namespaces if n.mode == "in-place"}
            return (
                operation.uuid is not None and operation.uuid in ours and self._is_later(operation.position)
            )
        if operation.command in ("create", "drop", "createIndexes", "commitIndexBuild", "collMod"):
            return str(operation.document[operation.command]).startswith(f"mdr_{job}_")
        return operation.collection.startswith(f"mdr_{job}_")

    def _is_later(self, position: Position) -> bool:
        return not self.request.plan.limit.limit.admits(position)

    def _entries(self) -> Iterator[bytes]:
        """The window's entries, then the saved ones, up to the limit."""
        plan = self.request.plan
        limit = plan.limit.limit
        through = self.request.follower.position if self.request.follower else limit.position
        after = Position(plan.snapshot.end.t, plan.snapshot.end.i + 1)
        window = rawbson.documents(self.request.snapshot.oplog())
        for raw in window:
            if self._beyond(raw):
                return
            yield raw
        for batch in self.request.saved.read(after, through):
            for raw in rawbson.split(batch):
                if self._beyond(raw):
                    return
                yield raw

    def _beyond(self, raw: bytes) -> bool:
        limit = self.request.plan.limit
        return not limit.follow and not limit.limit.admits(Position.of(raw_entry(raw)["ts"]))

    def _later_entries(self) -> Iterator[bytes]:
        assert self.request.follower is not None
        start, end = self.run.position, self.request.follower.position
        for batch in self.request.saved.read(Position(start.t, start.i + 1), end):
            yield from rawbson.split(batch)

    def _catch_up(self) -> None:
        """Brings the staging collections close to now, and their indexes with them."""
        if self.request.follower is None:
            return
        while True:
            before = self.run.operations
            self._wait_for_now()
            self.run.advance(self._later_entries())
            if self.run.operations - before < _CAUGHT_UP_OPERATIONS:
                break
        for staged in self._ready(self._placed()).values():
            indexes.build(self.client, staged, lambda spec: True)

    def _drain(self) -> None:
        """The last writes, with user writes blocked where that can be had."""
        if self.request.follower is None:
            return
        try:
            self._wait_for_now(seconds=3)
        except Failed as error:
            raise cutover.NotDrained(str(error)) from None
        self.run.advance(self._later_entries(), confirm=False)
        self._note(Checkpoint("drained", {"position": str(self.run.position)}))

    def _wait_for_now(self, seconds: float = 120) -> None:
        assert self.request.follower is not None
        now, _ = majority_position(self.client)
        latest = self.client.local["oplog.rs"].find_one({}, {"ts": 1}, sort=[("$natural", -1)])
        target = max(now, Position.of(latest["ts"])) if latest else now
        self.request.follower.wait_for(target, seconds, self.guard)

    def _placements(self) -> list[Placement]:
        if self.state.placements is not None and not self.request.plan.limit.follow:
            return [_from_facts(f) for f in self.state.placements]
        planned = {n.source: n for n in self.request.plan.namespaces}
        places = []
        for number, (namespace, staged) in enumerate(self._placed().items(), start=1):
            target = self._renames.apply(namespace)
            by_name = {n: u for u, n in names_by_uuid(self.client, target.database).items()}
            incoming = by_name.get(staged.name) or self._placed_before(staged)
            if incoming is None:
                raise Failed("staging-lost", f"The collection that was to become {target} is gone.")
            known = planned.get(str(namespace))
            places.append(
                Placement(
                    database=target.database,
                    name=target.collection,
                    incoming=incoming,
                    outgoing=known.live_uuid if known and known.mode != "in-place" else None,
                    aside=aside_name(self.request.job, str(number)),
                    staging=staged.name,
                )
            )
        return places

    def _placed_before(self, staged: Staged) -> str | None:
        for facts in self.state.placements or []:
            if facts["staging"] == staged.name:
                return str(facts["incoming"])
        return None

    def _late_writes(self, placements: list[Placement]) -> dict[str, Any]:
        """Writes that reached the old collections between the last look and the renames."""
        after = self.state.drained
        if self.request.follower is None or after is None:
            return {}
        self._wait_for_now()
        planned = {n.target: Namespace.parse(n.source) for n in self.request.plan.namespaces}
        homes = {planned[p.namespace]: Namespace(p.database, p.name) for p in placements}
        # The assembler holds what was open at the last position only while it has not seen more than that.
        same = self.run.position == after
        assembler = self.run.assembler if same else TransactionAssembler()
        end = self.request.follower.position
        batches = self.request.saved.read(Position(after.t, after.i + 1), end)
        entries = (raw for batch in batches for raw in rawbson.split(batch))
        return carry_over_late_writes(self.client, entries, assembler, homes, self.request.job, after)

    def _unindex(self) -> None:
        """Going back over operations with unique indexes in place could refuse states that never were."""
        for staged in self.run.timeline.all:
            if staged.name in names_by_uuid(self.client, staged.database).values():
                indexes.drop_all(self.client, staged)
        self._note(Checkpoint("unindexed"))

    def _release_block(self) -> None:
        if self.state.blocked:
            self._persist(lambda: cutover.release_write_block(self.client))
            self._note(Checkpoint("write-block", {"on": False}))
            self.report(Note("a write block that the last run left behind was released", "warning"))

    def _confirmation(self) -> Confirmation:
        return Confirmation.begin(self.client, self.request.job, self._waiting)

    def _waiting(self, text: str) -> None:
        self.report(Note(text))
        self.guard()

    def _guarded_pace(self) -> None:
        self.guard()
        self._keep_close(FOLLOW_BYTES)
        self._pace()

    def _keep_close(self, weight: int) -> None:
        """Waits for the follower before this job's own writes can roll the oplog over under it."""
        self._unfollowed += weight
        if self.request.follower is not None and self._unfollowed >= FOLLOW_BYTES:
            self._unfollowed = 0
            self._wait_for_now()

    def _pace(self) -> None:
        hold_pace(self.client, self._waiting)

    def _note(self, event: Progress) -> None:
        self.report(event)
        if isinstance(event, Checkpoint):
            self.state.take(event)

    def _persist(self, work: Callable[[], T]) -> T:
        """Does a step, again when the primary was lost in the middle of it."""
        for _ in range(_ATTEMPTS):
            try:
                return work()
            except TermChanged:
                pass
            except PyMongoError as error:
                if not is_lost_primary(error):
                    raise told(error) from None
            self.report(Note("the primary was lost: going back to what a majority has", "warning"))
            wait_for_primary(self.client, PRIMARY_PATIENCE_SECONDS, self.guard)
        raise Failed(
            "primary-unsteady",
            f"The primary was lost {_ATTEMPTS} times in one step. Nothing live was changed by that.",
            "When the deployment is steady again: mdr jobs resume",
        )

    def _result(self) -> dict[str, Any]:
        placed = self.state.placed or {}
        found = [*self.run.timeline.conflicts, *self.run.replayer.conflicts]
        return {
            **placed,
            "applied": self.run.replayer.applied,
            "skipped_operations": self.run.timeline.skipped_operations,
            "conflicts": [
                {"position": str(c.position), "namespace": c.namespace, "text": c.text} for c in found[:1000]
            ],
            "views": [v["name"] for v in self.state.views],
        }


def _incomplete(namespace: Namespace, found: int, written: int) -> Failed:
    return Failed(
        "snapshot-incomplete",
        f"The snapshot has {found} documents of {namespace}, its manifest says {written}. "
        "Nothing live was changed.",
        "Check it: mdr snapshots verify --level 3",
    )


def describe_write(write: Write) -> str:
    """Words for an operation: what, where, which document."""
    word = {"i": "insert into", "u": "update of", "d": "delete from"}[write.op]
    source = write.key if write.key is not None and "_id" in write.key else write.document
    return f"{word} {write.original} _id={str(source.get('_id'))[:80]!r}"


def _as_facts(placement: Placement) -> dict[str, Any]:
    return {
        "database": placement.database,
        "name": placement.name,
        "incoming": placement.incoming,
        "outgoing": placement.outgoing,
        "aside": placement.aside,
        "staging": placement.staging,
    }


def _from_facts(facts: dict[str, Any]) -> Placement:
    return Placement(**facts)


def _placed_facts(
    placements: Iterable[Placement], result: CutOver, last: Position, late: dict[str, Any]
) -> dict[str, Any]:
    return {
        "placements": [_as_facts(p) for p in placements],
        "position": str(result.position) if result.position else None,
        "way": result.way,
        "last_applied": str(last),
        "set_aside": [
            {
                "namespace": f"{a.database}.{a.original}",
                "kept_as": f"{a.database}.{a.name}",
                "uuid": a.uuid,
                "expected": a.expected,
            }
            for a in result.set_aside
        ],
        **late,
    }
