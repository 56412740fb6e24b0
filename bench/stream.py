"""How fast the stream catches up: entries a second from the live oplog into segments, and its memory.

    python bench/stream.py [ENTRIES]

Target: at least 100,000 entries/s on 2 cores, below 200 MB.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

from mongo_dr_console.model.identity import Identity
from mongo_dr_console.model.link import Link
from mongo_dr_console.model.position import Position
from mongo_dr_console.mongo.launch import Options, ReplicaSet
from mongo_dr_console.mongo.oplog import entry_at, majority_position
from mongo_dr_console.stores.local import LocalStore
from mongo_dr_console.stream.pump import Pump, Way
from mongo_dr_console.stream.segment_sink import SegmentSink
from mongo_dr_console.stream.watch import SetWatch


def main(entries: int) -> None:
    with tempfile.TemporaryDirectory(prefix="mdr-bench-") as folder:
        replica_set = ReplicaSet.launch(
            Path(folder, "set"), Options(nodes=1, auth=False, oplog_mb=4000, cache_gb=1)
        )
        try:
            with closing(replica_set.client()) as client:
                client.bench.c.insert_one({"begin": 1})
                begin = Link.of(entry_at(client, majority_position(client)[0]) or b"")
                _fill(client, entries)
                end = majority_position(client)[0]
            facts = {"uri": replica_set.uri, "store": str(Path(folder, "store"))}
            facts |= {"begin": [str(begin.position), begin.term, begin.hash], "end": str(end)}
            child = [sys.executable, __file__, "--child"]
            done = subprocess.run(child, input=json.dumps(facts), text=True, capture_output=True, check=True)
            found = json.loads(done.stdout)
            stored = sum(p.stat().st_size for p in Path(folder, "store").rglob("*.zst"))
        finally:
            replica_set.close()
    rate = found["entries"] / found["seconds"]
    print(f"{found['entries']} entries, {found['bytes'] / 1e6:.0f} MB in {found['seconds']:.2f} s")
    speed = found["bytes"] / 1e6 / found["seconds"]
    print(f"{rate:,.0f} entries/s, {speed:.0f} MB/s, stored {stored / 1e6:.0f} MB")
    print(f"memory at most {found['rss_mb']:.0f} MB")


def _fill(client: Any, entries: int) -> None:
    batch = 10_000

    def insert(n: int) -> None:
        client.bench.c.insert_many(
            [
                {"_id": n * batch + k, "name": f"customer {k}", "total": k * 1.5, "state": "new"}
                for k in range(batch)
            ],
            ordered=False,
        )

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(insert, range(entries // batch)))


def child() -> None:
    facts = json.load(sys.stdin)
    position, term, digest = facts["begin"]
    begin, end = Link(Position.parse(position), term, digest), Position.parse(facts["end"])
    there = threading.Event()

    def sink(identity: Identity) -> SegmentSink:
        return SegmentSink(
            LocalStore("local", Path(facts["store"])), identity, seconds=30, max_bytes=16 * 1024 * 1024
        )

    def given() -> bool:
        return pump.facts.given is not None and pump.facts.given >= end

    watch = SetWatch(facts["uri"])
    pump = Pump("segments:local", Way(facts["uri"], "bench", watch, sink, lambda: [begin]))
    started = time.perf_counter()
    watch.start()
    pump.start()
    while not given():
        there.wait(0.02)
    pump.stop()
    pump.join(30)
    seconds = time.perf_counter() - started
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    told = {"entries": pump.facts.entries, "bytes": pump.facts.bytes, "seconds": seconds, "rss_mb": rss}
    print(json.dumps(told))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child()
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 500_000)
