"""Bringing back what one operation took: which walk of the wizard is the safest, and why. Pure.

Nothing is changed by that: the wizard opens with it chosen, and asks.
"""

from __future__ import annotations

from dataclasses import dataclass

from mongo_dr_console.model.event import Event
from mongo_dr_console.model.namespace import Namespace, is_restorable
from mongo_dr_console.model.operationtext import subject
from mongo_dr_console.model.oplogentry import Operation
from mongo_dr_console.model.position import Bound
from mongo_dr_console.model.trouble import WrongUse
from mongo_dr_console.model.wizard import WizardState, propose_renames
from mongo_dr_console.model.wizardscope import Scope
from mongo_dr_console.model.words import moment


@dataclass(frozen=True, slots=True)
class BringBack:
    """A proposal.

    Args:
        text: What it is and what it does not do, in sentences.
    """

    state: WizardState
    text: str


def bring_back(operation: Operation, event: Event | None) -> BringBack:
    """How what was there before an operation comes back.

    Where it is part of an event, merge brings back what that event removed or changed and overwrites nothing
    that was written since. Else its collection is restored beside the live one, as it was right before the
    operation (of an insert: right after it): nothing live is touched, and the document is there to be
    compared and taken.

    Args:
        event: That it is part of; None: it stands alone.

    Raises:
        WrongUse: It is of a namespace that is not restored.
    """
    names = _scope_names(operation)
    if event is not None:
        state = WizardState(
            way="event",
            event=event,
            keep_later=True,
            scope=_scope_of(event, names),
            scope_chosen=True,
            mode="merge",
        )
        return BringBack(state, _merge_text(event, state.scope))
    scope = Scope(names=frozenset(names))
    state = WizardState(
        way="time",
        text=str(operation.position),
        bound=_bound(operation),
        scope=scope,
        scope_chosen=True,
        mode="beside",
        renames=propose_renames(scope),
    )
    return BringBack(state, _beside_text(operation, scope))


def _scope_names(operation: Operation) -> tuple[str, ...]:
    name = subject(operation)
    database, _, collection = name.partition(".")
    if not is_restorable(Namespace(database, collection or "-")):
        raise _not_restored(name)
    return (name,)


def _scope_of(event: Event, names: tuple[str, ...]) -> Scope:
    """A dropped database comes back whole: its collections hang together."""
    if event.kind == "drop-database":
        return Scope(names=frozenset({event.namespace.partition(".")[0]}))
    return Scope(names=frozenset(names))


def _extent(event: Event) -> str:
    count = "documents unknown" if event.documents is None else f"{event.documents:,} documents"
    return f"{moment(event.time)}, {count}"


def _merge_text(event: Event, scope: Scope) -> str:
    return (
        f"It is part of event {event.id} ({event.kind}, {_extent(event)}), so the wizard opens with that "
        f"chosen and mode merge: all that it removed or changed in {', '.join(scope.patterns)} comes back, "
        "not this document alone. What was written since is a conflict, listed and not overwritten."
    )


def _bound(operation: Operation) -> Bound:
    """Before an insert there was no document; what was written comes back with it."""
    return Bound.THROUGH if operation.op == "i" else Bound.BEFORE


def _beside_text(operation: Operation, scope: Scope) -> str:
    side = "after" if _bound(operation) is Bound.THROUGH else "before"
    return (
        "It is part of no mass delete, mass update or drop, so the wizard opens with "
        f"{', '.join(scope.patterns)} as it was right {side} {operation.position}, restored beside the live "
        "one under another name. Nothing live is touched: compare, and take the document from there."
    )


def _not_restored(name: str) -> WrongUse:
    return WrongUse(
        "namespace-not-restored",
        f"{name!r} is the server's or the tool's own and is not restored.",
        "Users and roles: mdr restore plan --users",
    )
