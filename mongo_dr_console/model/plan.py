"""The plan: exactly what a restore will do, before it does it. Pure: built from facts, hashed, shown."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from mongo_dr_console.model.event import Event
from mongo_dr_console.model.identity import Identity
from mongo_dr_console.model.namespace import Patterns
from mongo_dr_console.model.planlimit import PlanLimit
from mongo_dr_console.model.position import Position

Mode = Literal["swap", "in-place", "beside", "merge"]
Severity = Literal["info", "warning", "danger"]
NamespaceKind = Literal["collection", "view", "timeseries"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class BaseSnapshot(_Part):
    """The snapshot a restore starts from.

    Args:
        checksum: SHA-256 of its list of file checksums.
        end: The state it holds; replay goes on after it.
        end_term: Election term of the entry at ``end``.
        end_hash: SHA-256 of the raw entry at ``end``.
        origin: ``mongo-dr-console``, or ``mongodump`` for a plain dump.
    """

    name: str
    store: str
    checksum: str
    start: Position
    end: Position
    end_term: int
    end_hash: str
    documents: int
    bytes: int
    origin: str = "mongo-dr-console"


class PlannedNamespace(_Part):
    """One namespace; the UUIDs are part of the hash.

    Args:
        source: Its name in the snapshot.
        target: Its name in the deployment.
        documents: An estimate.
        bytes: An estimate.
        effect: For people: what happens to the target.
        live_uuid: Of the collection that has the target's name now, None if there is none.
        uuid: That the restored collection gets, as the original one had it; None: a new one.
        live_documents: How many documents that one has.
        conflicts: Merge mode: documents that were written since, at most; None where they were not counted.
    """

    source: str = Field(serialization_alias="from", validation_alias="from")
    target: str = Field(serialization_alias="to", validation_alias="to")
    kind: NamespaceKind = "collection"
    mode: Mode
    documents: int | None
    bytes: int | None
    effect: str
    live_uuid: str | None = None
    live_documents: int | None = None
    uuid: str | None = None
    conflicts: int | None = None

    model_config = ConfigDict(frozen=True, populate_by_name=True)


class Hazard(_Part):
    """Something to know before confirming.

    Args:
        severity: How bad it is.
    """

    severity: Severity
    code: str
    text: str


class Neighbour(_Part):
    """An operation next to the limit, in words."""

    position: Position
    text: str


class Intent(_Part):
    """What a person asked for. Stored in the plan, so that it can be made anew and compared.

    Args:
        before, through: The limit as it was given.
        skip: Events to leave out.
        namespaces: Patterns that were asked for; none: all.
        renames: ``FROM=TO``, as given.
        to_profile: The profile of the deployment to restore into, None for the same.
        users: Whether users and roles are restored too; None: only where everything is restored into a
            deployment that is empty.
        engine: What restores; None: what the profile says.
        exclude: Patterns of what is left as it is, before all others.
        users_of: The databases whose users and roles are restored; none: of all.
        preserve_uuids: Collections get the UUIDs that they had, where that is possible.
        stop_on_error: The first document or index that the server refuses ends the restore.
        keep_order: Documents are loaded one after another, in the order of the snapshot.
        branch: Another history to restore, by its name in coverage; None: the deployment's own.
    """

    snapshot: str | None = None
    store: str | None = None
    before: str | None = None
    through: str | None = None
    skip: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()
    renames: tuple[str, ...] = ()
    to_profile: str | None = None
    mode: Mode = "swap"
    users: bool | None = None
    engine: Literal["builtin", "mongo_tools"] | None = None
    exclude: tuple[str, ...] = ()
    users_of: tuple[str, ...] = ()
    preserve_uuids: bool = False
    stop_on_error: bool = False
    keep_order: bool = False
    branch: str | None = None


class Plan(_Part):
    """JSON as in DESIGN.md section 4. Nothing in it is secret: it names a profile, never a URI.

    Args:
        id: Tells plans apart, 8 hex digits.
        hash: Covers what must not change between planning and doing, not counts or estimates.
        confirm: What must be typed; empty where nothing is destroyed.
        identity: The deployment that will be written to.
        source_identity: The deployment that the snapshot is of.
        last_applied: The last operation before the limit.
        first_not_applied: The first one that is left out, None if none is known.
        skipped: Events whose operations are left out.
        scope: Namespaces and databases that were asked for; empty: all.
        tracked: Other namespaces whose operations must be followed, since they are renamed into the
            scope.
        kept: Live collections that the restore does not have and does not touch.
        users: Whether users and roles are restored too.
        operations: Oplog entries to go through.
        later_writes: Writes after the limit that the result will not have; None: the deployment that they
            were made to does not answer.
        lost_seconds: How far back the result goes.
        estimate_seconds: How long it will take, about.
        estimate_basis: What that was reckoned from.
        steps: What will be done, in order.
        command: What does the same by hand.
    """

    schema_name: Literal["mdr.plan"] = Field(
        default="mdr.plan", serialization_alias="schema", validation_alias="schema"
    )
    id: str
    hash: str
    confirm: str
    profile: str
    identity: Identity
    source_identity: Identity
    snapshot: BaseSnapshot
    limit: PlanLimit
    last_applied: Neighbour | None
    first_not_applied: Neighbour | None
    skipped: list[Event]
    namespaces: list[PlannedNamespace]
    scope: list[str]
    tracked: list[str]
    kept: list[str]
    users: bool = False
    operations: int
    later_writes: int | None
    lost_seconds: float | None
    estimate_seconds: float | None
    estimate_basis: str = ""
    hazards: list[Hazard]
    steps: list[str]
    command: str
    intent: Intent

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    @property
    def patterns(self) -> Patterns:
        """What is chosen: the scope without what is excluded."""
        return Patterns(tuple(self.scope), self.intent.exclude)

    @property
    def destroys(self) -> bool:
        """Whether anything that is live now is replaced or dropped; only then a confirmation is typed."""
        return self.confirm != ""

    def to_json(self) -> dict[str, Any]:
        return self.model_dump(mode="json", by_alias=True)


_RARE = {"exclude", "users_of", "preserve_uuids", "stop_on_error", "keep_order"}


def plan_hash(
    *,
    identity: Identity,
    base: BaseSnapshot,
    limit: PlanLimit,
    skipped: list[str],
    namespaces: list[PlannedNamespace],
    intent: Intent,
    users: bool = False,
) -> str:
    """SHA-256 over what must not change between reading and doing: identity, the base's checksums, limit,
    skipped events, namespaces with UUIDs, modes and options; not counts or estimates."""
    facts: dict[str, Any] = {
        "identity": identity.model_dump(mode="json"),
        # In whichever store: copies with one checksum are one base.
        "base": [base.name, base.checksum],
        "limit": limit.model_dump(mode="json"),
        "skipped": sorted(skipped),
        "namespaces": sorted([n.source, n.target, n.mode, n.kind, n.live_uuid or ""] for n in namespaces),
        "options": intent.model_dump(mode="json", include={"to_profile", "mode", "renames"}),
    }
    # Those that were not asked for are left out, so that a plan without them keeps its hash.
    rare = intent.model_dump(mode="json", include=_RARE, exclude_defaults=True)
    if rare:
        facts["rare"] = rare
        facts["uuids"] = sorted([n.target, n.uuid] for n in namespaces if n.uuid)
    if intent.engine not in (None, "builtin"):
        facts["engine"] = intent.engine
    if intent.branch is not None:
        facts["branch"] = intent.branch
    if users:
        facts["users"] = True
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


_TYPABLE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


def confirmation(identity: Identity, targets: list[str], whole: bool) -> str:
    """``<environment>/<set>/<scope>``: what a person types; empty where nothing is destroyed.

    The scope is ``all``, a database, a namespace, or ``N-collections-<4 hex>`` for several and for names
    that cannot be typed.

    >>> who = Identity(environment="prod", set_name="rs0", replica_set_id="00")
    >>> confirmation(who, ["shop.orders"], whole=False)
    'prod/rs0/shop.orders'
    """
    if not targets:
        return ""
    prefix = f"{identity.environment}/{identity.set_name}/"
    if whole:
        return prefix + "all"
    if len(targets) == 1 and set(targets[0]) <= _TYPABLE:
        return prefix + targets[0]
    digest = hashlib.sha256("\n".join(sorted(targets)).encode()).hexdigest()[:4]
    return f"{prefix}{len(targets)}-collections-{digest}"
