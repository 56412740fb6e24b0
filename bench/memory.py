"""Peak memory of dump and restore as the data grows, with documents of 10 MB in it.

    make bench-memory                   0.1 and 0.4 GB
    make bench-memory SIZES="0.5 5"     the sizes for which it is promised to be the same

A third of the bytes lie in documents of 10 MB, the rest in small ones. A restore replays another twentieth of
the data, of the same kind, that was written after the backup. The peak is the one that the kernel counts for
the job's process (VmHWM). Where it grows by more than a tenth from the smallest to the largest size, or goes
beyond 256 MB, this ends with 1.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import data
from runs import Place, Run, position_now

from mongo_dr_console.mongo.launch import Options, ReplicaSet

MOST = 256_000_000
TENTH = 1.1
LATER = 1 / 20
"""Of the data, written after the backup."""
_MB = 1_000_000


def main() -> int:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("sizes", type=float, nargs="*", default=[0.1, 0.4], metavar="GB")
    words.add_argument("--compressions", nargs="+", default=["gzip", "none", "zstd"])
    words.add_argument("--no-restore", action="store_true", help="dumps alone")
    given = words.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="mdr-bench-"))
    try:
        replica_set = ReplicaSet.launch(
            folder / "set", Options(nodes=1, auth=False, oplog_mb=990, cache_gb=1)
        )
        try:
            place = Place.make(folder / "ours", replica_set)
            peaks = _measure(
                replica_set, place, sorted(given.sizes), given.compressions, not given.no_restore
            )
        finally:
            replica_set.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return _judge(peaks)


def _measure(
    replica_set: ReplicaSet, place: Place, sizes: list[float], compressions: list[str], restores: bool
) -> dict[str, list[int]]:
    peaks: dict[str, list[int]] = {}
    have = 0
    for size in sizes:
        have = data.fill_big(replica_set, have, round(size * 1e9))
        print(f"{have / 1e9:.2f} GB in {len(data.COLLECTIONS)} collections", flush=True)
        for compression in compressions:
            runs = {"dump": place.backup(compression)}
            snapshot = str(runs["dump"].result["snapshot"])
            if restores:
                runs["restore"] = _restored(replica_set, place, snapshot, round(size * 1e9 * LATER))
            shutil.rmtree(place.store / snapshot)
            for what, run in runs.items():
                peaks.setdefault(f"{what}, {compression}", []).append(run.peak)
                print(f"  {what}, {compression}: {run.peak / _MB:.0f} MB in {run.seconds:.1f} s", flush=True)
    return peaks


def _restored(replica_set: ReplicaSet, place: Place, snapshot: str, later: int) -> Run:
    """The snapshot, and what was written after it, put back after all was dropped."""
    data.fill_big(replica_set, 0, later, data.LATER)
    through = position_now(replica_set)
    with closing(replica_set.client()) as client:
        client.drop_database(data.DATABASE)
        client.drop_database(data.LATER)
        run = place.restore(snapshot, f"{through.t}:{through.i}")
        client.drop_database(data.LATER)
    return run


def _judge(peaks: dict[str, list[int]]) -> int:
    failed = 0
    for what, found in peaks.items():
        growth = found[-1] / found[0]
        wrong = growth > TENTH or max(found) > MOST
        failed |= wrong
        print(
            f"{what}: {growth:.2f} times the peak of the smallest, at most {max(found) / _MB:.0f} MB"
            + (" - TOO MUCH" if wrong else "")
        )
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
