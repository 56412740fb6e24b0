"""What to dump, and which of the collections that a deployment lists that means."""

from __future__ import annotations

from dataclasses import dataclass

from mongo_dr_console.model.identity import Identity
from mongo_dr_console.model.manifest import Compression
from mongo_dr_console.model.namespace import OWN_DATABASE, Namespace, is_buckets, is_set_aside
from mongo_dr_console.model.trouble import WrongUse
from mongo_dr_console.mongo.client import Client
from mongo_dr_console.mongo.collections import ListedCollection

_THREADS = 4

_SYSTEM = frozenset({("admin", "system.users"), ("admin", "system.roles"), ("admin", "system.version")})
"""The server's own collections that are data of the deployment."""


@dataclass(frozen=True, slots=True)
class DumpRequest:
    """What to dump.

    Args:
        identity: Of the deployment, for the manifest.
        compression: Of every file.
        databases: Only these, and ``namespaces``; None for all.
        namespaces: Only these collections, and ``databases``; None for all.
        threads: How many collections, or ranges of them, are read at once.
        rate: Bytes that may be read in a second; None for as many as come.
        member: To the member that data is read from; None for the primary. The oplog comes from the primary.
    """

    identity: Identity
    compression: Compression = "gzip"
    databases: tuple[str, ...] | None = None
    namespaces: tuple[Namespace, ...] | None = None
    threads: int = _THREADS
    rate: int | None = None
    member: Client | None = None

    def holds(self, namespace: Namespace) -> bool:
        """Whether a namespace is asked for."""
        if self.databases is None and self.namespaces is None:
            return True
        return self.holds_all_of(namespace.database) or namespace in (self.namespaces or ())

    def holds_all_of(self, database: str) -> bool:
        """Whether all of a database is asked for."""
        if self.databases is None:
            return self.namespaces is None
        return database in self.databases

    @property
    def scope(self) -> list[str] | None:
        if self.databases is None and self.namespaces is None:
            return None
        return [*(self.databases or ()), *(str(n) for n in self.namespaces or ())]


def check_known(request: DumpRequest, listed: list[ListedCollection]) -> None:
    """Raises WrongUse where something that is asked for is not there."""
    databases = {entry.database for entry in listed}
    namespaces = {Namespace(entry.database, entry.name) for entry in listed}
    missing = [d for d in request.databases or () if d not in databases]
    missing += [str(n) for n in request.namespaces or () if n not in namespaces]
    if missing:
        raise WrongUse(
            "nothing-to-back-up",
            f"The deployment has no {', '.join(missing)} that could be backed up.",
            f"It has: {', '.join(sorted(databases))}",
        )


def wants(request: DumpRequest, entry: ListedCollection) -> bool:
    """Whether a collection is dumped."""
    if is_set_aside(entry.name) or is_buckets(entry.name):
        return False
    servers = entry.name.startswith("system.") and (entry.database, entry.name) not in _SYSTEM
    if servers and entry.name != "system.js":
        return False
    return request.holds(Namespace(entry.database, entry.name))


def is_dumped(database: str) -> bool:
    """Whether a database is data of the deployment."""
    return database not in ("local", "config", OWN_DATABASE) and not database.startswith("__mdb_internal")
