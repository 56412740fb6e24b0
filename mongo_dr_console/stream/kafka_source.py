"""The Kafka topic as a source of oplog entries."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from mongo_dr_console.config import KafkaConfig
from mongo_dr_console.model import rawbson
from mongo_dr_console.model.entryhead import head
from mongo_dr_console.model.identity import Identity
from mongo_dr_console.model.position import Position, Span
from mongo_dr_console.model.rawbson import TornDocument
from mongo_dr_console.model.trouble import Failed
from mongo_dr_console.stream.chain import Link
from mongo_dr_console.stream.kafka_broker import SECONDS, Broker
from mongo_dr_console.stream.kafka_history import History, Piece, history, links_from
from mongo_dr_console.stream.kafka_log import KafkaLog, Record, Stretch
from mongo_dr_console.stream.kafka_record import position_of, stamp_of

_REMEMBERED = 65_536
"""So many entries back a repeated one is known again."""


@dataclass(frozen=True, slots=True)
class KafkaRun:
    """An unbroken stretch of the topic, whichever history it is on.

    Args:
        identity: Whose oplog it is.
        offset: By which it is known.
        links: Entries that are known, in order: the first is the one before the stretch, which need not be
            in the topic, or, where retention dropped that, the first that is there; the last is its end.
    """

    identity: Identity
    offset: int
    links: tuple[Link, ...]


class KafkaSource:
    """Reads the topic; the protocol is ``stream.source.StreamSource``.

    Each call has connections of its own and may be made from any thread. Messages of others in the topic are
    passed over: every record names the entry before it, so that nothing can be missing unseen.

    Args:
        config: Of the profile.
        identity: Whose oplog; None: that of the deployment that wrote last.
        seconds: How long one request may take.
    """

    until: float | None = None
    """When what is asked next must have ended, on the monotonic clock."""

    def __init__(
        self, config: KafkaConfig, identity: Identity | None = None, *, seconds: float = SECONDS
    ) -> None:
        self.name = "kafka"
        self.foreign = 0
        self._config, self._identity, self._seconds = config, identity, seconds

    def connect(self) -> Broker:
        """Connections of its own. Raises as ``windows``."""
        return Broker(self._config, self._seconds, self.until)

    def windows(self) -> list[Span]:
        """The ranges of the history that the newest entry is on.

        Raises:
            Unreachable, Refused: As Kafka says.
            Failed: The topic is gone, or a record that is needed to know is damaged.
        """
        return self.look().windows()

    def look(self) -> History:
        """Windows, and the branches beside them. Raises as ``windows``."""
        with self.connect() as broker:
            log = KafkaLog(broker)
            found = history(log, self._identity)
            self.foreign = log.foreign
            return found

    def runs(self) -> list[KafkaRun]:
        """All of them, of every deployment, oldest first. Raises as ``windows``."""
        with self.connect() as broker:
            log = KafkaLog(broker)
            found = [run_of(log.topic, stretch) for stretch in log.stretches()]
            self.foreign = log.foreign
            return found[::-1]

    def link_at(self, run: KafkaRun, position: Position) -> Link | None:
        """What a run has at a position, None where nothing is. Raises as ``windows``."""
        with self.connect() as broker:
            log = KafkaLog(broker)
            for found in links_from(log, stretch_of(log, run), position):
                if found.position >= position:
                    return found if found.position == position else None
            return None

    def read_run(self, run: KafkaRun, start: Position, end: Position) -> Iterator[bytes]:
        """As ``read``, of one run alone: so a branch is read."""
        with self.connect() as broker:
            log = KafkaLog(broker)
            span = Span(run.links[0].position, run.links[-1].position)
            piece = Piece(stretch_of(log, run), span, joined=False)
            yield from _Reader(self._config.topic, start, end).read(log, piece)

    def read(self, start: Position, end: Position) -> Iterator[bytes]:
        """Batches of whole raw entries with ``start <= ts <= end`` that lie in the windows, oldest first.

        Raises:
            Failed: ``stream-gap``: the range reaches over a hole; ``stream-diverged``: two different
                entries at one position; ``kafka-damaged``; ``kafka-expired``.
            Unreachable, Refused: As Kafka says.
        """
        with self.connect() as broker:
            log = KafkaLog(broker)
            wanted = [
                p for p in history(log, self._identity).pieces if p.span.start <= end and p.span.end >= start
            ]
            for piece, following in pairwise(wanted):
                if not piece.joined:
                    raise _hole(self._config.topic, piece.span.end, following.span.start)
            reader = _Reader(self._config.topic, start, end)
            for piece in wanted:
                yield from reader.read(log, piece)


@dataclass(slots=True)
class _Reader:
    """Proves of each entry that it follows the one before."""

    topic: str
    start: Position
    end: Position
    last: bytes | None = None
    seen: OrderedDict[bytes, str] = field(default_factory=OrderedDict)

    def read(self, log: KafkaLog, piece: Piece) -> Iterator[bytes]:
        upper = min(self.end, piece.span.end) if piece.cut else self.end
        begin = log.offset_of(
            piece.stretch, self.start.t, lambda r: r.link(self.topic).position <= self.start
        )
        for found in log.records(begin, piece.stretch.end):
            batch: list[bytes] = []
            done = False
            for record in found:
                if not record.own:
                    continue
                raw = record.entry(self.topic)
                position = self._position(record, raw)
                if position > upper:
                    done = True
                    break
                if self._follows(record, raw, position) and position >= self.start:
                    batch.append(raw)
            if batch:
                yield b"".join(batch)
            if done:
                return

    def _position(self, record: Record, raw: bytes) -> Position:
        try:
            return head(raw).position
        except TornDocument as error:
            raise Failed(
                "kafka-damaged",
                f"The record at offset {record.offset} of topic {self.topic} is no oplog entry: {error}.",
                "mdr coverage shows what other sources have of that stretch.",
            ) from None

    def _follows(self, record: Record, raw: bytes, position: Position) -> bool:
        """Whether it is the next one; False where it was had before."""
        stamp, digest = stamp_of(position), rawbson.entry_hash(raw)
        if self.last is not None and record.previous != self.last:
            assert record.previous is not None
            last = position_of(self.last)
            if position > last:
                raise _hole(self.topic, last, position)
            if self.seen.get(stamp) != digest:
                raise Failed(
                    "stream-diverged",
                    f"Topic {self.topic} has another entry at {position} (offset {record.offset}) than "
                    "it had before: two histories are mixed.",
                    "mdr coverage shows what other sources have.",
                )
            return False
        self.last = stamp
        self.seen[stamp] = digest
        if len(self.seen) > _REMEMBERED:
            self.seen.popitem(last=False)
        return True


def run_of(topic: str, stretch: Stretch) -> KafkaRun:
    """A stretch as it is told to others."""
    first, last, after = stretch.first.link(topic), stretch.last.link(topic), stretch.run.after
    whole = stretch.first.previous == stamp_of(after.position)
    links = dict.fromkeys((after, first, last) if whole else (first, last))
    return KafkaRun(stretch.run.identity, stretch.run.offset, tuple(links))


def stretch_of(log: KafkaLog, run: KafkaRun) -> Stretch:
    """Where a run lies now.

    Raises:
        Failed: ``kafka-expired``.
    """
    for stretch in log.stretches():
        if stretch.run.offset == run.offset:
            return stretch
    raise Failed(
        "kafka-expired",
        f"Topic {log.topic} dropped the records that were being read: its retention went over them.",
        "mdr coverage shows what can be restored to now.",
    )


def _hole(topic: str, before: Position, after: Position) -> Failed:
    return Failed(
        "stream-gap",
        f"Topic {topic} has nothing between {before} and {after}, and entries are missing there.",
        "mdr coverage shows which positions can be restored to, and what other sources have.",
    )
