"""The drill on a real replica set: succeeds, leaves nothing, fails where something is not as it was."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pymongo import WriteConcern
from support.agentkit import Agent, add_segments
from support.jobs import backup_here, mdr, resume_here, run_here
from support.toolkit import everything

from mongo_dr_console.config import KafkaConfig, load_config
from mongo_dr_console.model import lock, rawbson
from mongo_dr_console.model.drilldata import COLLECTION, DATABASE
from mongo_dr_console.model.trouble import Interrupted
from mongo_dr_console.mongo import processes
from mongo_dr_console.mongo.identity import read_identity
from mongo_dr_console.mongo.oplog import majority_position
from mongo_dr_console.stores import ledger
from mongo_dr_console.stores.open import open_stores
from mongo_dr_console.stream.saved import SavedRange
from mongo_dr_console.workers import full_drill, jobs, run_drill
from mongo_dr_console.workers.context import JobOutcome
from mongo_dr_console.workers.sources import StoreSource
from mongo_dr_console.workers.threads import DaemonThreads

pytestmark = pytest.mark.mongod


def left(client: Any, store: Path) -> dict[str, Any]:
    """All that could stay behind: databases, marks, locks, files of stores but for the ledger's record."""
    own = {
        n: sorted(d["_id"] for d in client.mongo_dr[n].find())
        for n in client.mongo_dr.list_collection_names()
    }
    files = sorted(str(p.relative_to(store)) for p in store.rglob("*") if p.is_file())
    return {
        "data": everything(client),
        "own": {name: ids for name, ids in own.items() if set(ids) - {"fencing"}},
        # The lock of a local store stays where it is once it was made.
        "files": [f for f in files if not f.startswith("ledger/drills/") and f != ".sweep.lock"],
    }


def drill(prepared: Any) -> JobOutcome:
    return run_here(prepared, "drill", {"store": None})[1]


def test_it_succeeds_and_leaves_nothing_but_its_record(
    prepared: Any, client: Any, database_name: str
) -> None:
    client[database_name].things.insert_many([{"_id": n} for n in range(10)])
    before = left(client, prepared.store)
    told = mdr(prepared, "drill", "run", "--json")
    assert told.code == 0, told.err
    record = told.json
    assert record["success"] is True and record["problems"] == []
    assert record["rpo_seconds"] == 0 and record["lost_writes"] == 0 and record["rto_seconds"] > 0
    assert record["documents"] > 450 and record["indexes"] == 10
    steps = " ".join(step["step"] for step in record["steps"])
    assert steps == "clean test-data snapshot writes wait-for-oplog drop restore compare clean-up"
    assert left(client, prepared.store) == before
    kept = ledger.read_all(open_stores(prepared.profile)["local"], "drills")
    assert [k | {"schema": "mdr.drill"} for k in kept] == [record]
    assert not [e for e in mdr(prepared, "find", "--json").json["events"] if DATABASE in str(e["namespace"])]
    seen = StoreSource("local", prepared.profile.stores["local"], DaemonThreads())._list()
    assert [(d.kind, str(d.identity)) for d in seen.drilled] == [
        ("small", str(read_identity(client, "test")))
    ]
    history = mdr(prepared, "drill", "history", "--json")
    assert history.code == 0 and history.json["drills"] == [record]
    page = mdr(prepared, "drill", "report")
    assert page.code == 0 and f"| {record['job']} |" in page.out and "of which 1 succeeded" in page.out


def alter_document(client: Any) -> None:
    client[DATABASE][COLLECTION].update_one({"_id": 17}, {"$set": {"text": "another"}})


def alter_type(client: Any) -> None:
    """A value that compares as equal, of another type."""
    client[DATABASE][COLLECTION].update_one({"_id": 17}, {"$set": {"group": 17 % 7 + 0.0}})


def lose_index(client: Any) -> None:
    client[DATABASE][COLLECTION].drop_index("few")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (alter_document, "1 documents are not byte for byte as before: 17"),
        (alter_type, "1 documents are not byte for byte as before: 17"),
        (lose_index, "the index few is missing"),
    ],
)
def test_it_fails_where_what_is_restored_is_not_as_it_was(
    prepared: Any, client: Any, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Any], None], told: str
) -> None:
    before = left(client, prepared.store)
    real = run_drill.restore_under

    def spoiled(*given: Any) -> dict[str, Any]:
        result = real(*given)
        spoil(client)
        return result

    monkeypatch.setattr(run_drill, "restore_under", spoiled)
    outcome = drill(prepared)
    assert outcome.failed is not None and outcome.failed.code == "drill-failed"
    assert outcome.result["problems"] == [told] and outcome.result["success"] is False
    assert outcome.result["rpo_seconds"] == 0
    assert left(client, prepared.store) == before


@pytest.mark.parametrize(
    ("error", "recorded"), [(OSError(28, "No space left on device"), True), (KeyError(1), False)]
)
def test_what_a_drill_made_goes_whatever_it_meets(
    error: Exception, recorded: bool, prepared: Any, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = left(client, prepared.store)

    def refused(*given: Any) -> dict[str, Any]:
        raise error

    monkeypatch.setattr(run_drill, "restore_under", refused)
    if recorded:
        assert drill(prepared).result["problems"] == ["the system refused: No space left on device"]
    else:
        with pytest.raises(KeyError):
            drill(prepared)
    assert left(client, prepared.store) == before
    assert DATABASE not in client.list_database_names() and client.mongo_dr.drills.find_one() is None


@pytest.mark.slow
def test_it_fails_where_an_entry_of_the_oplog_is_lost(
    prepared: Any, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = SavedRange.read

    def lossy(self: SavedRange, *given: Any) -> Iterator[bytes]:
        for batch in real(self, *given):
            yield b"".join(raw for raw in rawbson.split(batch) if b"write-0050\0" not in raw)

    monkeypatch.setattr(SavedRange, "read", lossy)
    outcome = drill(prepared)
    assert outcome.failed is not None and outcome.result["success"] is False
    assert outcome.result["problems"] == ["1 documents are missing: write-0050"]
    assert outcome.result["lost_writes"] == 1 and outcome.result["rpo_seconds"] > 0


@pytest.mark.slow
def test_it_restores_from_the_stream_alone_and_fails_where_that_lost_a_segment(
    prepared: Any, client: Any, database_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_segments(prepared)
    profile = replace(prepared, profile=load_config(prepared.config_file).profiles["test"])
    agent = Agent(prepared)
    agent.start()
    try:
        agent.wait_for(majority_position(client)[0])
        good = drill(profile)
        assert good.failed is None and good.result["oplog"] == "stream", good.result["problems"]
        full = full_drill_with_stream(profile, client, database_name, agent)
        assert full.failed is None and full.result["oplog"] == "stream", full.result["problems"]
        monkeypatch.setattr(run_drill.SmallDrill, "_restore", lose_a_segment(run_drill.SmallDrill._restore))
        lost = drill(profile)
    finally:
        agent.end(signal.SIGTERM)
    assert lost.failed is not None and lost.result["success"] is False
    # Whether something is left behind the base, or nothing at all.
    told = ("up to where snapshot", "the stream alone, and that does not have it")
    assert any(text in lost.result["problems"][0] for text in told)
    assert lost.result["rto_seconds"] is None and lost.result["lost_writes"] is None
    assert DATABASE not in client.list_database_names() and client.mongo_dr.drills.find_one() is None


def full_drill_with_stream(profile: Any, client: Any, database: str, agent: Agent) -> JobOutcome:
    """What was written after the snapshot comes back too."""
    client[database].things.insert_one({"_id": 1})
    backup_here(profile)
    client[database].get_collection("things", write_concern=WriteConcern("majority")).insert_one({"_id": 2})
    agent.wait_for(majority_position(client)[0])
    seen: list[Any] = []
    real = full_drill.FullDrill._compare

    def looking(self: Any, plan: Any, scratch: Any) -> None:
        seen.extend(scratch[database].things.find())
        real(self, plan, scratch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(full_drill.FullDrill, "_compare", looking)
        outcome = run_here(profile, "drill", {"store": None, "full": True})[1]
    assert seen == [{"_id": 1}, {"_id": 2}]
    return outcome


def lose_a_segment(real: Any) -> Any:
    """The newest segment goes just before the restore: it has the series, or its end."""

    def lossy(self: Any, *given: Any) -> None:
        segments = sorted(Path(self.store.root).glob("oplog/**/*.bson.zst"))
        segments[-1].unlink()
        real(self, *given)

    return lossy


@pytest.mark.slow
@pytest.mark.parametrize("step", ["data", "load", "clean-up"])
def test_killed_anywhere_nothing_of_it_is_left_after_it_was_resumed(
    prepared: Any, client: Any, step: str
) -> None:
    before = left(client, prepared.store)
    folder = killed_in(prepared, step)
    assert mdr(prepared, "jobs", "resume", folder.id).code == 0
    assert jobs.load(folder).state == "done"
    assert left(client, prepared.store) == before


def test_stopped_it_leaves_nothing_and_resumed_it_ends_well(
    prepared: Any, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = left(client, prepared.store)

    def stopped(*given: Any) -> None:
        raise Interrupted("stopped", "stopped by the test")

    with monkeypatch.context() as patch:
        patch.setattr(run_drill, "restore_under", stopped)
        with pytest.raises(Interrupted):
            drill(prepared)
    assert left(client, prepared.store) == before
    (folder,) = jobs.jobs_folder(prepared.profile).iterdir()
    assert resume_here(prepared, jobs.JobFolder(folder)).failed is None
    assert left(client, prepared.store) == before


@pytest.mark.slow
def test_the_next_drill_removes_what_a_killed_one_left(
    prepared: Any, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Ten seconds otherwise, in which the dead one's lock counts.
    monkeypatch.setattr(lock, "DEAD_HERE_SECONDS", 0.2)
    before = left(client, prepared.store)
    killed_in(prepared, "writes")
    assert DATABASE in client.list_database_names() and list(client.mongo_dr.drills.find())
    job, outcome = run_here(prepared, "drill", {"store": None})
    assert outcome.failed is None
    notes = [note.text for note in jobs.load(jobs.jobs_folder(prepared.profile) / job).notes]
    assert "what an earlier drill had left was removed" in notes
    assert left(client, prepared.store) == before


DIES = """
import os, signal, sys
from pathlib import Path
from mongo_dr_console.workers import job

real = job.Journal.report

def report(self, event):
    real(self, event)
    if getattr(event, "step", "") == sys.argv[2]:
        os.kill(os.getpid(), signal.SIGKILL)

job.Journal.report = report
raise SystemExit(job.main(Path(sys.argv[1])))
"""


def killed_in(prepared: Any, step: str, *, full: bool = False) -> jobs.JobFolder:
    """A drill whose process kills itself with the first word of a step."""
    request = {"store": None, "full": full}
    folder = jobs.create(prepared.name, prepared.profile, prepared.config_file, "drill", request)
    died = subprocess.run([sys.executable, "-c", DIES, str(folder.path), step], timeout=180, check=False)
    assert died.returncode == -signal.SIGKILL
    error = jobs.load(folder).error
    assert error is not None and error.code == "job-died"
    return folder


def test_it_refuses_a_database_that_is_not_its_own(prepared: Any, client: Any) -> None:
    client[DATABASE].theirs.insert_one({"_id": 1})
    try:
        told = mdr(prepared, "drill", "run", "--json")
        assert told.code == 4 and told.json["error"]["code"] == "drill-database-taken", told.out
        assert client[DATABASE].theirs.count_documents({}) == 1
    finally:
        client.drop_database(DATABASE)


@pytest.mark.slow
def test_a_full_drill_restores_the_newest_snapshot_elsewhere_and_sees_what_is_altered(
    prepared: Any, client: Any, database_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client[database_name].things.insert_many([{"_id": n} for n in range(10)])
    client[database_name].things.create_index("a")
    snapshot = backup_here(prepared)["snapshot"]
    before = left(client, prepared.store)
    told = mdr(prepared, "drill", "run", "--full", "--json")
    assert told.code == 0, told.err
    record = told.json
    assert (record["kind"], record["snapshot"], record["oplog"]) == ("full", snapshot, "none")
    assert record["success"] is True and record["rto_seconds"] > 0 and record["rpo_seconds"] >= 0
    assert record["documents"] >= 10 and record["indexes"] >= 2
    assert left(client, prepared.store) == before
    assert not list(jobs.jobs_folder(prepared.profile).glob("*/drilled"))
    (listed,) = mdr(prepared, "snapshots", "list", "--json").json["snapshots"]
    assert listed["restore_tested_at"] is not None

    real = full_drill.restore_under

    def spoiled(lock: Any, part: Any, plan: Any, deployments: Any) -> dict[str, Any]:
        result = real(lock, part, plan, deployments)
        deployments.target[database_name].things.update_one({"_id": 3}, {"$set": {"a": 1}})
        return result

    monkeypatch.setattr(full_drill, "restore_under", spoiled)
    failed = run_here(prepared, "drill", {"store": None, "full": True})[1]
    assert failed.failed is not None and failed.result["problems"] == [
        f"{database_name}.things: documents are not byte for byte what the snapshot has"
    ]
    assert not list(jobs.jobs_folder(prepared.profile).glob("*/drilled"))


def test_a_full_drill_fails_where_nothing_of_the_stream_can_be_read(
    prepared: Any, client: Any, database_name: str
) -> None:
    client[database_name].things.insert_one({"_id": 1})
    backup_here(prepared)
    dead = KafkaConfig.model_validate({"bootstrap": ["127.0.0.1:1"]})
    oplog = prepared.profile.oplog.model_copy(update={"kafka": dead})
    streamed = replace(prepared, profile=prepared.profile.model_copy(update={"oplog": oplog}))
    failed = run_here(streamed, "drill", {"store": None, "full": True})[1]
    assert failed.failed is not None and failed.result["success"] is False
    (problem,) = failed.result["problems"]
    assert "nothing came back of what was written since" in problem and "127.0.0.1:1" in problem
    assert failed.result["snapshot"] is not None and failed.result["rto_seconds"] > 0


@pytest.mark.slow
def test_of_a_full_drill_that_is_killed_the_next_drill_leaves_nothing(
    prepared: Any, client: Any, database_name: str
) -> None:
    client[database_name].things.insert_one({"_id": 1})
    backup_here(prepared)
    killed_in(prepared, "load", full=True)
    (scratch,) = jobs.jobs_folder(prepared.profile).glob("*/drilled")
    assert run_here(prepared, "drill", {"store": None, "full": True})[1].failed is None
    assert not scratch.exists() and not list(processes.below(scratch))
