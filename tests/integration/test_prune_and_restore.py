"""A restore says in the stores what it reads, for as long as it reads it; a drop is offered a hold."""

from __future__ import annotations

import shlex
from contextlib import contextmanager
from typing import Any

import pytest
from support.jobs import backup_here, mdr, plan_for, run_here

from mongo_dr_console.model.retention import Use
from mongo_dr_console.stores.claims import uses
from mongo_dr_console.stores.local import LocalStore
from mongo_dr_console.workers import run_restore

pytestmark = pytest.mark.mongod


def test_what_a_restore_reads_is_claimed_until_it_ends(
    prepared: Any, client: Any, database_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    db = client[database_name]
    db.a.insert_one({"_id": 1})
    name = backup_here(prepared)["snapshot"]
    db.a.insert_one({"_id": 2})
    db.a.delete_one({"_id": 1})
    store, seen = LocalStore("local", prepared.store), list[Use]()
    open_oplog = run_restore._Oplog

    @contextmanager
    def looking(*words: Any) -> Any:
        seen.extend(uses(store))
        with open_oplog(*words) as saved:
            yield saved

    plan = plan_for(prepared, namespaces=(database_name,), through="latest")
    monkeypatch.setattr(run_restore, "_Oplog", looking)
    job, _ = run_here(prepared, "restore", {"plan": plan.to_json()})
    (use,) = seen
    assert (use.snapshot, use.start, use.end) == (name, plan.snapshot.end, plan.limit.position)
    assert use.who.startswith(f"restore {job} of ")
    assert uses(store) == [], "and no longer"
    assert [d["_id"] for d in db.a.find()] == [2]


def test_a_drop_is_offered_a_hold_and_held(prepared: Any, client: Any, database_name: str) -> None:
    db = client[database_name]
    db.gone.insert_many([{"_id": n} for n in range(3)])
    backup_here(prepared)
    db.gone.drop()
    found = mdr(prepared, "find", "--ns", f"{database_name}.gone")
    (offered,) = [line for line in found.out.splitlines() if "hold add" in line]
    command, option, profile, *words = shlex.split(offered)
    assert (command, option, profile) == ("mdr", "--profile", prepared.name)
    held = mdr(prepared, *words)
    assert held.code == 0, held.err
    (hold,) = mdr(prepared, "hold", "list", "--json").json["holds"]
    (event,) = mdr(prepared, "find", "--ns", f"{database_name}.gone", "--json").json["events"]
    assert (hold["start"], hold["end"]) == (event["before"], event["last"])
