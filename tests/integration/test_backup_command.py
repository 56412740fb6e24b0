"""``mdr backup`` and ``mdr snapshots`` from the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING, Any

import dumping
import pytest

from mongo_dr_console.cli.main import run
from mongo_dr_console.mongo.client import connect
from mongo_dr_console.mongo.launch import ReplicaSet

if TYPE_CHECKING:
    from conftest import ProfileFor

pytestmark = pytest.mark.mongod

Mdr = Callable[..., tuple[int, Any]]


@pytest.fixture
def mdr(capsys: pytest.CaptureFixture[str]) -> Mdr:
    """Runs the command with ``--json``: its exit code and its document."""

    def call(*words: str) -> tuple[int, Any]:
        with pytest.raises(SystemExit) as ended:
            run([*words, "--json"])
        code = ended.value.code
        assert isinstance(code, int)
        return code, json.loads(capsys.readouterr().out)

    return call


def test_a_snapshot_is_taken_listed_shown_and_verified(
    replica_set: ReplicaSet, profile_for: ProfileFor, database_name: str, mdr: Mdr
) -> None:
    prepared = profile_for(replica_set)
    with closing(connect(replica_set.uri)) as client:
        dumping.seed(client, database_name, 100)
    code, taken = mdr("backup", "--db", database_name)
    assert (code, taken["schema"], taken["documents"]) == (0, "mdr.backup", 200)
    assert set(taken) >= {"snapshot", "documents", "bytes", "stored_bytes", "seconds", "window"}
    code, listed = mdr("snapshots", "list")
    assert code == 0
    (row,) = listed["snapshots"]
    assert (row["name"], row["documents"], row["verified"], row["stores"]) == (
        taken["snapshot"],
        200,
        False,
        ["local"],
    )
    code, shown = mdr("snapshots", "show", taken["snapshot"])
    assert {c["namespace"] for c in shown["collections"]} == {f"{database_name}.a", f"{database_name}.b"}
    assert mdr("snapshots", "verify", "latest", "--level", "3")[0] == 0
    assert mdr("snapshots", "list")[1]["snapshots"][0]["verified"]
    data = prepared.store / taken["snapshot"] / database_name / "a.bson.gz"
    data.write_bytes(data.read_bytes()[:-1])
    code, failed = mdr("snapshots", "verify", taken["snapshot"])
    assert (code, failed["error"]["code"]) == (1, "verification-failed")
    assert "a.bson.gz" in failed["error"]["message"]
    assert mdr("snapshots", "list")[1]["snapshots"][0]["damaged_in"] == ["local"]


def test_what_is_wrong_is_told_with_its_exit_code(
    replica_set: ReplicaSet, profile_for: ProfileFor, mdr: Mdr
) -> None:
    profile_for(replica_set)
    assert mdr("backup", "--store", "nope")[0] == 2
    code, failed = mdr("backup", "--db", "no_such_database")
    assert (code, failed["error"]["code"]) == (2, "nothing-to-back-up")
    code, failed = mdr("snapshots", "show", "20260101_000000")
    assert (code, failed["error"]["code"]) == (2, "snapshot-unknown")
