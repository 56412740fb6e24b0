"""What a backup and a restore hold in memory does not grow with the data; for gigabytes see
``make bench-memory``."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support.jobs import plan_for

from mongo_dr_console.model.journal import JobEnded, decode_all
from mongo_dr_console.workers import jobs

pytestmark = [pytest.mark.mongod, pytest.mark.slow]

BIG = 10_000_000
MOST = 256_000_000
GROWTH = 1.1
FIRST, MORE, LATER = ("abcd", 2), ("aaaa", 7), 4
"""Collections, and how many documents of 10 MB each gets: first two each, then one gets 280 MB more, so
that it is read in ranges."""


def add(replica_set: Any, database: str, names: str, times: int) -> None:
    with closing(replica_set.client()) as client:
        for _ in range(times):
            for name in names:
                client[database][name].insert_one({"x": os.urandom(BIG // 4) + bytes(BIG * 3 // 4)})
                client[database][name].insert_many([{"x": bytes(1000)} for _ in range(500)])


def job(prepared: Any, kind: str, request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """Peak memory of the job's process, and its result."""
    folder = jobs.create(prepared.name, prepared.profile, prepared.config_file, kind, request)
    process = subprocess.Popen([sys.executable, "-m", "mongo_dr_console.workers.job", str(folder.path)])
    peak = 0
    while process.poll() is None:
        # What the kernel counts for an ended child has its parent's memory in it: so it is looked at alive.
        try:
            text = Path(f"/proc/{process.pid}/status").read_text()
        except OSError:
            continue
        found = re.search(r"^VmHWM:\s+(\d+) kB", text, re.MULTILINE)
        peak = max(peak, int(found[1]) * 1024 if found else 0)
        try:
            process.wait(0.02)
        except subprocess.TimeoutExpired:
            continue
    ended = decode_all(folder.journal.read_bytes())[-1].event
    assert isinstance(ended, JobEnded) and ended.state == "done", ended
    return peak, ended.result


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_several_times_the_data_needs_no_more_memory(make_replica_set: Any, profile_for: Any) -> None:
    """Of a backup, and of a restore that loads and replays."""
    replica_set = make_replica_set(nodes=1)
    prepared = profile_for(replica_set)
    peaks = []
    for names, times in (FIRST, MORE):
        add(replica_set, "big", names, times)
        dumped, result = job(prepared, "backup", {"stores": None, "compression": "gzip", "databases": None})
        add(replica_set, "later", "a", LATER)
        through = position(replica_set)
        with closing(replica_set.client()) as client:
            client.drop_database("big")
            client.drop_database("later")
        plan = plan_for(prepared, snapshot=result["snapshot"], through=through).to_json()
        restored, _ = job(prepared, "restore", {"plan": plan})
        with closing(replica_set.client()) as client:
            assert client.later.a.estimated_document_count() == 501 * LATER
            client.drop_database("later")
        peaks.append((dumped, restored))
    for what, small, large in zip(("backup", "restore"), *peaks, strict=True):
        assert large < min(small * GROWTH, MOST), f"{what}: {small:,} bytes, then {large:,}"


def position(replica_set: Any) -> str:
    with closing(replica_set.client()) as client:
        reply = client.admin.command(
            {"appendOplogNote": 1, "data": {"now": 1}, "writeConcern": {"w": "majority"}}
        )
    return f"{reply['operationTime'].time}:{reply['operationTime'].inc}"
