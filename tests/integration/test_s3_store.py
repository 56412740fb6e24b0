"""What only a store in S3 has: encryption, addressing, pages, bounded memory, left-overs, the clock."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import dumping
import pytest
from support import snapshots
from support.minio import SHORT, STEADY, Minio

from mongo_dr_console.model.trouble import Failed, Refused, WrongUse
from mongo_dr_console.stores import catalogue_index, owner, s3, s3_examine, s3_upload
from mongo_dr_console.stores.begin import begin_snapshot
from mongo_dr_console.stores.catalogue import list_snapshots
from mongo_dr_console.stores.remembered import Remembered
from mongo_dr_console.stores.s3 import WRITING, S3Store
from mongo_dr_console.stores.s3_snapshot import remove_dead
from mongo_dr_console.stores.s3_upload import PART_BYTES
from mongo_dr_console.stores.verification import verify


def facts(minio: Minio, store: S3Store, path: str) -> dict[str, Any]:
    key = f"{store.config.prefix}/{path}"
    found: dict[str, Any] = minio.client().head_object(Bucket=minio.bucket, Key=key, ChecksumMode="ENABLED")
    return found


@pytest.mark.parametrize("size", [10, PART_BYTES + 10])
def test_every_object_is_encrypted_as_the_profile_says(minio: Minio, size: int) -> None:
    by_default, by_key = minio.store(), minio.store(sse="aws:kms", kms_key="mdr")
    plain = minio.store(sse="none")
    for store in (by_default, by_key, plain):
        store.write("x", [b"x" * size])
        assert facts(minio, store, "x")["ChecksumSHA256"]
    assert facts(minio, by_default, "x")["ServerSideEncryption"] == "AES256"
    assert facts(minio, by_key, "x")["ServerSideEncryption"] == "aws:kms"
    assert facts(minio, by_key, "x")["SSEKMSKeyId"].endswith("mdr")
    assert b"".join(by_key.read("x")) == b"x" * size
    wrong = minio.store(sse="aws:kms", kms_key="no-such-key")
    with pytest.raises(Failed) as caught:
        wrong.write("x", [b"x" * size])
    assert caught.value.code == "store-encryption"
    assert minio.keys(wrong) == []


def test_the_bucket_may_be_in_the_hosts_name(minio: Minio, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    real = socket.getaddrinfo

    def look_up(host: str, *words: Any, **more: Any) -> Any:
        asked.append(host)
        return real("127.0.0.1" if host.endswith("localhost") else host, *words, **more)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    endpoint = f"http://localhost:{minio.server.port}"
    for addressing, host in (("virtual", f"{minio.bucket}.localhost"), ("auto", "localhost")):
        asked.clear()
        store = minio.store(endpoint=endpoint, addressing=addressing)
        store.write("a/x", [b"1"])
        assert [o.path for o in store.list()] == ["a/x"] and set(asked) == {host}


def test_a_clock_that_is_wrong_is_told(minio: Minio, monkeypatch: pytest.MonkeyPatch) -> None:
    import botocore.auth

    store = minio.store(SHORT)
    store.write("x", [b""])
    wrong = datetime.now(UTC) - timedelta(minutes=20)
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda *_, **__: wrong)
    with pytest.raises(Refused) as caught:
        store.write("y", [b""])
    assert caught.value.code == "store-clock"


def test_what_is_written_has_the_services_time(minio: Minio) -> None:
    """Not that of this host: two hosts compare by it."""
    store = minio.store()
    written = store.write("x", [b"1"])
    (listed,) = store.list()
    assert abs(written.modified_at - listed.modified_at) < timedelta(seconds=1)
    assert written.modified_at.microsecond == 0


def test_a_long_list_comes_in_pages(minio: Minio) -> None:
    store = minio.store()
    names = [f"d{n % 3}/{n:05}" for n in range(1010)]
    with ThreadPoolExecutor(8) as pool:
        for _ in pool.map(lambda name: store.write(name, [b""]), names):
            pass
    assert [o.path for o in store.list()] == sorted(names)
    assert store.folders() == ("d0", "d1", "d2")


def test_what_is_on_its_way_is_bounded(minio: Minio, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = 2 * PART_BYTES + 1
    monkeypatch.setattr(s3_upload, "_IN_FLIGHT_BYTES", limit)
    store, peak = minio.store(), 0
    take = store.lanes.take

    def watch(size: int) -> None:
        nonlocal peak
        take(size)
        peak = max(peak, store.lanes._used)

    monkeypatch.setattr(store.lanes, "take", watch)
    store.write("x", (bytes([n]) * PART_BYTES for n in range(6)))
    assert PART_BYTES <= peak <= limit
    assert store.size("x") == 6 * PART_BYTES and store.lanes._used == 0


def test_left_over_uploads_are_aborted_by_their_age(minio: Minio) -> None:
    store = minio.store()
    key = f"{store.config.prefix}/oplog/rs/x"
    minio.client().create_multipart_upload(Bucket=minio.bucket, Key=key)
    other = f"{store.config.prefix}-other/oplog/rs/x"
    minio.client().create_multipart_upload(Bucket=minio.bucket, Key=other)
    assert store.sweep("oplog/rs", 600) == 0
    assert store.sweep("oplog/rs", 0) == 1
    assert store.sweep("oplog/rs", 0) == 0 and minio.uploads(store) == 1, "another prefix's is none of ours"


def marked(store: S3Store, name: str, **changes: Any) -> None:
    """A snapshot whose writer has got as far as one file."""
    mark = owner.sign() | {"begun": True} | changes
    store.write(f"{WRITING}/{name}.json", [json.dumps(mark).encode()])
    store.write(f"{name}/shop/c.bson", [b"x"])


def test_only_dead_writers_work_is_removed(minio: Minio, monkeypatch: pytest.MonkeyPatch) -> None:
    store = minio.store()
    marked(store, "20260101_000001")
    marked(store, "20260101_000002", pid=os.getppid(), started="not its start")
    marked(store, "20260101_000003", pid=2**22 + 1)
    marked(store, "20260101_000004", system="another host")
    assert list_snapshots(store) == [] and store.folders() == ()
    assert remove_dead(store) == ["20260101_000002", "20260101_000003"]
    assert sorted(store.unfinished()) == ["20260101_000001", "20260101_000004"]
    monkeypatch.setattr(owner, "LEASE", timedelta(0))
    assert remove_dead(store) == ["20260101_000004"]
    assert {k.partition("/")[0] for k in minio.keys(store)} == {WRITING, "20260101_000001"}


def test_a_mark_alone_removes_no_adopted_dump(minio: Minio) -> None:
    """A writer that died between taking a name and seeing that somebody else's dump lies there."""
    store, name = minio.store(), "20260101_000001"
    marked(store, name, begun=False, pid=2**22 + 1)
    assert remove_dead(store) == [name]
    assert minio.keys(store) == [f"{name}/shop/c.bson"]


def test_a_writer_that_was_taken_for_dead_does_not_finish(minio: Minio) -> None:
    store = minio.store()
    with pytest.raises(Failed) as caught, begin_snapshot(store) as writer:
        store.delete(f"{WRITING}/{writer.name}.json")
        snapshots.fill(writer, snapshots.rows(100))
    assert caught.value.code == "snapshot-taken-away"
    with pytest.raises(Failed) as caught, begin_snapshot(store) as writer:
        writer.put("shop/d.bson", b"x")
        store.delete(f"{writer.name}/shop/d.bson")
        snapshots.fill(writer, snapshots.rows(100))
    assert caught.value.code == "objects-missing"
    assert list_snapshots(store) == []


def test_one_flipped_bit_is_found(minio: Minio) -> None:
    store = minio.store()
    manifest = snapshots.write_snapshot(store, snapshots.rows(100_000))
    for file in manifest.files:
        path = f"{manifest.name}/{file.path}"
        data = b"".join(store.read(path))
        flipped = bytearray(data)
        flipped[len(data) // 2] ^= 1
        store.write(path, [bytes(flipped)])
        result = verify(store, manifest.name, 2, dumping.Recorder(), dumping.Free())
        assert len(result.problems) == 1 and file.path in result.problems[0]
        store.write(path, [data])


def test_doctor_says_what_a_bucket_lacks(minio: Minio, monkeypatch: pytest.MonkeyPatch) -> None:
    def found(store: S3Store) -> dict[str, str]:
        return {f.code: str(f.level) for f in s3_examine.examine(store, "store s3", probe=True)}

    fine = {"store-writable": "fine", "store-encrypted": "fine", "lifecycle": "fine"}
    store = minio.store()
    assert found(store) == fine and minio.keys(store) == []
    assert found(minio.store(sse="none"))["store-unencrypted"] == "warning"
    minio.add_reader("doctor-reader")
    assert found(minio.store(aws_profile="doctor-reader")) == {"store-not-writable": "critical"}
    marked(store, "20260101_000004", system="another host")
    monkeypatch.setattr(owner, "LEASE", timedelta(0))
    assert found(store) == fine | {"store-left-over": "warning"}


def test_a_name_that_no_bucket_has_is_wrong_use(minio: Minio) -> None:
    with pytest.raises(WrongUse) as caught:
        S3Store("s3", minio.config(bucket="No Such_Bucket!"), STEADY).write("x", [b""])
    assert caught.value.code == "store-name"


@pytest.mark.parametrize("worth", [0, 10**6])
def test_heads_are_what_a_list_says(minio: Minio, monkeypatch: pytest.MonkeyPatch, worth: int) -> None:
    """By pages and one by one: more files in a folder than a page has, and some that are not there."""
    store = minio.store()
    full = [f"2026010{n}_000000" for n in range(1, 5)]
    for name in full:
        store.write(f"{name}/manifest.json", [name.encode()])
        for n in range(3):
            store.write(f"{name}/shop/{n}", [b"x"])
    store.write("20260103_000001/shop/0", [b"without a manifest"])
    pages = store.bucket.call

    def short(operation: str, **words: Any) -> dict[str, Any]:
        return pages(operation, **words, **({"MaxKeys": 5} if "StartAfter" in words else {}))

    monkeypatch.setattr(store.bucket, "call", short)
    monkeypatch.setattr(s3, "_WORTH_A_PAGE", worth)
    wanted = sorted([*full, "20260103_000001", "20251231_000000", "20261231_000000"])
    found = store.heads([f"{name}/manifest.json" for name in wanted])
    assert found == tuple(o for o in store.objects() if o.path.endswith("manifest.json"))
    assert len(found) == 4


def test_segments_are_listed_day_by_day_as_in_one_go(minio: Minio) -> None:
    store = minio.store()
    days = ("20260101", "20260102", "20260110")
    paths = [
        f"oplog/{name}/{day}/{n}" for name in ("rs0", "rs0-b", "a%2Fb") for day in days for n in range(3)
    ]
    for path in [*paths, "oplog/stray", "oplog/rs0/20260102-x", "oplog/rs0/20260102/deep/er", "oplogs/x"]:
        store.write(path, [path.encode()])
    store.write("oplog/rs0/20260101/.hidden", [b"x"])
    for prefix in ("oplog/", "oplog/rs0/", "oplog/rs0/20260102/", "oplog/none/"):
        wanted = [o for o in store.objects(prefix) if ".hidden" not in o.path]
        assert list(store.list(prefix)) == wanted, prefix
    assert len(list(store.list("oplog/"))) == len(paths) + 3


def test_who_knows_nothing_reads_the_index_and_who_may_only_read_writes_none(
    minio: Minio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue_index, "WORTH", 2)
    store, read = minio.store(), list[str]()
    names = [f"2026010{n}_000000" for n in range(1, 5)]
    for name in names:
        snapshots.write_snapshot(store, snapshots.rows(100), name)
    minio.add_reader("index-reader")
    reading = S3Store("s3", store.config.model_copy(update={"aws_profile": "index-reader"}), STEADY)
    known = Remembered()
    first = list_snapshots(reading, known)
    assert [e.name for e in first] == names[::-1]
    assert not catalogue_index.publish(reading, known), "it may not, and that is no trouble"
    assert catalogue_index.publish(store, known)
    plain = S3Store.read

    def noted(self: S3Store, path: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        read.append(path)
        return plain(self, path, start, length)

    monkeypatch.setattr(S3Store, "read", noted)
    assert list_snapshots(reading, Remembered()) == first and read == [catalogue_index.PATH]
    # What was written anew since counts as it is now.
    store.discard(f"{names[1]}/manifest.json")
    found = {e.name: e.problem for e in list_snapshots(reading, Remembered())}
    assert found[names[1]] is not None and found[names[0]] is None
