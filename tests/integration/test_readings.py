"""Readings of real replica sets: healthy, without a primary, without a majority, frozen, gone."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from dumping import Free, Recorder
from pydantic import SecretStr

from mongo_dr_console.engines.builtin.dump import DumpRequest, dump
from mongo_dr_console.model.catalogue import SnapshotEntry
from mongo_dr_console.model.coverage import Cause
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.readings import Readings
from mongo_dr_console.model.verdict import Verdict, verdict
from mongo_dr_console.mongo import oplog
from mongo_dr_console.mongo.client import Client
from mongo_dr_console.mongo.identity import read_identity
from mongo_dr_console.mongo.launch import ReplicaSet
from mongo_dr_console.stores.catalogue import list_snapshots
from mongo_dr_console.stores.local import LocalStore
from mongo_dr_console.stores.snapshot_writer import SnapshotWriter
from mongo_dr_console.stream.coverage import read_coverage
from mongo_dr_console.workers.pollers import gather_once
from mongo_dr_console.workers.sources import limits_of

if TYPE_CHECKING:
    from tests.conftest import MakeReplicaSet, PreparedProfile, ProfileFor

pytestmark = pytest.mark.mongod


def take(client: Client, store: Path) -> SnapshotEntry:
    with SnapshotWriter(LocalStore("local", store)) as writer:
        manifest = dump(client, DumpRequest(read_identity(client, "test")), writer, Recorder(), Free())
    return next(e for e in list_snapshots(LocalStore("local", store)) if e.name == manifest.name)


def judged(prepared: PreparedProfile) -> tuple[Readings, Verdict]:
    readings = gather_once(prepared.name, prepared.profile)
    assert readings.jobs is not None
    return readings, verdict(readings, limits_of(prepared.profile), readings.jobs.tried_at)


def test_a_healthy_set_is_read_through_and_through(
    replica_set: ReplicaSet, profile_for: ProfileFor, database_name: str
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
    readings, found = judged(prepared)
    assert found.exit_code == 1 or found.facts[0].code == "member-lag"
    assert "member-down" in {f.code for f in found.facts}

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
