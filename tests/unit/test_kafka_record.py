"""How entries lie in the topic, and what is found wrong with a topic: all without a broker."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from bson.timestamp import Timestamp
from kafka import errors
from kafka.record.memory_records import MemoryRecords
from kafka.record.util import calc_crc32c
from support.kafka import BEFORE, SOURCE, entries, entry

from mongo_dr_console.model import kafkatopic, rawbson
from mongo_dr_console.model.kafkatopic import TopicFacts
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.rawbson import TornDocument
from mongo_dr_console.model.trouble import Failed, Refused, Unreachable
from mongo_dr_console.model.verdict import Level
from mongo_dr_console.stream import kafka_errors
from mongo_dr_console.stream.kafka_connect import words_first
from mongo_dr_console.stream.kafka_log import Record
from mongo_dr_console.stream.kafka_record import (
    BatchBuilder,
    Run,
    entry_facts,
    is_json,
    json_value,
    position_of,
    stamp_of,
    varint,
)

GOOD = {
    "cleanup.policy": "delete",
    "max.message.bytes": str(kafkatopic.MADE_LIMIT),
    "retention.ms": str(72 * 3600 * 1000),
    "retention.bytes": "-1",
    "min.insync.replicas": "2",
}


def test_kafkas_own_reader_reads_what_the_builder_wrote() -> None:
    builder = BatchBuilder()
    written = [entry(2**31, 5, wall=w, pad=n) for n, w in ((0, 5000), (20_000, 0), (70, 4_000_000_000))]
    for raw in written:
        builder.add(entry_facts(raw), raw, stamp_of(BEFORE.position), (("run", b"r"), ("sha256", b"h" * 32)))
    data = builder.finish(calc_crc32c, 77, 3, 1000)
    batch = MemoryRecords(bytes(data)).next_batch()
    assert batch.validate_crc() and batch.is_transactional
    assert (batch.producer_id, batch.producer_epoch, batch.base_sequence) == (77, 3, 1000)
    assert (batch.first_timestamp, batch.max_timestamp) == (5_000_000, 4_000_000_000_000)
    found = list(batch)
    assert [r.value for r in found] == written
    assert [r.timestamp for r in found] == [5_000_000, 0, 4_000_000_000_000]
    assert {r.key for r in found} == {b"shop.orders"}
    headers = [("prev", stamp_of(BEFORE.position)), ("run", b"r"), ("sha256", b"h" * 32)]
    assert all(r.headers == headers for r in found)
    assert builder.count == 0


@pytest.mark.parametrize("value", [0, 1, -1, 63, 64, 16383, 16384, -(2**40), 2**62, -(2**63)])
def test_varints_are_those_of_the_protocol(value: int) -> None:
    from kafka.record.util import encode_varint

    wanted = bytearray()
    encode_varint(value, wanted.append)
    assert varint(value) == bytes(wanted)


def test_facts_of_an_entry_are_those_of_its_top_level() -> None:
    raw = entry(1700, 3, ns="other.place", ts=Timestamp(1, 1), wall=5)
    facts = entry_facts(raw)
    assert (facts.namespace, position_of(facts.stamp), facts.wall) == (
        b"shop.orders",
        Position(1700, 3),
        5000,
    )
    with pytest.raises(TornDocument):
        entry_facts(raw[:40] + b"\x00")
    with pytest.raises(TornDocument, match="ts"):
        entry_facts(b"\x05\x00\x00\x00\x00")


def test_json_is_taken_only_where_it_gives_the_very_entry_back() -> None:
    assert all(is_json(json_value(raw)) for raw in entries(20))
    lost = entry(1, 1, v={"$numberInt": "5"})
    assert json_value(lost) == lost and not is_json(lost)
    large = entry(1, 1, v=[1] * 1_000_000)
    assert len(large) < rawbson.MAX_DOCUMENT and json_value(large) == large


def test_a_run_is_read_as_it_was_written() -> None:
    run = Run(7, BEFORE, SOURCE)
    assert Run.of(run.to_bytes()) == run
    for wrong in (b"", b"{}", b"[1]", b'{"offset":1,"after":["x",1,"y"],"env":"e","set":"s","id":"i"}'):
        with pytest.raises(ValueError):
            Run.of(wrong)


def worst(**settings: str) -> dict[str, Level]:
    facts = TopicFacts("oplog-backup", "k:9092", 1, 3, 3, {**GOOD, **settings})
    return {f.code: f.level for f in kafkatopic.findings(facts) if f.level is not Level.FINE}


def test_a_topic_as_it_should_be_has_no_finding() -> None:
    assert worst() == {}
    made = kafkatopic.settings_to_make(3)
    assert worst(**made) == {}


@pytest.mark.parametrize(
    ("settings", "code", "level"),
    [
        ({"retention.ms": "86400000"}, "kafka-retention", Level.WARNING),
        ({"retention.ms": "172800000"}, "kafka-retention", Level.WARNING),
        ({"retention.bytes": "1073741824"}, "kafka-retention-bytes", Level.WARNING),
        ({"max.message.bytes": "16777216"}, "kafka-message-limit", Level.CRITICAL),
        ({"max.message.bytes": "1048588"}, "kafka-message-limit", Level.CRITICAL),
        ({"max.message.bytes": ""}, "kafka-message-limit", Level.UNKNOWN),
        ({"cleanup.policy": "compact,delete"}, "kafka-cleanup", Level.CRITICAL),
        ({"min.insync.replicas": "1"}, "kafka-replicas", Level.WARNING),
        ({"min.insync.replicas": "3"}, "kafka-replicas", Level.WARNING),
    ],
)
def test_each_shortcoming_of_a_topic_is_found_with_its_fix(
    settings: dict[str, str], code: str, level: Level
) -> None:
    assert worst(**settings) == {code: level}
    facts = TopicFacts("oplog-backup", "k:9092", 1, 3, 3, {**GOOD, **settings})
    assert all(f.fix for f in kafkatopic.findings(facts) if f.level is not Level.FINE)


def test_a_day_of_retention_leaves_no_slack() -> None:
    facts = TopicFacts("t", "k:9092", 1, 3, 3, {**GOOD, "retention.ms": "86400000"})
    text = next(f for f in kafkatopic.findings(facts) if f.code == "kafka-retention")
    assert "no slack" in text.text and "retention.ms=259200000" in text.fix


def test_every_name_of_an_error_is_one_of_kafkas() -> None:
    text = Path(kafka_errors.__file__).read_text(encoding="utf-8")
    names = set(re.findall(r'"(\w+Error)"', text))
    assert len(names) > 20
    assert {name for name in names if not hasattr(errors, name)} == set()


def test_json_that_is_not_what_was_written_is_damaged() -> None:
    raw, other = entries(2)
    digest = bytes.fromhex(rawbson.entry_hash(raw))
    good = Record(7, json_value(raw), stamp_of(BEFORE.position), digest, None)
    assert good.entry("t") == raw
    for wrong in (replace(good, value=json_value(other)), replace(good, digest=None)):
        with pytest.raises(Failed, match="offset 7") as caught:
            wrong.entry("t")
        assert caught.value.code == "kafka-damaged"


def test_what_a_broker_says_before_it_hangs_up_is_heard() -> None:
    hung_up = OSError("hung up")
    said = iter([(b"refused", hung_up), (b"", hung_up)])
    receive = words_first(lambda: next(said))
    assert receive() == (b"refused", None)
    assert receive() == (b"", hung_up)


@pytest.mark.parametrize(
    ("code", "kind", "word"),
    [
        (3, Failed, "kafka-topic-missing"),
        (10, Failed, "kafka-too-small"),
        (19, Unreachable, "kafka-replicas"),
        (29, Refused, "kafka-not-authorized"),
        (47, Failed, "kafka-fenced"),
        (58, Refused, "kafka-login"),
        (90, Failed, "kafka-fenced"),
        (56, Unreachable, "kafka-storage"),
        (51, Unreachable, "kafka-transaction"),
    ],
)
def test_what_kafka_says_is_told_in_words(code: int, kind: type, word: str) -> None:
    trouble = kafka_errors.told(kafka_errors.for_code(code), "k:9092", "oplog-backup")
    assert (type(trouble), trouble.code) == (kind, word)
    assert trouble.hint
