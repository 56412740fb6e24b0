"""Verifying a snapshot: are its files there (1), unchanged (2), and readable to the last document (3)?"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from mongo_dr_console.model import rawbson
from mongo_dr_console.model.catalogue import utc
from mongo_dr_console.model.manifest import FileEntry
from mongo_dr_console.model.progress import Note, Report, StepDone, StepProgress, StepStarted, StopSignal
from mongo_dr_console.model.trouble import Failed, Trouble
from mongo_dr_console.stores import ledger, snapshot_files
from mongo_dr_console.stores.catalogue import window_of
from mongo_dr_console.stores.snapshot_reader import SnapshotReader, StoredCollection, open_snapshot
from mongo_dr_console.stores.store import Store

LEVELS = {1: "files", 2: "checksums", 3: "contents"}

_INTERVAL = 0.2


@dataclass(frozen=True, slots=True)
class VerificationResult:
    """What a verification found; ``problems`` is empty where all is well."""

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
        }


def verify(store: Store, name: str, level: int, report: Report, stop: StopSignal) -> VerificationResult:
    """Verifies a snapshot and puts the result into the store's ledger. Each level includes those below it.
    A plain mongodump has no checksums: level 2 of it sees only that its files can be read.

    Raises:
        Failed: There is no such snapshot, or its manifest itself is damaged (recorded too).
        Interrupted: As ``stop`` says; nothing is recorded.
    """
    begun = time.monotonic()
    reader = open_snapshot(store, name)
    run = _Run(reader, report, stop)
    documents: int | None = None
    run.files()
    if level >= 2 and not run.problems:
        if level >= 3:
            documents = run.contents()
        else:
            run.checksums()
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
    )
    document = {"schema": "mdr.verification"} | result.to_json() | {"checksum": result.checksum}
    try:
        ledger.append(store, "verifications", document)
    except Trouble as trouble:
        # What was found counts, also where the store is full or may only be read.
        report(Note(f"not noted in the ledger of {store.name}: {trouble}", "warning"))
    return result


class _Run:
    def __init__(self, reader: SnapshotReader, report: Report, stop: StopSignal) -> None:
        self.reader = reader
        self.problems: list[str] = []
        self.bytes = 0
        self._report = report
        self._stop = stop
        self._told = 0.0

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
            self._try(lambda entry=entry: self._read(entry, total))  # type: ignore[misc]
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
            text = error.message.removeprefix(f"Snapshot {self.reader.name} is damaged: ")
            self.problems.append(text.removesuffix(" It must not be restored from."))

    def _read(self, entry: FileEntry, total: int | None) -> None:
        for chunk in snapshot_files.stored_bytes(self.reader.store, self.reader.file(entry.path)):
            self.bytes += len(chunk)
            self._tell(StepProgress("checksums", self.bytes, total, "bytes", self.bytes, entry.path))

    def _count(self, collection: StoredCollection, before: int) -> int:
        documents = size = 0
        for chunk in self.reader.documents(collection):
            documents += rawbson.count(chunk)
            size += len(chunk)
            self.bytes += len(chunk)
            self._tell(
                StepProgress(
                    "contents",
                    before + documents,
                    self._expected_documents(),
                    "documents",
                    self.bytes,
                    str(collection.namespace),
                )
            )
        if collection.documents not in (None, documents) or collection.bytes not in (None, size):
            self.problems.append(
                f"{collection.namespace} has {documents} documents ({size} bytes) where "
                f"{collection.documents} ({collection.bytes} bytes) were written"
            )
        return documents

    def _oplog(self, paths: set[str]) -> None:
        window = window_of(self._watched(self.reader.oplog()))
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
