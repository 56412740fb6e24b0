"""Stores with weeks of snapshots and segments in them, without a server: an entry every two hours."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import bson
from bson import Int64

from mongo_dr_console.model.coverage import Coverage
from mongo_dr_console.model.identity import Identity
from mongo_dr_console.model.link import Link
from mongo_dr_console.model.manifest import (
    SNAPSHOT_NAME_FORMAT,
    CollectionEntry,
    Compression,
    Manifest,
    Window,
)
from mongo_dr_console.model.position import Position
from mongo_dr_console.stores.catalogue import list_snapshots, window_of
from mongo_dr_console.stores.compression import SUFFIXES
from mongo_dr_console.stores.local import LocalStore
from mongo_dr_console.stores.snapshot_writer import SnapshotWriter
from mongo_dr_console.stream.coverage import read_coverage
from mongo_dr_console.stream.segment_archive import SegmentArchive
from mongo_dr_console.stream.segment_sink import SegmentSink
from support.jobs import Answer
from support.prepared import PreparedProfile, prepare

HERE = Identity(environment="test", set_name="rs0", replica_set_id="0" * 24)
NOBODY = "mongodb://127.0.0.1:1/?replicaSet=rs0"
"""A deployment that is gone."""
PER_DAY = 12
ROWS = [bson.encode({"_id": i, "x": "y" * i}) for i in range(20)]


@dataclass(frozen=True)
class Weeks:
    """An oplog that ends now. ``at(3)`` is what there was three days ago."""

    entries: tuple[bytes, ...]

    @classmethod
    def make(cls, days: int, tag: str = "") -> Weeks:
        now = datetime.now(UTC).replace(microsecond=0)
        found = []
        for n in range(days * PER_DAY + 1):
            moment = now - timedelta(hours=2 * (days * PER_DAY - n))
            entry = {"op": "i", "ns": "shop.c", "o": {"_id": n, "tag": tag}, "o2": {"_id": n}, "v": Int64(2)}
            ts = Position(int(moment.timestamp()), 1).timestamp
            found.append(bson.encode({**entry, "ts": ts, "t": Int64(1), "wall": moment}))
        return cls(tuple(found))

    def forked(self, days_ago: float) -> tuple[Weeks, Weeks]:
        """The history that went on in another term, and the one that was dropped."""
        at = self.index(days_ago) + 1
        kept, later = self.entries[:at], [bson.decode(raw) for raw in self.entries[at:]]
        on = tuple(bson.encode({**entry, "t": Int64(2)}) for entry in later)
        off = tuple(bson.encode({**entry, "o": {**entry["o"], "tag": "dropped"}}) for entry in later)
        return Weeks(kept + on), Weeks(kept + off)

    def index(self, days_ago: float) -> int:
        return len(self.entries) - 1 - round(days_ago * PER_DAY)

    def at(self, days_ago: float) -> Position:
        return Link.of(self.entries[self.index(days_ago)]).position

    def stream_into(self, store: LocalStore, first: float, last: float = 0, each: int = PER_DAY // 2) -> None:
        """Segments of half a day."""
        low, high = self.index(first), self.index(last)
        sink = SegmentSink(store, HERE, seconds=10**9, max_bytes=10**9)
        sink.open()
        sink.begin(Link.of(self.entries[low]))
        for at in range(low + 1, high + 1, each):
            sink.append(b"".join(self.entries[at : min(at + each, high + 1)]))
            sink.flush()
        sink.close()

    def snapshot_into(
        self, store: LocalStore, days_ago: float, compression: Compression = "gzip", **changes: Any
    ) -> str:
        window = window_of([b"".join(self.entries[self.index(days_ago) - 1 : self.index(days_ago) + 1])])
        assert window is not None
        return write_snapshot(store, window, self, days_ago, compression, **changes)


def write_snapshot(
    store: LocalStore,
    window: Window,
    weeks: Weeks,
    days_ago: float,
    compression: Compression = "gzip",
    **changes: Any,
) -> str:
    name = window.end.time.strftime(SNAPSHOT_NAME_FORMAT)
    suffix = SUFFIXES[compression]
    oplog = "oplog.bson.zst" if compression == "zstd" else "oplog.bson"
    entries = b"".join(weeks.entries[weeks.index(days_ago) - 1 : weeks.index(days_ago) + 1])
    metadata = (
        b'{"indexes":[{"v":{"$numberInt":"2"},"key":{"_id":{"$numberInt":"1"}},"name":"_id_"}],'
        b'"uuid":"' + hashlib.md5(b"c", usedforsecurity=False).hexdigest().encode() + b'",'
        b'"collectionName":"c","type":"collection"}'
    )
    with SnapshotWriter(store, name) as writer:
        files = [
            writer.put(f"shop/c.bson{suffix}", b"".join(ROWS), compression),
            writer.put(f"shop/c.metadata.json{suffix}", metadata, compression),
            writer.put(oplog, entries, compression),
            writer.put(f"prelude.json{suffix}", b'{"ToolVersion":"mongo-dr-console 1"}', compression),
        ]
        collection = {
            "database": "shop",
            "name": "c",
            "kind": "collection",
            "uuid": hashlib.md5(b"c", usedforsecurity=False).hexdigest(),
            "documents": len(ROWS),
            "bytes": len(b"".join(ROWS)),
            "options": {},
            "indexes": [],
            "data_path": f"shop/c.bson{suffix}",
            "metadata_path": f"shop/c.metadata.json{suffix}",
        }
        facts: dict[str, Any] = {
            "name": name,
            "identity": HERE,
            "engine": "builtin",
            "server_version": "6.0.5",
            "tool_version": "1",
            "compression": compression,
            "window": window,
            "started_at": window.start.time,
            "finished_at": window.end.time,
            "documents": len(ROWS),
            "bytes": len(b"".join(ROWS)),
            "stored_bytes": sum(f.size for f in files),
            "files": files,
            "collections": [CollectionEntry(**collection)],
        }
        writer.finish(Manifest(**(facts | changes)).sealed())
    return name


def coverage_of(*stores: LocalStore) -> Coverage:
    """With the deployment gone."""
    snapshots = [e for store in stores for e in list_snapshots(store)]
    return read_coverage(snapshots, None, "test", keeps=[SegmentArchive(store) for store in stores])


def files_of(root: Path) -> set[str]:
    """Everything but ledger and claims."""
    found = {p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file()}
    return {p for p in found if not p.startswith(("ledger/", "claims/", "."))}


def prepare_gone(folder: Path, far: Path | None = None) -> PreparedProfile:
    """A profile whose deployment is gone; ``far``: a second local store, which keeps 30 days."""
    prepared = prepare(folder, NOBODY, folder / "state")
    if far is None:
        return prepared
    far.mkdir(exist_ok=True)
    with prepared.config_file.open("a", encoding="utf-8") as file:
        lines = ["[profiles.test.stores.far]", "type = 'local'", f"path = '{far}'", "retention_days = 30", ""]
        file.write("\n".join(lines))
    return prepare_again(prepared)


class Here:
    """``mdr`` in this process: a second less than a process of its own."""

    def __init__(self, capsys: Any, monkeypatch: Any) -> None:
        self._capsys, self._monkeypatch = capsys, monkeypatch

    def __call__(self, prepared: PreparedProfile, *words: str) -> Answer:
        from mongo_dr_console.cli.main import run

        self._monkeypatch.setenv("MDR_CONFIG", str(prepared.config_file))
        self._capsys.readouterr()
        try:
            run(["--profile", prepared.name, *words])
        except SystemExit as ended:
            code = int(ended.code or 0)
        said = self._capsys.readouterr()
        return Answer(code, said.out, said.err)


def prepare_again(prepared: PreparedProfile) -> PreparedProfile:
    from mongo_dr_console.config import load_config

    profile = load_config(prepared.config_file).profiles["test"]
    return PreparedProfile("test", profile, prepared.config_file, prepared.store)
