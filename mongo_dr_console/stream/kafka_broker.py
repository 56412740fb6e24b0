"""Asking Kafka: one connection a broker, in the thread that asks, each request with a time of its own.

kafka-python's producer and consumer are built for unending retries in threads of their own; a disaster
recovery tool must say within seconds that a broker is dead, and must know what of its writes was
acknowledged. So only the protocol and the connections of kafka-python are used, and nothing runs but the
caller's thread.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mongo_dr_console.config import KafkaConfig
from mongo_dr_console.model.trouble import Failed, Trouble, Unreachable
from mongo_dr_console.stream import kafka_errors
from mongo_dr_console.stream.kafka_connect import connect

SECONDS = 8.0
"""How long one request may take, connecting included."""

READ_COMMITTED = 1
EARLIEST, LATEST = -2, -1
_PAUSE = 0.02


@dataclass(frozen=True, slots=True)
class Topic:
    """What the cluster says of the topic: replicas of its first partition and how many are in sync."""

    partitions: int
    leader: int
    replicas: int
    in_sync: int
    brokers: int


class Broker:
    """The connections to a cluster, for one topic.

    Args:
        config: Of the profile.
        seconds: How long one request may take.
        until: When all of them must have ended, on the monotonic clock; None: each has its own time alone.
    """

    def __init__(self, config: KafkaConfig, seconds: float = SECONDS, until: float | None = None) -> None:
        logging.getLogger("kafka").setLevel(logging.CRITICAL)
        self.topic, self.where = config.topic, ", ".join(config.bootstrap)
        self.seconds, self._until = seconds, until
        self._leader: int | None = None
        self._client = connect(config, seconds)
        try:
            self._bootstrap()
        except Exception as error:
            self.close()
            raise self.told(error) from None

    def _deadline(self, seconds: float) -> float:
        deadline = time.monotonic() + seconds
        return deadline if self._until is None else min(deadline, self._until)

    def _bootstrap(self) -> None:
        """kafka-python's own bootstrap tries until the time is over and then tells of that alone; so the way
        in is tried here first, and what a broker says to a login is heard."""
        manager, net = self._client._manager, self._client._net
        nodes = [b.node_id for b in manager.cluster.bootstrap_brokers()]
        deadline = self._deadline(self.seconds)
        failed: Exception = TimeoutError()
        turn = 0
        while (left := deadline - time.monotonic()) > 0:
            node = nodes[turn % len(nodes)]
            turn += 1
            time.sleep(min(left, manager.connection_delay(node)))
            share = left if len(nodes) == 1 else left / 2
            connection = manager.get_connection(
                node,
                timeout_ms=share * 1000,
                pop_on_close=False,
                refresh_metadata_on_err=False,
                reset_backoff_on_connect=False,
            )
            net.poll(timeout_ms=share * 1000, future=connection.init_future)
            if connection.init_future.succeeded():
                manager.bootstrap(max(deadline - time.monotonic(), 0.1) * 1000)
                return
            failed = connection.init_future.exception or failed
            if not kafka_errors.is_passing(failed):
                raise failed
            manager._conns.pop(node, connection).close(failed)
            manager.update_backoff(node)
        raise failed

    def __enter__(self) -> Broker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of the connections; what is on its way is not waited for."""
        try:
            self._client.close()
        except Exception:  # a client that broke cannot be closed more than that
            return

    def told(self, error: Exception) -> Trouble:
        """What kafka-python says, as trouble; never with a credential."""
        return error if isinstance(error, Trouble) else kafka_errors.told(error, self.where, self.topic)

    def ask(self, request: Any, node: int | None = None, seconds: float | None = None) -> Any:
        """The response of a broker; any of them where ``node`` is None.

        Raises:
            Unreachable: Not within the time.
            Trouble: As ``kafka_errors.told``.
        """
        deadline = self._deadline(seconds or self.seconds)
        while True:
            to = node if node is not None else self._client.least_loaded_node(bootstrap_fallback=True)
            left = max((deadline - time.monotonic()) * 1000, 1.0)
            try:
                return self._client.send_and_receive(to, request, timeout_ms=left)
            except Exception as error:
                if not kafka_errors.is_passing(error) or time.monotonic() + _PAUSE > deadline:
                    raise self.told(error) from None
            time.sleep(_PAUSE)

    def look(self) -> Topic | None:
        """The topic; None where there is none."""
        response = self._metadata()
        found = response.topics[0]
        if kafka_errors.is_unknown_topic(found.error_code):
            return None
        self.check(found.error_code)
        first = min(found.partitions, key=lambda p: p.partition_index)
        self._leader = first.leader_id if first.leader_id >= 0 else None
        return Topic(
            partitions=len(found.partitions),
            leader=first.leader_id,
            replicas=len(first.replica_nodes),
            in_sync=len(first.isr_nodes),
            brokers=len(response.brokers),
        )

    def check(self, code: int) -> None:
        """Raises what a response's error code stands for."""
        if code:
            raise self.told(kafka_errors.for_code(code))

    def ask_leader(self, request: Any, seconds: float | None = None) -> Any:
        """Asks the leader of the partition.

        Raises:
            Failed: ``kafka-topic-missing``.
            Unreachable: The partition has no leader just now.
        """
        if self._leader is None:
            if self.look() is None:
                raise self.missing()
            if self._leader is None:
                raise Unreachable(
                    "kafka-unreachable",
                    f"Topic {self.topic} has no leader just now: its broker is down.",
                    "Bring the broker back.",
                )
        return self.ask(request, self._leader, seconds)

    def missing(self) -> Failed:
        """The topic is not there."""
        return Failed(
            "kafka-topic-missing",
            f"There is no topic {self.topic} at {self.where}: what was streamed to it is gone with it.",
            "Where that was meant, the agent makes it anew; else see who deleted it. mdr coverage shows what "
            "other sources have.",
        )

    def brokers(self) -> int:
        """How many brokers the cluster has."""
        return len(self._metadata().brokers)

    def ask_controller(self, request: Any) -> Any:
        """Asks whoever makes topics."""
        return self.ask(request, self._metadata().controller_id)

    def await_leader(self) -> None:
        """Until the partition of a topic that was just made has a leader.

        Raises:
            Unreachable: Not within the time of a request.
        """
        deadline = time.monotonic() + self.seconds
        while True:
            topic = self.look()
            if topic is not None and self._leader is not None:
                return
            if time.monotonic() > deadline:
                raise self.told(TimeoutError())
            time.sleep(_PAUSE)

    def _metadata(self) -> Any:
        from kafka.protocol.metadata import MetadataRequest

        return self.ask(
            MetadataRequest(
                topics=[MetadataRequest.MetadataRequestTopic(name=self.topic)],
                allow_auto_topic_creation=False,
                min_version=4,
                max_version=9,
            )
        )

    def forget_leader(self) -> None:
        """The next request looks who leads."""
        self._leader = None

    def offset(self, timestamp: int, *, committed: bool = True) -> int | None:
        """Offset of the first record with at least this timestamp (ms), or an end of the partition.

        Args:
            timestamp: ``EARLIEST``, ``LATEST`` (behind the newest committed record), or a time.
            committed: Else ``LATEST`` is behind the newest record of all.

        Returns:
            None where no record is so new.
        """
        from kafka.protocol.consumer import ListOffsetsRequest

        part = ListOffsetsRequest.ListOffsetsTopic.ListOffsetsPartition
        request = ListOffsetsRequest(
            replica_id=-1,
            isolation_level=READ_COMMITTED if committed else 0,
            topics=[
                ListOffsetsRequest.ListOffsetsTopic(
                    name=self.topic,
                    partitions=[part(partition_index=0, current_leader_epoch=-1, timestamp=timestamp)],
                )
            ],
            min_version=2,
            max_version=6,
        )
        deadline = self._deadline(self.seconds)
        while True:
            found = self.ask_leader(request).topics[0].partitions[0]
            passing = kafka_errors.is_passing(kafka_errors.for_code(found.error_code))
            if not passing or time.monotonic() + _PAUSE > deadline:
                self.check(found.error_code)
                return found.offset if found.offset >= 0 else None
            # A topic that was just made has a leader in the metadata before that one knows of it.
            self.forget_leader()
            time.sleep(_PAUSE)

    def settings(self, names: Sequence[str]) -> dict[str, str]:
        """The topic's settings in force."""
        from kafka.protocol.admin import DescribeConfigsRequest

        response = self.ask(
            DescribeConfigsRequest(
                resources=[
                    DescribeConfigsRequest.DescribeConfigsResource(
                        resource_type=2, resource_name=self.topic, configuration_keys=list(names)
                    )
                ],
                max_version=3,
            )
        )
        found = response.results[0]
        self.check(found.error_code)
        return {c.name: c.value for c in found.configs}
