"""Taking a snapshot while writes go on: the data by name, then the oplog from before to after it.

Consistent at the end of its window: whatever the scans caught of a change, replaying the window over them
gives the state at its last entry, and any later one after it.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import UTC, datetime
from queue import SimpleQueue
from typing import TypeVar

from bson.timestamp import Timestamp
from pymongo.errors import OperationFailure, PyMongoError

from mongo_dr_console import __version__
from mongo_dr_console.engines.builtin.dump_oplog import OplogCopy, check_entry, overflow
from mongo_dr_console.engines.builtin.dump_scan import Cancelled, Scan, Scanner, Tally
from mongo_dr_console.model import extjson
from mongo_dr_console.model.filenames import BUCKETS, DATA_SUFFIX, METADATA_SUFFIX, escape
from mongo_dr_console.model.identity import Identity
from mongo_dr_console.model.manifest import CollectionEntry, Compression, FileEntry, Manifest, Window
from mongo_dr_console.model.namespace import OWN_DATABASE, Namespace, is_set_aside
from mongo_dr_console.model.oplogentry import raw_entry
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.progress import Note, Report, StepDone, StepProgress, StepStarted, StopSignal
from mongo_dr_console.model.trouble import Failed, Trouble, WrongUse
from mongo_dr_console.mongo.client import Client, told
from mongo_dr_console.mongo.collections import EMPTY, ListedCollection, list_collections, list_databases
from mongo_dr_console.mongo.durability import is_lost_primary, wait_for_primary
from mongo_dr_console.mongo.oplog import ends, entry_at, majority_position, primary_term
from mongo_dr_console.stores.compression import SUFFIXES
from mongo_dr_console.stores.snapshot_files import TOOL
from mongo_dr_console.stores.snapshot_writer import SnapshotWriter

T = TypeVar("T")

ENGINE = "builtin"

_THREADS = 4
_TICK = 0.2
_OPLOG_EVERY = 1.0
_PRIMARY_SECONDS = 60
_MAJORITY_SECONDS = 60
_SETTLE_SECONDS = 25
_TRIES = 5

_SYSTEM = frozenset({("admin", "system.users"), ("admin", "system.roles"), ("admin", "system.version")})
"""The server's own collections that are data of the deployment."""

_ZSTD_NOTE = """These files are packed with zstd, which mongorestore cannot read. Unpack them first:

    zstd -d -r --rm .
"""


@dataclass(frozen=True, slots=True)
class DumpRequest:
    """What to dump.

    Args:
        identity: Of the deployment, for the manifest.
        compression: Of every file.
        databases: Only these; None for all. The whole window's oplog is kept either way.
        namespaces: Only these collections (within ``databases``, where both are given); None for all.
        threads: How many collections are read at once.
    """

    identity: Identity
    compression: Compression = "gzip"
    databases: tuple[str, ...] | None = None
    namespaces: tuple[Namespace, ...] | None = None
    threads: int = _THREADS

    @property
    def scope(self) -> list[str] | None:
        if self.databases is None and self.namespaces is None:
            return None
        return [*(self.databases or ()), *(str(n) for n in self.namespaces or ())]


def dump(
    client: Client, request: DumpRequest, writer: SnapshotWriter, report: Report, stop: StopSignal
) -> Manifest:
    """Takes a snapshot and finishes it in its store.

    Raises:
        Failed: ``renamed-during-backup`` and ``upgraded-during-backup`` (start over), ``oplog-overflow``,
            ``store-full`` and others; the caller's ``with writer`` removes what was written.
        WrongUse: A database that is not there.
        Interrupted: As ``stop`` says.
    """
    return _Dump(client, request, writer, report, stop).run()


@dataclass(slots=True)
class _Dump:
    client: Client
    request: DumpRequest
    writer: SnapshotWriter
    report: Report
    stop: StopSignal
    files: list[FileEntry] = field(default_factory=list)
    collections: list[CollectionEntry] = field(default_factory=list)
    notes: SimpleQueue[str] = field(default_factory=SimpleQueue)

    def run(self) -> Manifest:
        begun = datetime.now(UTC)
        start = self._persist(self._find_start)
        oplog = OplogCopy(self.client, self.writer.open(*self._oplog_name()), start)
        listed = self._persist(self._list)
        self._check_known(listed)
        chosen = [entry for entry in listed if self._wants(entry)]
        cancelled = threading.Event()
        scanner = Scanner(self.client, start, cancelled, self.notes.put)
        scans = self._prepare(chosen, {(e.database, e.name) for e in listed}, scanner)
        self._read_data(scans, scanner, oplog, cancelled)
        window = self._finish_oplog(oplog, scanner.newest)
        manifest = self._manifest(begun, chosen, scans, window)
        self.writer.finish(manifest)
        return manifest

    # Where the window begins

    def _find_start(self) -> Position:
        """The majority point, or the first entry of the oldest transaction that is still open, if earlier.

        An entry at the start is replayed over data that was read after it. That is harmless for all but the
        ones that a dump cannot bear: then it begins at the next entry, a note of our own where that may be
        written (role backup), else the one that an idle primary writes every 10 s.
        """
        deadline = time.monotonic() + _SETTLE_SECONDS
        noted = False
        while True:
            opened = self._oldest_transaction()
            position, _ = majority_position(self.client)
            start = position if opened is None else min(position, opened)
            trouble = self._bars(start)
            if trouble is None:
                oldest, _ = ends(self.client)
                if oldest > start:
                    raise overflow(start, oldest)
                return start
            if time.monotonic() > deadline:
                raise trouble
            if not noted:
                self._note_in_oplog()
                noted = True
            self._pause()

    def _note_in_oplog(self) -> None:
        # Without the right to do so, waiting is enough.
        with contextlib.suppress(OperationFailure):
            self.client.admin.command("appendOplogNote", data={"msg": "mongo-dr-console: backup begins"})

    def _oldest_transaction(self) -> Position | None:
        found = self.client.config.transactions.find(
            {"state": {"$in": ["prepared", "inProgress"]}}, {"startOpTime": 1}
        )
        return min((Position.of(t["startOpTime"]["ts"]) for t in found if "startOpTime" in t), default=None)

    def _bars(self, position: Position) -> Failed | None:
        raw = entry_at(self.client, position)
        if raw is None:
            return overflow(position, None)
        try:
            check_entry(raw_entry(raw))
        except Failed as trouble:
            return trouble
        return None

    # What there is

    def _list(self) -> list[ListedCollection]:
        """All collections. What is listed must be majority-committed, so that no failover takes it back."""
        self.report(StepStarted("listing", unit="collections"))
        for _ in range(_TRIES):
            term = primary_term(self.client)
            with self.client.start_session() as session:
                names = [n for n in list_databases(self.client) if _is_dumped(n)]
                found = []
                for name in names:
                    self.stop.check()
                    found += list_collections(self.client, name, session=session)
                seen = session.operation_time
            if seen is None or self._await_majority(Position.of(seen))[1] == term:
                self.report(StepDone("listing", facts={"collections": len(found)}))
                return found
        raise Failed(
            "elections", "The deployment elected primaries again and again while its collections were listed."
        )

    def _check_known(self, listed: list[ListedCollection]) -> None:
        databases = {entry.database for entry in listed}
        namespaces = {(entry.database, entry.name) for entry in listed}
        missing = [d for d in self.request.databases or () if d not in databases]
        missing += [
            str(n) for n in self.request.namespaces or () if (n.database, n.collection) not in namespaces
        ]
        if missing:
            raise WrongUse(
                "nothing-to-back-up",
                f"The deployment has no {', '.join(missing)} that could be backed up.",
                f"It has: {', '.join(sorted(databases))}",
            )

    def _wants(self, entry: ListedCollection) -> bool:
        if is_set_aside(entry.name) or entry.name.startswith(BUCKETS):
            return False
        if entry.name.startswith("system.") and (entry.database, entry.name) not in _SYSTEM:
            return entry.name == "system.js" and self._in_scope(entry)
        return self._in_scope(entry)

    def _in_scope(self, entry: ListedCollection) -> bool:
        if self.request.databases is not None and entry.database not in self.request.databases:
            return False
        return self.request.namespaces is None or (
            Namespace(entry.database, entry.name) in self.request.namespaces
        )

    # Metadata

    def _prepare(
        self, chosen: list[ListedCollection], listed: set[tuple[str, str]], scanner: Scanner
    ) -> list[Scan]:
        """Writes the metadata and says what is to be read, largest first."""
        suffix = SUFFIXES[self.request.compression]
        scans = []
        for entry in chosen:
            self.stop.check()
            path = f"{entry.database}/{escape(entry.name)}{METADATA_SUFFIX}{suffix}"
            self._put(path, metadata_text(entry).encode())
            if entry.kind == "view":
                continue
            name = BUCKETS + entry.name if entry.kind == "timeseries" else entry.name
            if (entry.database, name) not in listed:
                raise Failed(
                    "timeseries-unsupported",
                    f"{entry.database}.{entry.name} is a time series without a collection of buckets, as "
                    "servers from 8.3 on have them; this version cannot read it. No snapshot was made.",
                    "Leave its database out: --db",
                )
            size = self._persist(lambda e=entry, n=name: scanner.measure(e.database, n))  # type: ignore[misc]
            data_path = f"{entry.database}/{escape(name)}{DATA_SUFFIX}{suffix}"
            scans.append(Scan(entry, name, data_path, size, Tally()))
        return sorted(scans, key=lambda s: s.size.bytes, reverse=True)

    def _put(self, path: str, data: bytes) -> None:
        self.files.append(self.writer.put(path, data, self.request.compression))

    # Data

    def _read_data(
        self, scans: list[Scan], scanner: Scanner, oplog: OplogCopy, cancelled: threading.Event
    ) -> None:
        total = sum(scan.size.documents for scan in scans)
        self.report(StepStarted("data", total, "documents"))

        def work(scan: Scan) -> FileEntry:
            if cancelled.is_set():
                raise Cancelled
            return scanner.scan(scan, self.writer.open(scan.path, self.request.compression))

        copied = time.monotonic()
        with ThreadPoolExecutor(self.request.threads, "mdr-scan") as pool:
            futures = [pool.submit(work, scan) for scan in scans]
            pending = set(futures)
            try:
                while pending:
                    done, pending = wait(pending, timeout=_TICK, return_when=FIRST_EXCEPTION)
                    for future in done:
                        future.result()
                    self.stop.check()
                    self._tell(scans, total)
                    if time.monotonic() - copied >= _OPLOG_EVERY:
                        self._follow(oplog)
                        copied = time.monotonic()
            except BaseException:
                cancelled.set()
                raise
        self.files += [future.result() for future in futures]
        self._tell(scans, total)
        documents, size = _sum(scans)
        self.report(
            StepDone("data", facts={"documents": documents, "bytes": size, "collections": len(scans)})
        )

    def _tell(self, scans: list[Scan], total: int) -> None:
        while not self.notes.empty():
            self.report(Note(self.notes.get(), "warning"))
        documents, size = _sum(scans)
        self.report(StepProgress("data", documents, max(total, documents), "documents", size))

    def _follow(self, oplog: OplogCopy) -> None:
        """Copies what the oplog has by now; a lost primary is the scans' business."""
        try:
            oplog.advance(majority_position(self.client)[0])
        except PyMongoError as error:
            if not is_lost_primary(error):
                raise told(error) from None
        except Trouble as trouble:
            if trouble.code != "deployment-unreachable":
                raise

    # Where the window ends

    def _finish_oplog(self, oplog: OplogCopy, newest: Timestamp) -> Window:
        """Copies up to the majority point after the last read, and proves that it is there."""
        self.report(StepStarted("oplog", unit="operations"))
        at_least = max(Position.of(newest), oplog.last or oplog.start)
        end, _ = self._persist(lambda: self._await_majority(at_least))
        deadline = time.monotonic() + _MAJORITY_SECONDS
        while not self._persist(lambda: oplog.advance(end)):
            if time.monotonic() > deadline:
                raise Failed(
                    "majority-behind",
                    f"The oplog does not show the entry at {end}, which is majority-committed.",
                    "See how far the members are: mdr status",
                )
            self._pause()
        assert oplog.last is not None
        self.files.append(oplog.finish())
        self.report(StepProgress("oplog", oplog.operations, oplog.operations, "operations", oplog.bytes))
        self.report(StepDone("oplog", facts={"operations": oplog.operations, "bytes": oplog.bytes}))
        return Window(
            start=oplog.start,
            end=oplog.last,
            end_term=oplog.last_term,
            end_hash=oplog.last_hash,
            operations=oplog.operations,
        )

    def _oplog_name(self) -> tuple[str, Compression]:
        # With gzip the content is packed under the plain name; mongorestore expects just that.
        name = "oplog.bson.zst" if self.request.compression == "zstd" else "oplog.bson"
        return name, self.request.compression

    # The end

    def _manifest(
        self, begun: datetime, chosen: list[ListedCollection], scans: list[Scan], window: Window
    ) -> Manifest:
        version = str(self._persist(lambda: self.client.server_info()["version"]))
        suffix = SUFFIXES[self.request.compression]
        tool = f"{TOOL} {__version__}"
        prelude = json.dumps({"ServerVersion": version, "ToolVersion": tool}, separators=(",", ":"))
        if self.request.compression == "zstd":
            self.files.append(self.writer.put("README.txt", _ZSTD_NOTE.encode()))
        self._put(f"prelude.json{suffix}", prelude.encode())
        found = {(scan.entry.database, scan.entry.name): scan for scan in scans}
        collections = [_collection(e, found.get((e.database, e.name)), suffix) for e in chosen]
        files = sorted(self.files, key=lambda f: f.path)
        return Manifest(
            name=self.writer.name,
            identity=self.request.identity,
            engine=ENGINE,
            server_version=version,
            feature_version=self._feature_version(),
            tool_version=__version__,
            compression=self.request.compression,
            scope=self.request.scope,
            window=window,
            started_at=begun,
            finished_at=datetime.now(UTC),
            documents=sum(c.documents for c in collections),
            bytes=sum(c.bytes for c in collections),
            stored_bytes=sum(f.size for f in files),
            files=files,
            collections=collections,
        ).sealed()

    def _feature_version(self) -> str:
        try:
            reply = self.client.admin.command({"getParameter": 1, "featureCompatibilityVersion": 1})
            return str(reply["featureCompatibilityVersion"]["version"])
        except (PyMongoError, KeyError, TypeError):
            # Good to know, and not worth a role of its own.
            return ""

    # Waiting

    def _await_majority(self, position: Position) -> tuple[Position, int]:
        """The majority point once it has reached a position, and the primary's term.

        Raises:
            Failed: ``majority-behind``.
        """
        deadline = time.monotonic() + _MAJORITY_SECONDS
        while True:
            self.stop.check()
            reached, _ = majority_position(self.client)
            if reached >= position:
                return reached, primary_term(self.client)
            if time.monotonic() > deadline:
                raise Failed(
                    "majority-behind",
                    f"A majority of the members is behind {position} for {_MAJORITY_SECONDS} s, so that a "
                    "snapshot could hold writes that are lost in a failover. None was made.",
                    "See how far the members are: mdr status",
                )
            self._pause()

    def _persist(self, work: Callable[[], T]) -> T:
        """Does it again when the primary was lost, once there is one."""
        for attempt in range(1, _TRIES + 1):
            try:
                return work()
            except PyMongoError as error:
                if attempt == _TRIES or not is_lost_primary(error):
                    raise told(error) from None
            except Trouble as trouble:
                if attempt == _TRIES or trouble.code != "deployment-unreachable":
                    raise
            wait_for_primary(self.client, _PRIMARY_SECONDS, self.stop.check)
        raise AssertionError("unreachable")

    def _pause(self) -> None:
        self.stop.check()
        time.sleep(0.05)


def metadata_text(entry: ListedCollection) -> str:
    """The one line of a metadata file, fields in mongodump's order.

    Raises:
        Failed: Options or indexes that Extended JSON cannot carry unchanged.
    """
    try:
        parts = [] if entry.options == EMPTY else [f'"options":{extjson.dumps(entry.options)}']
        parts.append(f'"indexes":[{",".join(extjson.dumps(raw) for raw in entry.indexes)}]')
    except extjson.NotCanonical as error:
        raise Failed(
            "metadata-unwritable",
            f"The options or indexes of {entry.database}.{entry.name} cannot be written without changing "
            f"them: {error}. No snapshot was made.",
            "Change them, or leave its database out: --db",
        ) from None
    if entry.uuid is not None:
        parts.append(f'"uuid":"{entry.uuid}"')
    parts.append(f'"collectionName":{extjson.quote(entry.name)}')
    parts.append(f'"type":"{entry.kind}"')
    return "{" + ",".join(parts) + "}"


def _collection(entry: ListedCollection, scan: Scan | None, suffix: str) -> CollectionEntry:
    return CollectionEntry(
        database=entry.database,
        name=entry.name,
        kind=entry.kind,
        uuid=entry.uuid,
        documents=scan.tally.documents if scan else 0,
        bytes=scan.tally.bytes if scan else 0,
        options=extjson.to_jsonable(entry.options),
        indexes=[extjson.to_jsonable(raw) for raw in entry.indexes],
        data_path=scan.path if scan else None,
        metadata_path=f"{entry.database}/{escape(entry.name)}{METADATA_SUFFIX}{suffix}",
    )


def _is_dumped(database: str) -> bool:
    return database not in ("local", "config", OWN_DATABASE) and not database.startswith("__mdb_internal")


def _sum(scans: list[Scan]) -> tuple[int, int]:
    return sum(s.tally.documents for s in scans), sum(s.tally.bytes for s in scans)
