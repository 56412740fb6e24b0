"""The duty that watches for alerts: reads every few seconds, decides, remembers, and tells people.

What is to be sent is written down before it is sent, and what went after that; so a leader that dies in
between sends a message twice at worst, and none is lost.
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from mongo_dr_console.agent.duty import Duty, Post
from mongo_dr_console.agent.metrics import MetricsDuty
from mongo_dr_console.model import outbox as posting
from mongo_dr_console.model.alert import Message
from mongo_dr_console.model.alertfacts import AlertFacts, Delivery
from mongo_dr_console.model.alerting import Where, step, taken_over, with_orders
from mongo_dr_console.model.alertsigns import look_at
from mongo_dr_console.model.readings import ALERTS, EVENTS, LOCK, Limits, Readings, reading_of
from mongo_dr_console.model.secrets import scrub
from mongo_dr_console.model.trouble import Trouble
from mongo_dr_console.workers.alertmemory import AlertMemory
from mongo_dr_console.workers.alertstate import rules_of
from mongo_dr_console.workers.limits import limits_of
from mongo_dr_console.workers.notify import Way, ways_of
from mongo_dr_console.workers.pollers import Pollers
from mongo_dr_console.workers.ring import ring_of
from mongo_dr_console.workers.sources import Source, explain
from mongo_dr_console.workers.threads import DaemonThreads

EVERY_SECONDS = 5.0
_NOT_ASKED = (EVENTS, LOCK, ALERTS)
"""No alert and no metric is about them."""


def _now() -> datetime:
    return datetime.now(UTC)


class AlertDuty:
    """Watches for alerts while this agent leads.

    Args:
        ways: Instead of the profile's own; for tests.
        sources: Instead of the profile's own; for tests.
        clock: Tells the time (UTC).
        every: Seconds between two steps.

    Raises:
        WrongUse: A way of the profile is wrong: nobody would be told.
    """

    name = "alerts"

    def __init__(
        self,
        post: Post,
        *,
        ways: Sequence[Way] | None = None,
        sources: Mapping[str, Source[Any]] | None = None,
        clock: Callable[[], datetime] = _now,
        every: float = EVERY_SECONDS,
    ) -> None:
        self._post, self._clock, self._every, self._sources = post, clock, every, sources
        self._ways = list(ways_of(post.profile, post.tell) if ways is None else ways)
        self._rules, self._limits = rules_of(post.profile), limits_of(post.profile)
        self._seconds = post.profile.alerts.timeout.total_seconds()
        self._memory = AlertMemory(post.name, post.profile, post.shared, self._clock)
        self.readings = Readings(post.name, post.profile.environment)
        """The newest; for the metrics too."""
        self.facts = self._fresh()
        """What is remembered."""
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._told: dict[str, str] = {}
        self._senders: dict[str, threading.Thread] = {}
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="mdr-alerts", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._wake.set()

    def join(self, seconds: float) -> bool:
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _fresh(self) -> AlertFacts:
        post = self._post
        return AlertFacts(
            profile=post.name,
            environment=post.profile.environment,
            host=socket.gethostname(),
            pid=os.getpid(),
            fence=post.term.fence,
            written_at=self._clock(),
        )

    def _run(self) -> None:
        recorder = ring_of(self._post.name, self._post.profile, "agent")
        with asyncio.Runner() as runner:
            runner.get_loop().set_default_executor(DaemonThreads())
            pollers: Pollers | None = None
            while not self._stop.is_set():
                try:
                    if pollers is None:
                        pollers = Pollers(self._post.name, self._post.profile, sources=self._sources)
                        pollers.subscribe(recorder)
                    self.readings = runner.run(pollers.once(self._wanted(pollers)))
                    self.step()
                    self._say("step", "")
                    self._say("recording", recorder.error)
                except Exception as error:  # an agent that stops watching is worse than one that stumbles
                    self._say("step", f"alerts: a step failed: {type(error).__name__}: {_words(error)}")
                self._rest()
            if pollers is not None:
                runner.run(pollers.close())
        recorder.close()
        self._end()

    def _rest(self) -> None:
        """Until the next step; what was sent meanwhile is written down at once."""
        until = time.monotonic() + self._every
        while not self._stop.is_set() and (left := until - time.monotonic()) > 0:
            if self._wake.wait(left):
                self._wake.clear()
                self._remember()

    def _wanted(self, pollers: Pollers) -> list[str]:
        """The sources whose turn it is: a store with thousands of snapshots is not listed at every step."""
        now = _now()
        wanted = []
        for name in pollers.names:
            reading = reading_of(pollers.readings, name)
            turn = reading is None or reading.next_try is None or reading.next_try <= now
            if turn and name not in _NOT_ASKED:
                wanted.append(name)
        return wanted

    def step(self) -> None:
        """One look at the newest readings, and all that follows from it."""
        now = self._clock()
        before = None if self._memory.settled else self._memory.remembered()
        with self._lock:
            if before is not None:
                self._take_over(before)
            orders, trouble = self._memory.orders(self.facts)
            state = with_orders(self.facts.state, orders.acks, orders.silences)
            looks = look_at(self.readings, self._limits, now, self._rules.clear_at)
            set_name = self._set_name()
            where = Where(self._post.name, self._post.profile.environment, set_name)
            state, messages = step(state, looks, self._rules, now, where)
            self._post_messages(messages, now)
            self.facts = self.facts.model_copy(
                update={
                    "state": state,
                    "set_name": set_name,
                    "store_trouble": None if trouble is None else explain(trouble),
                    "written_at": now,
                }
            )
        self._remember()
        self._memory.tidy(self.facts)
        self._send(now)

    def _set_name(self) -> str:
        """Of the deployment, also while it does not answer."""
        known = None if self.readings.set is None else self.readings.set.value
        return self.facts.set_name if known is None else known.set_name

    def _take_over(self, before: AlertFacts) -> None:
        """Goes on where a leader before ended."""
        mine = self.facts
        keep = {
            "set_name": mine.set_name or before.set_name,
            "state": taken_over(mine.state, before.state),
            "outbox": (*before.outbox, *mine.outbox),
            "ways": mine.ways or before.ways,
        }
        self.facts = mine.model_copy(update=keep)

    def _post_messages(self, messages: Sequence[Message], now: datetime) -> None:
        names = [way.name for way in self._ways]
        waiting, ways = posting.posted(self.facts.outbox, self.facts.ways, messages, names, now)
        self.facts = self.facts.model_copy(update={"outbox": waiting, "ways": ways})

    def _remember(self) -> None:
        if not self._post.term.holds():
            return
        with self._lock:
            facts = self.facts
        trouble = self._memory.remember(facts)
        self._say("store", "" if trouble is None else f"alerts: {trouble.message}")

    def _send(self, now: datetime) -> None:
        """Each way in a thread of its own: one that hangs holds up no other, and no look."""
        for delivery in posting.due(self.facts.outbox, now):
            sender = self._senders.get(delivery.way)
            if sender is None or not sender.is_alive():
                sender = threading.Thread(
                    target=self._deliver, args=(delivery,), name=f"mdr-alert-{delivery.way}", daemon=True
                )
                self._senders[delivery.way] = sender
                sender.start()

    def _deliver(self, first: Delivery) -> None:
        """This message, and those that wait behind it, until one fails."""
        way = next(w for w in self._ways if w.name == first.way)
        delivery: Delivery | None = first
        while delivery is not None and self._post.term.holds():
            try:
                way.send(delivery.message, self._seconds)
                trouble = None
            except Trouble as why:
                trouble = why
            self._noted(delivery, trouble)
            delivery = None if trouble is not None else self._next(first.way)

    def _noted(self, delivery: Delivery, trouble: Trouble | None) -> None:
        now = self._clock()
        with self._lock:
            waiting, ways = self.facts.outbox, self.facts.ways
            if trouble is None:
                waiting, ways = posting.went(waiting, ways, delivery, now)
            else:
                waiting, ways = posting.came_back(waiting, ways, delivery, trouble, now)
            self.facts = self.facts.model_copy(update={"outbox": waiting, "ways": ways})
        self._say(delivery.way, "" if trouble is None else f"alerts: {delivery.way}: {trouble}")
        self._wake.set()

    def _next(self, way: str) -> Delivery | None:
        with self._lock:
            found = posting.due(self.facts.outbox, self._clock())
        return next((d for d in found if d.way == way), None)

    def _end(self) -> None:
        for sender in self._senders.values():
            sender.join(self._seconds)
        if self._memory.opened:
            with self._lock:
                now = self._clock()
                self.facts = self.facts.model_copy(update={"running": False, "written_at": now})
            self._remember()

    def _say(self, about: str, text: str) -> None:
        """Tells what is wrong once, and that it is well again."""
        before = self._told.get(about, "")
        if text != before:
            self._told[about] = text
            if text or before:
                self._post.tell(text or f"alerts: {about} is well again")


def alert_duties(post: Post) -> list[Duty]:
    """Watching for alerts, and showing the same readings to Prometheus where the config says so.

    Raises:
        WrongUse: A way to people is configured wrongly.
    """
    alerts = AlertDuty(post)
    if post.settings.metrics is None:
        return [alerts]
    limits = limits_of(post.profile)

    def look() -> tuple[Readings, AlertFacts, Limits]:
        return alerts.readings, alerts.facts, limits

    return [alerts, MetricsDuty(post.name, post.settings.metrics, look, post.tell)]


def _words(error: Exception) -> str:
    return str(error) if isinstance(error, Trouble) else scrub(str(error))
