"""How fast a store of 2,000 snapshots and 100,000 segments is listed, with and without what was read before.

    python bench/catalogue.py                                  a local store in a temporary folder
    python bench/catalogue.py --minio                          a MinIO of its own
    python bench/catalogue.py --profile prod --store s3        a store of a profile, which is filled first
                                                               (an empty one: nothing there is touched)

Each look is a process of its own, so that its time and its memory are its own.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import Any

import bson
from bson import Int64, Timestamp

from mongo_dr_console import config as configuration
from mongo_dr_console.cli.main import spare_the_collector
from mongo_dr_console.config import LocalStoreConfig
from mongo_dr_console.model.identity import Identity
from mongo_dr_console.model.link import Link
from mongo_dr_console.model.manifest import SNAPSHOT_NAME_FORMAT, CollectionEntry, FileEntry, Manifest, Window
from mongo_dr_console.model.position import Position
from mongo_dr_console.sandbox.minio import REGION, LocalMinio
from mongo_dr_console.stores import ledger
from mongo_dr_console.stores.open import open_store
from mongo_dr_console.stores.store import Store

HERE = Identity(environment="bench", set_name="rs0", replica_set_id="0" * 24)
SEGMENT_SECONDS = 30
COLLECTIONS = 12
_WRITERS = 16
_PARCEL = 10_000


def main() -> None:
    options = read_options()
    if options.look:
        print(json.dumps(LOOKS[options.look](options)))
        return
    with place(options) as (store, words):
        if options.minio:
            with Parcels() as parcels:
                fill(parcels, options.snapshots, options.segments)
        else:
            fill(store, options.snapshots, options.segments)
        print(f"{store.describe()}: {options.snapshots:,} snapshots, {options.segments:,} segments")
        looks = {"snapshots, first time": "snapshots"}
        if not options.path:
            looks |= {"a job writes the index": "index", "snapshots, by the index": "indexed"}
        looks |= {"snapshots, again": "snapshots", "segments by name": "names"}
        looks["how segments join"] = "joins"
        if options.path:
            looks["what a prune would do"] = "prune"
        for label, look in looks.items():
            tell(label, words, look)


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--snapshots", type=int, default=2000)
    parser.add_argument("--segments", type=int, default=100_000)
    parser.add_argument("--profile", help="of the config file; with --store")
    parser.add_argument("--store", help="a store of the profile")
    parser.add_argument("--minio", action="store_true", help="start a MinIO and use a bucket of it")
    parser.add_argument("--path", help=argparse.SUPPRESS)
    parser.add_argument("--cache", help=argparse.SUPPRESS)
    parser.add_argument("--look", choices=sorted(LOOKS), help=argparse.SUPPRESS)
    return parser.parse_args()


def store_of(options: argparse.Namespace) -> Store:
    if options.path:
        return open_store("bench", LocalStoreConfig(type="local", path=Path(options.path)))
    return open_store(options.store, read_store(options.profile, options.store))


def read_store(profile: str, store: str) -> Any:
    return configuration.load_config(configuration.config_path()).profiles[profile].stores[store]


@contextmanager
def place(options: argparse.Namespace) -> Iterator[tuple[Store, list[str]]]:
    """The store, and how a look in a process of its own is told of it."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder, ExitStack() as stack:
        if options.minio:
            stack.enter_context(minio_in(Path(folder)))
            options.profile, options.store = "bench", "s3"
        words = ["--cache", f"{folder}/cache"]
        if options.profile:
            words += ["--profile", options.profile, "--store", options.store]
        else:
            options.path = f"{folder}/store"
            Path(options.path).mkdir()
            words += ["--path", options.path]
        store = store_of(options)
        if store.folders():
            raise SystemExit(f"{store.describe()} is not empty: nothing was written")
        yield store, words


@contextmanager
def minio_in(folder: Path) -> Iterator[None]:
    """A MinIO with one bucket, and a config file that names it."""
    from boto3.session import Session

    minio = LocalMinio.launch(folder / "minio")
    try:
        os.environ |= {
            "MDR_CONFIG": str(folder / "config.toml"),
            "AWS_ACCESS_KEY_ID": minio.user,
            "AWS_SECRET_ACCESS_KEY": minio.password,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        (folder / "config.toml").write_text(
            "[profiles.bench]\nuri = 'mongodb://127.0.0.1:1/'\n[profiles.bench.stores.s3]\ntype = 's3'\n"
            f"bucket = 'bench'\nprefix = 'mongodb'\nendpoint = '{minio.endpoint}'\nregion = '{REGION}'\n"
        )
        Session(region_name=REGION).client("s3", endpoint_url=minio.endpoint).create_bucket(Bucket="bench")
        yield
    finally:
        minio.kill()


def tell(label: str, words: list[str], look: str) -> None:
    command = [sys.executable, __file__, *words, "--look", look]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    print(f"  {label:<24} {found['seconds']:7.2f} s  {found['mib']:5.0f} MiB  {found['count']:,}", flush=True)


# What is looked at


def measured(work: Callable[[], int]) -> dict[str, Any]:
    spare_the_collector()
    begun = time.perf_counter()
    count = work()
    seconds = round(time.perf_counter() - begun, 3)
    # Not getrusage: it counts what the process was made from, too.
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line)
    return {"seconds": seconds, "mib": int(peak.split()[1]) / 1024, "count": count}


def look_at_snapshots(options: argparse.Namespace) -> dict[str, Any]:
    """As ``mdr snapshots list`` does."""
    from mongo_dr_console.model.catalogue import rows
    from mongo_dr_console.stores.catalogue import list_all

    store, now = store_of(options), datetime.now(UTC)

    def work() -> int:
        entries, troubles = list_all({store.name: store}, Path(options.cache), whole=False)
        assert not troubles, troubles
        return len([row.to_json(now) for row in rows(entries)])

    return measured(work)


def look_at_snapshots_anew(options: argparse.Namespace) -> dict[str, Any]:
    """As on a host that knows nothing."""
    options.cache += "-new"
    return look_at_snapshots(options)


def write_index(options: argparse.Namespace) -> dict[str, Any]:
    """As a job does that wrote a snapshot there."""
    from mongo_dr_console.stores.catalogue import list_snapshots
    from mongo_dr_console.stores.catalogue_index import publish
    from mongo_dr_console.stores.remembered import Remembered

    store = store_of(options)

    def work() -> int:
        known = Remembered.of(store, Path(options.cache))
        list_snapshots(store, known, whole=False)
        return int(publish(store, known))

    return measured(work)


def look_at_names(options: argparse.Namespace) -> dict[str, Any]:
    """Where each segment begins and ends."""
    from mongo_dr_console.model.segment import FOLDER, SegmentName

    store = store_of(options)
    return measured(lambda: sum(SegmentName.parse(o.path) is not None for o in store.list(f"{FOLDER}/")))


def look_at_joins(options: argparse.Namespace) -> dict[str, Any]:
    """As a prune and coverage must know it: by names, and by some of the headers."""
    from mongo_dr_console.stream.segment_archive import SegmentArchive

    archive = SegmentArchive(store_of(options))
    return measured(lambda: sum(len(run.segments) for run in archive.runs()[0]))


def look_at_prune(options: argparse.Namespace) -> dict[str, Any]:
    """All that a prune looks at before it removes anything. The deployment is gone, which takes 3 s."""
    from mongo_dr_console.config import Profile
    from mongo_dr_console.workers.prune_look import look

    words = {"uri": "mongodb://127.0.0.1:1/?replicaSet=rs0", "environment": HERE.environment}
    stores = {"bench": {"type": "local", "path": options.path}}
    profile = Profile.model_validate({**words, "stores": stores, "state_dir": options.cache})
    return measured(lambda: len(look(profile).decisions))


LOOKS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "snapshots": look_at_snapshots,
    "index": write_index,
    "indexed": look_at_snapshots_anew,
    "names": look_at_names,
    "joins": look_at_joins,
    "prune": look_at_prune,
}


# What there is


class Parcels:
    """What is written goes to MinIO in tar files, which it unpacks: minutes faster than one by one."""

    def __init__(self) -> None:
        self._guard = Lock()
        self._begin()

    def _begin(self) -> None:
        self._data, self._count = io.BytesIO(), 0
        self._tar = tarfile.TarFile(fileobj=self._data, mode="w")

    def write(self, path: str, chunks: Iterable[bytes]) -> None:
        data = b"".join(chunks)
        entry = tarfile.TarInfo(f"mongodb/{path}")
        entry.size, entry.mtime = len(data), int(time.time())
        with self._guard:
            self._tar.addfile(entry, io.BytesIO(data))
            self._count += 1
            if self._count >= _PARCEL:
                self._send()

    def write_if_absent(self, path: str, chunks: Iterable[bytes]) -> bool:
        self.write(path, chunks)
        return True

    def _send(self) -> None:
        from boto3.session import Session
        from botocore.config import Config

        self._tar.close()
        endpoint = read_store("bench", "s3").endpoint
        patient = Config(read_timeout=600)
        client = Session(region_name=REGION).client("s3", endpoint_url=endpoint, config=patient)
        unpack = {"snowball-auto-extract": "true"}
        client.put_object(Bucket="bench", Key="parcel.tar", Body=self._data.getvalue(), Metadata=unpack)
        self._begin()

    def __enter__(self) -> Parcels:
        return self

    def __exit__(self, *_: object) -> None:
        self._send()


def fill(store: Any, snapshots: int, segments: int) -> None:
    """Snapshots at even distances, each verified and in the ledger, and one unbroken stream."""
    end = int(datetime.now(UTC).timestamp())
    with ThreadPoolExecutor(_WRITERS) as pool:
        step = max(1, segments * SEGMENT_SECONDS // max(1, snapshots))
        list(pool.map(lambda n: put_snapshot(store, end - n * step), range(snapshots)))
        list(pool.map(lambda n: put_segment(store, end - (segments - n) * SEGMENT_SECONDS), range(segments)))


def put_snapshot(store: Any, t: int) -> None:
    moment = datetime.fromtimestamp(t, UTC)
    name = moment.strftime(SNAPSHOT_NAME_FORMAT)
    digest = hashlib.sha256(name.encode()).hexdigest()
    names = [f"shop/collection{n}" for n in range(COLLECTIONS)]
    files = [
        FileEntry(path=f"{n}{end}", size=9, sha256=digest)
        for n in names
        for end in (".bson.gz", ".metadata.json.gz")
    ]
    manifest = Manifest(
        name=name,
        identity=HERE,
        engine="builtin",
        server_version="6.0.5",
        tool_version="1",
        compression="gzip",
        window=Window(
            start=Position(t - 60, 1), end=Position(t, 1), end_term=1, end_hash=digest, operations=9
        ),
        started_at=moment - timedelta(seconds=60),
        finished_at=moment,
        documents=t,
        bytes=t * 100,
        stored_bytes=9 * len(files),
        files=files,
        collections=[
            CollectionEntry(
                database="shop",
                name=n.partition("/")[2],
                kind="collection",
                uuid=digest[:32],
                documents=t,
                bytes=t * 9,
                options={},
                indexes=[{"v": {"$numberInt": "2"}, "key": {"_id": {"$numberInt": "1"}}, "name": "_id_"}],
                data_path=f"{n}.bson.gz",
                metadata_path=f"{n}.metadata.json.gz",
            )
            for n in names
        ],
    ).sealed()
    for file in files:
        store.write(f"{name}/{file.path}", [b"not looked"])
    store.write(f"{name}/manifest.json", [manifest.to_text().encode()])
    verified = {
        "snapshot": name,
        "checksum": manifest.checksum,
        "level": 3,
        "good": True,
        "at": moment.isoformat(),
    }
    ledger.append(store, "verifications", {"schema": "mdr.verification", **verified})


def entry_at(t: int) -> bytes:
    return bson.encode(
        {"op": "n", "ns": "", "o": {"msg": "x"}, "ts": Timestamp(t, 1), "t": Int64(1), "v": Int64(2)}
    )


def put_segment(store: Any, t: int) -> None:
    from mongo_dr_console.stream.segment_file import SegmentBuilder

    last = entry_at(t + SEGMENT_SECONDS)
    builder = SegmentBuilder(HERE, Link.of(entry_at(t)))
    builder.add(last, Link.of(last), 1)
    header, pieces = builder.finish()
    store.write(header.name.path, pieces)


if __name__ == "__main__":
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    main()
