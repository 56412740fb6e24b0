"""What Kafka and kafka-python say, in the words a person needs."""

from __future__ import annotations

from mongo_dr_console.model.trouble import Failed, Refused, Trouble, Unreachable

_FENCED = ("ProducerFencedError", "InvalidProducerEpochError", "InvalidProducerIdMappingError")
_LOGIN = ("SaslAuthenticationFailedError", "UnsupportedSaslMechanismError", "IllegalSaslStateError")
_PASSING = (
    "NodeNotReadyError",
    "KafkaConnectionError",
    "NotLeaderForPartitionError",
    "LeaderNotAvailableError",
    "CoordinatorLoadInProgressError",
    "CoordinatorNotAvailableError",
    "NotCoordinatorError",
    "ConcurrentTransactionsError",
    "BrokerNotAvailableError",
    "RequestTimedOutError",
    "UnknownBrokerIdError",
)
_SHORT = ("NotEnoughReplicasError", "NotEnoughReplicasAfterAppendError")
_LARGE = ("MessageSizeTooLargeError", "RecordListTooLargeError")


def for_code(code: int) -> Exception:
    """The error that a code of the protocol stands for."""
    from kafka import errors

    found: Exception = errors.for_code(code)()
    return found


def is_unknown_topic(code: int) -> bool:
    return code != 0 and type(for_code(code)).__name__ == "UnknownTopicOrPartitionError"


def is_passing(error: Exception) -> bool:
    """Whether the same request may well succeed in a moment."""
    return type(error).__name__ in _PASSING


def told(error: Exception, where: str, topic: str) -> Trouble:
    """An error as trouble. Of what Kafka or the connection says, only what can hold no credential is quoted.

    Args:
        where: The brokers of the profile.
        topic: The topic.
    """
    name = type(error).__name__
    if name in _LOGIN or "Authorization" in name:
        return _not_let_in(name, where, topic)
    if (failed := _failed(name, where, topic)) is not None:
        return failed
    if name in _SHORT:
        return Unreachable(
            "kafka-replicas",
            f"Fewer replicas of topic {topic} are in sync than min.insync.replicas wants: nothing is taken.",
            "Bring brokers back.",
        )
    if name == "KafkaStorageError":
        return Unreachable(
            "kafka-storage",
            f"A broker at {where} cannot write to its disk, so it takes nothing more into topic {topic}.",
            "Its disk is full or broken: make room there, then start the broker again; the stream goes on "
            "from the topic's own end.",
        )
    if name == "ConcurrentTransactionsError":
        return Unreachable(
            "kafka-transaction",
            f"The broker at {where} does not end the transaction that was open in topic {topic}.",
            "After a crash that takes it seconds. If it lasts longer than a minute it is stuck, as after a "
            "full disk: make room, and restart the broker; nothing that was acknowledged is lost.",
        )
    why = f"{name}: {error}" if name == "KafkaConnectionError" else name
    return Unreachable(
        "kafka-unreachable",
        f"Kafka at {where} does not answer ({why[:200]}).",
        "Host, port, protocol and network; with SSL also the certificate (ca).",
    )


def _failed(name: str, where: str, topic: str) -> Failed | None:
    """What trying again does not help."""
    if name in _FENCED:
        return Failed(
            "kafka-fenced",
            f"Another writer took over topic {topic}: this one was shut out, and nothing of it got in twice.",
            "Only one agent may stream a deployment to a topic: stop the other, or this one.",
        )
    if name in _LARGE:
        return Failed(
            "kafka-too-small",
            f"Topic {topic} refuses an entry for its size, so the stream stands still at it.",
            "Raise the topic's max.message.bytes; mdr doctor shows the command.",
        )
    if name == "UnknownTopicOrPartitionError":
        return Failed(
            "kafka-topic-missing",
            f"There is no topic {topic} at {where}: what was streamed to it is gone with it.",
            "mdr coverage shows what other sources have.",
        )
    if name == "OffsetOutOfRangeError":
        return Failed(
            "kafka-expired",
            f"Topic {topic} dropped the records that were being read: its retention went over them.",
            "mdr coverage shows what can be restored to now.",
        )
    return None


def _not_let_in(name: str, where: str, topic: str) -> Refused:
    if name in _LOGIN:
        return Refused(
            "kafka-login",
            f"Kafka at {where} refuses user or password ({name}): nothing is streamed there or read from it.",
            "Correct username, password_file and mechanism in oplog.kafka of the profile.",
        )
    return Refused(
        "kafka-not-authorized",
        f"Kafka at {where} does not let this user do that with topic {topic} ({name}).",
        "Grant Describe, DescribeConfigs, Read and Write on the topic, and Describe and Write on the "
        f"transactional id mongo-dr-console-{topic}.",
    )


def is_concurrent(code: int) -> bool:
    """The transaction before is still being ended: in a moment."""
    return type(for_code(code)).__name__ == "ConcurrentTransactionsError"


def is_duplicate(code: int) -> bool:
    """The broker has this batch already."""
    return type(for_code(code)).__name__ == "DuplicateSequenceNumberError"


def is_there_already(code: int) -> bool:
    """Somebody else made the topic in between."""
    return type(for_code(code)).__name__ == "TopicAlreadyExistsError"
