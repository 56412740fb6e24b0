"""Which of the topic's runs make one history, where it has gaps, and what lies on branches beside it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from mongo_dr_console.model.identity import Identity
from mongo_dr_console.model.position import Position, Span
from mongo_dr_console.stream.chain import Link
from mongo_dr_console.stream.kafka_log import KafkaLog, Stretch

_BACK = 64
_FEW_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch up to where the next one goes on from it.

    Args:
        span: The first and last entry that count.
        joined: Whether the next piece continues it without a gap.
        cut: Whether what lies behind ``span`` in the stretch is on a branch.
    """

    stretch: Stretch
    span: Span
    joined: bool
    cut: bool = False


@dataclass(frozen=True, slots=True)
class History:
    """Pieces in order, oldest first, and ranges of entries that are on none: a history that was left.

    They are kept out of every restore: after a forced reconfiguration or a rollback they never happened.
    """

    pieces: tuple[Piece, ...] = ()
    branches: tuple[Span, ...] = ()

    def windows(self) -> list[Span]:
        """Ranges without a gap, oldest first."""
        found: list[Span] = []
        joined = False
        for piece in self.pieces:
            if joined:
                found[-1] = Span(found[-1].start, piece.span.end)
            else:
                found.append(piece.span)
            joined = piece.joined
        return found


@dataclass(slots=True)
class _Weaving:
    """The history so far, from its newest end backwards."""

    log: KafkaLog
    pieces: list[Piece] = field(default_factory=list)
    branches: list[Span] = field(default_factory=list)
    joint: Link | None = None

    def take(self, stretch: Stretch) -> None:
        first, last = self._link(stretch, first=True), self._link(stretch, first=False)
        whole = Span(first.position, last.position)
        joint = self.joint
        if joint is None or joint == last:
            self._put(stretch, whole, joined=joint is not None)
        elif joint.position > last.position:
            self._put(stretch, whole, joined=False)
        elif joint.position < last.position and self._has(stretch, whole, joint):
            self.branches.append(self._behind(stretch, whole, joint))
            self._put(stretch, Span(whole.start, joint.position), joined=True, cut=True)
        else:
            self.branches.append(whole)

    def _put(self, stretch: Stretch, span: Span, *, joined: bool, cut: bool = False) -> None:
        self.pieces.append(Piece(stretch, span, joined, cut))
        self.joint = stretch.run.after

    def _link(self, stretch: Stretch, *, first: bool) -> Link:
        return (stretch.first if first else stretch.last).link(self.log.topic)

    def _has(self, stretch: Stretch, whole: Span, wanted: Link) -> bool:
        if wanted.position < whole.start:
            return False
        for link in links_from(self.log, stretch, wanted.position):
            if link.position >= wanted.position:
                return link == wanted
        return False

    def _behind(self, stretch: Stretch, whole: Span, fork: Link) -> Span:
        for link in links_from(self.log, stretch, fork.position):
            if link.position > fork.position:
                return Span(link.position, whole.end)
        return Span(whole.end, whole.end)


def links_from(log: KafkaLog, stretch: Stretch, position: Position) -> Iterator[Link]:
    """The links of a stretch from one at this position or before it on; few are fetched at a time."""
    begin = log.offset_of(stretch, position.t, lambda r: r.link(log.topic).position <= position)
    for found in log.records(begin, stretch.end, _FEW_BYTES):
        for record in found:
            if record.own:
                yield record.link(log.topic)


def links_back(log: KafkaLog, stretch: Stretch) -> Iterator[Link]:
    """Links of a stretch, newest first: all of the last ones, ever fewer of those before. What is rolled back
    is short, so the newest common entry is near the end."""
    upper, step = stretch.end, _BACK
    while upper > stretch.begin:
        lower, stride = max(stretch.begin, upper - step), step // _BACK
        found: list[Link] = []
        count = 0
        for records in log.records(lower, upper):
            for record in records:
                if record.own and count % stride == 0:
                    found.append(record.link(log.topic))
                count += 1
        yield from reversed(found)
        upper, step = lower, step * 8


def history(log: KafkaLog, identity: Identity | None) -> History:
    """The history of a deployment, of the one that wrote last where ``identity`` is None.

    Raises:
        Failed: A record that is needed for it is damaged.
    """
    weaving = _Weaving(log)
    for stretch in log.stretches():
        identity = identity or stretch.run.identity
        if stretch.run.identity.same_deployment(identity):
            weaving.take(stretch)
    return History(tuple(reversed(weaving.pieces)), tuple(reversed(weaving.branches)))
