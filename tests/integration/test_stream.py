"""The stream on real sets: what it writes is the majority-committed oplog, whatever happens meanwhile."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pymongo.errors import PyMongoError
from support import streamkit
from support.jobs import backup_here, restore_here
from support.prepared import PreparedProfile
from support.scene import call
from support.streamkit import committed, entries_of, into, oplog_between, segment_runs, streaming
from support.writers import Writers, fill

from mongo_dr_console.agent.streaming import snapshot_ends
from mongo_dr_console.model.identity import Identity
from mongo_dr_console.model.link import Link
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.streamfacts import BreakCause
from mongo_dr_console.model.trouble import Failed, WrongUse
from mongo_dr_console.mongo.launch import ReplicaSet
from mongo_dr_console.mongo.oplog import entry_at
from mongo_dr_console.stream.segment_sink import SegmentSink
from mongo_dr_console.stream.tail import Joint, MemberTail
from mongo_dr_console.stream.watch import SetWatch


def mark(client: Any, text: str) -> Position:
    """A majority write; what a majority has after it."""
    client.marks.get_collection("m").insert_one({"text": text})
    return committed(client)


class Stubborn(SegmentSink):
    """Dead until it is released: a store whose disk is full."""

    released = threading.Event()

    def append(self, batch: bytes) -> None:
        if not self.released.is_set():
            raise Failed("store-full", "There is no room left.")
        super().append(batch)


class Stuck(SegmentSink):
    """Takes a batch and does not come back until it is released."""

    released = threading.Event()
    taken = 0

    def append(self, batch: bytes) -> None:
        Stuck.taken += len(batch)
        self.released.wait()
        super().append(batch)


def kept(folder: Path, kind: type[SegmentSink]) -> streamkit.SinkOf:
    from mongo_dr_console.stores.local import LocalStore

    def make(identity: Identity) -> SegmentSink:
        return kind(LocalStore("local", folder), identity, seconds=1, max_bytes=2**20)

    return make


@pytest.mark.slow
def test_through_elections_and_kills_each_sink_gets_the_committed_oplog_byte_for_byte(
    make_replica_set: Callable[..., ReplicaSet], tmp_path: Path
) -> None:
    own = make_replica_set()
    own.wait_for_members()
    good, dead, stuck = tmp_path / "good", tmp_path / "dead", tmp_path / "stuck"
    sinks = {"good": into(good), "dead": kept(dead, Stubborn), "stuck": kept(stuck, Stuck)}
    with closing(own.client(seconds=30)) as client:
        begin = Link.of(entry_at(client, mark(client, "begin")) or b"")
        fill(client, "shop")
        with streaming(own.uri, sinks, [begin]) as stream, Writers(client, "shop") as writers:
            writers.wait_for(200)
            _step_down(client)
            writers.wait_for(200)
            victim = own.primary_index()
            own.kill(victim)
            writers.wait_for(200)
            own.start(victim)
            writers.wait_for(100)
            writers.stop()
            client.shop.orders.rename("orders2")
            end = mark(client, "end")
            # The dead and the stuck one have held up nobody.
            stream.wait_for("good", end)
            assert stream.pumps["dead"].facts.durable is None
            stream.wait_until(lambda: stream.pumps["dead"].facts.trouble is not None)
            trouble = stream.pumps["dead"].facts.trouble
            assert trouble is not None and trouble.code == "store-full"
            # One batch and no more is in memory for a sink that takes nothing.
            assert Stuck.taken <= 16 * 2**20
            Stubborn.released.set()
            Stuck.released.set()
            stream.wait_for("dead", end)
            stream.wait_for("stuck", end)
            assert [p.facts.breaks for p in stream.pumps.values()] == [(), (), ()]
        wanted = oplog_between(client, begin.position, committed(client))
    for folder in (good, dead, stuck):
        archive, (run,) = segment_runs(folder)
        found = entries_of(archive, run)
        assert found == wanted[: len(found)]
        assert Link.of(found[-1]).position >= end
    assert len({Link.of(raw).term for raw in found}) >= 3


def _step_down(client: Any) -> None:
    with contextlib.suppress(PyMongoError):  # the connection may be closed by it
        client.admin.command("replSetStepDown", 5, secondaryCatchUpPeriodSecs=5, force=True)


def test_a_member_that_only_we_cannot_reach_is_left_for_another(
    make_replica_set: Callable[..., ReplicaSet], tmp_path: Path
) -> None:
    own = make_replica_set()
    own.wait_for_members()
    with closing(own.client()) as client:
        begin = Link.of(entry_at(client, mark(client, "begin")) or b"")
        with streaming(own.uri, {"good": into(tmp_path)}, [begin]) as stream:
            stream.wait_for("good", mark(client, "one"))
            primary = stream.pumps["good"].facts.member
            fault = {
                "configureFailPoint": "failCommand",
                "mode": "alwaysOn",
                "data": {"failCommands": ["find", "getMore"], "closeConnection": True, "appName": "mdr-good"},
            }
            client.admin.command(fault)
            stream.wait_until(lambda: stream.pumps["good"].facts.member != primary)
            end = mark(client, "two")
            stream.wait_for("good", end)
            client.admin.command({"configureFailPoint": "failCommand", "mode": "off"})
        wanted = oplog_between(client, begin.position, end)
    archive, (run,) = segment_runs(tmp_path)
    assert entries_of(archive, run)[: len(wanted)] == wanted


def test_a_rolled_over_oplog_is_reported_as_exactly_that_gap(
    make_replica_set: Callable[..., ReplicaSet], tmp_path: Path
) -> None:
    own = make_replica_set(nodes=1, oplog_mb=50, checkpoint_seconds=1)
    with closing(own.client()) as client:
        begin = Link.of(entry_at(client, mark(client, "begin")) or b"")
        with streaming(own.uri, {"s": into(tmp_path)}, [begin]) as stream:
            stream.wait_for("s", mark(client, "one"))
        left = stream.pumps["s"].facts.durable
        assert left is not None
        _roll_over(client, left)
        with streaming(own.uri, {"s": into(tmp_path)}, [begin]) as stream:
            stream.wait_until(lambda: bool(stream.pumps["s"].facts.breaks))
            end = mark(client, "two")
            stream.wait_for("s", end)
            (gap,) = stream.pumps["s"].facts.breaks
        assert (gap.cause, gap.start) == (BreakCause.ROLLED_OVER, left)
        archive, (before, after) = segment_runs(tmp_path)
        assert before.last.position == left
        assert after.after.position == gap.end > left
        assert after.segments[0].header.tail == before.last
        assert entries_of(archive, after)[:3] == oplog_between(client, gap.end, end)[:3]


def _roll_over(client: Any, position: Position) -> None:
    """Writes until the oplog begins after a position."""
    while client.local["oplog.rs"].find_one({}, sort=[("$natural", 1)])["ts"] <= position.timestamp:
        client.big.c.insert_many([{"text": "x" * 2**20} for _ in range(10)])
        client.admin.command("fsync")
        client.big.c.drop()


def test_after_a_forced_reconfiguration_the_lost_history_is_kept_apart_and_can_be_restored(
    make_replica_set: Callable[..., ReplicaSet], profile_for: Callable[[ReplicaSet], PreparedProfile]
) -> None:
    own = make_replica_set()
    own.wait_for_members()
    prepared = profile_for(own)
    with closing(own.client(seconds=30)) as client:
        mark(client, "begin")
        backup_here(prepared)
        (begin,) = snapshot_ends(prepared.profile)
        behind = next(i for i in range(3) if i != own.primary_index())
        with streaming(own.uri, {"s": into(prepared.store)}, [begin]) as stream:
            stream.wait_for("s", mark(client, "common"))
            own.kill(behind)
            lost = mark(client, "lost")
            stream.wait_for("s", lost)
            lost_entry = entry_at(client, lost)
            own.kill_all()
            _force_alone(own, behind)
            with own.member_client(behind) as survivor:
                survivor.marks.m.insert_one({"text": "after"})
                stream.wait_until(lambda: bool(stream.pumps["s"].facts.breaks))
                end = mark(survivor, "later")
                stream.wait_for("s", end)
                archive, found = segment_runs(prepared.store)
                wanted = oplog_between(survivor, begin.position, end)
                _restore_branch(prepared, survivor, broke_at=lost)
        (broke,) = stream.pumps["s"].facts.breaks
        assert broke.cause is BreakCause.DIVERGED and broke.end < broke.start
    branch = next(r for r in found if r.last.position == broke.start)
    tip = next(r for r in found if r.last.position >= end)
    trunk = next(r for r in found if r.last == branch.after == tip.after)
    # The lost acknowledged write is still there, on the branch; the new history has it nowhere.
    assert lost_entry in entries_of(archive, branch)
    joined = entries_of(archive, trunk) + entries_of(archive, tip)
    assert joined[: len(wanted)] == wanted and lost_entry not in joined


def _restore_branch(prepared: PreparedProfile, survivor: Any, broke_at: Position) -> None:
    """Shown in coverage by a name, and restored by it beside what is live."""
    covered = call(prepared.config_file, "--profile", "test", "coverage", "--json").json
    (branch,) = covered["branches"]
    assert branch["cause"] == "diverged" and Position.parse(branch["end"]) >= broke_at
    wanted = {"namespaces": ("marks.m",), "renames": ("marks.m=marks.back",), "mode": "beside"}
    restore_here(prepared, **wanted, branch=branch["name"])
    texts = {d["text"] for d in survivor.marks.back.find()}
    assert texts == {"begin", "common", "lost"}
    assert {d["text"] for d in survivor.marks.m.find()} >= {"begin", "common", "after"}
    with pytest.raises(WrongUse):
        restore_here(prepared, **wanted, branch="1-1.1")


def _force_alone(own: ReplicaSet, index: int) -> None:
    """The member that was behind goes on alone."""
    own.start(index)
    with own.member_client(index) as client:
        config = client.admin.command("replSetGetConfig")["config"]
        port = own.members[index].port
        config["members"] = [m for m in config["members"] if m["host"].endswith(f":{port}")]
        config["version"] += 1000
        client.admin.command("replSetReconfig", config, force=True)
        for _ in range(1800):
            if client.admin.command("hello")["isWritablePrimary"]:
                return
            threading.Event().wait(0.1)
    raise AssertionError("it does not become primary")


@pytest.mark.slow
def test_a_set_of_the_same_name_is_never_joined_also_at_the_same_position_and_term(
    make_replica_set: Callable[..., ReplicaSet], tmp_path: Path
) -> None:
    one, two = make_replica_set(nodes=1), make_replica_set(nodes=1)
    with closing(one.client()) as first, closing(two.client()) as second:
        ours, theirs = _twins(first, second)
        assert (ours.position, ours.term) == (theirs.position, theirs.term)
        mark(second, "later")
        with MemberTail(two.uri, f"127.0.0.1:{two.members[0].port}", appname="test") as tail:
            assert tail.join(theirs) is Joint.SAME
            assert tail.join(ours) is Joint.OTHER
        with streaming(one.uri, {"s": into(tmp_path)}, [ours]) as stream:
            left = mark(first, "end")
            stream.wait_for("s", left)
            # The set is initiated anew behind the same address.
            pump = stream.pumps["s"]
            stream.watch.stop()
            pump._way.watch, pump._way.uri, pump._way.bases = SetWatch(two.uri), two.uri, lambda: [theirs]
            one.kill_all()
            stream.wait_until(lambda: bool(pump.facts.breaks))
            stream.wait_for("s", mark(second, "later"))
            assert [b.cause for b in pump.facts.breaks] == [BreakCause.REPLACED]
    _, (old, new) = segment_runs(tmp_path)
    assert old.identity.set_name == new.identity.set_name
    assert old.identity.replica_set_id != new.identity.replica_set_id
    assert {old.after, new.after} == {ours, theirs}


def _twins(first: Any, second: Any) -> tuple[Link, Link]:
    """Two sets of one name that were initiated in the same term, and an entry of each at one position."""
    for _ in range(50):
        ours, theirs = mark(first, "here"), mark(second, "there")
        if ours == theirs:
            entries = entry_at(first, ours), entry_at(second, theirs)
            if all(entries):
                return Link.of(entries[0] or b""), Link.of(entries[1] or b"")
        # The first write of a second has ordinal 1 on both.
        threading.Event().wait(1.02)
    raise AssertionError("no two entries at one position")
