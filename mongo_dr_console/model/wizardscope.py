"""What is to be restored: everything, databases, collections; ticked in a list. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mongo_dr_console.model.event import Event
from mongo_dr_console.model.namespace import Namespace, is_restorable


@dataclass(frozen=True, slots=True)
class Scope:
    """What is to be restored.

    Args:
        everything: All databases; the rest then says nothing.
        names: Databases and ``database.collection``s.
    """

    everything: bool = False
    names: frozenset[str] = frozenset()

    @property
    def patterns(self) -> tuple[str, ...]:
        """As ``--ns`` takes them; a collection of a chosen database is not named twice."""
        if self.everything:
            return ()
        return tuple(sorted(n for n in self.names if "." not in n or n.partition(".")[0] not in self.names))


def scope_of(event: Event) -> Scope:
    """What the event hit, and nothing else."""
    if event.kind == "drop-database":
        return Scope(names=frozenset({event.namespace.partition(".")[0]}))
    return Scope(names=frozenset(n for n in event.selector.namespaces if not n.endswith(".$cmd")))


def toggled(scope: Scope, name: str, contents: Iterable[str]) -> Scope:
    """Ticks a database or a collection, or takes the tick away.

    Args:
        contents: All collections that there are to choose from, for taking one out of a chosen database.
    """
    there = [str(n) for n in contents]
    names = set(scope.names)
    if scope.everything:
        names = {n.partition(".")[0] for n in there} | {n for n in names if "." in n}
    database = name.partition(".")[0]
    if name in names:
        names.remove(name)
    elif name == database:
        names = {n for n in names if n.partition(".")[0] != database} | {database}
    elif database in names:
        names.remove(database)
        names |= {n for n in there if n.partition(".")[0] == database and n != name}
    else:
        names.add(name)
    return Scope(names=frozenset(names))


def is_ticked(scope: Scope, name: str) -> bool:
    return scope.everything or name in scope.names or name.partition(".")[0] in scope.names


def partly_ticked(scope: Scope, database: str) -> bool:
    return not is_ticked(scope, database) and any(n.partition(".")[0] == database for n in scope.names)


def name_problem(text: str) -> str:
    """Why this can be no scope; empty if it can: a database, or ``database.collection``.

    >>> name_problem("shop.orders"), name_problem("admin")
    ('', "'admin' is the server's or the tool's own and is not restored.")
    """
    name = text.strip()
    if not name:
        return "Say a name: database, or database.collection."
    if "." in name:
        try:
            namespace = Namespace.parse(name)
        except ValueError:
            return f"{name!r} is no name: say database, or database.collection."
    else:
        namespace = Namespace(name, "-")
    if not is_restorable(namespace):
        return f"{name!r} is the server's or the tool's own and is not restored."
    return ""
