"""The topic: made where it is not there, and looked at."""

from __future__ import annotations

from collections.abc import Iterator

from mongo_dr_console.config import KafkaConfig
from mongo_dr_console.model import kafkatopic
from mongo_dr_console.model.finding import Finding, fine
from mongo_dr_console.model.kafkatopic import MADE_LIMIT, SETTINGS, TopicFacts
from mongo_dr_console.model.level import Level
from mongo_dr_console.model.trouble import Failed, Refused, Trouble
from mongo_dr_console.model.words import moment
from mongo_dr_console.stream import kafka_errors
from mongo_dr_console.stream.kafka_broker import Broker, Topic
from mongo_dr_console.stream.kafka_log import KafkaLog

_REPLICAS = 3
_LOOK_SECONDS = 4.0


def make_topic(broker: Broker) -> int:
    """Makes the topic where it is not there; the largest message that it takes, in bytes.

    Raises:
        Failed: ``kafka-topic-wrong``: the topic that is there cannot hold an oplog.
    """
    found = broker.look()
    if found is None:
        _make(broker)
        return MADE_LIMIT
    facts = _facts(broker, found)
    if (wrong := kafkatopic.forbids(facts)) is not None:
        raise Failed("kafka-topic-wrong", f"Topic {broker.topic}: {wrong.text}", wrong.fix)
    return facts.number("max.message.bytes") or 1024 * 1024


def _make(broker: Broker) -> None:
    from kafka.protocol.admin import CreateTopicsRequest

    brokers = broker.brokers()
    replicas = min(_REPLICAS, brokers)
    topic = CreateTopicsRequest.CreatableTopic
    settings = [
        topic.CreatableTopicConfig(name=name, value=value)
        for name, value in kafkatopic.settings_to_make(replicas).items()
    ]
    response = broker.ask_controller(
        CreateTopicsRequest(
            topics=[
                topic(
                    name=broker.topic,
                    num_partitions=1,
                    replication_factor=replicas,
                    assignments=[],
                    configs=settings,
                )
            ],
            timeout_ms=int(broker.seconds * 1000),
            validate_only=False,
            min_version=1,
            max_version=4,
        )
    )
    code = response.topics[0].error_code
    if not kafka_errors.is_there_already(code):
        broker.check(code)
    broker.await_leader()


def _facts(broker: Broker, found: Topic) -> TopicFacts:
    try:
        settings = broker.settings(SETTINGS)
    except Refused:
        settings = {}
    return TopicFacts(broker.topic, broker.where, found.partitions, found.replicas, found.in_sync, settings)


def _contents(log: KafkaLog, subject: str) -> Iterator[Finding]:
    begin, end = log.ends()
    newest = log.last(begin, end)
    if newest is None:
        yield fine("kafka-newest", subject, "It holds no entry yet.")
    else:
        position = newest.link(log.topic).position
        yield fine("kafka-newest", subject, f"Its newest entry is {position} ({moment(position.time)}).")
    if log.foreign:
        yield Finding(
            Level.WARNING,
            "kafka-foreign",
            subject,
            f"It holds messages that are no entries of ours, from offset {log.first_foreign} on. They are "
            "passed over; no entry is missed for them.",
            "Let nobody else write to it.",
        )


def examine(config: KafkaConfig) -> Iterator[Finding]:
    """What ``mdr doctor`` says of the topic; what cannot be reached is a finding."""
    subject = f"topic {config.topic}"
    try:
        with Broker(config, _LOOK_SECONDS) as broker:
            found = broker.look()
            if found is None:
                yield Finding(
                    Level.WARNING,
                    "kafka-topic-missing",
                    subject,
                    f"There is no such topic at {broker.where} yet: nothing was streamed.",
                    "The agent makes it, with one partition and seven days: mdr agent",
                )
                return
            yield from kafkatopic.findings(_facts(broker, found))
            yield from _contents(KafkaLog(broker), subject)
    except Trouble as trouble:
        yield Finding(Level.CRITICAL, trouble.code, subject, trouble.message, trouble.hint)
