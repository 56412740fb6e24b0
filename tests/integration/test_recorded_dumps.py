"""The dumps that the real mongodump made, restored: what comes out is what the real mongorestore made of
them, and a backup of that, restored, is the same once more."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import bson
import pytest
from support.digest import differences, digest_of
from support.jobs import backup_here, plan_for, restore_here, run_here
from support.minio import Minio

from mongo_dr_console.config import load_config
from mongo_dr_console.model.plan import Intent
from mongo_dr_console.mongo.launch import Options, ReplicaSet
from mongo_dr_console.stores.local import LocalStore
from mongo_dr_console.stores.snapshot_reader import open_snapshot
from mongo_dr_console.workers.context import JobOutcome
from mongo_dr_console.workers.plan_sources import open_deployments
from mongo_dr_console.workers.planning import make_plan

pytestmark = pytest.mark.mongod

RECORDED = Path(__file__).parents[1] / "data" / "dump"
NAME = "20261122_164300"


@pytest.fixture(scope="module")
def own_set(mongod: Path, sets_folder: Path) -> Iterator[ReplicaSet]:
    """Without authentication, as the recorded digests were: no user but the dump's."""
    options = Options(set_name="recorded", nodes=1, auth=False)
    replica_set = ReplicaSet.launch(sets_folder / "recorded", options)
    yield replica_set
    replica_set.close()


@pytest.fixture
def client(own_set: ReplicaSet) -> Iterator[Any]:
    with closing(own_set.client()) as client:
        empty(client)
        yield client


@pytest.fixture
def prepared(profile_for: Any, own_set: ReplicaSet, client: Any) -> Any:
    return profile_for(own_set)


def empty(client: Any) -> None:
    for database in client.list_database_names():
        if database not in ("admin", "config", "local"):
            client.drop_database(database)
    for collection in ("system.users", "system.roles"):
        client.admin[collection].delete_many({})


def adopt(prepared: Any, recorded: str) -> None:
    """Puts it into the store as an old backup script would have left it."""
    shutil.copytree(RECORDED / recorded, prepared.store / NAME)


def adopt_in_bucket(minio: Minio, prepared: Any, recorded: str) -> Any:
    """The same in S3, as a script would have synced it."""
    store = minio.store()
    for file in (RECORDED / recorded).rglob("*"):
        if file.is_file():
            path = file.relative_to(RECORDED / recorded).as_posix()
            store.write(f"{NAME}/{path}", [file.read_bytes()])
    profile = prepared.profile.model_copy(update={"stores": {"s3": store.config}})
    return dataclasses.replace(prepared, profile=profile)


def wanted(recorded: str) -> Any:
    return json.loads((RECORDED / f"{recorded}.expected.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("recorded", ["plain", "gzip"])
def test_it_is_what_mongorestore_makes_of_it_and_so_is_a_backup_of_that(
    client: Any, prepared: Any, recorded: str
) -> None:
    adopt(prepared, recorded)
    restore_here(prepared, snapshot=NAME)
    assert differences(digest_of(client), wanted(recorded)) == []
    again = backup_here(prepared)["snapshot"]
    job, over = restore_here(prepared, snapshot=again)
    assert over["time_series"] == ["shop.weather"] and over["logins"] is None
    run_here(prepared, "accept", {"job": job})
    assert differences(digest_of(client), wanted(recorded)) == [], "over what is live"
    empty(client)
    restore_here(prepared, snapshot=again)
    assert differences(digest_of(client), wanted(recorded)) == []


def test_in_place_in_another_deployment_saves_what_is_there(
    client: Any, prepared: Any, replica_set: ReplicaSet, database_name: str, tmp_path: Path
) -> None:
    """The safety snapshot is of the deployment that is written to, not of the one restored from."""
    for name in ("a", "weather"):
        client[database_name][name].insert_one({"_id": "restored"})
    made = backup_here(prepared)["snapshot"]
    with closing(replica_set.client()) as there:
        for name in ("a", "weather"):
            there[database_name][name].insert_one({"_id": "was here"})
        job, outcome = run_to(prepared, replica_set, tmp_path, made, database_name)
        assert [d["_id"] for d in there[database_name].a.find()] == ["restored"]
    store = LocalStore("local", prepared.store)
    saved = open_snapshot(store, outcome.result["safety_snapshot"])
    found = {c.namespace.collection: bson.decode_all(b"".join(saved.documents(c))) for c in saved.collections}
    assert found == {name: [{"_id": "was here"}] for name in ("a", "weather")}, job


def run_to(
    prepared: Any, replica_set: ReplicaSet, tmp_path: Path, snapshot: str, database: str
) -> tuple[str, JobOutcome]:
    uri_file = tmp_path / "other-uri"
    uri_file.touch(mode=0o600)
    uri_file.write_text(replica_set.uri, encoding="utf-8")
    with prepared.config_file.open("a", encoding="utf-8") as file:
        file.write(
            f"\n[profiles.other]\nuri_file = '{uri_file}'\nenvironment = 'other'\naccess = 'restore'\n"
        )
    other = load_config(prepared.config_file).profiles["other"]
    deployments = open_deployments(prepared.name, prepared.profile, ("other", other))
    intent = Intent(snapshot=snapshot, namespaces=(database,), to_profile="other", mode="in-place")
    plan = make_plan(prepared.name, prepared.profile, intent, deployments)
    return run_here(prepared, "restore", {"plan": plan.to_json()})


@pytest.mark.parametrize("kind", ["local", "s3"])
def test_with_a_limit_inside_the_dump(
    client: Any, prepared: Any, request: pytest.FixtureRequest, kind: str
) -> None:
    if kind == "local":
        adopt(prepared, "plain")
    else:
        prepared = adopt_in_bucket(request.getfixturevalue("minio"), prepared, "plain")
    recorded = wanted("plain.limit")
    plan = plan_for(prepared, snapshot=NAME, before=recorded["oplogLimit"])
    assert [h.severity for h in plan.hazards if h.code == "limit-inside-window"] == ["danger"]
    assert plan.last_applied is not None and plan.first_not_applied is not None
    assert plan.first_not_applied.position == plan.limit.position > plan.last_applied.position
    restore_here(prepared, snapshot=NAME, before=recorded["oplogLimit"])
    assert differences(digest_of(client), recorded["expected"]) == []
