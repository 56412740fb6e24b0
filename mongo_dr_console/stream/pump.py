"""One sink and its own way through the oplog: joins, tails, hands over, and goes on after whatever happens.

Each sink has a cursor, a position and a thread of its own, so that a slow or dead one holds up nothing but
itself; a batch is asked for only when the sink has taken the last one, which bounds the memory.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice

from mongo_dr_console.model.identity import Identity
from mongo_dr_console.model.link import Link
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.streamfacts import Break, BreakCause, SinkFacts
from mongo_dr_console.model.trouble import Failed, Trouble, Unreachable
from mongo_dr_console.mongo.identity import read_identity
from mongo_dr_console.mongo.oplog import majority_position
from mongo_dr_console.stream.batch import one_term
from mongo_dr_console.stream.sink import Alone, Leave, StreamSink
from mongo_dr_console.stream.tail import Joint, MemberTail, ordered
from mongo_dr_console.stream.watch import SetWatch

_SILENT_SECONDS = 5.0
"""A member that gives nothing for so long while a majority is ahead of it is left for another."""
_PATIENCE = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0)
_SHUT_OUT = "kafka-fenced"
_SHUT_OUT_SECONDS = 60.0
"""Two agents with one topic must not shut each other out without end; if the other one dies, this goes on."""
_FORKS_LOOKED_AT = 20_000


class SinkTrouble(Exception):
    """What the sink raised, told apart from what the deployment raises."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(str(trouble))
        self.trouble = trouble


@dataclass(slots=True)
class Way:
    """How a pump reaches what it needs.

    Args:
        uri: Of the profile.
        environment: Of the profile, for the identity.
        watch: Of the set.
        sink: Makes the sink for a deployment.
        bases: Ends of snapshots, oldest first: a stream that begins anew begins at the first of them that
            the oplog still has, so that the snapshot and the stream join.
        moved: Called after each move of what is safe, with the sink's name and the position.
        leave: Whether this process may write; once it may not, the pump ends by itself.
    """

    uri: str
    environment: str
    watch: SetWatch
    sink: Callable[[Identity], StreamSink]
    bases: Callable[[], Sequence[Link]] = field(default=tuple)
    moved: Callable[[str, Position], None] = field(default=lambda name, position: None)
    leave: Leave = field(default_factory=Alone)


class Pump:
    """Keeps one sink up with the deployment until it is stopped."""

    def __init__(self, name: str, way: Way) -> None:
        self.name = name
        self._way = way
        self._facts = SinkFacts(name=name)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"mdr-{name}", daemon=True)
        self._sink: StreamSink | None = None
        self._identity: Identity | None = None
        self._at: Link | None = None
        self._begun = False
        self._turn = 0

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """What was read is made safe, then the thread ends; see ``join``."""
        self._stop.set()

    def join(self, seconds: float) -> bool:
        """Whether it ended within that time."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    @property
    def facts(self) -> SinkFacts:
        with self._lock:
            return self._facts

    def _say(self, **changes: object) -> None:
        with self._lock:
            self._facts = self._facts.model_copy(update=changes)

    def _run(self) -> None:
        failures = 0
        while not self._stop.is_set() and self._way.leave.holds():
            before, shut_out = self._facts.entries, False
            try:
                self._tail_on()
                failures = 0
            except SinkTrouble as error:
                self._drop_sink()
                self._say(state="failed", trouble=error.trouble)
                shut_out = error.trouble.code == _SHUT_OUT
            except Trouble as trouble:
                self._say(state="waiting", trouble=trouble)
                self._secure()
            except Exception as error:  # whatever it is, it is said, and tried again
                self._drop_sink()
                text = f"{self.name} failed: {type(error).__name__}: {error}"
                self._say(state="failed", trouble=Failed("stream-failed", text))
            failures = 0 if self._facts.entries > before else failures + 1
            patience = _PATIENCE[min(failures, len(_PATIENCE) - 1)]
            self._pause(_SHUT_OUT_SECONDS if shut_out else patience)
        self._finish()

    def _pause(self, seconds: float) -> None:
        """Waits; what is due in the sink is done meanwhile."""
        until = time.monotonic() + seconds
        while not self._stop.is_set() and self._way.leave.holds() and time.monotonic() < until:
            self._stop.wait(min(0.5, max(0.0, until - time.monotonic())))
            try:
                self._tick()
            except SinkTrouble as error:
                self._drop_sink()
                self._say(state="failed", trouble=error.trouble)

    # The deployment

    def _tail_on(self) -> None:
        """Finds a member that goes on from where the sink is, and hands over what it has, until it fails."""
        members = self._way.watch.members
        if not members:
            raise Unreachable("deployment-unreachable", "No member of the deployment answers.")
        member = members[self._turn % len(members)]
        self._turn += 1
        with MemberTail(self._way.uri, member, appname=f"mdr-{self.name}") as tail:
            sink = self._ready(tail)
            self._join(tail, sink)
            self._say(state="streaming", trouble=None, member=member)
            self._hand_over(tail, sink)

    def _ready(self, tail: MemberTail) -> StreamSink:
        """The sink of this very deployment, open, and ``_at`` where to go on from."""
        identity = read_identity(tail.client, self._way.environment)
        if self._identity is not None and not identity.same_deployment(self._identity):
            left = self._at
            self._secure()
            self._drop_sink()
            self._at = None
            if left is not None:
                self._broke(BreakCause.REPLACED, left, majority_position(tail.client)[0])
        self._identity = identity
        if self._sink is None:
            sink = self._way.sink(identity)
            self._at = _of_sink(sink.open)
            self._sink, self._begun = sink, False
            self._note()
        if self._at is None:
            self._at, self._begun = self._start(tail), False
        return self._sink

    def _start(self, tail: MemberTail) -> Link:
        """Where a stream begins that has nothing yet."""
        oldest = tail.first_link()
        for base in self._way.bases():
            if base.position >= oldest.position and tail.link_at(base.position) == base:
                return base
        position, _ = majority_position(tail.client)
        return tail.link_at(position) or oldest

    def _join(self, tail: MemberTail, sink: StreamSink) -> None:
        """Proves that the member goes on from ``_at``; sets it anew where nothing ever will."""
        assert self._at is not None
        joint = tail.join(self._at)
        if joint is Joint.BEHIND:
            raise Unreachable(
                "member-behind",
                f"{tail.member} has the oplog only up to {tail.newest}; {self._at.position} is needed.",
                "It is waited for, and others are asked.",
            )
        if joint is Joint.SAME:
            if not self._begun:
                self._begin(sink, self._at)
            return
        left = self._at
        if joint is Joint.GONE:
            self._none_has(tail, left)
            after, cause = tail.first_link(), BreakCause.ROLLED_OVER
        else:
            after, cause = self._fork(tail, sink), BreakCause.DIVERGED
        # What was read of the other history stays: it may be the only copy of acknowledged writes.
        _of_sink(sink.flush)
        if tail.join(after) is not Joint.SAME:
            raise Unreachable(
                "tail-ended", f"The oplog of {tail.member} rolls over faster than it is joined."
            )
        self._broke(cause, left, after.position)
        self._at = after
        self._begin(sink, after)

    def _begin(self, sink: StreamSink, after: Link) -> None:
        _of_sink(lambda: sink.begin(after))
        self._begun = True

    def _none_has(self, tail: MemberTail, link: Link) -> None:
        """Another member may have a longer oplog: only where none reaches back is it a gap.

        Raises:
            Unreachable: One does, and is asked next.
        """
        for member in self._way.watch.members:
            if member == tail.member:
                continue
            try:
                with MemberTail(self._way.uri, member, appname=f"mdr-{self.name}") as other:
                    joint = other.join(link)
            except Trouble:
                continue
            if joint is Joint.SAME:
                self._turn = self._way.watch.members.index(member)
                raise Unreachable("member-rolled-over", f"{tail.member} does not reach back; {member} does.")

    def _fork(self, tail: MemberTail, sink: StreamSink) -> Link:
        """The newest entry of the sink that is on this history, else where a stream begins."""
        for link in islice(sink.earlier(), _FORKS_LOOKED_AT):
            if tail.oldest <= link.position <= tail.newest and tail.link_at(link.position) == link:
                return link
        return self._start(tail)

    def _broke(self, cause: BreakCause, left: Link, end: Position) -> None:
        found = Break(cause=cause, start=left.position, end=end, at=datetime.now(UTC))
        self._say(breaks=(*self._facts.breaks, found))

    def _hand_over(self, tail: MemberTail, sink: StreamSink) -> None:
        heard = time.monotonic()
        while not self._stop.is_set():
            batch = tail.next()
            self._turn = 0
            if batch:
                heard = time.monotonic()
                self._give(batch, sink)
            elif time.monotonic() - heard > _SILENT_SECONDS and self._is_behind():
                self._turn = 1
                raise Unreachable(
                    "member-behind", f"{tail.member} gives nothing more, and a majority has newer entries."
                )
            self._tick()

    def _is_behind(self) -> bool:
        committed = self._way.watch.committed
        return committed is not None and self._at is not None and committed.t > self._at.position.t + 1

    # The sink

    def _give(self, batch: bytes, sink: StreamSink) -> None:
        assert self._at is not None
        ordered(batch, self._at)
        parts = list(one_term(batch))
        _of_sink(lambda: sink.append(batch))
        self._at = parts[-1].last
        self._say(
            given=self._at.position,
            entries=self._facts.entries + sum(p.count for p in parts),
            bytes=self._facts.bytes + len(batch),
        )

    def _tick(self) -> None:
        if self._sink is not None:
            _of_sink(self._sink.tick)
            self._note()

    def _note(self) -> None:
        assert self._sink is not None
        durable = None if self._sink.durable is None else self._sink.durable.position
        if durable is not None and durable != self._facts.durable:
            self._say(durable=durable)
            self._way.moved(self.name, durable)

    def _secure(self) -> None:
        """The deployment may be gone for good: what was read is made safe now, not when it is due."""
        if self._sink is None:
            return
        try:
            _of_sink(self._sink.flush)
            self._note()
        except SinkTrouble as error:
            self._drop_sink()
            self._say(state="failed", trouble=error.trouble)

    def _drop_sink(self) -> None:
        """It is opened anew, and says itself where to go on."""
        sink, self._sink, self._begun = self._sink, None, False
        if sink is not None:
            try:
                sink.close()
            except Exception as error:  # it gave trouble before: that was told
                self._say(trouble=Failed("stream-failed", f"{self.name} does not close: {error}"))

    def _finish(self) -> None:
        self._secure()
        self._drop_sink()
        self._say(state="stopped")


def _of_sink(call: Callable[[], Link | None] | Callable[[], None]) -> Link | None:
    """Calls the sink; its troubles are its own, not the deployment's."""
    try:
        return call()
    except Trouble as trouble:
        raise SinkTrouble(trouble) from None
