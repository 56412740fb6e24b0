"""Events that destroy no document: a collection's definition, a user or a role was changed. Pure."""

from __future__ import annotations

from mongo_dr_console.model.event import Event, EventKind, EventSelector, event_id
from mongo_dr_console.model.namespace import (
    USERS,
    Namespace,
    is_restorable,
    is_set_aside,
    is_staging,
    is_system_database,
)
from mongo_dr_console.model.oplogentry import Operation

_BUCKETS = "system.buckets."
_DONE = {"i": "made", "u": "changed", "d": "dropped"}


def modified(operation: Operation) -> Namespace:
    """What a ``collMod`` changed."""
    return Namespace(operation.database, str(operation.document["collMod"]))


def modification(operation: Operation) -> Event:
    """The event of a ``collMod``; which options were given is in its detail."""
    namespace = modified(operation)
    options = [str(key) for key in operation.document if key != "collMod"]
    detail = f"options: {', '.join(sorted(options))}" if options else ""
    return _change(operation, "coll-mod", str(shown(namespace)), str(namespace), detail)


def login_change(operation: Operation) -> Event:
    """The event of a write to where users and roles lie."""
    is_user = Namespace(operation.database, operation.collection) == USERS
    kind: EventKind = "user-change" if is_user else "role-change"
    what = "user" if is_user else "role"
    # "shop.app" is the user app of the database shop.
    detail = f"{what} {operation.document_id} was {_DONE[operation.op]}"
    return _change(operation, kind, operation.namespace, operation.namespace, detail)


def _change(operation: Operation, kind: EventKind, named: str, namespace: str, detail: str) -> Event:
    position, op = operation.position, operation.op
    return Event(
        # A statement may change several users at one position.
        id=event_id(kind, f"{named}{operation.index or ''}", position),
        kind=kind,
        position=position,
        last=position,
        time=position.time,
        namespace=named,
        operations=1,
        documents=0,
        before=None,
        detail=detail,
        selector=EventSelector(
            first=position,
            last=position,
            op="i" if op == "i" else "u" if op == "u" else "d" if op == "d" else "c",
            namespaces=(namespace,),
            session=operation.session if op != "c" else None,
        ),
    )


def is_of_users(database: str, collection: str) -> bool:
    """Whether what happens to it can be somebody's mistake: not the server's own, not ours."""
    if is_staging(collection) or is_set_aside(collection) or is_system_database(database):
        return False
    return collection.startswith(_BUCKETS) or is_restorable(Namespace(database, collection))


def shown(namespace: Namespace) -> Namespace:
    """A time series under the name that people know it by."""
    if namespace.collection.startswith(_BUCKETS):
        return Namespace(namespace.database, namespace.collection.removeprefix(_BUCKETS))
    return namespace
