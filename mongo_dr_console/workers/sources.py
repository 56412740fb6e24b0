"""The sources that pollers ask: the set, its oplog, the stores, the topic, coverage, events, the jobs, the
lock."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from pymongo.errors import OperationFailure, PyMongoError, ServerSelectionTimeoutError

from mongo_dr_console.config import KafkaConfig, Profile, StoreConfig
from mongo_dr_console.model import coverage as covering
from mongo_dr_console.model.backupfacts import StoreFacts
from mongo_dr_console.model.catalogue import SnapshotEntry
from mongo_dr_console.model.coverage import Coverage, LiveOplog, Unread
from mongo_dr_console.model.estimate import Measured, Work
from mongo_dr_console.model.eventfacts import EventFacts, restored, undone
from mongo_dr_console.model.eventscan import Filter
from mongo_dr_console.model.lock import LockInfo
from mongo_dr_console.model.oplogfacts import OplogFacts
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.reading import SourceError
from mongo_dr_console.model.readings import EVENTS, KAFKA, LOCK, Readings
from mongo_dr_console.model.setstatus import SetStatus
from mongo_dr_console.model.streamfacts import KeptTopic
from mongo_dr_console.model.stretch import Stretch
from mongo_dr_console.model.trouble import Trouble, Unreachable
from mongo_dr_console.mongo.client import AsyncClient, Client, connect, connect_async, told
from mongo_dr_console.mongo.locks import read_lock_async
from mongo_dr_console.mongo.members import member_uri, seeds
from mongo_dr_console.mongo.oplogstats import read_live, read_oplog
from mongo_dr_console.mongo.setstatus import ask_members, read_set_status
from mongo_dr_console.workers.alertsource import AlertsSource
from mongo_dr_console.workers.eventhunt import EventHunt
from mongo_dr_console.workers.failover_state import FailoverStateSource
from mongo_dr_console.workers.jobsource import JobsSource
from mongo_dr_console.workers.streamstate import StreamStateSource
from mongo_dr_console.workers.threads import DaemonThreads, OneCall, settle

if TYPE_CHECKING:
    from mongo_dr_console.stores.remembered import Remembered
    from mongo_dr_console.stores.store import Store
    from mongo_dr_console.stream.coverage import Stored
    from mongo_dr_console.stream.kafka_keep import KafkaKeep
    from mongo_dr_console.stream.keep import Keep

T_co = TypeVar("T_co", covariant=True)

SELECTION_SECONDS = 2.0
"""How long a server is looked for."""
_TOPIC_SECONDS = 3.0
"""How long a look into the topic may take; half of that where coverage waits for it."""
_DIRECT_AFTER = 1.0
"""From when on members are asked one by one while the set as a whole has not answered."""


class Source(Protocol[T_co]):
    """One thing that is polled.

    Args:
        name: As in the readings; a store's is ``store:NAME``.
        interval: Seconds between two tries when all is well.
        timeout: Seconds after which a try is given up.
    """

    name: str
    interval: float
    timeout: float

    async def read(self) -> tuple[T_co, str]:
        """The value and who gave it; raises whatever went wrong."""
        ...


class Deployment:
    """The clients of one deployment in one event loop: one for the set, one a member when that is needed."""

    def __init__(self, profile: Profile) -> None:
        self._uri = profile.connection_uri()
        self._client: AsyncClient | None = None
        self._blocking: Client | None = None
        self._direct: dict[str, AsyncClient] = {}
        self._known: tuple[str, ...] = seeds(self._uri)

    @property
    def client(self) -> AsyncClient:
        if self._client is None:
            self._client = connect_async(self._uri, seconds=SELECTION_SECONDS)
        return self._client

    @property
    def blocking(self) -> Client:
        """A client for one thread that reads much: any member may answer."""
        if self._blocking is None:
            self._blocking = connect(self._uri, any_member=True, seconds=SELECTION_SECONDS)
        return self._blocking

    def remember(self, status: SetStatus) -> None:
        """Keeps the members' names: they are asked directly when the set has no primary."""
        if status.members:
            self._known = tuple(m.name for m in status.members)

    def direct(self) -> dict[str, AsyncClient]:
        """A client for each member that is known, by its name."""
        for name in self._known:
            if name not in self._direct:
                uri = member_uri(self._uri, name)
                self._direct[name] = connect_async(uri, direct=True, seconds=SELECTION_SECONDS)
        return {name: self._direct[name] for name in self._known}

    async def close(self) -> None:
        clients = [c for c in (self._client, *self._direct.values()) if c is not None]
        self._client, self._direct = None, {}
        blocking, self._blocking = self._blocking, None
        if blocking is not None:
            # In a thread that nobody waits for: it may be in the middle of a call that hangs.
            DaemonThreads().submit(blocking.close)
        await asyncio.gather(*(c.close() for c in clients), return_exceptions=True)


class SetSource:
    name, interval, timeout = "set", 2.0, 5.0

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment

    async def read(self) -> tuple[SetStatus, str]:
        """Through the set; where that takes long or shows no primary, from the members one by one."""
        whole = asyncio.ensure_future(read_set_status(self._deployment.client))
        # Where the members' own answers come first, nobody asks for its error any more.
        whole.add_done_callback(settle)
        try:
            await asyncio.wait({whole}, timeout=_DIRECT_AFTER)
            status = _succeeded(whole)
            if status is None or status.primary is None:
                status = await self._each(whole, status)
        finally:
            whole.cancel()
        self._deployment.remember(status)
        return status, status.told_by

    async def _each(self, whole: asyncio.Future[SetStatus], seen: SetStatus | None) -> SetStatus:
        if seen is not None:
            self._deployment.remember(seen)
        try:
            return await ask_members(self._deployment.direct(), seconds=SELECTION_SECONDS)
        except (PyMongoError, TimeoutError) as error:
            status = seen or _succeeded(whole)
            if status is not None:
                return status
            raise _worse(whole, error) from None


def _succeeded(future: asyncio.Future[SetStatus]) -> SetStatus | None:
    if not future.done() or future.cancelled() or future.exception() is not None:
        return None
    return future.result()


def _worse(whole: asyncio.Future[SetStatus], direct: Exception) -> Trouble:
    """A refused password says more than a timeout; where nobody answered at all, that is what is said."""
    first = whole.exception() if whole.done() else None
    if isinstance(first, Trouble):
        return first
    for error in (first, direct):
        if isinstance(error, OperationFailure):
            return told(error)
    return nobody_answers()


def nobody_answers() -> Unreachable:
    return Unreachable(
        "deployment-unreachable",
        "No member of the deployment answers.",
        "Check the addresses, the network and the members' processes.",
    )


class OplogSource:
    name, interval, timeout = "oplog", 5.0, 5.0

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment

    async def read(self) -> tuple[OplogFacts, str]:
        try:
            facts = await read_oplog(self._deployment.client)
        except ServerSelectionTimeoutError:
            raise nobody_answers() from None
        return facts, facts.told_by


class StoreSource:
    interval, timeout = 15.0, 5.0

    def __init__(self, name: str, config: StoreConfig, threads: DaemonThreads) -> None:
        self.name = f"store:{name}"
        self._store = name
        self._config = config
        self._thread = OneCall(threads)
        self._known: Remembered | None = None

    async def read(self) -> tuple[StoreFacts, str]:
        facts = await self._thread.call(self._list)
        return facts, facts.where

    def _list(self) -> StoreFacts:
        from mongo_dr_console.model.drill import last_good
        from mongo_dr_console.model.drill import records as drill_records
        from mongo_dr_console.stores import ledger
        from mongo_dr_console.stores.catalogue import list_snapshots
        from mongo_dr_console.stores.open import open_store
        from mongo_dr_console.stores.remembered import Remembered

        store = open_store(self._store, self._config)
        # One look at a time: the thread is this source's own.
        self._known = self._known or Remembered()
        snapshots = tuple(list_snapshots(store, self._known, whole=False))
        records = ledger.read_all(store, "restores")
        drills = drill_records(ledger.read_all(store, "drills", self._known))
        return StoreFacts(
            self._store,
            store.describe(),
            snapshots,
            taken_at=datetime.now(UTC),
            measured=measured_restores(records),
            restored=restored(records),
            undone=undone(records),
            drilled=last_good(drills),
        )


class TopicSource:
    """What lies in the Kafka topic. A broker that hangs holds up this reading alone: coverage asks it only
    while this one is well."""

    name, interval, timeout = KAFKA, 5.0, 5.0

    def __init__(self, config: KafkaConfig, threads: DaemonThreads) -> None:
        self._config = config
        self._thread = OneCall(threads)
        self._keep: KafkaKeep | None = None

    async def read(self) -> tuple[KeptTopic, str]:
        topic = await self._thread.call(self._look)
        return topic, topic.bootstrap

    def _look(self) -> KeptTopic:
        from mongo_dr_console.stream.kafka_keep import KafkaKeep

        if self._keep is None:
            self._keep = KafkaKeep(self._config, within=_TOPIC_SECONDS)
        return self._keep.look()


class CoverageSource:
    name, interval, timeout = "coverage", 5.0, 5.0

    def __init__(
        self,
        deployment: Deployment,
        profile: Profile,
        view: Callable[[], Readings],
        threads: DaemonThreads,
    ) -> None:
        self._deployment = deployment
        self._profile = profile
        self._view = view
        self._thread = OneCall(threads)
        self._stores: dict[str, Store] = {}
        self._keeps: dict[str, Keep] = {}

    async def read(self) -> tuple[Coverage, str]:
        """From what the stores and the oplog said last, the segments in the stores, the topic, and the live
        oplog's entries at the joints.

        Raises:
            Unreachable: No store can be read, so that nothing can be said.
        """
        readings = self._view()
        readable = [r.value for r in readings.stores.values() if r.value is not None and r.error is None]
        if self._profile.stores and not readable:
            error = None if readings.backups is None else readings.backups.error
            why = "." if error is None else f": {error.message}"
            raise Unreachable(
                "stores-unreadable",
                f"No store can be read, so it is not known what can be restored to{why}",
                "See the stores' errors: mdr doctor",
            )
        snapshots = [s for facts in readable for s in facts.snapshots]
        names = [facts.name for facts in readable]
        dead = _dead(readings)
        began = time.monotonic()
        found = await self._thread.call(lambda: self._stored(names, snapshots, kafka=not dead))
        left = self.timeout - 1 - (time.monotonic() - began)
        live, error = await self._live(readings, snapshots, found.stretches, left)
        oplog = None if readings.oplog is None else readings.oplog.value
        built = covering.build(
            snapshots,
            live,
            now=datetime.now(UTC),
            oplog=oplog,
            live_error=error,
            stretches=found.stretches,
            damage=found.damage,
            unread=(*found.unread, *dead),
        )
        return built, ", ".join(names)

    def _stored(self, stores: list[str], snapshots: list[SnapshotEntry], *, kafka: bool) -> Stored:
        from mongo_dr_console.stores.open import open_store
        from mongo_dr_console.stream.coverage import stored
        from mongo_dr_console.stream.sinks import keeps_of

        if set(stores) != set(self._stores):
            self._stores = {name: open_store(name, self._profile.stores[name]) for name in stores}
            # What was read before is read again only where a store came or went.
            self._keeps = keeps_of(self._profile, self._stores.values(), within=_TOPIC_SECONDS / 2)
        return stored(snapshots, {n: k for n, k in self._keeps.items() if kafka or n != KAFKA})

    async def _live(
        self,
        readings: Readings,
        snapshots: list[SnapshotEntry],
        stretches: tuple[Stretch, ...],
        seconds: float,
    ) -> tuple[LiveOplog | None, SourceError | None]:
        if readings.set is not None and readings.set.error is not None:
            return None, readings.set.error
        try:
            async with asyncio.timeout(max(1.0, seconds)):
                return await self._joints(snapshots, stretches), None
        except Exception as error:  # whatever it is, the stores' part stays true
            return None, explain(error)

    async def _joints(
        self, snapshots: list[SnapshotEntry], stretches: tuple[Stretch, ...]
    ) -> LiveOplog | None:
        """The live oplog with its answers; where a stretch parted from it, asked until it is known where."""
        live: LiveOplog | None = None
        asked: set[Position] = set()
        while True:
            wanted = set(covering.wanted_hashes(snapshots, stretches, live))
            if live is not None and wanted <= asked:
                break
            asked |= wanted
            newest_first = tuple(sorted(asked, reverse=True))
            live = await read_live(self._deployment.client, newest_first, self._profile.environment)
        return live


def _dead(readings: Readings) -> tuple[Unread, ...]:
    """The topic, while it does not answer."""
    if readings.kafka is None or readings.kafka.error is None:
        return ()
    return (Unread(KAFKA, readings.kafka.error),)


class EventsSource:
    """Destructive events of the live oplog; a drop is to be seen within seconds."""

    name, interval, timeout = EVENTS, 3.0, 10.0

    def __init__(self, deployment: Deployment, profile: Profile, threads: DaemonThreads) -> None:
        self._deployment = deployment
        self._thread = OneCall(threads)
        self._hunt = EventHunt(Filter(ignored=profile.ignored))

    async def read(self) -> tuple[EventFacts, str]:
        """What is known by now. A try that is given up goes on in its thread, and the next one has what it
        found."""
        return await self._thread.call(self._look), ""

    def _look(self) -> EventFacts:
        from mongo_dr_console.stream.live import LiveOplog

        try:
            return self._hunt.look(LiveOplog(self._deployment.blocking))
        except Unreachable as trouble:
            if trouble.code == nobody_answers().code:
                raise nobody_answers() from None
            raise


class LockSource:
    """Who writes to the deployment, from whichever host."""

    name, interval, timeout = LOCK, 1.0, 3.0

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment

    async def read(self) -> tuple[LockInfo | None, str]:
        try:
            lock = await read_lock_async(self._deployment.client)
        except ServerSelectionTimeoutError:
            raise nobody_answers() from None
        return lock, "" if lock is None else lock.host


def measured_restores(documents: list[dict[str, Any]]) -> tuple[Measured, ...]:
    """From the ledger: restores that were done, with their work and how long they took."""
    found = []
    for document in documents:
        seconds, documents_done = document.get("seconds"), document.get("documents")
        done = document.get("state", "done") == "done" and document.get("success", True)
        if not (done and isinstance(seconds, int | float) and isinstance(documents_done, int)):
            continue
        work = Work(documents_done, _count(document.get("bytes")), _count(document.get("operations")))
        found.append(Measured(work, float(seconds)))
    return tuple(found)


def _count(value: object) -> int:
    return value if isinstance(value, int) else 0


def explain(error: BaseException) -> SourceError:
    """Why a source gave no value, in words."""
    if isinstance(error, PyMongoError):
        error = told(error)
    if isinstance(error, Trouble):
        return SourceError(error.code, error.message, error.hint)
    if isinstance(error, TimeoutError):
        return SourceError("timed-out", "No answer in time.", "It is asked again by itself.")
    if isinstance(error, OSError):
        return SourceError("unreadable", f"It cannot be read: {error.strerror or type(error).__name__}.")
    return SourceError("failed", f"It failed unexpectedly: {type(error).__name__}.", "This is a defect.")


def all_sources(
    profile_name: str, profile: Profile, view: Callable[[], Readings]
) -> tuple[Mapping[str, Source[Any]], Deployment]:
    """Every source of a profile, coverage last since it builds on the others, and what is to be closed."""
    threads = DaemonThreads()
    deployment = Deployment(profile)
    sources: list[Source[Any]] = [
        SetSource(deployment),
        OplogSource(deployment),
        *(StoreSource(name, config, threads) for name, config in profile.stores.items()),
        EventsSource(deployment, profile, threads),
        JobsSource(profile_name, profile, threads),
        LockSource(deployment),
        StreamStateSource(profile_name, profile, threads),
        AlertsSource(profile_name, profile, view, threads),
        FailoverStateSource(profile_name, profile, threads),
        *([] if profile.oplog.kafka is None else [TopicSource(profile.oplog.kafka, threads)]),
        CoverageSource(deployment, profile, view, threads),
    ]
    return {s.name: s for s in sources}, deployment
