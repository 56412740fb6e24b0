"""The memory of the agent that watches: on this host at every step, in the store that agents share when
something changed, so that the next leader tells nobody twice. A store that hangs holds nothing up."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeVar

from mongo_dr_console.config import Profile
from mongo_dr_console.model.alertfacts import AlertFacts
from mongo_dr_console.model.trouble import Failed, Trouble, Unreachable
from mongo_dr_console.stores.agents_store import Shared
from mongo_dr_console.stores.alert_orders import AlertPlace, Orders
from mongo_dr_console.workers.access import reaches
from mongo_dr_console.workers.alertstate import facts_file, own_part, read_facts, shared_part, write_facts
from mongo_dr_console.workers.bounded import OneAtATime

R = TypeVar("R")

_HEARTBEAT = timedelta(seconds=25)
"""How often the store is written to while nothing changes: other hosts see that the agent lives."""
_STORE_SECONDS = 6.0


class AlertMemory:
    """What one agent remembers of one profile. Where the access is watch, on this host alone: of what agents
    share it reads what people ordered, takes over nothing that a leader remembers, and changes nothing.

    Args:
        shared: What the agents share; None: nothing.
        clock: Tells the time (UTC).
    """

    def __init__(
        self, name: str, profile: Profile, shared: Shared | None, clock: Callable[[], datetime]
    ) -> None:
        self._name, self._profile, self._clock = name, profile, clock
        self._file = facts_file(name, profile)
        self._calls = OneAtATime()
        self._shared = shared_part(profile, shared)
        self._writes = reaches(profile.access, "operate")
        self._own: AlertPlace | None = None
        self._written: AlertFacts | None = None
        self.opened = False
        """Whether this host's own part was looked at."""
        self.settled = False
        """Whether the store was too, or there is none."""

    def remembered(self) -> AlertFacts | None:
        """What the leader before wrote last, here or in the store; None: nothing. Asked again until the store
        has answered."""
        own = None if self.opened else self._own_facts()
        self._own = self._own or own_part(self._name, self._profile)
        self.opened = True
        shared = None
        try:
            if self._shared is not None and self._writes:
                shared = self._asked(self._shared.read_facts)
            self.settled = True
        except Trouble:
            shared = None
        found = [facts for facts in (own, shared) if facts is not None]
        return max(found, key=lambda facts: facts.order, default=None)

    def _own_facts(self) -> AlertFacts | None:
        try:
            return read_facts(self._name, self._profile)
        except Failed:
            return None

    def orders(self, facts: AlertFacts) -> tuple[Orders, Trouble | None]:
        """What people ordered, and why the store could not be asked. What it said before stands until it
        answers again."""
        assert self._own is not None
        found = self._own.read_orders()
        if self._shared is None:
            return found, None
        try:
            return found.joined(self._asked(self._shared.read_orders)), None
        except Trouble as trouble:
            return found.joined(Orders((), facts.state.silences)), trouble

    def remember(self, facts: AlertFacts) -> Trouble | None:
        """Writes it down; what is returned says why not everywhere."""
        trouble: Trouble | None = None
        try:
            write_facts(self._file, facts)
        except OSError as error:
            trouble = Failed("alert-state-unwritten", f"{self._file} cannot be written: {error.strerror}.")
        # Before the store was read it may hold what a leader before told: that must not be written over.
        if self._shared is None or not (self._writes and self.settled and self._news(facts)):
            return trouble
        try:
            shared = self._shared
            self._asked(lambda: shared.write_facts(facts))
            self._written = facts
        except Trouble as why:
            trouble = why
        return trouble

    def tidy(self, facts: AlertFacts) -> None:
        """Removes orders that say nothing any more: of alerts that ended, and silences that are over."""
        running = {a.id for a in facts.state.alerts}
        now = self._clock()
        for place in (self._own, self._shared if self._writes else None):
            if place is None:
                continue
            for ack in place.seen.acks:
                if ack.alert not in running:
                    self._dropped(lambda p=place, a=ack: p.remove_ack(a.alert))  # type: ignore[misc]
            for silence in place.seen.silences:
                if silence.until <= now:
                    self._dropped(lambda p=place, s=silence: p.remove_silence(s.id))  # type: ignore[misc]

    def _dropped(self, remove: Callable[[], None]) -> None:
        try:
            self._asked(remove)
        except Trouble:
            return  # it says nothing any more anyway, and the next step tries again

    def _news(self, facts: AlertFacts) -> bool:
        before = self._written
        if before is None or facts.written_at - before.written_at >= _HEARTBEAT:
            return True
        return _without_time(before) != _without_time(facts)

    def _asked(self, call: Callable[[], R]) -> R:
        try:
            return self._calls.call(call, _STORE_SECONDS)
        except TimeoutError:
            raise Unreachable(
                "store-hangs",
                "The store that agents share does not answer in time: what is remembered of alerts is on "
                "this host alone.",
                "It is tried again by itself.",
            ) from None


def _without_time(facts: AlertFacts) -> tuple[object, ...]:
    """What counts as a change: not that numbers moved."""
    alerts = tuple(
        (a.id, a.level, a.told, a.acked_by, a.unknown_since is None, a.rising is None, a.falling is None)
        for a in facts.state.alerts
    )
    waiting = tuple((d.way, d.message.id, d.tries) for d in facts.outbox)
    sent = tuple((w.name, w.sent, w.failed) for w in facts.ways)
    return alerts, facts.state.silences, waiting, sent, facts.running, facts.set_name
