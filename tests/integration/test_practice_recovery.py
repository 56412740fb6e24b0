"""The practice deployment's own incidents, found and taken back from the command line while its workload
writes on, each compared with a twin made from the oplog's own entries."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bson.timestamp import Timestamp
from pymongo import MongoClient
from support import twin

from mongo_dr_console.model.position import Position

pytestmark = [pytest.mark.mongod, pytest.mark.slow]

INCIDENTS = {
    "drop-collection": ("drop", "shop", "orders"),
    "bad-update": ("mass-update", "shop", "products"),
    "mass-delete": ("mass-delete", "shop", "reviews"),
    "drop-database": ("drop-database", "crm", None),
}


class Practice:
    """The practice deployment, in a state folder of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._environment = {
            **os.environ,
            "MDR_STATE_DIR": str(folder / "state"),
            "MDR_CONFIG": str(folder / "none.toml"),
        }
        self._environment.pop("MDR_PROFILE", None)
        self.client: Any = MongoClient(self.mdr("sandbox", "up")["uri"])

    def mdr(self, *words: str) -> dict[str, Any]:
        done = subprocess.run(
            [sys.executable, "-m", "mongo_dr_console", *words, "--json"],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, (done.stdout, done.stderr)
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def restore(self, *words: str) -> dict[str, Any]:
        plan = self.mdr("restore", "plan", *words)
        path = self._folder / "plan.json"
        path.write_text(json.dumps(plan), encoding="utf-8")
        run = ["--profile", "practice", "restore", "run", "--plan", str(path), "--confirm", plan["confirm"]]
        job = self.mdr(*run)
        assert job["state"] == "done"
        return job

    def close(self) -> None:
        self.client.close()
        self.mdr("sandbox", "down")


@pytest.fixture(scope="module")
def practice(mongod: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Practice]:
    practice = Practice(tmp_path_factory.mktemp("practice"))
    yield practice
    practice.close()


def is_own(kind: str, collection: str | None, session: Any, operation: Any) -> bool:
    """Whether an operation is the incident's, by what is known of it here and not by the event finder."""
    if kind in ("drop", "drop-database"):
        name = next(iter(operation["o"]))
        named = kind == "drop-database" or operation["o"].get("drop") == collection
        return operation["op"] == "c" and name in ("drop", "dropDatabase") and named
    wanted = {"mass-delete": "d", "mass-update": "u"}[kind]
    return session is None and operation["op"] == wanted and operation["ns"].partition(".")[2] == collection


@pytest.mark.parametrize("name", INCIDENTS)
def test_an_incident_is_found_and_taken_back(practice: Practice, name: str) -> None:
    kind, database, collection = INCIDENTS[name]
    client = practice.client
    practice.mdr("--profile", "practice", "backup")
    incident = practice.mdr("sandbox", "incident", name)
    found = [e for e in practice.mdr("find", "--since", "-10m")["events"] if e["kind"] == kind]
    event = found[-1]
    assert event["position"] == incident["position"]
    assert event["namespace"] == (database if collection is None else f"{database}.{collection}")
    at = Position.parse(event["position"]).timestamp
    assert Position.parse(event["before"]).timestamp < at

    def wanted(last: Timestamp, leaving_out: bool) -> dict[str, Any]:
        copy = f"twin_{database}"
        client.drop_database(copy)
        try:
            return twin.build(
                client,
                database,
                copy,
                Timestamp(1, 1),
                applies=lambda ts: ts <= last,
                skips=lambda ts, session, o: leaving_out and is_own(kind, collection, session, o),
                only=collection,
            )
        finally:
            client.drop_database(copy)

    def compare(job: dict[str, Any], last: Timestamp, leaving_out: bool) -> None:
        placed = Position.parse(job["result"]["position"]).timestamp
        names = {n["to"].partition(".")[2] for n in job["result"]["namespaces"]}
        here = {k: v for k, v in twin.at_cluster_time(client, database, placed).items() if k in names}
        there = {k: v for k, v in wanted(last, leaving_out).items() if k in names}
        assert twin.differences(here, there) == []

    scope = ("--ns", event["namespace"])
    kept = practice.restore("--skip", event["id"], *scope)
    compare(kept, Position.parse(kept["result"]["position"]).timestamp, leaving_out=True)
    practice.mdr("restore", "undo", kept["job"])
    practice.mdr("restore", "accept", kept["job"], "--yes")
    back = practice.restore("--before", f"event:{event['id']}", *scope)
    compare(back, Position.parse(event["before"]).timestamp, leaving_out=False)
    practice.mdr("restore", "accept", back["job"], "--yes")
