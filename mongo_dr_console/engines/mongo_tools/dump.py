"""A snapshot by the installed mongodump, in our layout: what it wrote, read through, with a manifest.

It reads with read concern majority (by the URI) and keeps to one term, so the snapshot is as safe against a
failover as builtin's. Nothing half-done is offered: it writes into the snapshot's temporary folder.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pymongo.errors import PyMongoError

from mongo_dr_console.engines.builtin.dump_oplog import RENAMED, UPGRADED
from mongo_dr_console.engines.mongo_tools.abilities import ENGINE, refuse_backup
from mongo_dr_console.engines.mongo_tools.child import ToolRun
from mongo_dr_console.engines.mongo_tools.dump_files import DumpedFiles, read_dumped, remove_ours
from mongo_dr_console.engines.mongo_tools.dump_watch import DumpWatch
from mongo_dr_console.engines.mongo_tools.output import Said
from mongo_dr_console.engines.mongo_tools.tools import Tool, find_tool
from mongo_dr_console.engines.mongo_tools.uri import DUMP_OPTIONS, tool_uri
from mongo_dr_console.model.identity import Identity
from mongo_dr_console.model.manifest import Compression, Manifest
from mongo_dr_console.model.namespace import OWN_DATABASE
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.progress import Note, Report, StepDone, StepProgress, StepStarted, StopSignal
from mongo_dr_console.model.trouble import Failed, Refused, Trouble
from mongo_dr_console.mongo.client import Client, told
from mongo_dr_console.mongo.collections import list_databases
from mongo_dr_console.mongo.oplog import majority_position, primary_term
from mongo_dr_console.stores.snapshot_output import SnapshotOutput
from mongo_dr_console.stores.snapshot_writer import SnapshotWriter

_CHECK = "read-back"
_THREADS = 4
_MAJORITY_SECONDS = 60

_ABORTS = (
    ("while renames occur", RENAMED),
    ("while importCollection occurs", RENAMED),
    ("while resharding", RENAMED),
    ("admin.system.version is modified", UPGRADED),
    ("oplog overflow", "oplog-overflow"),
)


@dataclass(frozen=True, slots=True)
class ToolDumpRequest:
    """What to dump: all of the deployment.

    Args:
        identity: Of the deployment, for the manifest.
        uri: How it is reached; never in argv, a file or the environment of the tool.
        tools: The folder of the tools; None for the usual places.
        compression: ``gzip`` or ``none``.
        databases: None; anything else is refused.
    """

    identity: Identity
    uri: str
    tools: Path | None = None
    compression: Compression = "gzip"
    databases: tuple[str, ...] | None = None


def dump(
    client: Client, request: ToolDumpRequest, writer: SnapshotOutput, report: Report, stop: StopSignal
) -> Manifest:
    """Takes a snapshot and finishes it in its store.

    Raises:
        Refused: ``engine-cannot``.
        Failed: ``renamed-during-backup`` and ``upgraded-during-backup`` (start over), ``tool-failed`` and
            others; the caller's ``with writer`` removes what was written.
        Interrupted: As ``stop`` says; the tool has ended by then.
    """
    refuse_backup(request.compression, request.databases)
    if not isinstance(writer, SnapshotWriter):
        raise Refused(
            "engine-cannot",
            "mongodump writes into a directory, so the engine mongo_tools needs a local store to begin with. "
            "Nothing was backed up.",
            "Add a local store, from which it is copied; or take it with the builtin engine: --engine "
            "builtin",
        )
    return _Dump(client, request, writer, report, stop, find_tool("mongodump", request.tools)).run()


@dataclass(slots=True)
class _Dump:
    client: Client
    request: ToolDumpRequest
    writer: SnapshotWriter
    report: Report
    stop: StopSignal
    tool: Tool

    def run(self) -> Manifest:
        begun = datetime.now(UTC)
        term = primary_term(self.client)
        watch = DumpWatch(self._estimate())
        self._run_tool(watch)
        remove_ours(self.writer.folder)
        found = self._read_back(watch)
        self._check_term(term, found.window.end)
        manifest = self._manifest(begun, found)
        self.writer.finish(manifest)
        return manifest

    def _run_tool(self, watch: DumpWatch) -> None:
        words = [f"--out={self.writer.folder}", "--oplog", f"--numParallelCollections={_THREADS}"]
        if self.request.compression == "gzip":
            words.append("--gzip")
        uri = tool_uri(self.request.uri, self.request.identity.set_name, DUMP_OPTIONS)
        self.report(Note(f"mongodump {self.tool.version}: {self.tool.path}"))
        for event in watch.begin():
            self.report(event)

        def hear(said: Said) -> None:
            for event in watch.hear(said):
                self.report(event)

        run = ToolRun(self.tool, words, uri, hear, self.stop.check)
        code = run.run()
        if code != 0:
            raise _explained(run.trouble(code))
        if watch.oplog_entries is None:
            raise Failed(
                "tool-incomplete",
                "mongodump ended without an error and did not say that it copied the oplog. "
                "No snapshot was made.",
                "Back up again; or use the builtin engine: --engine builtin",
            )

    def _read_back(self, watch: DumpWatch) -> DumpedFiles:
        """Every byte once more: mongodump keeps no checksums and no counts."""
        total = watch.documents
        self.report(StepStarted(_CHECK, total, "documents"))

        def tell(documents: int, namespace: str) -> None:
            self.report(StepProgress(_CHECK, documents, max(total, documents), "documents", detail=namespace))

        found = read_dumped(self.writer.store, self.writer.folder, tell, self.stop.check)
        if found.window.operations != watch.oplog_entries:
            raise _differs("oplog.bson", watch.oplog_entries or 0, found.window.operations)
        for entry in found.collections:
            for name in (f"{entry.database}.{entry.name}", f"{entry.database}.system.buckets.{entry.name}"):
                said = watch.finished.get(name)
                if said is not None and entry.data_path is not None and said != entry.documents:
                    raise _differs(name, said, entry.documents)
        documents = sum(c.documents for c in found.collections)
        size = sum(c.bytes for c in found.collections)
        self.report(StepDone(_CHECK, facts={"documents": documents, "bytes": size}))
        return found

    def _check_term(self, term: int, end: Position) -> None:
        """What was read is the deployment's for good only if no election came between, and a majority has
        the window's end."""
        deadline = time.monotonic() + _MAJORITY_SECONDS
        while majority_position(self.client)[0] < end:
            self.stop.check()
            if time.monotonic() > deadline:
                raise Failed(
                    "majority-behind",
                    f"A majority of the members is behind {end} for {_MAJORITY_SECONDS} s, so the snapshot "
                    "could hold writes that are lost in a failover. None was made.",
                    "See how far the members are: mdr status",
                )
            time.sleep(0.05)
        if primary_term(self.client) != term:
            raise Failed(
                "elections",
                "The deployment elected another primary while mongodump read from it, so what it read from "
                "the two need not fit together. No snapshot was made.",
                "Back up again; the builtin engine goes on after an election: --engine builtin",
            )

    def _manifest(self, begun: datetime, found: DumpedFiles) -> Manifest:
        return Manifest(
            name=self.writer.name,
            identity=self.request.identity,
            engine=ENGINE,
            server_version=self._ask(lambda: str(self.client.server_info()["version"])),
            feature_version=self._ask(self._feature_version),
            tool_version=self.tool.version,
            compression=self.request.compression,
            window=found.window,
            started_at=begun,
            finished_at=datetime.now(UTC),
            documents=sum(c.documents for c in found.collections),
            bytes=sum(c.bytes for c in found.collections),
            stored_bytes=sum(f.size for f in found.files),
            files=found.files,
            collections=found.collections,
        ).sealed()

    def _feature_version(self) -> str:
        reply = self.client.admin.command({"getParameter": 1, "featureCompatibilityVersion": 1})
        return str(reply["featureCompatibilityVersion"]["version"])

    def _ask(self, question: Callable[[], str]) -> str:
        """Good to know, and not worth a failed backup."""
        try:
            return question()
        except (PyMongoError, KeyError, TypeError):
            return ""

    def _estimate(self) -> int:
        """How many documents there are, about; for the progress alone."""
        total = 0
        try:
            for name in list_databases(self.client):
                if name not in ("local", "config", OWN_DATABASE):
                    total += int(self.client[name].command("dbStats")["objects"])
        except PyMongoError as error:
            self.report(Note(f"how many documents there are is not known: {told(error).message}"))
        return total


def _explained(trouble: Trouble) -> Trouble:
    """mongodump's reasons to give up at the very end, by the codes that a backup knows."""
    for words, code in _ABORTS:
        if words in trouble.message:
            return Failed(code, trouble.message, "Back up when nothing is renamed, and with a large oplog.")
    return trouble


def _differs(name: str, said: int, found: int) -> Failed:
    return Failed(
        "tool-incomplete",
        f"mongodump said that it wrote {said} documents of {name}, and its file has {found}. "
        "No snapshot was made.",
        "Check the store's disk; back up again.",
    )
