"""The command line as a contract: one recovery from the first look to the last, every document held to its
model and to the names that are relied on from outside."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel
from support.jobs import Answer
from support.jobs import mdr as command

from mongo_dr_console.model import documents
from mongo_dr_console.model.finding import DoctorDocument
from mongo_dr_console.model.jobview import JobDocument, JobsDocument
from mongo_dr_console.model.plan import Plan
from mongo_dr_console.model.statusdoc import CoverageDocument, StatusDocument
from mongo_dr_console.mongo.launch import ReplicaSet

if TYPE_CHECKING:
    from conftest import ProfileFor

pytestmark = pytest.mark.mongod

RELIED_ON: dict[type[BaseModel], set[str]] = {
    documents.BackupDocument: {"snapshot", "documents", "bytes", "stored_bytes", "seconds", "window"},
    documents.SnapshotsDocument: {"snapshots"},
    CoverageDocument: {
        *("ranges", "gaps", "branches", "latest", "margin_seconds", "rpo_seconds", "rpo_undo_seconds"),
    },
    documents.FindDocument: {"events"},
    Plan: {
        *("id", "hash", "confirm", "identity", "snapshot", "limit", "last_applied", "first_not_applied"),
        *("skipped", "namespaces", "operations", "later_writes", "lost_seconds", "estimate_seconds"),
        "hazards",
    },
    JobDocument: {"job", "kind", "state", "steps", "error"},
    documents.FailureDocument: {"error"},
}
"""Names that scripts use: they stay."""

POSITION = re.compile(r"\d{1,10}:\d{1,10}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_POSITIONS = ("position", "last", "latest", "committed", "oldest", "newest", "start", "end", "last_applied")
_TIMES = ("time", "now", "at", "next_try", "primary_since", "lag_until")


@dataclass
class Cli:
    """The command as a process, and what every answer must keep to."""

    prepared: Any

    def ask(self, model: type[BaseModel], *words: str, code: int | tuple[int, ...] = 0) -> dict[str, Any]:
        """Runs it with ``--json`` and holds the one document on stdout to its model."""
        answer = command(self.prepared, *words, "--json")
        assert answer.code in (code if isinstance(code, tuple) else (code,)), answer
        found = answer.json
        again = model.model_validate(found).model_dump(mode="json", by_alias=True)
        assert again == found, "a field that the model does not know, or another form of a value"
        assert set(found) >= RELIED_ON.get(model, set())
        assert model is documents.FailureDocument or found["schema"].startswith("mdr.")
        check_forms(found)
        return found

    def tell(self, *words: str, code: int = 0) -> Answer:
        answer = command(self.prepared, *words)
        assert answer.code == code, answer
        return answer


def check_forms(value: Any, name: str = "") -> None:
    """Positions and times have one form, whatever document they stand in."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key not in ("document", "config", "intent"):
                check_forms(inner, key)
    elif isinstance(value, list):
        for inner in value:
            check_forms(inner, name)
    elif isinstance(value, str):
        if name in _TIMES or name.endswith("_at"):
            assert TIME.fullmatch(value), (name, value)
        elif name in _POSITIONS and value[:1].isdigit() and "_" not in value:
            assert POSITION.fullmatch(value), (name, value)


@pytest.fixture
def cli(replica_set: ReplicaSet, profile_for: ProfileFor) -> Cli:
    return Cli(profile_for(replica_set))


@pytest.fixture
def shop(replica_set: ReplicaSet, database_name: str) -> Iterator[Any]:
    with closing(replica_set.client()) as client:
        shop = client[database_name]
        shop.orders.insert_many([{"_id": n, "state": "new"} for n in range(500)])
        shop.orders.create_index("state")
        shop.items.insert_many([{"_id": n} for n in range(50)])
        yield shop


@pytest.mark.slow
def test_a_recovery_from_the_first_look_to_the_last(cli: Cli, shop: Any, tmp_path: Path) -> None:
    look_around(cli)
    snapshot = take_and_verify(cli)
    event = lose(cli, shop)
    job = bring_back(cli, shop, event, tmp_path)
    undo_and_settle(cli, shop, job)
    cover(cli, snapshot)


def look_around(cli: Cli) -> None:
    checked = cli.ask(documents.ConfigCheckDocument, "config", "check")
    assert (checked["profiles"], checked["warnings"]) == (["test"], [])
    path = cli.ask(documents.ConfigPathDocument, "config", "path")
    assert path["path"] == str(cli.prepared.config_file) and path["exists"]
    shown = cli.ask(documents.ConfigDocument, "config", "show")
    assert shown["config"]["profiles"]["test"]["access"] == "restore"
    assert cli.ask(documents.SnapshotsDocument, "snapshots", "list")["snapshots"] == []
    status = cli.ask(StatusDocument, "status", code=2)
    assert status["verdict"]["level"] == "critical", "without a backup nothing can be got back"
    assert status["rpo_seconds"] is None and status["readings"]["set"]["value"]["primary"]
    cli.ask(DoctorDocument, "doctor", code=(0, 1))
    roles = cli.ask(documents.RolesDocument, "doctor", "--print-roles")
    assert [r["access"] for r in roles["roles"]] == ["watch", "operate", "restore"]
    lock = cli.ask(documents.UnlockDocument, "jobs", "unlock")
    assert (lock["unlocked"], lock["lock"]) == (False, None)


def take_and_verify(cli: Cli) -> str:
    taken = cli.ask(documents.BackupDocument, "backup")
    assert taken["state"] == "done" and taken["error"] is None and taken["documents"] >= 550
    assert set(taken["window"]) == {"start", "end"}
    (row,) = cli.ask(documents.SnapshotsDocument, "snapshots", "list")["snapshots"]
    wanted = {"name", "stores", "age_seconds", "stored_bytes", "documents"}
    assert set(row) >= wanted | {"verified", "restore_tested_at", "origin"}
    assert (row["name"], row["verified"], row["origin"]) == (taken["snapshot"], False, "mongo-dr-console")
    page = cli.ask(documents.SnapshotPage, "snapshots", "show", "latest")
    assert page["window"] == taken["window"] and page["collections"]
    verified = cli.ask(documents.VerificationDocument, "snapshots", "verify", "latest", "--level", "3")
    assert verified["good"] and verified["stores"][0]["documents"] == taken["documents"]
    return str(taken["snapshot"])


def lose(cli: Cli, shop: Any) -> dict[str, Any]:
    """Something is written after the snapshot, the collection is dropped, and the application goes on."""
    shop.orders.insert_one({"_id": "late"})
    shop.orders.drop()
    shop.orders.insert_one({"_id": "after"})
    found = cli.ask(documents.FindDocument, "find", "--since", "-10m", "--ns", f"{shop.name}.*")
    (event,) = found["events"]
    wanted = {"id", "position", "last", "operations", "time", "namespace", "kind", "documents", "before"}
    assert set(event) >= wanted
    assert (event["kind"], event["namespace"], event["documents"]) == ("drop", f"{shop.name}.orders", 501)
    history = cli.ask(documents.HistoryDocument, "find", "--ns", f"{shop.name}.orders", "--id", "late")
    assert [c["operation"] for c in history["history"]][-3:-1] == ["i", "drop"]
    return dict(event)


def bring_back(cli: Cli, shop: Any, event: dict[str, Any], folder: Path) -> str:
    scope = ("--skip", event["id"], "--ns", f"{shop.name}.orders")
    plan = cli.ask(Plan, "restore", "plan", *scope)
    assert set(plan["limit"]) >= {"position", "bound"}
    (planned,) = plan["namespaces"]
    assert set(planned) >= {"from", "to", "mode", "documents", "bytes", "effect"}
    assert plan["confirm"] == f"test/shared/{shop.name}.orders"
    file = folder / "plan.json"
    file.write_text(json.dumps(plan), encoding="utf-8")
    refused = cli.ask(documents.FailureDocument, "restore", "run", *scope, code=4)
    assert set(refused["error"]) == {"code", "message", "hint"}
    wrong = ("restore", "run", "--plan", str(file), "--confirm", "test/shared/all")
    assert cli.ask(documents.FailureDocument, *wrong, code=4)["error"]["code"] == "not-confirmed"
    assert shop.orders.count_documents({}) == 1, "nothing was changed"
    right = (*wrong[:-1], plan["confirm"])
    job = cli.ask(JobDocument, *right)
    assert (job["kind"], job["state"], job["error"]) == ("restore", "done", None)
    result = documents.RestoreResult.model_validate(job["result"])
    assert set(job["result"]) <= set(result.model_dump(by_alias=True)), "every field is documented"
    assert result.skipped == [event["id"]] and result.take_back and result.settle
    assert shop.orders.count_documents({}) == 502
    return str(job["job"])


def undo_and_settle(cli: Cli, shop: Any, job: str) -> None:
    undone = cli.ask(JobDocument, "restore", "undo", job)
    assert documents.UndoResult.model_validate(undone["result"]).undone == job
    assert shop.orders.count_documents({}) == 1
    settled = cli.ask(JobDocument, "restore", "accept", job)
    assert documents.AcceptResult.model_validate(settled["result"]).dropped
    kinds = [j["kind"] for j in cli.ask(JobsDocument, "jobs", "list")["jobs"]]
    assert kinds == ["accept", "undo", "restore", "verify", "backup"]
    shown = cli.ask(JobDocument, "jobs", "show", job)
    assert shown == cli.ask(JobDocument, "jobs", "attach", job), "one that has ended is told again"


def cover(cli: Cli, snapshot: str) -> None:
    coverage = cli.ask(CoverageDocument, "coverage")
    assert set(coverage["ranges"][0]) == {"start", "end", "sources"}
    assert coverage["ranges"][0]["sources"] == [f"snapshot:{snapshot}", "live"]
    # What other tests write into the shared set decides how long its oplog lasts, and so how bad it is.
    status = cli.ask(StatusDocument, "status", code=(0, 1, 2))
    assert status["rpo_undo_seconds"] is not None and status["rto_seconds"] is not None


def test_results_are_on_stdout_and_all_else_on_stderr(cli: Cli, shop: Any) -> None:
    only = ("--db", shop.name)
    taken = cli.tell("backup", *only)
    assert taken.out.startswith("Job ") and "snapshot" in taken.out and "attach" not in taken.out
    assert "Ctrl-C detaches" in taken.err
    detached = cli.tell("backup", *only, "--detach")
    (job,) = re.findall(r"^Job ([0-9a-f]{8}) \(backup\) is at work\.\n$", detached.out)
    assert f"mdr jobs attach {job}" in detached.err
    attached = cli.tell("jobs", "attach", job)
    assert attached.out.startswith(f"Job {job} (backup): done")
    started = cli.ask(JobDocument, "backup", *only, "--detach")
    assert cli.ask(JobDocument, "jobs", "attach", started["job"])["state"] == "done"
    for words in (("snapshots", "list"), ("coverage",), ("config", "path"), ("jobs", "list")):
        answer = cli.tell(*words)
        assert answer.out and not answer.err, words


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("restore", "plan", "--mode", "sideways"), 2),
        (("restore", "plan", "--before", "2026-11-22T02:11:31"), 2),
        (("snapshots", "show", "20200101_000000"), 2),
        (("jobs", "show", "ffffffff"), 2),
        (("restore", "undo", "ffffffff"), 2),
        (("nonsense",), 2),
        (("status", "--nonsense"), 3),
        (("doctor", "--nonsense"), 3),
    ],
)
def test_every_failure_is_one_document_with_its_exit_code(
    cli: Cli, words: tuple[str, ...], code: int
) -> None:
    error = cli.ask(documents.FailureDocument, *words, code=code)["error"]
    assert set(error) == {"code", "message", "hint"} and error["message"]


@pytest.mark.parametrize("access", ["watch", "operate"])
def test_what_the_profile_does_not_allow_is_refused(cli: Cli, access: str) -> None:
    text = cli.prepared.config_file.read_text(encoding="utf-8")
    cli.prepared.config_file.write_text(text.replace("'restore'", f"'{access}'"), encoding="utf-8")
    for words in (("restore", "run"), ("restore", "undo", "x"), ("jobs", "unlock")):
        assert cli.ask(documents.FailureDocument, *words, code=4)["error"]["code"] == "access"


@pytest.mark.slow
def test_what_does_not_answer_ends_with_3(cli: Cli) -> None:
    uri_file = cli.prepared.config_file.with_name("uri")
    uri_file.write_text("mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=300", encoding="utf-8")
    cli.ask(documents.FailureDocument, "find", code=3)
    cli.ask(documents.FailureDocument, "restore", "plan", code=(2, 3))
    status = cli.ask(StatusDocument, "status", code=2)
    assert status["readings"]["set"]["value"] is None and status["readings"]["set"]["error"]["code"]


@pytest.mark.parametrize("group", ["", "restore", "snapshots", "jobs", "sandbox", "config"])
def test_a_group_without_a_verb_shows_its_help_and_does_nothing(group: str, state_dir: Path) -> None:
    words = [sys.executable, "-m", "mongo_dr_console", *([group] if group else [])]
    done = subprocess.run(words, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"Usage: mdr {group}".rstrip())
    assert not any(state_dir.iterdir())
