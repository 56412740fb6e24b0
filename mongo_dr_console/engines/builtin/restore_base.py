"""What every part of a restore has: its request and state, its journal, its patience, and its scope."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from pymongo.errors import PyMongoError

from mongo_dr_console.engines.builtin.replay_run import ReplayRun
from mongo_dr_console.engines.builtin.restore_request import RestoreRequest
from mongo_dr_console.engines.builtin.restore_state import RestoreState
from mongo_dr_console.model.namespace import Namespace, Patterns, is_of_logins
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.progress import Checkpoint, Note, Progress, Report
from mongo_dr_console.model.skip import LeavingOut
from mongo_dr_console.model.timeline import Staged
from mongo_dr_console.model.trouble import Failed
from mongo_dr_console.mongo.client import Client, told
from mongo_dr_console.mongo.durability import Confirmation, TermChanged, is_lost_primary, wait_for_primary
from mongo_dr_console.mongo.oplog import majority_position
from mongo_dr_console.mongo.pace import hold_pace

T = TypeVar("T")

PRIMARY_PATIENCE_SECONDS = 180
FOLLOW_BYTES = 8 * 1024 * 1024
"""The follower is waited for after this much was written; a sixth of the smallest oplog there should be."""

_ATTEMPTS = 40
_UNCHANGED = "Nothing live was changed"


@dataclass(slots=True)
class RestoreBase:
    """The parts of a restore are layers, each a class over the one before with a subject of its own: replay,
    load, build, time series, and all of them put together.

    Args:
        client: To the deployment that is written to.
        request: What to do.
        report: Journals every progress event.
        guard: Asked at safe points; raises to stop, or when the lock is lost.
    """

    client: Client
    request: RestoreRequest
    report: Report
    guard: Callable[[], None]
    state: RestoreState = field(init=False)
    run: ReplayRun = field(init=False)
    _settled: set[Namespace] = field(default_factory=set)
    _stale: bool = False
    _unfollowed: int = 0
    _skips: LeavingOut = field(init=False)
    _targets: dict[Namespace, Namespace] = field(init=False)
    _patterns: Patterns = field(init=False)

    def __post_init__(self) -> None:
        self.state = RestoreState.of(self.request.checkpoints)
        self._patterns = self.request.plan.patterns
        planned = self.request.plan.namespaces
        self._targets = {Namespace.parse(n.source): Namespace.parse(n.target) for n in planned}

    def _note(self, event: Progress) -> None:
        self.report(event)
        if isinstance(event, Checkpoint):
            self.state.take(event)

    def _confirmation(self) -> Confirmation:
        return Confirmation.begin(self.client, self.request.job, self._waiting)

    def _waiting(self, text: str) -> None:
        self.report(Note(text))
        self.guard()

    def _guarded_pace(self) -> None:
        self.guard()
        self._keep_close(FOLLOW_BYTES)
        self._pace()

    def _keep_close(self, weight: int) -> None:
        """Waits for the follower before this job's own writes can roll the oplog over under it."""
        self._unfollowed += weight
        if self.request.follower is not None and self._unfollowed >= FOLLOW_BYTES:
            self._unfollowed = 0
            self._wait_for_now()

    def _pace(self) -> None:
        hold_pace(self.client, self._waiting)

    def _wait_for_now(self, seconds: float = 120) -> None:
        assert self.request.follower is not None
        now, _ = majority_position(self.client)
        latest = self.client.local["oplog.rs"].find_one({}, {"ts": 1}, sort=[("$natural", -1)])
        target = max(now, Position.of(latest["ts"])) if latest else now
        self.request.follower.wait_for(target, seconds, self.guard)

    def _persist(self, work: Callable[[], T]) -> T:
        """Does a step, again when the primary was lost in the middle of it."""
        for _ in range(_ATTEMPTS):
            try:
                return work()
            except TermChanged:
                pass
            except PyMongoError as error:
                if not is_lost_primary(error):
                    raise told(error) from None
            self.report(Note("the primary was lost: going back to what a majority has", "warning"))
            wait_for_primary(self.client, PRIMARY_PATIENCE_SECONDS, self.guard)
        raise Failed(
            "primary-unsteady",
            f"The primary was lost {_ATTEMPTS} times in one step. Nothing live was changed by that.",
            "When the deployment is steady again: mdr jobs resume",
        )

    @property
    def _closure(self) -> frozenset[Namespace]:
        return frozenset(Namespace.parse(text) for text in self.request.plan.tracked)

    def _wanted(self, namespace: Namespace) -> bool:
        if is_of_logins(namespace):
            return self.request.plan.users
        return self._patterns.match(namespace)

    def _tracked(self, namespace: Namespace) -> bool:
        return self._wanted(namespace) or namespace in self._closure

    def _refusing(self, name: str) -> Callable[[str, bytes], None]:
        """Takes the documents of a namespace that the server refuses."""

        def refuse(why: str, raw: bytes) -> None:
            self.request.rejects.add(name, why, raw)
            self._stop_on_error(f"a document of {name} was refused: {why}")

        return refuse

    def _stop_on_error(self, what: str) -> None:
        """Raises Failed where the plan says that the first refusal is the end."""
        if not self.request.plan.intent.stop_on_error:
            return
        dropped = bool(self.state.dropped or self.state.series)
        left = "What the plan drops was dropped; the safety snapshot has it" if dropped else _UNCHANGED
        raise Failed(
            "stopped-on-error",
            f"The restore ended at the first error, as asked: {what}. {left}.",
            "Without --stop-on-error the rest is restored, and what was refused is listed.",
        )

    def _is_short(self, staged: Staged) -> bool:
        """Whether the server did not take all that the snapshot has for it."""
        return bool(self.state.rejected.get(staged.number))
