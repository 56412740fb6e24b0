"""Three agents on one deployment, whose leaders are killed, stopped and frozen at random: the stream stays
the committed oplog, no two lead at a time, and no scheduled job runs twice.

Each kind of fault is made once; ``MDR_AGENT_SECONDS`` sets how long each test goes on at least, and
``MDR_AGENT_SEED`` the luck.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from support import streamkit
from support.digests import Digest, differing, in_kafka
from support.jobs import backup_here
from support.kafka import Kafka
from support.minio import Minio, section
from support.prepared import PreparedProfile, prepare
from support.writers import Writers, fill

from mongo_dr_console.config import Profile, load_config
from mongo_dr_console.model.lease import LeaseDocument
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.schedule import Kind
from mongo_dr_console.model.segment import runs as runs_of
from mongo_dr_console.mongo.identity import read_identity
from mongo_dr_console.mongo.launch import ReplicaSet
from mongo_dr_console.mongo.oplog import raw_batches
from mongo_dr_console.stores.agents_store import agents_store, deployment_folder
from mongo_dr_console.stores.lease import last_lease
from mongo_dr_console.stores.open import open_store
from mongo_dr_console.stores.runs import Runs
from mongo_dr_console.stores.store import Store
from mongo_dr_console.stream.segment_archive import SegmentArchive, SegmentSource
from mongo_dr_console.workers import jobs
from mongo_dr_console.workers.scheduled import REQUEST
from mongo_dr_console.workers.streamstate import read_state

pytestmark = [pytest.mark.mongod, pytest.mark.slow]

SECONDS = float(os.environ.get("MDR_AGENT_SECONDS", "0"))
SEED = int(os.environ.get("MDR_AGENT_SEED", "0")) or random.randrange(10**6)
KINDS = ("kill", "freeze", "end")
KIND: Kind = "prune"


@dataclass
class OneAgent:
    """A process with a state folder of its own, as on a host of its own."""

    folder: Path
    prepared: PreparedProfile
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "mongo_dr_console", "-p", "test", "agent", "--log", "json"],
                env={**os.environ, "MDR_CONFIG": str(self.prepared.config_file)},
                stdin=subprocess.DEVNULL,
                stderr=log,
            )

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def wait_until_it_listens(self) -> None:
        """It says of itself that it is there once it hears signals."""
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            facts = read_state("test", self.prepared.profile)
            if facts is not None and facts.pid == self.pid:
                return
            time.sleep(0.05)
        raise AssertionError(self.lines()[-3:])

    def end_jobs(self) -> None:
        """Those that still are at work would go on without store and deployment."""
        root = jobs.jobs_folder(self.prepared.profile)
        for view in jobs.list_jobs(root):
            if view.state == "running" and view.pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(view.pid, signal.SIGKILL)

    def wait(self) -> int:
        assert self.process is not None
        return self.process.wait(180)

    def lines(self) -> list[dict[str, Any]]:
        text = (self.folder / "log").read_text()
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


@dataclass
class Crew:
    """All agents of a deployment."""

    agents: list[OneAgent]
    store: Store
    folder: str
    luck: random.Random
    made: Counter[str] = field(default_factory=Counter)
    takeovers: list[float] = field(default_factory=list)

    def lease(self) -> LeaseDocument | None:
        found = last_lease(self.store, self.folder)
        return None if found is None else found[0]

    def leader(self) -> OneAgent | None:
        lease = self.lease()
        if lease is None or lease.ended:
            return None
        return next((agent for agent in self.agents if agent.pid == lease.pid), None)

    def wait_for_leader(self, after: int, seconds: float = 120) -> int:
        """Until somebody leads by a higher number; returns that."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            lease = self.lease()
            if lease is not None and lease.fence > after and not lease.ended:
                return lease.fence
            time.sleep(0.05)
        raise AssertionError([agent.lines()[-3:] for agent in self.agents])

    def wait_for(self, position: Position, seconds: float = 180) -> None:
        """Until whoever leads has it in all sinks."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for agent in self.agents:
                facts = read_state("test", agent.prepared.profile)
                sinks = () if facts is None or facts.role != "leads" else facts.sinks
                if sinks and all((s.durable or Position(0, 0)) >= position for s in sinks):
                    return
            time.sleep(0.1)
        raise AssertionError([read_state("test", a.prepared.profile) for a in self.agents])

    def wait_for_a_run(self, seconds: float = 180) -> None:
        """Until one of the schedule's jobs is done."""
        deadline, runs = time.monotonic() + seconds, Runs(self.store, self.folder)
        while not any(run.state == "done" for run in runs.of_kind(KIND, 10_000)):
            assert time.monotonic() < deadline, runs.of_kind(KIND, 10_000)
            time.sleep(0.2)

    def fault(self, kind: str) -> None:
        agent, lease = self.leader(), self.lease()
        if agent is None or lease is None:
            return
        self.made[kind] += 1
        began = time.monotonic()
        match kind:
            case "kill":
                agent.signal(signal.SIGKILL)
                agent.wait()
            case "end":
                agent.signal(signal.SIGTERM)
                assert agent.wait() == 0
            case _:
                agent.signal(signal.SIGSTOP)
        try:
            self.wait_for_leader(lease.fence)
            self.takeovers.append(time.monotonic() - began)
            time.sleep(self.luck.uniform(0, 2))
        finally:
            if kind == "freeze":
                agent.signal(signal.SIGCONT)
            else:
                agent.start()

    def end(self) -> list[int]:
        for agent in self.agents:
            agent.wait_until_it_listens()
        for agent in self.agents:
            agent.signal(signal.SIGTERM)
        return [agent.wait() for agent in self.agents]


@contextlib.contextmanager
def crew_of(folder: Path, own: ReplicaSet, sections: str, luck: random.Random) -> Iterator[Crew]:
    made: list[OneAgent] = []
    for number in range(3):
        place = folder / f"host{number}"
        place.mkdir()
        prepared = prepare(place, own.uri, place / "state")
        text = prepared.config_file.read_text()
        prepared.config_file.write_text(text[: text.index("[profiles.test.stores.local]")] + sections)
        profile = load_config(prepared.config_file).profiles["test"]
        made.append(OneAgent(place, PreparedProfile("test", profile, prepared.config_file, prepared.store)))
    backup_here(made[0].prepared)
    store = agents_store(made[0].prepared.profile)
    with closing(own.client()) as client:
        identity = read_identity(client, "test")
    assert store is not None
    try:
        for agent in made:
            agent.start()
        crew = Crew(made, store, deployment_folder(identity), luck)
        crew.wait_for_leader(0)
        yield crew
    finally:
        for agent in made:
            if agent.process is not None and agent.process.poll() is None:
                agent.process.kill()
                agent.process.wait()
            agent.end_jobs()


def test_whoever_leads_when_it_dies_the_stream_is_whole_and_no_job_runs_twice(
    make_replica_set: Callable[..., ReplicaSet], minio: Minio, kafka: Kafka, tmp_path: Path
) -> None:
    """The lease in a bucket; the stream into bucket, directory and topic."""
    topic = kafka.config()
    sections = "\n".join(
        [
            section("s3", minio.config()),
            f"[profiles.test.stores.local]\ntype = 'local'\npath = '{tmp_path / 'store'}'",
            "[profiles.test.oplog.segments]\nstores = ['s3', 'local']\nseconds = 1",
            f"[profiles.test.oplog.kafka]\nbootstrap = ['{kafka.broker.bootstrap}']\ntopic = '{topic.topic}'",
            f"[profiles.test.schedule]\n{KIND} = '*/4 * * * * *'",
        ]
    )
    _hold_out(make_replica_set, tmp_path, sections, KINDS)


def test_the_same_with_nothing_but_a_directory(
    make_replica_set: Callable[..., ReplicaSet], tmp_path: Path
) -> None:
    sections = "\n".join(
        [
            f"[profiles.test.stores.local]\ntype = 'local'\npath = '{tmp_path / 'store'}'",
            "[profiles.test.oplog.segments]\nstores = ['local']\nseconds = 1",
            f"[profiles.test.schedule]\n{KIND} = '*/4 * * * * *'",
        ]
    )
    # A frozen leader is waited for, which takes a while: once is enough, unless more is asked for.
    _hold_out(make_replica_set, tmp_path, sections, KINDS if SECONDS else ("kill", "end"))


def _hold_out(
    make_replica_set: Callable[..., ReplicaSet], folder: Path, sections: str, kinds: Sequence[str]
) -> None:
    luck = random.Random(SEED)
    own = make_replica_set(nodes=1, oplog_mb=2000)
    with closing(own.client(seconds=30)) as client:
        fill(client, "extra")
        with crew_of(folder, own, sections, luck) as crew, Writers(client, "extra") as writers:
            began, row = time.monotonic(), list[str]()
            while time.monotonic() - began < SECONDS or not set(kinds) <= set(crew.made):
                row = row or luck.sample(kinds, len(kinds))
                writers.wait_for(50)
                time.sleep(luck.uniform(0, 2))
                crew.fault(row.pop())
            writers.stop()
            client.marks.m.insert_one({"text": "end"})
            end = streamkit.committed(client)
            crew.wait_for(end)
            crew.wait_for_a_run()
            assert crew.end() == [0, 0, 0]
        profile = crew.agents[0].prepared.profile
        told = {
            "seed": SEED,
            "faults": dict(crew.made),
            "takeover_seconds": {"most": max(crew.takeovers), "count": len(crew.takeovers)},
            **_streamed(client, profile, end),
            **_terms(crew, profile),
            **_jobs(crew),
        }
    print(json.dumps(told))


def _streamed(client: Any, profile: Profile, end: Position) -> dict[str, Any]:
    """Each sink has the committed oplog, byte for byte."""
    found: dict[str, Digest] = {}
    starts: list[Position] = []
    assert profile.oplog.segments is not None
    for name in profile.oplog.segments.stores:
        archive = SegmentArchive(open_store(name, profile.stores[name]))
        kept = archive.read()
        (run,) = runs_of(kept.segments)
        assert kept.damaged == []
        starts.append(run.after.position)
        source = SegmentSource(archive, run)
        (window,) = source.windows()
        found[name] = Digest.of(source.read(window.start, window.end), run.after.position)
    if profile.oplog.kafka is not None:
        found["kafka"] = in_kafka(profile.oplog.kafka, starts[0])
    assert len(set(starts)) == 1
    wanted = Digest.of(raw_batches(client, starts[0], streamkit.committed(client)), starts[0])
    for name, digest in found.items():
        assert differing(digest, wanted) == [], name
        assert digest.hashes[-1][0] >= end
    return {"entries": {name: len(digest.hashes) for name, digest in found.items()}}


def _terms(crew: Crew, profile: Profile) -> dict[str, Any]:
    """By what they wrote, with their numbers: each wrote only after the one before had written its last."""
    wrote: dict[int, list[datetime]] = defaultdict(list)
    assert profile.oplog.segments is not None
    order: dict[str, list[tuple[Position, int]]] = defaultdict(list)
    for name in profile.oplog.segments.stores:
        store = open_store(name, profile.stores[name])
        at = {o.path: o.modified_at for o in store.list("oplog/")}
        for segment in SegmentArchive(store).read().segments:
            fence = segment.header.fence
            assert fence is not None
            wrote[fence].append(at[segment.path])
            order[name].append((segment.header.last.position, fence))
    for rows in order.values():
        fences = [fence for _, fence in sorted(rows)]
        assert fences == sorted(fences)
    for run in Runs(crew.store, crew.folder).of_kind(KIND, 10_000):
        wrote[run.decided.fence].append(run.decided.at)
    rows = [(fence, min(times), max(times)) for fence, times in sorted(wrote.items())]
    for (one, _, last), (other, first, _) in itertools.pairwise(rows):
        assert last <= first, f"{one} wrote at {last}, {other} at {first}"
    said: dict[int, int] = Counter(
        int(line["message"].removeprefix("leads (term ").rstrip(")"))
        for agent in crew.agents
        for line in agent.lines()
        if line["message"].startswith("leads (term ")
    )
    assert said and max(said.values()) == 1
    return {"terms": len(said)}


def _jobs(crew: Crew) -> dict[str, Any]:
    """Each run that was decided was begun by one job at most, and that one worked."""
    begun: Counter[str] = Counter()
    for agent in crew.agents:
        root = jobs.jobs_folder(agent.prepared.profile)
        for view in jobs.list_jobs(root):
            request = jobs.read_plan(jobs.find_job(root, view.job)).request
            if REQUEST in request and (view.error is None or view.error.code != "run-given-up"):
                begun[str(request[REQUEST])] += 1
                assert view.owner.startswith("agent@")
    runs = Runs(crew.store, crew.folder).of_kind(KIND, 10_000)
    assert begun and max(begun.values()) == 1
    assert len({run.due for run in runs}) == len(runs)
    states = Counter(run.state for run in runs)
    # Also one that ends in good order may have decided on a run whose process has not begun by then.
    assert states["done"] and states["lost"] <= crew.made.total()
    assert all(run.due <= datetime.now(UTC) for run in runs)
    return {"runs": dict(states)}
