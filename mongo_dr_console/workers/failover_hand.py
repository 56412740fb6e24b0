"""A failover by hand: the endpoint switched by a person, and the planned stepdown that measures."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace

from pymongo.errors import AutoReconnect, PyMongoError

from mongo_dr_console.config import Profile
from mongo_dr_console.host import this_owner
from mongo_dr_console.model.failover import Decision, Leader, Round, Standing, decide, followed
from mongo_dr_console.model.failoverdoc import (
    EndpointContent,
    FailoverFacts,
    FailoverRecord,
    FailoverTestDocument,
    check_order,
    content_of,
)
from mongo_dr_console.model.trouble import Failed, Refused, Trouble, Unreachable, WrongUse
from mongo_dr_console.mongo.client import connect, told
from mongo_dr_console.mongo.members import member_uri
from mongo_dr_console.mongo.probing import Probes
from mongo_dr_console.mongo.proof import prove_primary
from mongo_dr_console.workers.access import require
from mongo_dr_console.workers.broadcasts import broadcast_of
from mongo_dr_console.workers.endpoints import EndpointWriter, endpoint_of
from mongo_dr_console.workers.failover_compare import compare
from mongo_dr_console.workers.failover_run import Hands, Run, new_record
from mongo_dr_console.workers.failover_state import (
    FailoverFiles,
    now,
    read_failovers,
    read_monitor,
    read_pause,
    send_unsent,
    settle,
    shared_pause,
)

_LOOK_SECONDS = 10.0
_TEST_SECONDS = 60.0
_STEPDOWN_SECONDS = 30
_CATCH_UP_SECONDS = 10
_LAG_SECONDS = 10.0


@contextmanager
def probing(profile: Profile) -> Iterator[Probes]:
    """The set's members, probed while this lasts."""
    probes = Probes(profile.connection_uri())
    probes.start()
    probes.hurry(True)
    try:
        yield probes
    finally:
        probes.stop()
        probes.join(3)


def leader_now(probes: Probes, seconds: float = _LOOK_SECONDS, other: Leader | None = None) -> Leader | None:
    """Whom a majority follows, once that is known: another than ``other``, or in another term."""
    deadline, version = time.monotonic() + seconds, 0
    while (left := deadline - time.monotonic()) > 0:
        found = followed(probes.round())
        if found is not None and found != other:
            return found
        version = probes.wait(version, left)
    return None


def need_endpoint(name: str, profile: Profile, files: FailoverFiles) -> EndpointWriter:
    """Raises WrongUse where the profile has none."""
    endpoint = endpoint_of(profile, files.told)
    if endpoint is None:
        raise WrongUse(
            "no-endpoint",
            f"Profile {name} has no endpoint, so there is nothing to switch.",
            f"Add a section to it: [profiles.{name}.endpoint] with type = 'file', 'exec' or 'route53'",
        )
    return endpoint


def switch_by_hand(
    name: str, profile: Profile, to: str | None, *, lower_term: bool, tell: Callable[[str], None]
) -> FailoverRecord:
    """Leads applications to the primary of now, and tells them; a line of the ledger.

    Args:
        to: Whom the person means; it must be the primary. None: whoever it is.
        lower_term: Also where the endpoint was written in a higher term.

    Raises:
        Refused: It is not the primary, or the endpoint says something newer, or the profile's access does not
            reach; nothing was changed.
        Unreachable: No primary is followed by a majority.
        Failed: A step did not succeed.
    """
    require(name, profile, "restore")
    files = FailoverFiles.of(name, profile)
    endpoint = need_endpoint(name, profile, files)
    with probing(profile) as probes:
        leader = leader_now(probes)
        if leader is None:
            raise _no_leader(probes.round())
        if to is not None and to != leader.member:
            raise Refused(
                "not-the-primary",
                f"{to} is not the primary: a majority follows {leader.member} in term {leader.term}. Nothing "
                "was changed.",
                "To make another one the primary: rs.stepDown(), or its priority in the set's configuration.",
            )
        before = endpoint.read()
        if not lower_term:
            check_order(before, _content(leader, probes.set_name, before))
        hands = _hands(name, profile, probes, endpoint, tell, fence=0 if before is None else before.fence)
        hands = replace(hands, watching=_Chosen(probes, leader.member), force=lower_term)
        record = new_record(
            name, hands, "by-hand", None if before is None else before.leader, f"asked by {hands.by}"
        )
        return _done(profile, files, Run(hands, record).run())


def _done(profile: Profile, files: FailoverFiles, record: FailoverRecord) -> FailoverRecord:
    run = files.run.read_bytes() if files.run.exists() else None
    settle(files, record)
    if run is not None:
        # One of the agent's own that was under way stays so: it is not this command's.
        files.run.write_bytes(run)
    with suppress(Trouble):
        send_unsent(profile, files)
    return record


def _content(leader: Leader, set_name: str, before: EndpointContent | None) -> EndpointContent:
    return content_of(leader, set_name, now(), this_owner(), 0 if before is None else before.fence)


def _no_leader(seen: Round) -> Unreachable:
    decision = decide(seen, None)
    return Unreachable(
        "no-primary",
        f"No member is followed by a majority as the primary: {decision.text} Nothing was changed.",
        decision.advice or "See the members' states: mdr status",
    )


class _Chosen:
    """What a person decided: the primary of now, whatever led before."""

    def __init__(self, probes: Probes, member: str) -> None:
        self._probes, self._member = probes, member
        self._version = 0

    def decision(self, known: Leader | None) -> Decision:
        leader = followed(self._probes.round())
        moved = leader is not None and leader.member == self._member
        return Decision(Standing.FINE, leader, moved, f"{self._member} does not lead any more.")

    def wait(self, seconds: float) -> None:
        self._version = self._probes.wait(self._version, seconds)


class _Probed:
    """What the probes say, for a run-book without an agent."""

    def __init__(self, probes: Probes) -> None:
        self._probes = probes
        self._version = 0

    def decision(self, known: Leader | None) -> Decision:
        return decide(self._probes.round(), known)

    def wait(self, seconds: float) -> None:
        self._version = self._probes.wait(self._version, seconds)


def _hands(
    name: str,
    profile: Profile,
    probes: Probes,
    endpoint: EndpointWriter | None,
    tell: Callable[[str], None],
    fence: int,
) -> Hands:
    uri = profile.connection_uri()
    return Hands(
        profile=profile,
        by=this_owner(),
        fence=fence,
        set_name=lambda: probes.set_name,
        watching=_Probed(probes),
        prove=lambda leader: prove_primary(uri, leader, f"{socket.gethostname()}/{name}"),
        endpoint=endpoint,
        broadcast=broadcast_of(profile),
        compare=lambda former, seen, leader: compare(profile, former, seen, leader),
        last_seen=probes.applied,
        save=lambda _: None,
        tell=tell,
        holds=lambda: True,
        stop=threading.Event(),
        insists=False,
    )


# The planned stepdown


def check_healthy(name: str, profile: Profile, probes: Probes) -> Leader:
    """The primary of a set that can lose it without harm.

    Raises:
        Refused: A member is down, or far behind, or the monitor is paused; nothing was changed.
        Unreachable: There is no primary.
    """
    leader = leader_now(probes)
    if leader is None:
        raise _no_leader(probes.round())
    # Each member had its turn by now, or is given one more second for it.
    deadline, version = time.monotonic() + 2.0, 0
    while time.monotonic() < deadline and len(probes.round().answers) < len(probes.round().votes):
        version = probes.wait(version, 0.2)
    seen = probes.round()
    silent = sorted(m for m in seen.votes if m not in seen.answers)
    if silent:
        raise _unhealthy(f"{', '.join(silent)} does not answer")
    strange = sorted(m for m, a in seen.answers.items() if leader.member not in (m, a.follows))
    if strange:
        raise _unhealthy(f"{', '.join(strange)} does not follow {leader.member}")
    _check_lag(profile, leader)
    files = FailoverFiles.of(name, profile)
    pause = read_pause(files, shared_pause(profile, probes.set_name))
    if pause is not None and pause.holds(now()):
        raise _unhealthy("the failover monitor is paused (mdr failover resume)")
    return leader


def _check_lag(profile: Profile, leader: Leader) -> None:
    uri = member_uri(profile.connection_uri(), leader.member)
    with closing(connect(uri, direct=True, seconds=3, answer_seconds=5)) as client:
        try:
            members = client.admin.command("replSetGetStatus")["members"]
        except PyMongoError as error:
            raise told(error) from None
    newest = max((m["optimeDate"] for m in members if "optimeDate" in m), default=None)
    for member in members:
        state = str(member.get("stateStr"))
        if state not in ("PRIMARY", "SECONDARY", "ARBITER"):
            raise _unhealthy(f"{member['name']} is in state {state}")
        if state != "ARBITER" and newest is not None:
            lag = (newest - member["optimeDate"]).total_seconds()
            if lag > _LAG_SECONDS:
                raise _unhealthy(f"{member['name']} is {lag:.0f} s behind")


def _unhealthy(why: str) -> Refused:
    return Refused(
        "failover-unhealthy",
        f"A planned failover is for a healthy set, and {why}. Nothing was changed.",
        "Mend that first; what a failover would do otherwise, the monitor does when it must: mdr failover "
        "show",
    )


def rehearse(name: str, profile: Profile, tell: Callable[[str], None]) -> FailoverTestDocument:
    """Lets the primary step down, and measures. This host's agent switches, where one runs; else this
    command.

    Raises:
        Refused, Unreachable: See ``check_healthy``; also where the primary does not step down, or the
            profile's access does not reach.
    """
    require(name, profile, "restore")
    with probing(profile) as probes:
        former = check_healthy(name, profile, probes)
        return _Rehearsal(name, profile, probes, former, tell).run()


class _Rehearsal:
    def __init__(
        self, name: str, profile: Profile, probes: Probes, former: Leader, tell: Callable[[str], None]
    ) -> None:
        self._name, self._profile, self._probes = name, profile, probes
        self._former, self._tell = former, tell
        self._files = FailoverFiles.of(name, profile)
        self._endpoint = endpoint_of(profile, self._files.told)
        self._problems: list[str] = []
        monitor = _monitor(name, profile)
        self._agent = monitor is not None and not monitor.stale(now())

    def run(self) -> FailoverTestDocument:
        uri = self._profile.connection_uri()
        self._began_at, self._began = now(), time.monotonic()
        step_down(uri, self._former)
        try:
            return self._measure()
        finally:
            make_electable(uri, self._former.member)

    def _measure(self) -> FailoverTestDocument:
        leader = leader_now(self._probes, _TEST_SECONDS, other=self._former)
        primary = None if leader is None else self._since()
        if leader is None:
            self._problems.append(f"No new primary within {_TEST_SECONDS:.0f} s.")
            return self._document(None, primary, None, None)
        write = self._write(leader)
        record = self._await_agent(leader) if self._agent else self._switch(leader)
        return self._document(leader, primary, write, record)

    def _since(self) -> float:
        return round(time.monotonic() - self._began, 3)

    def _write(self, leader: Leader) -> float | None:
        deadline = time.monotonic() + _TEST_SECONDS
        name = f"{socket.gethostname()}/{self._name}/test"
        while time.monotonic() < deadline:
            try:
                prove_primary(self._profile.connection_uri(), leader, name)
                return self._since()
            except Trouble as trouble:
                last = trouble
        self._problems.append(f"{leader.member} took no majority write: {last.message}")
        return None

    def _await_agent(self, leader: Leader) -> FailoverRecord | None:
        deadline, version = time.monotonic() + _TEST_SECONDS, 0
        while time.monotonic() < deadline:
            with suppress(Trouble):
                for record in read_here(self._profile, self._files):
                    if record.to == leader.member and record.to_term == leader.term and record.ended_at:
                        return record
            version = self._probes.wait(version, 0.5)
        self._problems.append(f"This host's agent did not end a failover to {leader.member} in time.")
        return None

    def _switch(self, leader: Leader) -> FailoverRecord | None:
        fence = 0
        if self._endpoint is not None:
            before = self._endpoint.read()
            fence = 0 if before is None else before.fence
        hands = _hands(self._name, self._profile, self._probes, self._endpoint, self._tell, fence)
        record = new_record(self._name, hands, "test", self._former, "A planned stepdown.", self._began_at)
        return _done(self._profile, self._files, Run(hands, record).run())

    def _document(
        self,
        leader: Leader | None,
        primary: float | None,
        write: float | None,
        record: FailoverRecord | None,
    ) -> FailoverTestDocument:
        if record is not None and record.stuck is not None:
            self._problems.append(f"By hand: {record.stuck.manual}")
        return FailoverTestDocument(
            profile=self._name,
            from_member=self._former.member,
            to=None if leader is None else leader.member,
            term=None if leader is None else leader.term,
            success=not self._problems,
            primary_seconds=primary,
            write_seconds=write,
            endpoint_seconds=self._until(record, "endpoint"),
            broadcast_seconds=self._until(record, "broadcast"),
            by="agent" if self._agent else "this command",
            record=record,
            problems=self._problems,
        )

    def _until(self, record: FailoverRecord | None, name: str) -> float | None:
        step = None if record is None else record.step(name)
        if step is None or step.state != "done" or step.ended_at is None:
            return None
        return round(max(0.0, (step.ended_at - self._began_at).total_seconds()), 3)


def make_electable(uri: str, member: str) -> None:
    """Lets a member that stepped down be elected again at once; where it cannot be told, it waits its
    time."""
    with (
        suppress(PyMongoError, Trouble),
        closing(connect(member_uri(uri, member), direct=True, seconds=2)) as client,
    ):
        client.admin.command("replSetFreeze", 0)


def step_down(uri: str, leader: Leader) -> None:
    """Asks the primary to step down, once a secondary has caught up.

    Raises:
        Failed, Refused: It does not.
    """
    with closing(
        connect(member_uri(uri, leader.member), direct=True, seconds=3, answer_seconds=20)
    ) as client:
        try:
            client.admin.command(
                {
                    "replSetStepDown": _STEPDOWN_SECONDS,
                    "secondaryCatchUpPeriodSecs": _CATCH_UP_SECONDS,
                }
            )
        except AutoReconnect:
            return  # servers before 4.2 hang up on stepping down
        except PyMongoError as error:
            trouble = told(error)
            raise Failed(
                "stepdown-failed",
                f"{leader.member} did not step down: {trouble.message} It is the primary still.",
                "It needs the action replSetStateChange (role clusterManager).",
            ) from None


def read_here(profile: Profile, files: FailoverFiles) -> list[FailoverRecord]:
    """What ended on this host last, and what the stores know."""
    last = files.read(files.last, FailoverRecord)
    if last is not None:
        return [last]
    return read_failovers(profile, files)[0]


def _monitor(name: str, profile: Profile) -> FailoverFacts | None:
    try:
        return read_monitor(name, profile)
    except Trouble:
        return None
