"""Writing to the topic in transactions: all of a transaction is there or nothing, and nothing twice.

Asking for a producer id shuts out whoever had the same transactional id, and ends what it left open
(server-rules 23). The requests are those that every broker since 0.11 takes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from mongo_dr_console.stream import kafka_errors
from mongo_dr_console.stream.kafka_broker import Broker

_TIMEOUT_MS = 60_000
"""A writer that was killed holds up readers of newer records for so long at most."""
_PAUSE = 0.002
_SEQUENCES = 0x80000000


class TransactionWriter:
    """One transaction after another. After any error it is of no use: make another, which cleans up.

    Args:
        broker: Its connections.
        name: The transactional id.
    """

    def __init__(self, broker: Broker, name: str) -> None:
        self._broker, self._name = broker, name
        self._coordinator = -1
        self._sequence = 0
        self._open = False
        self._take_over()

    def _take_over(self) -> None:
        from kafka.protocol.producer import InitProducerIdRequest

        self._find_coordinator()
        response = self._coordinated(
            lambda: InitProducerIdRequest(
                transactional_id=self._name, transaction_timeout_ms=_TIMEOUT_MS, max_version=2
            ),
            lambda answer: answer.error_code,
        )
        self.producer, self.epoch = response.producer_id, response.producer_epoch

    def _find_coordinator(self) -> None:
        from kafka.protocol.metadata import FindCoordinatorRequest

        deadline = time.monotonic() + self._broker.seconds
        while True:
            found = self._broker.ask(
                FindCoordinatorRequest(key=self._name, key_type=1, min_version=1, max_version=3)
            )
            if not found.error_code:
                self._coordinator = found.node_id
                return
            self._again(found.error_code, deadline)

    def _again(self, code: int, deadline: float) -> None:
        """Waits a moment where that can help, else raises."""
        error = kafka_errors.for_code(code)
        if not kafka_errors.is_passing(error) or time.monotonic() > deadline:
            raise self._broker.told(error)
        time.sleep(_PAUSE)

    def _coordinated(self, make: Callable[[], Any], code_of: Callable[[Any], int]) -> Any:
        deadline = time.monotonic() + self._broker.seconds
        while True:
            answer = self._broker.ask(make(), self._coordinator)
            code = code_of(answer)
            if not code:
                return answer
            self._again(code, deadline)
            if not kafka_errors.is_concurrent(code):
                self._find_coordinator()

    def _begin(self) -> None:
        from kafka.protocol.producer import AddPartitionsToTxnRequest

        topic = AddPartitionsToTxnRequest.AddPartitionsToTxnTopic(name=self._broker.topic, partitions=[0])
        self._coordinated(
            lambda: AddPartitionsToTxnRequest(
                v3_and_below_transactional_id=self._name,
                v3_and_below_producer_id=self.producer,
                v3_and_below_producer_epoch=self.epoch,
                v3_and_below_topics=[topic],
                max_version=3,
            ),
            lambda a: a.results_by_topic_v3_and_below[0].results_by_partition[0].partition_error_code,
        )
        self._open = True

    def write(self, batch: Callable[[int, int, int], bytearray], count: int) -> None:
        """Sends one batch and waits until all in-sync replicas have it.

        Args:
            batch: Makes it of producer id, epoch and sequence number.
            count: Its records.
        """
        from kafka.protocol.producer import ProduceRequest

        if not self._open:
            self._begin()
        data = ProduceRequest.TopicProduceData
        request = ProduceRequest(
            transactional_id=self._name,
            acks=-1,
            timeout_ms=int(self._broker.seconds * 1000),
            topic_data=[
                data(
                    name=self._broker.topic,
                    partition_data=[
                        data.PartitionProduceData(
                            index=0, records=batch(self.producer, self.epoch, self._sequence)
                        )
                    ],
                )
            ],
            min_version=3,
            max_version=9,
        )
        deadline = time.monotonic() + self._broker.seconds
        while True:
            answer = self._broker.ask_leader(request, self._broker.seconds)
            code = answer.responses[0].partition_responses[0].error_code
            # The same batch again, after an answer that was lost, is not taken twice.
            if not code or kafka_errors.is_duplicate(code):
                break
            self._again(code, deadline)
            self._broker.forget_leader()
        self._sequence = (self._sequence + count) % _SEQUENCES

    def commit(self) -> None:
        """All that was written since the last time is there from now on, for every reader."""
        from kafka.protocol.producer import EndTxnRequest

        if not self._open:
            return
        self._coordinated(
            lambda: EndTxnRequest(
                transactional_id=self._name,
                producer_id=self.producer,
                producer_epoch=self.epoch,
                committed=True,
                max_version=3,
            ),
            lambda answer: answer.error_code,
        )
        self._open = False
