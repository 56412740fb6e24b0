"""The deployment lock on a real replica set."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mongo_dr_console.model.progress import Note, Progress, StepProgress, StepStarted
from mongo_dr_console.model.trouble import Refused, Unreachable
from mongo_dr_console.mongo.client import Client, connect
from mongo_dr_console.mongo.locks import DeploymentLock, read_lock, remove_lock

pytestmark = pytest.mark.mongod

HOUR = 3_600_000


@pytest.fixture
def client(replica_set: Any) -> Iterator[Client]:
    client = connect(replica_set.uri)
    client.mongo_dr.locks.delete_many({})
    yield client
    client.mongo_dr.locks.delete_many({})
    client.close()


@pytest.fixture
def lock_for(client: Client) -> Iterator[Callable[..., DeploymentLock]]:
    made: list[DeploymentLock] = []

    def make(job: str, **options: float) -> DeploymentLock:
        # Beats come when a test asks for one.
        made.append(DeploymentLock(client, job, "restore", "ann@db1", **{"beat_seconds": 1000, **options}))
        return made[-1]

    yield make
    for lock in made:
        lock.leave()


def age(client: Client, **changes: Any) -> None:
    """Makes the lock an hour old."""
    client.mongo_dr.locks.update_one(
        {"_id": "restore"}, [{"$set": {"heartbeat": {"$subtract": ["$$NOW", HOUR]}, **changes}}]
    )


def test_the_lock_says_who_has_it(client: Client, lock_for: Callable[..., DeploymentLock]) -> None:
    with lock_for("aaaa0001") as lock:
        lock.update("$replay", 43.0)
        lock.heartbeat()
        info = read_lock(client)
        assert info is not None
        assert (info.job, info.kind, info.owner, info.host) == (
            "aaaa0001",
            "restore",
            "ann@db1",
            socket.gethostname(),
        )
        assert (info.step, info.percent, info.fencing) == ("$replay", 43.0, lock.fencing)
        assert info.age_seconds < 60
        lock.check()
    assert read_lock(client) is None


def test_a_second_job_is_refused_with_the_first_ones_owner_and_step(
    client: Client, lock_for: Callable[..., DeploymentLock]
) -> None:
    first = lock_for("aaaa0001")
    first.acquire()
    first.update("replay", 43.0)
    first.heartbeat()
    with pytest.raises(Refused) as refused:
        lock_for("bbbb0002").acquire()
    assert refused.value.code == "locked"
    for part in ("aaaa0001", "ann@db1", "'replay' at 43%"):
        assert part in refused.value.message
    first.check()
    assert first.release()
    lock_for("bbbb0002").acquire()


def test_a_stale_lock_is_refused_too_and_says_so(
    client: Client, lock_for: Callable[..., DeploymentLock]
) -> None:
    lock_for("aaaa0001").acquire()
    age(client)
    with pytest.raises(Refused) as refused:
        lock_for("bbbb0002").acquire()
    assert "mdr jobs unlock" in refused.value.hint


def test_the_same_job_takes_its_lock_back_and_the_old_holder_learns_it(
    client: Client, lock_for: Callable[..., DeploymentLock]
) -> None:
    old, new = lock_for("aaaa0001"), lock_for("aaaa0001")
    old.acquire()
    begun = read_lock(client)
    new.acquire()
    again = read_lock(client)
    assert begun is not None
    assert again is not None
    assert again.fencing > begun.fencing
    assert again.started == begun.started
    old.heartbeat()
    with pytest.raises(Refused) as lost:
        old.check()
    assert lost.value.code == "lock-lost"
    assert not old.release()
    new.heartbeat()
    new.check()


def test_the_fencing_number_rises_over_releases(lock_for: Callable[..., DeploymentLock]) -> None:
    numbers = []
    for _ in range(3):
        with lock_for("aaaa0001") as lock:
            numbers.append(lock.fencing)
    assert numbers == sorted(set(numbers))


def test_a_lock_that_was_taken_away_is_lost(client: Client, lock_for: Callable[..., DeploymentLock]) -> None:
    lock = lock_for("aaaa0001")
    lock.acquire()
    info = read_lock(client)
    assert info is not None
    assert remove_lock(client, info)
    assert not remove_lock(client, info)
    lock.heartbeat()
    with pytest.raises(Refused):
        lock.check()


def test_the_heartbeat_thread_beats_and_sees_a_loss(
    client: Client, lock_for: Callable[..., DeploymentLock]
) -> None:
    lock = lock_for("aaaa0001", beat_seconds=0.02)
    lock.acquire()
    first = read_lock(client)
    assert first is not None
    while (now := read_lock(client)) is not None and now.heartbeat == first.heartbeat:
        pass
    assert now is not None
    client.mongo_dr.locks.delete_one({"_id": "restore"})
    assert lock._thread is not None
    lock._thread.join(120)
    with pytest.raises(Refused):
        lock.check()


def test_without_a_heartbeat_for_too_long_it_counts_as_lost(lock_for: Callable[..., DeploymentLock]) -> None:
    lock = lock_for("aaaa0001", lost_after_seconds=0.0)
    lock.acquire()
    with pytest.raises(Unreachable) as lost:
        lock.check()
    assert lost.value.code == "lock-unconfirmed"


def test_progress_that_passes_by_is_kept_in_the_lock(
    client: Client, lock_for: Callable[..., DeploymentLock]
) -> None:
    told: list[Progress] = []
    with lock_for("aaaa0001") as lock:
        report = lock.following(told.append)
        events: list[Progress] = [StepStarted("load", 200), Note("n"), StepProgress("load", 50, 200)]
        for event in events:
            report(event)
        lock.heartbeat()
        info = read_lock(client)
    assert told == events
    assert info is not None
    assert (info.step, info.percent) == ("load", 25.0)


def test_while_writes_are_blocked_it_is_refused_in_words(
    client: Client, make_replica_set: Any, lock_for: Callable[..., DeploymentLock]
) -> None:
    open_set = make_replica_set(nodes=1, auth=False)
    other = connect(open_set.uri)
    lock = DeploymentLock(other, "aaaa0001", "restore", "ann@db1", beat_seconds=0.02, lost_after_seconds=60)
    lock.acquire()
    try:
        other.admin.command("setUserWriteBlockMode", 1, **{"global": True})
        with pytest.raises(Refused) as refused:
            DeploymentLock(other, "aaaa0001", "restore", "ann@db1").acquire()
        assert refused.value.code == "write-blocked"
        seen = lock._seen
        while lock._seen == seen:
            time.sleep(0.01)
        lock.check()
        other.admin.command("setUserWriteBlockMode", 1, **{"global": False})
        lock.heartbeat()
        lock.check()
        assert lock.release()
    finally:
        lock.leave()
        other.close()


@pytest.fixture
def mdr(
    replica_set: Any, profile_for: Any, state_dir: Any
) -> Callable[..., subprocess.CompletedProcess[str]]:
    prepared = profile_for(replica_set)
    script = (
        "import sys; from mongo_dr_console.cli import main; main.GROUPS = ('jobs',); main.run(sys.argv[1:])"
    )

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", script, "-p", prepared.name, *arguments],
            capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False, timeout=180,
        )  # fmt: skip

    return run


def test_unlock_takes_only_a_dead_owners_lock(
    client: Client,
    lock_for: Callable[..., DeploymentLock],
    mdr: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    free = mdr("jobs", "unlock", "--yes", "--json")
    assert (free.returncode, json.loads(free.stdout)["unlocked"]) == (0, False)
    lock_for("aaaa0001").acquire()
    age(client)
    living = mdr("jobs", "unlock", "--yes", "--json")
    assert (living.returncode, json.loads(living.stdout)["error"]["code"]) == (4, "lock-owner-lives")
    client.mongo_dr.locks.update_one({"_id": "restore"}, {"$set": {"host": "elsewhere"}})
    unsaid = mdr("jobs", "unlock", "--json")
    assert (unsaid.returncode, json.loads(unsaid.stdout)["error"]["code"]) == (4, "no-terminal")
    client.mongo_dr.locks.update_one({"_id": "restore"}, [{"$set": {"heartbeat": "$$NOW"}}])
    fresh = mdr("jobs", "unlock", "--yes", "--json")
    assert (fresh.returncode, json.loads(fresh.stdout)["error"]["code"]) == (4, "lock-fresh")
    assert read_lock(client) is not None
    age(client)
    gone = mdr("jobs", "unlock", "--yes", "--json")
    assert (gone.returncode, json.loads(gone.stdout)["lock"]["job"]) == (0, "aaaa0001")
    assert read_lock(client) is None
