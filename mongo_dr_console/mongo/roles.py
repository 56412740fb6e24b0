"""Which privileges each level of access needs, what a user has, and the commands that make such users.

What a restore needs is server-rules 15 to 17, measured on 6.0.5.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pymongo.errors import PyMongoError

from mongo_dr_console.config import ACCESS_ORDER, Access
from mongo_dr_console.model.namespace import OWN_DATABASE
from mongo_dr_console.mongo.client import Client, told

Privilege = Mapping[str, Any]
"""As ``connectionStatus`` gives it: ``resource`` and ``actions``."""


@dataclass(frozen=True, slots=True)
class Need:
    """One action that a level of access needs.

    Args:
        access: The lowest level that needs it.
        action: The server's name of the action.
        role: The built-in role that brings it.
        database, collection: On what; empty means any ordinary one; None (both): on the cluster.
    """

    access: Access
    action: str
    role: str
    database: str | None = None
    collection: str | None = None


def _cluster(access: Access, role: str, *actions: str) -> tuple[Need, ...]:
    return tuple(Need(access, action, role) for action in actions)


def _on(access: Access, role: str, database: str, collection: str, *actions: str) -> tuple[Need, ...]:
    return tuple(Need(access, action, role, database, collection) for action in actions)


NEEDS: tuple[Need, ...] = (
    *_cluster("watch", "clusterMonitor", "replSetGetStatus", "replSetGetConfig", "serverStatus"),
    *_on("watch", "clusterMonitor", "local", "oplog.rs", "find", "collStats"),
    *_cluster("operate", "backup", "listDatabases"),
    *_on("operate", "backup", "", "", "find", "listCollections", "listIndexes"),
    *_on("operate", "backup", "admin", "system.users", "find"),
    *_on("operate", "backup", "config", "transactions", "find"),
    *_cluster("restore", "restore", "applyOps", "useUUID", "forceUUID"),
    *_cluster("restore", "restore", "setUserWriteBlockMode", "bypassWriteBlockingMode"),
    *_on("restore", "restore", "", "", "createCollection", "createIndex", "collMod", "dropCollection"),
    *_on("restore", "readWriteAnyDatabase", "", "", "insert", "update", "remove", "renameCollectionSameDB"),
    *_on("restore", "dbAdminAnyDatabase", "", "", "dropDatabase"),
)

OWN_ROLE = f'{{ role: "readWrite", db: "{OWN_DATABASE}" }}'
AGENT_NEEDS = _on("operate", OWN_ROLE, OWN_DATABASE, "", "find", "insert", "update", "remove")
"""What an agent measures and proves by, and no backup needs."""

ROLES: dict[Access, tuple[str, ...]] = {
    "watch": ("clusterMonitor",),
    "operate": ("backup", "clusterMonitor"),
    "restore": ("backup", "restore", "readWriteAnyDatabase", "dbAdminAnyDatabase", "clusterMonitor"),
}


@dataclass(frozen=True, slots=True)
class Granted:
    """Who is logged in and what he may; ``users`` is empty where the server has no authentication."""

    users: tuple[str, ...]
    roles: tuple[str, ...]
    privileges: tuple[Privilege, ...]


def read_granted(client: Client) -> Granted:
    """Raises what the driver says, as trouble."""
    try:
        status = client.admin.command({"connectionStatus": 1, "showPrivileges": True})["authInfo"]
    except PyMongoError as error:
        raise told(error) from None
    return Granted(
        tuple(f"{u['user']}@{u['db']}" for u in status["authenticatedUsers"]),
        tuple(f"{r['role']}@{r['db']}" for r in status["authenticatedUserRoles"]),
        tuple(status.get("authenticatedUserPrivileges", ())),
    )


def missing(privileges: Sequence[Privilege], access: Access, needs: Sequence[Need] = NEEDS) -> list[Need]:
    """What a level of access (with those below it) needs and these privileges do not give."""
    level = ACCESS_ORDER.index(access)
    return [
        need
        for need in needs
        if ACCESS_ORDER.index(need.access) <= level and not any(_gives(p, need) for p in privileges)
    ]


def _gives(privilege: Privilege, need: Need) -> bool:
    actions = privilege["actions"]
    if need.action not in actions and "anyAction" not in actions:
        return False
    resource = privilege["resource"]
    if resource.get("anyResource"):
        return True
    if need.database is None or need.collection is None:
        return bool(resource.get("cluster"))
    if "db" not in resource:
        return False
    return _covers_database(resource["db"], need.database) and _covers_collection(
        resource["collection"], need.collection
    )


def _covers_database(given: str, needed: str) -> bool:
    return given in ("", needed)


def _covers_collection(given: str, needed: str) -> bool:
    """The empty name stands for every collection that is not the system's."""
    return given == needed or (given == "" and not needed.startswith("system."))


def commands(access: Access) -> str:
    """What an administrator types into mongosh to make a role and a user for one level of access."""
    role = f"mdr{access.capitalize()}"
    roles = ", ".join(f'"{name}"' for name in ROLES[access])
    actions = ["find"] if access == "watch" else [need.action for need in AGENT_NEEDS]
    may = ", ".join(f'"{action}"' for action in actions)
    own = f'{{ resource: {{ db: "{OWN_DATABASE}", collection: "" }}, actions: [{may}] }}'
    return (
        f'// access = "{access}"\n'
        "use admin\n"
        f'db.createRole({{ role: "{role}", privileges: [{own}], roles: [{roles}] }})\n'
        f'db.createUser({{ user: "mdr-{access}", pwd: passwordPrompt(), roles: ["{role}"] }})\n'
    )
