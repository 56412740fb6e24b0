"""Primaries that die while their members lag, and an oplog that the restore's own writes roll over."""

from __future__ import annotations

import os
import signal
import time
from contextlib import closing
from typing import Any

import pytest
from support import twin
from support.found import events_in
from support.jobs import backup_here, plan_for

from mongo_dr_console.model.journal import JobStarted
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.progress import StepStarted
from mongo_dr_console.mongo.client import connect
from mongo_dr_console.mongo.oplog import ends
from mongo_dr_console.workers import jobs

pytestmark = [pytest.mark.mongod, pytest.mark.slow]

DATABASE = "durable"


def start_restore(prepared: Any, **intent: Any) -> jobs.JobFolder:
    plan = plan_for(prepared, **intent)
    request = {"plan": plan.to_json()}
    folder = jobs.create(prepared.name, prepared.profile, prepared.config_file, "restore", request)
    jobs.launch(folder)
    return folder


def hold_replication(client: Any, mode: str) -> None:
    # The producer: what a member has fetched already it would still apply when its primary is gone.
    client.admin.command({"configureFailPoint": "stopReplProducer", "mode": mode})


def test_a_primary_dies_in_replay_while_its_members_lag(make_replica_set: Any, profile_for: Any) -> None:
    replica_set = make_replica_set()
    prepared = profile_for(replica_set)
    with closing(replica_set.client()) as client:
        counters = client[DATABASE].counters
        counters.insert_many([{"_id": n, "n": 0} for n in range(3000)])
        backup_here(prepared)
        for turn in range(20):
            counters.update_many({}, {"$set": {"n": turn, f"f{turn}": turn}})
        note = {"appendOplogNote": 1, "data": {}, "writeConcern": {"w": 3}}
        limit = client.admin.command(note)["operationTime"]
        wanted = twin.state_of(client, DATABASE)
        counters.drop()
    primary = replica_set.primary_index()
    others = [n for n in range(3) if n != primary]
    folder = start_restore(prepared, before=f"{limit.time}:{limit.inc}", namespaces=(DATABASE,))
    job = 0
    for line in jobs.follow(folder):
        if isinstance(line.event, JobStarted):
            job = line.event.pid
        if isinstance(line.event, StepStarted) and line.event.step == "replay":
            break
    # It stands still meanwhile: on a busy machine it would be over before its members lag.
    os.kill(job, signal.SIGSTOP)
    for index in others:
        with replica_set.member_client(index) as member:
            hold_replication(member, "alwaysOn")
    os.kill(job, signal.SIGCONT)
    # What is sent now is acknowledged by the primary alone; the journal may not call it done.
    time.sleep(2.0)
    replica_set.kill(primary)
    for index in others:
        with replica_set.member_client(index) as member:
            hold_replication(member, "off")
    for _line in jobs.follow(folder):
        pass
    view = jobs.load(folder)
    assert view.state == "done", view.error
    with closing(connect(replica_set.uri, seconds=120)) as client:
        assert twin.differences(twin.state_of(client, DATABASE), wanted) == []
        notes = " ".join(str(line.event) for line in jobs.read_lines(folder))
        assert "the primary was lost" in notes


@pytest.mark.parametrize("kind", ["before", "skip"])
def test_the_restore_rolls_the_oplog_over_several_times(
    make_replica_set: Any, profile_for: Any, kind: str
) -> None:
    # The oplog is not cut behind the newest checkpoint, which is made once a minute unless told otherwise.
    replica_set = make_replica_set(oplog_mb=50, checkpoint_seconds=1)
    prepared = profile_for(replica_set)
    with closing(replica_set.client()) as client:
        bulk = client[DATABASE].bulk
        for part in range(30):
            documents = [{"_id": part * 5000 + n, "x": "x" * 1000, "n": n} for n in range(5000)]
            bulk.insert_many(documents, ordered=False)
        bulk.create_index("n")
        backup_here(prepared)
        bulk.update_many({"_id": {"$lt": 200}}, {"$set": {"seen": True}})
        wanted = twin.state_of(client, DATABASE)
        bulk.drop()
        client.admin.command({"appendOplogNote": 1, "data": {}, "writeConcern": {"w": 3}})
        drop = client.local["oplog.rs"].find_one({"op": "c", "o.drop": "bulk"}, {"ts": 1})
        at = Position.of(drop["ts"])
        if kind == "before":
            folder = start_restore(prepared, before=str(at), namespaces=(DATABASE,))
        else:
            event = next(e for e in events_in(client, DATABASE) if e.position == at)
            folder = start_restore(prepared, skip=(event.id,))
        written = 0
        while jobs.is_alive(folder):
            client[DATABASE].elsewhere.insert_one({"_id": written})
            written += 1
            time.sleep(0.01)
        view = jobs.load(folder)
        assert view.state == "done", view.error
        oldest, _ = ends(client)
        assert oldest > at, "the oplog did not roll over, so this test shows nothing"
        found = twin.state_of(client, DATABASE)
        assert client[DATABASE].elsewhere.count_documents({}) == written
        found.pop("elsewhere")
        assert twin.differences(found, wanted) == []
