"""The sources that pollers ask: the set, its oplog, the stores, coverage, the jobs of this host."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

from pymongo.errors import OperationFailure, PyMongoError, ServerSelectionTimeoutError

from mongo_dr_console.config import DurationThreshold, Profile, StoreConfig
from mongo_dr_console.model import coverage as covering
from mongo_dr_console.model.backupfacts import StoreFacts
from mongo_dr_console.model.coverage import Coverage, LiveOplog
from mongo_dr_console.model.estimate import Measured, Work
from mongo_dr_console.model.jobfacts import JobFacts
from mongo_dr_console.model.oplogfacts import OplogFacts
from mongo_dr_console.model.reading import SourceError
from mongo_dr_console.model.readings import Limits, Readings, Threshold
from mongo_dr_console.model.setstatus import SetStatus
from mongo_dr_console.model.trouble import Trouble, Unreachable
from mongo_dr_console.mongo.client import AsyncClient, connect_async, told
from mongo_dr_console.mongo.members import member_uri, seeds
from mongo_dr_console.mongo.oplogstats import read_live, read_oplog
from mongo_dr_console.mongo.setstatus import ask_members, read_set_status
from mongo_dr_console.workers.threads import DaemonThreads

T_co = TypeVar("T_co", covariant=True)
R = TypeVar("R")

SELECTION_SECONDS = 2.0
"""How long a server is looked for."""
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
        self._direct: dict[str, AsyncClient] = {}
        self._known: tuple[str, ...] = seeds(self._uri)

    @property
    def client(self) -> AsyncClient:
        if self._client is None:
            self._client = connect_async(self._uri, seconds=SELECTION_SECONDS)
        return self._client

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
        await asyncio.gather(*(c.close() for c in clients), return_exceptions=True)


class SetSource:
    name, interval, timeout = "set", 2.0, 5.0

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment

    async def read(self) -> tuple[SetStatus, str]:
        """Through the set; where that takes long or shows no primary, from the members one by one."""
        whole = asyncio.ensure_future(read_set_status(self._deployment.client))
        # Where the members' own answers come first, nobody asks for its error any more.
        whole.add_done_callback(_settle)
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


def _settle(future: asyncio.Future[Any]) -> None:
    if not future.cancelled():
        future.exception()


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


class _InThread:
    """Calls that block, one in flight: a hanging one is waited for, never joined by a second."""

    def __init__(self, threads: DaemonThreads) -> None:
        self._threads = threads
        self._pending: asyncio.Future[Any] | None = None

    async def call(self, function: Callable[[], R]) -> R:
        if self._pending is not None and not self._pending.done():
            await asyncio.shield(self._pending)
        future = asyncio.get_running_loop().run_in_executor(self._threads, function)
        # Whoever gave up waiting does not ask for the error any more.
        future.add_done_callback(_settle)
        self._pending = future
        return await asyncio.shield(future)


class StoreSource:
    interval, timeout = 15.0, 5.0

    def __init__(self, name: str, config: StoreConfig, threads: DaemonThreads) -> None:
        self.name = f"store:{name}"
        self._store = name
        self._config = config
        self._thread = _InThread(threads)

    async def read(self) -> tuple[StoreFacts, str]:
        facts = await self._thread.call(self._list)
        return facts, facts.where

    def _list(self) -> StoreFacts:
        from mongo_dr_console.stores import ledger
        from mongo_dr_console.stores.catalogue import list_snapshots
        from mongo_dr_console.stores.open import open_store

        store = open_store(self._store, self._config)
        snapshots = tuple(list_snapshots(store))
        restores = measured_restores(ledger.read_all(store, "restores"))
        return StoreFacts(
            self._store,
            store.describe(),
            snapshots,
            taken_at=datetime.now(UTC),
            measured=restores,
        )


class CoverageSource:
    name, interval, timeout = "coverage", 5.0, 5.0

    def __init__(
        self, deployment: Deployment, environment: str, view: Callable[[], Readings], stores: int
    ) -> None:
        self._deployment = deployment
        self._environment = environment
        self._view = view
        self._stores = stores

    async def read(self) -> tuple[Coverage, str]:
        """From what the stores and the oplog said last, and the live oplog's entries at the joints.

        Raises:
            Unreachable: No store can be read, so that nothing can be said.
        """
        readings = self._view()
        readable = [r.value for r in readings.stores.values() if r.value is not None and r.error is None]
        if self._stores and not readable:
            raise Unreachable(
                "stores-unreadable",
                "No store can be read, so it is not known what can be restored to.",
                "See the stores' errors: mdr doctor",
            )
        snapshots = [s for facts in readable for s in facts.snapshots]
        live, error = await self._live(readings, covering.wanted_hashes(snapshots))
        oplog = None if readings.oplog is None else readings.oplog.value
        built = covering.build(snapshots, live, now=datetime.now(UTC), oplog=oplog, live_error=error)
        return built, ", ".join(facts.name for facts in readable)

    async def _live(
        self, readings: Readings, joints: tuple[Any, ...]
    ) -> tuple[LiveOplog | None, SourceError | None]:
        if readings.set is not None and readings.set.error is not None:
            return None, readings.set.error
        try:
            reading = read_live(self._deployment.client, joints, self._environment)
            return await asyncio.wait_for(reading, self.timeout - 1), None
        except Exception as error:  # whatever it is, the stores' part stays true
            return None, explain(error)


class JobsSource:
    name, interval, timeout = "jobs", 2.0, 3.0

    def __init__(self, profile_name: str, profile: Profile, threads: DaemonThreads) -> None:
        self._profile_name = profile_name
        self._profile = profile
        self._thread = _InThread(threads)

    async def read(self) -> tuple[tuple[JobFacts, ...], str]:
        return await self._thread.call(self._list), ""

    def _list(self) -> tuple[JobFacts, ...]:
        from mongo_dr_console.workers.jobs import jobs_folder, list_jobs

        views = list_jobs(jobs_folder(self._profile))
        return tuple(job_facts(v) for v in views if v.profile == self._profile_name)


def job_facts(view: Any) -> JobFacts:
    """A ``JobView`` in short."""
    step = next((s for s in reversed(view.steps) if s.state == "running"), None)
    error = view.error
    return JobFacts(
        job=view.job,
        kind=view.kind,
        state=view.state,
        step="" if step is None else step.step,
        percent=None if step is None else step.percent,
        owner=view.owner,
        started_at=view.started_at or view.created_at,
        ended_at=view.ended_at,
        error=None if error is None else SourceError(error.code, error.message, error.hint),
    )


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


def limits_of(profile: Profile) -> Limits:
    """A profile's targets and thresholds as the model wants them."""
    thresholds, targets = profile.thresholds, profile.targets

    def seconds(threshold: DurationThreshold) -> Threshold:
        warning = threshold.warning
        return Threshold(
            threshold.critical.total_seconds(), None if warning is None else warning.total_seconds()
        )

    return Limits(
        rpo=targets.rpo.total_seconds(),
        rto=targets.rto.total_seconds(),
        backup_age=seconds(thresholds.backup_age),
        size_delta=Threshold(thresholds.size_delta.critical, thresholds.size_delta.warning),
        restore_test_age=seconds(thresholds.restore_test_age),
        oplog_lag=seconds(thresholds.oplog_lag),
        margin=seconds(thresholds.margin),
        streamed=profile.oplog.kafka is not None or profile.oplog.segments is not None,
    )


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
        JobsSource(profile_name, profile, threads),
        CoverageSource(deployment, profile.environment, view, len(profile.stores)),
    ]
    return {s.name: s for s in sources}, deployment
