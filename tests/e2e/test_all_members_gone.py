"""All members are gone: what MinIO and Kafka have is restored into a new deployment, by keys alone."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support import kafka as topics
from support.agentkit import add_kafka
from support.engineer import Engineer, console_of
from support.histories import oplog_after
from support.jobs import backup_here
from support.kafka import Kafka
from support.minio import Minio, with_stores
from support.naive import Naive
from support.prepared import PreparedProfile
from support.streamkit import committed, streaming
from support.twin import RAW
from support.writers import Writers, fill

from mongo_dr_console.agent.streaming import snapshot_ends
from mongo_dr_console.config import load_config
from mongo_dr_console.model.entryhead import head
from mongo_dr_console.model.position import Position
from mongo_dr_console.mongo.launch import ReplicaSet
from mongo_dr_console.stream.sinks import sink_makers

pytestmark = [pytest.mark.mongod, pytest.mark.slow]


def test_restored_into_a_new_deployment(
    make_replica_set: Callable[..., ReplicaSet],
    profile_for: Callable[[ReplicaSet], PreparedProfile],
    minio: Minio,
    kafka: Kafka,
    tmp_path: Path,
    at_terminal: Callable[..., Engineer],
) -> None:
    old, topic = make_replica_set(), kafka.config()
    prepared = with_stores(profile_for(old), local=False, s3=minio.config())
    add_kafka(prepared, topic.bootstrap[0], topic.topic)
    prepared = replace(prepared, profile=load_config(prepared.config_file).profiles["test"])
    wanted = written_until_it_is_gone(old, prepared)
    received = topics.read(topic)
    for raw in received:
        wanted.feed(raw)
    last = head(received[-1]).position

    engineer = at_terminal(dict(os.environ), (80, 24), console_of("test"))
    engineer.sees("DEPLOYMENT DOWN: no member answers.", "Newest restore point", "R restore")
    engineer.terminal.press("R")
    engineer.sees("The replica set does not answer", "where to")
    engineer.takes_what_is_proposed("findings")
    engineer.sees("(●) go to a time", "= through", str(last), "(●) through: it is applied")
    engineer.takes_what_is_proposed("Lost", "Everything is restored")
    engineer.sees("the one that is watched; does not answer")
    engineer.terminal.press("up", "enter")
    engineer.sees("needs a profile of its")

    # What the run-book wants next: the new, empty replica set and its profile.
    new = make_replica_set(nodes=1, set_name="new")
    (tmp_path / "new-uri").write_text(new.uri)
    with prepared.config_file.open("a") as config:
        config.write(f"[profiles.new]\nuri_file = '{tmp_path / 'new-uri'}'\n")
        config.write("environment = 'test-new'\naccess = 'restore'\n")
    engineer.terminal.press("escape")
    engineer.takes_what_is_proposed("Everything is restored")
    engineer.sees("▶ ( ) new  test-new; another deployment")
    engineer.terminal.press("enter")
    engineer.takes_what_is_proposed("All of this happens in new")
    engineer.sees("replaces nothing that is live", "not known: the deployment does not answer")
    engineer.arms()
    engineer.terminal.press("enter")
    engineer.sees("nothing needs to be typed")
    engineer.goes_past_cancel("Restore")
    engineer.job_on_screen("restore")
    engineer.sees("✓ done", "All of it was done.", "into          new (test-new/new)")

    with closing(new.client()) as client:
        assert digests_in(client) == digests_of(wanted)


def written_until_it_is_gone(old: ReplicaSet, prepared: PreparedProfile) -> Naive:
    """A snapshot, and writes that go on until every member is killed; what the shop was at the snapshot."""
    before = Naive(skips=lambda at, session, operation: not operation["ns"].startswith("shop."))
    with closing(old.client(seconds=1)) as client:
        fill(client, "shop")
        backup_here(prepared)
        (base,) = snapshot_ends(prepared.profile)
        for raw in oplog_after(client, Position(0, 0)):
            if head(raw).position <= base.position:
                before.feed(raw)
        with (
            streaming(old.uri, dict(sink_makers(prepared.profile)), [base]) as stream,
            Writers(client, "shop") as writers,
        ):
            writers.wait_for(300)
            stream.wait_for("kafka", committed(client))
            old.kill_all()
    return before


def digests_of(state: Naive) -> dict[str, str]:
    """Of the documents of each collection of the shop."""
    kept = {name: c for name, c in state.collections.items() if "system." not in name}
    return {name: _digest(collection.documents.values()) for name, collection in kept.items()}


def digests_in(client: Any) -> dict[str, str]:
    found = {}
    for info in client.shop.list_collections(filter={"type": "collection"}):
        if not info["name"].startswith("system."):
            documents = client.shop.get_collection(info["name"], codec_options=RAW).find()
            found[f"shop.{info['name']}"] = _digest(bytes(d.raw) for d in documents)
    return found


def _digest(documents: Any) -> str:
    hashes = sorted(hashlib.sha256(document).hexdigest() for document in documents)
    return f"{len(hashes)} documents {hashlib.sha256(''.join(hashes).encode()).hexdigest()}"
