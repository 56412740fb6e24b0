"""The manifest of a snapshot: what lies in it, and the window in which it was taken."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from mongo_dr_console.model.identity import Identity
from mongo_dr_console.model.position import Position

FORMAT_VERSION = 1
MANIFEST_NAME = "manifest.json"
SNAPSHOT_NAME_FORMAT = "%Y%m%d_%H%M%S"

Compression = Literal["gzip", "zstd", "none"]
Kind = Literal["collection", "view", "timeseries"]


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FileEntry(_Document):
    """One file, its path relative to the snapshot's folder with ``/``."""

    path: str
    size: int
    sha256: str


class CollectionEntry(_Document):
    """One collection as it was listed. ``options`` and ``indexes`` are canonical Extended JSON.

    ``documents`` and ``bytes`` (uncompressed BSON) are what was written to the data file.
    """

    database: str
    name: str
    kind: Kind
    uuid: str | None
    documents: int
    bytes: int
    options: dict[str, Any]
    indexes: list[dict[str, Any]]
    data_path: str | None
    metadata_path: str | None


class Window(_Document):
    """The oplog range in ``oplog.bson``, both ends included.

    The snapshot is consistent at ``end`` and, replayed, at any later position. ``end_term`` and ``end_hash``
    (SHA-256 of the raw entry) prove that a later stretch of oplog continues this one.
    """

    start: Position
    end: Position
    end_term: int
    end_hash: str
    operations: int


class Manifest(_Document):
    """``manifest.json``: written last; a snapshot without it is not finished (or another tool's)."""

    schema_name: Literal["mdr.manifest"] = Field(default="mdr.manifest", alias="schema")
    format_version: int = FORMAT_VERSION
    name: str
    identity: Identity
    origin: Literal["mongo-dr-console", "mongodump"] = "mongo-dr-console"
    engine: str
    server_version: str
    feature_version: str = ""
    tool_version: str
    compression: Compression
    scope: list[str] | None = None
    window: Window
    started_at: datetime
    finished_at: datetime
    documents: int
    bytes: int
    stored_bytes: int
    files: list[FileEntry]
    collections: list[CollectionEntry]
    checksum: str = ""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    def content_checksum(self) -> str:
        """SHA-256 over everything else in the manifest, so that a changed one is noticed."""
        facts = self.model_dump(mode="json", by_alias=True, exclude={"checksum"})
        text = json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def sealed(self) -> Manifest:
        """With the checksum filled in."""
        return self.model_copy(update={"checksum": self.content_checksum()})

    def to_text(self) -> str:
        """What ``manifest.json`` holds."""
        return self.sealed().model_dump_json(by_alias=True, indent=1) + "\n"

    @property
    def seconds(self) -> float:
        return (self.finished_at - self.started_at).total_seconds()
