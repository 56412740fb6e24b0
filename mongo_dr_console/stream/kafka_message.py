"""One message to a topic, acknowledged by all replicas that are in sync."""

from __future__ import annotations

import time

from mongo_dr_console.config import KafkaConfig
from mongo_dr_console.stream.kafka_broker import Broker

_MAGIC = 2
_ROOM = 1 << 20


def send_message(config: KafkaConfig, value: bytes, seconds: float) -> None:
    """Appends one record, without a key, to the first partition.

    Args:
        config: Brokers, login and topic.
        seconds: How long all of it may take.

    Raises:
        Failed: ``kafka-topic-missing``; it is too large.
        Refused, Unreachable: As the broker says; whether it was taken is not known then.
    """
    from kafka.protocol.producer import ProduceRequest

    data = ProduceRequest.TopicProduceData
    with Broker(config, seconds, time.monotonic() + seconds) as broker:
        answer = broker.ask_leader(
            ProduceRequest(
                transactional_id=None,
                acks=-1,
                timeout_ms=int(seconds * 1000),
                topic_data=[
                    data(
                        name=config.topic,
                        partition_data=[data.PartitionProduceData(index=0, records=_batch(value))],
                    )
                ],
                min_version=3,
                max_version=9,
            ),
            seconds,
        )
        broker.check(answer.responses[0].partition_responses[0].error_code)


def _batch(value: bytes) -> bytes:
    from kafka.record.default_records import DefaultRecordBatchBuilder

    builder = DefaultRecordBatchBuilder(
        magic=_MAGIC,
        compression_type=0,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=_ROOM,
    )
    builder.append(0, int(time.time() * 1000), None, value, [])
    return bytes(builder.build())
