"""Namespaces: choosing them by pattern, renaming them, and the names that are ours."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mongo_dr_console.model import nspattern

OWN_DATABASE = "mongo_dr"
"""Our locks and heartbeats; left out of snapshots, replay and find."""

DRILL_DATABASE = "caas_dr_test"
"""A drill's: made, dropped, restored and removed by it, and nobody else's."""

_ASIDE = re.compile(r"mdr_aside_([0-9a-z]+)_[0-9a-z]+")
_STAGING = re.compile(r"mdr_[0-9a-f]+_\d+")

_NO_DATABASE = re.compile(r'[/\\. "$\x00]')

BUCKETS = "system.buckets."
"""Before the name of a time series: the collection that holds its buckets, which is what the oplog names."""

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


def is_buckets(collection: str) -> bool:
    """Whether this is the collection behind a time series."""
    return collection.startswith(BUCKETS)


def known_as(database: str, collection: str) -> Namespace:
    """The namespace that people know: a time series by its own name, not that of its buckets.

    >>> str(known_as("shop", "system.buckets.weather"))
    'shop.weather'
    """
    return Namespace(database, collection.removeprefix(BUCKETS))


def staging_name(job: str, number: int) -> str:
    """Name of a staging collection. Short, because a long name with a suffix is refused (server-rules 18)."""
    return f"mdr_{job}_{number}"


def aside_name(job: str, label: str) -> str:
    """Name of a collection that was set aside: the old one of a swap, or what came in between."""
    return f"mdr_aside_{job}_{label}"


def is_set_aside(collection: str) -> bool:
    """Whether a collection was set aside by us: left out of snapshots, restores, replay and find."""
    return bool(job_that_set_aside(collection))


def job_that_set_aside(collection: str) -> str:
    """The id of the job, empty for a collection that none of ours has set aside.

    >>> job_that_set_aside(aside_name("5993f8ba", "u1")), job_that_set_aside("orders")
    ('5993f8ba', '')
    """
    match = _ASIDE.fullmatch(collection)
    return match[1] if match else ""


def is_staging(collection: str) -> bool:
    """Whether this is a staging collection: ordinary data until its cut-over (server-rules 4)."""
    return _STAGING.fullmatch(collection) is not None


def is_system_database(database: str) -> bool:
    return database in _SYSTEM_DATABASES or database.startswith("__mdb_internal")


USERS = Namespace("admin", "system.users")
ROLES = Namespace("admin", "system.roles")


def is_of_logins(namespace: Namespace) -> bool:
    """Whether this is where users or roles lie: followed like a collection, and merged at the end, never put
    in place."""
    return namespace in (USERS, ROLES)


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
    """``--ns`` and ``--exclude`` patterns: ``db.coll``, ``db`` (all of a database), with ``*`` for anything.

    No patterns choose every restorable namespace. An exclusion goes before any choice.

    >>> Patterns(("shop", "crm.c*")).match(Namespace("crm", "customers"))
    True
    >>> Patterns(("shop",), ("shop.tmp*",)).match(Namespace("shop", "tmp.1"))
    False
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def match(self, namespace: Namespace) -> bool:
        if not is_restorable(namespace) or any(_matches(p, namespace) for p in self.exclude):
            return False
        return not self.include or any(_matches(p, namespace) for p in self.include)

    def unmatched(self, namespaces: Iterable[Namespace]) -> list[str]:
        """The patterns that choose none of these: a typing error that must not pass in silence."""
        return _unmatched(self.include, namespaces)

    def unmatched_exclusions(self, namespaces: Iterable[Namespace]) -> list[str]:
        """Those that keep none of these out: what was to be spared would be restored."""
        return _unmatched(self.exclude, namespaces)


def _matches(pattern: str, namespace: Namespace) -> bool:
    return nspattern.matches(pattern, namespace.database, namespace.collection)


def _unmatched(patterns: Sequence[str], namespaces: Iterable[Namespace]) -> list[str]:
    known = list(namespaces)
    return [p for p in patterns if not any(_matches(p, n) for n in known)]


@dataclass(frozen=True, slots=True)
class Renames:
    """``--map FROM=TO`` pairs, whole namespaces or whole databases, with stars or ``$variables$``; the last
    one that fits wins.

    >>> str(Renames.parse(["shop.*=old.*_then"]).apply(Namespace("shop", "a.b")))
    'old.a.b_then'
    >>> str(Renames.parse(["$db$.$name$=all.$db$_$name$"]).apply(Namespace("shop", "a")))
    'all.shop_a'
    """

    pairs: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, texts: Sequence[str]) -> Renames:
        pairs = []
        for text in texts:
            source, equals, target = text.partition("=")
            if not (source and equals and target) or ("." in source) != ("." in target):
                raise ValueError(f"not a mapping: {text!r} (wanted db.coll=db.coll or db=db)")
            try:
                nspattern.substitution(source, target)
            except ValueError as error:
                raise ValueError(f"not a mapping: {text!r} ({error})") from None
            for name in (source, target):
                if nspattern.is_exact(name):
                    Namespace.parse(name if "." in name else f"{name}.-")
            pairs.append((source, target))
        return cls(tuple(pairs))

    def unmatched(self, namespaces: Iterable[Namespace]) -> list[str]:
        """The sources that none of these have: a typing error that must not pass in silence."""
        known = list(namespaces)
        return [s for s, t in self.pairs if not any(_renamed(s, t, n) is not None for n in known)]

    def apply(self, namespace: Namespace) -> Namespace:
        """The new name.

        Raises:
            ValueError: What stars or variables stand for here makes no name.
        """
        for source, target in reversed(self.pairs):
            found = _renamed(source, target, namespace)
            if found is not None:
                return Namespace.parse(found)
        return namespace


def _renamed(source: str, target: str, namespace: Namespace) -> str | None:
    """The new name as it is written, None where the pair does not fit."""
    pattern, template = nspattern.substitution(source, target)
    if "." in source:
        match = pattern.fullmatch(str(namespace))
        return None if match is None else match.expand(template)
    match = pattern.fullmatch(namespace.database)
    return None if match is None else f"{match.expand(template)}.{namespace.collection}"
