"""``--preserve-uuids``: which collections can have the UUIDs that they had, and which cannot.

A UUID belongs to one collection of a deployment. So it is free where nothing lives under it any more: the
collection was dropped, the deployment is another one, or the restore itself drops it first (in place). In a
swap the live collection keeps it until accept, and beside it for good. Views have none, and a time series is
made by the server under a new one, as the real mongorestore leaves it too.
"""

from __future__ import annotations

from collections.abc import Mapping

from mongo_dr_console.model.plan import Hazard, PlannedNamespace
from mongo_dr_console.mongo.client import Client
from mongo_dr_console.mongo.collections import list_collections, list_databases
from mongo_dr_console.workers.plan_sources import Look

_SHOWN = 5


def with_uuids(
    look: Look, client: Client, known: Mapping[str, str | None], planned: list[PlannedNamespace]
) -> list[PlannedNamespace]:
    """The plan's namespaces with the UUIDs that they get; what cannot be kept is told among the hazards.

    Args:
        known: Namespace in the snapshot to the UUID that it had at the limit.
    """
    dropped = {n.live_uuid for n in planned if n.kind == "collection" and n.mode == "in-place"}
    taken = {
        collection.uuid: f"{database}.{collection.name}"
        for database in list_databases(client)
        for collection in list_collections(client, database, indexes=False)
        if collection.uuid is not None and collection.uuid not in dropped
    }
    found: list[PlannedNamespace] = []
    held: list[str] = []
    for one in planned:
        uuid = known.get(one.source) if one.kind == "collection" else None
        if uuid in taken:
            holder = taken[uuid]
            held.append(one.target if holder == one.target else f"{one.target} (held by {holder})")
            uuid = None
        found.append(one.model_copy(update={"uuid": uuid}))
    _tell(look, found, held)
    return found


def _tell(look: Look, planned: list[PlannedNamespace], held: list[str]) -> None:
    def add(code: str, text: str) -> None:
        look.hazards.append(Hazard(severity="warning", code=code, text=text))

    if held:
        shown = ", ".join(held[:_SHOWN]) + (f" and {len(held) - _SHOWN} more" if len(held) > _SHOWN else "")
        add(
            "uuid-taken",
            f"a new UUID for {shown}: the live collection has the old one, and no two can; --mode in-place, "
            "which drops the live collection first, keeps it",
        )
    unknown = [n.target for n in planned if n.kind == "collection" and n.uuid is None]
    if len(unknown) > len(held):
        add("uuid-unknown", f"the snapshot does not say the UUIDs of {len(unknown) - len(held)} collections")
    series = [n.target for n in planned if n.kind == "timeseries"]
    if series:
        add("uuid-of-series", f"time series get new UUIDs: {', '.join(series[:_SHOWN])}")
