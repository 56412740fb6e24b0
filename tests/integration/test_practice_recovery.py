"""The practice deployment's own incidents, found and taken back from the command line while its workload
writes on, each compared with a twin made from the oplog's own entries."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.practice import INCIDENTS, Practice

from mongo_dr_console.model.position import Position

pytestmark = [pytest.mark.mongod, pytest.mark.slow]


BEFORE = ("drop-collection",)
"""What is also gone back to; from the others the mistake is left out only."""


@pytest.fixture(scope="module")
def practice(mongod: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Practice]:
    practice = Practice(tmp_path_factory.mktemp("practice"))
    yield practice
    practice.close()


@pytest.mark.parametrize("name", INCIDENTS)
def test_an_incident_is_found_and_taken_back(practice: Practice, name: str) -> None:
    kind, database, collection = INCIDENTS[name]
    practice.mdr("--profile", "practice", "backup")
    incident = practice.mdr("sandbox", "incident", name)
    found = [e for e in practice.mdr("find", "--since", "-10m")["events"] if e["kind"] == kind]
    event = found[-1]
    assert event["position"] == incident["position"]
    assert event["namespace"] == (database if collection is None else f"{database}.{collection}")
    before = Position.parse(event["before"]).timestamp
    assert before < Position.parse(event["position"]).timestamp

    scope = ("--ns", event["namespace"])
    kept = practice.restore("--skip", event["id"], *scope)
    placed = Position.parse(kept["result"]["position"]).timestamp
    practice.compare(name, kept, placed, leaving_out=True)
    practice.mdr("restore", "undo", kept["job"])
    practice.mdr("restore", "accept", kept["job"], "--yes")
    if name not in BEFORE:
        return
    back = practice.restore("--before", f"event:{event['id']}", *scope)
    practice.compare(name, back, before, leaving_out=False)
    practice.mdr("restore", "accept", back["job"], "--yes")
