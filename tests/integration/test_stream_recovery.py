"""The deployment is gone: coverage, find, plan and restore from snapshot and segments alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support import twin
from support.jobs import backup_here, not_waited_for, run_here
from support.prepared import PreparedProfile
from support.scene import call
from support.streamkit import committed, into, streaming
from support.writers import Writers, fill

from mongo_dr_console.config import load_config
from mongo_dr_console.model.plan import Intent, Plan
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.trouble import Refused
from mongo_dr_console.mongo.launch import ReplicaSet
from mongo_dr_console.workers.plan_sources import open_deployments
from mongo_dr_console.workers.planning import make_plan

pytestmark = pytest.mark.mongod


@dataclass
class Gone:
    """What a deployment left that was killed for good, and its states at some positions."""

    prepared: PreparedProfile
    far: Path
    other: ReplicaSet
    states: dict[Position, Any]
    drop: Position
    end: Position

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


@pytest.fixture
def gone(
    make_replica_set: Callable[..., ReplicaSet],
    profile_for: Callable[[ReplicaSet], PreparedProfile],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Gone]:
    own, other = make_replica_set(nodes=1), make_replica_set(nodes=1, set_name="other")
    prepared, far = profile_for(own), tmp_path / "far"
    far.mkdir()
    (tmp_path / "other-uri").write_text(other.uri)
    with prepared.config_file.open("a") as config:
        config.write(f"[profiles.test.stores.far]\ntype = 'local'\npath = '{far}'\n")
        config.write(f"[profiles.other]\nuri_file = '{tmp_path / 'other-uri'}'\naccess = 'restore'\n")
    profile = load_config(prepared.config_file).profiles["test"]
    states: dict[Position, Any] = {}
    with closing(own.client()) as client:
        fill(client, "shop")
        sinks = {
            "near": into(prepared.store, max_bytes=5_000),
            "far": into(far, "far", max_bytes=8_000),
        }
        backup_here(prepared)
        base = _end_of(prepared.store)
        with streaming(own.uri, sinks, [base]) as stream:
            for _ in range(4):
                with Writers(client, "shop") as writers:
                    writers.wait_for(120)
                states[committed(client)] = twin.state_of(client, "shop")
            client.shop.items.drop()
            drop = committed(client)
            with Writers(client, "shop") as writers:
                writers.wait_for(120)
            end = committed(client)
            states[end] = twin.state_of(client, "shop")
            for name in sinks:
                stream.wait_for(name, end)
    own.kill_all()
    not_waited_for(own.uri, monkeypatch)
    yield Gone(dataclasses.replace(prepared, profile=profile), far, other, states, drop, end)


def _end_of(store: Path) -> Any:
    from mongo_dr_console.model.link import Link
    from mongo_dr_console.stores.catalogue import list_snapshots
    from mongo_dr_console.stores.local import LocalStore

    (entry,) = list_snapshots(LocalStore("local", store))
    assert entry.window is not None
    return Link(entry.window.end, entry.window.end_term, entry.window.end_hash)


def _segments(root: Path) -> list[Path]:
    return sorted(root.rglob("*.bson.zst"), key=_ends)


def _ends(path: Path) -> tuple[tuple[int, int], tuple[int, int]]:
    """What a segment's name says: the position before its first entry, and that of its last."""
    start, end = (tuple(map(int, part.split("-"))) for part in path.name.split(".")[0].split("_"))
    return (start[0], start[1]), (end[0], end[1])


@pytest.mark.slow
def test_every_acknowledged_write_comes_back_from_what_is_left(gone: Gone) -> None:
    found = call(gone.prepared.config_file, "--profile", "test", "coverage", "--json").json
    assert Position.parse(found["latest"]) >= gone.end
    assert (len(found["ranges"]), found["gaps"], found["branches"]) == (1, [], [])
    assert {"segments:local", "segments:far"} <= set(found["ranges"][0]["sources"])
    assert found["rpo_seconds"] is not None and found["rpo_undo_seconds"] is None

    events = call(gone.prepared.config_file, "--profile", "test", "find", "--json").json["events"]
    drop = next(e for e in events if e["kind"] == "drop" and e["namespace"] == "shop.items")

    *before, last = sorted(gone.states)
    for position in (before[0], last):
        plan = gone.plan(through=str(position))
        assert twin.differences(gone.restored(plan), gone.states[position]) == []
    plan = gone.plan(before=f"event:{drop['id']}")
    assert twin.differences(gone.restored(plan), gone.states[before[-1]]) == []

    # Each store lost a part, and one of its segments is damaged: together they still have everything.
    near, far = _segments(gone.prepared.store), _segments(gone.far)
    assert len(near) >= 18 and len(far) >= 10
    for path in near[2 : len(near) // 2]:
        path.unlink()
    for path in far[-2:]:
        path.unlink()
    # One that the other store still has whole.
    spoilt = [path for path in near if _ends(path)[1] <= _ends(far[-2])[0]][-1]
    assert near.index(spoilt) >= len(near) // 2
    harmed = bytearray(spoilt.read_bytes())
    harmed[-50] ^= 1
    spoilt.write_bytes(harmed)
    plan = gone.plan(through=str(last))
    assert twin.differences(gone.restored(plan), gone.states[last]) == []

    # What no source has any more is found before anything is written.
    for path in _segments(gone.far):
        path.unlink()
    with pytest.raises(Refused) as caught:
        gone.plan(through=str(last))
    assert caught.value.code == "limit-outside-coverage"
    found = call(gone.prepared.config_file, "--profile", "test", "coverage", "--json").json
    assert Position.parse(found["latest"]) < last
