"""Small snapshots without a server, written into any store as an engine would."""

from __future__ import annotations

import random
from datetime import UTC, datetime

import bson
from bson.timestamp import Timestamp

from mongo_dr_console.model.identity import Identity
from mongo_dr_console.model.manifest import CollectionEntry, Compression, Manifest
from mongo_dr_console.stores.begin import begin_snapshot
from mongo_dr_console.stores.catalogue import window_of
from mongo_dr_console.stores.compression import SUFFIXES
from mongo_dr_console.stores.snapshot_output import SnapshotOutput
from mongo_dr_console.stores.store import Store

NAME = "20231114_221320"
IDENTITY = Identity(environment="test", set_name="rs", replica_set_id="0" * 24)
METADATA = b'{"indexes":[{"v":{"$numberInt":"2"}}],"collectionName":"c","type":"collection"}'
ENTRIES = [
    bson.encode({"op": "n", "ns": "", "o": {}, "ts": Timestamp(1700000000 + i, 1), "t": 3}) for i in range(4)
]


def rows(size: int, count: int = 16) -> list[bytes]:
    """Documents that do not compress, of so many bytes altogether."""
    chosen = random.Random(size)
    return [bson.encode({"_id": i, "x": chosen.randbytes(size // count)}) for i in range(count)]


def write_snapshot(
    store: Store, documents: list[bytes], name: str | None = NAME, compression: Compression = "gzip"
) -> Manifest:
    """One collection ``shop.c``, whole."""
    with begin_snapshot(store, name) as writer:
        return fill(writer, documents, compression)


def fill(writer: SnapshotOutput, documents: list[bytes], compression: Compression = "gzip") -> Manifest:
    """All of it, the manifest last."""
    suffix = SUFFIXES[compression]
    window = window_of([b"".join(ENTRIES)])
    assert window is not None
    data = writer.open(f"shop/c.bson{suffix}", compression)
    for row in documents:
        data.write(row)
    oplog = "oplog.bson.zst" if compression == "zstd" else "oplog.bson"
    files = [
        data.finish(),
        writer.put(f"shop/c.metadata.json{suffix}", METADATA, compression),
        writer.put(oplog, b"".join(ENTRIES), compression),
        writer.put(f"prelude.json{suffix}", b'{"ToolVersion":"mongo-dr-console 1"}', compression),
    ]
    files.sort(key=lambda f: f.path)
    moment = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    manifest = Manifest(
        name=writer.name,
        identity=IDENTITY,
        engine="builtin",
        server_version="6.0.5",
        feature_version="6.0",
        tool_version="1",
        compression=compression,
        scope=None,
        window=window,
        started_at=moment,
        finished_at=moment,
        documents=len(documents),
        bytes=sum(map(len, documents)),
        stored_bytes=sum(f.size for f in files),
        files=files,
        collections=[
            CollectionEntry(
                database="shop",
                name="c",
                kind="collection",
                uuid=None,
                documents=len(documents),
                bytes=sum(map(len, documents)),
                options={},
                indexes=[],
                data_path=f"shop/c.bson{suffix}",
                metadata_path=f"shop/c.metadata.json{suffix}",
            )
        ],
    ).sealed()
    writer.finish(manifest)
    return manifest
