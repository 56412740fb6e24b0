"""The Kafka topic as a sink of oplog entries."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mongo_dr_console.config import KafkaConfig
from mongo_dr_console.model import rawbson
from mongo_dr_console.model.identity import Identity
from mongo_dr_console.model.trouble import Failed
from mongo_dr_console.stream.chain import Link
from mongo_dr_console.stream.kafka_broker import LATEST, SECONDS, Broker
from mongo_dr_console.stream.kafka_history import links_back
from mongo_dr_console.stream.kafka_log import KafkaLog
from mongo_dr_console.stream.kafka_record import (
    RUN,
    SHA256,
    BatchBuilder,
    Run,
    entry_facts,
    is_json,
    json_value,
    stamp_of,
)
from mongo_dr_console.stream.kafka_topic import make_topic
from mongo_dr_console.stream.kafka_writer import TransactionWriter
from mongo_dr_console.stream.sink import Alone, Leave, require

NAME = "kafka"

_BATCH_BYTES = 1024 * 1024
_MARGIN = 16 * 1024
_AHEAD_SECONDS = 1800
_COMMIT_BYTES = 8 * 1024 * 1024
_COMMIT_SECONDS = 0.02
_CLOSE_SECONDS = 3.0


def transactional_id(topic: str) -> str:
    """One a topic: whoever opens it last is the only one who can write."""
    return f"mongo-dr-console-{topic}"


class KafkaSink:
    """Takes entries and writes them in transactions; the protocol is ``stream.sink.StreamSink``.

    ``append`` returns when the entries were sent and, but for those of the last 20 ms, committed: only one
    batch is in memory. Where to go on is read from the topic.

    Args:
        config: Of the profile.
        identity: Of the deployment; its set and id are written along, so that two are told apart.
        seconds: How long one request may take.
        clock: In seconds.
        leave: Asked before others are shut out, and before each write.
    """

    def __init__(
        self,
        config: KafkaConfig,
        identity: Identity,
        *,
        seconds: float = SECONDS,
        clock: Callable[[], float] = time.monotonic,
        leave: Leave | None = None,
    ) -> None:
        self.name = NAME
        self._leave = leave or Alone()
        self.durable: Link | None = None
        self._config, self._identity, self._clock = config, identity, clock
        self._seconds = seconds
        self._broker: Broker | None = None
        self._writer: TransactionWriter | None = None
        self._run: Run | None = None
        self._batch_bytes = _BATCH_BYTES
        self._newest_wall = 0
        self._forget()

    def _forget(self) -> None:
        self._builder = BatchBuilder()
        self._held: bytes | None = None
        self._previous = b""
        self._pending = 0
        self._committed_at = 0.0

    def open(self) -> Link | None:
        """Makes the topic where it is not there, shuts other writers out, ends what they left open, and reads
        the newest entry of this deployment back."""
        self._let_go()
        self._forget()
        self._broker = Broker(self._config, self._seconds)
        try:
            self._batch_bytes = min(_BATCH_BYTES, make_topic(self._broker) - _MARGIN)
            require(self._leave)
            self._writer = TransactionWriter(self._broker, transactional_id(self._config.topic))
            self.durable, self._run = self._tail()
        except BaseException:
            self._let_go()
            raise
        if self.durable is not None:
            self._previous = stamp_of(self.durable.position)
        return self.durable

    def _tail(self) -> tuple[Link | None, Run | None]:
        assert self._broker is not None
        log = KafkaLog(self._broker)
        newest = True
        for stretch in log.stretches():
            if stretch.run.identity.same_deployment(self._identity):
                return stretch.last.link(log.topic), stretch.run if newest else None
            newest = False
        return None, None

    def earlier(self) -> Iterator[Link]:
        """Entries of this deployment's runs, newest first, and those before them: all near the end of a run,
        few of the others."""
        assert self._broker is not None
        log = KafkaLog(self._broker)
        for stretch in log.stretches():
            if stretch.run.identity.same_deployment(self._identity):
                yield from links_back(log, stretch)
                yield stretch.run.after

    def begin(self, after: Link) -> None:
        assert self._broker is not None
        self.flush()
        if self._run is None or after != self.durable:
            # Not where readers are: they may not see the last transaction yet.
            self._run = Run(self._broker.offset(LATEST, committed=False) or 0, after, self._identity)
        self._previous = stamp_of(after.position)

    def append(self, batch: bytes) -> None:
        if self._run is None or self._writer is None:
            raise Failed(
                "kafka-not-open", "Entries came for Kafka before it was open and told what they follow."
            )
        self._newest_wall = int((time.time() + _AHEAD_SECONDS) * 1000)
        with self._or_nothing():
            for raw in rawbson.split(batch):
                # The last of a transaction says whose run it is: each waits until it is known not to be it.
                if self._held is not None:
                    self._add(self._held, last=False)
                self._held = raw
                self._pending += len(raw)
                if self._pending >= _COMMIT_BYTES:
                    self._commit()
            if self._clock() - self._committed_at >= _COMMIT_SECONDS:
                self._commit()

    @contextmanager
    def _or_nothing(self) -> Iterator[None]:
        """A transaction in which anything failed must never be committed: it might lack an entry."""
        try:
            yield
        except BaseException:
            self._let_go()
            raise

    def _add(self, raw: bytes, *, last: bool) -> None:
        facts = entry_facts(raw)
        # A broker refuses times of the future by default: an entry of a member whose clock is wrong, too.
        if not 0 <= facts.wall <= self._newest_wall:
            facts = facts._replace(wall=max(0, min(facts.wall, self._newest_wall)))
        value = json_value(raw) if self._config.codec == "json" else raw
        more: tuple[tuple[str, bytes], ...] = ()
        if is_json(value):
            more = ((SHA256, bytes.fromhex(rawbson.entry_hash(raw))),)
        if last:
            assert self._run is not None
            more = (*more, (RUN, self._run.to_bytes()))
        if self._builder.count and self._builder.size + len(value) > self._batch_bytes:
            self._send()
        self._builder.add(facts, value, self._previous, more)
        self._previous = facts.stamp
        if self._builder.size >= self._batch_bytes:
            self._send()

    def _send(self) -> None:
        from kafka.record.util import calc_crc32c

        assert self._writer is not None
        if not self._builder.count:
            return
        require(self._leave)
        builder, self._builder = self._builder, BatchBuilder()
        count = builder.count
        self._writer.write(
            lambda producer, epoch, sequence: builder.finish(calc_crc32c, producer, epoch, sequence), count
        )

    def _commit(self) -> None:
        if self._held is None:
            return
        assert self._writer is not None
        raw, self._held = self._held, None
        self._add(raw, last=True)
        self._send()
        require(self._leave)
        self._writer.commit()
        self.durable = Link.of(raw)
        self._pending = 0
        self._committed_at = self._clock()

    def tick(self) -> None:
        with self._or_nothing():
            self._commit()

    def flush(self) -> None:
        with self._or_nothing():
            self._commit()

    def close(self) -> None:
        try:
            if self._broker is not None:
                self._broker.seconds = min(self._broker.seconds, _CLOSE_SECONDS)
                self.flush()
        finally:
            self._let_go()

    def _let_go(self) -> None:
        broker, self._broker, self._writer = self._broker, None, None
        self._held = None
        if broker is not None:
            broker.close()


__all__ = ["NAME", "KafkaSink", "transactional_id"]
