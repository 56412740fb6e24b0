"""Writing a snapshot into an S3 store, without a copy on this host. Its objects lie under their own names
from the start; a mark beside them keeps them out of every list until the manifest, which is written last, is
there."""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self

from mongo_dr_console.model.catalogue import is_snapshot_name
from mongo_dr_console.model.manifest import (
    MANIFEST_NAME,
    SNAPSHOT_NAME_FORMAT,
    Compression,
    FileEntry,
    Manifest,
)
from mongo_dr_console.model.trouble import Failed, Trouble
from mongo_dr_console.stores import owner
from mongo_dr_console.stores.compression import decompress
from mongo_dr_console.stores.s3 import WRITING, S3Store
from mongo_dr_console.stores.s3_upload import Begun, Upload
from mongo_dr_console.stores.snapshot_output import FileWriter, check_path

_BEAT_SECONDS = 300.0
_BEGUN = "begun"
_SHA256 = "mdr-sha256"
"""Beside an object of a copy: what it was made from."""
_LOOKERS = 8


class S3File:
    """The output of a ``FileWriter`` in a bucket."""

    def __init__(self, begin: Callable[[], Upload]) -> None:
        self._begin = begin
        self._upload: Upload | None = begin()

    def write(self, data: bytes | memoryview) -> None:
        assert self._upload is not None, "it is finished"
        self._upload.write(data)

    def restart(self) -> None:
        self.discard()
        self._upload = self._begin()

    def finish(self) -> None:
        assert self._upload is not None, "it is finished"
        upload, self._upload = self._upload, None
        upload.finish()

    def discard(self) -> None:
        if self._upload is not None:
            self._upload.abort()
            self._upload = None

    def leave(self) -> None:
        """What arrived of it stays."""
        if self._upload is not None:
            self._upload.leave()
            self._upload = None


class S3SnapshotWriter:
    """The protocol of ``snapshot_output.SnapshotOutput``. Memory is bounded, however large the snapshot is:
    a part of each open file, and what ``s3_upload`` has on its way.

    The first thing it does is to remove what dead writers left.

    Args:
        wanted: See ``begin_snapshot``.
    """

    def __init__(self, store: S3Store, name: str | None = None, wanted: Iterable[FileEntry] = ()) -> None:
        self.store = store
        self.there: dict[str, FileEntry] = {}
        self._expected = {entry.path: entry for entry in wanted}
        self._begun: dict[str, tuple[Begun, str]] = {}
        self._claim: str | None = None
        self._open: dict[str, tuple[FileWriter, S3File]] = {}
        self._written: dict[str, int] = {}
        self._guard = threading.Lock()
        self._finished = False
        self._over = threading.Event()
        self._mark = owner.sign()
        try:
            if name is not None and self._expected and self._take_over(name):
                self.name = name
                remove_dead(store)
                self._take_stock()
            else:
                remove_dead(store)
                self.name = self._reserve(name)
        except BaseException:
            owner.forget(self._mark)
            raise
        threading.Thread(target=self._beat, name="mdr-beat", daemon=True).start()

    def open(self, path: str, compression: Compression = "none") -> FileWriter:
        """Begins a file; ``path`` is relative to the snapshot, with its suffix."""
        check_path(path)
        stored = f"{self.name}/{path}"
        output = S3File(lambda: self._upload(path, stored))
        writer = FileWriter(output, path, compression, self._took)
        with self._guard:
            self._open[path] = writer, output
        return writer

    def _upload(self, path: str, stored: str) -> Upload:
        entry = self._expected.get(path)
        facts = None if entry is None else {_SHA256: entry.sha256}
        upload = self.store.upload(stored, note=self._note, facts=facts)
        # Once: what is begun anew is another content.
        begun, record = self._begun.pop(path, (None, ""))
        if begun is not None:
            upload.go_on(begun, lambda: self._forget(record))
        return upload

    def remove(self, path: str) -> None:
        """Takes back a file of this snapshot that is not wanted as it is; it may be written anew."""
        with self._guard:
            writer, _ = self._open.pop(path, (None, None))
            written = self._written.pop(path, None)
        if writer is not None:
            writer.discard()
        if written is not None:
            self.store.discard(f"{self.name}/{path}")

    def rewrite(
        self, path: str, compression: Compression, change: Callable[[Iterator[bytes]], Iterator[bytes]]
    ) -> FileEntry:
        """Writes a finished file anew: ``change`` gets its bytes, uncompressed, and says what they become."""
        old = self.store.read(f"{self.name}/{path}")
        writer = self.open(path, compression)
        for piece in change(decompress(old, compression)):
            writer.write(piece)
        return writer.finish()

    def put(self, path: str, data: bytes, compression: Compression = "none") -> FileEntry:
        """Writes a small file."""
        writer = self.open(path, compression)
        writer.write(data)
        return writer.finish()

    def finish(self, manifest: Manifest | None) -> None:
        """Sees that everything is there, writes the manifest and takes the mark away: from here on it is
        listed.

        Args:
            manifest: None for the copy of a dump that has none.

        Raises:
            Failed: Objects are missing, or somebody else took this for a dead writer's and removed it.
        """
        self._over.set()
        self._check_whole()
        if manifest is not None:
            text = manifest.to_text().encode()
            if not self.store.write_if_absent(f"{self.name}/{MANIFEST_NAME}", [text]):
                raise Failed("snapshot-exists", f"Store {self.store.name} has a snapshot {self.name}.")
        self._finished = True
        with suppress(Trouble):
            # Of one whose first answer was lost, so that it was begun twice, nothing is on record.
            self.store.sweep(f"{self.name}/", 0)
        if self._claim is not None:
            self._forget(self._claim)
        try:
            self.store.delete(_mark_path(self.name))
        except Trouble:
            if manifest is None:
                raise
            # With its manifest it counts as finished all the same; the next writer takes the mark away.
        owner.forget(self._mark)

    def leave(self) -> None:
        """Ends as if killed: what was written stays, for a writer of the same name that goes on."""
        self._over.set()
        for _, output in self._open.values():
            output.leave()
        self._finished = True
        owner.forget(self._mark)

    def abandon(self) -> None:
        """Removes everything that was written, as far as the store answers; the next writer does the rest."""
        self._over.set()
        for writer, _ in self._open.values():
            writer.discard()
        with suppress(Trouble):
            self._take_back()
        owner.forget(self._mark)

    def _take_back(self) -> None:
        """Where the mark is gone, somebody else cleared up while this was still writing."""
        mark = _read_mark(self.store, self.name)
        if mark.get("token") == self._mark["token"]:
            _remove(self.store, self.name)
        elif not mark:
            self.store.delete_all([f"{self.name}/{path}" for path in self._written])

    def _reserve(self, wanted: str | None) -> str:
        """Marks a name as this writer's: the wanted one, else this second's (UTC), or the next that is
        free."""
        moment = datetime.now(UTC)
        while True:
            name = wanted or moment.strftime(SNAPSHOT_NAME_FORMAT)
            if self._is_free(name) and self.store.write_if_absent(_mark_path(name), [self._text()]):
                if self._is_free(name):
                    # Only from here on would another writer remove what lies under the name.
                    self._mark[_BEGUN] = True
                    self.store.write(_mark_path(name), [self._text()])
                    return name
                self.store.delete(_mark_path(name))
            if wanted is not None:
                raise Failed(
                    "snapshot-exists",
                    f"Store {self.store.name} has a snapshot {name}, or it is being written there just now.",
                )
            moment += timedelta(seconds=1)

    def _take_over(self, name: str) -> bool:
        """Makes a dead writer's mark this one's; False where there is none, or another was faster."""
        seen = self.store.unfinished().get(name)
        if seen is None or self.store.size(f"{name}/{MANIFEST_NAME}") is not None:
            return False
        mark = _read_mark(self.store, name)
        if not mark.get(_BEGUN) or not owner.is_dead(mark, seen, datetime.now(UTC)):
            return False
        claim = f"{WRITING}/{name}/after-{mark.get('token')}.json"
        if not self.store.write_if_absent(claim, [self._text()]):
            return False
        self._claim = claim
        self._mark[_BEGUN] = True
        self.store.write(_mark_path(name), [self._text()])
        return True

    def _take_stock(self) -> None:
        """What is there as it is wanted stays: an object is whole, and says which content it was made from.
        Everything else is removed."""
        objects = {o.path: o.size for o in self.store.objects(f"{self.name}/")}
        with ThreadPoolExecutor(_LOOKERS) as pool:
            whole = dict(zip(objects, pool.map(self._is_wanted, objects, objects.values()), strict=True))
        self.store.delete_all(path for path, good in whole.items() if not good)
        for path in (p.removeprefix(f"{self.name}/") for p, good in whole.items() if good):
            self.there[path] = self._expected[path]
            self._written[path] = self._expected[path].size
        for record in list(self.store.objects(f"{WRITING}/{self.name}/")):
            if record.path != self._claim:
                self._take_up(record.path)
        # Begun by a writer that died before it could put that on record; not every service lists it.
        self.store.sweep(f"{self.name}/", 0, spare={b.upload for b, _ in self._begun.values()})

    def _is_wanted(self, path: str, size: int) -> bool:
        entry = self._expected.get(path.removeprefix(f"{self.name}/"))
        return (
            entry is not None
            and entry.size == size
            and self.store.facts_of(path).get(_SHA256) == entry.sha256
        )

    def _take_up(self, record: str) -> None:
        """An upload that was under way: it goes on, or is aborted."""
        try:
            noted = json.loads(b"".join(self.store.read(record)))
            key, upload, token = noted["key"], noted["upload"], noted["token"]
        except (Failed, ValueError, KeyError):
            self._forget(record)
            return
        path = key.removeprefix(f"{self.store.root}{self.name}/")
        begun = self.store.begun(key, upload, token)
        if begun is None or path in self.there or path not in self._expected or path in self._begun:
            self.store.abort_upload(key, upload)
            self._forget(record)
            return
        self._begun[path] = begun, record

    def _is_free(self, name: str) -> bool:
        return next(self.store.objects(f"{name}/"), None) is None

    def _text(self) -> bytes:
        return json.dumps(self._mark).encode()

    def _check_whole(self) -> None:
        if _read_mark(self.store, self.name).get("token") != self._mark["token"]:
            raise Failed(
                "snapshot-taken-away",
                f"The mark of snapshot {self.name} in store {self.store.name} is gone: another host took "
                "its writer for dead and removed what was written. No snapshot was made.",
                "Back up again; check both hosts' clocks.",
            )
        present = {o.path.removeprefix(f"{self.name}/"): o.size for o in self.store.objects(f"{self.name}/")}
        wrong = [path for path, size in self._written.items() if present.get(path) != size]
        if wrong:
            raise Failed(
                "objects-missing",
                f"Store {self.store.name} took {wrong[0]} of snapshot {self.name} and does not have it as "
                "it was sent. No snapshot was made.",
                "Back up again; what removes objects there?",
            )

    def _took(self, file: FileEntry) -> None:
        with self._guard:
            self._open.pop(file.path, None)
            self._written[file.path] = file.size

    def _note(self, begun: Begun) -> Callable[[], None]:
        """Puts on record what the next writer has to abort, should this one die: not every service lists its
        uploads."""
        path = f"{WRITING}/{self.name}/{secrets.token_hex(8)}.json"
        noted = {"key": begun.key, "upload": begun.upload, "token": begun.token}
        self.store.write(path, [json.dumps(noted).encode()])
        return lambda: self._forget(path)

    def _forget(self, record: str) -> None:
        with suppress(Trouble):
            self.store.delete(record)

    def _beat(self) -> None:
        while not self._over.wait(_BEAT_SECONDS):
            with suppress(Trouble):
                if _read_mark(self.store, self.name).get("token") == self._mark["token"]:
                    self.store.write(_mark_path(self.name), [self._text()])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._finished:
            self.abandon()


def remove_dead(store: S3Store) -> list[str]:
    """Removes what dead writers left, and the marks of those that died right after their end; returns the
    names of the snapshots that were half-written."""
    removed = []
    now = datetime.now(UTC)
    for name, seen in store.unfinished().items():
        if not is_snapshot_name(name) or not owner.is_dead(_read_mark(store, name), seen, now):
            continue
        if store.size(f"{name}/{MANIFEST_NAME}") is None:
            removed.append(name)
        _remove(store, name)
    return removed


def _remove(store: S3Store, name: str) -> None:
    """Everything of a marked snapshot, the mark last; of one with a manifest the marks alone."""
    for record in list(store.objects(f"{WRITING}/{name}/")):
        with suppress(Failed, ValueError, KeyError):
            upload = json.loads(b"".join(store.read(record.path)))
            store.abort_upload(upload["key"], upload["upload"])
        store.delete(record.path)
    if _read_mark(store, name).get(_BEGUN) and store.size(f"{name}/{MANIFEST_NAME}") is None:
        store.sweep(f"{name}/", 0)
        store.delete_all([o.path for o in store.objects(f"{name}/")])
    store.delete(_mark_path(name))


def _mark_path(name: str) -> str:
    return f"{WRITING}/{name}.json"


def _read_mark(store: S3Store, name: str) -> dict[str, Any]:
    try:
        found = json.loads(b"".join(store.read(_mark_path(name))))
    except (Failed, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
