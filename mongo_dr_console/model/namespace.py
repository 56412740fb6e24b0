"""Namespaces: choosing them by pattern, renaming them, and the names that are ours."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

OWN_DATABASE = "mongo_dr"
"""Our locks and heartbeats; left out of snapshots, replay and find."""

_ASIDE = re.compile(r"mdr_aside_[0-9a-z]+_[0-9a-z]+")
_STAGING = re.compile(r"mdr_[0-9a-f]+_\d+")

_NO_DATABASE = re.compile(r'[/\\. "$\x00]')

_SYSTEM_DATABASES = ("admin", "config", "local", OWN_DATABASE)


@dataclass(frozen=True, order=True, slots=True)
class Namespace:
    """A database and a collection.

    >>> Namespace.parse("shop.orders.archive")
    Namespace(database='shop', collection='orders.archive')
    """

    database: str
    collection: str

    @classmethod
    def parse(cls, text: str) -> Namespace:
        """Splits at the first dot; raises ValueError where either side is empty."""
        database, dot, collection = text.partition(".")
        if not (database and dot and collection):
            raise ValueError(f"not a namespace: {text!r} (wanted database.collection)")
        return cls(database, collection)

    def __str__(self) -> str:
        return f"{self.database}.{self.collection}"


def staging_name(job: str, number: int) -> str:
    """Name of a staging collection. Short, because a long name with a suffix is refused (server-rules 18)."""
    return f"mdr_{job}_{number}"


def aside_name(job: str, label: str) -> str:
    """Name of a collection that was set aside: the old one of a swap, or what came in between."""
    return f"mdr_aside_{job}_{label}"


def is_set_aside(collection: str) -> bool:
    """Whether a collection was set aside by us: left out of snapshots, restores, replay and find."""
    return _ASIDE.fullmatch(collection) is not None


def is_staging(collection: str) -> bool:
    """Whether this is a staging collection: ordinary data until its cut-over (server-rules 4)."""
    return _STAGING.fullmatch(collection) is not None


def is_system_database(database: str) -> bool:
    return database in _SYSTEM_DATABASES or database.startswith("__mdb_internal")


def can_be_made(namespace: Namespace) -> bool:
    """Whether a restore may put a collection under this name: neither the server's, nor ours, nor one that
    the server refuses."""
    database, collection = namespace.database, namespace.collection
    return (
        is_restorable(namespace)
        and not is_staging(collection)
        and not _NO_DATABASE.search(database)
        and len(database.encode()) < 64
        and not collection.startswith(".")
        and not {"$", "\0"} & set(collection)
    )


def is_restorable(namespace: Namespace) -> bool:
    """Whether a restore without ``--ns`` takes this namespace: neither the server's own nor ours.

    ``db.system.js`` is ordinary data; every other ``system.`` collection is the server's.
    """
    if is_system_database(namespace.database) or is_set_aside(namespace.collection):
        return False
    return namespace.collection == "system.js" or not namespace.collection.startswith("system.")


@dataclass(frozen=True, slots=True)
class Patterns:
    """``--ns`` patterns: ``db.coll``, ``db`` (all of a database), with ``*`` for anything.

    No patterns choose every restorable namespace.

    >>> Patterns(("shop", "crm.c*")).match(Namespace("crm", "customers"))
    True
    """

    include: tuple[str, ...] = ()

    def match(self, namespace: Namespace) -> bool:
        if not is_restorable(namespace):
            return False
        return not self.include or any(_matches(p, namespace) for p in self.include)

    def unmatched(self, namespaces: Iterable[Namespace]) -> list[str]:
        """The patterns that choose none of these: a typing error that must not pass in silence."""
        known = list(namespaces)
        return [p for p in self.include if not any(_matches(p, n) for n in known)]


def _matches(pattern: str, namespace: Namespace) -> bool:
    if "." not in pattern:
        return _glob(pattern, namespace.database)
    return _glob(pattern, str(namespace))


def _glob(pattern: str, text: str) -> bool:
    # Only * is special: [ and ? are legal in names.
    return fnmatch.fnmatchcase(text, re.sub(r"([\[?])", r"[\1]", pattern))


@dataclass(frozen=True, slots=True)
class Renames:
    """``--map FROM=TO`` pairs, whole namespaces or whole databases; the last one that fits wins."""

    pairs: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, texts: Sequence[str]) -> Renames:
        pairs = []
        for text in texts:
            source, equals, target = text.partition("=")
            if not (source and equals and target) or ("." in source) != ("." in target):
                raise ValueError(f"not a mapping: {text!r} (wanted db.coll=db.coll or db=db)")
            for name in (source, target):
                Namespace.parse(name if "." in name else f"{name}.-")
            pairs.append((source, target))
        return cls(tuple(pairs))

    def unmatched(self, namespaces: Iterable[Namespace]) -> list[str]:
        """The sources that none of these have: a typing error that must not pass in silence."""
        known = list(namespaces)
        return [s for s, _ in self.pairs if not any(s in (str(n), n.database) for n in known)]

    def apply(self, namespace: Namespace) -> Namespace:
        for source, target in reversed(self.pairs):
            if source == str(namespace):
                return Namespace.parse(target)
            if source == namespace.database:
                return Namespace(target, namespace.collection)
        return namespace
