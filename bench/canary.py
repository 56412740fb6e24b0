"""How old what is safe may be: the canary's p50 and p99 for each sink, on an idle and on a loaded deployment.

Starts a set of three members, a broker where Java is there, and the real agent with segments (closed each
second, the least there is) and Kafka. The load inserts in batches, at a steady pace, from a process of its
own. Target: p99 below one second; in segments that much beyond the second for which one is open.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

from mongo_dr_console.config import load_config
from mongo_dr_console.model.streamfacts import SinkFacts
from mongo_dr_console.model.trouble import Failed
from mongo_dr_console.mongo.client import connect
from mongo_dr_console.mongo.launch import Options, ReplicaSet
from mongo_dr_console.sandbox.kafka import LocalBroker
from mongo_dr_console.workers.streamstate import read_state

_TARGET = {"kafka": 1.0, "segments:local": 2.0}
_BATCH = 250


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--seconds", type=int, default=60, help="of each measurement")
    words.add_argument("--writes", type=int, default=5000, help="a second")
    words.add_argument("--load", help=argparse.SUPPRESS)
    given = words.parse_args()
    if given.load:
        _load(given.load, given.writes)
        return
    with tempfile.TemporaryDirectory(prefix="mdr-bench-") as folder:
        options = Options(auth=False, oplog_mb=2000, cache_gb=1)
        replica_set = ReplicaSet.launch(Path(folder, "set"), options)
        broker = None
        try:
            replica_set.wait_for_members()
            try:
                broker = LocalBroker.launch(Path(folder, "kafka"))
            except Failed as trouble:
                print(f"without Kafka: {trouble}")
            config = _config(Path(folder), replica_set.uri, broker)
            _measure(config, given.seconds, "idle")
            child = [sys.executable, __file__, "--load", replica_set.uri, "--writes", str(given.writes)]
            with subprocess.Popen(child, stdout=subprocess.PIPE, text=True) as load:
                _measure(config, given.seconds, f"{given.writes:,} writes/s")
                load.send_signal(signal.SIGTERM)
                assert load.stdout is not None
                print(load.stdout.read().strip())
        finally:
            if broker is not None:
                broker.kill()
            replica_set.close()


def _config(folder: Path, uri: str, broker: LocalBroker | None) -> Path:
    (folder / "uri").write_text(uri)
    lines = [
        "[profiles.bench]",
        f"uri_file = '{folder / 'uri'}'",
        "environment = 'bench'",
        "access = 'restore'",
        f"state_dir = '{folder / 'state'}'",
        "[profiles.bench.stores.local]",
        "type = 'local'",
        f"path = '{folder / 'store'}'",
        "[profiles.bench.oplog.segments]",
        "stores = ['local']",
        "seconds = 1",
    ]
    if broker is not None:
        lines += ["[profiles.bench.oplog.kafka]", f"bootstrap = ['{broker.bootstrap}']", "topic = 'bench'"]
    file = folder / "config.toml"
    file.touch(mode=0o600)
    file.write_text("\n".join([*lines, ""]))
    return file


def _measure(config: Path, seconds: int, what: str) -> None:
    """A new agent each time: a canary tells of the last ten minutes."""
    profile = load_config(config).profiles["bench"]
    words = [sys.executable, "-m", "mongo_dr_console", "--profile", "bench", "agent"]
    agent = subprocess.Popen(words, env={**os.environ, "MDR_CONFIG": str(config)}, stderr=subprocess.DEVNULL)
    try:
        time.sleep(seconds + 5)
        facts = read_state("bench", profile)
        assert facts is not None
        memory = next(
            int(line.split()[1]) // 1024
            for line in Path(f"/proc/{agent.pid}/status").read_text().splitlines()
            if line.startswith("VmHWM")
        )
        for sink in facts.sinks:
            print(f"{what}: {_told(sink)}")
        print(f"{what}: memory of the agent at most {memory} MB", flush=True)
    finally:
        agent.terminate()
        agent.wait()


def _told(sink: SinkFacts) -> str:
    canary = sink.canary
    if canary is None:
        return f"{sink.name}: nothing arrived ({sink.state}, {sink.trouble})"
    target = _TARGET[sink.name]
    verdict = "met" if canary.p99 < target else "MISSED"
    return (
        f"{sink.name}: p50 {canary.p50 * 1000:.0f} ms, p99 {canary.p99 * 1000:.0f} ms of {canary.count} "
        f"heartbeats (target {target:.0f} s: {verdict}), {sink.entries:,} entries"
    )


def _load(uri: str, writes: int) -> None:
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopped.append(number))
    done, started = 0, time.monotonic()
    with closing(connect(uri)) as client:
        collection = client.bench.get_collection("load")
        while not stopped:
            documents = [{"n": done + k, "state": "new", "note": "x" * 80} for k in range(_BATCH)]
            collection.insert_many(documents, ordered=False)
            done += _BATCH
            time.sleep(max(0.0, started + done / writes - time.monotonic()))
    print(f"the load made {done / (time.monotonic() - started):,.0f} writes/s")


if __name__ == "__main__":
    main()
