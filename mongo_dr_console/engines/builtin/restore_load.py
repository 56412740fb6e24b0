"""The start of a restore: the base is read, and loaded into staging collections."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from pymongo.errors import OperationFailure

from mongo_dr_console.engines.builtin.load import create_staged, insert
from mongo_dr_console.engines.builtin.restore_replay import Replaying
from mongo_dr_console.model import rawbson
from mongo_dr_console.model.namespace import Namespace
from mongo_dr_console.model.progress import Checkpoint, Note, StepDone, StepProgress, StepStarted
from mongo_dr_console.model.timeline import SnapshotCollection, Staged
from mongo_dr_console.model.trouble import Failed
from mongo_dr_console.model.words import counted
from mongo_dr_console.mongo.collections import collection_uuid
from mongo_dr_console.mongo.durability import is_lost_primary

_UNAUTHORIZED = 13


@dataclass(slots=True)
class Loading(Replaying):
    """Checks the base, drops what in-place mode drops, and loads."""

    def check_base(self) -> None:
        """Where live collections are about to be dropped: reads all that takes their place first, since a
        damaged byte that shows only while it is loaded would show too late.

        Raises:
            Failed: ``snapshot-corrupt``, ``snapshot-incomplete``; nothing was dropped.
        """
        if not any(n.mode == "in-place" and n.live_uuid for n in self.request.plan.namespaces):
            return
        if self.state.dropped or self.state.series is not None:
            return
        wanted = [c for c in self.request.snapshot.staged_collections() if self._tracked(c[0].namespace)]
        total = sum(documents or 0 for _, _, documents in wanted)
        self.report(StepStarted("check-base", total, "documents"))
        done = 0
        for collection, data, documents in wanted:
            found = self._count(collection.namespace, data, done, total)
            if documents is not None and found != documents:
                raise incomplete(collection.namespace, found, documents)
            done += found
        self.report(StepDone("check-base", f"{done} documents can be read and are as they were written"))

    def _count(self, namespace: Namespace, data: Callable[[], Iterator[bytes]], done: int, total: int) -> int:
        """Reads a collection's data to its end, of a good copy if there is one."""
        while True:
            found = 0
            try:
                for chunk in data():
                    self.guard()
                    found += rawbson.count(chunk)
                    self.report(
                        StepProgress("check-base", done + found, total, "documents", 0, str(namespace))
                    )
                return found
            except Failed as error:
                self._fall_over(namespace, error)

    def _fall_over(self, namespace: Namespace, error: Failed) -> None:
        """Turns to another copy of a damaged file; where there is none, the error is raised."""
        if error.code != "snapshot-corrupt" or not self.request.snapshot.fall_over(namespace):
            raise error
        self.report(Note(f"{error.message} Another store's copy is read instead.", "warning"))

    def _drop_live(self) -> None:
        planned = [n for n in self.request.plan.namespaces if n.mode == "in-place" and n.live_uuid]
        # A time series stays until right before the restored one is made.
        wanted = [n for n in planned if n.kind != "timeseries"]
        if not wanted:
            return
        if any(n.target not in self.state.dropped for n in wanted):
            self._try_definitions()
        self.report(StepStarted("drop", len(wanted), "collections"))
        for one in wanted:
            target = Namespace.parse(one.target)
            live = collection_uuid(self.client, target.database, target.collection)
            if one.target not in self.state.dropped and live == one.live_uuid:
                self.client[target.database].drop_collection(target.collection)
            if one.target not in self.state.dropped:
                # Also where it is gone already: with its UUID preserved, the restored one looks like it.
                self._note(Checkpoint("dropped", {"namespace": one.target}))
        self.report(StepDone("drop", f"{counted(len(wanted), 'live collection')} dropped, as planned"))

    def _try_definitions(self) -> None:
        """Makes what is to be loaded once, empty: options that the server refuses show before the drop."""
        for namespace, staged in list(self.run.timeline.collections.items()):
            self.client[staged.database].drop_collection(staged.name)
            # The UUID may be that of the collection which is to be dropped.
            self._create(replace(staged, pinned=False), namespace)
            self.client[staged.database].drop_collection(staged.name)

    def _create(self, staged: Staged, namespace: Namespace) -> None:
        try:
            create_staged(self.client, staged)
        except OperationFailure as error:
            if is_lost_primary(error) or error.code == _UNAUTHORIZED:
                raise
            why = str((error.details or {}).get("errmsg", error))[:500]
            raise Failed(
                "options-refused",
                f"The server makes no {namespace} with the options that the snapshot has for it: {why}. "
                "Nothing live was changed.",
                "Leave it out with --exclude, or restore into a server that takes them.",
            ) from None

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
            loaded, weight = self._load_one(staged, collection, data, (done, size, total))
            if documents is not None and loaded != documents:
                raise incomplete(collection.namespace, loaded, documents)
            size += weight
            done += loaded
            rejected = self.request.rejects.counts[str(collection.namespace)]
            facts = {"number": staged.number, "documents": loaded, "rejected": rejected}
            self._note(Checkpoint("loaded", facts))
            self._pace()
        self.report(StepDone("load", f"{done} documents", {"documents": done, "bytes": size}))

    def _load_one(
        self,
        staged: Staged,
        collection: SnapshotCollection,
        data: Callable[[], Iterator[bytes]],
        before: tuple[int, int, int],
    ) -> tuple[int, int]:
        """Documents and bytes that were loaded; again from the start where the copy that was read is bad."""
        done, size, total = before
        name = str(collection.namespace)
        while True:
            confirmation = self._confirmation()
            self.client[staged.database].drop_collection(staged.name)
            self._create(staged, collection.namespace)
            loaded = weight = 0
            self.request.rejects.begin(name)
            ordered, refuse = self.request.plan.intent.keep_order, self._refusing(name)
            try:
                for count, some in insert(self.client, staged, data(), refuse, ordered=ordered):
                    self.guard()
                    loaded, weight = loaded + count, weight + some
                    self._keep_close(some)
                    progress = StepProgress("load", done + loaded, total, "documents", size + weight, name)
                    self.report(progress)
            except Failed as error:
                self._fall_over(collection.namespace, error)
                continue
            confirmation.confirm()
            return loaded, weight


def incomplete(namespace: Namespace, found: int, written: int) -> Failed:
    """The snapshot has not what its manifest says."""
    return Failed(
        "snapshot-incomplete",
        f"The snapshot has {found} documents of {namespace}, its manifest says {written}. "
        "Nothing live was changed.",
        "Check it: mdr snapshots verify --level 3",
    )
