"""The run-book of one failover: what is done, in which order, and what happens when a step does not succeed.

Every step is written down before it begins and after it ended, so that a killed agent goes on with the step
that it was in; each may be taken twice without harm. The endpoint is written last of what decides: after a
member has proved that it is the primary, and never where this agent does not lead any more.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from pymongo.errors import PyMongoError

from mongo_dr_console.config import Profile
from mongo_dr_console.model.failover import Decision, Leader, Standing
from mongo_dr_console.model.failoverdoc import (
    STEPS,
    Cause,
    FailoverRecord,
    LostWrites,
    RunStep,
    check_order,
    content_of,
)
from mongo_dr_console.model.trouble import Refused, Trouble
from mongo_dr_console.mongo.client import told
from mongo_dr_console.workers.broadcasts import Broadcaster, message_of
from mongo_dr_console.workers.endpoints import EndpointWriter
from mongo_dr_console.workers.failover_state import now

if TYPE_CHECKING:
    import tenacity

_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0
_AGAIN_SECONDS = 30.0
"""Once a person was told, a step that must succeed is tried so often."""
_PROOF_TRIES, _PROOF_PAUSE = 6, 0.3
"""A majority may take seconds to find its new primary, where the former one hangs; it is not kept waiting."""


class Watching(Protocol):
    """What the run-book asks of the monitor."""

    def decision(self, known: Leader | None) -> Decision:
        """From the newest probes."""
        ...

    def wait(self, seconds: float) -> None:
        """Until something was heard, so many seconds at most."""
        ...


@dataclass(frozen=True, slots=True)
class Hands:
    """What a run-book acts with.

    Args:
        prove: See ``mongo.proof.prove_primary``; of the new primary.
        compare: See ``workers.failover_compare.compare``; former primary, its newest entry seen, the new one.
        last_seen: A member's newest entry that a probe saw.
        save: Writes the run-book down; raises where it cannot.
        tell: A line for whoever looks after the process.
        holds: Whether this process may act on the outside now.
        stop: Set when it is to end after the step that it is in.
        paused: Whether a person asked to leave the endpoint as it is for now.
        force: Whether a person asked for a switch to a lower term.
        insists: Whether proof and endpoint are tried until they succeed; else they fail once a person was
        told.
    """

    profile: Profile
    by: str
    fence: int
    set_name: Callable[[], str]
    watching: Watching
    prove: Callable[[Leader], None]
    endpoint: EndpointWriter | None
    broadcast: Broadcaster | None
    compare: Callable[[Leader | None, str, Leader], LostWrites]
    last_seen: Callable[[str], str]
    save: Callable[[FailoverRecord], None]
    tell: Callable[[str], None]
    holds: Callable[[], bool]
    stop: threading.Event
    paused: Callable[[], bool] = lambda: False
    force: bool = False
    insists: bool = True


@dataclass(frozen=True, slots=True)
class _Pace:
    """How a step is tried: so often before a person is told, and how long the pauses are before and after
    that."""

    tries: int
    longest: float = _LONGEST_PAUSE
    again: float = 0.0


class Ended(Exception):
    """The process is to end, or leads no longer: the run-book stays as it is."""


class _Elsewhere(Exception):
    """The new primary leads no longer, as far as is known: the run-book goes back to the election.

    Args:
        other: Whether another one leads.
    """

    def __init__(self, text: str, other: bool) -> None:
        super().__init__(text)
        self.other = other


class _CameBack(Exception):
    """The former primary is the primary still, in its term."""


def new_record(
    name: str, hands: Hands, cause: Cause, former: Leader | None, why: str, at: datetime | None = None
) -> FailoverRecord:
    """A run-book of which nothing is done yet."""
    return FailoverRecord(
        id=secrets.token_hex(4),
        profile=name,
        environment=hands.profile.environment,
        set_name=hands.set_name(),
        cause=cause,
        by=hands.by,
        fence=hands.fence,
        from_member=None if former is None else former.member,
        from_term=None if former is None else former.term,
        started_at=at or now(),
        why=why,
        steps=[RunStep.model_validate({"step": step}) for step in STEPS],
    )


class Run:
    """One run-book under way.

    Args:
        record: A new one, or one that a killed process left.
    """

    def __init__(self, hands: Hands, record: FailoverRecord) -> None:
        self._hands = hands
        self.record = record

    @property
    def former(self) -> Leader | None:
        record = self.record
        if record.from_member is None or record.from_term is None:
            return None
        return Leader(record.from_member, record.from_term)

    @property
    def leader(self) -> Leader:
        assert self.record.to is not None and self.record.to_term is not None
        return Leader(self.record.to, self.record.to_term)

    def run(self) -> FailoverRecord:
        """All that is left of it, up to its end.

        Raises:
            Ended: Before that; go on later from what was saved.
            Failed: It cannot be written down, so nothing more is done.
        """
        try:
            self._step("alert", self._alert)
            while not self._reached("endpoint"):
                try:
                    self._step("election", self._await_election)
                    self._step("verify", self._verify)
                    if self._failed():
                        return self._end()
                    self._step("endpoint", self._switch)
                    if self._failed():
                        return self._end()
                except _Elsewhere as found:
                    self._back_to_election(str(found), tell=found.other)
        except _CameBack as back:
            return self._superseded(str(back))
        self._step("broadcast", self._broadcast)
        self._step("compare", self._compare)
        self._step("all-clear", self._all_clear)
        return self._end()

    # The steps: each returns what came of it, or that there was nothing to do

    def _alert(self) -> str:
        text = f"failover {self.record.id}: {self.record.why}"
        self._hands.tell(text)
        return self.record.why

    def _await_election(self) -> str:
        hands, advised = self._hands, ""
        while True:
            decision = hands.watching.decision(self.former)
            leader = decision.leader
            if leader is not None and (decision.moved or self.former is None):
                self._change(to=leader.member, to_term=leader.term)
                return f"{leader.member} was elected in term {leader.term}."
            if decision.leader is not None and decision.leader == self.former:
                raise _CameBack(
                    f"{decision.leader.member} is the primary still, in its term: nothing to switch."
                )
            if decision.standing is Standing.ONLY_THIS_HOST:
                raise _CameBack(decision.text)
            if decision.advice and decision.advice != advised:
                advised = decision.advice
                hands.tell(f"failover {self.record.id}: {decision.text} {advised}")
                self._set_step("election", detail=decision.text, manual=advised)
            elif decision.text != self.record.step("election").detail and not advised:
                self._set_step("election", detail=decision.text)
            self._check_ended()
            hands.watching.wait(1.0)

    def _verify(self) -> str:
        def prove() -> None:
            self._hands.prove(self.leader)
            self._still_led()

        self._insist(
            "verify",
            prove,
            _Pace(_PROOF_TRIES, _PROOF_PAUSE, _PROOF_PAUSE),
            lambda: f"See why {self.leader.member} proves nothing: mdr status",
        )
        written = "" if self._hands.profile.access == "watch" else ", and a majority took a write"
        return f"{self.leader.member} is the primary of term {self.leader.term}{written}."

    def _switch(self) -> str | None:
        endpoint, hands = self._hands.endpoint, self._hands
        if endpoint is None:
            return None
        content = content_of(self.leader, self.record.set_name, now(), hands.by, hands.fence)

        def write() -> None:
            self._still_led()
            there = endpoint.read()
            if there is not None and there.leader == self.leader and there.set_name == content.set_name:
                return
            if not hands.force:
                check_order(there, content)
            if hands.paused():
                self._must_hold()
                self._still_led()
            self._must_hold()
            endpoint.write(content, force=hands.force)

        tries = 1 if hands.profile.endpoint is None else hands.profile.endpoint.tries
        self._insist("endpoint", write, _Pace(tries), lambda: endpoint.by_hand(content))
        return f"{endpoint.where} leads to {self.leader.member}."

    def _broadcast(self) -> str | None:
        broadcast, record = self._hands.broadcast, self.record
        again = record.from_member == record.to and record.cause != "by-hand"
        if broadcast is None or again:
            return None
        config = self._hands.profile.broadcast
        at = record.step("endpoint").ended_at or now()
        content = content_of(self.leader, record.set_name, at, self._hands.by, self._hands.fence)
        message = message_of(record.id, record.from_member, content)

        def send() -> None:
            self._must_hold()
            broadcast.send(message)

        manual = f"Tell the applications to connect to {self.leader.member} anew ({broadcast.where})."
        self._try("broadcast", send, _Pace(1 if config is None else config.tries), lambda: manual)
        return f"Sent: {broadcast.where}."

    def _compare(self) -> str:
        seen = "" if self.record.from_member is None else self._hands.last_seen(self.record.from_member)
        lost = self._hands.compare(self.former, seen, self.leader)
        self._change(lost=lost)
        return lost.text

    def _all_clear(self) -> str:
        stuck = self.record.stuck
        if stuck is not None:
            text = f"{self.leader.member} leads, and one step is to be taken by hand: {stuck.manual}"
        else:
            text = f"{self.leader.member} leads in term {self.leader.term}."
        self._hands.tell(f"failover {self.record.id}: {text}")
        return text

    # How a step goes

    def _step(self, name: str, work: Callable[[], str | None]) -> None:
        """Does it, where it is not done; its beginning and its end are on the disk before and after."""
        step = self.record.step(name)
        if step.state in ("done", "skipped", "failed"):
            return
        self._check_ended()
        if step.started_at is None:
            self._set_step(name, state="running", started_at=now())
        try:
            detail = work()
        except (Trouble, PyMongoError) as error:
            self._finish(name, "failed", trouble=told(error) if isinstance(error, PyMongoError) else error)
            return
        if detail is None:
            self._finish(name, "skipped", detail="Nothing to do.")
        else:
            self._finish(name, "done", detail=detail, trouble=None, manual="")

    def _finish(self, name: str, state: str, **more: object) -> None:
        ended, started = now(), self.record.step(name).started_at
        seconds = None if started is None else round((ended - started).total_seconds(), 3)
        self._set_step(name, state=state, ended_at=ended, seconds=seconds, **more)

    def _insist(self, name: str, work: Callable[[], None], pace: _Pace, manual: Callable[[], str]) -> None:
        """Tries until it succeeds: after so many tries a person is told, and it goes on more slowly."""
        while True:
            try:
                self._try(name, work, pace, manual)
                return
            except Trouble:
                if not self._hands.insists:
                    raise
                self._pause(pace.again or _AGAIN_SECONDS)
                pace = replace(pace, tries=1)

    def _try(self, name: str, work: Callable[[], None], pace: _Pace, manual: Callable[[], str]) -> None:
        import tenacity

        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(pace.tries),
            wait=tenacity.wait_exponential(multiplier=_FIRST_PAUSE, max=pace.longest),
            retry=tenacity.retry_if_exception(_may_pass),
            before=lambda state: self._count(name, state),
            sleep=self._pause,
            reraise=True,
        )
        try:
            retrying(work)
        except (Trouble, PyMongoError) as error:
            trouble = told(error) if isinstance(error, PyMongoError) else error
            new = self.record.step(name).trouble != trouble
            self._set_step(name, trouble=trouble, manual=manual())
            if new:
                self._hands.tell(
                    f"failover {self.record.id}: {name} does not succeed: {trouble} By hand: {manual()}"
                )
            raise trouble from None

    def _count(self, name: str, _: tenacity.RetryCallState) -> None:
        self._check_ended()
        self._set_step(name, attempts=self.record.step(name).attempts + 1)

    def _pause(self, seconds: float) -> None:
        """Shorter where the set moves on meanwhile, or this process is to end."""
        until = now().timestamp() + seconds
        while (left := until - now().timestamp()) > 0:
            self._check_ended()
            if not self._reached("endpoint"):
                self._still_led()
            self._hands.watching.wait(min(left, 1.0))

    # What may change meanwhile

    def _still_led(self) -> None:
        """Raises where a majority follows another one by now, or nobody, or it is not known whom."""
        decision = self._hands.watching.decision(self.former)
        if decision.leader != self.leader:
            raise _Elsewhere(decision.text, decision.leader is not None)

    def _must_hold(self) -> None:
        """Right before what is done to the outside: not while it is paused, and not where another leads."""
        while self._hands.paused():
            self._check_ended()
            self._hands.watching.wait(1.0)
        if not self._hands.holds():
            raise Ended

    def _check_ended(self) -> None:
        if self._hands.stop.is_set() or not self._hands.holds():
            raise Ended

    def _back_to_election(self, why: str, *, tell: bool) -> None:
        if tell:
            self._hands.tell(f"failover {self.record.id}: back to the election: {why}")
        record = self.record
        for name in ("election", "verify", "endpoint"):
            fresh = {"state": "waiting", "trouble": None, "manual": "", "ended_at": None, "seconds": None}
            record = record.with_step(name, **fresh, detail=why if name == "election" else "")
        self._save(record.model_copy(update={"to": None, "to_term": None}))

    def _failed(self) -> bool:
        return any(step.state == "failed" for step in self.record.steps)

    def _reached(self, name: str) -> bool:
        return self.record.step(name).state in ("done", "skipped")

    # The end

    def _superseded(self, why: str) -> FailoverRecord:
        record = self.record
        for step in record.steps:
            if step.state in ("waiting", "running"):
                record = record.with_step(step.step, state="skipped", ended_at=now(), detail=why, manual="")
        self._hands.tell(f"failover {record.id}: {why}")
        return self._end(record, "superseded")

    def _end(self, record: FailoverRecord | None = None, state: str = "") -> FailoverRecord:
        record, ended = record or self.record, now()
        state = state or ("failed" if self._failed() else "done")
        seconds = round((ended - record.started_at).total_seconds(), 3)
        self._save(record.model_copy(update={"state": state, "ended_at": ended, "seconds": seconds}))
        return self.record

    def _set_step(self, name: str, **changes: object) -> None:
        self._save(self.record.with_step(name, **changes))

    def _change(self, **changes: object) -> None:
        self._save(self.record.model_copy(update=changes))

    def _save(self, record: FailoverRecord) -> None:
        self._hands.save(record)
        self.record = record


def _may_pass(error: BaseException) -> bool:
    """What a safety rule refuses is refused again."""
    return isinstance(error, Trouble | PyMongoError) and not isinstance(error, Refused)
