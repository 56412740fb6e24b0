"""Dump, restore and replay against mongodump and mongorestore, in turns in one run.

    make bench                                            everything, on a single node and on three
    python bench/speed.py --nodes 1 --parts dump replay   some of it

mongodump and mongorestore are those of ``MDR_MONGO_TOOLS``, else of PATH; without them only our own times are
shown. Each of ours is a job in a process of its own, as a user's is: its time is from its first line in the
journal to its last, with everything that it checks, and beside it in brackets what its process took to start.
A ratio is between medians, and against the best flags that the tools have.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import data
import runs
from bson.raw_bson import RawBSONDocument
from runs import Place, Run, Tools

from mongo_dr_console.model import rawbson
from mongo_dr_console.mongo.launch import Options, ReplicaSet

PARTS = ("dump", "restore", "replay")
TARGETS = {"dump none": 1.0, "dump gzip": 2.5, "restore": 1.8, "replay": 45.0}
_MB = 1_000_000
_WORKERS = "--numInsertionWorkersPerCollection=4"
_RESTORE_FLAGS = {
    "mongorestore -j 4, 4 workers": ["-j=4", _WORKERS],
    "mongorestore -j 4, 4 workers, w:1": ["-j=4", _WORKERS, "--writeConcern={w:1}"],
}


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--nodes", type=int, nargs="+", default=[1, 3])
    words.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    words.add_argument("--documents", type=int, default=1_000_000)
    words.add_argument("--operations", type=int, default=300_000)
    words.add_argument(
        "--tool-operations",
        type=int,
        help="how many of them mongorestore replays, at some hundreds a second; all of them if not given",
    )
    words.add_argument("--rounds", type=int, default=3, help="the first one, to warm up, is not counted")
    given = words.parse_args()
    tools = Tools.find()
    if tools is None:
        print("no mongodump and mongorestore here (MDR_MONGO_TOOLS, PATH): not compared")
    for nodes in given.nodes:
        with _deployment(nodes) as bench:
            bench.tools, bench.rounds = tools, given.rounds
            bench.fill(given.documents)
            if "dump" in given.parts:
                _dump(bench)
            if {"restore", "replay"} & set(given.parts):
                snapshot = bench.snapshot()
                if "replay" in given.parts:
                    _replay(bench, snapshot, given.operations, given.tool_operations or given.operations)
                if "restore" in given.parts:
                    _restore(bench, snapshot)


@dataclass(slots=True)
class Bench:
    """One deployment, filled, and what was measured on it."""

    replica_set: ReplicaSet
    place: Place
    folder: Path
    tools: Tools | None = None
    rounds: int = 3
    documents: int = 0
    size: int = 0
    found: dict[str, list[float]] = field(default_factory=dict)

    def fill(self, documents: int) -> None:
        self.documents = documents
        self.size = data.fill(self.replica_set, documents)
        nodes = self.replica_set.options.nodes
        topology = "a single-node set" if nodes == 1 else f"a set of {nodes} members"
        print(
            f"\n{topology} on this machine ({os.cpu_count()} cores): {documents:,} documents in "
            f"{len(data.COLLECTIONS)} collections, {self.size / _MB:.0f} MB, two indexes each",
            flush=True,
        )

    def snapshot(self) -> str:
        return str(self.place.backup("none").result["snapshot"])

    def empty(self) -> None:
        with closing(self.replica_set.client()) as client:
            client.drop_database(data.DATABASE)

    def in_turns(self, ways: dict[str, Callable[[], float]], *, warm: bool = True) -> None:
        """Measures each of them once a round; the first round is not counted where it is there to warm up."""
        for number in range(self.rounds):
            for name, measure in ways.items():
                seconds = measure()
                if number or not warm or self.rounds == 1:
                    self.found.setdefault(name, []).append(seconds)

    def median(self, name: str) -> float:
        return statistics.median(self.found[name])

    def tell(self, names: list[str], amount: float, unit: str) -> None:
        for name in names:
            seconds = self.median(name)
            print(f"  {name:36}{seconds:8.2f} s {amount / seconds:10,.0f} {unit}/s", flush=True)

    def ratio(self, what: str, ours: str, theirs: list[str], *, target: bool = True) -> None:
        times = [(self.median(name), name) for name in theirs if name in self.found]
        if times:
            best, name = min(times)
            wanted = f" (wanted: {TARGETS[what]:g})" if target else ""
            print(f"  {what}: {best / self.median(ours):.2f} times as fast as {name}{wanted}", flush=True)


@contextmanager
def _deployment(nodes: int) -> Iterator[Bench]:
    folder = Path(tempfile.mkdtemp(prefix="mdr-bench-"))
    try:
        options = Options(nodes=nodes, auth=False, oplog_mb=6000, cache_gb=1)
        replica_set = ReplicaSet.launch(folder / "set", options)
        replica_set.wait_for_members()
        try:
            yield Bench(replica_set, Place.make(folder / "ours", replica_set), folder)
        finally:
            replica_set.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _dump(bench: Bench) -> None:
    ways: dict[str, Callable[[], float]] = {}
    starts: dict[str, float] = {}
    bytes_: dict[str, int] = {}

    def ours(compression: str) -> float:
        run = bench.place.backup(compression)
        snapshot = bench.place.store / str(run.result["snapshot"])
        bytes_[compression] = runs.stored(snapshot)
        shutil.rmtree(snapshot)
        starts[compression] = run.process - run.seconds
        return run.seconds

    def theirs(name: str, flags: list[str]) -> float:
        assert bench.tools is not None
        out = bench.folder / "mongodump"
        seconds = bench.tools.run_dump(bench.replica_set.uri, out, flags).seconds
        bytes_[name] = runs.stored(out)
        shutil.rmtree(out)
        return seconds

    for compression in ("none", "gzip", "zstd"):
        ways[f"mdr backup, {compression}"] = lambda c=compression: ours(c)  # type: ignore[misc]
    if bench.tools is not None:
        for name, flags in (("plain", []), ("gzip", ["--gzip"])):
            words = ["--numParallelCollections=4", *flags]
            ways[f"mongodump {' '.join(words)}"] = lambda n=name, w=words: theirs(n, w)  # type: ignore[misc]
    bench.in_turns(ways)
    bench.tell(list(ways), bench.size / _MB, "MB")
    print("  stored: " + ", ".join(f"{name} {size / _MB:.0f} MB" for name, size in bytes_.items()))
    print(f"  a job's process starts in {statistics.median(starts.values()):.2f} s more")
    plain = "mongodump --numParallelCollections=4"
    bench.ratio("dump none", "mdr backup, none", [plain])
    bench.ratio("dump gzip", "mdr backup, gzip", [f"{plain} --gzip"])


def _restore(bench: Bench, snapshot: str) -> None:
    end = _end_of(bench, snapshot)
    steps: list[Run] = []

    def ours() -> float:
        bench.empty()
        steps.append(bench.place.restore(snapshot, through=end))
        return steps[-1].seconds

    def theirs(flags: list[str]) -> float:
        assert bench.tools is not None
        bench.empty()
        log = bench.folder / "mongorestore.log"
        folder = bench.place.store / snapshot
        return bench.tools.run_restore(bench.replica_set.uri, folder, ["--oplogReplay", *flags], log).seconds

    ways: dict[str, Callable[[], float]] = {"mdr restore": ours}
    if bench.tools is not None:
        for name, flags in _RESTORE_FLAGS.items():
            ways[name] = lambda f=flags: theirs(f)  # type: ignore[misc]
    bench.in_turns(ways)
    bench.tell(list(ways), bench.documents, "documents")
    print("  of ours: " + ", ".join(f"{step} {seconds:.2f} s" for step, seconds in steps[-1].steps.items()))
    bench.ratio("restore", "mdr restore", list(_RESTORE_FLAGS))


def _replay(bench: Bench, snapshot: str, operations: int, tool_operations: int) -> None:
    data.work(bench.replica_set, bench.documents, operations)
    through = runs.position_now(bench.replica_set)
    dump = bench.folder / "dump"
    counted: dict[str, int] = {}
    if bench.tools is not None:
        counted["theirs"] = _dump_with_oplog(bench, snapshot, dump, tool_operations)

    def ours() -> float:
        bench.empty()
        run = bench.place.restore(snapshot, through=str(through))
        counted["ours"] = int(run.result["applied"])
        return run.steps["replay"] / counted["ours"] * operations

    def theirs() -> float:
        assert bench.tools is not None
        bench.empty()
        log = bench.folder / "mongorestore.log"
        flags = ["--oplogReplay", *_RESTORE_FLAGS["mongorestore -j 4, 4 workers, w:1"]]
        run = bench.tools.run_restore(bench.replica_set.uri, dump, flags, log)
        return run.steps["replay"] / counted["theirs"] * operations

    bench.in_turns({"replay by mdr restore": ours})
    if bench.tools is not None:
        rounds, bench.rounds = bench.rounds, 1
        bench.in_turns({"replay by mongorestore": theirs}, warm=False)
        bench.rounds = rounds
        if counted["theirs"] != operations:
            print(
                f"  mongorestore replayed {counted['theirs']:,} of {operations:,} operations; the rate counts"
            )
    bench.tell([n for n in bench.found if n.startswith("replay by")], operations, "operations")
    bench.ratio("replay", "replay by mdr restore", ["replay by mongorestore"])


def _end_of(bench: Bench, snapshot: str) -> str:
    from mongo_dr_console.stores.open import open_store
    from mongo_dr_console.stores.snapshot_reader import open_snapshot

    store = open_store("local", bench.place.profile.stores["local"])
    return str(open_snapshot(store, snapshot).manifest.window.end)


def _dump_with_oplog(bench: Bench, snapshot: str, dump: Path, most: int) -> int:
    """A folder for mongorestore: the snapshot's files and the oplog from its start on; returns how many
    operations that has."""
    source = bench.place.store / snapshot
    shutil.copytree(source, dump, copy_function=os.link)
    (dump / "manifest.json").unlink()
    (dump / "oplog.bson").unlink()
    first = next(rawbson.documents(iter([(source / "oplog.bson").read_bytes()])))
    count = 0
    with closing(bench.replica_set.client()) as client, (dump / "oplog.bson").open("wb") as file:
        oplog = client.local.get_collection("oplog.rs", codec_options=rawbson.RAW)
        start = RawBSONDocument(first, rawbson.RAW)["ts"]
        ours = {"ns": {"$regex": f"^{data.DATABASE}[.]"}, "op": {"$in": ["i", "u", "d"]}}
        query = {"ts": {"$gte": start}, **ours}
        for entry in oplog.find(query).limit(most):
            file.write(entry.raw)
            count += 1
    return count


if __name__ == "__main__":
    sys.exit(main())
