"""The agent: the stream of one profile into all of its sinks, until it is told to end."""

from __future__ import annotations

import fcntl
import os
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from mongo_dr_console.agent.canary import Canary
from mongo_dr_console.config import Profile
from mongo_dr_console.model.link import Link
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.streamfacts import StreamFacts
from mongo_dr_console.model.trouble import Refused, Trouble, WrongUse
from mongo_dr_console.stores.catalogue import list_snapshots
from mongo_dr_console.stores.open import open_stores
from mongo_dr_console.stream.pump import Pump, Way
from mongo_dr_console.stream.sinks import sink_makers
from mongo_dr_console.stream.watch import SetWatch
from mongo_dr_console.workers.streamstate import agent_folder, state_file, write_state

_EVERY_SECONDS = 1.0
_END_SECONDS = 30.0

Tell = Callable[[str], None]


def run_agent(name: str, profile: Profile, stop: threading.Event, tell: Tell) -> bool:
    """Streams until ``stop`` is set; whether everything that was read was made safe then.

    Args:
        name, profile: Whose stream.
        stop: Set by a signal.
        tell: A line for whoever looks after the process.

    Raises:
        WrongUse: The profile has nothing to stream to.
        Refused: Another agent of this host streams this profile already.
    """
    makers = sink_makers(profile)
    if not makers:
        raise WrongUse(
            "nothing-to-stream",
            f"Profile {name} has nothing to stream its oplog to.",
            f'Add a section to it: [profiles.{name}.oplog.segments] with stores = ["STORE"]',
        )
    with _only_one(name, profile):
        uri = profile.connection_uri()
        canary = Canary(uri, f"{socket.gethostname()}/{name}")
        watch = SetWatch(uri)
        pumps = [
            Pump(
                sink,
                Way(uri, profile.environment, watch, maker, lambda: snapshot_ends(profile), canary.moved),
            )
            for sink, maker in makers.items()
        ]
        return _Running(name, profile, watch, canary, pumps, tell).run(stop)


class _Running:
    def __init__(
        self,
        name: str,
        profile: Profile,
        watch: SetWatch,
        canary: Canary,
        pumps: Sequence[Pump],
        tell: Tell,
    ) -> None:
        self._name, self._profile = name, profile
        self._watch, self._canary, self._pumps, self._tell = watch, canary, pumps, tell
        self._started_at = datetime.now(UTC)
        self._file = state_file(name, profile)
        self._told: dict[str, str] = {}

    def run(self, stop: threading.Event) -> bool:
        self._watch.start()
        for pump in self._pumps:
            pump.start()
        if self._profile.access != "watch":
            # Whoever may only watch writes nothing, not even a heartbeat.
            self._canary.start([p.name for p in self._pumps])
        while not stop.wait(_EVERY_SECONDS):
            self._write()
        self._canary.stop()
        for pump in self._pumps:
            pump.stop()
        ended = [pump.join(_END_SECONDS) for pump in self._pumps]
        self._watch.stop()
        self._write(running=False)
        return all(ended)

    def _write(self, *, running: bool = True) -> None:
        sinks = tuple(
            p.facts.model_copy(update={"canary": self._canary.latency(p.name)}) for p in self._pumps
        )
        facts = StreamFacts(
            profile=self._name,
            pid=os.getpid(),
            host=socket.gethostname(),
            started_at=self._started_at,
            written_at=datetime.now(UTC),
            running=running,
            committed=self._watch.committed,
            sinks=sinks,
        )
        try:
            write_state(self._file, facts)
        except OSError as error:
            self._tell_once("state", f"{self._file} cannot be written: {error.strerror}")
        for sink in sinks:
            why = "" if sink.trouble is None else f": {sink.trouble.message}"
            broken = f" ({len(sink.breaks)} breaks)" if sink.breaks else ""
            self._tell_once(sink.name, f"{sink.name} {sink.state}{broken}{why}")

    def _tell_once(self, about: str, text: str) -> None:
        if self._told.get(about) != text:
            self._told[about] = text
            self._tell(text)


def snapshot_ends(profile: Profile) -> list[Link]:
    """Where the snapshots in the profile's stores end, oldest first: a stream that has nothing yet begins at
    the first that the oplog still has, so that both join."""
    found: dict[Position, Link] = {}
    for store in open_stores(profile).values():
        try:
            entries = list_snapshots(store)
        except Trouble:
            continue
        for entry in entries:
            if entry.restorable and entry.scope is None and entry.window is not None:
                window = entry.window
                found[window.end] = Link(window.end, window.end_term, window.end_hash)
    return [found[end] for end in sorted(found)]


@contextmanager
def _only_one(name: str, profile: Profile) -> Iterator[None]:
    folder = agent_folder(profile)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / f"{name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Refused(
                "agent-running",
                f"An agent of this host streams profile {name} already.",
                "See how far it is: mdr status",
            ) from None
        yield
