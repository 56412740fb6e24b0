"""The walk to a restore: what was chosen so far, whether a step is complete, and what is proposed. Pure.

The walk ends in an ``Intent``, the same that the options of ``mdr restore plan`` make.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import IntEnum
from typing import Literal

from mongo_dr_console.model.catalogue import SnapshotEntry
from mongo_dr_console.model.coverage import LIVE, Coverage
from mongo_dr_console.model.event import CHANGES, LOGINS, Event
from mongo_dr_console.model.identity import Identity
from mongo_dr_console.model.namespace import Namespace, Renames, can_be_made
from mongo_dr_console.model.plan import Intent, Mode
from mongo_dr_console.model.position import Bound, Limit, Position
from mongo_dr_console.model.readings import Readings, open_events
from mongo_dr_console.model.trouble import WrongUse
from mongo_dr_console.model.unknown import is_down
from mongo_dr_console.model.when import event_by_id, limit_before, limit_through, parse_when
from mongo_dr_console.model.wizardscope import Scope, scope_of
from mongo_dr_console.model.words import duration, moment

Way = Literal["event", "time", "snapshot"]
"""How it is said where to stop: at an event, at a time, or where the snapshot ends."""


class Step(IntEnum):
    """The steps in order."""

    PREFLIGHT = 1
    WHEN = 2
    SCOPE = 3
    WHERE = 4
    PLAN = 5
    CONFIRM = 6

    @property
    def title(self) -> str:
        return ("Preflight", "What happened", "Scope", "Where to", "Plan", "Confirm")[self - 1]


@dataclass(frozen=True, slots=True)
class Base:
    """A snapshot in a store."""

    name: str
    store: str


@dataclass(frozen=True, slots=True)
class WizardState:
    """What was chosen so far. Fields of ways that are not taken keep what was typed.

    Args:
        keep_later: The event is left out and later writes are kept (skip); else back to before it.
        text: The time as it was typed.
        settled: The same in absolute terms, from when the step was left; empty where it says so itself.
        base: The snapshot to start from; None: none is known, and planning proposes one.
        base_chosen: Whether a person chose it.
        scope_chosen: Whether a person touched the scope.
        target: The profile to restore into; None: the one that is watched.
    """

    way: Way = "event"
    event: Event | None = None
    keep_later: bool = True
    text: str = ""
    bound: Bound = Bound.BEFORE
    settled: str = ""
    base: Base | None = None
    base_chosen: bool = False
    scope: Scope = field(default_factory=Scope)
    scope_chosen: bool = False
    target: str | None = None
    mode: Mode = "swap"
    renames: tuple[str, ...] = ()
    renames_chosen: bool = False

    @property
    def skipping(self) -> bool:
        return self.way == "event" and self.event is not None and self.keep_later


@dataclass(frozen=True, slots=True)
class Known:
    """What is known at this moment, from the readings.

    Args:
        events, snapshots: The newest first.
        answered: Ids of the events that a restore has answered since.
        down: Whether no member of the deployment answers.
    """

    now: datetime
    events: tuple[Event, ...] = ()
    snapshots: tuple[SnapshotEntry, ...] = ()
    coverage: Coverage | None = None
    answered: frozenset[str] = frozenset()
    down: bool = False

    @property
    def undoable(self) -> tuple[Event, ...]:
        """The events that can be left out of a replay, the newest first."""
        return tuple(e for e in self.events if e.kind not in LOGINS)

    @property
    def latest(self) -> Position | None:
        return None if self.coverage is None else self.coverage.latest

    @property
    def identity(self) -> Identity | None:
        live = None if self.coverage is None else self.coverage.live
        return None if live is None else live.identity


def known(readings: Readings, now: datetime, also: Event | None = None) -> Known:
    """The newest values; what a source said before it failed still counts, since planning asks again.

    Args:
        also: An event that is known from elsewhere: the readings have those of the last day.
    """
    stores = [r.value for r in readings.stores.values() if r.value is not None]
    found = None if readings.events is None else readings.events.value
    recent = () if found is None else found.events
    still_open = {event.id for event in open_events(readings, now)}
    older = () if also is None or also.id in {event.id for event in recent} else (also,)
    return Known(
        now=now,
        events=tuple(sorted((*recent, *older), key=lambda e: e.position, reverse=True)),
        answered=frozenset(e.id for e in recent if e.kind not in CHANGES) - still_open,
        snapshots=tuple(
            sorted(
                (s for facts in stores for s in facts.snapshots),
                key=lambda s: (s.taken_at, s.name),
                reverse=True,
            )
        ),
        coverage=None if readings.coverage is None else readings.coverage.value,
        down=is_down(readings.set),
    )


# What is proposed


def undoing(event: Event, state: WizardState | None = None) -> WizardState:
    """The walk that undoes an event."""
    state = replace(state or WizardState(), event=event)
    if event.kind in LOGINS:
        # Nothing can be left out of users and roles: only the time before is of use.
        return replace(state, way="time", text=f"event:{event.id}", bound=Bound.BEFORE)
    return replace(state, way="event")


def propose_way(state: WizardState, facts: Known) -> WizardState:
    """Where nothing was chosen yet: the one event; of a deployment that is gone, all that is kept of it."""
    if facts.down:
        return replace(state, way="time", text="latest", bound=Bound.THROUGH)
    found = facts.undoable
    return replace(state, way="event" if found else "time", event=found[0] if len(found) == 1 else None)


def propose_scope(state: WizardState, facts: Known) -> Scope:
    """What the event hit; of a deployment that is gone, everything."""
    if state.way == "event" and state.event is not None:
        return scope_of(state.event)
    return Scope(everything=facts.down)


# The limit


def limit_of(state: WizardState, facts: Known) -> Limit | None:
    """Where replay stops; None where no limit is said (the snapshot as it is, or an event that is left out).

    Raises:
        WrongUse: The text is no time, or nothing was chosen yet.
    """
    if state.way == "snapshot":
        return None
    if state.way == "event":
        if state.event is None:
            raise WrongUse(
                "nothing-chosen", "No event is chosen yet.", "Choose one with enter, or say a time."
            )
        return None if state.keep_later else Limit(state.event.position, Bound.BEFORE)
    if not state.text.strip():
        raise WrongUse(
            "nothing-chosen", "No time is said yet.", "For example 2026-11-22T02:11:31Z, -10m, t:i or latest."
        )
    when = parse_when(
        state.text,
        now=facts.now,
        latest=facts.latest,
        events=lambda wanted: event_by_id(list(facts.events), wanted),
    )
    return limit_before(when) if state.bound is Bound.BEFORE else limit_through(when)


def settle(state: WizardState, facts: Known) -> str:
    """A time that counts from now, in absolute terms; empty for all others, which say it themselves.

    Raises:
        WrongUse: As ``limit_of``.
    """
    if state.way != "time" or not state.text.strip().startswith("-"):
        return ""
    limit = limit_of(state, facts)
    assert limit is not None
    return moment(limit.position.time)


def stops_at(state: WizardState, facts: Known) -> Limit | None:
    """What the base must end before: the limit, or the event that is left out. Raises as ``limit_of``."""
    if state.skipping:
        assert state.event is not None
        return Limit(state.event.position, Bound.BEFORE)
    return limit_of(state, facts)


def reach(limit: Limit, facts: Known) -> str:
    """Why this cannot be restored to; empty where it can, and where that is not known."""
    position = limit.position
    if position.t > facts.now.timestamp():
        return f"{moment(position.time)} lies in the future."
    if facts.coverage is None:
        return ""
    ranges = facts.coverage.ranges
    if not ranges:
        return "There is nothing to restore from: no snapshot in any store."
    if any(limit.admits(r.start) and position.t <= r.end.t for r in ranges):
        return ""
    return _beyond(limit, facts.coverage)


def _beyond(limit: Limit, coverage: Coverage) -> str:
    """Why a limit that no range holds cannot be reached."""
    position, ranges = limit.position, coverage.ranges
    if not limit.admits(ranges[0].start):
        first = ranges[0].start
        return f"The oldest point that can be restored to is {moment(first.time)} ({first})."
    if LIVE in ranges[-1].sources and position > ranges[-1].end:
        return ""  # Newer than the reading: planning looks again.
    for gap in coverage.gaps:
        if position >= gap.start and (gap.end is None or position <= gap.end):
            until = "now" if gap.end is None else moment(gap.end.time)
            return f"It lies in a gap, from {moment(gap.start.time)} to {until}. {gap.text}"
    return f"The newest point that can be restored to is {moment(ranges[-1].end.time)}."


def lost(state: WizardState, facts: Known) -> str:
    """What the result will not have. Raises as ``limit_of``."""
    if state.skipping:
        return "Nothing is lost: writes made after the event are kept, only its own operations are left out."
    limit = limit_of(state, facts)
    since = limit.position.time if limit is not None else _base_time(state, facts)
    if since is None:
        return "It is not known how far back the snapshot goes."
    back = max(0.0, (facts.now - since).total_seconds())
    if back < 1:
        return "Nothing is lost: all writes up to now are in the result."
    return f"Goes back {duration(back)}: writes made since {moment(since)} are not in the result."


def _base_time(state: WizardState, facts: Known) -> datetime | None:
    entry = entry_of(state.base, facts)
    return None if entry is None else entry.taken_at


# The base


def entry_of(base: Base | None, facts: Known) -> SnapshotEntry | None:
    return next((s for s in facts.snapshots if base is not None and Base(s.name, s.store) == base), None)


def propose_base(state: WizardState, facts: Known) -> Base | None:
    """The newest whole snapshot of this deployment that ends in time, a verified copy where there is one."""
    try:
        stop = stops_at(state, facts)
    except WrongUse:
        return None
    fitting = [s for s in facts.snapshots if not base_problem(s, stop, facts) and s.scope is None]
    best = max(fitting, key=lambda s: (s.taken_at, s.end or Position(0, 0), s.verified), default=None)
    return None if best is None else Base(best.name, best.store)


def base_problem(entry: SnapshotEntry, stop: Limit | None, facts: Known) -> str:
    """Why a restore cannot start from this snapshot; empty if it can."""
    if entry.problem is not None:
        return entry.problem.message
    if entry.window is None:
        return "It has no oplog, so it is consistent at no moment."
    if entry.known_bad:
        return "Its newest verification found damage."
    if entry.identity and facts.identity and not entry.identity.same_deployment(facts.identity):
        return f"It is of another deployment, {entry.identity}."
    if stop is not None and not stop.admits(entry.window.end):
        return f"It is consistent from {moment(entry.window.end.time)} on, and the limit is earlier."
    return ""


def with_base(state: WizardState, facts: Known) -> WizardState:
    """The same with the base that is proposed now, unless a person chose one."""
    if state.base_chosen:
        return state
    return replace(state, base=propose_base(state, facts))


# Where to


def propose_renames(scope: Scope) -> tuple[str, ...]:
    """New names for beside; none for a scope of everything, which gets names with the limit's time.

    >>> propose_renames(Scope(names=frozenset({"shop.orders", "crm"})))
    ('crm=crm_restored', 'shop.orders=shop.orders_restored')
    """
    return tuple(f"{n}={n}_restored" for n in scope.patterns if "=" not in n and "*" not in n)


def kept_renames(scope: Scope, before: Sequence[str]) -> tuple[str, ...]:
    """What was typed for names that are still in the scope; what is proposed for the others."""
    typed = {text.partition("=")[0]: text for text in before}
    return tuple(typed.get(text.partition("=")[0], text) for text in propose_renames(scope))


def renames_problem(state: WizardState) -> str:
    """Why these new names cannot be; empty if they can."""
    seen: set[str] = set()
    for text in state.renames:
        try:
            ((source, target),) = Renames.parse([text]).pairs
        except ValueError:
            return f"{text!r} is no new name: say FROM=TO, both a database or both database.collection."
        named = Namespace.parse(target if "." in target else f"{target}.-")
        if not can_be_made(named):
            return f"{target!r} cannot be a name: it is the server's, the tool's own, or one it refuses."
        if source == target:
            return f"{source!r} would keep its name, and beside replaces nothing: say another one."
        if target in seen:
            return f"Two would become {target!r}."
        seen.add(target)
    return ""


def merge_problem(state: WizardState) -> str:
    """Why merge is not possible for what was chosen so far; empty if it is."""
    if state.way != "event" or state.event is None:
        return "Merge brings back what an event removed or changed, and no event is chosen."
    if not state.keep_later:
        return "Merge keeps what was written later: it wants the event left out, not a way back to before it."
    if state.target is not None:
        return (
            "Merge writes into the deployment that the event hit; no other one tells what was written since."
        )
    return ""


_TARGET_DOWN = (
    "The deployment that is watched does not answer, so nothing can be restored into it. Choose another one. "
    'A new, empty replica set needs a profile of its own in the config, with access = "restore": add it, and '
    "look again by esc and enter."
)

# Steps


def problem(state: WizardState, step: Step, facts: Known) -> str:
    """Why a step is not complete; empty if it is."""
    if step is Step.WHEN:
        return _when_problem(state, facts)
    if step is Step.SCOPE:
        return _scope_problem(state.scope)
    if step is Step.WHERE and (why := target_problem(state.target, facts)):
        return why
    if step is Step.WHERE and state.mode == "beside":
        return renames_problem(state)
    if step is Step.WHERE and state.mode == "merge":
        return merge_problem(state)
    return ""


def target_problem(target: str | None, facts: Known) -> str:
    """Why nothing can be restored into a deployment; None: the one that is watched."""
    return _TARGET_DOWN if target is None and facts.down else ""


def _scope_problem(scope: Scope) -> str:
    if scope.everything or scope.names:
        return ""
    return "Nothing is chosen: tick a database or a collection with space, or everything with a."


def _when_problem(state: WizardState, facts: Known) -> str:
    try:
        stop = stops_at(state, facts)
    except WrongUse as error:
        return f"{error.message} {error.hint}".strip()
    if stop is not None and (why := reach(stop, facts)):
        return why
    entry = entry_of(state.base, facts)
    if entry is not None and (why := base_problem(entry, stop, facts)):
        return f"Snapshot {entry.name} cannot be the base. {why} Choose another one with c."
    if entry is None and state.base is None and facts.snapshots:
        return "No snapshot can be the base: none is whole and ends before that. See which and why with c."
    return ""


def intent(state: WizardState) -> Intent:
    """What was asked for, as the options of ``mdr restore plan`` would say it.

    Raises:
        WrongUse: No scope is chosen; without one an intent would mean everything.
    """
    if why := _scope_problem(state.scope):
        raise WrongUse("nothing-chosen", why)
    before = through = None
    if state.way == "event" and state.event is not None and not state.keep_later:
        before = f"event:{state.event.id}"
    elif state.way == "time":
        text = state.settled or state.text.strip()
        before, through = (text, None) if state.bound is Bound.BEFORE else (None, text)
    return Intent(
        snapshot=None if state.base is None else state.base.name,
        store=None if state.base is None else state.base.store,
        before=before,
        through=through,
        skip=(state.event.id,) if state.skipping and state.event is not None else (),
        namespaces=state.scope.patterns,
        renames=state.renames if state.mode == "beside" else (),
        to_profile=state.target,
        mode=state.mode,
    )


def summary(state: WizardState, step: Step) -> str:
    """What was chosen in a step, in a few words; empty where nothing was."""
    if step is Step.WHEN:
        if state.way == "event":
            event = state.event
            return "" if event is None else f"{'skip' if state.keep_later else 'before'} {event.kind}"
        if state.way == "time":
            return f"{state.bound} {state.settled or state.text}" if state.text else ""
        return "the snapshot as it is"
    if step is Step.SCOPE:
        return (
            _scope_summary(state.scope.patterns)
            if state.scope.names
            else ("everything" if state.scope.everything else "")
        )
    if step is Step.WHERE:
        return state.mode + (f" into {state.target}" if state.target else "")
    return ""


def _scope_summary(patterns: Sequence[str]) -> str:
    return patterns[0] if len(patterns) == 1 else f"{len(patterns)} names"
