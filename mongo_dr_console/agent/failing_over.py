"""The failover monitor: watches the primary, and leads applications to the new one."""

from __future__ import annotations

import os
import socket
import threading
import time
from datetime import datetime
from pathlib import Path

from mongo_dr_console.agent.bound import may_write
from mongo_dr_console.agent.duty import Post
from mongo_dr_console.host import this_owner
from mongo_dr_console.model.failover import Decision, Leader, Standing, decide
from mongo_dr_console.model.failoverdoc import (
    Cause,
    EndpointContent,
    FailoverFacts,
    FailoverRecord,
    MemberProbe,
    Pause,
    content_of,
)
from mongo_dr_console.model.trouble import Trouble, WrongUse
from mongo_dr_console.mongo.probing import Probes
from mongo_dr_console.mongo.proof import prove_primary
from mongo_dr_console.workers.broadcasts import broadcast_of
from mongo_dr_console.workers.endpoints import endpoint_of
from mongo_dr_console.workers.failover_compare import compare
from mongo_dr_console.workers.failover_run import Ended, Hands, Run, new_record
from mongo_dr_console.workers.failover_state import (
    FailoverFiles,
    now,
    read_pause,
    send_unsent,
    settle,
    shared_pause,
)

_LOOK_SECONDS = 1.0
_WRITE_SECONDS = 1.0
_OUTSIDE_SECONDS = {"file": 2.0, "exec": 2.0, "route53": 60.0}
_STORES_SECONDS = 15.0
_BEGINS = (Standing.UNREACHABLE, Standing.NO_MAJORITY)


class FailoverMonitor:
    """A duty of three threads: one decides and acts, one writes down what is known, one asks stores and the
    endpoint, which may hang.

    Args:
        post: Whose primary is watched, and until when.

    Raises:
        WrongUse: The endpoint is to be switched, and the profile's access does not reach.
    """

    name = "failover"

    def __init__(self, post: Post) -> None:
        self._post = post
        check_access(post)
        uri = post.profile.connection_uri()
        self._files = FailoverFiles.of(post.name, post.profile)
        self._probes = Probes(uri)
        self._stop = threading.Event()
        self._guard = threading.Lock()
        self._soon, self._send = threading.Event(), threading.Event()
        self._known: Leader | None = None
        self._fresh = True
        self._pause: Pause | None = None
        self._content: EndpointContent | None = None
        self._endpoint_error = "" if post.profile.endpoint is None else "It was not read yet."
        self._read = post.profile.endpoint is None
        self._switches = 0
        self._unsent = 0
        self._run: FailoverRecord | None = None
        self._last: FailoverRecord | None = None
        self._version = 0
        self._decision = Decision(Standing.SUSPECT, None, False, "No member was asked yet.")
        self._since = now()
        self._told: dict[str, str] = {}
        self._hands = Hands(
            profile=post.profile,
            by=this_owner(),
            fence=post.term.fence,
            set_name=lambda: self._probes.set_name,
            watching=self,
            prove=lambda leader: prove_primary(
                uri, leader, f"{socket.gethostname()}/{post.name}", write=may_write(post.profile)
            ),
            endpoint=endpoint_of(post.profile, self._files.told),
            broadcast=broadcast_of(post.profile),
            compare=lambda former, seen, leader: compare(post.profile, former, seen, leader),
            last_seen=self._probes.applied,
            save=self._save,
            tell=post.tell,
            holds=post.term.holds,
            stop=self._stop,
            paused=self._is_paused,
        )
        self._threads = [
            threading.Thread(target=work, name=f"mdr-failover-{name}", daemon=True)
            for name, work in (("act", self._act), ("write", self._write_down), ("ask", self._ask_outside))
        ]

    def start(self) -> None:
        self._pause = read_pause(self._files, None)
        self._probes.start()
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._probes.stop()
        for event in (self._soon, self._send):
            event.set()

    def join(self, seconds: float) -> bool:
        deadline = now().timestamp() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - now().timestamp()))
        ended = not any(t.is_alive() for t in self._threads) and self._probes.join(
            max(0.0, deadline - now().timestamp())
        )
        self._write(running=False)
        return ended and self._run is None

    # Watching, for the run-book too

    def decision(self, known: Leader | None) -> Decision:
        found = decide(self._probes.round(), known)
        with self._guard:
            if found.standing is not self._decision.standing:
                self._since = now()
                self._soon.set()
            self._decision = found
        self._probes.hurry(found.standing in (*_BEGINS, Standing.SUSPECT))
        return found

    def wait(self, seconds: float) -> None:
        self._version = self._probes.wait(self._version, seconds)

    # The thread that acts

    def _act(self) -> None:
        self._last = self._kept(self._files.last)
        left = self._kept(self._files.run)
        if self._hands.endpoint is None and self._last is not None:
            self._known = _led_to(self._last)
        try:
            if left is not None:
                self._tell("run", f"failover {left.id} goes on where a killed agent left it")
                self._carry_out(left)
            while not self._stop.is_set():
                self.wait(_LOOK_SECONDS)
                self._look()
        except Ended:
            return
        finally:
            self._soon.set()

    def _kept(self, path: Path) -> FailoverRecord | None:
        try:
            return self._files.read(path, FailoverRecord)
        except Trouble as trouble:
            self._tell("kept", str(trouble))
            return None

    def _look(self) -> None:
        with self._guard:
            known, read = self._known, self._read
        found = self.decision(known)
        if not read or self._is_paused():
            return
        cause = self._cause(found, known)
        if cause is not None:
            self._carry_out(new_record(self._post.name, self._hands, cause, known, found.text))
        elif found.leader is not None and known is None:
            self._known = found.leader
        if found.standing is Standing.FINE and not found.moved:
            self._fresh = False

    def _is_paused(self) -> bool:
        pause = self._pause
        return pause is not None and pause.holds(now())

    def _cause(self, found: Decision, known: Leader | None) -> Cause | None:
        if found.moved or (known is None and found.leader is not None and self._hands.endpoint is not None):
            if self._fresh or known is None:
                return "endpoint-behind"
            return "unreachable" if found.standing is Standing.UNREACHABLE else "planned"
        return "unreachable" if known is not None and found.standing in _BEGINS else None

    def _carry_out(self, record: FailoverRecord) -> None:
        """From here to its end; what it comes to is what is known from then on."""
        try:
            self._save(record)
            ended = Run(self._hands, record).run()
        except Trouble as trouble:
            # Nothing may be done that is not written down first.
            self._tell("save", str(trouble))
            self._stop.wait(_LOOK_SECONDS)
            return
        try:
            settle(self._files, ended)
        except Trouble as trouble:
            self._tell("save", str(trouble))  # it is still in the file of the one that is under way
        self._fresh = False
        with self._guard:
            self._run, self._last = None, ended
            self._switches += 1
            if ended.state != "superseded":
                self._known = _led_to(ended)
        self._soon.set()
        self._send.set()

    def _save(self, record: FailoverRecord) -> None:
        self._files.write(self._files.run, record)
        with self._guard:
            self._run = record
        self._soon.set()

    def _tell(self, about: str, text: str) -> None:
        if self._told.get(about) != text:
            self._told[about] = text
            self._post.tell(text)

    # The thread that asks what may hang

    def _ask_outside(self) -> None:
        kind = "" if self._post.profile.endpoint is None else self._post.profile.endpoint.type
        every = _OUTSIDE_SECONDS.get(kind, _STORES_SECONDS)
        stores_at = endpoint_at = 0.0
        while not self._stop.is_set():
            at = time.monotonic()
            self._pause = self._ask_pause(shared=at >= stores_at) or self._pause
            if at >= endpoint_at or not self._read:
                self._ask_endpoint()
                endpoint_at = time.monotonic() + every
            if self._send.is_set() or at >= stores_at:
                self._send.clear()
                self._send_records()
                stores_at = time.monotonic() + _STORES_SECONDS
            self._send.wait(_LOOK_SECONDS)
        self._send_records()

    def _ask_pause(self, *, shared: bool) -> Pause | None:
        place = shared_pause(self._post.profile, self._probes.set_name) if shared else None
        found = read_pause(self._files, place)
        newer = found is not None and (self._pause is None or found.at > self._pause.at)
        return found if newer else None

    def _ask_endpoint(self) -> None:
        endpoint = self._hands.endpoint
        if endpoint is None:
            return
        with self._guard:
            before = self._switches
        content, error = None, ""
        try:
            content = endpoint.read()
        except Trouble as trouble:
            error = trouble.message
            self._tell("endpoint", str(trouble))
        foreign = content is not None and self._probes.set_name not in ("", content.set_name)
        if foreign and content is not None:
            error = (
                f"It leads to set {content.set_name}, not to {self._probes.set_name}: two profiles share it."
            )
            self._tell("endpoint", f"{endpoint.where}: {error} Nothing is switched.")
        with self._guard:
            if self._run is not None or self._switches != before:
                return  # what was read may be older than what was written meanwhile
            self._endpoint_error = error
            # What cannot be read for a moment is known from before; what is another's is not ours to switch.
            self._read = self._read and not foreign
            if not error:
                self._content, self._read = content, True
                self._known = None if content is None else content.leader

    def _send_records(self) -> None:
        try:
            self._unsent = send_unsent(self._post.profile, self._files)
        except Trouble as trouble:
            self._tell("ledger", str(trouble))

    # The thread that writes down

    def _write_down(self) -> None:
        while not self._stop.is_set():
            self._soon.wait(_WRITE_SECONDS)
            self._soon.clear()
            self._write()

    def _write(self, *, running: bool = True) -> None:
        try:
            self._files.write(self._files.state, self._facts(now(), running), sync=False)
        except Trouble as trouble:
            self._tell("state", str(trouble))

    def _facts(self, at: datetime, running: bool) -> FailoverFacts:
        probed = self._probes.round()
        profile = self._post.profile
        with self._guard:
            decision, run = self._decision, self._run
            switched = None if run is None or run.step("endpoint").state != "done" else run
            return FailoverFacts(
                profile=self._post.name,
                pid=os.getpid(),
                host=socket.gethostname(),
                written_at=at,
                running=running,
                set_name=self._probes.set_name,
                standing=decision.standing,
                since=self._since,
                text=decision.text,
                advice=decision.advice,
                primary=None if decision.leader is None else decision.leader.member,
                term=None if decision.leader is None else decision.leader.term,
                members=[
                    MemberProbe(
                        name=name,
                        answers=(answer := probed.answers.get(name)) is not None,
                        primary=answer is not None and answer.primary,
                        term=None if answer is None else answer.term,
                        follows=None if answer is None else answer.follows,
                        silent=probed.silent.get(name, 0),
                    )
                    for name in sorted(probed.votes)
                ],
                endpoint_kind="" if profile.endpoint is None else profile.endpoint.type,
                endpoint=self._content if switched is None else self._content_of(switched),
                endpoint_error=self._endpoint_error,
                broadcast_kind="" if profile.broadcast is None else profile.broadcast.type,
                pause=self._pause,
                run=run,
                last=self._last,
                unsent=self._unsent,
            )

    def _content_of(self, run: FailoverRecord) -> EndpointContent | None:
        leader = _led_to(run)
        at = run.step("endpoint").ended_at
        if leader is None or at is None or self._hands.endpoint is None:
            return self._content
        return content_of(leader, run.set_name, at, run.by, run.fence)


def _led_to(record: FailoverRecord) -> Leader | None:
    if record.to is not None and record.to_term is not None:
        return Leader(record.to, record.to_term)
    if record.from_member is not None and record.from_term is not None:
        return Leader(record.from_member, record.from_term)
    return None


def check_access(post: Post) -> None:
    """Raises WrongUse where something is to be switched and the profile does not allow it."""
    profile = post.profile
    wanted = [name for name in ("endpoint", "broadcast") if getattr(profile, name) is not None]
    if wanted and profile.access != "restore":
        raise WrongUse(
            "endpoint-access",
            f"Profile {post.name} has {' and '.join(wanted)}, and allows {profile.access!r}: leading "
            "applications elsewhere needs 'restore'.",
            f'Set access = "restore" in the profile, or take out {" and ".join(wanted)}.',
        )
