"""The stream while deployment, broker, disk and agent fail: what is in the sinks is the committed oplog."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pymongo.errors import PyMongoError
from support import streamkit
from support.agentkit import Agent, add_kafka, add_segments
from support.brokerdisk import BrokerDisk, broker_on_a_disk
from support.digests import Digest, differing, in_kafka, in_segments
from support.jobs import backup_here
from support.prepared import PreparedProfile
from support.writers import Writers, fill

from mongo_dr_console.agent.streaming import snapshot_ends
from mongo_dr_console.config import load_config
from mongo_dr_console.model.trouble import Trouble
from mongo_dr_console.mongo.client import connect
from mongo_dr_console.mongo.launch import ReplicaSet
from mongo_dr_console.mongo.oplog import raw_batches
from mongo_dr_console.sandbox import shop, workload
from mongo_dr_console.stream import kafka_sink, sinks

pytestmark = [pytest.mark.mongod, pytest.mark.slow]

FAULTS = int(os.environ.get("MDR_STREAM_FAULTS", "2"))
"""How many faults the long test makes; more for longer runs."""
SECONDS = float(os.environ.get("MDR_STREAM_SECONDS", "0"))
"""How long the workload goes on at least between two faults."""
SEED = int(os.environ.get("MDR_STREAM_SEED", "0")) or random.randrange(10**6)
KINDS = ("kill", "step-down", "freeze", "cut-off", "agent", "broker", "broker-disk")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[BrokerDisk]:
    try:
        with broker_on_a_disk(tmp_path / "disk") as made:
            yield made
    except Trouble as trouble:
        if os.environ.get("CI"):
            pytest.fail(str(trouble), pytrace=False)
        pytest.skip(str(trouble))


def both_sinks(prepared: PreparedProfile, disk: BrokerDisk) -> PreparedProfile:
    add_segments(prepared)
    add_kafka(prepared, disk.broker.bootstrap, "oplog")
    profile = load_config(prepared.config_file).profiles["test"]
    return PreparedProfile(prepared.name, profile, prepared.config_file, prepared.store)


@pytest.mark.timeout(3600)
def test_whatever_fails_at_random_both_sinks_are_the_committed_oplog(
    make_replica_set: Callable[..., ReplicaSet], profile_for: Any, disk: BrokerDisk
) -> None:
    own = make_replica_set(oplog_mb=2000 + 60 * FAULTS, cache_gb=1)
    own.wait_for_members()
    prepared = both_sinks(profile_for(own), disk)
    began = time.monotonic()
    with closing(own.client(seconds=30)) as client:
        documents = shop.generate(datetime.now(UTC))
        shop.load(client, {name: found[: FAULTS * 200] for name, found in documents.items()})
        fill(client, "extra")
        backup_here(prepared)
        chaos = _Chaos(own, client, Agent(prepared), disk, random.Random(SEED))
        chaos.agent.start()
        with customers(own), Writers(client, "extra", pause_seconds=0.001) as writers:
            for number in range(FAULTS):
                chaos.fault(number)
                time.sleep(SECONDS)
                writers.wait_for(100)
                with contextlib.suppress(PyMongoError):
                    _define(client, number)
                if number % 3 == 0:
                    with contextlib.suppress(PyMongoError):
                        _large(client, number)
        chaos.repair()
        client.marks.m.insert_one({"text": "end"})
        end = streamkit.committed(client)
        chaos.agent.wait_for(end, seconds=180)
        assert chaos.agent.end(signal.SIGTERM) == 0
        (run,) = streamkit.segment_runs(prepared.store)[1]
        after = run.after.position
        wanted = Digest.of(raw_batches(client, after, streamkit.committed(client)), after)
    kafka = prepared.profile.oplog.kafka
    assert kafka is not None
    told: dict[str, Any] = {"seed": SEED, "faults": dict(chaos.made), "seconds": time.monotonic() - began}
    for name, found in (("kafka", in_kafka(kafka, after)), ("segments", in_segments(prepared.store, after))):
        assert differing(found, wanted) == [], (name, told)
        assert found.hashes[-1][0] >= end and found.largest > 16_000_000
        told[name] = {"entries": len(found.hashes), "bytes": found.size, "terms": len(found.terms)}
    print(json.dumps(told))


@contextmanager
def customers(own: ReplicaSet) -> Iterator[None]:
    """The practice workload, as in the sandbox."""
    stopped = threading.Event()
    with connect(own.uri, seconds=5, appname=workload.APPNAME) as client:
        thread = threading.Thread(target=workload.run, args=(client, stopped, random.Random(SEED)))
        thread.start()
        try:
            yield
        finally:
            stopped.set()
            thread.join()


def _large(client: Any, number: int) -> None:
    """A document near the limit, and a transaction of several entries."""
    client.extra.large.insert_one({"text": "x" * (16 * 2**20 - 200)})
    with client.start_session() as session, session.start_transaction():
        for n in range(3):
            client.extra.wide.insert_one({"n": number, "k": n, "text": "y" * 7 * 2**20}, session=session)


def _define(client: Any, number: int) -> None:
    """Collections that come, change, are renamed over each other, and go."""
    other = client[f"ddl{number % 4}"]
    other.create_collection("made", check_exists=False)
    other.made.insert_one({"n": number})
    # A member that is down is not waited for.
    other.made.create_index("n", commitQuorum="majority")
    other.command("collMod", "made", validator={"n": {"$gte": 0}})
    other.made.rename("renamed", dropTarget=True)
    if number % 2:
        other.renamed.drop_index("n_1")
        other.renamed.drop()
    if number % 5 == 4:
        client.drop_database(other.name)


@dataclass
class _Chaos:
    """Makes faults of the same kinds in the same order for the same seed."""

    own: ReplicaSet
    client: Any
    agent: Agent
    disk: BrokerDisk
    luck: random.Random
    made: Counter[str] = field(default_factory=Counter)
    row: list[str] = field(default_factory=list)

    def fault(self, number: int) -> None:
        self.repair()
        if not self.row:
            self.row = list(KINDS)
            self.luck.shuffle(self.row)
        kind = self.row.pop()
        self.made[kind] += 1
        match kind:
            case "kill":
                self.own.kill(self.own.primary_index())
            case "step-down":
                with contextlib.suppress(PyMongoError):
                    self.client.admin.command("replSetStepDown", 5, force=True)
            case "freeze":
                self._freeze()
            case "cut-off":
                self._cut_off()
            case "agent":
                self.agent.end(signal.SIGKILL)
                self.agent.start()
            case "broker":
                self.disk.broker.kill()
                self.disk.broker.start()
            case _:
                self.disk.fill()

    def repair(self) -> None:
        self.disk.free()
        self.own.start_all()
        self.own.wait_for_members()

    def _freeze(self) -> None:
        """It answers nobody for a while, and may still think that it is primary."""
        index = self.own.primary_index()
        self.own.pause(index)
        time.sleep(4)
        self.own.resume(index)

    def _cut_off(self) -> None:
        """The agent alone cannot reach the primary."""
        data = {"failCommands": ["find", "getMore", "hello"], "closeConnection": True}
        with self.own.member_client(self.own.primary_index()) as member:
            for name in ("mdr-kafka", "mdr-segments:local"):
                fault = {"configureFailPoint": "failCommand", "mode": "alwaysOn"}
                member.admin.command({**fault, "data": {**data, "appName": name}})
                time.sleep(1.5)
            member.admin.command({"configureFailPoint": "failCommand", "mode": "off"})


def test_a_broker_whose_disk_is_full_is_told_holds_up_no_segments_and_is_gone_on_with(
    make_replica_set: Callable[..., ReplicaSet],
    profile_for: Any,
    disk: BrokerDisk,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kafka_sink, "KafkaSink", functools.partial(kafka_sink.KafkaSink, seconds=2))
    own = make_replica_set(nodes=1)
    prepared = both_sinks(profile_for(own), disk)
    makers = dict(sinks.sink_makers(prepared.profile))
    config = prepared.profile.oplog.kafka
    assert config is not None
    with closing(own.client()) as client:
        begin = streamkit.committed(client)
        backup_here(prepared)
        with streamkit.streaming(own.uri, makers, snapshot_ends(prepared.profile)) as stream:
            client.extra.c.insert_many([{"n": n} for n in range(50)])
            stream.wait_for("kafka", streamkit.committed(client))
            disk.fill()
            client.extra.c.insert_many([{"n": n, "text": "x" * 2**16} for n in range(50)])
            full = streamkit.committed(client)
            pump = stream.pumps["kafka"]
            stream.wait_until(lambda: pump.facts.trouble is not None)
            stream.wait_for("segments:local", full)
            facts = pump.facts
            assert facts.state == "failed" and facts.trouble is not None
            assert facts.trouble.code in ("kafka-unreachable", "kafka-storage", "kafka-transaction")
            assert facts.durable is not None and begin < facts.durable < full
            disk.free()
            client.extra.c.insert_one({"text": "end"})
            end = streamkit.committed(client)
            stream.wait_for("kafka", end)
            stream.wait_for("segments:local", end)
            assert [p.facts.breaks for p in stream.pumps.values()] == [(), ()]
        (run,) = streamkit.segment_runs(prepared.store)[1]
        after = run.after.position
        wanted = Digest.of(raw_batches(client, after, streamkit.committed(client)), after)
    for found in (in_kafka(config, after), in_segments(prepared.store, after)):
        assert differing(found, wanted) == [] and found.hashes[-1][0] >= end
