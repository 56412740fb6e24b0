"""The agent streams into Kafka, and coverage, find and restore read the topic as they read segments."""

from __future__ import annotations

import dataclasses
import functools
import os
import random
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support import streamkit, twin
from support.agentkit import Agent, add_kafka, add_segments
from support.failoverkit import until
from support.jobs import backup_here, not_waited_for, run_here
from support.kafka import Kafka, read, write
from support.prepared import PreparedProfile
from support.scene import call
from support.watched import nothing_written
from support.writers import Writers, fill

from mongo_dr_console.config import KafkaConfig, Profile, load_config
from mongo_dr_console.model.identity import Identity
from mongo_dr_console.model.link import Link
from mongo_dr_console.model.plan import Intent, Plan
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.segment import SegmentName
from mongo_dr_console.model.trouble import Refused, Trouble
from mongo_dr_console.mongo.identity import read_identity
from mongo_dr_console.mongo.launch import HeldPort, ReplicaSet
from mongo_dr_console.stream import kafka_keep, kafka_sink
from mongo_dr_console.stream.sinks import sink_makers
from mongo_dr_console.workers.alertstate import read_facts
from mongo_dr_console.workers.plan_sources import open_deployments
from mongo_dr_console.workers.planning import make_plan

pytestmark = [pytest.mark.mongod, pytest.mark.slow]

KILLS = 3
SEED = int(os.environ.get("MDR_STREAM_SEED", str(random.randrange(10**6))))


def loaded(prepared: PreparedProfile) -> PreparedProfile:
    return dataclasses.replace(prepared, profile=load_config(prepared.config_file).profiles["test"])


def covered(prepared: PreparedProfile) -> Any:
    return call(prepared.config_file, "--profile", "test", "coverage", "--json").json


def streaming_of(profile: Profile) -> AbstractContextManager[streamkit.Stream]:
    """What the agent does with a profile, in this process."""
    return streamkit.streaming(profile.connection_uri(), dict(sink_makers(profile)))


@pytest.fixture
def agent(
    make_replica_set: Callable[..., ReplicaSet], profile_for: Any, kafka: Kafka
) -> Iterator[tuple[Agent, ReplicaSet, KafkaConfig]]:
    own, config = make_replica_set(nodes=1), kafka.config()
    prepared: PreparedProfile = profile_for(own)
    add_segments(prepared)
    add_kafka(prepared, config.bootstrap[0], config.topic)
    made = Agent(loaded(prepared))
    yield made, own, config
    if made.process is not None and made.process.poll() is None:
        made.process.kill()
        made.process.wait()


def test_killed_or_not_topic_and_segments_are_the_committed_oplog_and_restore_what_is_gone(
    agent: tuple[Agent, ReplicaSet, KafkaConfig],
    make_replica_set: Callable[..., ReplicaSet],
    kafka: Kafka,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made, own, config = agent
    prepared = made.prepared
    with closing(own.client()) as client:
        start = streamkit.committed(client)
        states = _written(made, client)
        end = max(states)
        made.wait_for(end)
        now = time.time()
        alive = covered(prepared)
        assert made.end(signal.SIGTERM) == 0
        found = read(config)
        last = Link.of(found[-1]).position
        snapshot = Position.parse(alive["ranges"][0]["start"])
        assert last >= end and found == streamkit.oplog_between(client, snapshot, last)
        archive, (run,) = streamkit.segment_runs(prepared.store)
        assert streamkit.entries_of(archive, run) == found
        identity = read_identity(client, "test")
        chosen = _states_at_random(client, start, [Link.of(raw).position for raw in found])
    assert alive["ranges"][0]["sources"][1:] == ["segments:local", "kafka", "live"]
    assert alive["unread"] == []
    assert alive["rpo_seconds"] < now - snapshot.t, "the topic counts as a store does"

    own.kill_all()
    left = _Left(prepared, kafka, config, run.after, identity, found)
    not_waited_for(own.uri, monkeypatch)
    other = make_replica_set(nodes=1, set_name="other")
    to_other = _Elsewhere(prepared, other, tmp_path / "other-uri")

    _each_source_alone_and_each_with_a_part_missing(left, to_other, chosen)
    _what_fails_is_named_and_nothing_is_left_out(left, to_other, chosen)

    gone = covered(prepared)
    assert (len(gone["ranges"]), gone["gaps"], gone["branches"]) == (1, [], [])
    assert gone["ranges"][0]["sources"][1:] == ["kafka"] and Position.parse(gone["latest"]) == last
    events = call(prepared.config_file, "--profile", "test", "find", "--json").json["events"]
    drop = next(e for e in events if e["kind"] == "drop" and e["namespace"] == "shop.items")
    *_, before, newest = sorted(states)
    plan = to_other.plan(before=f"event:{drop['id']}")
    assert twin.differences(to_other.restored(plan), states[before]) == []

    # A broker that takes connections and answers nothing: what is known without it is told, and why.
    monkeypatch.setattr(kafka_keep, "KafkaKeep", functools.partial(kafka_keep.KafkaKeep, seconds=1))
    os.kill(kafka.broker.pid, signal.SIGSTOP)
    try:
        blind = covered(prepared)
        assert [u["source"] for u in blind["unread"]] == ["kafka"]
        assert blind["unread"][0]["error"]["code"] == "kafka-unreachable"
        assert Position.parse(blind["latest"]) == snapshot
        with pytest.raises(Refused) as caught:
            to_other.plan(through=str(newest))
        assert caught.value.code == "limit-outside-coverage" and "kafka cannot" in caught.value.message
    finally:
        os.kill(kafka.broker.pid, signal.SIGCONT)


def _written(made: Agent, client: Any) -> dict[Position, Any]:
    """Writes, with an agent that is killed meanwhile; the states at some positions, before the last of which
    a collection was dropped."""
    states: dict[Position, Any] = {}
    fill(client, "shop")
    backup_here(made.prepared)
    made.start()
    for _ in range(KILLS):
        with Writers(client, "shop") as writers:
            writers.wait_for(80)
            made.wait_for(streamkit.committed(client))
            writers.wait_for(40)
            made.end(signal.SIGKILL)
            made.start()
            writers.wait_for(40)
        states[streamkit.committed(client)] = twin.state_of(client, "shop")
    client.shop.items.drop()
    with Writers(client, "shop") as writers:
        writers.wait_for(60)
    return {**states, streamkit.committed(client): twin.state_of(client, "shop")}


def _each_source_alone_and_each_with_a_part_missing(
    left: _Left, to_other: _Elsewhere, chosen: dict[Position, Any]
) -> None:
    """The topic is whole, and alone, afterwards."""

    def comes_back(position: Position) -> None:
        plan = to_other.plan(through=str(position))
        assert twin.differences(to_other.restored(plan), chosen[position]) == []

    def is_refused(position: Position) -> None:
        with pytest.raises(Refused) as caught:
            to_other.plan(through=str(position))
        assert caught.value.code == "limit-outside-coverage"

    first, second, third, fourth = sorted(chosen)
    print({"seed": SEED, "positions": [str(p) for p in sorted(chosen)]})
    left.use_topic(None)
    comes_back(third)
    # A part of the segments is lost: refused without the topic, whole with it.
    left.keep_segments(lambda s: s.end < second or s.start >= third)
    is_refused(fourth)
    left.use_topic(left.config.topic)
    comes_back(fourth)
    # The other way round: the topic lacks that stretch, and the segments have nothing but it.
    left.use_topic(left.topic_without(second, third))
    is_refused(fourth)
    left.keep_segments(lambda s: s.end >= second and s.start < third)
    comes_back(second)
    comes_back(fourth)
    left.keep_segments(lambda s: False)
    left.use_topic(left.config.topic)
    comes_back(first)


def _states_at_random(client: Any, start: Position, there: list[Position]) -> dict[Position, Any]:
    """The twin's states at a position in each quarter of those that are there."""
    luck = random.Random(SEED)
    size = len(there) // 4
    chosen = [luck.choice(there[n * size : (n + 1) * size]) for n in range(4)]
    return {
        position: twin.build(
            client, "shop", f"twin_{n}", start.timestamp, lambda ts, at=position: ts <= at.timestamp
        )
        for n, position in enumerate(chosen)
    }


def _what_fails_is_named_and_nothing_is_left_out(
    left: _Left, to_other: _Elsewhere, chosen: dict[Position, Any]
) -> None:
    """The topic is whole, and alone, before and afterwards."""
    *_, position = sorted(chosen)

    def refused(codes: tuple[str, ...], *told: str) -> None:
        with pytest.raises(Trouble) as caught:
            to_other.plan(through=str(position))
        assert caught.value.code in codes, caught.value
        assert all(word in caught.value.message for word in told), caught.value.message

    # A login that is refused, a topic that is gone.
    left.use_topic(left.config.topic, left.wrong_login())
    refused(("limit-outside-coverage",), "refuses user or password")
    left.use_topic("gone")
    refused(("limit-outside-coverage",), "There is no topic gone")
    # Segments that were cut off, changed, or put under each other's names: seen by header or when read.
    left.use_topic(None)
    left.keep_segments(lambda s: True)
    for harm in (_cut_off, _flip_a_bit, _swap):
        with left.harmed(harm, position):
            refused(("gap", "limit-outside-coverage"), "damaged")
    # Messages of others in the topic.
    left.keep_segments(lambda s: False)
    left.use_topic(left.config.topic)
    left.add_messages([b"hello", b"{}", b"", left.entries[3]])
    plan = to_other.plan(through=str(position))
    assert twin.differences(to_other.restored(plan), chosen[position]) == []


def _cut_off(path: Path, _: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def _flip_a_bit(path: Path, _: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-40] ^= 1
    path.write_bytes(data)


def _swap(path: Path, other: Path) -> None:
    mine, theirs = path.read_bytes(), other.read_bytes()
    path.write_bytes(theirs)
    other.write_bytes(mine)


@dataclass
class _Left:
    """What the deployment left, of which parts are taken away and given back."""

    prepared: PreparedProfile
    kafka: Kafka
    config: KafkaConfig
    begin: Link
    identity: Identity
    entries: list[bytes]

    def use_topic(self, name: str | None, more: str = "") -> None:
        """The profile's topic is another one, or none; ``more``: further lines of its section, which win."""
        file = self.prepared.config_file
        more = more or f"bootstrap = ['{self.config.bootstrap[0]}']\n"
        section = f"topic = '{name}'\n{more}" if name else ""
        text = re.sub(r"\[profiles\.test\.oplog\.kafka\]\n(\w+ = .*\n)*", "", file.read_text())
        file.write_text(text + (f"[profiles.test.oplog.kafka]\n{section}" if name else ""))

    def wrong_login(self) -> str:
        """Lines that make the broker refuse the login."""
        wrong = self.kafka.secure("SASL_PLAINTEXT", "PLAIN", password="wrong")
        file = wrong.security.password_file if wrong.security else None
        login = f"protocol = 'SASL_PLAINTEXT', mechanism = 'PLAIN', username = 'dr', password_file = '{file}'"
        return f"bootstrap = ['{wrong.bootstrap[0]}']\nsecurity = {{ {login} }}\n"

    def add_messages(self, values: list[bytes]) -> None:
        from kafka import KafkaProducer

        with closing(KafkaProducer(bootstrap_servers=list(self.config.bootstrap))) as producer:
            for value in values:
                producer.send(self.config.topic, value, key=b"k")
            producer.flush()

    @contextmanager
    def harmed(self, harm: Callable[[Path, Path], None], before: Position) -> Iterator[None]:
        """A segment in the middle of those before a position is damaged for a while."""
        files = sorted(self.prepared.store.rglob("*.bson.zst"), key=lambda p: _named(p).end)
        files = [p for p in files if _named(p).end < before]
        one, other = files[len(files) // 2], files[0]
        saved = {path: path.read_bytes() for path in (one, other)}
        harm(one, other)
        try:
            yield
        finally:
            for path, data in saved.items():
                path.write_bytes(data)

    def topic_without(self, first: Position, last: Position) -> str:
        """The name of a topic that a stretch is missing from, as where an oplog rolled over."""
        made = self.kafka.config()
        links = [Link.of(raw) for raw in self.entries]
        begin = next(n for n, link in enumerate(links) if link.position >= first)
        end = next(n for n, link in enumerate(links) if link.position >= last)
        write(made, self.entries[:begin], self.identity, self.begin)
        write(made, self.entries[end:], self.identity, links[end - 1])
        return made.topic

    def keep_segments(self, wanted: Callable[[SegmentName], bool]) -> None:
        """Those alone are in the store, of all that there ever were."""
        store, aside = self.prepared.store, self.prepared.store.with_name("aside")
        paths = {p.relative_to(root) for root in (store, aside) for p in root.rglob("*.bson.zst")}
        for path in paths:
            now, then = (aside, store) if wanted(_named(path)) else (store, aside)
            if (now / path).exists():
                (then / path).parent.mkdir(parents=True, exist_ok=True)
                (now / path).rename(then / path)


def _named(path: Path) -> SegmentName:
    name = SegmentName.parse("/".join(path.parts[-4:]))
    assert name is not None
    return name


class _Elsewhere:
    """Restores into another deployment."""

    def __init__(self, prepared: PreparedProfile, other: ReplicaSet, uri: Path) -> None:
        self.prepared, self.other = prepared, other
        uri.write_text(other.uri)
        with prepared.config_file.open("a") as config:
            config.write(f"[profiles.other]\nuri_file = '{uri}'\naccess = 'restore'\n")

    def plan(self, **intent: Any) -> Plan:
        with closing(self.other.client()) as client:
            client.drop_database("shop")
        profiles = load_config(self.prepared.config_file).profiles
        deployments = open_deployments("test", profiles["test"], ("other", profiles["other"]))
        wanted = Intent(namespaces=("shop",), to_profile="other", mode="beside", **intent)
        return make_plan("test", profiles["test"], wanted, deployments)

    def restored(self, plan: Plan) -> Any:
        with closing(self.other.client()) as client:
            run_here(self.prepared, "restore", {"plan": plan.to_json()})
            return twin.state_of(client, "shop")


def test_who_only_watches_leaves_topic_and_store_alone(agent: tuple[Agent, ReplicaSet, KafkaConfig]) -> None:
    made, own, config = agent
    file = made.prepared.config_file
    file.write_text(file.read_text().replace("access = 'restore'", "access = 'watch'"))
    with nothing_written(own, [made.prepared.store]):
        made.start()
        until(lambda: (facts := made.state()) is not None and facts.role == "watches", 60, made.state)
        until(lambda: read_facts("test", made.prepared.profile), 60)
        assert made.end(signal.SIGTERM) == 0
    with pytest.raises(Trouble) as missing:
        read(config)
    assert missing.value.code == "kafka-topic-missing"


@pytest.fixture
def nobody_there() -> Iterator[int]:
    with HeldPort() as port:
        yield port


def test_a_dead_broker_holds_up_no_segments_and_a_dead_store_no_topic(
    nobody_there: int,
    make_replica_set: Callable[..., ReplicaSet],
    profile_for: Any,
    kafka: Kafka,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kafka_sink, "KafkaSink", functools.partial(kafka_sink.KafkaSink, seconds=1.5))
    own = make_replica_set(nodes=1)
    prepared: PreparedProfile = profile_for(own)
    add_segments(prepared)
    add_kafka(prepared, f"127.0.0.1:{nobody_there}", "nowhere")
    backup_here(prepared)
    both = loaded(prepared)
    with closing(own.client()) as client, streaming_of(both.profile) as stream:
        client.shop.a.insert_many([{"_id": n} for n in range(50)])
        stream.wait_for("segments:local", streamkit.committed(client))
        pump = stream.pumps["kafka"]
        stream.wait_until(lambda: pump.facts.trouble is not None)
        assert pump.facts.trouble is not None and pump.facts.trouble.code == "kafka-unreachable"
        told = covered(both)
        sources = {s for found in told["ranges"] for s in found["sources"]}
        assert {"segments:local", "live"} <= sources and "kafka" not in sources
        assert [(u["source"], u["error"]["code"]) for u in told["unread"]] == [("kafka", "kafka-unreachable")]

    (tmp_path / "file").touch()
    store = both.profile.stores["local"].model_copy(update={"path": tmp_path / "file" / "below"})
    config = kafka.config()
    oplog = both.profile.oplog.model_copy(update={"kafka": config})
    profile = both.profile.model_copy(update={"stores": {"local": store}, "oplog": oplog})
    with closing(own.client()) as client, streaming_of(profile) as stream:
        client.shop.a.insert_many([{"_id": n} for n in range(50, 100)])
        end = streamkit.committed(client)
        stream.wait_for("kafka", end)
        stream.wait_until(lambda: stream.pumps["segments:local"].facts.state == "failed")
    assert Link.of(read(config)[-1]).position >= end
