"""The Kafka topic as sink and source, on a real broker."""

from __future__ import annotations

import random
import struct
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import bson
import pytest
from bson.timestamp import Timestamp
from kafka import KafkaConsumer
from support.kafka import (
    BEFORE,
    END,
    PASSWORD,
    SOURCE,
    START,
    Kafka,
    entries,
    entry,
    killed_writer,
    read,
    sink,
    write,
)

from mongo_dr_console.config import KafkaConfig, Profile
from mongo_dr_console.model import rawbson
from mongo_dr_console.model.coverage import branch_name
from mongo_dr_console.model.position import Position, Span
from mongo_dr_console.model.trouble import Failed, Refused, Trouble, Unreachable
from mongo_dr_console.mongo.launch import ReplicaSet
from mongo_dr_console.mongo.oplog import majority_position
from mongo_dr_console.sandbox.kafka import LocalBroker
from mongo_dr_console.stream import kafka_topic
from mongo_dr_console.stream.chain import Link
from mongo_dr_console.stream.coverage import Gathered, stored
from mongo_dr_console.stream.history import history_of
from mongo_dr_console.stream.kafka_broker import Broker
from mongo_dr_console.stream.kafka_keep import KafkaKeep
from mongo_dr_console.stream.kafka_record import stamp_of
from mongo_dr_console.stream.kafka_sink import KafkaSink
from mongo_dr_console.stream.kafka_source import KafkaSource
from mongo_dr_console.stream.keep import Keep
from mongo_dr_console.stream.live import LiveOplog
from mongo_dr_console.workers.broadcasts import broadcast_of

OTHER = SOURCE.model_copy(update={"replica_set_id": "6a" * 12})


def at(raw: bytes) -> Position:
    return Link.of(raw).position


def digests(raws: list[bytes]) -> list[str]:
    """Instead of 16 MB in a message."""
    return [rawbson.entry_hash(raw) for raw in raws]


def strange() -> list[bytes]:
    """Entries that Extended JSON cannot carry, or only at many times the size, and the largest there is."""
    values: list[dict[str, Any]] = [
        {"v": {"$numberInt": "5"}},
        {"v": {"$ref": "c", "$id": 1, "$db": "d"}},
        {"v": [list(range(40)) for _ in range(30_000)]},
        {"v": ["\u2028", "\x00", float("nan"), -0.0, bson.Int64(5), bson.MinKey(), bson.Code("x", {"a": 1})]},
    ]
    made = [entry(2000 + n, 1, **value) for n, value in enumerate(values)]
    nan = bytearray(entry(2010, 1, v=float("nan")))
    where = nan.index(struct.pack("<d", float("nan")))
    nan[where : where + 8] = struct.pack("<Q", 0x7FF8000000ABCDEF)
    made.append(bytes(nan))
    room = rawbson.MAX_DOCUMENT - len(entry(2020, 1, pad=0))
    made.append(entry(2020, 1, pad=room))
    assert len(made[-1]) == rawbson.MAX_DOCUMENT
    return made


@pytest.fixture(scope="module")
def real_entries(replica_set: ReplicaSet) -> list[bytes]:
    """What a server logs: writes of all kinds, a document of 16 MB, a transaction in several entries, DDL."""
    name = "t_kafka"
    with closing(replica_set.client()) as client:
        begin, _ = majority_position(client)
        database = client[name]
        database.orders.insert_many([{"_id": n, "n": n} for n in range(50)])
        database.orders.update_many({"_id": {"$lt": 10}}, {"$set": {"a": [1, {"b": 2}]}})
        database.orders.delete_many({"_id": {"$gte": 45}})
        database.large.insert_one({"_id": 1, "x": b"\xab" * (16 * 1024 * 1024 - 100)})
        with client.start_session() as session, session.start_transaction():
            for n in range(3):
                database.orders.insert_one({"_id": f"t{n}", "x": "y" * 7_000_000}, session=session)
        database.orders.create_index("n", expireAfterSeconds=1000)
        database.orders.rename("renamed")
        database.command("collMod", "renamed", validationLevel="off")
        client.drop_database(name)
        end, _ = majority_position(client)
        batches = LiveOplog(client).read(Position(begin.t, begin.i + 1), end)
        return [raw for batch in batches for raw in rawbson.split(batch)]


@pytest.mark.parametrize("codec", ["bson", "json"])
def test_entries_of_every_kind_come_back_byte_for_byte(
    kafka: Kafka, real_entries: list[bytes], codec: str
) -> None:
    config = kafka.config(codec=codec)
    largest = max(map(len, real_entries))
    assert largest > 16_000_000
    first = Link(Position(1, 1), -1, "00" * 32)
    made = sink(config)
    assert made.open() is None
    made.begin(first)
    for raw in real_entries:
        made.append(raw)
    made.flush()
    assert made.durable == Link.of(real_entries[-1])
    made.close()
    if codec == "json":
        odd, raws = kafka.config(codec=codec), strange()
        write(odd, raws)
        assert digests(read(odd)) == digests(raws)
    assert digests(read(config)) == digests(real_entries)
    assert KafkaSource(config).windows() == [Span(at(real_entries[0]), at(real_entries[-1]))]


def test_a_stretch_is_read_by_its_ends_however_wrong_the_clocks_were(kafka: Kafka) -> None:
    config = kafka.config()
    chosen = random.Random(3)
    walls = [0, 1001, 5000, 2**31, 4_000_000_000, 990]
    raws = [entry(1001 + n // 5, 1 + n % 5, wall=chosen.choice(walls)) for n in range(600)]
    for part in (raws[:200], raws[200:300], raws[300:]):
        write(config, part, after=BEFORE if part[0] == raws[0] else Link.of(raws[raws.index(part[0]) - 1]))
    for low, high in [(0, 599), (0, 0), (599, 599), (123, 456), (299, 300), (200, 200)]:
        assert read(config, at(raws[low]), at(raws[high])) == raws[low : high + 1]
    between = Position(at(raws[50]).t, 9)
    assert read(config, between, at(raws[60])) == [r for r in raws[:61] if at(r) > between]
    assert read(config, Position(1, 1), Position(900, 1)) == []


def test_a_writer_that_is_killed_anywhere_leaves_exactly_the_sequence(kafka: Kafka, tmp_path: Path) -> None:
    config, raws = kafka.config(), entries(3000)
    file = tmp_path / "entries"
    file.write_bytes(b"".join(raws))
    chosen = random.Random()
    for _ in range(6):
        with killed_writer(config, file) as writer:
            assert writer.stdout is not None
            last = chosen.randint(1, 20)
            for count, line in enumerate(writer.stdout, 1):
                if line == "done\n" or count == last:
                    break
            time.sleep(chosen.random() * 0.02)  # somewhere within a transaction
            writer.kill()
    with killed_writer(config, file) as writer:
        assert writer.stdout is not None
        assert writer.stdout.read().endswith("done\n")
    assert read(config) == raws


@pytest.mark.slow
def test_what_retention_took_away_is_not_covered(kafka: Kafka, tmp_path: Path) -> None:
    """The time of a record is its entry's: these are of 1970."""
    settings = {"log.initial.task.delay.ms": "100", "log.retention.check.interval.ms": "100"}
    broker = LocalBroker.launch(tmp_path / "broker", settings=settings)
    try:
        config, raws = Kafka(broker, tmp_path).config(), entries(200)
        write(config, raws[:100])
        source = KafkaSource(config)
        while windows_now(source):
            time.sleep(0.05)
        kept = [entry(2**31, n) for n in range(1, 50)]
        write(config, kept, after=Link.of(raws[99]))
        assert source.windows() == [Span(at(kept[0]), at(kept[-1]))]
        assert read(config) == kept
    finally:
        broker.kill()


def windows_now(source: KafkaSource) -> list[Span]:
    try:
        return source.windows()
    except Failed as trouble:
        assert "its retention went over them" in str(trouble)
        return [Span(START, END)]


class Leading:
    """May write, until it may not."""

    fence = 1

    def __init__(self) -> None:
        self.ended = False

    def holds(self) -> bool:
        return not self.ended


def test_an_agent_that_leads_no_longer_neither_commits_nor_shuts_its_successor_out(kafka: Kafka) -> None:
    config, raws, leading = kafka.config(), entries(30), Leading()
    first = KafkaSink(config, SOURCE, leave=leading)
    first.open()
    first.begin(BEFORE)
    first.append(b"".join(raws[:10]))
    first.flush()
    second = sink(config)
    second.open()
    second.begin(Link.of(raws[9]))
    leading.ended = True

    def append() -> None:
        # What is appended soon after a commit waits for the next one.
        first.append(b"".join(raws[10:20]))
        first.flush()

    for late in (append, first.open):
        with pytest.raises(Refused) as caught:
            late()
        assert caught.value.code == "agent-superseded"
    second.append(b"".join(raws[10:]))
    second.close()
    assert read(config) == raws


def test_whoever_opens_last_is_the_only_one_who_writes(kafka: Kafka) -> None:
    config, raws = kafka.config(), entries(30)
    first = sink(config)
    first.open()
    first.begin(BEFORE)
    first.append(b"".join(raws[:10]))
    first.flush()
    second = sink(config)
    assert second.open() == Link.of(raws[9])
    second.begin(Link.of(raws[9]))
    with pytest.raises(Failed, match="Another writer") as caught:
        first.append(b"".join(raws[10:20]))
        first.flush()
    assert caught.value.code == "kafka-fenced"
    assert first.durable == Link.of(raws[9])
    first.close()
    second.append(b"".join(raws[10:]))
    second.close()
    assert read(config) == raws


def test_what_a_writer_left_open_is_never_seen(kafka: Kafka) -> None:
    config, raws = kafka.config(), [*entries(10), *(entry(1100, n, pad=700_000) for n in range(1, 6))]
    dead = KafkaSink(config, SOURCE, clock=lambda: 0.0)
    dead.open()
    dead.begin(BEFORE)
    dead.append(b"".join(raws[:10]))
    dead.flush()
    dead.append(b"".join(raws[10:]))
    assert dead.durable == Link.of(raws[9])
    assert read(config) == raws[:10], "sent and not committed"
    alive = sink(config)
    assert alive.open() == Link.of(raws[9])
    alive.begin(Link.of(raws[9]))
    alive.append(b"".join(raws[10:]))
    alive.close()
    assert read(config) == raws
    with pytest.raises(Failed, match="Another writer"):
        dead.flush()
    dead.close()


@pytest.mark.slow
def test_a_broker_that_dies_is_told_within_seconds_and_gone_on_with(kafka: Kafka) -> None:
    config, raws = kafka.config(), entries(60)
    made = sink(config, seconds=1)
    made.open()
    made.begin(BEFORE)
    made.append(b"".join(raws[:20]))
    made.flush()
    kafka.broker.kill()
    try:
        began = time.monotonic()
        with pytest.raises(Unreachable) as caught:
            # What is appended right after a commit may wait for the next one.
            made.append(b"".join(raws[20:40]))
            made.flush()
        made.close()
        for ask in (KafkaSource(config, seconds=1).windows, sink(config, seconds=1).open):
            with pytest.raises(Unreachable, match="does not answer"):
                ask()
        assert time.monotonic() - began < 60, "errors within seconds"
        assert caught.value.code == "kafka-unreachable"
        assert made.durable == Link.of(raws[19])
    finally:
        kafka.broker.start()
    made = sink(config)
    link = made.open()
    assert link is not None
    known = [at(r) for r in raws].index(link.position)
    made.begin(link)
    made.append(b"".join(raws[known + 1 :]))
    made.close()
    assert read(config) == raws


def test_a_deleted_topic_is_an_error_and_is_made_anew(kafka: Kafka) -> None:
    config, raws = kafka.config(), entries(20)
    made = sink(config)
    made.open()
    made.begin(BEFORE)
    made.append(b"".join(raws[:10]))
    made.flush()
    _delete(config)
    with pytest.raises(Failed) as caught:
        KafkaSource(config).windows()
    assert caught.value.code == "kafka-topic-missing"
    with pytest.raises(Trouble):
        made.append(b"".join(raws[10:]))
    made.close()
    assert made.open() is None
    made.begin(Link.of(raws[9]))
    made.append(b"".join(raws[10:]))
    made.close()
    assert read(config) == raws[10:]


def test_a_topic_that_takes_only_small_messages_stops_at_the_first_larger_one(kafka: Kafka) -> None:
    config = kafka.config()
    _create(config, {"max.message.bytes": "100000", "retention.ms": "86400000", "retention.bytes": "1000000"})
    raws = [*entries(50), entry(1100, 1, pad=200_000), entry(1101, 1)]
    made = sink(config)
    made.open()
    made.begin(BEFORE)
    made.append(b"".join(raws[:50]))
    made.flush()
    with pytest.raises(Failed, match="size") as caught:
        made.append(b"".join(raws[50:]))
        made.flush()
    assert caught.value.code == "kafka-too-small"
    made.close()
    assert read(config) == raws[:50], "nothing after what was refused"
    found = {f.code: f for f in kafka_topic.examine(config)}
    assert "max.message.bytes=" in found["kafka-message-limit"].fix
    assert "no slack" in found["kafka-retention"].text
    assert found["kafka-retention-bytes"].fix and found["kafka-partitions"].fix == ""


@pytest.mark.parametrize(
    ("partitions", "settings", "word"),
    [(3, {}, "partitions"), (1, {"cleanup.policy": "compact"}, "compact")],
)
def test_a_topic_that_cannot_hold_an_oplog_is_refused(
    kafka: Kafka, partitions: int, settings: dict[str, str], word: str
) -> None:
    config = kafka.config()
    _create(config, settings, partitions)
    with pytest.raises(Failed, match=word) as caught:
        sink(config).open()
    assert caught.value.code == "kafka-topic-wrong"
    assert any(f.level == "critical" and word in f.text for f in kafka_topic.examine(config))


def test_messages_of_others_are_passed_over_and_counted(kafka: Kafka) -> None:
    config, raws = kafka.config(), entries(20)
    _create(config, {})
    _send(config, [(b"before", [])])
    write(config, raws[:10])
    _send(config, [(b"hello", []), (raws[15], []), (b"", [("prev", b"short")])])
    write(config, raws[10:], after=Link.of(raws[9]))
    _send(config, [(b"{}", []) for _ in range(40)])
    source = KafkaSource(config)
    assert source.windows() == [Span(at(raws[0]), at(raws[-1]))]
    assert source.foreign > 0
    assert read(config) == raws
    assert sink(config).open() == Link.of(raws[-1])
    assert [f.code for f in kafka_topic.examine(config) if "foreign" in f.code] == ["kafka-foreign"]


def test_what_is_missing_repeated_or_damaged_is_never_given_out_in_silence(kafka: Kafka) -> None:
    raws = entries(30)

    def written(*moves: tuple[bytes, bytes]) -> KafkaConfig:
        config = kafka.config()
        made = sink(config)
        made.open()
        made.begin(BEFORE)
        for previous, raw in moves:
            if previous:
                made.flush()
                made._previous = stamp_of(at(previous))
            made.append(raw)
        made.close()
        return config

    whole = [(b"", raw) for raw in raws[:10]]
    again = [(raws[5], raws[6]), (b"", raws[7]), (b"", raws[8]), (b"", raws[9]), (b"", raws[10])]
    assert read(written(*whole, *again)) == raws[:11], "what is repeated is dropped"
    changed = entry(at(raws[6]).t, at(raws[6]).i, pad=7)
    for config, code in (
        (written(*whole, (raws[5], changed), (b"", raws[7])), "stream-diverged"),
        (written(*whole, (raws[10], raws[11])), "stream-gap"),
    ):
        with pytest.raises(Failed) as caught:
            read(config)
        assert caught.value.code == code
    for value, headers in (
        (b'{"a":1}', [("prev", stamp_of(at(raws[9]))), ("sha256", b"\x00" * 32)]),
        (b"\x07\x00\x00\x00\x00", [("prev", stamp_of(at(raws[9])))]),
        (bson.encode({"no": "entry", "ts": Timestamp(1, 1)}), [("prev", stamp_of(at(raws[9])))]),
    ):
        config = written(*whole)
        _send(config, [(value, headers)])
        with pytest.raises(Failed) as caught:
            read(config)
        assert caught.value.code == "kafka-damaged"


def test_gaps_and_other_histories_are_told_apart(kafka: Kafka) -> None:
    config, raws = kafka.config(), entries(60)
    write(config, raws[:20])
    # The oplog rolled over.
    write(config, raws[25:40], after=Link.of(raws[24]))
    # Entries 35 to 39 were rolled back; the set goes on from entry 34.
    newer = [entry(at(raw).t, at(raw).i, term=4, pad=5) for raw in raws[35:50]]
    one = sink(config)
    assert one.open() == Link.of(raws[39])
    known = [Link.of(raw) for raw in (*raws[:20], *raws[24:40])]
    earlier = list(one.earlier())
    assert earlier[:16] == known[:19:-1], "where a fork is looked for"
    assert set(earlier) <= {BEFORE, *known}
    one.begin(Link.of(raws[34]))
    one.append(b"".join(newer[:5]))
    one.close()
    # Another deployment writes in between, and the first one goes on.
    stranger = entries(10, start=1003, seed=9)
    write(config, stranger, identity=OTHER)
    write(config, newer[5:], after=Link.of(newer[4]))
    source = KafkaSource(config, SOURCE)
    history = source.look()
    assert history.windows() == [Span(at(raws[0]), at(raws[19])), Span(at(raws[25]), at(newer[-1]))]
    assert history.branches == (Span(at(raws[35]), at(raws[39])),)
    assert [r for b in source.read(at(raws[25]), END) for r in rawbson.split(b)] == [*raws[25:35], *newer]
    assert [r for b in source.read(START, at(raws[19])) for r in rawbson.split(b)] == raws[:20]
    with pytest.raises(Failed) as caught:
        list(source.read(at(raws[10]), at(raws[30])))
    assert caught.value.code == "stream-gap"
    runs = source.runs()
    assert [(r.identity, r.links[0], r.links[-1]) for r in runs] == [
        (SOURCE, BEFORE, Link.of(raws[19])),
        (SOURCE, Link.of(raws[24]), Link.of(raws[39])),
        (SOURCE, Link.of(raws[34]), Link.of(newer[4])),
        (OTHER, BEFORE, Link.of(stranger[-1])),
        (SOURCE, Link.of(newer[4]), Link.of(newer[-1])),
    ]
    assert source.link_at(runs[1], at(raws[37])) == Link.of(raws[37])
    assert source.link_at(runs[2], at(raws[36])) == Link.of(newer[1])
    assert source.link_at(runs[2], Position(1, 1)) is None
    branch = source.read_run(runs[1], at(raws[35]), END)
    assert [r for b in branch for r in rawbson.split(b)] == raws[35:40]
    # The same by way of what coverage and restores read it through.
    keeps: dict[str, Keep] = {"kafka": KafkaKeep(config)}
    kept = stored([], keeps)
    gathered = Gathered((), kept.stretches, kept.damage, None, None)
    whole = history_of(gathered, keeps, None, SOURCE)
    assert whole.windows() == [Span(BEFORE.position, at(raws[19])), Span(at(raws[24]), at(newer[-1]))]
    joint = Link.of(raws[27])
    got = [r for b in whole.go_on(joint.position, joint.hash, at(newer[-1])) for r in rawbson.split(b)]
    assert got == [*raws[28:35], *newer]
    name = next(branch_name(s) for s in kept.stretches if s.last == Link.of(raws[39]))
    parted = history_of(gathered, keeps, None, SOURCE, name)
    got = [r for b in parted.go_on(joint.position, joint.hash, at(raws[39])) for r in rawbson.split(b)]
    assert got == raws[28:40]
    other = KafkaSource(config, OTHER)
    assert [r for b in other.read(START, END) for r in rawbson.split(b)] == stranger


@pytest.mark.parametrize(
    ("listener", "mechanism"), [("SASL_PLAINTEXT", "PLAIN"), ("SASL_SSL", "SCRAM-SHA-512")]
)
def test_a_login_is_proved_and_a_wrong_one_told(
    kafka: Kafka,
    listener: str,
    mechanism: str,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    trusted = {"ca": kafka.folder / "ca.pem"} if listener == "SASL_SSL" else {}
    config, raws = kafka.secure(listener, mechanism, **trusted), entries(10)
    write(config, raws)
    assert read(config) == raws
    wrong = kafka.secure(listener, mechanism, password=f"not-{PASSWORD}", **trusted)
    for ask in (KafkaSource(wrong).windows, sink(wrong).open):
        with pytest.raises(Refused) as caught:
            ask()
        assert caught.value.code == "kafka-login"
        assert PASSWORD not in f"{caught.value!r} {vars(caught.value)} {caught.getrepr(showlocals=True)}"
    if trusted:
        with pytest.raises(Unreachable, match="certificate"):
            KafkaSource(kafka.secure(listener, mechanism), seconds=2).windows()
    assert PASSWORD not in caplog.text + "".join(capfd.readouterr())


def test_nobody_there_is_told_within_the_time(kafka: Kafka, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_topic, "_LOOK_SECONDS", 1.0)
    config = kafka.config(bootstrap=("127.0.0.1:1", "127.0.0.1:2"))
    began = time.monotonic()
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1:1"):
        KafkaSource(config, seconds=1).windows()
    assert time.monotonic() - began < 60
    assert [f.code for f in kafka_topic.examine(config)] == ["kafka-unreachable"]


def _client(config: KafkaConfig) -> Any:
    from kafka import KafkaAdminClient

    return closing(KafkaAdminClient(bootstrap_servers=list(config.bootstrap)))


def _create(config: KafkaConfig, settings: dict[str, str], partitions: int = 1) -> None:
    from kafka.admin import NewTopic

    with _client(config) as admin:
        admin.create_topics([NewTopic(config.topic, partitions, 1, topic_configs=settings)])
        while config.topic not in admin.list_topics():
            time.sleep(0.05)


def _delete(config: KafkaConfig) -> None:
    with _client(config) as admin:
        admin.delete_topics([config.topic])
        # It is answered before every broker knows of it.
        while config.topic in admin.list_topics():
            time.sleep(0.05)


def _send(config: KafkaConfig, messages: list[tuple[bytes, list[tuple[str, bytes]]]]) -> None:
    from kafka import KafkaProducer

    with closing(KafkaProducer(bootstrap_servers=list(config.bootstrap))) as producer:
        for value, headers in messages:
            producer.send(config.topic, value, key=b"k", headers=headers)
        producer.flush()


# Broadcasts


def test_a_message_is_broadcast_to_a_topic_that_is_there(kafka: Kafka) -> None:
    config = kafka.config()
    section = {"type": "kafka", "topic": config.topic, "bootstrap": list(config.bootstrap), "timeout": "120s"}
    told = broadcast_of(Profile.model_validate({"uri": "mongodb://h/", "broadcast": section}))
    assert told is not None
    with pytest.raises(Failed) as caught:
        told.send("{}")
    assert caught.value.code == "broadcast-topic-missing"
    with Broker(config) as broker:
        kafka_topic.make_topic(broker)
    told.send('{"a": 1}')
    told.send('{"b": 2}')
    consumer = KafkaConsumer(
        config.topic,
        bootstrap_servers=list(config.bootstrap),
        auto_offset_reset="earliest",
        consumer_timeout_ms=120_000,
    )
    with closing(consumer):
        assert [next(consumer).value for _ in range(2)] == [b'{"a": 1}', b'{"b": 2}']
