"""The deployment lock while members die."""

from __future__ import annotations

import time
from typing import Any

import pytest

from mongo_dr_console.model.trouble import Unreachable
from mongo_dr_console.mongo.client import connect
from mongo_dr_console.mongo.locks import DeploymentLock, read_lock

pytestmark = pytest.mark.mongod


@pytest.mark.slow
def test_the_lock_outlives_its_primary_and_a_lost_majority_is_said(make_replica_set: Any) -> None:
    replica_set = make_replica_set(nodes=3, auth=False)
    replica_set.wait_for_members()
    client = connect(replica_set.uri, seconds=60)
    lock = DeploymentLock(client, "aaaa0001", "restore", "ann@db1", beat_seconds=0.05)
    lock.acquire()
    # A majority has the lock; here every member must, since one alone is left in the end.
    client.admin.command({"appendOplogNote": 1, "data": {}, "writeConcern": {"w": 3}})
    try:
        killed = replica_set.primary_index()
        replica_set.kill(killed)
        seen = lock._seen
        while lock._seen == seen:
            time.sleep(0.01)
        lock.check()
        lock.update("replay", 50.0)
        lock.heartbeat()
        lock.leave()
        replica_set.kill(next(n for n in range(3) if n != killed))

        found = read_lock(client)
        assert found is not None
        assert (found.job, found.owner) == ("aaaa0001", "ann@db1")
        with pytest.raises(Unreachable) as unreachable:
            DeploymentLock(client, "aaaa0001", "restore", "ann@db1").acquire(seconds=4)
        assert "mdr status" in unreachable.value.hint
    finally:
        lock.leave()
        client.close()
