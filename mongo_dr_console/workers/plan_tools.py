"""A restore plan for the engine mongo_tools: what it cannot do is refused, what it does is said."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from mongo_dr_console.config import Profile
from mongo_dr_console.engines.builtin.snapshot import StoredSnapshot
from mongo_dr_console.engines.mongo_tools.abilities import ENGINE, refuse_restore
from mongo_dr_console.engines.mongo_tools.dump_folder import compression_of, wanted_namespaces
from mongo_dr_console.engines.mongo_tools.tools import find_tool
from mongo_dr_console.model.namespace import Namespace, is_restorable
from mongo_dr_console.model.oplogentry import Operation
from mongo_dr_console.model.plan import Hazard, Intent, PlannedNamespace
from mongo_dr_console.model.trouble import Refused
from mongo_dr_console.mongo.client import Client
from mongo_dr_console.mongo.collections import list_collections
from mongo_dr_console.workers.plan_sources import Deployments, Look

__all__ = ["ENGINE", "check", "settled", "steps"]


def settled(intent: Intent, profile: Profile) -> Intent:
    """The intent with its engine: the one that was asked for, else the profile's.

    Raises:
        Refused: The profile names an engine that restores nothing yet.
    """
    engine = intent.engine or profile.engine
    if engine == "pbm":
        raise Refused(
            "engine-unsupported",
            "The profile names the engine 'pbm', which this version does not have. Nothing was changed.",
            "Say another for this restore: --engine builtin",
        )
    changes: dict[str, Any] = {"engine": engine}
    if engine == ENGINE and intent.users is None:
        changes["users"] = False
    return intent.model_copy(update=changes)


def check(
    look: Look,
    snapshot: StoredSnapshot,
    changes: Iterable[Operation],
    planned: list[PlannedNamespace],
    deployments: Deployments,
) -> None:
    """Refuses what mongorestore cannot do, or would do to collections that are not in the plan.

    Raises:
        Refused: ``engine-cannot``, with the engine that can.
        Failed: mongorestore is not there.
    """
    intent, changes, manifest = look.intent, list(changes), snapshot.reader.manifest
    refuse_restore(
        intent,
        compression=compression_of(snapshot.reader),
        part=manifest.scope if manifest is not None else None,
        changes=changes,
    )
    find_tool("mongorestore", deployments.target_profile.mongo_tools.path)
    touched = {*wanted_namespaces(snapshot.reader), *_named_in(changes)}
    emptied = {c.database for c in changes if c.command == "dropDatabase"}
    _refuse_bystanders(deployments.target, touched, emptied, {n.target for n in planned})
    if any(hazard.code == "users" for hazard in look.hazards):
        text = "users and roles are not restored; the builtin engine restores them with --users"
        look.hazards[:] = [h for h in look.hazards if h.code != "users"]
        look.hazards.append(Hazard(severity="info", code="users", text=text))
    text = "mongorestore sends one operation at a time: replay takes about a second for every 800 operations"
    look.hazards.append(Hazard(severity="info", code="slow-replay", text=text))


def steps(planned: list[PlannedNamespace]) -> list[str]:
    """What will be done, in order."""
    found = [
        "check identity and plan again; take the deployment's lock",
        "save and verify the oplog that is needed",
        "read the base through: every byte as it was written",
    ]
    if any(n.live_uuid for n in planned):
        found += ["take a safety snapshot", "drop the live collections"]
    return [
        *found,
        "run mongorestore: documents, replay up to the limit, indexes",
        "compare what it says with what the snapshot holds",
        "report",
    ]


def _named_in(changes: Iterable[Operation]) -> Iterator[Namespace]:
    for change in changes:
        named = change.document[change.command] if change.command else None
        if isinstance(named, str) and named:
            yield Namespace(change.database, named)


def _refuse_bystanders(client: Client, touched: set[Namespace], emptied: set[str], planned: set[str]) -> None:
    """mongorestore would fill, or drop again, what was made under an old name after the limit."""
    found = []
    for database in sorted({n.database for n in touched} | emptied):
        for live in list_collections(client, database, indexes=False):
            namespace = Namespace(database, live.name)
            if str(namespace) in planned or not is_restorable(namespace):
                continue
            if namespace in touched or database in emptied:
                found.append(str(namespace))
    if found:
        raise Refused(
            "engine-cannot",
            f"The engine mongo_tools cannot do this: {', '.join(found[:5])} is live now and not part of the "
            "state that is restored, but had that name before the limit, so replay would write into it or "
            "drop it. Nothing was changed.",
            "The builtin engine can: --engine builtin",
        )
