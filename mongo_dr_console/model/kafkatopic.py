"""What the topic must be like, each shortcoming with its fix. Pure; ``stream.kafka_topic`` asks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mongo_dr_console.model.finding import Finding, fine
from mongo_dr_console.model.level import Level
from mongo_dr_console.model.rawbson import MAX_DOCUMENT
from mongo_dr_console.model.words import duration, size

SMALLEST_LIMIT = MAX_DOCUMENT + 64 * 1024
"""``max.message.bytes`` that no entry exceeds: 16 MiB, the server's overhead, and that of key and headers."""
MADE_LIMIT = 20 * 1024 * 1024
MADE_RETENTION_MS = 7 * 24 * 3600 * 1000
ENOUGH_RETENTION_HOURS = 72
_NO_SLACK_HOURS = 24

SETTINGS = ("max.message.bytes", "retention.ms", "retention.bytes", "cleanup.policy", "min.insync.replicas")


@dataclass(frozen=True, slots=True)
class TopicFacts:
    """The topic as it is: partitions, replicas of its partition, how many of them are in sync, settings."""

    name: str
    bootstrap: str
    partitions: int
    replicas: int
    in_sync: int
    settings: dict[str, str]

    def number(self, setting: str) -> int | None:
        """A setting in figures; None where it is not known."""
        try:
            return int(self.settings[setting])
        except (KeyError, ValueError):
            return None


def settings_to_make(replicas: int) -> dict[str, str]:
    """What a topic of ours is made with."""
    return {
        "cleanup.policy": "delete",
        "max.message.bytes": str(MADE_LIMIT),
        "retention.ms": str(MADE_RETENTION_MS),
        "retention.bytes": "-1",
        "min.insync.replicas": "2" if replicas > 2 else "1",
    }


def forbids(facts: TopicFacts) -> Finding | None:
    """What makes the topic unusable at all."""
    found = [f for f in (_partitions(facts), _cleanup(facts)) if f.level is Level.CRITICAL]
    return found[0] if found else None


def findings(facts: TopicFacts) -> Iterator[Finding]:
    """All that was looked at."""
    yield _partitions(facts)
    yield _cleanup(facts)
    yield _message_limit(facts)
    yield from _retention(facts)
    yield from _replicas(facts)


def _subject(facts: TopicFacts) -> str:
    return f"topic {facts.name}"


def _alter(facts: TopicFacts, setting: str) -> str:
    return (
        f"kafka-configs.sh --bootstrap-server {facts.bootstrap.partition(',')[0]} --entity-type topics "
        f"--entity-name {facts.name} --alter --add-config {setting}"
    )


def _partitions(facts: TopicFacts) -> Finding:
    if facts.partitions == 1:
        return fine("kafka-partitions", _subject(facts), f"{facts.bootstrap} answers; one partition.")
    return Finding(
        Level.CRITICAL,
        "kafka-partitions",
        _subject(facts),
        f"It has {facts.partitions} partitions: only one keeps the order, so nothing is streamed.",
        "Name another topic in oplog.kafka; it is made with one partition.",
    )


def _cleanup(facts: TopicFacts) -> Finding:
    policy = facts.settings.get("cleanup.policy", "delete")
    if "compact" not in policy:
        return fine("kafka-cleanup", _subject(facts), "It is not compacted.")
    return Finding(
        Level.CRITICAL,
        "kafka-cleanup",
        _subject(facts),
        f"cleanup.policy is {policy}: compaction throws away all but the newest entry of each namespace, "
        "so nothing is streamed.",
        _alter(facts, "cleanup.policy=delete"),
    )


def _message_limit(facts: TopicFacts) -> Finding:
    limit = facts.number("max.message.bytes")
    if limit is None:
        return Finding(
            Level.UNKNOWN,
            "kafka-message-limit",
            _subject(facts),
            "Its max.message.bytes could not be read: entries of 16 MiB may be refused.",
            "Grant DescribeConfigs on the topic.",
        )
    if limit >= SMALLEST_LIMIT:
        return fine("kafka-message-limit", _subject(facts), f"It takes messages of {size(limit)}.")
    return Finding(
        Level.CRITICAL,
        "kafka-message-limit",
        _subject(facts),
        f"max.message.bytes is {size(limit)}: the stream stands still at the first larger entry, and entries "
        f"can have {size(MAX_DOCUMENT)}.",
        _alter(facts, f"max.message.bytes={MADE_LIMIT}"),
    )


def _retention(facts: TopicFacts) -> Iterator[Finding]:
    limit = facts.number("retention.bytes")
    if limit is not None and limit >= 0:
        yield Finding(
            Level.WARNING,
            "kafka-retention-bytes",
            _subject(facts),
            f"retention.bytes is {size(limit)}: a burst of writes drops what is still needed.",
            _alter(facts, "retention.bytes=-1"),
        )
    kept = facts.number("retention.ms")
    if kept is None:
        return
    wanted = _alter(facts, f"retention.ms={ENOUGH_RETENTION_HOURS * 3600 * 1000}")
    hours = kept / 3_600_000
    if kept < 0:
        yield fine("kafka-retention", _subject(facts), "It keeps everything.")
    elif hours <= _NO_SLACK_HOURS:
        yield Finding(
            Level.WARNING,
            "kafka-retention",
            _subject(facts),
            f"It keeps {duration(kept / 1000)}. With a snapshot a day that leaves no slack: when an alarm "
            "says that the newest snapshot is too old, the stream has already lost its joint to it.",
            f"{wanted}; or stream to segments too",
        )
    elif hours < ENOUGH_RETENTION_HOURS:
        yield Finding(
            Level.WARNING,
            "kafka-retention",
            _subject(facts),
            f"It keeps {duration(kept / 1000)}: one weekend without a snapshot, and the stream has lost its "
            "joint to it.",
            f"{wanted}; or stream to segments too",
        )
    else:
        yield fine("kafka-retention", _subject(facts), f"It keeps {duration(kept / 1000)}.")


def _replicas(facts: TopicFacts) -> Iterator[Finding]:
    subject = _subject(facts)
    least = facts.number("min.insync.replicas") or 1
    if facts.replicas < 2:
        yield Finding(
            Level.WARNING,
            "kafka-replicas",
            subject,
            "It has one replica: with that broker's disk the stream is gone.",
            "Give it three replicas (kafka-reassign-partitions.sh), and min.insync.replicas=2",
        )
    elif least < 2:
        yield Finding(
            Level.WARNING,
            "kafka-replicas",
            subject,
            f"min.insync.replicas is {least}: an entry counts as safe while one broker alone has it.",
            _alter(facts, "min.insync.replicas=2"),
        )
    elif least >= facts.replicas:
        yield Finding(
            Level.WARNING,
            "kafka-replicas",
            subject,
            f"min.insync.replicas is {least} of {facts.replicas}: one broker down stops the stream.",
            "Give it one replica more than min.insync.replicas",
        )
    else:
        yield fine("kafka-replicas", subject, f"{facts.replicas} replicas, {least} must be in sync.")
    if facts.in_sync < facts.replicas:
        yield Finding(
            Level.WARNING,
            "kafka-in-sync",
            subject,
            f"{facts.in_sync} of {facts.replicas} replicas are in sync.",
            "Bring the other brokers up.",
        )
