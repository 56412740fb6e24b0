"""What the stream into a Kafka topic and out of it costs: entries a second, and peak memory.

    python bench/kafka_topic.py                       200,000 entries of an insert's size, BSON
    python bench/kafka_topic.py --entries 50000 --codec json

Starts a broker of its own (Java and Maven are needed) and removes it. Each run is a process of its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import bson
from bson.timestamp import Timestamp

from mongo_dr_console.config import KafkaConfig
from mongo_dr_console.model import rawbson
from mongo_dr_console.model.identity import Identity
from mongo_dr_console.model.position import MAX_ORDINAL, Position
from mongo_dr_console.sandbox.kafka import LocalBroker
from mongo_dr_console.stream.chain import Link
from mongo_dr_console.stream.kafka_sink import KafkaSink
from mongo_dr_console.stream.kafka_source import KafkaSource

_SOURCE = Identity(environment="bench", set_name="bench", replica_set_id="0" * 24)
_SINGLE = 200


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--entries", type=int, default=200_000)
    words.add_argument("--codec", choices=("bson", "json"), default="bson")
    words.add_argument("--child", help=argparse.SUPPRESS)
    given = words.parse_args()
    if given.child:
        _child(**json.loads(given.child))
        return
    folder = Path(tempfile.mkdtemp(prefix="mdr-bench-"))
    broker = None
    try:
        broker = LocalBroker.launch(folder / "kafka")
        for work in ("warm", "write", "single", "read"):
            request = {
                "work": work,
                "bootstrap": broker.bootstrap,
                "codec": given.codec,
                "count": given.entries,
            }
            subprocess.run([sys.executable, __file__, "--child", json.dumps(request)], check=True)
    finally:
        if broker is not None:
            broker.kill()
        shutil.rmtree(folder, ignore_errors=True)


def _child(*, work: str, bootstrap: str, codec: str, count: int) -> None:
    topic = "warm" if work == "warm" else "bench"
    config = KafkaConfig.model_validate({"bootstrap": [bootstrap], "codec": codec, "topic": topic})
    if work == "read":
        _read(config)
    elif work == "single":
        _single(config)
    else:
        _write(config, min(count, 30_000) if work == "warm" else count, told=work != "warm")


def _batches(count: int) -> Iterator[bytes]:
    """As a tailable cursor gives them. Not measured: a server makes them."""
    entry = _entry(0, 1_700_000_000)
    print(f"{count:,} entries of {len(entry)} bytes", flush=True)
    for first in range(0, count, 5000):
        yield b"".join(_entry(n, 1_700_000_000) for n in range(first, min(first + 5000, count)))


def _entry(n: int, base: int) -> bytes:
    document = {"_id": n, "customer": n * 7 % 9999, "state": "paid", "total": n / 3, "note": "x" * 80}
    entry: dict[str, Any] = {
        "op": "i",
        "ns": f"shop.{'orders' if n % 3 else 'payments'}",
        "ui": bson.Binary(b"u" * 16, 4),
        "o": document,
        "o2": {"_id": n},
        "ts": Timestamp(base + n // 5000, n % 5000 + 1),
        "t": 1,
        "v": 2,
        "wall": datetime.fromtimestamp(base + n // 5000, UTC),
        "prevOpTime": {"ts": Timestamp(0, 0), "t": -1},
    }
    return bson.encode(entry)


def _opened(config: KafkaConfig) -> KafkaSink:
    sink = KafkaSink(config, _SOURCE)
    sink.begin(sink.open() or Link(Position(1, 1), 1, "0" * 64))
    return sink


def _write(config: KafkaConfig, count: int, *, told: bool) -> None:
    sink = _opened(config)
    seconds = processor = size = 0.0
    for batch in _batches(count):
        began, used = time.perf_counter(), time.process_time()
        sink.append(batch)
        seconds += time.perf_counter() - began
        processor += time.process_time() - used
        size += len(batch)
    began = time.perf_counter()
    sink.flush()
    seconds += time.perf_counter() - began
    sink.close()
    if told:
        print(
            f"write: {count / seconds:,.0f} entries/s, {size / seconds / 1e6:.0f} MB/s, "
            f"{count / processor:,.0f} entries per second of our own processor time, peak {_peak()} MB"
        )


def _single(config: KafkaConfig) -> None:
    sink = _opened(config)
    took = []
    for n in range(_SINGLE):
        began = time.perf_counter()
        sink.append(_entry(n, 1_800_000_000))
        sink.flush()
        took.append(time.perf_counter() - began)
    sink.close()
    took.sort()
    print(f"one entry, committed: median {took[_SINGLE // 2] * 1000:.1f} ms, p99 {took[-2] * 1000:.1f} ms")


def _read(config: KafkaConfig) -> None:
    source = KafkaSource(config)
    began = time.perf_counter()
    spans = source.windows()
    looked = time.perf_counter() - began
    began = time.perf_counter()
    batches = source.read(Position(0, 0), Position(MAX_ORDINAL, 0))
    count = sum(rawbson.count(batch) for batch in batches)
    seconds = time.perf_counter() - began
    print(
        f"windows: {looked * 1000:.0f} ms ({len(spans)}); read: {count / seconds:,.0f} entries/s, "
        f"peak {_peak()} MB"
    )


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


if __name__ == "__main__":
    main()
