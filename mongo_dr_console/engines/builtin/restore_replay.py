"""The replay of a restore: its passes over the oplog, and what they come to."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain

from mongo_dr_console.engines.builtin import indexes
from mongo_dr_console.engines.builtin.cutover import names_by_uuid
from mongo_dr_console.engines.builtin.replay import Replayer
from mongo_dr_console.engines.builtin.replay_run import ZERO, ReplayRun, tracked_with
from mongo_dr_console.engines.builtin.restore_base import RestoreBase
from mongo_dr_console.model import rawbson
from mongo_dr_console.model.namespace import Namespace, is_staging, known_as
from mongo_dr_console.model.oplogentry import Operation, TransactionAssembler, raw_entry
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.progress import Checkpoint, StepDone, StepStarted
from mongo_dr_console.model.skip import LeavingOut, SkipWatch
from mongo_dr_console.model.timeline import Staged, Timeline, Write

_ENTRIES = 2000
_ENTRIES_BYTES = 4 * 1024 * 1024


@dataclass(slots=True)
class Replaying(RestoreBase):
    """Makes and advances the pass over the oplog, and says what stands for what in it."""

    def _new_run(self) -> ReplayRun:
        plan = self.request.plan
        self._settled.clear()
        self._skips = self._watch()
        timeline = self._begun_timeline(self._skips, self._homes())
        names = re.compile(rf"mdr_{self.request.job}_\d+")
        replayer = Replayer(
            self.client,
            may_write=lambda ns: names.fullmatch(ns.partition(".")[2]) is not None,
            describe=describe_write,
            upsert_through=self.state.sent or ZERO,
            is_placed=self._placed_staging(),
            is_short=self._is_short,
            in_order=lambda: self.state.indexed,
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
            plain=not plan.skipped,
        )

    def _watch(self) -> LeavingOut:
        """Tells what is left out of the replay."""
        return SkipWatch([e.selector for e in self.request.plan.skipped])

    def _begun_timeline(self, skips: LeavingOut, homes: dict[int, str]) -> Timeline:
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
            pinned=frozenset(n.uuid for n in self.request.plan.namespaces if n.uuid),
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
        timeline = self._begun_timeline(self._watch(), {})
        assembler = TransactionAssembler()
        for raw in self._entries():
            for operation in assembler.feed(raw_entry(raw)):
                if operation.op == "c":
                    timeline.feed(operation)
        return {s.number: places[str(n)] for n, s in timeline.collections.items() if str(n) in places}

    def _placed_staging(self) -> Callable[[Staged], bool]:
        """Which staging collections have their final name already, as the server sees it now."""
        facts = self.state.placements or []
        names = {db: names_by_uuid(self.client, db) for db in {f["database"] for f in facts}}
        there = {f["staging"] for f in facts if names[f["database"]].get(f["incoming"]) == f["name"]}
        return lambda staged: staged.name in there

    def _settle(self, operation: Operation) -> bool:
        """Whether an operation is this job's own: a cut-over's rename, or in-place mode's drop."""
        job = self.request.job
        if operation.command in ("create", "drop") and self._is_own_series(operation):
            self._settled.add(known_as(operation.database, operation.document[operation.command]))
            return True
        if operation.command == "renameCollection":
            return self._settle_rename(operation)
        if operation.command == "drop":
            ours = {n.live_uuid for n in self.request.plan.namespaces if n.mode == "in-place"}
            return (
                operation.uuid is not None and operation.uuid in ours and self._is_later(operation.position)
            )
        if operation.command in ("create", "drop", "createIndexes", "commitIndexBuild", "collMod"):
            return str(operation.document[operation.command]).startswith(f"mdr_{job}_")
        return operation.collection.startswith(f"mdr_{job}_")

    def _settle_rename(self, operation: Operation) -> bool:
        job = self.request.job
        source = Namespace.parse(operation.document["renameCollection"])
        target = Namespace.parse(operation.document["to"])
        if source.collection.startswith(f"mdr_{job}_"):
            self._settled.add(target)
            self.run.timeline.collections.pop(target, None)
            return True
        if target.collection.startswith(f"mdr_aside_{job}_"):
            # Where the primary was lost between the two renames, applications may make it again.
            self.run.timeline.vacate(source)
            return True
        return False

    def _is_own_series(self, operation: Operation) -> bool:
        """Whether this job itself has dropped, or made, the buckets of a time series here."""
        if self.state.series is None or operation.uuid is None:
            return False
        if operation.command == "create":
            return operation.uuid in self.state.series_made.values()
        gone = {facts["outgoing"] for facts in self.state.series}
        return operation.uuid in gone and self._is_later(operation.position)

    def _is_later(self, position: Position) -> bool:
        return not self.request.plan.limit.limit.admits(position)

    def _entries(self) -> Iterator[bytes]:
        """The window's entries, then the saved ones, up to the limit."""
        plan = self.request.plan
        limit = plan.limit.limit
        through = self.request.follower.position if self.request.follower else limit.position
        after = Position(plan.snapshot.end.t, plan.snapshot.end.i + 1)
        window = rawbson.batches(self.request.snapshot.oplog(), _ENTRIES, _ENTRIES_BYTES)
        for batch in chain((batch for batch, _ in window), self.request.saved.read(after, through)):
            entries = list(rawbson.split(batch))
            # In order: if the last one is not beyond the limit, none is.
            look = bool(entries) and self._beyond(entries[-1])
            del batch
            for raw in entries:
                if look and self._beyond(raw):
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

    def _look_again(self) -> None:
        """Brings the timeline to where it was when everything was ready; nothing is sent for what is done."""
        self.run = self._new_run()
        self.run.advance(self._entries())
        self._stale = False

    def _replay(self) -> None:
        self.report(StepStarted("replay", self.request.plan.operations, "operations"))
        if self.state.indexed:
            self._unindex()
        self.run.advance(self._entries())
        self.run.finish()
        last = self.run.position
        self.report(StepDone("replay", f"through {last}", {"applied": self.run.replayer.applied}))

    def _unindex(self) -> None:
        """Going back over operations with unique indexes in place could refuse states that never were."""
        there = {db: set(names_by_uuid(self.client, db).values()) for db in self._databases()}
        for staged in self.run.timeline.all:
            if staged.name in there[staged.database]:
                indexes.drop_all(self.client, staged)
        self._note(Checkpoint("unindexed"))

    def _databases(self) -> set[str]:
        return {staged.database for staged in self.run.timeline.all}

    def _placed(self) -> dict[Namespace, Staged]:
        """What exists at the limit and was asked for; an earlier restore's staging collections are data for
        the replay only (server-rules 4)."""
        planned = {n.source for n in self.request.plan.namespaces}
        found = self.run.timeline.placed(lambda n: str(n) in planned and not is_staging(n.collection))
        return {n: s for n, s in found.items() if not s.series}

    def _series(self) -> dict[Namespace, Staged]:
        """The time series among what was asked for; once they are being put in place, they are past this."""
        if self.state.series is not None:
            return {}
        planned = {n.source for n in self.request.plan.namespaces}
        found = self.run.timeline.placed(lambda n: str(n) in planned)
        return {n: s for n, s in found.items() if s.series}

    def _ready(self, placed: dict[Namespace, Staged]) -> dict[Namespace, Staged]:
        """Those of them that do not have their final name yet."""
        return {n: s for n, s in placed.items() if not self.run.replayer.is_placed(s)}


def describe_write(write: Write) -> str:
    """Words for an operation: what, where, which document."""
    word = {"i": "insert into", "u": "update of", "d": "delete from"}[write.op]
    source = write.key if write.key is not None and "_id" in write.key else write.document
    return f"{word} {write.original} _id={str(source.get('_id'))[:80]!r}"
