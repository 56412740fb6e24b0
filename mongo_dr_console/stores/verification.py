"""Verifying a snapshot, rung by rung: its files are there (1), unchanged (2), readable to the last document
(3). What needs more than the store, a replay on paper (4) and a real restore (5), is handed in."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import bson
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.errors import BSONError

from mongo_dr_console.model import rawbson
from mongo_dr_console.model.catalogue import LEVELS, utc
from mongo_dr_console.model.manifest import FileEntry
from mongo_dr_console.model.progress import Note, Report, StepDone, StepProgress, StepStarted, StopSignal
from mongo_dr_console.model.trouble import Failed, Trouble
from mongo_dr_console.stores import ledger, snapshot_files
from mongo_dr_console.stores.catalogue import window_of
from mongo_dr_console.stores.snapshot_files import corrupt
from mongo_dr_console.stores.snapshot_reader import SnapshotReader, StoredCollection, open_snapshot
from mongo_dr_console.stores.store import Store

_TOLERANT: CodecOptions[dict[str, Any]] = CodecOptions(
    unicode_decode_error_handler="replace", datetime_conversion=DatetimeConversion.DATETIME_AUTO
)
"""What a server stores may not be what a driver takes: text that is no UTF-8, years beyond 9999."""

Deeper = Mapping[int, Callable[[SnapshotReader], list[str]]]
"""Checks of levels above 3: each returns what it found."""

_INTERVAL = 0.2


@dataclass(frozen=True, slots=True)
class VerificationResult:
    """What a verification found; ``problems`` is empty where all is well.

    Args:
        rungs: The levels that were looked at, and how many seconds each took.
    """

    snapshot: str
    store: str
    level: int
    checksum: str
    problems: tuple[str, ...]
    files: int
    bytes: int
    documents: int | None
    at: datetime
    seconds: float
    rungs: tuple[tuple[int, float], ...] = ()

    @property
    def good(self) -> bool:
        return not self.problems

    def to_json(self) -> dict[str, Any]:
        return {
            "snapshot": self.snapshot,
            "store": self.store,
            "level": self.level,
            "good": self.good,
            "problems": list(self.problems),
            "files": self.files,
            "bytes": self.bytes,
            "documents": self.documents,
            "at": utc(self.at),
            "seconds": round(self.seconds, 3),
            "rungs": [{"level": n, "seconds": round(took, 3)} for n, took in self.rungs],
        }


def verify(
    store: Store, name: str, level: int, report: Report, stop: StopSignal, deeper: Deeper | None = None
) -> VerificationResult:
    """Verifies a snapshot and puts the result into the store's ledger. Each level includes those below it.
    A plain mongodump has no checksums: level 2 of it sees only that its files can be read.

    Args:
        deeper: The checks above level 3, of those levels that are wanted.

    Raises:
        Failed: There is no such snapshot, or its manifest itself is damaged.
        Interrupted: As ``stop`` says; nothing is recorded.
    """
    begun = time.monotonic()
    reader = open_snapshot(store, name)
    run = _Run(reader, report, stop)
    run.climb(level, deeper or {})
    documents = run.documents
    result = VerificationResult(
        snapshot=name,
        store=store.name,
        level=level,
        checksum=reader.manifest.checksum if reader.manifest else "",
        problems=tuple(run.problems),
        files=len(reader.files),
        bytes=run.bytes,
        documents=documents,
        at=datetime.now(UTC),
        seconds=time.monotonic() - begun,
        rungs=tuple(run.rungs),
    )
    document = {"schema": "mdr.verification"} | result.to_json() | {"checksum": result.checksum}
    try:
        ledger.append(store, "verifications", document)
    except Trouble as trouble:
        # What was found counts, also where the store is full or may only be read.
        report(Note(f"not noted in the ledger of {store.name}: {trouble}", "warning"))
    return result


@dataclass(slots=True)
class _Counted:
    """What could be read of a collection so far."""

    documents: int = 0
    size: int = 0


def _bare(error: Failed, name: str) -> str:
    text = error.message.removeprefix(f"Snapshot {name} is damaged: ")
    return text.removesuffix(" It must not be restored from.")


def _told(collection: StoredCollection, count: int) -> str:
    """Which collection it is, and how many documents can be read before the damage. Where all of them can,
    it is not known which one is not what was written."""
    name = collection.namespace
    if collection.documents is not None and count >= collection.documents:
        return f" ({name}: all {count} documents can be read, and at least one is another than was written)"
    return f" ({name}: {count} documents can be read before the damage)"


class _Run:
    def __init__(self, reader: SnapshotReader, report: Report, stop: StopSignal) -> None:
        self.reader = reader
        self.problems: list[str] = []
        self.bytes = 0
        self.documents: int | None = None
        self.rungs: list[tuple[int, float]] = []
        self._report = report
        self._stop = stop
        self._told = 0.0

    def climb(self, level: int, deeper: Deeper) -> None:
        """Rung by rung, until one shows damage. Level 3 reads everything, so that it does level 2 too."""
        self._rung(1, self.files)
        if level == 2:
            self._rung(2, self.checksums)
        if level >= 3:
            self._rung(3, self._contents)
        for number in range(4, level + 1):
            self._rung(number, lambda n=number: self._deeper(n, deeper))  # type: ignore[misc]

    def _rung(self, number: int, look: Callable[[], None]) -> None:
        if self.problems:
            return
        begun = time.monotonic()
        look()
        took = time.monotonic() - begun
        self.rungs += [(2, took), (3, took)] if number == 3 else [(number, took)]

    def _contents(self) -> None:
        self.documents = self.contents()

    def _deeper(self, number: int, deeper: Deeper) -> None:
        step = LEVELS[number]
        self._report(StepStarted(step))
        self.problems += deeper[number](self.reader)
        self._report(StepDone(step, facts={"problems": len(self.problems)}))

    def files(self) -> None:
        """Level 1: every file is there, as long as it was, and nothing that a restore would take is new."""
        reader = self.reader
        self._report(StepStarted("files", len(reader.files), "files"))
        prefix = f"{reader.name}/"
        present = {o.path.removeprefix(prefix): o.size for o in reader.store.list(prefix)}
        for entry in reader.files.values():
            size = present.get(entry.path)
            if size is None:
                self.problems.append(f"{entry.path} is missing")
            elif size != entry.size:
                self.problems.append(f"{entry.path} has {size} bytes where {entry.size} were written")
        count = len(reader.files)
        self._report(StepProgress("files", count, count, "files"))
        self._report(StepDone("files", facts={"files": len(reader.files), "problems": len(self.problems)}))

    def checksums(self) -> None:
        """Level 2: the bytes are those that were written."""
        total = sum(entry.size for entry in self.reader.files.values())
        self._report(StepStarted("checksums", total, "bytes"))
        for entry in self.reader.files.values():
            known = len(self.problems)
            self._try(lambda entry=entry: self._read(entry, total))  # type: ignore[misc]
            if len(self.problems) > known:
                self.problems[-1] += self._before_damage(entry.path)
        self._report(StepProgress("checksums", self.bytes, total, "bytes", self.bytes))
        self._report(StepDone("checksums", facts={"bytes": self.bytes, "problems": len(self.problems)}))

    def contents(self) -> int:
        """Level 3: data, metadata and oplog can be read, and there is as much as was counted."""
        found = 0
        paths: set[str] = set()
        self._report(StepStarted("contents", self._expected_documents(), "documents"))
        collections: list[tuple[StoredCollection, ...]] = []
        self._try(lambda: collections.append(self.reader.collections))
        for collection in collections[0] if collections else ():
            counted: list[int] = []
            self._try(lambda c=collection, n=counted, f=found: n.append(self._count(c, f)))  # type: ignore[misc]
            found += sum(counted)
            paths |= {p for p in (collection.data_path, collection.metadata_path) if p}
        self._try(lambda: self._oplog(paths))
        for entry in self.reader.files.values():
            if entry.path not in paths:
                self._try(lambda entry=entry: self._read(entry, None))  # type: ignore[misc]
        facts = {"documents": found, "bytes": self.bytes, "problems": len(self.problems)}
        self._report(StepProgress("contents", found, self._expected_documents(), "documents", self.bytes))
        self._report(StepDone("contents", facts=facts))
        return found

    def _try(self, check: Callable[[], object]) -> None:
        try:
            check()
        except Failed as error:
            if error.code not in ("snapshot-corrupt", "snapshot-without-oplog"):
                raise
            text = _bare(error, self.reader.name)
            if text not in self.problems:
                self.problems.append(text)

    def _read(self, entry: FileEntry, total: int | None) -> None:
        for chunk in snapshot_files.stored_bytes(self.reader.store, self.reader.file(entry.path)):
            self.bytes += len(chunk)
            self._tell(StepProgress("checksums", self.bytes, total, "bytes", self.bytes, entry.path))

    def _count(self, collection: StoredCollection, before: int) -> int:
        found = _Counted()
        try:
            self._parse(collection, found, before)
        except Failed as error:
            if error.code != "snapshot-corrupt":
                raise
            text = _told(collection, self._readable(collection))
            self.problems.append(f"{_bare(error, self.reader.name)}{text}")
            return found.documents
        if collection.documents not in (None, found.documents) or collection.bytes not in (None, found.size):
            self.problems.append(
                f"{collection.namespace} has {found.documents} documents ({found.size} bytes) where "
                f"{collection.documents} ({collection.bytes} bytes) were written"
            )
        return found.documents

    def _parse(self, collection: StoredCollection, found: _Counted, before: int) -> None:
        """Every document, field by field; ``found`` counts as it goes.

        Raises:
            Failed: ``snapshot-corrupt``.
        """
        total, name = self._expected_documents(), str(collection.namespace)
        for chunk in self.reader.documents(collection):
            try:
                for _ in bson.decode_iter(chunk, _TOLERANT):
                    found.documents += 1
            except BSONError as error:
                assert collection.data_path is not None
                raise corrupt(self.reader.file(collection.data_path), str(error)) from None
            found.size += len(chunk)
            self.bytes += len(chunk)
            done = before + found.documents
            self._tell(StepProgress("contents", done, total, "documents", self.bytes, name))

    def _before_damage(self, path: str) -> str:
        """Of a collection's data file, how much of it can be read."""
        try:
            collection = next((c for c in self.reader.collections if c.data_path == path), None)
        except Failed:
            return ""
        if collection is None:
            return ""
        return _told(collection, self._readable(collection))

    def _readable(self, collection: StoredCollection) -> int:
        """How many documents can be read before something is wrong."""
        assert collection.data_path is not None
        buffer, count = bytearray(), 0
        with suppress(Failed, BSONError, rawbson.TornDocument):
            for piece in snapshot_files.plain_bytes(
                self.reader.store, self.reader.file(collection.data_path)
            ):
                buffer += piece
                at = 0
                while (length := rawbson.length_at(buffer, at)) is not None:
                    bson.decode(bytes(buffer[at : at + length]), _TOLERANT)
                    at, count = at + length, count + 1
                del buffer[:at]
        return count

    def _oplog(self, paths: set[str]) -> None:
        try:
            window = window_of(self._watched(self.reader.oplog()))
        except rawbson.TornDocument as error:
            # What the manifest says is the better explanation, where it says something.
            for _ in self.reader.oplog():
                pass
            raise corrupt(self.reader.file(self.reader.oplog_path), str(error)) from None
        expected = self.reader.manifest.window if self.reader.manifest else window
        if window is None:
            self.problems.append("the oplog is empty")
        elif window != expected:
            self.problems.append(f"the oplog goes from {window.start} to {window.end}, not as was written")
        paths.update(p for p in self.reader.files if p.startswith("oplog.bson"))

    def _watched(self, chunks: Any) -> Any:
        for chunk in chunks:
            self.bytes += len(chunk)
            self._tell(None)
            yield chunk

    def _expected_documents(self) -> int | None:
        return self.reader.manifest.documents if self.reader.manifest else None

    def _tell(self, progress: StepProgress | None) -> None:
        self._stop.check()
        now = time.monotonic()
        if progress is not None and now - self._told >= _INTERVAL:
            self._told = now
            self._report(progress)
