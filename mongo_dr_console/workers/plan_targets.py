"""What a restore does to each namespace of the deployment that is written to, and what to beware of."""

from __future__ import annotations

from typing import Any

from bson.raw_bson import RawBSONDocument
from pymongo.errors import PyMongoError

from mongo_dr_console.engines.builtin.snapshot import StoredSnapshot
from mongo_dr_console.engines.builtin.views import live_definition, normal_definition
from mongo_dr_console.model.namespace import (
    BUCKETS,
    Namespace,
    Patterns,
    Renames,
    can_be_made,
    is_restorable,
    is_staging,
    is_system_database,
)
from mongo_dr_console.model.plan import Hazard, Intent, PlannedNamespace, Severity
from mongo_dr_console.model.position import Limit
from mongo_dr_console.model.trouble import Refused, WrongUse
from mongo_dr_console.mongo.client import Client, told
from mongo_dr_console.mongo.collections import list_collections, list_databases
from mongo_dr_console.workers.plan_range import Counts
from mongo_dr_console.workers.plan_sources import Deployments, Look
from mongo_dr_console.workers.plan_uuids import with_uuids


def _target_of(intent: Intent, source: Namespace, limit: Limit, same: bool) -> Namespace:
    try:
        renamed = Renames.parse(intent.renames).apply(source)
    except ValueError as error:
        raise WrongUse("map-wrong", f"--map makes of {source} what is {error}.", "Correct --map.") from None
    if intent.mode == "beside" and renamed == source and same:
        stamp = limit.position.time.strftime("%Y%m%d_%H%M%S")
        return Namespace(source.database, f"{source.collection}_{stamp}")
    return renamed


def planned_namespaces(
    look: Look,
    deployments: Deployments,
    snapshot: StoredSnapshot,
    placed: dict[Namespace, Any],
    views: dict[Namespace, RawBSONDocument],
    counts: Counts,
    limit: Limit,
) -> list[PlannedNamespace]:
    sizes = snapshot.sizes()
    live = _Live(deployments.target)
    planned = []
    for source, staged in placed.items():
        target = _target_of(look.intent, source, limit, deployments.same)
        documents, size = sizes.get(source, (0, 0))
        logged = f"{source.database}.{BUCKETS}{source.collection}" if staged.series else str(source)
        if documents is not None:
            documents = max(0, documents + counts.gained(logged) + _not_deleted(look, source))
        make = _planned_series if staged.series else _planned
        planned.append(make(look.intent, live, source, target, documents, size))
    planned += [_planned_view(look.intent, live, n, v, limit, deployments) for n, v in sorted(views.items())]
    _check_targets(planned)
    _check_renames(look.intent, [*placed, *views])
    if look.intent.preserve_uuids:
        planned = with_uuids(look, deployments.target, {str(n): s.uuid for n, s in placed.items()}, planned)
    return planned


def _not_deleted(look: Look, namespace: Namespace) -> int:
    """Documents that stay because the mass delete of them is left out."""
    deletes = (e for e in look.skipped if e.kind == "mass-delete" and e.namespace == str(namespace))
    return sum(event.operations for event in deletes)


class _Live:
    """The live collections of the deployment that is written to, listed once per database."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self._listed: dict[str, dict[str, Any]] = {}

    def of(self, namespace: Namespace) -> Any:
        if namespace.database not in self._listed:
            found = list_collections(self.client, namespace.database, indexes=False)
            self._listed[namespace.database] = {c.name: c for c in found}
        return self._listed[namespace.database].get(namespace.collection)

    def documents(self, namespace: Namespace) -> int:
        return self.client[namespace.database][namespace.collection].estimated_document_count()


def _planned(
    intent: Intent,
    live: _Live,
    source: Namespace,
    target: Namespace,
    documents: int | None,
    size: int | None,
) -> PlannedNamespace:
    there = live.of(target)
    if there is not None:
        if there.kind != "collection":
            raise Refused(
                "target-not-a-collection",
                f"{target} is a {there.kind} now, so no collection can be put there. Nothing was changed.",
                "Remove it, or restore beside it: --mode beside",
            )
        _may_replace(intent, target)
    now = live.documents(target) if there is not None else None
    if there is None:
        effect = "created"
    elif intent.mode == "in-place":
        effect = f"DROPPED ({now} documents), then restored; a safety snapshot is taken first"
    else:
        effect = f"replaced; the live one ({now} documents) is kept aside until accept"
    return PlannedNamespace(
        source=str(source),
        target=str(target),
        mode=intent.mode,
        documents=documents,
        bytes=size,
        effect=effect,
        live_uuid=there.uuid if there is not None else None,
        live_documents=now,
    )


def _may_replace(intent: Intent, target: Namespace) -> None:
    if intent.mode == "beside":
        raise Refused(
            "target-exists",
            f"{target} is there already, and beside replaces nothing. Nothing was changed.",
            "Give another name: --map FROM=TO",
        )


def _planned_series(
    intent: Intent,
    live: _Live,
    source: Namespace,
    target: Namespace,
    documents: int | None,
    size: int | None,
) -> PlannedNamespace:
    """A time series: the server can give it no other name, so that where one is live there is no swap.
    Documents are counted in buckets."""
    there = live.of(target)
    if there is not None:
        if there.kind != "timeseries":
            raise Refused(
                "target-not-a-time-series",
                f"{target} is a {there.kind} now, so no time series can be put there. Nothing was changed.",
                "Remove it, or restore beside it: --mode beside",
            )
        _may_replace(intent, target)
    buckets = live.of(Namespace(target.database, BUCKETS + target.collection))
    now = live.documents(Namespace(target.database, buckets.name)) if buckets is not None else None
    effect = "time series, created"
    if there is not None:
        effect = (
            f"time series, DROPPED ({now} buckets) and restored in place: a time series cannot be renamed"
        )
        effect += "; a safety snapshot is taken first"
    return PlannedNamespace(
        source=str(source),
        target=str(target),
        kind="timeseries",
        mode="in-place" if there is not None else intent.mode,
        documents=documents,
        bytes=size,
        effect=effect,
        live_uuid=buckets.uuid if buckets is not None else None,
        live_documents=now,
    )


def _planned_view(
    intent: Intent,
    live: _Live,
    source: Namespace,
    definition: RawBSONDocument,
    limit: Limit,
    deployments: Deployments,
) -> PlannedNamespace:
    target = _target_of(intent, source, limit, deployments.same)
    there = live.of(target)
    if there is not None and there.kind != "view":
        raise Refused(
            "target-not-a-view",
            f"{target} is a {there.kind} now, so the view cannot be put there. Nothing was changed.",
            "Leave the view out with --ns, or restore beside: --mode beside",
        )
    effect = "created"
    if there is not None:
        now = live_definition(live.client, target)
        same = now is not None and now.raw == normal_definition(definition).raw
        effect = "as it is" if same else "its definition is replaced"
    return PlannedNamespace(
        source=str(source),
        target=str(target),
        kind="view",
        mode=intent.mode,
        documents=None,
        bytes=None,
        effect=effect,
    )


def _check_renames(intent: Intent, found: list[Namespace]) -> None:
    missing = Renames.parse(intent.renames).unmatched(found)
    if missing:
        raise WrongUse(
            "map-unmatched",
            f"Nothing that is restored is called {', '.join(missing)}, so --map would leave the live "
            "collections to be replaced.",
            "Correct --map, or leave it out. See what the snapshot holds: mdr snapshots show",
        )


def _check_targets(planned: list[PlannedNamespace]) -> None:
    seen: set[str] = set()
    for one in planned:
        if one.target in seen:
            raise WrongUse("target-twice", f"Two namespaces would become {one.target}.", "Correct --map.")
        seen.add(one.target)
        longest = one.target if one.kind != "timeseries" else one.target + BUCKETS
        if one.target != one.source and not can_be_made(Namespace.parse(one.target)):
            raise WrongUse(
                "target-forbidden",
                f"No collection can be restored as {one.target}: it is the server's, the tool's own, or no "
                "name that the server takes.",
                "Correct --map.",
            )
        if len(longest.encode()) > 255:
            raise WrongUse("target-too-long", f"{one.target} is longer than 255 bytes.", "Give --map.")


def kept_collections(
    deployments: Deployments, patterns: Patterns, planned: list[PlannedNamespace]
) -> list[str]:
    """Live collections in the scope that the restore does not have: they stay as they are."""
    targets = {n.target for n in planned}
    live = _Live(deployments.target)
    kept = []
    for database in sorted({n.target.partition(".")[0] for n in planned}):
        live.of(Namespace(database, "-"))
        for collection in live._listed[database].values():
            namespace = Namespace(database, collection.name)
            ours = is_staging(collection.name)
            if patterns.match(namespace) and str(namespace) not in targets and not ours:
                kept.append(str(namespace))
    return kept


def restores_users(
    intent: Intent, patterns: Patterns, deployments: Deployments, snapshot: StoredSnapshot
) -> bool:
    """Whether users and roles are restored: as asked, else only with everything into an empty deployment."""
    if intent.users is not None or patterns != Patterns() or not snapshot.has_logins():
        return bool(intent.users) and snapshot.has_logins()
    client = deployments.target
    try:
        databases = [d for d in list_databases(client) if not is_system_database(d)]
        return not any(
            is_restorable(Namespace(database, collection.name))
            for database in databases
            for collection in list_collections(client, database, indexes=False)
        )
    except PyMongoError as error:
        raise told(error) from None


def add_hazards(
    look: Look,
    deployments: Deployments,
    snapshot: StoredSnapshot,
    patterns: Patterns,
    planned: list[PlannedNamespace],
    later: Counts,
    follow: bool,
    users: bool,
) -> None:
    def add(severity: Any, code: str, text: str) -> None:
        look.hazards.append(Hazard(severity=severity, code=code, text=text))

    if look.intent.mode == "swap":
        for one in planned:
            if one.kind == "timeseries" and one.live_uuid:
                text = (
                    f"{one.target} is a time series, which the server cannot rename: it is dropped and "
                    "restored in place instead of swapped; the safety snapshot, not undo, brings it back"
                )
                add("danger", "time-series", text)
    if any(n.mode == "in-place" and n.live_uuid for n in planned if n.kind != "timeseries"):
        add(
            "danger",
            "in-place",
            "the live collections are dropped before they are restored; there is no undo",
        )
    live = [n.target for n in planned if n.live_uuid]
    live += [
        n.target.replace(".", f".{BUCKETS}", 1) for n in planned if n.live_uuid and n.kind == "timeseries"
    ]
    writes = later.within(live)
    if writes and not follow and look.intent.mode in ("swap", "in-place"):
        add(
            "warning",
            "later-writes",
            f"{writes} writes made after the limit will not be in the restored "
            "collections; leave the event out with --skip to keep later writes",
        )
    if look.by_event and not look.intent.namespaces:
        add(
            "warning",
            "wide-scope",
            "every collection goes back, not only what the event hit; --ns narrows it",
        )
    if users:
        of = f" of {', '.join(look.intent.users_of)}" if look.intent.users_of else ""
        add("info", "users", f"users and roles{of} are added; those that are there stay as they are")
    elif look.intent.users:
        add("warning", "users", "the snapshot holds no users and roles, so none are restored")
    elif not patterns.include:
        add("info", "users", "users and roles are not restored; --users adds those that are missing")
    _add_option_hazards(look, planned)
    _add_space_hazard(look, deployments, planned)


def _add_option_hazards(look: Look, planned: list[PlannedNamespace]) -> None:
    if look.intent.keep_order:
        text = "documents are loaded by one thread, in the order of the snapshot, which takes longer"
        look.hazards.append(Hazard(severity="info", code="keep-order", text=text))
    if look.intent.stop_on_error:
        dropped = any(n.mode == "in-place" and n.live_uuid for n in planned)
        text = "the first document or index that is refused ends the restore"
        if dropped:
            text += "; what is dropped in place is then in the safety snapshot alone"
        severity: Severity = "warning" if dropped else "info"
        look.hazards.append(Hazard(severity=severity, code="stop-on-error", text=text))


def _add_space_hazard(look: Look, deployments: Deployments, planned: list[PlannedNamespace]) -> None:
    needed = sum(n.bytes or 0 for n in planned)
    try:
        stats = deployments.target.admin.command("dbStats")
        free = int(stats["fsTotalSize"]) - int(stats["fsUsedSize"])
    except (PyMongoError, KeyError, ValueError):
        return
    if needed > free:
        text = f"the restored collections need up to {needed:,} bytes beside the live ones; {free:,} are free"
        look.hazards.append(Hazard(severity="danger", code="space", text=text))
