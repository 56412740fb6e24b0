"""The agent of one profile: it waits, stands by, leads or only watches, and says which, until it ends."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

from mongo_dr_console.agent.alone import AloneWatch
from mongo_dr_console.agent.bound import left_undone, may_write
from mongo_dr_console.agent.duty import Post, Shared, Tell
from mongo_dr_console.agent.orders import Orders
from mongo_dr_console.agent.term import Keeping, Watchkeeping
from mongo_dr_console.agent.whose import Whose
from mongo_dr_console.model.lease import Leader, LeaseDocument
from mongo_dr_console.model.streamfacts import Role, StreamFacts
from mongo_dr_console.model.trouble import Failed, Trouble, Unreachable
from mongo_dr_console.stores.agents_store import agents_store, deployment_folder
from mongo_dr_console.stores.lease import Grip, Lease
from mongo_dr_console.stores.local import LocalStore
from mongo_dr_console.stores.patience import LEASING
from mongo_dr_console.stores.store import Store
from mongo_dr_console.workers.agentplace import identity_file, own_place
from mongo_dr_console.workers.streamstate import state_file, write_state

_LOOK_SECONDS, _FAR_LOOK_SECONDS = 0.5, 2.0
_HOLDS_SECONDS = 0.25
_WRITE_SECONDS = 1.0
_ASK_SECONDS = 10.0


class ProfileAgent:
    """In threads of its own. It holds the lock of this profile on this host for its life.

    Args:
        orders: To begin with; see ``reload``.
        tell: A line for whoever looks after the process.
    """

    def __init__(self, orders: Orders, tell: Tell) -> None:
        self._orders, self._tell = orders, tell
        self._new: Orders | None = None
        self._stopped, self._news, self._done = threading.Event(), threading.Event(), threading.Event()
        self._started_at = datetime.now(UTC)
        self._whole = True
        self._role: Role = "waits"
        self._leader: Leader | None = None
        self._waits_for: Trouble | None = None
        self._watchkeeping: Watchkeeping | None = None
        self._told: dict[str, str] = {}
        self._thread = threading.Thread(target=self._run, name=f"mdr-agent-{orders.name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """What is being done is finished, then it ends; see ``join``."""
        self._stopped.set()
        self._news.set()

    def join(self, seconds: float) -> bool:
        """Whether it ended within that time, and everything that was read was made safe."""
        self._thread.join(seconds)
        return self._whole and not self._thread.is_alive()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def reload(self, orders: Orders) -> None:
        """From now on by these: duties begin anew, within the same term where that is possible."""
        self._new = orders
        self._news.set()

    # Competing

    def _run(self) -> None:
        writing = threading.Thread(target=self._write_on, name="mdr-state", daemon=True)
        writing.start()
        while not self._stopped.is_set():
            self._orders, self._new = self._new or self._orders, None
            try:
                self._serve(self._orders)
            except Exception as error:  # whatever it is, it is said, and tried again
                trouble = error if isinstance(error, Trouble) else _unexpected(error)
                self._stand("waits", None, trouble)
                self._pause(_FAR_LOOK_SECONDS)
        self._done.set()
        writing.join()

    def _serve(self, orders: Orders) -> None:
        """By these orders, until there are others that change whose lease it is."""
        store, writes = agents_store(orders.profile, LEASING), may_write(orders.profile)
        if store is None:
            if writes:
                self._tell(
                    f"profile {orders.name} has no store to share a lease in: this agent leads by itself"
                )
            self._lead(None, orders, own_place(orders.name, orders.profile))
            return
        file = identity_file(orders.name, orders.profile)
        whose = Whose(orders.profile.connection_uri(), orders.profile.environment, file)
        whose.start()
        try:
            if writes:
                self._compete(orders, whose, store)
            else:
                self._look_on(orders, whose, store)
        finally:
            whose.stop()

    def _look_on(self, orders: Orders, whose: Whose, store: Store) -> None:
        """Without a lease, which is written: whoever leads is neither hindered nor stood in for."""
        whose.asked.wait(_ASK_SECONDS)
        identity = whose.identity
        shared = None if identity is None else self._shared(orders, store, deployment_folder(identity))
        self._lead(None, orders, shared, whose)

    def _compete(self, orders: Orders, whose: Whose, store: Store) -> None:
        whose.asked.wait(_ASK_SECONDS)
        look = _LOOK_SECONDS if isinstance(store, LocalStore) else _FAR_LOOK_SECONDS
        lease: Lease | None = None
        alone, fence = AloneWatch(), 0
        try:
            while not self._stopped.is_set() and self._new is None:
                try:
                    lease = self._lease(orders, whose, store, lease)
                    found = lease.take()
                    alone.over()
                    if isinstance(found, LeaseDocument):
                        fence = found.fence
                        self._stand("stands-by", found.leader())
                    else:
                        fence = found.fence
                        self._lead(found, orders, self._shared(orders, store, lease.folder), whose)
                except Trouble as trouble:
                    self._stand("waits", None, trouble)
                    shared = None if lease is None else self._shared(orders, store, lease.folder)
                    alone.waits(partial(orders.post, tell=self._tell, shared=shared), fence)
                self._pause(look)
        finally:
            alone.over()

    @staticmethod
    def _lease(orders: Orders, whose: Whose, store: Store, known: Lease | None) -> Lease:
        """Raises Trouble where it is not known whose it is."""
        identity = whose.identity
        if identity is None:
            raise whose.trouble or Unreachable("deployment-unreachable", "The deployment is silent.")
        folder = deployment_folder(identity)
        return known if known is not None and known.folder == folder else Lease(store, folder, orders.name)

    @staticmethod
    def _shared(orders: Orders, store: Store, folder: str) -> Shared:
        return Shared(agents_store(orders.profile) or store, folder)

    def _pause(self, seconds: float) -> None:
        if not self._stopped.is_set() and self._new is None:
            self._news.wait(seconds)
        self._news.clear()

    # Leading

    def _lead(
        self, grip: Grip | None, orders: Orders, shared: Shared | None, whose: Whose | None = None
    ) -> None:
        """Until it is stopped, has other orders that need another lease, leads no longer, or the profile
        leads to another deployment than the lease is of. Who may write nothing leads nobody, and watches."""
        identity = None if whose is None else whose.identity

        def same() -> bool:
            return whose is None or whose.identity == identity

        keeping = Keeping(grip, self._tell, self._news.set)
        keeping.start()
        term, place = keeping.term, orders.place()
        if may_write(orders.profile):
            self._stand("alone" if grip is None else "leads", _leader(grip, orders.name))
        else:
            self._stand("watches", None)
        try:
            while True:
                self._keep_watch(orders.post(term, self._tell, shared), same)
                if grip is not None and not same():
                    self._tell("the profile points to another deployment than the lease is of")
                if self._stopped.is_set() or not term.holds():
                    return
                if self._new is None or self._new.place() != place:
                    return
                orders, self._new = self._new, None
                self._orders = orders
        finally:
            lost = not (self._stopped.is_set() or term.holds())
            keeping.end()
            if lost:
                self._tell("leads no longer: the lease could not be renewed in time, or another agent has it")

    def _keep_watch(self, post: Post, same: Callable[[], bool]) -> None:
        watchkeeping = Watchkeeping(post)
        self._watchkeeping = watchkeeping
        try:
            watchkeeping.start()
            while not self._stopped.is_set() and self._new is None and post.term.holds() and same():
                self._news.wait(_HOLDS_SECONDS)
                self._news.clear()
            if not post.term.holds():
                # By the clock: whoever waits for the event hears of it too.
                post.term.ended.set()
        finally:
            whole = watchkeeping.end()
            if self._stopped.is_set():
                self._whole = whole

    # Saying

    def _stand(self, role: Role, leader: Leader | None, trouble: Trouble | None = None) -> None:
        if role in ("stands-by", "waits"):
            self._watchkeeping = None
        self._role, self._leader, self._waits_for = role, leader, trouble
        if role == "leads" and leader is not None:
            self._tell_once("role", f"leads (term {leader.fence})")
        elif role == "stands-by" and leader is not None:
            since = f"{leader.since:%Y-%m-%d %H:%M:%S} UTC"
            self._tell_once(
                "role", f"stands by: profile {leader.profile} on {leader.host} leads since {since}"
            )
        elif role == "watches":
            self._tell_once("role", left_undone(self._orders.name, self._orders.profile))
        elif trouble is not None:
            self._tell_once("role", f"waits: {trouble.message}")

    def _write_on(self) -> None:
        while not self._done.wait(_WRITE_SECONDS):
            self._write()
        self._write(running=False)

    def _write(self, *, running: bool = True) -> None:
        orders = self._orders
        streaming = self._watchkeeping.streaming if self._watchkeeping is not None else None
        facts = StreamFacts(
            profile=orders.name,
            pid=os.getpid(),
            host=socket.gethostname(),
            started_at=self._started_at,
            written_at=datetime.now(UTC),
            running=running,
            committed=None if streaming is None else streaming.committed,
            sinks=() if streaming is None else streaming.sinks,
            role=self._role,
            leader=self._leader,
            waits_for=self._waits_for,
        )
        file = state_file(orders.name, orders.profile)
        try:
            write_state(file, facts)
        except OSError as error:
            self._tell_once("state", f"{file} cannot be written: {error.strerror}")
        if streaming is not None:
            streaming.tell_changes()

    def _tell_once(self, about: str, text: str) -> None:
        if self._told.get(about) != text:
            self._told[about] = text
            self._tell(text)


def _leader(grip: Grip | None, profile: str) -> Leader:
    if grip is not None:
        return grip.document.leader()
    return Leader(profile=profile, host=socket.gethostname(), fence=0, since=datetime.now(UTC))


def _unexpected(error: Exception) -> Failed:
    return Failed("agent-failed", f"The agent met an error: {type(error).__name__}: {error}")
