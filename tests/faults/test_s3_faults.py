"""A snapshot on its way into a real MinIO, or out of it, and everything that can go wrong: it is complete and
verified, or it is not offered, and the next run goes on or clears up.

``MDR_S3_KILLS`` says how often writer and service are killed at random points, ``MDR_S3_SEED`` which.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import dumping
import pytest
from support import snapshots
from support.minio import SMALL_PART, STEADY, Minio, killed_copier
from support.minio import launch as launch_minio
from support.s3proxy import (
    Answer,
    CutAnswer,
    CutRequest,
    Fault,
    LoseAnswer,
    Proxy,
    Request,
    Silence,
    Slow,
    proxy,
)

from mongo_dr_console.config import S3StoreConfig
from mongo_dr_console.model.trouble import Failed, Interrupted, Refused, Trouble, Unreachable
from mongo_dr_console.stores import s3_upload
from mongo_dr_console.stores.begin import begin_snapshot
from mongo_dr_console.stores.catalogue import list_snapshots
from mongo_dr_console.stores.copying import copy_snapshot
from mongo_dr_console.stores.local import LocalStore
from mongo_dr_console.stores.patience import Patience
from mongo_dr_console.stores.s3 import S3Store
from mongo_dr_console.stores.s3_snapshot import remove_dead
from mongo_dr_console.stores.store import Store
from mongo_dr_console.stores.verification import verify

pytestmark = pytest.mark.slow

NAME = snapshots.NAME
KILLS = int(os.environ.get("MDR_S3_KILLS", "4"))
SEED = int(os.environ.get("MDR_S3_SEED", "0"))
IMPATIENT = Patience(connect_seconds=10, read_seconds=2, total_seconds=0.4)
"""For what is said to fail again and again; what is answered at all is waited for."""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> LocalStore:
    """A local store with one snapshot, whose data has two parts."""
    store = LocalStore("local", tmp_path_factory.mktemp("source"))
    snapshots.write_snapshot(store, snapshots.rows(SMALL_PART + 300_000), compression="none")
    return store


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """As small as S3 takes them."""
    monkeypatch.setattr(s3_upload, "PART_BYTES", SMALL_PART)


@pytest.fixture
def way(minio: Minio) -> Iterator[Proxy]:
    with proxy(minio.server.endpoint) as running:
        yield running


@pytest.fixture
def config(minio: Minio, way: Proxy) -> S3StoreConfig:
    """By way of the proxy."""
    return minio.config(endpoint=way.endpoint)


def behind(minio: Minio, config: S3StoreConfig) -> S3Store:
    """The same place, asked directly."""
    return S3Store("s3", config.model_copy(update={"endpoint": minio.server.endpoint}), STEADY)


def copy(source: Store, target: Store) -> None:
    copy_snapshot(source, NAME, target, dumping.Recorder(), dumping.Free())


def is_whole(store: S3Store) -> bool:
    """Whether the snapshot is offered; then it must be verified throughout."""
    entries = list_snapshots(store)
    if not entries:
        assert store.folders() == () and list(store.list()) == []
        return False
    (entry,) = entries
    assert entry.problem is None
    result = verify(store, entry.name, 3, dumping.Recorder(), dumping.Free())
    assert result.good, result.problems
    return True


def is_clean(minio: Minio, store: S3Store) -> bool:
    """Nothing is left but the snapshot and the ledger."""
    left = [k for k in minio.keys(store) if not k.startswith((f"{NAME}/", "ledger/"))]
    return left == [] and minio.uploads(store) == 0


def clear_and_copy(minio: Minio, source: Store, store: S3Store) -> None:
    """What the next run does; afterwards there is this snapshot and nothing else."""
    copy(source, store)
    assert is_whole(store) and is_clean(minio, store)
    wanted = {o.path for o in source.list(f"{NAME}/")}
    assert {k for k in minio.keys(store) if k.startswith(NAME)} == wanted


@pytest.mark.parametrize("seed", range(6))
def test_what_passes_is_passed(
    minio: Minio, way: Proxy, config: S3StoreConfig, source: LocalStore, seed: int
) -> None:
    chosen = random.Random(seed)
    given: list[Fault] = []

    def rule(request: Request) -> Fault | None:
        if chosen.random() > 0.3:
            return None
        kinds = (
            Answer(503, "SlowDown"),
            Answer(500, "InternalError"),
            CutRequest(),
            LoseAnswer(),
            Answer(400, "BadDigest"),
            CutAnswer(chosen.randrange(200)),
            Slow(chosen.random() / 5),
        )
        given.append(chosen.choice(kinds))
        return given[-1]

    way.rule = rule
    copy(source, S3Store("s3", config, STEADY))
    verify(S3Store("s3", config, STEADY), NAME, 2, dumping.Recorder(), dumping.Free())
    assert given
    assert is_whole(behind(minio, config)) and is_clean(minio, behind(minio, config))


LASTING: dict[str, tuple[Fault, str, type[Trouble]]] = {
    "403 after half": (Answer(403, "AccessDenied"), "store-forbidden", Refused),
    "expired": (Answer(400, "ExpiredToken"), "store-credentials", Refused),
    "clock": (Answer(403, "RequestTimeTooSkewed"), "store-clock", Refused),
    "bucket gone": (Answer(404, "NoSuchBucket"), "store-missing", Unreachable),
    "503": (Answer(503, "SlowDown"), "store-unreachable", Unreachable),
    "full": (Answer(507, "XMinioStorageFull"), "store-full", Failed),
    "no key": (Answer(400, "KMS.NotFoundException"), "store-encryption", Failed),
    "cut": (CutRequest(), "store-unreachable", Unreachable),
    "silent": (Silence(), "store-unreachable", Unreachable),
}


@pytest.mark.parametrize("case", LASTING)
def test_what_does_not_pass_is_told_and_leaves_nothing_offered(
    minio: Minio, way: Proxy, config: S3StoreConfig, source: LocalStore, case: str
) -> None:
    fault, code, kind = LASTING[case]
    begun = False

    def rule(request: Request) -> Fault | None:
        nonlocal begun
        begun = begun or request.is_part
        return fault if begun else None

    way.rule = rule
    with pytest.raises(kind) as caught:
        copy(source, S3Store("s3", config, IMPATIENT))
    assert caught.value.code == code
    store = behind(minio, config)
    assert not is_whole(store)
    assert minio.keys(store), "there was something to clear up"
    clear_and_copy(minio, source, store)


def test_wherever_a_writer_dies_it_is_whole_or_not_offered(
    minio: Minio, way: Proxy, config: S3StoreConfig, source: LocalStore
) -> None:
    """From one request on nothing of it arrives any more: as if it had been killed there."""
    copy(source, S3Store("s3", config, STEADY))
    requests = len(way.seen)
    outcomes = []
    for last in range(2, requests + 1):
        place = config.model_copy(update={"prefix": f"{config.prefix}-{last}"})
        first = len(way.seen)
        way.rule = lambda r, stop=first + last: Answer(403, "AccessDenied") if r.number >= stop else None
        with suppress(Trouble):
            copy(source, S3Store("s3", place, STEADY))
        store = behind(minio, place)
        outcomes.append(is_whole(store))
        if not outcomes[-1] and last % 3:
            assert remove_dead(store) in ([], [NAME]) and minio.keys(store) == []
        elif not outcomes[-1]:
            clear_and_copy(minio, source, store)
        assert minio.uploads(store) == 0
    assert outcomes == sorted(outcomes), "once it is whole, it stays"
    assert not outcomes[0] and outcomes[-1]
    assert requests > 15


@pytest.mark.parametrize("seed", range(SEED, SEED + KILLS))
def test_a_killed_process_leaves_what_the_next_one_removes(
    minio: Minio, way: Proxy, config: S3StoreConfig, source: LocalStore, seed: int
) -> None:
    at = random.Random(seed).randrange(3, 18)
    process = killed_copier(config, source.root, NAME)

    def kill(request: Request) -> None:
        if request.number == at:
            process.send_signal(signal.SIGKILL)

    way.on_request = kill
    out, _ = process.communicate()
    assert process.returncode == -signal.SIGKILL and "done" not in out
    store = behind(minio, config)
    if not is_whole(store):
        clear_and_copy(minio, source, store)


def test_the_service_is_killed_in_the_middle(source: LocalStore, tmp_path: Path) -> None:
    own = launch_minio(tmp_path / "minio")
    chosen = random.Random(SEED + 3)
    more = [(chosen.random() < 0.5, chosen.randrange(3, 18)) for _ in range(KILLS - 4)]
    try:
        # The eleventh request and the next are in the middle of the large file.
        for comes_back, at in ((True, chosen.randrange(3, 16)), (False, 11), (True, 12), (False, 12), *more):
            with proxy(own.server.endpoint) as way:
                config = own.config(endpoint=way.endpoint)

                died_at: list[Request] = []

                def kill(
                    request: Request,
                    at: int = at,
                    comes_back: bool = comes_back,
                    died_at: list[Request] = died_at,
                ) -> None:
                    if request.number == at:
                        died_at.append(request)
                        own.server.kill()
                        if comes_back:
                            own.server.start()

                way.on_request = kill
                try:
                    copy(source, S3Store("s3", config, STEADY if comes_back else IMPATIENT))
                except Unreachable:
                    assert not comes_back
                if not own.server.alive:
                    own.server.start()
            store = behind(own, config)
            if not is_whole(store):
                assert not comes_back
                clear_and_copy(own, source, store)
            parts = own.server.folder / "data" / ".minio.sys" / "multipart"
            if not comes_back and any(f"/.writing/{NAME}/" in r.path for r in died_at):
                # Before the upload was on record. A service that was restarted lists no uploads: this one is
                # found by nobody, and MinIO ends it after a day.
                for upload in parts.glob("*/*"):
                    shutil.rmtree(upload)
            assert list(parts.glob("*/*")) == [], "all others are on record"
    finally:
        own.server.kill()


class StopAfter:
    """Stops a copy once so many parts arrived."""

    def __init__(self, way: Proxy, parts: int) -> None:
        self.way, self.parts = way, parts

    def check(self) -> None:
        if sum(r.is_part for r in self.way.seen) >= self.parts:
            raise Interrupted("stopped", "Stopped.")


def test_a_stopped_copy_goes_on_by_file_and_by_part(
    minio: Minio, way: Proxy, config: S3StoreConfig, tmp_path: Path
) -> None:
    source = LocalStore("local", tmp_path)
    with begin_snapshot(source, NAME) as writer:
        files = [writer.put(f"shop/{n}.bson", bytes([n]) * 1000) for n in range(4)]
        files.append(writer.put("shop/large.bson", random.Random(1).randbytes(SMALL_PART * 6 + 9)))
        like = snapshots.write_snapshot(LocalStore("like", tmp_path / "like"), snapshots.rows(100))
        writer.finish(like.model_copy(update={"files": files, "collections": []}).sealed())
    target = S3Store("s3", config, STEADY)
    with pytest.raises(Interrupted):
        copy_snapshot(source, NAME, target, dumping.Recorder(), StopAfter(way, 3))
    assert list_snapshots(target) == [] and target.folders() == ()
    first = [r.path for r in way.seen if r.is_part]
    assert 3 <= len(first) < 7
    way.seen.clear()
    copy(source, target)
    second = [r.path for r in way.seen if r.is_part]
    assert len(first) + len(second) == 7 and not set(first) & set(second)
    assert not any(
        r.method == "PUT" and f"{NAME}/shop/{n}.bson" in r.path for r in way.seen for n in range(4)
    )
    store = behind(minio, config)
    assert verify(store, NAME, 2, dumping.Recorder(), dumping.Free()).good and is_clean(minio, store)


def test_an_object_of_another_content_is_copied_again(
    minio: Minio, way: Proxy, config: S3StoreConfig, source: LocalStore
) -> None:
    """Of the right size, left under the name of a dead copy's file."""
    target = S3Store("s3", config, replace(IMPATIENT, read_seconds=60))
    way.rule = lambda r: Answer(503, "SlowDown") if r.is_part else None
    with pytest.raises(Unreachable):
        copy(source, target)
    way.rule = lambda _: None
    store = behind(minio, config)
    left = [k for k in minio.keys(store) if k.startswith(NAME)]
    for path in left:
        store.write(path, [bytes(store.size(path) or 0)])
    store.write(f"{NAME}/shop/stranger.bson", [b"of another dump"])
    clear_and_copy(minio, source, store)


@pytest.mark.parametrize("case", LASTING)
def test_what_does_not_pass_on_the_way_out_is_told_and_leaves_nothing_offered(
    minio: Minio, way: Proxy, config: S3StoreConfig, source: LocalStore, tmp_path: Path, case: str
) -> None:
    copy(source, behind(minio, config))
    fault, code, kind = LASTING[case]
    target, reads = LocalStore("other", tmp_path), 0

    def rule(request: Request) -> Fault | None:
        nonlocal reads
        reads += f"/{NAME}/" in request.path and request.method == "GET"
        if reads < 4:
            return None
        return CutAnswer(0) if isinstance(fault, CutRequest) else fault

    way.rule = rule
    with pytest.raises(kind) as caught:
        copy(S3Store("s3", config, IMPATIENT), target)
    assert caught.value.code == code
    assert list_snapshots(target) == []
    way.rule = lambda _: None
    copy(S3Store("s3", config, STEADY), target)
    assert verify(target, NAME, 3, dumping.Recorder(), dumping.Free()).good
    assert [p.name for p in tmp_path.iterdir() if p.name[0] == "2"] == [NAME]


def test_the_service_itself_says_that_the_clock_is_wrong(
    minio: Minio, source: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not a proxy: requests are signed half an hour ago."""
    import botocore.auth

    now = botocore.auth.get_current_datetime
    store = minio.store(STEADY)
    with monkeypatch.context() as wrong:
        wrong.setattr(botocore.auth, "get_current_datetime", lambda: now() - timedelta(minutes=30))
        with pytest.raises(Refused) as caught:
            copy(source, store)
    assert caught.value.code == "store-clock"
    assert not is_whole(store)
    clear_and_copy(minio, source, store)


def test_the_bucket_goes_in_the_middle(minio: Minio, way: Proxy, source: LocalStore, tmp_path: Path) -> None:
    """Removed by somebody, with all that is in it."""
    minio.client().create_bucket(Bucket="soon-gone")
    config = minio.config(endpoint=way.endpoint, bucket="soon-gone")
    client = minio.client()
    client.meta.events.register(
        "before-sign.s3.DeleteBucket",
        lambda request, **_: request.headers.add_header("x-minio-force-delete", "true"),
    )

    def remove(request: Request) -> None:
        if request.is_part and len([r for r in way.seen if r.is_part]) == 1:
            client.delete_bucket(Bucket="soon-gone")

    way.on_request = remove
    with pytest.raises(Unreachable) as caught:
        copy(source, S3Store("s3", config, IMPATIENT))
    assert caught.value.code == "store-missing"
    with pytest.raises(Unreachable):
        list_snapshots(behind(minio, config))
    minio.client().create_bucket(Bucket="soon-gone")
    store = behind(minio, config)
    assert not is_whole(store)
    copy(source, store)
    assert is_whole(store)


@pytest.mark.parametrize("size", [5, SMALL_PART + 1])
def test_an_answer_that_was_lost_is_not_taken_for_another_writer(
    minio: Minio, way: Proxy, config: S3StoreConfig, size: int
) -> None:
    store = S3Store("s3", config, STEADY)
    lost: list[Request] = []

    def rule(request: Request) -> Fault | None:
        ends = request.method == "POST" and "uploadId=" in request.path
        if (ends or (request.method == "PUT" and not request.is_part)) and not lost:
            lost.append(request)
            return LoseAnswer()
        return None

    way.rule = rule
    assert store.write_if_absent("x", [b"1" * size])
    assert lost and store.size("x") == size
    assert not store.write_if_absent("x", [b"2" * size])


def test_a_read_goes_on_where_it_broke_off(minio: Minio, way: Proxy, config: S3StoreConfig) -> None:
    data = random.Random(1).randbytes(3_000_000)
    store = S3Store("s3", config, STEADY)
    store.write("x", [data])
    cuts = iter((0, 1_500_000, 70_000, None, None))

    def rule(request: Request) -> Fault | None:
        after = next(cuts) if request.method == "GET" else None
        return None if after is None else CutAnswer(after)

    way.rule = rule
    assert b"".join(store.read("x", 10, 2_900_000)) == data[10:2_900_010]


def test_a_read_does_not_mix_two_objects(minio: Minio, way: Proxy, config: S3StoreConfig) -> None:
    store, first = S3Store("s3", config, STEADY), True
    store.write("x", [b"1" * 3_000_000])

    def rule(request: Request) -> Fault | None:
        nonlocal first
        if request.method != "GET" or not first:
            return None
        first = False
        return CutAnswer(1_500_000)

    way.rule = rule
    with pytest.raises(Failed) as caught:
        for _ in store.read("x"):
            behind(minio, config).write("x", [b"2" * 3_000_000])
    assert caught.value.code == "object-changed"


def test_nobody_listens(minio: Minio) -> None:
    from mongo_dr_console.mongo.launch import HeldPort

    with HeldPort() as port:
        store = minio.store(IMPATIENT, endpoint=f"http://127.0.0.1:{port}")
        asks = (lambda: list(store.list()), lambda: store.write("x", [b""]), lambda: list(store.read("x")))
        for ask in asks:
            with pytest.raises(Unreachable) as caught:
                ask()
            assert caught.value.code == "store-unreachable"


def test_who_is_not_let_in_is_told_so(minio: Minio) -> None:
    minio.add_credentials("wrong-secret", minio.server.user, "x" * 32)
    minio.add_credentials("nobody", "AKIAEXAMPLE", "x" * 32)
    for profile in ("wrong-secret", "nobody", "no-such-profile"):
        with pytest.raises(Refused) as caught:
            list(minio.store(aws_profile=profile).list())
        assert caught.value.code == "store-credentials"
        assert "x" * 32 not in str(caught.value) and minio.server.password not in str(caught.value)
    with pytest.raises(Unreachable) as missing:
        list(minio.store(bucket="no-such-bucket").list())
    assert missing.value.code == "store-missing"


def test_one_who_may_only_read_reads(minio: Minio) -> None:
    """Credentials of the service's own, for reading alone."""
    store = minio.store()
    store.write("a/x", [b"1"])
    minio.add_reader("reader")
    reading = S3Store("s3", store.config.model_copy(update={"aws_profile": "reader"}), STEADY)
    assert [o.path for o in reading.list()] == ["a/x"] and b"".join(reading.read("a/x")) == b"1"
    with pytest.raises(Refused) as caught:
        reading.write("a/y", [b"2"])
    assert caught.value.code == "store-forbidden"
