"""Users and roles: added to those that are there, as mongorestore does it. None that is there is changed or
removed, least of all the login in use.

They are restored and replayed in staging collections like everything else. The server itself merges them
(``_mergeAuthzCollections``), from two collections that the role ``restore`` may write for just that.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from bson.raw_bson import RawBSONDocument

from mongo_dr_console.model import rawbson
from mongo_dr_console.model.namespace import ROLES, USERS, Namespace
from mongo_dr_console.model.timeline import Staged
from mongo_dr_console.mongo.client import Client

_TEMPORARY = {USERS: "tempusers", ROLES: "temproles"}
_OPTION = {USERS: "tempUsersCollection", ROLES: "tempRolesCollection"}


def merge(client: Client, staged: dict[Namespace, Staged], databases: Collection[str] = ()) -> dict[str, Any]:
    """Adds them; returns ``{"users": [ids], "roles": [ids], "kept": [ids that were there and stay]}``.

    Args:
        staged: The staging collections of ``admin.system.users`` and ``admin.system.roles``.
        databases: Those whose users and roles are added; none: all.
    """
    command: dict[str, Any] = {"_mergeAuthzCollections": 1, "db": "", "drop": False}
    added: dict[Namespace, list[str]] = {USERS: [], ROLES: []}
    kept: list[str] = []
    for home in (USERS, ROLES):
        if home not in staged:
            continue
        there = {str(d["_id"]) for d in client.admin[home.collection].find({}, {"_id": 1})}
        documents = [d for d in _documents(client, staged[home]) if not databases or d["db"] in databases]
        wanted = [d for d in documents if str(d["_id"]) not in there]
        kept += [str(d["_id"]) for d in documents if str(d["_id"]) in there]
        temporary = client.admin.get_collection(_TEMPORARY[home])
        temporary.drop()
        if wanted:
            temporary.insert_many(wanted)
            command[_OPTION[home]] = f"admin.{_TEMPORARY[home]}"
            added[home] = sorted(str(d["_id"]) for d in wanted)
    try:
        if any(added.values()):
            client.admin.command({**command, "writeConcern": {"w": "majority"}})
    finally:
        for home in added:
            client.admin.drop_collection(_TEMPORARY[home])
    return {"users": added[USERS], "roles": added[ROLES], "kept": sorted(kept)}


def _documents(client: Client, staged: Staged) -> list[RawBSONDocument]:
    collection: Any = client.get_database(staged.database).get_collection(
        staged.name, codec_options=rawbson.RAW
    )
    return list(collection.find())
