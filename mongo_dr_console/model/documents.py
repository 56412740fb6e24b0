"""The JSON documents of commands that have no model beside their facts, and of what jobs result in.

Null is unknown. docs/json.md is made from these and from the models of plan, jobs, status and the rest.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from mongo_dr_console.model.event import Event
from mongo_dr_console.model.identity import Identity
from mongo_dr_console.model.jobview import ErrorDocument, JobState
from mongo_dr_console.model.manifest import Compression, Kind
from mongo_dr_console.model.plan import Mode
from mongo_dr_console.model.planlimit import PlanLimit
from mongo_dr_console.model.position import Position


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, populate_by_name=True, defer_build=True)


class FailureDocument(_Document):
    """What any command prints with ``--json`` where it fails before it has a document of its own. A job that
    failed is printed as ``mdr.job``, which has the same ``error``."""

    error: ErrorDocument = Field(description="What went wrong.")


# mdr config


class ConfigPathDocument(_Document):
    """``mdr config path``, and ``mdr config init`` once it has written the file."""

    schema_name: Literal["mdr.config.path"] = Field(default="mdr.config.path", alias="schema")
    path: str = Field(description="Where the config file is, or would be.")
    exists: bool = Field(description="Whether it is there.")


class ConfigCheckDocument(_Document):
    """``mdr config check``, where nothing is wrong."""

    schema_name: Literal["mdr.config.check"] = Field(default="mdr.config.check", alias="schema")
    path: str = Field(description="The config file.")
    profiles: list[str] = Field(description="Names of its profiles, sorted.")
    warnings: list[str] = Field(description="Files with secrets that others can read, or that are not there.")


class ConfigDocument(_Document):
    """``mdr config show``."""

    schema_name: Literal["mdr.config"] = Field(default="mdr.config", alias="schema")
    path: str = Field(description="The config file.")
    config: dict[str, Any] = Field(
        description="Every key as in docs/configuration.md, with defaults; secrets are masked."
    )


# mdr doctor --print-roles


class AccessRoles(_Document):
    """The database user of one level of access."""

    access: str = Field(description="`watch`, `operate` or `restore`.")
    roles: list[str] = Field(description="Built-in roles that it needs on `admin`.")
    commands: str = Field(description="What an administrator types into mongosh to make role and user.")


class RolesDocument(_Document):
    """``mdr doctor --print-roles``."""

    schema_name: Literal["mdr.roles"] = Field(default="mdr.roles", alias="schema")
    roles: list[AccessRoles] = Field(description="One for each level of access.")


# mdr snapshots


class WindowDocument(_Document):
    """A window of oplog, both ends included. The snapshot is consistent at ``end``."""

    start: Position = Field(description="Where the dump began.")
    end: Position = Field(description="The state that the snapshot holds.")


class Rung(_Document):
    """A level of verification that was reached."""

    level: int = Field(
        description="1 complete, 2 checksums, 3 readable, 4 restorable, 5 restored and compared, 6 drilled."
    )
    name: str = Field(description="The same as a word.")
    at: datetime = Field(description="When it was last reached.")


class CatalogueSnapshot(_Document):
    """One snapshot, with all stores that have it."""

    name: str = Field(description="`YYYYMMDD_HHMMSS` (UTC).")
    stores: list[str] = Field(description="Names of the stores that have it.")
    age_seconds: float
    taken_at: datetime = Field(description="The moment whose state it holds.")
    window: WindowDocument | None = Field(description="Null where no oplog was dumped with it.")
    stored_bytes: int
    bytes: int | None
    documents: int | None
    verified: bool = Field(description="Whether a store's copy was read back and found good.")
    damaged_in: list[str] = Field(description="Stores whose copy is damaged or unfinished.")
    verified_at: datetime | None = Field(description="When the newest verification was.")
    verified_level: int | None = Field(description="The level of the newest verification.")
    rungs: list[Rung] = Field(description="The levels that were reached, lowest first; none since damage.")
    holds: list[str] = Field(description="Ids of the holds that keep it.")
    seconds: float | None = Field(description="How long it took to take.")
    previous: str | None = Field(
        description="The next older snapshot that it can be compared with: same deployment, scope and way."
    )
    stored_bytes_change: int | None = Field(description="Against `previous`.")
    documents_change: int | None = Field(description="Against `previous`.")
    verified_good: bool | None = Field(description="What the newest verification found.")
    restore_tested_at: datetime | None = Field(description="When it was last restored from with success.")
    origin: str = Field(description="`mongo-dr-console`, or `mongodump` for a plain dump.")
    scope: list[str] | None = Field(description="The databases it is of; null: all.")
    identity: Identity | None = Field(description="The deployment it was taken from.")
    problem: str | None = Field(description="Why it cannot be restored from; null: it can.")


class UnreachableStore(_Document):
    """A store that did not answer."""

    store: str = Field(description="Its name in the profile.")
    code: str = Field(description="What went wrong: a stable word for scripts.")
    message: str = Field(description="The same for people.")


class SnapshotsDocument(_Document):
    """``mdr snapshots list``, newest first. With a store that does not answer the exit code is 5."""

    schema_name: Literal["mdr.snapshots"] = Field(default="mdr.snapshots", alias="schema")
    snapshots: list[CatalogueSnapshot]
    unreachable: list[UnreachableStore] = Field(description="Stores that are missing from this list.")


class SnapshotCollection(_Document):
    """What a snapshot has of one collection."""

    namespace: str
    kind: Kind
    uuid: str | None = Field(description="The collection's UUID, 32 hex digits.")
    documents: int | None
    bytes: int | None
    stored_bytes: int | None
    indexes: int = Field(description="How many indexes, `_id` included.")
    documents_change: int | None = Field(description="Against `previous`; null: not there, or not known.")
    bytes_change: int | None = Field(description="Against `previous`; null: not there, or not known.")


class SnapshotPage(CatalogueSnapshot):
    """``mdr snapshots show``: as in the list, and what is in it."""

    schema_name: Literal["mdr.snapshot"] = Field(default="mdr.snapshot", alias="schema")
    engine: str | None = Field(description="What took it.")
    server_version: str | None = Field(description="Of the mongod it was taken from.")
    compression: Compression | None
    operations: int | None = Field(description="Oplog entries in it.")
    checksum: str = Field(description="SHA-256 that stands for all of it.")
    files: int = Field(description="How many files.")
    collections: list[SnapshotCollection]


class BackupResult(_Document):
    """What a backup job results in."""

    schema_name: Literal["mdr.backup"] = Field(default="mdr.backup", alias="schema")
    snapshot: str = Field(description="The new snapshot's name.")
    stores: list[str] = Field(description="Stores that have it now.")
    documents: int
    bytes: int
    stored_bytes: int
    seconds: float = Field(description="How long the dump took.")
    window: WindowDocument


class BackupDocument(BackupResult):
    """``mdr backup``. A job that failed without a snapshot is printed as ``mdr.job``."""

    job: str
    state: JobState = Field(description="`partial` (exit code 5) where a store has not got it.")
    error: ErrorDocument | None = Field(description="What is missing; null: nothing.")


class RungTime(_Document):
    """How long one level of a verification took; 2 and 3 are looked at together."""

    level: int = Field(description="The level.")
    seconds: float = Field(description="How long it took.")


class StoreVerification(_Document):
    """What one store's copy is like."""

    snapshot: str
    store: str
    level: int = Field(description="Up to which level it was looked at.")
    good: bool
    problems: list[str] = Field(description="What was found; empty where it is good.")
    files: int = Field(description="Files in the snapshot.")
    bytes: int = Field(description="Bytes that were read, as stored.")
    documents: int | None = Field(description="Documents that were read; null below level 3.")
    at: datetime = Field(description="When it ended.")
    seconds: float = Field(description="How long it took.")
    rungs: list[RungTime] = Field(default=[], description="The levels that were looked at.")


class VerificationResult(_Document):
    """What a verification job results in. One that found damage fails: ``mdr.job`` with its ``error``."""

    schema_name: Literal["mdr.verification"] = Field(default="mdr.verification", alias="schema")
    snapshot: str
    level: int = Field(description="Up to which level it was looked at.")
    good: bool
    stores: list[StoreVerification] = Field(description="One for each store that has it.")


class VerificationDocument(VerificationResult):
    """``mdr snapshots verify``."""

    job: str


# mdr snapshots prune, mdr hold


class HoldDocument(_Document):
    """What nothing may prune: a range of positions, or one snapshot."""

    id: str = Field(description="Eight hex digits.")
    reason: str = Field(description="Why, as somebody said.")
    by: str = Field(description="`user@host` of who put it.")
    at: datetime = Field(description="When it was put.")
    start: Position | None = Field(description="First position of its range; null: it is on a snapshot.")
    end: Position | None = Field(description="Last position of its range, included.")
    snapshot: str | None = Field(description="The snapshot that it is on; null: it is on a range.")


class HoldsDocument(_Document):
    """``mdr hold list``, oldest first; after ``add`` and ``release`` too."""

    schema_name: Literal["mdr.holds"] = Field(default="mdr.holds", alias="schema")
    holds: list[HoldDocument]
    added: str | None = Field(default=None, description="Id of the hold that was put.")
    released: str | None = Field(default=None, description="Id of the hold that was taken back.")
    not_in: list[str] = Field(default=[], description="Stores that could not be told of it.")


class PrunedSnapshot(_Document):
    """What becomes of one snapshot in one store."""

    store: str
    name: str = Field(description="The snapshot's.")
    keep: bool = Field(description="Whether it stays.")
    reason: str = Field(description="Why: a stable word, see docs/retention.md.")
    text: str
    stored_bytes: int


class PrunedSegments(_Document):
    """The segments of one store that share what becomes of them, and why."""

    store: str
    keep: bool = Field(description="Whether they stay.")
    reason: str = Field(description="Why: a stable word, see docs/retention.md.")
    count: int = Field(description="How many.")
    stored_bytes: int
    start: Position | None = Field(description="Before the first entry of the oldest.")
    end: Position | None = Field(description="The last entry of the newest.")


class RemovedFromStore(_Document):
    """What a prune removed from one store."""

    store: str
    snapshots: list[str] = Field(description="Names of the snapshots that are gone.")
    segments: int = Field(description="How many segments are gone.")
    stored_bytes: int
    in_use: list[str] = Field(description="What was left since another process reads it, and who.")
    locked: list[str] = Field(description="What the bucket does not let go (Object Lock).")
    versions: str | None = Field(
        default=None,
        description="Where a delete only adds a marker: what ends what is left; null: it is gone.",
    )


class PruneResult(_Document):
    """What a prune job results in."""

    schema_name: Literal["mdr.prune"] = Field(default="mdr.prune", alias="schema")
    dry_run: bool = Field(description="Whether it was only looked at.")
    snapshots: list[PrunedSnapshot] = Field(description="Every snapshot of the stores.")
    segments: list[PrunedSegments] = Field(description="All segments of the stores, brought together.")
    holds: list[HoldDocument] = Field(description="The holds that stand.")
    unread: list[str] = Field(description="What could not be asked; nothing goes for that.")
    removed: list[RemovedFromStore] = Field(description="A row a store; empty with `--dry-run`.")


class PruneDocument(PruneResult):
    """``mdr snapshots prune``. Exit code 5: something stays since another process reads it."""

    job: str | None = Field(default=None, description="The job's id; null with `--dry-run`.")


class LifecycleStore(_Document):
    """The lifecycle rules of one store's bucket, in words."""

    store: str
    where: str = Field(description="Bucket, prefix and endpoint.")
    versioned: bool = Field(description="Whether a delete leaves older versions behind.")
    rules: list[str] = Field(description="The rules that the bucket has.")
    wanted: list[str] = Field(description="The rules that it should have.")
    right: bool = Field(description="Whether the two are the same.")
    written: bool = Field(description="Whether rules were written just now.")
    problems: list[str] = Field(description="What is wrong with the rules that it has, and the fix.")


class LifecycleDocument(_Document):
    """``mdr store lifecycle``. Exit code 5 with `--apply`: a problem is left that a person must solve."""

    schema_name: Literal["mdr.lifecycle"] = Field(default="mdr.lifecycle", alias="schema")
    stores: list[LifecycleStore] = Field(description="A row a bucket.")


class CopyResult(_Document):
    """What a copy job results in."""

    schema_name: Literal["mdr.copy"] = Field(default="mdr.copy", alias="schema")
    snapshot: str
    source: str = Field(description="The store that it was read from; the target itself where it was there.")
    target: str = Field(description="The store that has it now.")
    copied_bytes: int = Field(description="0 where it was there already.")
    stored_bytes: int = Field(description="Size of the snapshot as stored.")
    seconds: float = Field(description="How long it took.")


class CopyDocument(CopyResult):
    """``mdr snapshots copy``."""

    job: str


# mdr find


class Scanned(_Document):
    """The range of oplog that was read, both ends included."""

    start: Position
    end: Position


class FindDocument(_Document):
    """``mdr find``, oldest first."""

    schema_name: Literal["mdr.find"] = Field(default="mdr.find", alias="schema")
    profile: str
    scanned: Scanned
    events: list[Event]


class ChangeDocument(_Document):
    """One operation that touched the document, or its collection."""

    position: Position
    time: datetime = Field(description="The position's second.")
    operation: str = Field(description="`i`, `u`, `d`, or the command's name, as in the oplog.")
    text: str = Field(description="The same in words.")
    transaction: bool = Field(description="Whether it was part of a transaction.")
    document: Any = Field(description="The entry's `o` as canonical Extended JSON.")


class HistoryDocument(_Document):
    """``mdr find --id``: the history of one document, oldest first."""

    schema_name: Literal["mdr.find.history"] = Field(default="mdr.find.history", alias="schema")
    namespace: str
    scanned: Scanned
    history: list[ChangeDocument]


# mdr restore: what its jobs result in


class RestoredNamespace(_Document):
    """One namespace of a restore."""

    source: str = Field(alias="from", description="Its name in the snapshot.")
    target: str = Field(alias="to", description="Its name in the deployment.")
    mode: Mode


class PlacedCollection(_Document):
    """One collection that was put in its place, and what it took the place of."""

    database: str
    name: str = Field(description="The collection's name without the database.")
    incoming: str | None = Field(description="UUID of the restored collection.")
    outgoing: str | None = Field(description="UUID of the one that had the name; null: there was none.")
    aside: str = Field(description="The name under which that one is kept.")
    staging: str | None = Field(default=None, description="The name it was restored under.")


class SetAside(_Document):
    """A collection that is kept until accept."""

    namespace: str = Field(description="The name it had.")
    kept_as: str = Field(description="The name it has until accept.")
    uuid: str | None = None
    expected: bool | None = Field(
        default=None, description="False: somebody made it during the cut-over; it was not in the plan."
    )


class Conflict(_Document):
    """A change after a skipped event that builds on it, and could not be applied as it was."""

    position: Position
    namespace: str
    text: str


class Logins(_Document):
    """What a restore did with users and roles."""

    users: list[str] = Field(description="Ids of the users that were added.")
    roles: list[str] = Field(description="Ids of the roles that were added.")
    kept: list[str] = Field(description="Ids of those that were there, and stay as they were.")


class Rejected(_Document):
    """Documents that the server did not take; they are in `rejected.jsonl` in the job's folder."""

    namespace: str = Field(description="Where they would have gone.")
    documents: int = Field(description="How many.")


class UnbuiltIndex(_Document):
    """An index that the server refused."""

    namespace: str = Field(description="The collection that is without it.")
    index: str = Field(description="Its name.")
    why: str = Field(description="What the server says.")


class MergedCollection(_Document):
    """What merge mode did in one collection."""

    namespace: str
    brought_back: int = Field(description="Documents that were not there, and are again.")
    replaced: int = Field(description="Documents that are again as they were before the event.")
    already: int = Field(description="Documents that were as before the event already.")
    conflicts: int = Field(description="Documents that were left alone.")
    made: bool = Field(description="Whether the collection was not there, and was made.")
    uuid: str = Field(description="The collection's UUID.")


class RestoreResult(_Document):
    """What a restore job results in."""

    schema_name: Literal["mdr.restore"] = Field(default="mdr.restore", alias="schema")
    snapshot: str = Field(description="The base.")
    store: str = Field(description="The store it was read from.")
    identity: Identity = Field(description="The deployment that was written to.")
    to_profile: str | None = Field(default=None, description="Its profile, where it is another one.")
    limit: PlanLimit
    skipped: list[str] = Field(description="Ids of the events that were left out.")
    namespaces: list[RestoredNamespace]
    safety_snapshot: str | None = Field(description="Taken before an in-place restore dropped anything.")
    attempts: int = Field(description="How often the job began.")
    placements: list[PlacedCollection] = Field(default=[], description="What was put in place.")
    position: Position | None = Field(default=None, description="The last entry of the cut-over.")
    way: str | None = Field(default=None, description="How writes were kept out during the cut-over.")
    last_applied: Position | None = Field(default=None, description="The last entry that was applied.")
    set_aside: list[SetAside] = []
    late_writes: int | None = Field(default=None, description="Writes during the cut-over, carried over.")
    late_conflicts: list[str] = Field(default=[], description="Those that could not be carried over.")
    applied: int = Field(description="Operations that the newest attempt's replay applied.")
    skipped_operations: int = Field(description="Operations of the skipped events.")
    conflicts: list[Conflict] = Field(description="At most 1000.")
    views: list[str] = Field(description="Views that were put in place.")
    time_series: list[str] = Field(default=[], description="Time series that were put in place.")
    logins: Logins | None = Field(default=None, description="Null: users and roles were not restored.")
    engine: str = Field(default="builtin", description="What restored.")
    tool_version: str | None = Field(default=None, description="Of mongorestore, where that restored.")
    rejected: list[Rejected] = Field(default=[], description="With any of these the job is `partial`.")
    unbuilt_indexes: list[UnbuiltIndex] = Field(default=[], description="With any of these, too.")
    conflict_count: int = Field(default=0, description="`conflicts` and `late_conflicts` together.")
    merged: list[MergedCollection] = Field(default=[], description="Merge mode: a row a collection.")
    conflicts_file: str | None = Field(
        default=None, description="Merge mode: the file in the job's folder that has all conflicts."
    )
    take_back: str | None = Field(default=None, description="The command that undoes it; null: none does.")
    settle: str | None = Field(default=None, description="The command that drops what is set aside.")


class UnmergedCollection(_Document):
    """What the undo of a merge did in one collection."""

    namespace: str
    removed: int = Field(description="Documents that the merge had brought back, and that are gone again.")
    put_back: int = Field(description="Documents that are again as they were before the merge.")
    already: int = Field(description="Documents that were so already.")
    changed: int = Field(description="Documents that were written since the merge, and stay.")
    refused: int = Field(description="Documents that the server does not take back.")
    not_possible: str | None = Field(description="Why nothing was taken back here; null: it was.")


class UndoResult(_Document):
    """What an undo results in."""

    schema_name: Literal["mdr.undo"] = Field(default="mdr.undo", alias="schema")
    undone: str = Field(description="The restore job that was taken back.")
    namespaces: list[str] = Field(description="Those that have their earlier collection again.")
    position: Position | None = Field(description="The last entry of the cut-over.")
    writes_since: int | None = Field(
        description="Operations on the restored collections since then; null: the oplog has rolled over."
    )
    set_aside: list[SetAside]
    merged: list[UnmergedCollection] = Field(default=[], description="Of a merge: a row a collection.")
    hint: str = Field(description="Where those writes are.")


class AcceptResult(_Document):
    """What an accept results in."""

    schema_name: Literal["mdr.accept"] = Field(default="mdr.accept", alias="schema")
    accepted: str = Field(description="The restore job that was settled.")
    dropped: list[str] = Field(description="Namespaces that were set aside and are gone now.")


# mdr jobs unlock


class RemovedLock(_Document):
    """The lock that was taken off."""

    job: str
    kind: str
    owner: str
    host: str = Field(description="Where the job ran.")
    step: str = Field(description="How far it was.")


class UnlockDocument(_Document):
    """``mdr jobs unlock``."""

    schema_name: Literal["mdr.unlock"] = Field(default="mdr.unlock", alias="schema")
    unlocked: bool = Field(description="Whether a lock was removed.")
    lock: RemovedLock | None = Field(description="Which; null: the deployment was not locked.")


# mdr sandbox


class SandboxDownDocument(_Document):
    """``mdr sandbox down``."""

    schema_name: Literal["mdr.sandbox-down"] = Field(default="mdr.sandbox-down", alias="schema")
    removed: bool = Field(description="Whether there was a practice deployment.")
