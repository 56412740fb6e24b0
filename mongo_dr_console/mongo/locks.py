"""The lock document in a deployment that is written to: it keeps a second restore out and shows the first.

``mongo_dr.locks`` holds ``{_id: "restore"}`` while a job writes, and ``{_id: "fencing"}`` with the number
that rises with every lock taken, so that an owner who was given up for dead learns it.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

import pymongo
from pymongo import ReadPreference, ReturnDocument, WriteConcern
from pymongo.collection import Collection
from pymongo.errors import DuplicateKeyError, OperationFailure, PyMongoError, ServerSelectionTimeoutError

from mongo_dr_console.host import this_boot
from mongo_dr_console.model.lock import STALE_SECONDS, LockInfo, locked
from mongo_dr_console.model.progress import Progress, Report, StepProgress, StepStarted
from mongo_dr_console.model.trouble import Refused, Trouble, Unreachable
from mongo_dr_console.mongo.client import AsyncClient, Client, told

DATABASE = "mongo_dr"
COLLECTION = "locks"
LOCK = "restore"
FENCING = "fencing"

BEAT_SECONDS = 2.0
ACQUIRE_SECONDS = 30.0
_ANSWER_SECONDS = 10.0
_RELEASE_SECONDS = 15.0
_WRITE_BLOCKED = 371

_WITH_AGE: list[dict[str, Any]] = [
    {"$match": {"_id": LOCK}},
    {"$set": {"age": {"$subtract": ["$$NOW", "$heartbeat"]}}},
]

_Locks = Collection[dict[str, Any]]


def read_lock(client: Client) -> LockInfo | None:
    """Who has the lock, None where nobody has. Asks the primary, or a secondary where there is none.

    Raises:
        Trouble: The deployment does not answer, or the user may not read ``mongo_dr``.
    """
    locks = _locks(client).with_options(read_preference=ReadPreference.PRIMARY_PREFERRED)
    try:
        with pymongo.timeout(_ANSWER_SECONDS):
            found = list(locks.aggregate(_WITH_AGE))
    except PyMongoError as error:
        raise told(error) from None
    return _info(found[0]) if found else None


async def read_lock_async(client: AsyncClient, *, limit_ms: int = 2000) -> LockInfo | None:
    """The same for pollers. Raises what the driver says."""
    locks = client[DATABASE].get_collection(COLLECTION, read_preference=ReadPreference.PRIMARY_PREFERRED)
    cursor = await locks.aggregate(_WITH_AGE, maxTimeMS=limit_ms)
    found = await cursor.to_list(1)
    return _info(found[0]) if found else None


def remove_lock(client: Client, lock: LockInfo) -> bool:
    """Takes away the lock as it was read; False where it has changed hands since."""
    try:
        with pymongo.timeout(_ANSWER_SECONDS):
            gone = _majority(client).delete_one({"_id": LOCK, "job": lock.job, "fencing": lock.fencing})
    except PyMongoError as error:
        raise told(error) from None
    return gone.deleted_count == 1


def _info(document: dict[str, Any]) -> LockInfo:
    def moment(name: str) -> datetime:
        value: datetime = document[name]
        return value if value.tzinfo else value.replace(tzinfo=UTC)

    percent = document.get("percent")
    return LockInfo(
        job=str(document["job"]),
        kind=str(document["kind"]),
        owner=str(document["owner"]),
        host=str(document["host"]),
        pid=int(document["pid"]),
        boot=str(document.get("boot", "")),
        fencing=int(document["fencing"]),
        step=str(document.get("step", "")),
        percent=None if percent is None else float(percent),
        started=moment("started"),
        heartbeat=moment("heartbeat"),
        age_seconds=max(0.0, float(document["age"]) / 1000),
    )


def _locks(client: Client) -> _Locks:
    return client[DATABASE][COLLECTION]


def _majority(client: Client) -> _Locks:
    return _locks(client).with_options(write_concern=WriteConcern("majority"))


class DeploymentLock:
    """The right to write to a deployment, held by one job at a time, kept alive by a thread.

    A heartbeat is acknowledged by the primary alone: members that lag behind a restore must not make a living
    owner look dead. Taking and giving back are majority writes.

    Args:
        client: Of the deployment that is written to. Stays open at least until ``release`` or ``leave``.
        job: The job's id. A lock that the same job left behind (kill -9) is taken back.
        kind: What it does.
        owner: ``user@host`` of whoever started it.
        beat_seconds: Time between heartbeats.
        lost_after_seconds: How long no heartbeat may come through before the lock counts as not ours.
    """

    def __init__(
        self,
        client: Client,
        job: str,
        kind: str,
        owner: str,
        *,
        beat_seconds: float = BEAT_SECONDS,
        lost_after_seconds: float = STALE_SECONDS,
    ) -> None:
        self._client = client
        self._job, self._kind, self._owner = job, kind, owner
        self._beat_seconds, self._lost_after = beat_seconds, lost_after_seconds
        self._guard = threading.Lock()
        self._step = ""
        self._percent: float | None = None
        self._fencing: int | None = None
        self._lost: Trouble | None = None
        self._seen = 0.0
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def fencing(self) -> int | None:
        """This holding's number; None before ``acquire``."""
        return self._fencing

    def acquire(self, *, seconds: float = ACQUIRE_SECONDS) -> None:
        """Takes the lock and starts the heartbeat.

        Args:
            seconds: How long an election or a lagging majority is waited for.

        Raises:
            Refused: ``locked``: another job has it; ``write-blocked``: writes are blocked on the deployment.
            Unreachable: No primary, or no majority to confirm the lock; none is left behind knowingly.
        """
        try:
            with pymongo.timeout(seconds):
                number = self._next_fencing()
                self._take(number)
        except DuplicateKeyError:
            held = read_lock(self._client)
            if held is None:
                raise Refused(
                    "locked",
                    "Another job gave the lock of the deployment back just now. Nothing was changed.",
                    "Try again.",
                ) from None
            raise locked(held) from None
        except PyMongoError as error:
            raise _acquire_trouble(error) from None
        self._fencing, self._lost, self._seen = number, None, time.monotonic()
        self._ending.clear()
        self._thread = threading.Thread(target=self._beat, name="deployment-lock", daemon=True)
        self._thread.start()

    def _next_fencing(self) -> int:
        counter = _majority(self._client).find_one_and_update(
            {"_id": FENCING},
            {"$inc": {"number": 1}},
            upsert=True,
            return_document=ReturnDocument.AFTER,
        )
        assert counter is not None
        return int(counter["number"])

    def _take(self, number: int) -> None:
        """One write that inserts the lock or takes back ours; over a foreign one it collides on ``_id``."""
        fields = {
            "_id": LOCK,
            "job": self._job,
            "kind": self._kind,
            "owner": self._owner,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "boot": this_boot(),
            "fencing": number,
            "step": self._step,
            "percent": self._percent,
        }
        document: dict[str, Any] = {name: {"$literal": value} for name, value in fields.items()}
        document |= {"started": {"$ifNull": ["$started", "$$NOW"]}, "heartbeat": "$$NOW"}
        _majority(self._client).update_one(
            {"_id": LOCK, "job": self._job}, [{"$replaceWith": document}], upsert=True
        )

    def update(self, step: str, percent: float | None = None) -> None:
        """What the job is at; other hosts see it with the next heartbeat."""
        with self._guard:
            self._step, self._percent = step, percent

    def following(self, report: Report) -> Report:
        """The same reporting, which also keeps the lock's step and percent up to date."""

        def told_on(event: Progress) -> None:
            if isinstance(event, StepStarted):
                self.update(event.step, 0.0 if event.total else None)
            elif isinstance(event, StepProgress):
                self.update(event.step, min(100.0, 100 * event.done / event.total) if event.total else None)
            report(event)

        return told_on

    def check(self) -> None:
        """Raises ``Refused`` (``lock-lost``) where another has the lock or it was taken away, ``Unreachable``
        (``lock-unconfirmed``) where no heartbeat came through for too long. Called before each write that
        cannot be taken back; asks nothing of the server itself."""
        if self._fencing is None:
            raise RuntimeError("the lock was not acquired")
        if self._lost is not None:
            raise self._lost
        if time.monotonic() - self._seen > self._lost_after:
            raise Unreachable(
                "lock-unconfirmed",
                f"No heartbeat reached the deployment for {self._lost_after:.0f} s, so another job may have "
                "taken its lock; this one stopped writing.",
                f"When the deployment is back: mdr jobs resume {self._job}",
            )

    def heartbeat(self) -> None:
        """One heartbeat now, after which ``check`` is up to date.

        Raises:
            PyMongoError: It did not come through; tried again by the thread.
        """
        with self._guard:
            step, percent = self._step, self._percent
        change = {"heartbeat": "$$NOW", "step": {"$literal": step}, "percent": {"$literal": percent}}
        locks = _locks(self._client).with_options(write_concern=WriteConcern(1))
        asked = time.monotonic()
        with pymongo.timeout(_ANSWER_SECONDS):
            found = locks.update_one({"_id": LOCK, "fencing": self._fencing}, [{"$set": change}])
        if found.matched_count:
            self._seen = asked
        else:
            self._lost = Refused(
                "lock-lost",
                "The lock of the deployment was taken away from this job; it stopped writing.",
                f"See who has it: mdr status. To go on when it is free: mdr jobs resume {self._job}",
            )

    def _beat(self) -> None:
        while not self._ending.wait(self._beat_seconds) and self._lost is None:
            try:
                self.heartbeat()
            except OperationFailure as error:
                # While writes are blocked nobody else can take the lock either.
                if error.code == _WRITE_BLOCKED:
                    self._seen = time.monotonic()
            except PyMongoError:
                continue

    def leave(self) -> None:
        """Ends the heartbeat and leaves the document: the deployment is half-way through something that only
        this job's resume may finish."""
        self._ending.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(_ANSWER_SECONDS + 1)
            self._thread = None

    def release(self) -> bool:
        """Ends the heartbeat and removes the lock where it is still this holding's. Tries again while there
        is no primary or writes are blocked, for some seconds.

        Returns:
            False where the document could not be removed (the next job finds it stale) or was not ours.
        """
        self.leave()
        if self._fencing is None:
            return False
        number, self._fencing = self._fencing, None
        deadline = time.monotonic() + _RELEASE_SECONDS
        while True:
            try:
                with pymongo.timeout(_ANSWER_SECONDS):
                    gone = _majority(self._client).delete_one({"_id": LOCK, "fencing": number})
            except PyMongoError:
                if time.monotonic() > deadline:
                    return False
                time.sleep(0.2)
            else:
                return gone.deleted_count == 1

    def __enter__(self) -> DeploymentLock:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _acquire_trouble(error: PyMongoError) -> Trouble:
    if isinstance(error, OperationFailure) and error.code == _WRITE_BLOCKED:
        return Refused(
            "write-blocked",
            "Writes are blocked on the deployment (setUserWriteBlockMode), so its lock cannot be taken. "
            "Nothing was changed.",
            "mdr doctor says who blocked them and how to release that.",
        )
    if isinstance(error, ServerSelectionTimeoutError):
        return told(error)
    if error.timeout:
        return Unreachable(
            "no-majority",
            "The deployment has no majority that would confirm the lock. Nothing was changed.",
            "See which members are up: mdr status",
        )
    return told(error)
