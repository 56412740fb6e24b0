"""Readings of real replica sets: healthy, without a primary, without a majority, frozen, gone."""

from __future__ import annotations

import asyncio
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from dumping import Free, Recorder
from pydantic import SecretStr
from support.jobs import backup_here, restore_here, run_here

from mongo_dr_console.engines.builtin.dump import DumpRequest, dump
from mongo_dr_console.model.catalogue import SnapshotEntry
from mongo_dr_console.model.coverage import Cause
from mongo_dr_console.model.event import Event
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.readings import Readings, all_jobs, open_events
from mongo_dr_console.model.verdict import Verdict, verdict
from mongo_dr_console.mongo import oplog
from mongo_dr_console.mongo.client import Client
from mongo_dr_console.mongo.identity import read_identity
from mongo_dr_console.mongo.launch import ReplicaSet
from mongo_dr_console.mongo.locks import DeploymentLock
from mongo_dr_console.stores.catalogue import list_snapshots
from mongo_dr_console.stores.local import LocalStore
from mongo_dr_console.stores.snapshot_writer import SnapshotWriter
from mongo_dr_console.stream.coverage import read_coverage
from mongo_dr_console.workers import sources
from mongo_dr_console.workers.jobsource import JobsSource
from mongo_dr_console.workers.limits import limits_of
from mongo_dr_console.workers.pollers import Pollers, gather_once
from mongo_dr_console.workers.threads import run_bounded

if TYPE_CHECKING:
    from tests.conftest import MakeReplicaSet, PreparedProfile, ProfileFor

pytestmark = pytest.mark.mongod


@pytest.fixture(scope="module")
def replica_set(three_members: ReplicaSet) -> ReplicaSet:
    return three_members


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A console gives up within seconds; here what is there is waited for, however slow the machine."""
    monkeypatch.setattr(sources, "SELECTION_SECONDS", 60.0)
    for kind in ("Set", "Oplog", "Store", "Coverage", "Events", "Lock"):
        monkeypatch.setattr(getattr(sources, f"{kind}Source"), "timeout", 90.0)
    monkeypatch.setattr(JobsSource, "timeout", 90.0)


def take(client: Client, store: Path) -> SnapshotEntry:
    with SnapshotWriter(LocalStore("local", store)) as writer:
        manifest = dump(client, DumpRequest(read_identity(client, "test")), writer, Recorder(), Free())
    return next(e for e in list_snapshots(LocalStore("local", store)) if e.name == manifest.name)


def judged(prepared: PreparedProfile) -> tuple[Readings, Verdict]:
    readings = gather_once(prepared.name, prepared.profile)
    assert readings.jobs is not None
    return readings, verdict(readings, limits_of(prepared.profile), readings.jobs.tried_at)


def test_a_healthy_set_is_read_through_and_through(
    patient: None, replica_set: ReplicaSet, profile_for: ProfileFor, database_name: str
) -> None:
    prepared = profile_for(replica_set)
    with closing(replica_set.client()) as client:
        client[database_name].a.insert_many([{"i": i, "text": "x" * 100} for i in range(2000)])
        base = take(client, prepared.store)
        client[database_name].a.insert_one({"late": True})
        newest, _ = oplog.majority_position(client)
    readings, _ = judged(prepared)

    assert readings.set is not None and readings.set.value is not None
    status = readings.set.value
    assert {m.name for m in status.members} == {m.address for m in replica_set.members}
    assert sorted(m.state for m in status.members) == ["PRIMARY", "SECONDARY", "SECONDARY"]
    assert all(m.votes == 1 and m.healthy and m.lag_seconds is not None for m in status.members)
    assert all(m.ping_ms is not None for m in status.members)
    assert (status.majority_needed, status.majority_available) == (2, 3)
    assert status.primary_since is not None and status.primary_since.tzinfo is not None
    assert status.write_blocked is False and status.server_version

    assert readings.oplog is not None and readings.oplog.value is not None
    facts = readings.oplog.value
    assert facts.oldest < facts.newest and facts.size_bytes and facts.entries
    assert facts.max_bytes == replica_set.options.oplog_mb * 1024 * 1024
    assert len(facts.members) == 3 and all(m.headroom_seconds is not None for m in facts.members)

    assert readings.coverage is not None and readings.coverage.value is not None
    coverage = readings.coverage.value
    (stretch,) = coverage.ranges
    assert stretch.start == base.end and stretch.sources == (f"snapshot:{base.name}", "live")
    assert stretch.end >= newest and coverage.latest == stretch.end
    assert coverage.rpo_seconds is not None and coverage.rpo_undo_seconds is not None
    assert coverage.gaps == coverage.branches == ()
    _until_everybody_has_a_source(prepared)


def _until_everybody_has_a_source(prepared: PreparedProfile) -> None:
    """A secondary chooses whom to copy from some heartbeats after the set was made."""
    while True:
        reading = gather_once(prepared.name, prepared.profile, ["set"]).set
        assert reading is not None and reading.value is not None
        if all(m.sync_source for m in reading.value.members if m.state == "SECONDARY"):
            return


def test_the_joint_is_proved_by_the_entry_itself(
    replica_set: ReplicaSet, profile_for: ProfileFor, database_name: str
) -> None:
    store = profile_for(replica_set).store
    with closing(replica_set.client()) as client:
        client[database_name].a.insert_one({})
        base = take(client, store)
        client[database_name].a.insert_one({})
        assert base.window is not None
        oldest, newest = oplog.ends(client)
        forged = replace(base, window=base.window.model_copy(update={"end_hash": "0" * 64}))
        absent = base.window.model_copy(update={"end": Position(oldest.t, 0xFFFFFF)})
        before = base.window.model_copy(update={"end": Position(oldest.t - 100, 1)})

        good = read_coverage([base], client, "test")
        assert good.ranges[0].start == base.end and good.ranges[0].end >= newest
        for bad in (forged, replace(base, window=absent)):
            found = read_coverage([bad], client, "test")
            assert [b.cause for b in found.branches] == [Cause.DIVERGED] and not found.ranges
        rolled = read_coverage([replace(base, window=before)], client, "test")
        assert [g.cause for g in rolled.gaps] == [Cause.ROLLED_OVER]
        assert rolled.latest == before.end


def test_a_set_that_falls_apart_member_by_member(
    make_replica_set: MakeReplicaSet, profile_for: ProfileFor
) -> None:
    own = make_replica_set()
    prepared = profile_for(own)
    with closing(own.client()) as client:
        client.shop.orders.insert_one({})
        base = take(client, prepared.store)

    first = own.primary_index()
    own.kill(first)
    own.wait_for_primary()
    _, found = _until_it_is_said(prepared, "member-down")
    assert found.exit_code == 1 or found.facts[0].code == "member-lag"

    own.kill(own.primary_index())
    readings, found = _until_without_primary(prepared)
    status = readings.set.value if readings.set else None
    assert status is not None and status.partial
    assert [m.answered for m in status.members].count(True) == 1
    assert found.exit_code == 2 and found.facts[0].code == "no-primary"
    # The last member alone still says what there is.
    assert readings.oplog is not None and readings.oplog.value is not None

    own.kill_all()
    readings, found = judged(prepared)
    assert found.exit_code == 2 and found.facts[0].code == "deployment-down"
    assert readings.backups is not None and readings.backups.value is not None
    assert readings.coverage is not None and readings.coverage.value is not None
    assert readings.coverage.value.latest == base.end
    assert readings.coverage.value.rpo_undo_seconds is None
    assert "Newest restore point" in found.consequence


def _until_it_is_said(prepared: PreparedProfile, code: str) -> tuple[Readings, Verdict]:
    while True:
        readings, found = judged(prepared)
        if code in {f.code for f in found.facts}:
            return readings, found


def _until_without_primary(prepared: PreparedProfile) -> tuple[Readings, Verdict]:
    """A primary whose majority has just died needs its election timeout to step down."""
    while True:
        readings, found = judged(prepared)
        if readings.set and readings.set.value and readings.set.value.primary is None:
            return readings, found


def test_members_that_are_there_and_do_not_answer_hold_nothing_up(
    make_replica_set: MakeReplicaSet, profile_for: ProfileFor
) -> None:
    own = make_replica_set(nodes=1)
    prepared = profile_for(own)
    with closing(own.client()) as client:
        take(client, prepared.store)
    own.pause(0)
    try:
        readings, found = judged(prepared)
    finally:
        own.resume(0)
    assert found.exit_code == 2 and found.facts[0].code == "deployment-down"
    assert readings.coverage is not None and readings.coverage.value is not None
    assert readings.coverage.value.latest is not None


def test_a_wrong_password_is_unknown_and_never_told(replica_set: ReplicaSet, profile_for: ProfileFor) -> None:
    prepared = profile_for(replica_set)
    right = replica_set.uri
    wrong = right.replace(right.split("@")[0].split(":")[-1], "wr0ng-s3cret")
    profile = prepared.profile.model_copy(update={"uri_file": None, "uri": SecretStr(wrong)})
    readings, found = judged(replace(prepared, profile=profile))
    assert readings.set is not None and readings.set.error is not None
    assert readings.set.error.code == "authentication-failed"
    assert found.exit_code in (2, 3) and "deployment-down" not in {f.code for f in found.facts}
    assert "wr0ng-s3cret" not in repr(readings) and "wr0ng-s3cret" not in repr(found)


def _event_of(readings: Readings, namespace: str) -> Event | None:
    """The one that is open, if there is one."""
    assert readings.jobs is not None
    found = open_events(readings, readings.jobs.tried_at)
    return next((e for e in found if e.namespace == namespace), None)


def test_a_drop_is_open_until_it_is_restored_and_again_once_that_is_undone(
    patient: None, make_replica_set: MakeReplicaSet, profile_for: ProfileFor, database_name: str
) -> None:
    # One of its own: in the shared one's oplog lie the mistakes of all other tests.
    replica_set = make_replica_set(nodes=1)
    prepared = profile_for(replica_set)
    where = f"{database_name}.orders"
    with closing(replica_set.client()) as client:
        orders = client[database_name].orders
        orders.insert_many([{"i": i} for i in range(500)])
        backup_here(prepared)
        orders.drop()
        client.admin.command({"appendOplogNote": 1, "data": {"test": 1}, "writeConcern": {"w": "majority"}})
    readings, found = judged(prepared)
    dropped = _event_of(readings, where)
    assert dropped is not None and (dropped.kind, dropped.documents) == ("drop", 500)
    (fact,) = [f for f in found.facts if where in f.text]
    assert fact.text.startswith(f"DATA DROPPED: {where} at") and fact.text.endswith(
        "500 documents; restorable."
    )

    job, _ = restore_here(prepared, skip=(dropped.id,), namespaces=(where,))
    for names in (None, ["set", "store:local", "coverage", "events", "jobs"]):
        readings = gather_once(prepared.name, prepared.profile, names)
        assert _event_of(readings, where) is None
    without_jobs = replace(readings, jobs=replace(readings.jobs, value=()))  # type: ignore[type-var]
    assert _event_of(without_jobs, where) is None, "the ledger alone says so too"

    run_here(prepared, "undo", {"job": job})
    readings, _ = judged(prepared)
    assert _event_of(readings, where) is not None
    without_jobs = replace(readings, jobs=replace(readings.jobs, value=()))  # type: ignore[type-var]
    assert _event_of(without_jobs, where) is not None, "the ledger alone says so too"


def test_a_drop_is_seen_within_seconds_while_watching(
    make_replica_set: MakeReplicaSet, profile_for: ProfileFor, database_name: str
) -> None:
    # One of its own: in the shared one's oplog lie the mistakes of all other tests.
    replica_set = make_replica_set(nodes=1)
    prepared = profile_for(replica_set)

    async def scene() -> None:
        pollers = Pollers(prepared.name, prepared.profile)
        seen = asyncio.Event()

        def listen(name: str, now: Readings) -> None:
            if name == "events" and f"{database_name}.a" in _names(now):
                seen.set()

        pollers.subscribe(listen)
        running = asyncio.create_task(pollers.run())
        await asyncio.wait_for(pollers.tried(), 120)
        with closing(replica_set.client()) as client:
            client[database_name].a.insert_one({})
            client[database_name].a.drop()
        await asyncio.wait_for(seen.wait(), 120)
        running.cancel()
        await asyncio.wait({running})

    run_bounded(scene())


def _names(readings: Readings) -> set[str]:
    facts = None if readings.events is None else readings.events.value
    return set() if facts is None else {e.namespace for e in facts.events}


def test_the_lock_of_another_host_is_a_job_that_is_seen_here(
    patient: None, replica_set: ReplicaSet, profile_for: ProfileFor
) -> None:
    prepared = profile_for(replica_set)
    with closing(replica_set.client()) as client:
        assert gather_once(prepared.name, prepared.profile, ["lock"]).lock.value is None  # type: ignore[union-attr]
        with DeploymentLock(client, "0badcafe", "restore", "ann@elsewhere") as lock:
            lock.update("load", 43.0)
            lock.heartbeat()
            readings = gather_once(prepared.name, prepared.profile, ["lock", "jobs"])
    (job,) = all_jobs(readings)
    assert (job.job, job.owner, job.here, job.state) == ("0badcafe", "ann@elsewhere", False, "running")
    assert (job.step, job.percent) == ("load", 43.0)
