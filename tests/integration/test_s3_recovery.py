"""A deployment whose snapshots and stream lie in a real MinIO: taken, listed, verified, copied, restored."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from support import twin
from support.jobs import backup_here, mdr, plan_for, restore_here, run_here
from support.minio import Minio, with_stores
from support.s3proxy import Answer, CutAnswer, Fault, Request, proxy
from support.streamkit import committed, entries_of, oplog_between, streaming
from support.writers import Writers

from mongo_dr_console.model.link import Link
from mongo_dr_console.model.trouble import Failed, WrongUse
from mongo_dr_console.mongo.client import connect
from mongo_dr_console.mongo.launch import ReplicaSet
from mongo_dr_console.stores.catalogue import list_snapshots
from mongo_dr_console.stores.s3 import S3Store
from mongo_dr_console.stores.s3_upload import PART_BYTES
from mongo_dr_console.stream.segment_archive import SegmentArchive, lines
from mongo_dr_console.stream.segment_sink import SegmentSink

pytestmark = pytest.mark.mongod


@pytest.fixture
def client(replica_set: ReplicaSet) -> Iterator[Any]:
    with closing(connect(replica_set.uri)) as client:
        yield client


@pytest.fixture
def database(client: Any, database_name: str) -> Any:
    """A collection of several parts, and small ones."""
    found = client[database_name]
    found.large.insert_many([{"_id": i, "x": i.to_bytes(4) * 25_000} for i in range(200)])
    found.small.insert_many([{"_id": i, "s": "ä"} for i in range(50)])
    found.small.create_index("s")
    found.create_collection("empty")
    return found


def test_it_goes_straight_into_the_bucket_and_comes_back(
    minio: Minio, replica_set: ReplicaSet, profile_for: Any, client: Any, database: Any
) -> None:
    config = minio.config()
    prepared = with_stores(profile_for(replica_set), local=False, s3=config)
    taken = mdr(prepared, "backup", "--db", database.name, "--compression", "none", "--json").json
    assert (taken["state"], taken["stores"], taken["documents"]) == ("done", ["s3"], 250)
    assert taken["stored_bytes"] > 2 * PART_BYTES
    for key in (f"{config.prefix}/{k}" for k in minio.keys(S3Store("s3", config))):
        facts = minio.client().head_object(Bucket=minio.bucket, Key=key, ChecksumMode="ENABLED")
        assert facts["ServerSideEncryption"] == "AES256" and facts["ChecksumSHA256"], key
    assert mdr(prepared, "snapshots", "verify", "latest", "--level", "3").code == 0
    (row,) = mdr(prepared, "snapshots", "list", "--json").json["snapshots"]
    assert (row["name"], row["stores"], row["verified"]) == (taken["snapshot"], ["s3"], True)
    wanted = twin.state_of(client, database.name)
    client.drop_database(database.name)
    restore_here(prepared, snapshot=taken["snapshot"], namespaces=(database.name,))
    assert twin.differences(twin.state_of(client, database.name), wanted) == []
    assert not any(prepared.store.iterdir()), "no copy on this host"
    found = {f["code"]: f["level"] for f in mdr(prepared, "doctor", "--json").json["findings"]}
    assert {found[c] for c in ("store", "store-writable", "store-encrypted")} == {"fine"}
    kept = S3Store("s3", config)
    assert [o.path.split("/")[1] for o in kept.list("ledger/")] == ["backups", "restores", "verifications"]
    assert not kept.unfinished() and minio.uploads(kept) == 0


def test_copies_are_one_row_and_each_is_as_good(
    minio: Minio, replica_set: ReplicaSet, profile_for: Any, client: Any, database: Any
) -> None:
    prepared = with_stores(profile_for(replica_set), local=True, s3=minio.config(), far=minio.config())
    request = {"stores": ["s3"], "compression": "gzip", "databases": [database.name]}
    name = run_here(prepared, "backup", request)[1].result["snapshot"]
    done = mdr(prepared, "snapshots", "copy", "latest", "--to", "local", "--json").json
    assert (done["snapshot"], done["source"], done["target"]) == (name, "s3", "local")
    assert done["copied_bytes"] == done["stored_bytes"] > 0
    for source, copied in (("s3", True), (None, False)):
        wanted = {"snapshot": name, "target": "far", "source": source, "rate": 100_000_000}
        result = run_here(prepared, "copy", wanted)[1].result
        assert (result["target"], result["copied_bytes"] > 0) == ("far", copied)
    (row,) = mdr(prepared, "snapshots", "list", "--json").json["snapshots"]
    assert (row["stores"], row["damaged_in"]) == (["local", "s3", "far"], [])
    checked = run_here(prepared, "verify", {"snapshot": name, "level": 3})[1].result
    assert [s["store"] for s in checked["stores"]] == ["local", "s3", "far"]
    with pytest.raises(WrongUse):
        run_here(prepared, "copy", {"snapshot": name, "target": "s3", "source": "s3"})


@pytest.mark.parametrize("bad", ["large.bson.gz", "small.metadata.json.gz", "oplog.bson", "manifest.json"])
def test_a_bad_file_is_read_from_the_next_copy(
    minio: Minio, replica_set: ReplicaSet, profile_for: Any, client: Any, database: Any, bad: str
) -> None:
    prepared = with_stores(profile_for(replica_set), local=True, s3=minio.config())
    request = {"stores": None, "compression": "gzip", "databases": [database.name]}
    name = run_here(prepared, "backup", request)[1].result["snapshot"]
    (file,) = (prepared.store / name).rglob(bad)
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 16
    file.write_bytes(data)
    wanted = twin.state_of(client, database.name)
    client.drop_database(database.name)
    restore_here(prepared, snapshot=name, namespaces=(database.name,))
    assert twin.differences(twin.state_of(client, database.name), wanted) == []
    # With that copy alone there is nothing that could be trusted.
    client.drop_database(database.name)
    with pytest.raises(Failed) as caught:
        only = with_stores(prepared, local=True)
        del only.profile.stores["s3"]
        restore_here(only, snapshot=name, namespaces=(database.name,))
    assert caught.value.code.startswith(("snapshot-corrupt", "manifest-"))
    assert database.list_collection_names() == []


def test_a_store_that_stops_answering_in_the_middle(
    minio: Minio, replica_set: ReplicaSet, profile_for: Any, client: Any, database: Any
) -> None:
    with proxy(minio.server.endpoint) as way:
        near = minio.config(endpoint=way.endpoint)
        prepared = with_stores(profile_for(replica_set), local=False, near=near, far=minio.config())
        request = {"stores": None, "compression": "none", "databases": [database.name]}
        result = run_here(prepared, "backup", request)[1].result
        assert result["stores"] == ["near", "far"]
        wanted = twin.state_of(client, database.name)
        client.drop_database(database.name)
        broken: list[Request] = []

        def rule(request: Request) -> Fault | None:
            """The first read of the data breaks off, and nothing comes any more."""
            if request.method == "GET" and "/large.bson" in request.path and not broken:
                broken.append(request)
                return CutAnswer(3_000_000)
            return Answer(403, "AccessDenied") if broken else None

        way.rule = rule
        restore_here(prepared, snapshot=result["snapshot"], namespaces=(database.name,))
        assert broken
        assert twin.differences(twin.state_of(client, database.name), wanted) == []


def test_the_planned_store_is_gone_when_the_job_begins(
    minio: Minio, replica_set: ReplicaSet, profile_for: Any, client: Any, database: Any
) -> None:
    with proxy(minio.server.endpoint) as way:
        near = minio.config(endpoint=way.endpoint)
        prepared = with_stores(profile_for(replica_set), local=False, near=near, far=minio.config())
        request = {"stores": None, "compression": "gzip", "databases": [database.name]}
        name = run_here(prepared, "backup", request)[1].result["snapshot"]
        wanted = twin.state_of(client, database.name)
        client.drop_database(database.name)
        plan = plan_for(prepared, snapshot=name, namespaces=(database.name,))
        assert plan.snapshot.store == "near"
        way.rule = lambda _: Answer(404, "NoSuchBucket")
        run_here(prepared, "restore", {"plan": plan.to_json()})
        assert twin.differences(twin.state_of(client, database.name), wanted) == []


def test_the_oplog_is_streamed_into_the_bucket(
    minio: Minio, replica_set: ReplicaSet, profile_for: Any, client: Any, database: Any
) -> None:
    store = minio.store()
    prepared = with_stores(profile_for(replica_set), local=False, s3=store.config)
    sinks = {"s3": lambda identity: SegmentSink(store, identity, seconds=1, max_bytes=20_000)}
    backup_here(prepared)
    (entry,) = list_snapshots(store)
    assert entry.window is not None
    base = Link(entry.window.end, entry.window.end_term, entry.window.end_hash)
    with streaming(replica_set.uri, sinks, [base]) as stream:
        with Writers(client, database.name) as writers:
            writers.wait_for(60)
        end = committed(client)
        stream.wait_for("s3", end)
    archive = SegmentArchive(store)
    (run,) = lines(archive)
    assert run.last.position >= end
    kept = entries_of(archive, run)
    assert kept == oplog_between(client, base.position, run.last.position)
    found = mdr(prepared, "coverage", "--json").json
    assert any("segments:s3" in r["sources"] for r in found["ranges"])


def test_a_service_that_says_nothing_holds_up_nobody(
    minio: Minio, replica_set: ReplicaSet, profile_for: Any
) -> None:
    import socket

    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        config = minio.config(endpoint=f"http://127.0.0.1:{silent.getsockname()[1]}")
        prepared = with_stores(profile_for(replica_set), local=True, s3=config)
        stores = mdr(prepared, "status", "--json").json["readings"]["backups"]["value"]["stores"]
        codes = {s["name"]: s["error"] and s["error"]["code"] for s in stores}
        # On a machine under load the poller may be the one that waits no longer.
        assert codes in ({"local": None, "s3": "store-unreachable"}, {"local": None, "s3": "timed-out"})
        listed = mdr(prepared, "snapshots", "list", "--json")
        assert listed.code == 5
        assert [u["code"] for u in listed.json["unreachable"]] == ["store-unreachable"]
