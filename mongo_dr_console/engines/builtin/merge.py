"""Merge mode: only the documents that the chosen events removed or changed come back, each as it was right
before.

Base and oplog are restored into staging collections up to the events' ends, where what they hit stands still
(``model/merge.py``). From there the documents go into the live collections in transactions that no write of
others can slip under (``merge_write.py``). What was written since the event is a conflict: listed, and left
alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from bson.raw_bson import RawBSONDocument
from pymongo.errors import OperationFailure, PyMongoError

from mongo_dr_console.engines.builtin import indexes, merge_sessions, views
from mongo_dr_console.engines.builtin.load import create_options
from mongo_dr_console.engines.builtin.merge_log import CONFLICTS, Conflicts, WrittenLog
from mongo_dr_console.engines.builtin.merge_write import Merger, Wanted
from mongo_dr_console.engines.builtin.restore import BuiltinRestore
from mongo_dr_console.model import rawbson
from mongo_dr_console.model.merge import MergeWatch
from mongo_dr_console.model.namespace import Namespace
from mongo_dr_console.model.oplogentry import raw_entry
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.progress import Checkpoint, Note, StepDone, StepProgress, StepStarted
from mongo_dr_console.model.skip import document_key
from mongo_dr_console.model.timeline import Staged
from mongo_dr_console.model.trouble import Failed
from mongo_dr_console.mongo.collections import list_collections
from mongo_dr_console.mongo.durability import TermChanged

BATCH_DOCUMENTS = 90
"""Fewer than the event finder takes for a mass: a merge is no mistake."""
BATCH_BYTES = 4 * 1024 * 1024
_BATCHES_PER_CONFIRMATION = 64
_NAMESPACE_EXISTS = 48
_ROUNDS = 20
"""Rounds over documents that a unique index refused, as long as each finds room for one at least."""


@dataclass(slots=True)
class MergeRestore(BuiltinRestore):
    """One merge; the steps before it are those of every restore."""

    _watched: MergeWatch = field(default_factory=lambda: MergeWatch(()))
    _merger: Merger | None = None
    _conflicts: Conflicts | None = None
    _taken: dict[Namespace, Position] | None = None
    _unconfirmed: int = 0
    _done: int = 0

    def restore(self) -> dict[str, Any]:
        """Does it; returns the facts for the report.

        Raises:
            Failed, Unreachable, Interrupted: Not finished; ``jobs resume`` goes on where that is possible.
        """
        if self.state.placed is None:
            self._persist(self._stage)
            self._persist(self._bring_back)
        else:
            self._persist(self._look_again)
        self._persist(self._place_views)
        self._persist(self._clean_up)
        return self._result()

    def abandon(self) -> None:
        """Removes what was staged; a resumed job stages it again, and knows by its sessions what it wrote."""
        self._note(Checkpoint("reset"))
        try:
            self._clean_up()
        except (TermChanged, PyMongoError):
            text = f"staging collections named mdr_{self.request.job}_… may be left; mdr doctor lists them"
            self.report(Note(text, "warning"))

    # Staging

    def _watch(self) -> MergeWatch:
        ours = set(self.state.merge_sessions)
        settling = merge_sessions.known(self.client) - ours
        watch = MergeWatch([e.selector for e in self.request.plan.skipped], ours, settling)
        # The newest one is the one in use: others are made for a pass over the definitions alone.
        self._watched = watch
        return watch

    def _homes(self) -> dict[int, str]:
        """Nothing is renamed into its place, so it does not matter where it is staged."""
        return {}

    def _entries(self) -> Iterator[bytes]:
        """Up to the end of the last event: what comes after is only looked through."""
        end = max(event.last for event in self.request.plan.skipped)
        for raw in BuiltinRestore._entries(self):
            if Position.of(raw_entry(raw)["ts"]) > end:
                return
            yield raw

    def _stage(self) -> None:
        self.run = self._new_run()
        self._load()
        self._replay()
        for namespace, staged in self._placed().items():
            expected = None if self._is_short(staged) else self.run.expected(staged)
            found = self.client[staged.database][staged.name].count_documents({})
            if expected is not None and found != expected:
                raise Failed(
                    "verification",
                    f"What was replayed for {namespace} is not what snapshot and oplog say: {found} "
                    f"documents instead of {expected}. Nothing live was changed.",
                    "Keep the job's folder and report this; another base snapshot may help.",
                )

    # Bringing back

    def _bring_back(self) -> None:
        """Called again from its start when the primary was lost: the oplog tells what is written."""
        placed = self._placed()
        planned = {n.source: n for n in self.request.plan.namespaces}
        total = sum(planned[str(n)].documents or 0 for n in placed)
        self.report(StepStarted("merge", total, "documents"))
        folder = self.request.folder
        assert folder is not None
        merge_sessions.end_open(self.client, self.request.job)
        log, self._conflicts, self._done, self._taken = WrittenLog(folder), Conflicts(folder), 0, None
        self._merger = Merger(
            client=self.client,
            look=self._look,
            is_ours=lambda name, key: self._watched.is_written(Namespace.parse(name), key),
            against=lambda name, key: self._watched.against(Namespace.parse(name), key),
            begin_session=self._begin_session,
            keep=log.append,
            leave=self._leave,
        )
        try:
            self._look()
            made = {namespace: self._make(namespace, staged) for namespace, staged in placed.items()}
            self._taken = dict(self._watched.taken)
            for namespace, staged in placed.items():
                self._merger.uuid = made[namespace]
                self._bring_back_into(namespace, staged, total)
            self._index_made(placed, ttl=True)
            self.run.confirmation.confirm()
            self._conflicts.close()
        finally:
            self._merger.close()
            self._conflicts.close()
            log.close()
        facts = [self._tally(namespace, made[namespace]) for namespace in placed]
        last = str(self.run.position)
        self._note(
            Checkpoint("placed", {"placements": [], "position": last, "merged": facts, **self._left()})
        )
        written = sum(f["brought_back"] + f["replaced"] for f in facts)
        left = sum(f["conflicts"] for f in facts)
        self.report(StepDone("merge", f"{written} documents brought back, {left} conflicts"))

    def _begin_session(self, session: str) -> None:
        merge_sessions.remember(self.client, session, self.request.job)
        self._note(Checkpoint("merge-session", {"session": session}))
        self._watched.ours.add(session)

    def _look(self) -> Position:
        """Looks through the oplog up to now; what is written later conflicts with a snapshot of here."""
        assert self.request.follower is not None
        self._wait_for_now()
        end = self.request.follower.position
        for raw in self._later_entries():
            entry = raw_entry(raw)
            for operation in self.run.assembler.feed(entry):
                self._watched.skips(operation)
            self.run.position = Position.of(entry["ts"])
        self.run.position = max(self.run.position, end)
        self._check_none_taken()
        return end

    def _check_none_taken(self) -> None:
        """A collection that goes now would be made again by the next insert, without its options."""
        if self._taken is None:
            return
        found = [n for n in self._placed() if self._watched.taken.get(n) != self._taken.get(n)]
        if found:
            raise Failed(
                "collection-changed",
                f"{found[0]} was dropped or replaced at {self._watched.taken[found[0]]}, while documents "
                "were brought back into it. What was written to it went with it.",
                "See who did it: mdr find. To go on with what is there now: mdr jobs resume",
            )

    def _make(self, namespace: Namespace, staged: Staged) -> str:
        """Makes the live collection where it is not there; returns the hex UUID of the one that is."""
        live = self._live(namespace)
        if not live and self._watched.nothing_can(namespace):
            return ""
        if not live:
            self._note(Checkpoint("merge-made", {"namespace": str(namespace)}))
            try:
                database = self.client[namespace.database]
                database.command({"create": namespace.collection, **create_options(staged)})
            except OperationFailure as error:
                if error.code != _NAMESPACE_EXISTS:
                    raise
                self._note(Checkpoint("merge-not-made", {"namespace": str(namespace)}))
        self._index_made({namespace: staged}, ttl=False)
        return self._live(namespace) or ""

    def _live(self, namespace: Namespace) -> str | None:
        found = list_collections(self.client, namespace.database, indexes=False)
        live = next((c for c in found if c.name == namespace.collection), None)
        if live is not None and (live.kind != "collection" or is_capped(live.options)):
            raise Failed(
                "target-not-a-collection",
                f"{namespace} is no ordinary collection any more, so nothing can be brought back into it.",
                "Restore beside it: --mode beside",
            )
        return live.uuid if live is not None else None

    def _index_made(self, placed: dict[Namespace, Staged], *, ttl: bool) -> None:
        for namespace, staged in placed.items():
            if str(namespace) in self.state.merge_made:
                target = replace(staged, database=namespace.database, name=namespace.collection)
                self._build(namespace, target, lambda spec: indexes.is_ttl(spec) == ttl)

    def _bring_back_into(self, namespace: Namespace, staged: Staged, total: int) -> None:
        assert self._merger is not None
        name, blocked = str(namespace), []
        for batch in self._batches(namespace, staged):
            blocked += self._merger.write(name, batch)
            self._after(len(batch), total, name)
        for _ in range(_ROUNDS):
            if not blocked:
                return
            before, refused = len(blocked), blocked
            blocked = []
            for wanted, _why in refused:
                blocked += self._merger.write(name, [wanted])
                self._after(0, total, name)
            if len(blocked) == before:
                break
        for wanted, why in blocked:
            self._leave(name, wanted.document, why)

    def _after(self, documents: int, total: int, name: str) -> None:
        self._done += documents
        self.report(StepProgress("merge", self._done, max(total, self._done), "documents", detail=name))
        self._unconfirmed += 1
        self.guard()
        if self._unconfirmed >= _BATCHES_PER_CONFIRMATION:
            self._unconfirmed = 0
            self.run.confirmation.confirm()
            self._pace()

    def _batches(self, namespace: Namespace, staged: Staged) -> Iterator[list[Wanted]]:
        """The documents that the events hit, as they were right before."""
        collection: Any = self.client[staged.database].get_collection(staged.name, codec_options=rawbson.RAW)
        batch: list[Wanted] = []
        size = 0
        for document in collection.find({}):
            key = document_key(str(namespace), document["_id"])
            if not self._watched.hit(namespace, key):
                continue
            if batch and (len(batch) >= BATCH_DOCUMENTS or size + len(document.raw) > BATCH_BYTES):
                yield batch
                batch, size = [], 0
            batch.append(Wanted(key, document, self._watched.leaves_one(namespace, key)))
            size += len(document.raw)
        if batch:
            yield batch

    def _leave(self, namespace: str, document: RawBSONDocument, why: str) -> None:
        assert self._conflicts is not None
        since = self._watched.since.get(document_key(namespace, document["_id"]))
        position = since.position if since is not None else self.run.position
        self._conflicts.add(namespace, document, why, str(position))

    # Afterwards

    def _place_views(self) -> None:
        """Only those that are not there: one that is was made, or changed, since."""
        made = []
        for target, definition in self._wanted_views().items():
            there = self.client[target.database].list_collection_names(filter={"name": target.collection})
            if there:
                continue
            if str(target) not in {v["name"] for v in self.state.views}:
                self._note(Checkpoint("view", {"name": str(target), "before": None}))
            views.put(self.client, target, definition)
            made.append(str(target))
        if made:
            self._confirmation().confirm()
            self.report(StepDone("views", f"{len(made)} views"))

    def _tally(self, namespace: Namespace, uuid: str) -> dict[str, Any]:
        assert self._merger is not None and self._conflicts is not None
        tally = self._merger.tallies.get(str(namespace))
        counts = {"brought_back": 0, "replaced": 0, "already": 0} if tally is None else asdict(tally)
        return {
            "namespace": str(namespace),
            **counts,
            "conflicts": self._conflicts.counts[str(namespace)],
            "made": str(namespace) in self.state.merge_made,
            "uuid": uuid,
        }

    def _left(self) -> dict[str, Any]:
        assert self._conflicts is not None
        file = CONFLICTS if self._conflicts.counts else None
        return {
            "conflicts": self._conflicts.first,
            "conflict_count": sum(self._conflicts.counts.values()),
            "conflicts_file": file,
        }

    def _result(self) -> dict[str, Any]:
        placed = self.state.placed or {}
        facts = BuiltinRestore._result(self)
        own = {k: placed[k] for k in ("conflicts", "conflict_count", "conflicts_file", "merged")}
        return {**facts, **own, "skipped_operations": self._watched.operations}


def is_capped(options: bytes) -> bool:
    return bool(RawBSONDocument(options, rawbson.RAW).get("capped"))
