"""Real replica sets, profiles and folders for tests.

- ``replica_set``: one set with auth for the whole session, of one member: with three, half of a run would go
  into copying. Leave it as you found it: use databases of your own (``database_name``).
- ``three_members``: the same with three members, for what members are to each other. Do not kill any.
- ``make_replica_set(nodes=, auth=, oplog_mb=, users=, parameters=)``: a set of your own, to break; it is gone
  after the test. Once all members were down, use a new client: the server refuses the cluster time of an
  older one for a moment (211).
- ``kafka``: one broker for the session (each process of xdist has its own: keep its tests in few files);
  use topics of your own.
- ``minio``: one MinIO for the session (each process of xdist has its own), with a bucket; use prefixes of
  your own.
- ``database_name``: a name that no other test uses; dropped from ``replica_set`` afterwards.
- ``state_dir``: ``MDR_STATE_DIR`` and ``MDR_CONFIG`` point into ``tmp_path``.
- ``profile_for(replica_set)``: a config file with one profile, ``test``, for a set: a local store, access
  restore.

All members end with pytest, also by kill -9 (Linux); folders of a killed run are removed by the next one.
"""

from __future__ import annotations

import fcntl
import gc
import os
import shutil
import signal
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
from hypothesis import HealthCheck, settings
from support.kafka import Kafka
from support.kafka import launch as launch_kafka
from support.minio import Minio
from support.minio import launch as launch_minio
from support.prepared import PreparedProfile, prepare

from mongo_dr_console.model.trouble import Trouble
from mongo_dr_console.mongo import processes
from mongo_dr_console.mongo.launch import Options, ReplicaSet, User
from mongo_dr_console.mongo.mongod import find_mongod

# Property tests are judged by what they find, not by how fast a busy machine is.
settings.register_profile("mdr", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("mdr")

_SLOW_UNTIL = 0.8
"""The part of the other files among which the slow ones are."""

MakeReplicaSet = Callable[..., ReplicaSet]


ProfileFor = Callable[[ReplicaSet], PreparedProfile]


def pytest_configure() -> None:
    """Signals as a terminal's shell leaves them: started with ``nohup`` or ``&``, pytest ignores some, and
    all that tests start would too. A small shop for the practice deployment: most of its time is the filling.
    """
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:
            default = signal.default_int_handler if number is signal.SIGINT else signal.SIG_DFL
            signal.signal(number, default)
    os.environ.setdefault("MDR_SHOP_DIVISOR", "5")


def pytest_collection_finish() -> None:
    """What was loaded stays: to go through all of it again and again would take a sixth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests spread among the others, all in an order without a meaning, which is always the
    same: side by side with their like, those that start many servers would wait for a processor most of the
    time; alone at the end they would make the run longer.
    """
    files: dict[Path, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.path, []).append(item)
    mixed = sorted(files, key=lambda file: crc32(file.name.encode()))
    slow = [f for f in mixed if any(test.get_closest_marker("slow") for test in files[f])]
    others = [f for f in mixed if f not in slow]
    place = {file: float(number) for number, file in enumerate(others)}
    place |= {file: number * _SLOW_UNTIL * len(others) / len(slow) for number, file in enumerate(slow)}
    items.sort(key=lambda item: (place[item.path], item.path))


@pytest.fixture(scope="session")
def mongod() -> Path:
    """A mongod that runs here; without one the test is skipped, and fails where ``CI`` is set."""
    try:
        return find_mongod()
    except Trouble as trouble:
        if os.environ.get("CI"):
            pytest.fail(str(trouble), pytrace=False)
        pytest.skip(str(trouble))


@pytest.fixture(scope="session")
def sets_folder() -> Iterator[Path]:
    """Where this session's sets lie. Held by a lock, so that the next run knows which are left over."""
    base = Path(tempfile.gettempdir(), f"mdr-tests-{os.getuid()}")
    base.mkdir(mode=0o700, exist_ok=True)
    # One at a time: what another worker has made and not yet locked is not left over.
    with (base.parent / f"{base.name}.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        for old in base.iterdir():
            _remove_if_left_over(old)
        folder = base / uuid.uuid4().hex[:12]
        folder.mkdir()
        descriptor = _lock(folder)
    assert descriptor is not None
    try:
        yield folder
    finally:
        _clear(folder)
        os.close(descriptor)


@pytest.fixture(scope="session")
def replica_set(mongod: Path, sets_folder: Path) -> Iterator[ReplicaSet]:
    yield from _shared(sets_folder / "shared", 1)


@pytest.fixture(scope="session")
def three_members(mongod: Path, sets_folder: Path) -> Iterator[ReplicaSet]:
    yield from _shared(sets_folder / "three", 3)


def _shared(folder: Path, nodes: int) -> Iterator[ReplicaSet]:
    # An application's user: the tool's own, root, passes a write block, and an application does not.
    app = User.new("app", ["readWriteAnyDatabase", "dbAdminAnyDatabase"])
    # The server's own session keeper makes an index every few minutes: tests count who writes.
    quiet = {"disableLogicalSessionCacheRefresh": "true"}
    # Whatever looks for something in the oplog would look through what all tests before have written, too.
    options = Options(nodes=nodes, set_name="shared", users=(app,), cache_gb=1, oplog_mb=80, parameters=quiet)
    replica_set = ReplicaSet.launch(folder, options)
    replica_set.wait_for_members()
    _keep_primary(replica_set)
    yield replica_set
    replica_set.close()


def _keep_primary(replica_set: ReplicaSet) -> None:
    """Sets that are to be broken elect within seconds; in this one a primary that had no processor for two of
    them must not lose its place."""
    with closing(replica_set.client()) as client:
        config = client.admin.command("replSetGetConfig")["config"]
        config["version"] += 1
        config["settings"]["electionTimeoutMillis"] = 30_000
        client.admin.command("replSetReconfig", config)


@pytest.fixture(scope="session")
def kafka(sets_folder: Path) -> Iterator[Kafka]:
    """A real broker; without Java and Maven the test is skipped, and fails where ``CI`` is set."""
    try:
        started = launch_kafka(sets_folder / "kafka")
    except Trouble as trouble:
        if os.environ.get("CI"):
            pytest.fail(str(trouble), pytrace=False)
        pytest.skip(str(trouble))
    yield started
    started.broker.kill()


@pytest.fixture(scope="session")
def minio(sets_folder: Path) -> Iterator[Minio]:
    """A real MinIO; without Go the test is skipped, and fails where ``CI`` is set."""
    try:
        started = launch_minio(sets_folder / "minio")
    except Trouble as trouble:
        if os.environ.get("CI"):
            pytest.fail(str(trouble), pytrace=False)
        pytest.skip(str(trouble))
    yield started
    started.server.kill()


@pytest.fixture
def make_replica_set(mongod: Path, sets_folder: Path) -> Iterator[MakeReplicaSet]:
    made: list[ReplicaSet] = []

    def make(**options: Any) -> ReplicaSet:
        folder = sets_folder / uuid.uuid4().hex[:8]
        replica_set = ReplicaSet.launch(folder, Options(**{"set_name": "own", **options}))
        made.append(replica_set)
        return replica_set

    yield make
    for replica_set in made:
        replica_set.close()


@pytest.fixture
def database_name(request: pytest.FixtureRequest) -> Iterator[str]:
    name = f"t_{uuid.uuid4().hex[:10]}"
    yield name
    if "replica_set" in request.fixturenames:
        with closing(request.getfixturevalue("replica_set").client()) as client:
            client.drop_database(name)


@pytest.fixture
def state_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "state"
    folder.mkdir()
    monkeypatch.setenv("MDR_STATE_DIR", str(folder))
    monkeypatch.setenv("MDR_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.delenv("MDR_PROFILE", raising=False)
    return folder


@pytest.fixture
def profile_for(tmp_path: Path, state_dir: Path) -> ProfileFor:
    return lambda replica_set: prepare(tmp_path, replica_set.uri, state_dir)


def _lock(folder: Path) -> int | None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _remove_if_left_over(folder: Path) -> None:
    descriptor = _lock(folder)
    if descriptor is not None:
        _clear(folder)
        os.close(descriptor)


def _clear(folder: Path) -> None:
    processes.end(lambda: processes.below(folder))
    shutil.rmtree(folder, ignore_errors=True)
