"""Reading the topic: committed records in order, its ends, and the runs of which it is made."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from mongo_dr_console.model import extjson, rawbson
from mongo_dr_console.model.rawbson import TornDocument
from mongo_dr_console.model.trouble import Failed
from mongo_dr_console.stream import kafka_errors
from mongo_dr_console.stream.chain import Link
from mongo_dr_console.stream.kafka_broker import EARLIEST, LATEST, READ_COMMITTED, Broker
from mongo_dr_console.stream.kafka_record import PREVIOUS, RUN, SHA256, Run, is_json

_FETCH_BYTES = 4 * 1024 * 1024
_WAIT_MS = 500
_PAUSE = 0.02
_SETTLE_SECONDS, _SETTLE_PAUSE = 0.5, 0.005


@dataclass(frozen=True, slots=True)
class Record:
    """A committed record. ``previous`` is None where it is not one of ours."""

    offset: int
    value: bytes
    previous: bytes | None
    digest: bytes | None
    run: bytes | None

    @property
    def own(self) -> bool:
        return self.previous is not None

    def entry(self, topic: str) -> bytes:
        """The raw oplog entry.

        Raises:
            Failed: ``kafka-damaged``: it is not what was written.
        """
        value = self.value
        if is_json(value):
            try:
                value = extjson.loads(value)
            except extjson.NotCanonical as error:
                raise _damaged(topic, self.offset, str(error)) from None
            if self.digest is None or rawbson.entry_hash(value) != self.digest.hex():
                raise _damaged(topic, self.offset, "its Extended JSON is not the entry that was written")
        elif len(value) < 5 or int.from_bytes(value[:4], "little") != len(value):
            raise _damaged(topic, self.offset, "it is no BSON document")
        return value

    def link(self, topic: str) -> Link:
        """What identifies its entry. Raises Failed as ``entry``."""
        try:
            return Link.of(self.entry(topic))
        except TornDocument as error:
            raise _damaged(topic, self.offset, str(error)) from None


def _damaged(topic: str, offset: int, why: str) -> Failed:
    return Failed(
        "kafka-damaged",
        f"The record at offset {offset} of topic {topic} is damaged: {why}. Nothing from it on is read here.",
        "mdr coverage shows what other sources have of that stretch.",
    )


@dataclass(frozen=True, slots=True)
class Stretch:
    """A run as it lies in the topic now: offsets ``begin <= offset < end``, first and last of its records."""

    run: Run
    begin: int
    end: int
    first: Record
    last: Record


class KafkaLog:
    """The one partition of the topic; counts messages of others that it comes by in ``foreign``.

    Args:
        broker: Its connections.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self.foreign = 0
        self.first_foreign: int | None = None

    @property
    def topic(self) -> str:
        return self._broker.topic

    def ends(self) -> tuple[int, int]:
        """Offsets of the oldest record, and behind the newest committed one.

        Kafka acknowledges a commit before readers see it, some milliseconds at most: what is on its way is
        waited for, so that everything that was acknowledged before this call is seen.
        """
        begin = self._broker.offset(EARLIEST) or 0
        written = self._broker.offset(LATEST, committed=False) or 0
        deadline = time.monotonic() + _SETTLE_SECONDS
        while (end := self._broker.offset(LATEST) or 0) < written and time.monotonic() < deadline:
            time.sleep(_SETTLE_PAUSE)
        return begin, end

    def offset_at(self, milliseconds: int) -> int | None:
        """Where records with at least this timestamp begin."""
        return self._broker.offset(milliseconds)

    def records(self, begin: int, end: int, fetch_bytes: int = _FETCH_BYTES) -> Iterator[list[Record]]:
        """Committed records from one offset to before another, oldest first; foreign ones too.

        Memory is bounded by one fetch, which is one record where that is larger.

        Raises:
            Unreachable: The broker gave nothing for the time of a request.
            Failed: A checksum is wrong, or the records are gone.
        """
        at, heard = begin, time.monotonic()
        while at < end:
            found, reached = self._fetch(at, end, fetch_bytes)
            if reached > at:
                at, heard = reached, time.monotonic()
            elif time.monotonic() - heard > self._broker.seconds:
                raise self._broker.told(TimeoutError())
            if found:
                yield found

    def _fetch(self, at: int, end: int, fetch_bytes: int) -> tuple[list[Record], int]:
        from kafka.record.memory_records import MemoryRecords

        data = self._answer(at, fetch_bytes)
        aborted = sorted((a.first_offset, a.producer_id) for a in data.aborted_transactions or ())
        gone: set[int] = set()
        found: list[Record] = []
        records = MemoryRecords(bytes(data.records or b""))
        reached = at
        while records.has_next():
            batch = records.next_batch()
            if not batch.validate_crc():
                raise _damaged(self.topic, batch.base_offset, "its checksum is wrong")
            while aborted and aborted[0][0] <= batch.last_offset:
                gone.add(aborted.pop(0)[1])
            reached = max(reached, batch.last_offset + 1)
            if batch.is_control_batch:
                gone.discard(batch.producer_id)
            elif not (batch.is_transactional and batch.producer_id in gone):
                found += [_record(r) for r in batch if at <= r.offset < end]
        return found, reached

    def _answer(self, at: int, fetch_bytes: int) -> Any:
        from kafka.protocol.consumer import FetchRequest

        topic = FetchRequest.FetchTopic
        part = topic.FetchPartition(
            partition=0,
            current_leader_epoch=-1,
            fetch_offset=at,
            log_start_offset=-1,
            partition_max_bytes=fetch_bytes,
        )
        request = FetchRequest(
            replica_id=-1,
            max_wait_ms=_WAIT_MS,
            min_bytes=1,
            max_bytes=fetch_bytes,
            isolation_level=READ_COMMITTED,
            session_id=0,
            session_epoch=-1,
            topics=[topic(topic=self.topic, partitions=[part])],
            forgotten_topics_data=[],
            rack_id="",
            min_version=4,
            max_version=11,
        )
        deadline = time.monotonic() + self._broker.seconds
        while True:
            response = self._broker.ask_leader(request)
            data = response.responses[0].partitions[0]
            if not data.error_code:
                return data
            error = kafka_errors.for_code(data.error_code)
            if not kafka_errors.is_passing(error) or time.monotonic() > deadline:
                raise self._broker.told(error)
            self._broker.forget_leader()
            time.sleep(_PAUSE)

    def _own(self, found: list[Record]) -> list[Record]:
        own = [r for r in found if r.own]
        if len(own) != len(found):
            self.foreign += len(found) - len(own)
            if self.first_foreign is None:
                self.first_foreign = next(r.offset for r in found if not r.own)
        return own

    def first(self, begin: int, end: int) -> Record | None:
        """The first record of ours in a range of offsets."""
        for found in self.records(begin, end, 1):
            if own := self._own(found):
                return own[0]
        return None

    def last(self, begin: int, end: int) -> Record | None:
        """The last record of ours in a range of offsets, read from its end."""
        step, upper = 4, end
        while upper > begin:
            lower = max(begin, upper - step)
            newest = None
            for found in self.records(lower, upper):
                if own := self._own(found):
                    newest = own[-1]
            if newest is not None:
                return newest
            upper, step = lower, step * 8
        return None

    def stretches(self) -> Iterator[Stretch]:
        """The runs, newest first.

        Raises:
            Failed: ``kafka-damaged``.
        """
        begin, upper = self.ends()
        while (last := self.last(begin, upper)) is not None:
            try:
                run = Run.of(last.run or b"")
            except ValueError:
                raise _damaged(
                    self.topic, last.offset, "it ends a transaction and does not say whose"
                ) from None
            lower = max(begin, run.offset)
            if lower >= upper:
                raise _damaged(self.topic, last.offset, "its run begins behind it")
            first = self.first(lower, upper)
            assert first is not None, "its last record is there"
            yield Stretch(run, lower, last.offset + 1, first, last)
            upper = lower

    def offset_of(self, stretch: Stretch, seconds: int, at_most: Callable[[Record], bool]) -> int:
        """An offset in a stretch from which on all records since a position can be read.

        Guessed by the time, and proved by the record that is there: clocks may be wrong.

        Args:
            seconds: Of the position.
            at_most: Whether a record's entry lies at the position or before it.
        """
        for slack in (1, 60, 3600):
            offset = self.offset_at(max(0, seconds - slack) * 1000)
            if offset is None:
                continue
            offset = min(offset, stretch.end - 1)
            if offset <= stretch.begin:
                break
            found = self.first(offset, stretch.end)
            if found is not None and at_most(found):
                return offset
        return stretch.begin


def _record(record: Any) -> Record:
    previous = digest = run = None
    for name, data in record.headers:
        if name == PREVIOUS and data is not None and len(data) == 8:
            previous = data
        elif name == SHA256:
            digest = data
        elif name == RUN:
            run = data
    return Record(record.offset, bytes(record.value or b""), previous, digest, run)


__all__ = ["KafkaLog", "Record", "Stretch"]
