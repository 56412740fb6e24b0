"""The lease in a store by which one of several agents leads; what makes it right is in ``model.lease``.

``agent/<set>/<id>/lease/<fence>.json``. The store need only write an object where there is none: S3 by a
conditional request, a directory by a link. Whose process is provably gone from this very host is not waited
for.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

from pydantic import ValidationError

from mongo_dr_console.model.lease import TERM_SECONDS, LeaseDocument, Patience
from mongo_dr_console.model.trouble import Failed, Trouble
from mongo_dr_console.stores import owner
from mongo_dr_console.stores.local import LocalStore
from mongo_dr_console.stores.store import Store, StoredObject

_KEPT = 20
"""Documents of leaders before, for whoever wants to know who led."""


def steady() -> float:
    """Seconds of a clock that nobody sets, and that runs on while the host sleeps where there is such a
    one."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


@dataclass(slots=True)
class Lease:
    """One deployment's lease, as one agent sees it. One thread uses it.

    Args:
        store: That agents share.
        folder: Of the deployment there, with a slash at its end.
        profile: Whose agent asks.
        clock: In seconds; only runs forward.
    """

    store: Store
    folder: str
    profile: str
    clock: Callable[[], float] = steady
    _patience: Patience = field(default_factory=Patience)
    _known: tuple[StoredObject, LeaseDocument | None] | None = None

    def take(self) -> Grip | LeaseDocument:
        """The lease where it is free or over, else who has it.

        Raises:
            Trouble: The store does not answer, or may not be written to.
        """
        if isinstance(self.store, LocalStore):
            self.store.root.mkdir(parents=True, exist_ok=True)
        began = self.clock()
        newest = self._newest()
        if newest is None:
            return self._write(1)
        over = self._patience.is_over(newest, began, self.clock())
        document = self._read(newest)
        # A process that is gone was the leader for good; one that is only stopped is not gone.
        gone = document is not None and (document.ended or _is_gone(document))
        if document is not None and not (over or gone):
            return document
        if document is None and not over:
            raise Failed("lease-damaged", f"{newest.path} in store {self.store.name} cannot be understood.")
        return self._write(_number(newest) + 1)

    def _write(self, fence: int) -> Grip | LeaseDocument:
        grip = Grip(self, fence, _document(self.profile, fence), self.clock() + TERM_SECONDS)
        try:
            taken = self.store.write_if_absent(grip.path, [grip.content()])
            newest = self._newest()
        except BaseException:
            # Whether it is there or not: we do not lead by it, and it says so.
            owner.forget(grip.document.mark)
            raise
        if taken and newest is not None and newest.path == grip.path:
            self._tidy(fence)
            return grip
        owner.forget(grip.document.mark)
        there = None if newest is None else self._read(newest)
        if there is None:
            raise Failed("lease-lost", f"The lease in store {self.store.name} was taken in between.")
        return there

    def _newest(self) -> StoredObject | None:
        found = [o for o in self.store.list(f"{self.folder}lease/") if _number(o)]
        return max(found, key=_number, default=None)

    def _read(self, stored: StoredObject) -> LeaseDocument | None:
        """None for what is no lease; what did not change is not asked for again."""
        if self._known is not None and self._known[0] == stored:
            return self._known[1]
        document = None
        with suppress(ValidationError):
            document = LeaseDocument.model_validate_json(b"".join(self.store.read(stored.path)))
        self._known = stored, document
        return document

    def _tidy(self, fence: int) -> None:
        with suppress(Trouble):
            for stored in list(self.store.list(f"{self.folder}lease/")):
                if 0 < _number(stored) <= fence - _KEPT:
                    self.store.delete(stored.path)


@dataclass(slots=True)
class Grip:
    """A lease that this agent has.

    Args:
        until: By the lease's clock: until when it may lead. Only ``renew`` moves it.
    """

    lease: Lease
    fence: int
    document: LeaseDocument
    until: float
    _turn: threading.Lock = field(default_factory=threading.Lock)

    @property
    def path(self) -> str:
        return f"{self.lease.folder}lease/{self.fence:010}.json"

    def content(self) -> bytes:
        return self.document.model_dump_json(by_alias=True).encode()

    def holds(self) -> bool:
        """Asked of the clock: a process that was stopped for a while finds its term over."""
        return self.lease.clock() < self.until

    def renew(self) -> bool:
        """Whether it still leads.

        Raises:
            Trouble: The store does not answer; the term runs on to its end.
        """
        began = self.lease.clock()
        with self._turn:
            self.document = self.document.model_copy(update={"renewed": self.document.renewed + 1})
            self.lease.store.write(self.path, [self.content()])
        newest = self.lease._newest()
        if newest is None or newest.path != self.path:
            return False
        # Never after its end: by then somebody else may have seen it stand still.
        if not self.holds():
            return False
        self.until = began + TERM_SECONDS
        return True

    def release(self) -> None:
        """Gives it back, after everything that was done by it has ended; what cannot be written runs out by
        itself."""
        self.until = float("-inf")
        with self._turn, suppress(Trouble):
            self.document = self.document.model_copy(update={"ended": True})
            self.lease.store.write(self.path, [self.content()])
        owner.forget(self.document.mark)


def last_lease(store: Store, folder: str) -> tuple[LeaseDocument, datetime] | None:
    """Who leads, or led last, and when that was written, by the store's clock; for those that only look.

    Raises:
        Trouble: The store does not answer.
    """
    lease = Lease(store, folder, "")
    newest = lease._newest()
    document = None if newest is None else lease._read(newest)
    return None if newest is None or document is None else (document, newest.modified_at)


def _document(profile: str, fence: int) -> LeaseDocument:
    return LeaseDocument(
        profile=profile,
        host=socket.gethostname(),
        fence=fence,
        since=datetime.now(UTC),
        pid=os.getpid(),
        mark=owner.sign(),
    )


def _number(stored: StoredObject) -> int:
    """Of a lease's document; 0 for anything else."""
    name = stored.path.rpartition("/")[2].removesuffix(".json")
    return int(name) if name.isdigit() else 0


def _is_gone(document: LeaseDocument) -> bool:
    now = datetime.now(UTC)
    return owner.is_dead(document.mark, now, now)
