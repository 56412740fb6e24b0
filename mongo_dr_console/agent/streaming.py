"""The duty of the stream: the oplog into all sinks of a profile, and the canary."""

from __future__ import annotations

import socket
import time

from mongo_dr_console.agent.canary import Canary
from mongo_dr_console.agent.duty import Post
from mongo_dr_console.config import Profile
from mongo_dr_console.model.link import Link
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.streamfacts import SinkFacts
from mongo_dr_console.model.trouble import Trouble
from mongo_dr_console.stores.catalogue import list_snapshots
from mongo_dr_console.stores.open import open_stores
from mongo_dr_console.stream.pump import Pump, Way
from mongo_dr_console.stream.sinks import sink_makers
from mongo_dr_console.stream.watch import SetWatch
from mongo_dr_console.workers.access import require


class Streaming:
    """One pump for each sink, while its agent leads.

    Raises:
        Refused: The profile's access does not reach.
    """

    name = "stream"

    def __init__(self, post: Post) -> None:
        profile = post.profile
        require(post.name, profile, "operate")
        uri = profile.connection_uri()
        self._tell = post.tell
        self._told: dict[str, str] = {}
        self._watch = SetWatch(uri)
        self._canary = Canary(uri, f"{socket.gethostname()}/{post.name}")
        self._pumps = [
            Pump(
                name,
                Way(
                    uri,
                    profile.environment,
                    self._watch,
                    maker,
                    lambda: snapshot_ends(profile),
                    self._canary.moved,
                    post.term,
                ),
            )
            for name, maker in sink_makers(profile, post.term).items()
        ]

    def start(self) -> None:
        self._watch.start()
        for pump in self._pumps:
            pump.start()
        self._canary.start([p.name for p in self._pumps])

    def stop(self) -> None:
        self._canary.stop()
        for pump in self._pumps:
            pump.stop()

    def join(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        ended = [pump.join(max(0.0, deadline - time.monotonic())) for pump in self._pumps]
        self._watch.stop()
        return all(ended)

    @property
    def committed(self) -> Position | None:
        return self._watch.committed

    @property
    def sinks(self) -> tuple[SinkFacts, ...]:
        return tuple(p.facts.model_copy(update={"canary": self._canary.latency(p.name)}) for p in self._pumps)

    def tell_changes(self) -> None:
        """A line for each sink whose state is another than when it was told last."""
        for sink in self.sinks:
            why = "" if sink.trouble is None else f": {sink.trouble.message}"
            broken = f" ({len(sink.breaks)} breaks)" if sink.breaks else ""
            text = f"{sink.name} {sink.state}{broken}{why}"
            if self._told.get(sink.name) != text:
                self._told[sink.name] = text
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
