"""Asking every member of a set, each second, over connections of its own: what the failover monitor knows.

A member's thread also wakes when its own connection tells of a change (servers push that), so an election is
seen within milliseconds. A member that hangs holds up its own thread alone, and for a second.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from contextlib import closing
from typing import Any

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError
from pymongo.monitoring import (
    ServerClosedEvent,
    ServerDescriptionChangedEvent,
    ServerListener,
    ServerOpeningEvent,
)
from pymongo.uri_parser import parse_uri

from mongo_dr_console.model.failover import Answer, Round
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.trouble import Trouble
from mongo_dr_console.mongo.client import Client
from mongo_dr_console.mongo.members import member_uri, seeds

APPNAME = "mdr-failover"
EVERY_SECONDS = 1.0
HURRIED_SECONDS = 0.2
"""Between two probes of a member, when all is well and while a primary is missed."""
_ANSWER_SECONDS = 1.0


class Probes:
    """The newest answer of each member; all methods may be called from any thread.

    Args:
        uri: Of the profile.
    """

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._changed = threading.Condition()
        self._version = 0
        self._members: dict[str, _Member] = {}
        self._round = Round({})
        self._configured = False
        self._applied: dict[str, str] = {}
        self._stopped = False
        self.set_name = ""
        self.hurried = False

    def start(self) -> None:
        named = seeds(self._uri)
        if named:
            self._know(dict.fromkeys(named, 1), configured=False)
        else:
            threading.Thread(target=self._look_up, name="mdr-probe-seeds", daemon=True).start()

    def stop(self) -> None:
        """Ends all threads after the answer that they wait for; does not wait."""
        with self._changed:
            self._stopped = True
            members = list(self._members.values())
            self._changed.notify_all()
        for member in members:
            member.stop()

    def join(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        for member in list(self._members.values()):
            member.thread.join(max(0.0, deadline - time.monotonic()))
        return not any(m.thread.is_alive() for m in self._members.values())

    def round(self) -> Round:
        with self._changed:
            return self._round

    def applied(self, member: str) -> str:
        """The newest entry that a probe saw on a member, as ``t:i``; empty: none ever."""
        with self._changed:
            return self._applied.get(member, "")

    def wait(self, version: int, seconds: float) -> int:
        """Until something was heard after ``version``, so many seconds at most; the version of now."""
        with self._changed:
            self._changed.wait_for(lambda: self._version != version or self._stopped, seconds)
            return self._version

    def hurry(self, on: bool) -> None:
        """Probes five times as often, or as usual again."""
        if self.hurried != on:
            self.hurried = on
            for member in list(self._members.values()):
                member.wake.set()

    def heard(
        self, member: str, answer: Answer | None, votes: Mapping[str, int] | None, configured: bool
    ) -> None:
        """One probe of a member came to an end."""
        if votes:
            self._know(votes, configured)
        with self._changed:
            if member in self._round.votes:
                self._round = self._round.probed(member, answer)
                if answer is not None and answer.applied:
                    self._applied[member] = answer.applied
            self._version += 1
            self._changed.notify_all()

    def _look_up(self) -> None:
        """Until a name server tells whom the URI's DNS record names: an agent may start before the
        network."""
        while True:
            found = _looked_up(self._uri)
            if found:
                self._know(dict.fromkeys(found, 1), configured=False)
                return
            with self._changed:
                if self._changed.wait_for(lambda: self._stopped, EVERY_SECONDS):
                    return

    def _know(self, votes: Mapping[str, int], configured: bool) -> None:
        """The members as the configuration names them; a guess from ``hello`` never replaces it."""
        with self._changed:
            if self._stopped or (self._configured and not configured) or dict(votes) == self._round.votes:
                self._configured = self._configured or configured
                return
            self._configured = self._configured or configured
            kept = {m: a for m, a in self._round.answers.items() if m in votes}
            silent = {m: n for m, n in self._round.silent.items() if m in votes}
            self._round = Round(dict(votes), kept, silent)
            gone = [self._members.pop(name) for name in list(self._members) if name not in votes]
            new = [name for name in votes if name not in self._members]
            for name in new:
                self._members[name] = _Member(name, self._uri, self)
            started = [self._members[name] for name in new]
        for member in gone:
            member.stop()
        for member in started:
            member.thread.start()


class _Wakes(ServerListener):
    def __init__(self, wake: threading.Event) -> None:
        self._wake = wake

    def opened(self, event: ServerOpeningEvent) -> None: ...

    def closed(self, event: ServerClosedEvent) -> None: ...

    def description_changed(self, event: ServerDescriptionChangedEvent) -> None:
        self._wake.set()


class _Member:
    """One member's thread."""

    def __init__(self, name: str, uri: str, probes: Probes) -> None:
        self._name, self._uri, self._probes = name, uri, probes
        self.wake = threading.Event()
        self._stop = threading.Event()
        self._version: Any = None
        self._votes: dict[str, int] | None = None
        self._configured = False
        self.thread = threading.Thread(target=self._run, name=f"mdr-probe-{name}", daemon=True)

    def stop(self) -> None:
        self._stop.set()
        self.wake.set()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                client = self._client()
            except (PyMongoError, ValueError, OSError):  # a file that it names is not there, as for a moment
                self._probes.heard(self._name, None, None, configured=False)
                self._stop.wait(EVERY_SECONDS)
                continue
            self._probe(client)

    def _probe(self, client: Client) -> None:
        with closing(client):
            while not self._stop.is_set():
                began = time.monotonic()
                self.wake.clear()
                answer = self._ask(client)
                if self._stop.is_set():
                    return
                self._probes.heard(self._name, answer, self._votes, self._configured)
                every = HURRIED_SECONDS if self._probes.hurried else EVERY_SECONDS
                self.wake.wait(max(0.02, every - (time.monotonic() - began)))

    def _client(self) -> Client:
        milliseconds = int(_ANSWER_SECONDS * 1000)
        return MongoClient(
            member_uri(self._uri, self._name),
            directConnection=True,
            appname=APPNAME,
            tz_aware=True,
            connectTimeoutMS=milliseconds,
            socketTimeoutMS=milliseconds,
            serverSelectionTimeoutMS=milliseconds // 2,
            heartbeatFrequencyMS=milliseconds,
            retryReads=False,
            event_listeners=[_Wakes(self.wake)],
        )

    def _ask(self, client: Client) -> Answer | None:
        try:
            hello = client.admin.command("hello")
            if "setName" not in hello:
                return None
            self._probes.set_name = str(hello["setName"])
            status = _optional(client, "replSetGetStatus")
            self._learn(client, hello)
            return answer_of(hello, status)
        except (PyMongoError, Trouble, OSError):
            return None

    def _learn(self, client: Client, hello: Mapping[str, Any]) -> None:
        if self._votes is not None and hello.get("setVersion") == self._version:
            return
        found = _optional(client, "replSetGetConfig")
        self._version = hello.get("setVersion")
        self._configured = found is not None
        if found is not None:
            self._votes = {str(m["host"]): int(m.get("votes", 1)) for m in found["config"]["members"]}
        else:
            known = [*hello.get("hosts", ()), *hello.get("passives", ()), *hello.get("arbiters", ())]
            self._votes = dict.fromkeys(map(str, known), 1)


def answer_of(hello: Mapping[str, Any], status: Mapping[str, Any] | None) -> Answer:
    """What both commands come to; the second one may be refused to this user, or to anybody by an arbiter."""
    primary = bool(hello.get("isWritablePrimary"))
    written = ((hello.get("lastWrite") or {}).get("opTime")) or {}
    election = hello.get("electionId")
    term = int(written["t"]) if "t" in written else None
    up = None
    if status is not None:
        term = int(status["term"]) if "term" in status else term
        up = frozenset(str(m["name"]) for m in status.get("members", ()) if m.get("health"))
    if primary and election is not None:
        term = int.from_bytes(election.binary[4:], "big")
    applied = str(Position.of(written["ts"])) if "ts" in written else ""
    return Answer(primary, term, str(hello["primary"]) if "primary" in hello else None, up, applied)


def _optional(client: Client, command: str) -> dict[str, Any] | None:
    """Raises where the member does not answer; None where it refuses."""
    try:
        answer: dict[str, Any] = client.admin.command({command: 1, "maxTimeMS": 800})
        return answer
    except OperationFailure:
        return None


def _looked_up(uri: str) -> tuple[str, ...]:
    try:
        found = parse_uri(uri)["nodelist"]
    except (PyMongoError, ValueError, OSError):
        return ()
    return tuple(f"{host}:{port}" for host, port in found)
