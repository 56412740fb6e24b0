"""What was read of a store before, so that a look at thousands of snapshots is not thousands of reads.

Never trusted over the store: what there is is listed anew each time, and what is remembered of a file counts
only while the store still says the same size and time of it. Names are never enough. What is damaged is read
again each time. The file that keeps it may be removed at any time.

Where asking for thousands of manifests takes seconds, a look for people may take those of older snapshots as
they were at the last whole look, for ``WHOLE_SECONDS`` at most; see ``stores.catalogue``.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from mongo_dr_console.model.catalogue import SnapshotEntry
from mongo_dr_console.model.identity import Identity
from mongo_dr_console.model.manifest import Window
from mongo_dr_console.model.position import Position
from mongo_dr_console.stores.store import Store, StoredObject

WHOLE_SECONDS = 600.0
_VERSION = 1
_TIMES = ("modified_at", "started_at", "finished_at")


class Remembered:
    """Of one store.

    Args:
        path: The file that keeps it beyond this process; None: nothing does.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._entries: dict[str, tuple[str, SnapshotEntry]] = {}
        self._documents: dict[str, tuple[str, dict[str, Any]]] = {}
        self._seen: set[str] = set()
        self._changed = False
        self._whole_at: datetime | None = None
        self._unread = path

    @classmethod
    def of(cls, store: Store, folder: Path) -> Remembered:
        """What is kept of a store below a folder, by where the store is."""
        where = hashlib.sha256(f"{store.name}\0{store.describe()}".encode()).hexdigest()[:24]
        return cls(folder / f"catalogue-{where}.json")

    def recall(self) -> None:
        """Reads the file, the first time; before that nothing is known."""
        path, self._unread = self._unread, None
        if path is not None:
            with suppress(OSError):
                self.take_in(path.read_bytes())

    def entry(self, name: str, seen: StoredObject) -> SnapshotEntry | None:
        """What its manifest said when it was this very file."""
        self._seen.add(name)
        known = self._entries.get(name)
        return known[1] if known is not None and known[0] == _mark(seen) else None

    def believed(self, name: str) -> SnapshotEntry | None:
        """What its manifest said at the last look, the store not asked."""
        self._seen.add(name)
        known = self._entries.get(name)
        return None if known is None else known[1]

    def knows(self, name: str) -> bool:
        return name in self._entries

    def is_whole(self, now: datetime, since: datetime | None = None) -> bool:
        """Whether all manifests were asked for not long ago.

        Args:
            since: And not before this.
        """
        at = self._whole_at
        if at is None or (since is not None and at <= since):
            return False
        return timedelta(0) <= now - at <= timedelta(seconds=WHOLE_SECONDS)

    def looked(self, now: datetime) -> None:
        """All manifests were asked for."""
        self._whole_at, self._changed = now, True

    def unread(self, manifests: Mapping[str, StoredObject], documents: Iterable[StoredObject]) -> int:
        """How many of these are not known as they are."""
        return sum(self._is_new(self._entries, name, seen) for name, seen in manifests.items()) + sum(
            self._is_new(self._documents, seen.path, seen) for seen in documents
        )

    def lacking_in(self, other: Remembered) -> int:
        """How many things another does not know as they are known here."""
        return sum(
            there.get(name, ("",))[0] != mark
            for here, there in ((self._entries, other._entries), (self._documents, other._documents))
            for name, (mark, _) in here.items()
        )

    @staticmethod
    def _is_new(known: Mapping[str, tuple[str, Any]], name: str, seen: StoredObject) -> bool:
        found = known.get(name)
        return found is None or found[0] != _mark(seen)

    def remember_entry(self, name: str, seen: StoredObject, entry: SnapshotEntry) -> None:
        if entry.problem is None:
            self._entries[name] = _mark(seen), entry
            self._changed = True

    def document(self, seen: StoredObject) -> dict[str, Any] | None:
        """A document of the ledger."""
        self._seen.add(seen.path)
        known = self._documents.get(seen.path)
        return known[1] if known is not None and known[0] == _mark(seen) else None

    def remember_document(self, seen: StoredObject, document: dict[str, Any]) -> None:
        self._documents[seen.path] = _mark(seen), document
        self._changed = True

    def save(self) -> None:
        """Keeps what was seen in this look; forgets the rest. Whatever the disk says to that, the look was
        good without it."""
        gone = (self._entries.keys() | self._documents.keys()) - self._seen
        for name in gone:
            self._entries.pop(name, None)
            self._documents.pop(name, None)
        if self._path is None or not (self._changed or gone):
            return
        part = self._path.with_name(f"{self._path.name}.{secrets.token_hex(4)}")
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            try:
                with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                    file.write(self.content())
                part.replace(self._path)
            finally:
                part.unlink(missing_ok=True)
        self._changed = False

    def begin(self) -> None:
        """A new look begins."""
        self._seen.clear()

    def content(self) -> bytes:
        """JSON of all that is known."""
        content = {
            "version": _VERSION,
            "whole_at": None if self._whole_at is None else self._whole_at.isoformat(),
            "entries": {n: [mark, _facts(e)] for n, (mark, e) in self._entries.items()},
            "documents": self._documents,
        }
        return json.dumps(content, separators=(",", ":")).encode()

    def take_in(self, text: bytes) -> None:
        """Adds what such a content says and this one does not know; nothing of one that is spoilt."""
        with suppress(ValueError, KeyError, TypeError, AttributeError):
            content = json.loads(text)
            if content["version"] == _VERSION:
                entries = {n: (str(mark), _entry(facts)) for n, (mark, facts) in content["entries"].items()}
                documents = {p: (str(mark), dict(d)) for p, (mark, d) in content["documents"].items()}
                at = content.get("whole_at")
                whole_at = None if at is None or self._path is None else datetime.fromisoformat(at)
                self._entries, self._documents = entries | self._entries, documents | self._documents
                self._whole_at = self._whole_at or whole_at


def _mark(seen: StoredObject) -> str:
    return f"{seen.size} {seen.modified_at.isoformat()}"


def _facts(entry: SnapshotEntry) -> dict[str, Any]:
    """JSON values of what a manifest tells; neither ledger nor holds."""
    window, identity = entry.window, entry.identity
    return {
        "name": entry.name,
        "store": entry.store,
        "origin": entry.origin,
        "stored_bytes": entry.stored_bytes,
        "checksum": entry.checksum,
        "documents": entry.documents,
        "bytes": entry.bytes,
        "scope": entry.scope,
        "compression": entry.compression,
        "server_version": entry.server_version,
        "engine": entry.engine,
        "window": None if window is None else window.model_dump(mode="json"),
        "identity": None if identity is None else identity.model_dump(mode="json"),
        **{key: None if (at := getattr(entry, key)) is None else at.isoformat() for key in _TIMES},
    }


def _entry(facts: Mapping[str, Any]) -> SnapshotEntry:
    window, identity, scope = facts["window"], facts["identity"], facts["scope"]
    rest = dict(facts)
    rest |= {
        "window": None if window is None else _window(window),
        "identity": None if identity is None else Identity.model_construct(**identity),
        "scope": None if scope is None else tuple(scope),
    }
    rest |= {key: None if facts[key] is None else datetime.fromisoformat(facts[key]) for key in _TIMES}
    return SnapshotEntry(**rest)


def _window(facts: Mapping[str, Any]) -> Window:
    ends = {key: Position.parse(str(facts[key])) for key in ("start", "end")}
    return Window.model_construct(**{**facts, **ends})
