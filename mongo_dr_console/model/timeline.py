"""The timeline of a restore: which staging collection stands for which namespace at each position.

Documents are restored and replayed into staging collections with names of their own. A rename in the oplog
only changes which namespace a staging collection stands for, and a drop only lets go of it; neither touches
the server, because renames in ``applyOps`` lose collections (server-rules 1 and 2). Everything here is a pure
function of the snapshot's collections and the operations in order, so a resumed job reads the saved oplog
again from its start and arrives at the same state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import bson
from bson import Int64
from bson.raw_bson import RawBSONDocument

from mongo_dr_console.model import rawbson
from mongo_dr_console.model.namespace import (
    BUCKETS,
    Namespace,
    is_buckets,
    is_of_logins,
    is_restorable,
    known_as,
    staging_name,
)
from mongo_dr_console.model.oplogentry import COMMAND, Operation
from mongo_dr_console.model.plainentry import PlainEntry
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.trouble import Failed

_IGNORED = frozenset(
    {"startIndexBuild", "abortIndexBuild", "setMultikeyMetadata", "dropIdent", "dbCheck", "createIdent"}
)
_INDEX_CHANGES = ("expireAfterSeconds", "hidden", "unique", "prepareUnique")
_VIEWS = "system.views"
_SERIES_OPTIONS = frozenset({"timeseries", "expireAfterSeconds", "collation", "storageEngine"})
_CAPPED_UNIT = 256
"""The server rounds the size of a capped collection up to a multiple of this many bytes."""


@dataclass(slots=True)
class Staged:
    """A staging collection and what it stands for.

    Args:
        number: Counts the staging collections of the job; part of the name.
        database: The database in which it lies: that of its target.
        name: Its physical name.
        options: The ``create`` options, raw.
        indexes: Name to specification, raw, ``_id_`` left out.
        uuid: Hex of the original collection's UUID, None if unknown.
        from_snapshot: Whether documents of the snapshot go into it.
        discarded: Nothing stands behind it any more; it is removed at the end.
        series: It stands for a time series: it holds the buckets as ordinary documents, and its indexes and
            options are those of the series.
        bucket_indexes: Those of a series' indexes that are specified over its buckets, as the oplog has them.
        pinned: It is made with the original collection's UUID.
    """

    number: int
    database: str
    name: str
    options: RawBSONDocument
    indexes: dict[str, RawBSONDocument] = field(default_factory=dict)
    uuid: str | None = None
    from_snapshot: bool = False
    discarded: bool = False
    series: bool = False
    bucket_indexes: set[str] = field(default_factory=set)
    pinned: bool = False

    @property
    def namespace(self) -> str:
        return f"{self.database}.{self.name}"


@dataclass(frozen=True, slots=True)
class Write:
    """A CRUD operation for a staging collection."""

    staged: Staged
    op: str
    document: RawBSONDocument
    key: RawBSONDocument | None
    upsert: bool
    position: Position
    original: str
    lenient: bool


@dataclass(frozen=True, slots=True)
class Create:
    """A staging collection must exist from here on."""

    staged: Staged
    position: Position


@dataclass(frozen=True, slots=True)
class Modify:
    """A ``collMod`` (without index parts) for a staging collection."""

    staged: Staged
    changes: RawBSONDocument
    position: Position


Action: TypeAlias = Write | Create | Modify


@dataclass(frozen=True, slots=True)
class Conflict:
    """A later change that builds on what was skipped, or that a skip makes impossible."""

    position: Position
    namespace: str
    text: str


@dataclass(frozen=True, slots=True)
class SnapshotCollection:
    """A collection of the base snapshot, as the timeline starts with it."""

    namespace: Namespace
    options: RawBSONDocument
    indexes: tuple[RawBSONDocument, ...]
    uuid: str | None
    series: bool = False


class Timeline:
    """Follows the operations and says what to do with each.

    Args:
        job: The job's id, for the names of staging collections.
        tracked: Which namespaces are followed: those asked for and the sources of renames onto them.
        wanted: Those asked for; all that are followed, if not given.
        home: The database in which the staging collection with this number, made for this namespace, lies:
            that of its place in the end, since a rename from one database to another is a copy.
        window_end: The end of the snapshot's window. Up to it, operations on collections and documents that
            the scan did not see are expected (server-rules 9); after it they are an error.
        pinned: UUIDs (hex) that staging collections are made with.
        skipped: Tells the operations that are left out on purpose.
        overlaps: For an operation that was not skipped: a text if it builds on a skipped one, else None.
    """

    def __init__(
        self,
        job: str,
        *,
        tracked: Callable[[Namespace], bool],
        wanted: Callable[[Namespace], bool] | None = None,
        home: Callable[[Namespace, int], str] = lambda namespace, number: namespace.database,
        window_end: Position,
        pinned: frozenset[str] = frozenset(),
        skipped: Callable[[Operation], bool] = lambda operation: False,
        overlaps: Callable[[Operation], str | None] = lambda operation: None,
    ) -> None:
        self._job = job
        self._tracked = tracked
        self._wanted = wanted or tracked
        self._home = home
        self._window_end = window_end
        self._pinned = pinned
        self._skipped = skipped
        self._overlaps = overlaps
        self._count = 0
        self._touched_by_skip: set[Namespace] = set()
        self._unknown: set[Namespace] = set()
        self.collections: dict[Namespace, Staged] = {}
        self.views: dict[Namespace, RawBSONDocument] = {}
        self.all: list[Staged] = []
        self.conflicts: list[Conflict] = []
        self.conflict_count = 0
        self.skipped_operations = 0

    def begin(
        self, collections: Iterable[SnapshotCollection], views: dict[Namespace, RawBSONDocument]
    ) -> None:
        """Starts with what the snapshot holds; the order of ``collections`` decides the numbers."""
        for collection in collections:
            staged = self._stage(collection.namespace, collection.options, collection.uuid)
            staged.from_snapshot = True
            staged.series = collection.series
            for spec in collection.indexes:
                _set_index(staged, spec)
        self.views.update(views)

    def placed(self, wanted: Callable[[Namespace], bool]) -> dict[Namespace, Staged]:
        """The collections that exist at this point of the timeline and were asked for."""
        return {n: s for n, s in sorted(self.collections.items()) if wanted(n)}

    def feed(self, operation: Operation) -> list[Action]:
        """What to do for one operation.

        Raises:
            Failed: The operation cannot be followed: something before it is missing, or it is of a kind that
                cannot be replayed. Nothing live was touched.
        """
        if self._skipped(operation):
            self._note_skip(operation)
            return []
        if operation.op == "c":
            return self._command(operation)
        namespace = known_as(operation.database, operation.collection)
        if operation.collection == _VIEWS:
            self._change_view(operation)
            return []
        if not self._tracked(namespace):
            return []
        return self._write(operation, namespace)

    # Documents

    def home_of(self, namespace: Namespace) -> Staged | None:
        """Where plain writes to a namespace go until the next command; None: each needs a closer look."""
        return self.collections.get(namespace) if self._tracked(namespace) else None

    def ignores(self, database: str, collection: str) -> bool:
        """Whether plain writes to a collection are none of this restore's until the next command."""
        return collection != _VIEWS and not self._tracked(known_as(database, collection))

    def plain_write(self, entry: PlainEntry, staged: Staged, original: str, position: Position) -> Write:
        """What ``feed`` says of a plain write where no event is skipped; ``staged`` is its home."""
        return Write(
            staged=staged,
            op=entry.op.decode(),
            document=RawBSONDocument(entry.document, rawbson.RAW),
            key=None if entry.key is None else RawBSONDocument(entry.key, rawbson.RAW),
            upsert=entry.op == b"u" and position <= self._window_end,
            position=position,
            original=original,
            lenient=False,
        )

    def _write(self, operation: Operation, namespace: Namespace) -> list[Action]:
        staged = self.collections.get(namespace)
        if staged is None:
            if operation.position <= self._window_end or namespace in self._unknown:
                return []
            raise Failed(
                "oplog-hole",
                f"The operation at {operation.position} writes to {namespace}, which neither the snapshot "
                "nor the oplog before it has: something is missing in between. Nothing live was changed.",
                "Choose another base snapshot: mdr snapshots list",
            )
        text = self._overlaps(operation)
        if text is not None:
            self._conflict(operation.position, namespace, text)
        in_window = operation.position <= self._window_end
        return [
            Write(
                staged=staged,
                op=operation.op,
                document=operation.document,
                key=operation.key,
                upsert=operation.op == "u" and (in_window or operation.upsert),
                position=operation.position,
                original=str(namespace),
                lenient=namespace in self._touched_by_skip,
            )
        ]

    # Commands

    def _command(self, operation: Operation) -> list[Action]:
        name = operation.command
        if name in _IGNORED:
            return []
        handler = _HANDLERS.get(name)
        if handler is not None:
            return handler(self, operation)
        subject = operation.document[name]
        target = known_as(operation.database, subject) if isinstance(subject, str) and subject else None
        if target is not None and self._tracked(target):
            raise Failed(
                "oplog-unknown-command",
                f"The entry at {operation.position} is a {name!r} on {target}, which cannot be replayed. "
                "Nothing live was changed.",
                "Restore to a position before it, or from a snapshot taken after it.",
            )
        return []

    def _create(self, operation: Operation) -> list[Action]:
        name = operation.document["create"]
        namespace = known_as(operation.database, name)
        if not self._tracked(namespace) or not (is_restorable(namespace) or is_of_logins(namespace)):
            return []
        options = _without(operation.document, {"create", "idIndex"})
        if is_buckets(name):
            options = _raw({k: v for k, v in options.items() if k in _SERIES_OPTIONS})
        existing = self.collections.get(namespace)
        if existing is not None:
            # An application that goes on makes the dropped collection again by its next insert: with the same
            # options that changes nothing.
            alike = namespace in self._touched_by_skip and existing.options.raw == options.raw
            if operation.position > self._window_end and existing.uuid != operation.uuid and not alike:
                self._clash(operation, namespace, "is made again while the skipped drop left it in place")
            return []
        if "viewOn" in options:
            return []
        staged = self._stage(namespace, options, operation.uuid)
        staged.series = is_buckets(name)
        return [Create(staged, operation.position)]

    def _drop(self, operation: Operation) -> list[Action]:
        name = operation.document["drop"]
        if name == _VIEWS:
            for view in [v for v in self.views if v.database == operation.database]:
                del self.views[view]
            return []
        self._let_go(known_as(operation.database, name))
        return []

    def _drop_database(self, operation: Operation) -> list[Action]:
        for namespace in [n for n in self.collections if n.database == operation.database]:
            self._let_go(namespace)
        for view in [v for v in self.views if v.database == operation.database]:
            del self.views[view]
        return []

    def _rename(self, operation: Operation) -> list[Action]:
        source = Namespace.parse(operation.document["renameCollection"])
        target = Namespace.parse(operation.document["to"])
        staged = self.collections.get(source)
        if staged is None:
            missed = self._is_missed(source, target)
            if missed and operation.position > self._window_end:
                raise Failed(
                    "rename-source-missing",
                    f"At {operation.position} {source} becomes {target}, but the base has no {source}: its "
                    "documents are not known. Nothing live was changed.",
                    "Choose a base snapshot taken after that rename: mdr snapshots list",
                )
            if self._tracked(target):
                self._let_go(target)
                if not missed:
                    self._unknown.add(target)
            return []
        if target in self.collections and not operation.document.get("dropTarget"):
            self._clash(
                operation, target, f"{source} is renamed onto it while the skipped drop left it in place"
            )
            # So the source stays too, and what takes its name later meets it.
            self._touched_by_skip.add(source)
            return []
        del self.collections[source]
        if source in self._touched_by_skip:
            self._touched_by_skip.add(target)
        if not self._tracked(target):
            staged.discarded = True
            return []
        self._let_go(target)
        self._unknown.discard(target)
        self.collections[target] = staged
        return []

    def _is_missed(self, source: Namespace, target: Namespace) -> bool:
        """Whether a rename lacks what it renames. A target that is followed only for what it was earlier (the
        last rename from it onto a wanted name is past) may get what nobody needs: that is not followed."""
        if not self._tracked(target):
            return False
        return self._wanted(target) or (self._tracked(source) and source not in self._unknown)

    def _create_index(self, operation: Operation) -> list[Action]:
        staged = self._of(operation, "createIndexes")
        if staged is not None:
            _set_index(
                staged, _without(operation.document, {"createIndexes", "ns"}), over_buckets=staged.series
            )
        return []

    def _commit_index_build(self, operation: Operation) -> list[Action]:
        staged = self._of(operation, "commitIndexBuild")
        if staged is not None:
            for spec in operation.document["indexes"]:
                _set_index(staged, spec, over_buckets=staged.series)
        return []

    def _drop_index(self, operation: Operation) -> list[Action]:
        staged = self._of(operation, operation.command)
        if staged is not None:
            name = str(operation.document.get("index", ""))
            if name == "*":
                staged.indexes.clear()
            else:
                staged.indexes.pop(name, None)
        return []

    def _modify(self, operation: Operation) -> list[Action]:
        staged = self._of(operation, "collMod")
        if staged is None:
            return []
        change = operation.document.get("index")
        if change is not None:
            _change_index(staged, change)
        rest = _without(operation.document, {"collMod", "index"})
        if not len(rest):
            return []
        if staged.series:
            staged.options = _merged_series(staged.options, rest)
            return []
        staged.options = _merged(staged.options, rest)
        return [Modify(staged, rest, operation.position)]

    # Views

    def _change_view(self, operation: Operation) -> None:
        identity = operation.document_id
        if not isinstance(identity, str) or "." not in identity:
            return
        namespace = Namespace.parse(identity)
        if not self._tracked(namespace):
            return
        if str(operation.document.get("viewOn", "")).startswith(BUCKETS):
            return
        if operation.op == "d":
            self.views.pop(namespace, None)
        elif operation.op == "i" or "$v" not in operation.document:
            self.views[namespace] = operation.document
        elif namespace in self.views:
            self.views[namespace] = _view_after(self.views[namespace], operation)

    # Pieces

    def _of(self, operation: Operation, key: str) -> Staged | None:
        return self.collections.get(known_as(operation.database, operation.document[key]))

    def _stage(self, namespace: Namespace, options: RawBSONDocument, uuid: str | None) -> Staged:
        self._count += 1
        staged = Staged(
            number=self._count,
            database=self._home(namespace, self._count),
            name=staging_name(self._job, self._count),
            options=options,
            uuid=uuid,
            pinned=uuid in self._pinned,
        )
        self._unknown.discard(namespace)
        self.collections[namespace] = staged
        self.all.append(staged)
        return staged

    def _let_go(self, namespace: Namespace) -> None:
        staged = self.collections.pop(namespace, None)
        if staged is not None:
            staged.discarded = True

    def vacate(self, namespace: Namespace) -> None:
        """A cut-over of this job has taken the name from the live collection, and what stands for it is not
        there yet: what an application makes under it meanwhile is no clash, and its writes belong to it."""
        self._touched_by_skip.add(namespace)

    def _note_skip(self, operation: Operation) -> None:
        self.skipped_operations += 1
        if operation.collection != COMMAND:
            self._touched_by_skip.add(known_as(operation.database, operation.collection))
            return
        body, name = operation.document, operation.command
        if name == "drop":
            self._touched_by_skip.add(known_as(operation.database, body["drop"]))
        elif name == "renameCollection":
            self._touched_by_skip |= {Namespace.parse(body[name]), Namespace.parse(body["to"])}

    def _clash(self, operation: Operation, namespace: Namespace, text: str) -> None:
        if namespace not in self._touched_by_skip:
            raise Failed(
                "oplog-inconsistent",
                f"At {operation.position} {namespace} is made again, but it is there already: the oplog does "
                "not continue the snapshot. Nothing live was changed.",
                "Choose another base snapshot: mdr snapshots list",
            )
        self._conflict(operation.position, namespace, text)

    def conflict_at(self, position: Position, namespace: Namespace, text: str) -> None:
        """Lists a conflict that only the server could tell."""
        self._conflict(position, namespace, text)

    def _conflict(self, position: Position, namespace: Namespace, text: str) -> None:
        self.conflict_count += 1
        if len(self.conflicts) < 1000:
            self.conflicts.append(Conflict(position, str(namespace), text))


_HANDLERS: dict[str, Callable[[Timeline, Operation], list[Action]]] = {
    "create": Timeline._create,
    "drop": Timeline._drop,
    "dropDatabase": Timeline._drop_database,
    "renameCollection": Timeline._rename,
    "createIndexes": Timeline._create_index,
    "commitIndexBuild": Timeline._commit_index_build,
    "dropIndexes": Timeline._drop_index,
    "dropIndex": Timeline._drop_index,
    "deleteIndexes": Timeline._drop_index,
    "deleteIndex": Timeline._drop_index,
    "collMod": Timeline._modify,
}


def rename_closure(
    wanted: Callable[[Namespace], bool], renames: Iterable[tuple[Namespace, Namespace]]
) -> set[Namespace]:
    """The namespaces beyond the wanted ones that must be followed too: sources of renames (oldest first)
    onto something that is followed (server-rules 3).

    >>> a, b, c = (Namespace("d", x) for x in "abc")
    >>> sorted(map(str, rename_closure(lambda n: n == c, [(a, b), (b, c)])))
    ['d.a', 'd.b']
    """
    found: set[Namespace] = set()
    for source, target in reversed(list(renames)):
        if (wanted(target) or target in found) and not wanted(source):
            found.add(source)
    return found


def _set_index(staged: Staged, spec: RawBSONDocument, *, over_buckets: bool = False) -> None:
    # A clustered index comes and goes with its collection, under whatever name.
    if spec["name"] != "_id_" and not spec.get("clustered"):
        staged.indexes[spec["name"]] = spec
        (staged.bucket_indexes.add if over_buckets else staged.bucket_indexes.discard)(spec["name"])


def _change_index(staged: Staged, change: RawBSONDocument) -> None:
    spec = staged.indexes.get(change.get("name", ""))
    if spec is None:
        return
    changed: dict[str, Any] = dict(spec)
    for key in _INDEX_CHANGES:
        if key in change:
            changed[key] = change[key]
    for key in ("hidden", "prepareUnique"):
        if not changed.get(key, True):
            changed.pop(key)
    if changed.get("unique"):
        changed.pop("prepareUnique", None)
    staged.indexes[spec["name"]] = _raw(changed)


def _merged(options: RawBSONDocument, changes: RawBSONDocument) -> RawBSONDocument:
    """The options as the server lists them after a ``collMod``."""
    fields: dict[str, Any] = {**options, **changes}
    if any(key in changes for key in ("validator", "validationLevel", "validationAction")):
        # The server stores all of them, whichever was named.
        fields.setdefault("validationLevel", "strict")
        fields.setdefault("validationAction", "error")
    size, most = fields.pop("cappedSize", None), fields.pop("cappedMax", None)
    if size is not None:
        fields["size"] = Int64(-(-int(size) // _CAPPED_UNIT) * _CAPPED_UNIT)
    if most is not None:
        fields["max"] = Int64(most)
    if not fields.get("validator", True):
        del fields["validator"]
    if fields.get("expireAfterSeconds") == "off":
        del fields["expireAfterSeconds"]
    images = fields.get("changeStreamPreAndPostImages")
    if images is not None and not images["enabled"]:
        del fields["changeStreamPreAndPostImages"]
    return _raw(fields)


def _merged_series(options: RawBSONDocument, changes: RawBSONDocument) -> RawBSONDocument:
    """The options of a time series after a ``collMod``: it names only what it changes, and a granularity
    brings a span of its own."""
    fields: dict[str, Any] = {**options, **{k: v for k, v in changes.items() if k in _SERIES_OPTIONS}}
    changed = changes.get("timeseries")
    if changed is not None:
        span = {"bucketMaxSpanSeconds", "bucketRoundingSeconds", "granularity"}
        before = {k: v for k, v in options["timeseries"].items() if k not in span}
        fields["timeseries"] = {**before, **changed}
    if fields.get("expireAfterSeconds") == "off":
        del fields["expireAfterSeconds"]
    return _raw(fields)


def _without(document: RawBSONDocument, keys: set[str]) -> RawBSONDocument:
    return _raw({k: v for k, v in document.items() if k not in keys})


def _raw(fields: dict[str, Any]) -> RawBSONDocument:
    return RawBSONDocument(bson.encode(fields), rawbson.RAW)


def _view_after(view: RawBSONDocument, operation: Operation) -> RawBSONDocument:
    """The definition after a ``$v: 2`` diff of whole fields, which is what ``collMod`` on a view logs."""
    diff = operation.document["diff"]
    changed: dict[str, Any] = dict(view)
    for part in ("u", "i"):
        for key, value in diff.get(part, {}).items():
            changed[key] = value
    for key in diff.get("d", {}):
        changed.pop(key, None)
    if any(key.startswith("s") for key in diff):
        raise Failed(
            "view-diff",
            f"The definition of the view {view['_id']} is changed in part at {operation.position}, which "
            "cannot be replayed. Nothing live was changed.",
            "Leave the view out with --ns, and restore its definition by hand.",
        )
    return _raw(changed)
