"""A plan of merge mode: what the chosen events hit, how much of it comes back, and where that is not
possible."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bson.raw_bson import RawBSONDocument
from pymongo.errors import PyMongoError

from mongo_dr_console.engines.builtin import merge_sessions
from mongo_dr_console.engines.builtin.indexes import is_ttl
from mongo_dr_console.engines.builtin.merge import is_capped
from mongo_dr_console.model import rawbson
from mongo_dr_console.model.entryhead import place_of
from mongo_dr_console.model.event import Event
from mongo_dr_console.model.merge import MOST_DOCUMENTS, MergeWatch
from mongo_dr_console.model.namespace import Namespace, known_as
from mongo_dr_console.model.oplogentry import TransactionAssembler, raw_entry
from mongo_dr_console.model.plan import Hazard, Intent, PlannedNamespace
from mongo_dr_console.model.timeline import Staged
from mongo_dr_console.model.trouble import Refused, WrongUse
from mongo_dr_console.mongo.client import Client, told
from mongo_dr_console.mongo.collections import ListedCollection, list_collections
from mongo_dr_console.mongo.oplog import raw_batches_untold
from mongo_dr_console.workers.plan_sources import Deployments, Look, history, source

_OLDEST = 6

COUNTED_ENTRIES = 300_000
"""Oplog entries after the event that are looked through for conflicts while planning (about three
seconds)."""


def check_intent(intent: Intent) -> None:
    """What merge mode has no meaning for.

    Raises:
        WrongUse: It is asked for.
    """
    if not intent.skip:
        raise WrongUse(
            "merge-without-event",
            "Merge mode brings back what events removed or changed, and no event is named.",
            "Name it: --skip ID (see mdr find)",
        )
    if intent.before or intent.through:
        raise WrongUse(
            "merge-with-limit",
            "Merge mode has no limit: each document comes back as it was right before the event.",
            "Leave --before and --through out.",
        )
    if intent.renames or intent.to_profile or intent.branch:
        raise WrongUse(
            "merge-elsewhere",
            "Merge mode writes into the collections that the event hit: elsewhere nothing tells what was "
            "written since.",
            "Leave --map, --to and --branch out; or restore beside: --mode beside",
        )
    if intent.users:
        raise WrongUse(
            "merge-with-users",
            "Merge mode restores no users and roles.",
            "Leave --users out, or --mode swap.",
        )
    if intent.preserve_uuids:
        raise WrongUse(
            "merge-with-uuids",
            "Merge mode writes into the collections that are there, which keep their UUIDs.",
            "Leave --preserve-uuids out.",
        )


def scope_of(skipped: list[Event]) -> list[str]:
    """Without ``--ns``: what the events hit. Of a rename over a collection that is the collection alone."""
    found: set[str] = set()
    for event in skipped:
        if event.kind == "drop-database":
            found.add(event.namespace.partition(".")[0])
        elif event.kind == "rename-over":
            found.add(event.namespace)
        else:
            named = [n.partition(".") for n in event.selector.namespaces if not n.endswith(".$cmd")]
            found |= {str(known_as(database, collection)) for database, _, collection in named}
    return sorted(found)


def watch_of(skipped: list[Event]) -> MergeWatch:
    return MergeWatch([event.selector for event in skipped])


def merge_namespaces(
    look: Look,
    deployments: Deployments,
    placed: dict[Namespace, Staged],
    views: dict[Namespace, RawBSONDocument],
    sizes: dict[Namespace, tuple[int | None, int | None]],
) -> list[PlannedNamespace]:
    """What is brought back into each namespace that the events hit; where that cannot be, a hazard says why.

    Raises:
        Refused: It can be nowhere, or the events are too large.
    """
    _check_version(deployments.target)
    watch, counted = _watched(look, deployments)
    live = _listed(deployments.target, {n.database for n in placed})
    planned = []
    without: list[str] = []
    for namespace, staged in placed.items():
        if not watch.hits(namespace):
            continue
        why = _impossible(staged, live.get(namespace))
        if watch.nothing_can(namespace):
            why = (
                f"was dropped or replaced at {watch.gone[namespace]}, after the event: name that event too, "
                "with one more --skip"
            )
        if why:
            without.append(f"{namespace} {why}")
            continue
        one = _planned(deployments.target, watch, namespace, live.get(namespace), counted=counted)
        # All of it is staged, however little comes back.
        planned.append(one.model_copy(update={"bytes": sizes.get(namespace, (0, 0))[1]}))
        _add_hazards(look, namespace, staged, live.get(namespace))
    planned += [_planned_view(n, live.get(n)) for n in views if _database_went(watch, n)]
    _tell(look, without, planned, counted=counted)
    return planned


def replaces(planned: list[PlannedNamespace]) -> list[str]:
    """Where something that is live is replaced, or a conflict is foreseen: what has to be confirmed."""
    return [n.target for n in planned if n.kind == "collection" and n.live_uuid and _wants_asking(n)]


def _wants_asking(planned: PlannedNamespace) -> bool:
    return planned.conflicts is None or planned.conflicts > 0 or planned.effect.startswith(_REPLACED)


_REPLACED = "REPLACED"


def steps() -> list[str]:
    return [
        "check identity and plan again; take the deployment's lock",
        "save and verify the oplog that is needed, and follow it",
        "load the snapshot's documents into staging collections",
        "replay the oplog; what the events hit stands still as it was right before",
        "look through the oplog up to now for what was written since",
        "make collections that are not there, with their indexes",
        "write the documents in transactions; what was written since is listed and left alone",
        "report",
    ]


def _watched(look: Look, deployments: Deployments) -> tuple[MergeWatch, bool]:
    """What the oplog says, and whether it was looked through to its end."""
    watch = watch_of(look.skipped)
    watch.settling |= _other_merges(deployments.target)
    end = max(event.last for event in look.skipped)
    assembler, after = TransactionAssembler(), 0
    try:
        for raw in _written(look, deployments):
            entry = raw_entry(raw)
            after += entry["ts"] > end.timestamp
            if after > COUNTED_ENTRIES:
                return watch, False
            for operation in assembler.feed(entry):
                watch.skips(operation)
    except PyMongoError as error:
        raise told(error) from None
    return watch, True


def _written(look: Look, deployments: Deployments) -> Iterator[bytes]:
    """Commands, and the writes to what the events hit, from the first of them on."""
    start = min(event.position for event in look.skipped)
    names = {name for event in look.skipped for name in event.selector.namespaces}
    if deployments.mixed:
        known, wanted = history(deployments), {name.encode() for name in names}
        for raw in (r for batch in known.read(start, known.latest or start) for r in rawbson.split(batch)):
            op, namespace, *_ = place_of(raw)
            if op == b"c" or namespace in wanted:
                yield raw
        return
    only: dict[str, Any] = {"$or": [{"op": "c"}, {"ns": {"$in": sorted(names)}}]}
    for batch in raw_batches_untold(source(deployments), start, None, only):
        yield from rawbson.split(batch)


def _check_version(client: Client) -> None:
    try:
        version = client.server_info()["version"]
    except PyMongoError as error:
        raise told(error) from None
    if int(version.partition(".")[0]) < _OLDEST:
        raise Refused(
            "merge-not-possible",
            f"Merge mode needs MongoDB {_OLDEST}.0 or later, and this is {version}: older ones are not told "
            "which collection is meant, however it is called by then. Nothing was changed.",
            "Restore with --mode swap or --mode beside, and --skip.",
        )


def _other_merges(client: Client) -> set[str]:
    try:
        return merge_sessions.known(client)
    except PyMongoError as error:
        raise told(error) from None


def _listed(client: Client, databases: set[str]) -> dict[Namespace, ListedCollection]:
    try:
        return {
            Namespace(database, c.name): c
            for database in sorted(databases)
            for c in list_collections(client, database)
        }
    except PyMongoError as error:
        raise told(error) from None


def _impossible(staged: Staged, live: ListedCollection | None) -> str:
    """Why nothing can be brought back here one by one; empty where it can."""
    if staged.series or (live is not None and live.kind == "timeseries"):
        return "is a time series, whose measurements have no identity to tell them by"
    if staged.options.get("capped") or (live is not None and is_capped(live.options)):
        return "is capped: what comes back would stand at its end and push out what is newer"
    if live is not None and live.kind != "collection":
        return f"is a {live.kind} now"
    return ""


def _planned(
    client: Client,
    watch: MergeWatch,
    namespace: Namespace,
    live: ListedCollection | None,
    *,
    counted: bool,
) -> PlannedNamespace:
    foreseen = watch.foreseen[namespace]
    exact = namespace not in watch.frozen
    conflicts = foreseen.since if counted else None
    documents = foreseen.documents
    if documents is not None and exact:
        documents = max(0, documents - (conflicts or 0))
    now = client[namespace.database][namespace.collection].estimated_document_count() if live else None
    return PlannedNamespace(
        source=str(namespace),
        target=str(namespace),
        mode="merge",
        documents=documents,
        bytes=None,
        effect=_effect(watch, namespace, live, now, conflicts, exact=exact),
        live_uuid=live.uuid if live is not None else None,
        live_documents=now,
        conflicts=conflicts,
    )


def _effect(
    watch: MergeWatch,
    namespace: Namespace,
    live: ListedCollection | None,
    now: int | None,
    conflicts: int | None,
    *,
    exact: bool,
) -> str:
    if live is None:
        return "made again with its options and indexes, and filled"
    changed = watch.frozen.get(namespace, False) or (exact and any(watch.touched.values()))
    if changed:
        what = f"{_REPLACED} by their state before the event, in the live one ({now} documents)"
    else:
        what = f"put back into the live one ({now} documents), nothing there is replaced"
    if conflicts is None:
        return f"{what}; conflicts were not counted"
    most = "" if exact else "at most "
    return f"{what}; {most}{conflicts:,} written since stay as they are (conflicts)"


def _planned_view(namespace: Namespace, live: ListedCollection | None) -> PlannedNamespace:
    return PlannedNamespace(
        source=str(namespace),
        target=str(namespace),
        kind="view",
        mode="merge",
        documents=None,
        bytes=None,
        effect="made again" if live is None else "stays as it is: the name is in use",
    )


def _database_went(watch: MergeWatch, view: Namespace) -> bool:
    return Namespace(view.database, "system.views") in watch.frozen


def _add_hazards(look: Look, namespace: Namespace, staged: Staged, live: ListedCollection | None) -> None:
    def add(severity: Any, code: str, text: str) -> None:
        look.hazards.append(Hazard(severity=severity, code=code, text=text))

    if any(is_ttl(spec) for spec in staged.indexes.values()):
        add(
            "warning",
            "ttl",
            f"{namespace} has a TTL index: what is older than it allows is removed again by the server",
        )
    if live is None:
        return
    there = {str(RawBSONDocument(i, rawbson.RAW)["name"]) for i in live.indexes}
    missing = sorted(set(staged.indexes) - there)
    if missing:
        shown = ", ".join(missing[:5]) + (" …" if len(missing) > 5 else "")
        add(
            "warning",
            "indexes-missing",
            f"{namespace} is there again without {len(missing)} of the indexes it had ({shown}); merge mode "
            "builds none on a collection that is live",
        )


def _tell(look: Look, without: list[str], planned: list[PlannedNamespace], *, counted: bool) -> None:
    hint = "Restore it whole instead, later writes kept: --mode swap, or --mode beside, with --skip and --ns."
    if not any(n.kind == "collection" for n in planned):
        why = "; ".join(without) or "the events hit nothing in that scope"
        raise Refused(
            "merge-not-possible", f"Nothing can be brought back one by one: {why}. Nothing was changed.", hint
        )
    if sum(n.documents or 0 for n in planned) > MOST_DOCUMENTS and not all(
        n.live_uuid is None for n in planned
    ):
        raise Refused(
            "merge-too-large",
            f"The events hit more than {MOST_DOCUMENTS:,} documents. Nothing was changed.",
            hint,
        )
    for text in without:
        look.hazards.append(Hazard(severity="danger", code="not-merged", text=f"{text}: left out. {hint}"))
    conflicts = sum(n.conflicts or 0 for n in planned)
    if conflicts or not counted:
        some = f"up to {conflicts:,} documents were" if counted else "an unknown number of documents was"
        text = f"{some} written since the event: they are conflicts, listed and left as they are now"
        look.hazards.append(Hazard(severity="warning", code="merge-conflicts", text=text))
