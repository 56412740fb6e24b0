"""A console to test: a desk that only remembers, a feed that is told what to say, a clock that stands.

app = console()                                   all is well, access restore, unarmed
app = console(readings(...), access="watch")
async with app.run_test(size=WIDE) as pilot: ...
then: screen_text(app), app.desk.done, app.feed.push(...)
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from textual.pilot import Pilot
from textual.worker import WorkerCancelled

from mongo_dr_console.config import Access, Profile
from mongo_dr_console.model.bundledoc import BundleDocument, NotBundled
from mongo_dr_console.model.drill import DrillRecord
from mongo_dr_console.model.event import Event, EventSelector
from mongo_dr_console.model.eventsearch import Looked
from mongo_dr_console.model.failoverdoc import FailoverRecord
from mongo_dr_console.model.finding import Finding, fine
from mongo_dr_console.model.hold import Hold
from mongo_dr_console.model.namespace import Namespace
from mongo_dr_console.model.operationpage import DocumentHistory, OperationPage, Way
from mongo_dr_console.model.oplogentry import Operation
from mongo_dr_console.model.plan import Intent, Plan
from mongo_dr_console.model.position import Bound, Limit, Position
from mongo_dr_console.model.readings import Readings
from mongo_dr_console.model.scheduleview import ScheduleDocument
from mongo_dr_console.model.trouble import Trouble
from mongo_dr_console.stream import around, finder
from mongo_dr_console.stream.source import StreamSource
from mongo_dr_console.ui.app import ConsoleApp, Options
from mongo_dr_console.workers.access import ConsoleAccess
from mongo_dr_console.workers.desk import Content, Desk, Started, Target
from mongo_dr_console.workers.jobs import JobFolder
from mongo_dr_console.workers.pollers import Listener
from support.drillkit import drill
from support.entrykit import Oplog, Recorded
from support.readingkit import LIMITS, NOW, readings

WIDE, SMALL = (120, 36), (80, 24)
SIZES = (WIDE, SMALL)


class FakeFeed:
    """Readings as a test says them."""

    def __init__(self, first: Readings) -> None:
        self.readings = first
        self.paused = False
        self.refreshed: list[str | None] = []
        self._listeners: list[Listener] = []

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def push(self, new: Readings, name: str = "set") -> None:
        self.readings = new
        for listener in self._listeners:
            listener(name, new)

    async def run(self) -> None:
        await asyncio.Event().wait()

    def refresh(self, name: str | None = None) -> None:
        self.refreshed.append(name)

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False


class FakeDesk(Desk):
    """Answers from its attributes; ``done`` has what was started, after the real check of access.

    Set ``failing[method] = Trouble(...)`` to let a call fail.
    """

    def __init__(self, profile: Profile, started_with: Access) -> None:
        super().__init__(
            "test", profile, Path("/nowhere/config.toml"), ConsoleAccess("test", profile, started_with)
        )
        self.done: list[tuple[Any, ...]] = []
        self.asked: list[tuple[Any, ...]] = []
        self.failing: dict[str, Trouble] = {}
        self.findings: list[Finding] = [fine("identity", "connection", "This is test/rs0.")]
        self.content: tuple[Content, ...] = (
            Content(Namespace("shop", "customers"), "collection", 2_000, 400_000),
            Content(Namespace("shop", "orders"), "collection", 40_000, 9_000_000),
            Content(Namespace("crm", "people"), "collection", 500, 90_000),
        )
        self.others: tuple[Target, ...] = ()
        self.the_plan: Plan | None = None
        self.differences: list[str] = []
        self.job_folder = JobFolder(Path("/nowhere/jobs/0badcafe"))
        """Of the job that is started next."""
        self.writes: int | None = 0
        self.the_schedule = ScheduleDocument(
            profile="test",
            timezone="UTC",
            window=None,
            jitter_seconds=0,
            leader=None,
            leading=False,
            agent_seen_at=None,
            kinds=(),
        )
        self.oplog: StreamSource = Recorded(_some_operations())
        """What operations are read from."""
        self.searched: tuple[Looked, ...] = (Looked(_TWO_DAYS_AGO, events=(_SPOILT,), reached=_TWO_DAYS_AGO),)
        """What a search for events tells, one after the other."""
        self.search_hangs = False
        """Whether it goes on until it is stopped."""
        self.stopped = threading.Event()
        """Set when a search was stopped."""
        self.the_holds: tuple[tuple[Hold, ...], dict[str, Trouble]] = ((), {})
        self.the_drills: tuple[list[DrillRecord], list[str]] = ([drill()], [])
        self.ledger: tuple[tuple[FailoverRecord, ...], tuple[str, ...]] = ((), ())

    def preflight(self, readings: Readings) -> list[Finding]:
        self._asked("preflight")
        return list(self.findings)

    def limit(self, text: str, bound: Bound, events: Sequence[Event], latest: Position | None) -> Limit:
        return super().limit(text, bound, events, latest)

    def contents(self, snapshot: str, store: str) -> tuple[Content, ...]:
        self._asked("contents", snapshot, store)
        return self.content

    def targets(self) -> tuple[Target, ...]:
        return (Target(self.name, self.profile.environment, same=True), *self.others)

    def plan(self, intent: Intent) -> Plan:
        self._asked("plan", intent)
        assert self.the_plan is not None, "set desk.the_plan"
        return self.the_plan

    def changes(self, plan: Plan) -> tuple[Plan, list[str]]:
        self._asked("changes", plan.id)
        return (plan if self.the_plan is None else self.the_plan), self.differences

    def drills(self) -> tuple[list[DrillRecord], list[str]]:
        self._asked("drills")
        return self.the_drills

    def operations(self, position: Position, way: Way, count: int, pattern: str) -> OperationPage:
        self._asked("operations", position, way, pattern)
        return around.page(self.oplog, position, way, count, pattern)

    def document(self, namespace: str, identities: Sequence[Any], until: Position | None) -> DocumentHistory:
        self._asked("document", namespace, tuple(identities), until)
        return around.on_document(self.oplog, namespace, identities, until)

    def event_of(self, operation: Operation) -> Event | None:
        self._asked("event_of", operation.position)
        return finder.event_of(self.oplog, operation)

    def find(
        self,
        start: Position,
        end: Position | None,
        tell: Callable[[Looked], None],
        stop: threading.Event,
        known: Looked | None = None,
    ) -> Looked:
        self._asked("find", start, end, known)
        looked = Looked(start, end)
        for step in self.searched:
            looked = replace(step, start=start, end=end)
            tell(looked)
        if self.search_hangs:
            stop.wait()
            self.stopped.set()
        return looked.over()

    def holds(self) -> tuple[tuple[Hold, ...], dict[str, Trouble]]:
        self._asked("holds")
        return self.the_holds

    def writes_since(self, job: str) -> int | None:
        self._asked("writes_since", job)
        return self.writes

    def bundle(self, *, redact: bool = False) -> BundleDocument:
        self._asked("bundle")
        gone = NotBundled(what="holds of store s3", why="it does not answer")
        return BundleDocument(
            profile="test", path="/state/bundles/b.tar.gz", bytes=2048, since=NOW, files=(), missing=(gone,)
        )

    def _order(self, what: str, *about: Any) -> str:
        self._asked(what, *about)
        self.done.append((what, *about))
        return "local"

    def schedule(self) -> ScheduleDocument:
        self._asked("schedule")
        return self.the_schedule

    def failovers(self) -> tuple[tuple[FailoverRecord, ...], tuple[str, ...]]:
        self._asked("failovers")
        return self.ledger

    def _start(self, kind: str, request: dict[str, Any]) -> Started:
        self.done.append((kind, request))
        return Started(self.job_folder)

    def _asked(self, name: str, *arguments: Any) -> None:
        self.asked.append((name, *arguments))
        if name in self.failing:
            raise self.failing[name]


_TWO_DAYS_AGO = Position(int(NOW.timestamp()) - 2 * 86400, 1)
_SPOILT = Event(
    id="5b01170d",
    kind="mass-update",
    position=_TWO_DAYS_AGO,
    last=_TWO_DAYS_AGO,
    time=_TWO_DAYS_AGO.time,
    namespace="shop.products",
    operations=800,
    documents=800,
    before=None,
    selector=EventSelector(
        first=_TWO_DAYS_AGO, last=_TWO_DAYS_AGO, op="u", namespaces=("shop.products",), fields=("price",)
    ),
)


def _some_operations() -> Oplog:
    oplog = Oplog(now=NOW.timestamp() - 2 * 3600)
    for number in range(20):
        oplog.insert("shop.orders", number)
        oplog.wait(600)
    return oplog


def console(
    first: Readings | None = None,
    *,
    access: Access = "restore",
    started_with: Access | None = None,
    environment: str = "test",
    options: Options | None = None,
    **profile: Any,
) -> ConsoleApp:
    """The console on a fake desk and feed; what it sees stands still at ``NOW``."""
    made = Profile.model_validate(
        {"uri": "mongodb://h/", "access": access, "environment": environment, **profile}
    )
    feed = FakeFeed(first or readings())
    return ConsoleApp(FakeDesk(made, started_with or access), feed, options, clock=lambda: NOW, limits=LIMITS)


def screen_text(app: ConsoleApp) -> str:
    """What stands on the screen now, row by row, without looks."""
    width, height = app.size
    rows = app.screen._compositor.render_strips()
    return "\n".join(strip.text.rstrip()[:width] for strip in rows[:height])


async def answered(pilot: Pilot[Any]) -> None:
    """Until no worker is at work any more; one that another has taken the place of is none."""
    await pilot.pause()
    while unfinished := [worker for worker in pilot.app.workers if not worker.is_finished]:
        for worker in unfinished:
            with suppress(WorkerCancelled):
                await worker.wait()
        await pilot.pause()


async def at_rest(pilot: Pilot[Any]) -> None:
    """Until the screen, looks and all, stands still: what a key leads to takes several turns of the loop."""
    last: list[Any] = []
    same = 0
    for _ in range(100):
        if same == 5:
            return
        await pilot.pause(0.02)
        now = pilot.app.screen._compositor.render_strips()
        same, last = (same + 1 if now == last else 0), now
