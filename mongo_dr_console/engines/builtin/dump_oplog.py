"""Copying the oplog of a snapshot's window while the data is read, so that it cannot roll over meanwhile."""

from __future__ import annotations

from bson.raw_bson import RawBSONDocument

from mongo_dr_console.engines.builtin.dump_window import Rename, renames_in
from mongo_dr_console.model import rawbson
from mongo_dr_console.model.manifest import FileEntry, Window
from mongo_dr_console.model.oplogentry import raw_entry
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.trouble import Failed
from mongo_dr_console.mongo.client import Client
from mongo_dr_console.mongo.oplog import raw_batches_untold
from mongo_dr_console.stores.snapshot_output import FileWriter

RENAMED = "renamed-during-backup"
UPGRADED = "upgraded-during-backup"

_RENAMES = frozenset({"renameCollection", "importCollection", "upgradeDowngradeViewlessTimeseries"})
_SUSPICIOUS = (
    b"renameCollection\0",
    b"importCollection\0",
    b"upgradeDowngradeViewlessTimeseries\0",
    b"featureCompatibilityVersion\0",
    b"applyOps\0",
    b"commitTransaction\0",
)


class _BeginsEarlier(Exception):
    """A transaction of the window has parts before its start."""

    def __init__(self, first: Position) -> None:
        super().__init__(str(first))
        self.first = first


class OplogCopy:
    """The entries from ``start`` on, verbatim, written as far as they are majority-committed.

    ``last``, ``last_term`` and ``last_raw`` are those of the newest entry that was copied. ``renames`` are
    those that were met and not yet taken.
    """

    def __init__(self, client: Client, file: FileWriter, start: Position) -> None:
        self.start = start
        self.renames: list[Rename] = []
        self._client = client
        self._file = file
        self._told: set[Rename] = set()
        self._forget()

    def _forget(self) -> None:
        self.last: Position | None = None
        self.last_term = -1
        self.last_raw = b""
        self.operations = 0
        self.bytes = 0

    def advance(self, end: Position) -> bool:
        """Copies on to ``end``; False where the member that answers does not show it yet: call again.

        Raises:
            Failed: ``oplog-overflow`` (an entry that is needed is gone), ``renamed-during-backup`` or
                ``upgraded-during-backup`` (data that was read by name cannot be trusted).
            PyMongoError: The primary was lost; call again when there is one.
        """
        while True:
            try:
                self._copy(end)
            except _BeginsEarlier as earlier:
                self._file.restart()
                self._forget()
                self.start = earlier.first
                continue
            return self.last is not None and self.last >= end

    def take_renames(self) -> list[Rename]:
        """The renames that were met since the last call."""
        found, self.renames = self.renames, []
        return found

    @property
    def window(self) -> Window:
        """What was copied so far."""
        assert self.last is not None
        return Window(
            start=self.start,
            end=self.last,
            end_term=self.last_term,
            end_hash=rawbson.entry_hash(self.last_raw),
            operations=self.operations,
        )

    def finish(self) -> FileEntry:
        """Closes the file: what was copied so far is the window."""
        return self._file.finish()

    def _copy(self, end: Position) -> None:
        known = self.last
        first = True
        for batch in raw_batches_untold(self._client, known or self.start, end):
            entries = list(rawbson.split(batch))
            if first:
                first = False
                self._check_joint(entries[0], known)
                if known is not None:
                    del entries[0]
                    batch = batch[len(batch) - sum(map(len, entries)) :]  # noqa: PLW2901
            if not entries:
                continue
            self._inspect(batch, entries)
            self._file.write(batch)
            self._took(entries, len(batch))

    def _took(self, entries: list[bytes], size: int) -> None:
        newest = raw_entry(entries[-1])
        self.last = Position.of(newest["ts"])
        self.last_term = int(newest.get("t", -1))
        self.last_raw = entries[-1]
        self.operations += len(entries)
        self.bytes += size

    def _check_joint(self, raw: bytes, known: Position | None) -> None:
        found = Position.of(raw_entry(raw)["ts"])
        if found != (known or self.start):
            raise overflow(known or self.start, found)
        if known is not None and raw != self.last_raw:
            raise Failed(
                "oplog-diverged",
                f"The oplog's entry at {known} is another one than before: the deployment lost "
                "majority-committed writes. The snapshot would mix two histories and was removed.",
                "Find out what happened to the set before backing up again: mdr status",
            )

    def _inspect(self, batch: bytes, entries: list[bytes]) -> None:
        if not any(word in batch for word in _SUSPICIOUS):
            return
        for raw in entries:
            if any(word in raw for word in _SUSPICIOUS):
                entry = raw_entry(raw)
                self._note_renames(entry)
                check_entry(entry, renames=False)
                self._check_whole(entry)

    def _note_renames(self, entry: RawBSONDocument) -> None:
        # Where the copy begins anew further back, it meets those again that it has told of.
        found = [r for r in renames_in(entry) if r.source.database != "config" and r not in self._told]
        self._told |= set(found)
        self.renames += found

    def _check_whole(self, entry: RawBSONDocument) -> None:
        """A transaction's earlier parts must lie in the window too: its commit applies them all."""
        before = _part_before(entry)
        if before is None or before >= self.start:
            return
        while True:
            raw = next(raw_batches_untold(self._client, before, before), None)
            if raw is None:
                raise overflow(before, None)
            earlier = _part_before(raw_entry(raw))
            if earlier is None:
                raise _BeginsEarlier(before)
            before = earlier


def overflow(wanted: Position, found: Position | None) -> Failed:
    have = "" if found is None else f" (it begins at {found} now)"
    return Failed(
        "oplog-overflow",
        f"The oplog does not have the entry at {wanted} any more{have}: it rolled over faster than the "
        "backup could copy it. The snapshot would not be consistent and was removed.",
        "Enlarge the oplog (replSetResizeOplog), or back up when there is less to write.",
    )


def check_entry(entry: RawBSONDocument, *, renames: bool = True) -> None:
    """Raises Failed for an entry that makes data read by name untrustworthy (mongo-tools.md 2, step 6).

    A rename moves data between names that were read at different moments, and replayed it drops or loses
    collections (server-rules 1 and 2).

    Args:
        entry: The entry.
        renames: Whether a rename is one; not where what it touches is read anew.
    """
    if entry["op"] == "c":
        _check_command(entry, renames)
    elif entry["ns"] == "admin.system.version":
        key = entry["o2"] if entry["op"] == "u" else entry["o"]
        if key.get("_id") == "featureCompatibilityVersion":
            raise Failed(
                UPGRADED,
                "The deployment's feature compatibility version was changed while the backup ran.",
                "Back up again when the upgrade is finished.",
            )


def _check_command(entry: RawBSONDocument, renames: bool) -> None:
    body = entry["o"]
    name = next(iter(body), "")
    if name == "applyOps":
        for inner in body["applyOps"]:
            check_entry(inner, renames=renames)
    elif name == "renameCollection" and not renames:
        return
    elif name in _RENAMES and not str(entry["ns"]).startswith("config."):
        source, target = str(body[name]), body.get("to")
        what = f"{source} was renamed to {target}" if target else f"{name} of {source}"
        raise Failed(
            RENAMED,
            f"{what} while the backup ran ($out, mapReduce and convertToCapped rename too): data that was "
            "read by name cannot be trusted.",
            "Back up when nothing is renamed.",
        )


def _part_before(entry: RawBSONDocument) -> Position | None:
    """The position of the part before this one of a transaction; None for its first and for other entries."""
    if entry["op"] != "c" or "txnNumber" not in entry or entry.get("multiOpType", 0) == 1:
        return None
    if next(iter(entry["o"]), "") not in ("applyOps", "commitTransaction"):
        return None
    before = entry.get("prevOpTime")
    if before is None or before["ts"].time == 0:
        return None
    return Position.of(before["ts"])
