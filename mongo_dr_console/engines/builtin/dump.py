"""Taking a snapshot while writes go on: the data by name, then the oplog from before to after it.

Consistent at the end of its window: whatever the scans caught of a change, replaying the window over them
gives the state at its last entry, and any later one after it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from queue import SimpleQueue

from bson.timestamp import Timestamp
from pymongo.errors import PyMongoError

from mongo_dr_console import __version__
from mongo_dr_console.engines.builtin.dump_memory import return_large_buffers
from mongo_dr_console.engines.builtin.dump_metadata import ZSTD_NOTE, described, metadata_text, prelude
from mongo_dr_console.engines.builtin.dump_oplog import OplogCopy
from mongo_dr_console.engines.builtin.dump_rate import Throttle
from mongo_dr_console.engines.builtin.dump_request import DumpRequest, check_known, is_dumped, wants
from mongo_dr_console.engines.builtin.dump_scan import Cancelled, Piece, Scan, Scanner, Stale, Tally, measure
from mongo_dr_console.engines.builtin.dump_start import find_start, note_in_oplog
from mongo_dr_console.engines.builtin.dump_wait import MAJORITY_SECONDS, Patience
from mongo_dr_console.engines.builtin.dump_window import Rename, WindowFilter
from mongo_dr_console.model import rawbson
from mongo_dr_console.model.filenames import DATA_SUFFIX, METADATA_SUFFIX, escape
from mongo_dr_console.model.manifest import Compression, FileEntry, Manifest, Window
from mongo_dr_console.model.namespace import BUCKETS, Namespace
from mongo_dr_console.model.oplogentry import raw_entry
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.progress import Note, Report, StepDone, StepProgress, StepStarted, StopSignal
from mongo_dr_console.model.trouble import Failed, Trouble
from mongo_dr_console.mongo.client import Client, told
from mongo_dr_console.mongo.collections import ListedCollection, list_collections, list_databases
from mongo_dr_console.mongo.durability import is_lost_primary
from mongo_dr_console.mongo.oplog import majority_position, primary_term
from mongo_dr_console.stores.compression import SUFFIXES
from mongo_dr_console.stores.snapshot_output import SnapshotOutput

__all__ = ["ENGINE", "DumpRequest", "dump"]

ENGINE = "builtin"

_TICK = 0.2
_OPLOG_EVERY = 1.0
_TRIES = 5
_ROUNDS = 20


def dump(
    client: Client, request: DumpRequest, writer: SnapshotOutput, report: Report, stop: StopSignal
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
    writer: SnapshotOutput
    report: Report
    stop: StopSignal
    files: dict[str, FileEntry] = field(default_factory=dict)
    chosen: list[ListedCollection] = field(default_factory=list)
    scans: list[Scan] = field(default_factory=list)
    notes: SimpleQueue[str] = field(default_factory=SimpleQueue)
    patience: Patience = field(init=False)
    throttle: Throttle = field(init=False)
    filter: WindowFilter = field(init=False)
    newest: Timestamp = field(default=Timestamp(0, 0))
    rounds: int = 0

    def __post_init__(self) -> None:
        request = self.request
        self.patience = Patience(self.client, self.stop)
        self.throttle = Throttle(request.rate)
        scoped = request.scope is not None
        self.filter = WindowFilter(request.holds if scoped else None, request.holds_all_of)

    def run(self) -> Manifest:
        return_large_buffers()
        begun = datetime.now(UTC)
        start = self.patience.persist(self._find_start)
        oplog = OplogCopy(self.client, self.writer.open(*self._oplog_name()), start)
        listed = self.patience.persist(self._list)
        check_known(self.request, listed)
        self.chosen = [entry for entry in listed if wants(self.request, entry)]
        names = {(e.database, e.name) for e in listed}
        self.report(StepStarted("data", unit="documents"))
        self._read(self._prepare(self.chosen, names), start, oplog)
        while self._catch_up(oplog) and self._renew(oplog):
            pass
        documents, size = _sum(self.scans)
        facts = {"documents": documents, "bytes": size, "collections": len(self.scans)}
        self.report(StepDone("data", facts=facts))
        window = self._finish_oplog(oplog)
        manifest = self._manifest(begun, window)
        self.writer.finish(manifest)
        return manifest

    # Where the window begins

    def _find_start(self) -> Position:
        return find_start(self.client, self.stop)

    # What there is

    def _list(self, databases: set[str] | None = None) -> list[ListedCollection]:
        """All collections, or those of some databases. What is listed must be majority-committed, so that no
        failover takes it back."""
        if databases is None:
            self.report(StepStarted("listing", unit="collections"))
        for _ in range(_TRIES):
            term = primary_term(self.client)
            with self.client.start_session() as session:
                names = [n for n in databases or list_databases(self.client) if is_dumped(n)]
                found = []
                for name in names:
                    self.stop.check()
                    found += list_collections(self.client, name, session=session)
                seen = session.operation_time
            if seen is None or self.patience.await_majority(Position.of(seen))[1] == term:
                if databases is None:
                    self.report(StepDone("listing", facts={"collections": len(found)}))
                return found
        raise Failed(
            "elections", "The deployment elected primaries again and again while its collections were listed."
        )

    # Metadata

    def _prepare(self, chosen: list[ListedCollection], listed: set[tuple[str, str]]) -> list[Scan]:
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
            size = self.patience.persist(partial(measure, self.client, entry.database, name))
            data_path = f"{entry.database}/{escape(name)}{DATA_SUFFIX}{suffix}"
            scans.append(Scan(entry, name, data_path, size, Tally()))
        return sorted(scans, key=lambda s: s.size.bytes, reverse=True)

    def _put(self, path: str, data: bytes) -> None:
        self._took(self.writer.put(path, data, self.request.compression))

    def _took(self, file: FileEntry) -> None:
        self.files[file.path] = file

    # Data

    def _read(self, scans: list[Scan], start: Position, oplog: OplogCopy) -> None:
        """Reads collections, as they are at ``start`` or later, and follows the oplog meanwhile."""
        self.scans += scans
        cancelled = threading.Event()
        scanner = Scanner(self.client, start, cancelled, self.notes.put, self.throttle, self.request.member)
        threads = self.request.threads
        pieces = [p for s in scans for p in self.patience.persist(partial(scanner.cut, s, threads))]
        with ThreadPoolExecutor(threads, "mdr-scan") as pool:
            pending = {pool.submit(self._work, scanner, piece, cancelled) for piece in pieces}
            copied = time.monotonic()
            try:
                while pending:
                    done, pending = wait(pending, timeout=_TICK, return_when=FIRST_EXCEPTION)
                    for future in done:
                        file = future.result()
                        if file is not None:
                            self._took(file)
                    self.stop.check()
                    self._tell()
                    if time.monotonic() - copied >= _OPLOG_EVERY:
                        self._follow(oplog)
                        copied = time.monotonic()
            except BaseException:
                cancelled.set()
                raise
        self.newest = max(self.newest, scanner.newest)
        self._tell()

    def _work(self, scanner: Scanner, piece: Piece, cancelled: threading.Event) -> FileEntry | None:
        """Reads a piece in a thread of its own; None where the file is not finished with it."""
        scan = piece.scan
        if cancelled.is_set():
            raise Cancelled
        if scan.stale.is_set():
            return None
        with scan.guard:
            if scan.file is None:
                scan.file = self.writer.open(scan.path, self.request.compression)
        try:
            if scan.cuts:
                return scanner.scan_piece(piece, scan.file)
            return scanner.scan(scan, scan.file)
        except Stale:
            return None

    def _tell(self) -> None:
        while not self.notes.empty():
            self.report(Note(self.notes.get(), "warning"))
        documents, size = _sum(self.scans)
        total = max(sum(scan.size.documents for scan in self.scans), documents)
        self.report(StepProgress("data", documents, total, "documents", size))

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
        touched = {n for r in oplog.renames for n in r.touched}
        for scan in self.scans:
            if scan.namespace in touched:
                scan.stale.set()

    # Renames

    def _catch_up(self, oplog: OplogCopy, most: Position | None = None) -> bool:
        """Copies what the majority has by now, not beyond ``most``."""

        def copy() -> bool:
            reached, _ = majority_position(self.client)
            return oplog.advance(reached if most is None else min(reached, most))

        self.patience.persist(copy)
        return True

    def _renew(self, oplog: OplogCopy) -> bool:
        """Reads anew what a rename touched since the last call; False where there was none."""
        renames = [r for r in oplog.take_renames() if self._concerns(r)]
        if not renames:
            return False
        self.rounds += 1
        if self.rounds > _ROUNDS:
            raise Failed(
                "renamed-too-often",
                f"{renames[-1].source} was renamed to {renames[-1].target} while it was read anew for the "
                f"{_ROUNDS}th time. The snapshot was removed.",
                "Back up when less is renamed ($out, mapReduce and convertToCapped rename too), or leave it "
                "out: --db, --ns",
            )
        touched = {n for r in renames for n in r.touched}
        for rename in renames:
            self.filter.note(rename)
        for source, target in sorted({r.touched for r in renames}):
            text = (
                f"{source} was renamed to {target} ($out and mapReduce do so too): what they are now is read"
            )
            self.report(Note(text, "warning"))
        self._forget(touched)
        start = max(r.position for r in renames)
        databases = {n.database for n in touched}
        listed = self.patience.persist(lambda: self._list(databases))
        anew = [e for e in listed if Namespace(e.database, e.name) in touched and wants(self.request, e)]
        self.chosen += anew
        self._read(self._prepare(anew, {(e.database, e.name) for e in listed}), start, oplog)
        return True

    def _concerns(self, rename: Rename) -> bool:
        return any(self.request.holds(n) for n in rename.touched)

    def _forget(self, touched: set[Namespace]) -> None:
        """Takes back what was read and written of these."""
        suffix = SUFFIXES[self.request.compression]
        gone = [e for e in self.chosen if Namespace(e.database, e.name) in touched]
        paths = {f"{e.database}/{escape(e.name)}{METADATA_SUFFIX}{suffix}" for e in gone}
        paths |= {s.path for s in self.scans if s.namespace in touched}
        for path in paths:
            self.writer.remove(path)
            self.files.pop(path, None)
        self.chosen = [e for e in self.chosen if e not in gone]
        self.scans = [s for s in self.scans if s.namespace not in touched]

    # Where the window ends

    def _finish_oplog(self, oplog: OplogCopy) -> Window:
        """Copies up to the majority point after the last read, and proves that it is there."""
        self.report(StepStarted("oplog", unit="operations"))
        while True:
            at_least = max(Position.of(self.newest), oplog.last or oplog.start)
            end, _ = self.patience.persist(partial(self.patience.await_majority, at_least))
            self._copy_to(oplog, end)
            self._end_well(oplog)
            if not self._renew(oplog):
                break
        self._took(oplog.finish())
        window = self._narrowed(oplog) if self.filter.active else oplog.window
        self.report(StepProgress("oplog", window.operations, window.operations, "operations", oplog.bytes))
        self.report(StepDone("oplog", facts={"operations": window.operations, "bytes": oplog.bytes}))
        return window

    def _copy_to(self, oplog: OplogCopy, end: Position) -> None:
        deadline = time.monotonic() + MAJORITY_SECONDS
        while not self.patience.persist(lambda: oplog.advance(end)):
            if time.monotonic() > deadline:
                raise Failed(
                    "majority-behind",
                    f"The oplog does not show the entry at {end}, which is majority-committed.",
                    "See how far the members are: mdr status",
                )
            self.patience.pause()

    def _end_well(self, oplog: OplogCopy) -> None:
        """A window that is not the oplog itself goes on to an entry that is in it unchanged, since its hash
        proves what continues it: a note of our own, where that may be written.

        It is copied to that note and no further: where others write all the time, the newest entry is never
        one of these."""
        deadline = time.monotonic() + MAJORITY_SECONDS
        noted, note = 0.0, None
        while self.filter.active and self.filter.choose(oplog.last_raw) is not oplog.last_raw:
            now = time.monotonic()
            if now > deadline:
                raise Failed(
                    "window-unended",
                    f"For {MAJORITY_SECONDS} s the oplog had no entry with which the window of this part "
                    "of the deployment could end. No snapshot was made.",
                    "Let the user of the profile write a note of its own: role backup",
                )
            if now - noted > 1:
                noted = now
                note = self.patience.persist(lambda: note_in_oplog(self.client, "backup ends"))
            self.patience.pause()
            self._catch_up(oplog, note)

    def _narrowed(self, oplog: OplogCopy) -> Window:
        """Writes the copied oplog anew with what belongs to this dump."""
        name, compression = self._oplog_name()
        count, first = 0, oplog.start

        def change(chunks: Iterator[bytes]) -> Iterator[bytes]:
            nonlocal count, first
            for chunk in self.filter.apply(chunks):
                self.stop.check()
                if not count:
                    first = Position.of(raw_entry(next(rawbson.split(chunk)))["ts"])
                count += rawbson.count(chunk)
                yield chunk

        self._took(self.writer.rewrite(name, compression, change))
        return oplog.window.model_copy(update={"start": first, "operations": count})

    def _oplog_name(self) -> tuple[str, Compression]:
        # With gzip the content is packed under the plain name; mongorestore expects just that.
        name = "oplog.bson.zst" if self.request.compression == "zstd" else "oplog.bson"
        return name, self.request.compression

    # The end

    def _manifest(self, begun: datetime, window: Window) -> Manifest:
        version = str(self.patience.persist(lambda: self.client.server_info()["version"]))
        if self.request.compression == "zstd":
            self._took(self.writer.put("README.txt", ZSTD_NOTE.encode()))
        self._put(f"prelude.json{SUFFIXES[self.request.compression]}", prelude(version).encode())
        collections = described(self.chosen, self.scans, self.request.compression)
        files = sorted(self.files.values(), key=lambda f: f.path)
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


def _sum(scans: list[Scan]) -> tuple[int, int]:
    return sum(s.tally.documents for s in scans), sum(s.tally.bytes for s in scans)
