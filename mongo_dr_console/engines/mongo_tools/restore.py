"""A restore by the installed mongorestore: the whole snapshot and the oplog up to the limit, in place.

mongorestore goes on from no point in the middle, so a resumed job does all of it again, from what was dropped
on. That the drop comes first and not collection by collection is ours: nothing that was made after the plan
is dropped, and no half of an old state stays.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from pymongo.errors import PyMongoError

from mongo_dr_console.engines.mongo_tools.child import ToolRun
from mongo_dr_console.engines.mongo_tools.dump_folder import DumpFolder, is_given, lay_out, oplog_limit
from mongo_dr_console.engines.mongo_tools.index_check import wrong_indexes
from mongo_dr_console.engines.mongo_tools.output import Said
from mongo_dr_console.engines.mongo_tools.restore_watch import INDEX, RestoreWatch
from mongo_dr_console.engines.mongo_tools.tools import Tool, find_tool
from mongo_dr_console.engines.mongo_tools.uri import RESTORE_OPTIONS, tool_uri
from mongo_dr_console.model import rawbson
from mongo_dr_console.model.namespace import BUCKETS, Namespace
from mongo_dr_console.model.plan import Plan, PlannedNamespace
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.progress import Checkpoint, Note, Report, StepDone, StepProgress, StepStarted
from mongo_dr_console.model.trouble import Failed, Refused, Trouble
from mongo_dr_console.mongo.client import Client, told
from mongo_dr_console.mongo.collections import ListedCollection, collection_uuid, list_collections
from mongo_dr_console.mongo.durability import Confirmation, TermChanged, forget
from mongo_dr_console.stores.snapshot_reader import SnapshotReader, StoredCollection

BEGUN = "tool-begun"
"""Checkpoint: from here on the targets hold what mongorestore wrote."""

_FOLDER = "mongorestore"


class OplogRange(Protocol):
    """The saved oplog after the snapshot's window."""

    def read(self, start: Position, end: Position) -> Iterator[bytes]: ...


@dataclass(frozen=True, slots=True)
class ToolRestoreRequest:
    """What to restore, and from what.

    Args:
        job: The job's id.
        plan: The confirmed plan.
        reader: The base.
        saved: The oplog after the base's window, outside the deployment.
        uri: Of the deployment that is written to; never in argv, a file or the environment of the tool.
        work: A folder of the job's own.
        tools: The folder of the tools; None for the usual places.
        checkpoints: Of earlier runs.
    """

    job: str
    plan: Plan
    reader: SnapshotReader
    saved: OplogRange
    uri: str
    work: Path
    tools: Path | None = None
    checkpoints: tuple[Checkpoint, ...] = ()


@dataclass(slots=True)
class ToolRestore:
    """One restore.

    Args:
        client: To the deployment that is written to.
        request: What to do.
        report: Journals every progress event.
        guard: Asked several times a second; raises to stop, or when the lock is lost.
    """

    client: Client
    request: ToolRestoreRequest
    report: Report
    guard: Callable[[], None]
    tool: Tool = field(init=False)

    def __post_init__(self) -> None:
        self.tool = find_tool("mongorestore", self.request.tools)

    def check_base(self) -> None:
        """Reads everything that takes the place of what is dropped, before it is.

        Raises:
            Failed: ``snapshot-corrupt``, ``snapshot-incomplete``; nothing was dropped.
        """
        if self._journalled("dropped") or self._journalled(BEGUN):
            return
        collections = [c for c in self.request.reader.collections if is_given(c)]
        total = sum(c.documents or 0 for c in collections)
        self.report(StepStarted("check-base", total, "documents"))
        done = 0
        for collection in collections:
            found = self._count(collection, done, total)
            if collection.documents is not None and found != collection.documents:
                raise Failed(
                    "snapshot-incomplete",
                    f"The snapshot has {found} documents of {collection.namespace}, its manifest says "
                    f"{collection.documents}. Nothing live was changed.",
                    "Check it: mdr snapshots verify --level 3",
                )
            done += found
        self.report(StepDone("check-base", f"{done} documents can be read and are as they were written"))

    def _count(self, collection: StoredCollection, done: int, total: int) -> int:
        """Reads a collection to its end, of a good copy if there is one."""
        while True:
            found = 0
            try:
                for chunk in self.request.reader.documents(collection):
                    self.guard()
                    found += rawbson.count(chunk)
                    name = str(collection.namespace)
                    self.report(StepProgress("check-base", done + found, total, "documents", 0, name))
                return found
            except Failed as error:
                path = collection.data_path
                if error.code != "snapshot-corrupt" or path is None:
                    raise
                if not self.request.reader.fall_over(path):
                    raise

    def restore(self) -> dict[str, Any]:
        """Does it; returns the facts for the report.

        Raises:
            Failed, Unreachable, Interrupted: Not finished; ``jobs resume`` does it all again.
        """
        placed = next((c for c in self.request.checkpoints if c.kind == "placed"), None)
        if placed is not None:
            return dict(placed.facts)
        folder = self.request.work / _FOLDER
        shutil.rmtree(folder, ignore_errors=True)
        try:
            facts = self._restore(folder)
        except TermChanged:
            raise Failed(
                "elections",
                "The deployment elected another primary while mongorestore wrote to it, so some of what it "
                "wrote may be lost. The restored collections are not to be trusted.",
                f"Do it again: mdr jobs resume {self.request.job}",
            ) from None
        except PyMongoError as error:
            raise told(error) from None
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        self.report(Checkpoint("placed", facts))
        return facts

    def abandon(self) -> None:
        """Nothing is staged, so there is nothing to remove."""

    def _restore(self, path: Path) -> dict[str, Any]:
        path.mkdir(parents=True, mode=0o700)
        folder = lay_out(self.request.reader, self._entries(), path, self.guard)
        confirmation = Confirmation.begin(self.client, self.request.job, self._waiting)
        self._drop()
        self.report(Checkpoint(BEGUN))
        watch = RestoreWatch(folder.sizes, folder.entries)
        self._run_tool(folder, watch)
        self._check(folder, watch)
        confirmation.confirm()
        forget(self.client, self.request.job)
        return self._facts(watch, self._wrong_indexes())

    def _entries(self) -> Iterator[bytes]:
        base, limit = self.request.plan.snapshot, self.request.plan.limit
        yield from self.request.reader.oplog()
        if limit.position > base.end:
            yield from self.request.saved.read(Position(base.end.t, base.end.i + 1), limit.position)

    # Making room

    def _drop(self) -> None:
        """What the plan says is dropped; in a job that had begun before, whatever it has left there."""
        there = self._live_targets()
        strange = [n.target for n, live in there if not self._is_as_planned(n, live)]
        if strange and not self._journalled(BEGUN):
            raise Refused(
                "plan-changed",
                f"The plan is not valid any more: the live {', '.join(strange[:5])} was made after it. "
                "mongorestore would write into it. Nothing more was changed.",
                "Make a new one: mdr restore plan",
            )
        done = {c.facts["namespace"] for c in self.request.checkpoints if c.kind == "dropped"}
        self.report(StepStarted("drop", len(there), "collections"))
        for planned, live in there:
            self.client[live.database].drop_collection(live.name)
            if planned.target not in done:
                self.report(Checkpoint("dropped", {"namespace": planned.target}))
        self.report(StepDone("drop", f"{len(there)} live collections and views dropped, as planned"))

    def _live_targets(self) -> list[tuple[PlannedNamespace, ListedCollection]]:
        """The planned namespaces that are there now; views first, since they look at the others."""
        listed: dict[str, dict[str, ListedCollection]] = {}
        found = []
        for planned in sorted(self.request.plan.namespaces, key=lambda n: n.kind != "view"):
            target = Namespace.parse(planned.target)
            if target.database not in listed:
                collections = list_collections(self.client, target.database, indexes=False)
                listed[target.database] = {c.name: c for c in collections}
            live = listed[target.database].get(target.collection)
            if live is not None:
                found.append((planned, live))
        return found

    def _is_as_planned(self, planned: PlannedNamespace, there: ListedCollection) -> bool:
        if planned.kind == "view":
            return there.kind == "view"
        if planned.kind == "timeseries":
            return planned.live_uuid == collection_uuid(self.client, there.database, BUCKETS + there.name)
        return planned.live_uuid == there.uuid

    # mongorestore

    def _run_tool(self, folder: DumpFolder, watch: RestoreWatch) -> None:
        limit = oplog_limit(self.request.plan.limit.limit)
        # Documents that a validator refuses now were there all the same.
        words = [
            "--bypassDocumentValidation",
            "--oplogReplay",
            f"--oplogLimit={limit}",
            f"--dir={folder.path}",
        ]
        if folder.gzip:
            words.append("--gzip")
        if self.request.plan.intent.stop_on_error:
            words.append("--stopOnError")
        if self.request.plan.intent.keep_order:
            words.append("--maintainInsertionOrder")
        self.report(Note(f"mongorestore {self.tool.version}: {self.tool.path}, limit {limit}"))
        for event in watch.begin():
            self.report(event)

        def hear(said: Said) -> None:
            for event in watch.hear(said):
                self.report(event)

        uri = tool_uri(self.request.uri, self.request.plan.identity.set_name, RESTORE_OPTIONS)
        run = ToolRun(self.tool, words, uri, hear, self.guard)
        code = run.run()
        if code != 0:
            trouble = run.trouble(code)
            trouble.message += " What it had written by then is there; the rest is missing."
            raise trouble
        self.report(StepDone(INDEX))

    def _check(self, folder: DumpFolder, watch: RestoreWatch) -> None:
        """It ends with 0 in spite of documents that failed, files passed over, and nothing matched."""
        found = watch.shortcomings(folder.documents)
        for planned in self.request.plan.namespaces:
            target = Namespace.parse(planned.target)
            if not self.client[target.database].list_collection_names(filter={"name": target.collection}):
                found.append(f"{target} is not there")
        if found:
            raise Failed(
                "tool-incomplete",
                f"mongorestore ended without an error, and yet {'; '.join(found[:5])}. The restored "
                "collections are not whole.",
                f"Do it again: mdr jobs resume {self.request.job}; or restore with --engine builtin",
            )

    def _wrong_indexes(self) -> list[dict[str, Any]]:
        try:
            return wrong_indexes(self.client, self.request.reader, self._entries(), self.request.plan)
        except Trouble as trouble:
            self.report(Note(f"the indexes could not be compared: {trouble.message}", "warning"))
            return []

    def _facts(self, watch: RestoreWatch, wrong: list[dict[str, Any]]) -> dict[str, Any]:
        plan = self.request.plan
        last = plan.limit.position if plan.last_applied is None else plan.last_applied.position
        return {
            "engine": "mongo_tools",
            "tool_version": self.tool.version,
            "placements": [],
            "position": None,
            "way": "in place",
            "last_applied": str(last),
            "set_aside": [],
            "applied": watch.replayed,
            "skipped_operations": 0,
            "conflicts": [],
            "views": [n.target for n in plan.namespaces if n.kind == "view"],
            "time_series": [n.target for n in plan.namespaces if n.kind == "timeseries"],
            "rejected": [{"namespace": n, "documents": count} for n, count in sorted(watch.failures.items())],
            "unbuilt_indexes": wrong,
        }

    def _journalled(self, kind: str) -> bool:
        return any(c.kind == kind for c in self.request.checkpoints)

    def _waiting(self, text: str) -> None:
        self.report(Note(text))
        self.guard()
