"""kill -9 of the job, of the primary, of all members, at random points of backup, restore and undo.

After every kill: nothing live is half-done, and when the deployment is back the job is resumed to its end.
``MDR_KILL_ROUNDS`` sets how many kills each test makes, ``MDR_KILL_SEED`` the random points.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pymongo.errors import AutoReconnect, OperationFailure, PyMongoError
from pymongo.write_concern import WriteConcern
from support import twin
from support.found import events_in
from support.jobs import backup_here, plan_for
from support.prepared import PreparedProfile, prepare
from support.writers import Writers, fill

from mongo_dr_console.model.journal import JobStarted
from mongo_dr_console.mongo.client import connect
from mongo_dr_console.mongo.launch import Options, ReplicaSet, User
from mongo_dr_console.stores.catalogue import list_snapshots
from mongo_dr_console.stores.open import open_stores
from mongo_dr_console.workers import jobs

pytestmark = [pytest.mark.mongod, pytest.mark.slow]

ROUNDS = int(os.environ.get("MDR_KILL_ROUNDS", "1"))
SEED = int(os.environ.get("MDR_KILL_SEED", "0")) or random.randrange(1_000_000)
VICTIMS = ("job", "primary", "all")
# All of them where live collections change by a cut-over; elsewhere one by chance, unless more rounds are
# asked for.
SOME_VICTIMS = VICTIMS if ROUNDS > 1 else ("one by chance",)
DATABASE = "killed"
CHANGED_WHILE_READ = {26, 43, 175}
"""NamespaceNotFound, CursorNotFound, QueryPlanKilled: a collection was dropped or renamed between batches,
or the primary is another one."""


@dataclass
class Stage:
    """A deployment with a snapshot, a mistake after it, and the states that may be seen."""

    replica_set: Any
    prepared: Any
    before: dict[str, Any]
    after: dict[str, Any]
    limit: str
    luck: random.Random

    def client(self) -> Any:
        return connect(self.replica_set.uri, seconds=60)

    def state(self) -> dict[str, Any]:
        """As it is now. A job may cut over while it is read, so it is read until two readings agree."""
        with closing(self.client()) as client:
            last = None
            while True:
                try:
                    found = twin.state_of(client, DATABASE)
                except AutoReconnect:
                    continue
                except OperationFailure as error:
                    if error.code not in CHANGED_WHILE_READ:
                        raise
                    continue
                if found == last:
                    return found
                last = found


@pytest.fixture(scope="module")
def stage(mongod: Path, sets_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One for all kills: each test leaves it as it found it, but for those in place, which come late."""
    app = User.new("app", ["readWriteAnyDatabase", "dbAdminAnyDatabase"])
    replica_set = ReplicaSet.launch(sets_folder / "kills", Options(set_name="kills", users=(app,)))
    folder = tmp_path_factory.mktemp("kills")
    try:
        yield _set_up(replica_set, prepare(folder, replica_set.uri, folder / "state"))
    finally:
        replica_set.close()


def _set_up(replica_set: ReplicaSet, prepared: PreparedProfile) -> Stage:
    luck = random.Random(SEED)
    print(f"seed {SEED}")
    with closing(replica_set.client()) as client:
        fill(client, DATABASE, documents=12_000)
        client[DATABASE].copies.insert_many([{"_id": n, "x": "y" * 50} for n in range(20_000)])
        client[DATABASE].copies.create_index("x")
        with Writers(client, DATABASE) as writers:
            backup_here(prepared)
            writers.wait_for(300)
        before = twin.state_of(client, DATABASE)
        reply = client[DATABASE].command(
            {"delete": "orders", "deletes": [{"q": {"n": {"$lt": 5}}, "limit": 0}], "writeConcern": {"w": 3}}
        )
        assert reply["n"] > 10_000
        first = client.local["oplog.rs"].find_one(
            {"op": "d", "ns": f"{DATABASE}.orders", "lsid": None}, {"ts": 1}
        )
        client[DATABASE].copies.update_many({"_id": {"$lt": 50}}, {"$set": {"later": True}})
        after = twin.state_of(client, DATABASE)
    limit = f"{first['ts'].time}:{first['ts'].inc}"
    return Stage(replica_set, prepared, before, after, limit, luck)


def kill_within(stage: Stage, folder: jobs.JobFolder, victim: str) -> None:
    """Waits for a random line of the journal, a random moment more, and kills."""
    wanted = stage.luck.randrange(2, 26)
    deadline = time.monotonic() + 180
    while len(jobs.read_lines(folder)) < wanted and time.monotonic() < deadline:
        if not jobs.is_alive(folder):
            return
        time.sleep(0.01)
    time.sleep(stage.luck.random() * 0.3)
    victim = victim if victim in VICTIMS else stage.luck.choice(VICTIMS)
    if victim == "job":
        started = [line.event for line in jobs.read_lines(folder) if isinstance(line.event, JobStarted)]
        if jobs.is_alive(folder):
            with suppress(ProcessLookupError):  # it has just come to its end
                os.kill(started[-1].pid, signal.SIGKILL)
    elif victim == "primary":
        stage.replica_set.kill(stage.replica_set.primary_index())
    else:
        stage.replica_set.kill_all()


def revive(stage: Stage) -> None:
    stage.replica_set.start_all()
    stage.replica_set.wait_for_primary()


def settle(stage: Stage, folder: jobs.JobFolder) -> str:
    """Waits for the job's end and resumes it until it is done; returns its state, or why it cannot go on."""
    for _ in range(6):
        for _line in jobs.follow(folder):
            pass
        view = jobs.load(folder)
        if view.state == "done":
            return "done"
        jobs.resume(folder)
    view = jobs.load(folder)
    return f"{view.state}: {view.error}"


def start(stage: Stage, kind: str, request: dict[str, Any]) -> jobs.JobFolder:
    prepared = stage.prepared
    folder = jobs.create(prepared.name, prepared.profile, prepared.config_file, kind, request)
    jobs.launch(folder)
    return folder


def one_of(state: dict[str, Any], allowed: list[dict[str, Any]]) -> list[str]:
    """Every collection must be as in one of the allowed states; absent where one of them says so."""
    wrong = []
    for name in sorted({n for a in allowed for n in a} | set(state)):
        if not any(state.get(name) == a.get(name) for a in allowed):
            wrong.append(f"{name}: {twin.differences({name: state.get(name)}, {name: allowed[0].get(name)})}")
    return wrong


@pytest.mark.parametrize("victim", SOME_VICTIMS)
def test_backup(stage: Stage, victim: str) -> None:
    for _ in range(ROUNDS):
        known = {e.name for s in open_stores(stage.prepared.profile).values() for e in list_snapshots(s)}
        folder = start(stage, "backup", {"stores": None, "compression": "gzip", "databases": None})
        kill_within(stage, folder, victim)
        for store in open_stores(stage.prepared.profile).values():
            # Whatever is listed is whole.
            assert all(e.problem is None for e in list_snapshots(store))
        revive(stage)
        assert settle(stage, folder) == "done"
        entries = [e for s in open_stores(stage.prepared.profile).values() for e in list_snapshots(s)]
        assert len({e.name for e in entries} - known) >= 1
        assert all(e.problem is None for e in entries)


@pytest.mark.parametrize("victim", SOME_VICTIMS)
def test_merge_and_undo(stage: Stage, victim: str) -> None:
    """Before those that swap: what was swapped since the event is another collection."""

    def orders(state: dict[str, Any]) -> set[bytes]:
        return set(state["orders"][0])

    with closing(stage.client()) as client:
        (event,) = (
            e
            for e in events_in(client, DATABASE)
            if e.namespace == f"{DATABASE}.orders" and e.kind == "mass-delete" and e.selector.session is None
        )
    wanted = {**stage.after, "orders": (stage.before["orders"][0], *stage.after["orders"][1:])}
    for _ in range(ROUNDS):
        plan = plan_for(stage.prepared, mode="merge", skip=(event.id,))
        folder = start(stage, "restore", {"plan": plan.to_json()})
        kill_within(stage, folder, victim)
        revive(stage)
        assert orders(stage.after) <= orders(stage.state()) <= orders(stage.before)
        outcome = settle(stage, folder)
        assert outcome == "done", outcome
        assert twin.differences(stage.state(), wanted) == []
        undo = start(stage, "undo", {"job": folder.id})
        kill_within(stage, undo, victim)
        revive(stage)
        assert orders(stage.after) <= orders(stage.state()) <= orders(stage.before)
        outcome = settle(stage, undo)
        assert outcome == "done", outcome
        assert twin.differences(stage.state(), stage.after) == []
        nothing_left(stage)


@pytest.mark.parametrize("victim", VICTIMS)
def test_swap_and_undo(stage: Stage, victim: str) -> None:
    finished = 0
    for _ in range(ROUNDS):
        plan = plan_for(stage.prepared, before=stage.limit, namespaces=(DATABASE,))
        folder = start(stage, "restore", {"plan": plan.to_json()})
        kill_within(stage, folder, victim)
        revive(stage)
        assert one_of(stage.state(), [stage.after, stage.before]) == []
        outcome = settle(stage, folder)
        assert outcome == "done", outcome
        assert twin.differences(stage.state(), stage.before) == []
        undo = start(stage, "undo", {"job": folder.id})
        kill_within(stage, undo, victim)
        revive(stage)
        assert one_of(stage.state(), [stage.after, stage.before]) == []
        outcome = settle(stage, undo)
        assert outcome == "done", outcome
        assert twin.differences(stage.state(), stage.after) == []
        assert settle(stage, start(stage, "accept", {"job": folder.id})) == "done"
        finished += 1
        nothing_left(stage)
    assert finished == ROUNDS


def nothing_left(stage: Stage) -> None:
    """No staging collection, nothing set aside, no lock, no write block."""
    with closing(stage.client()) as client:
        assert [n for n in client[DATABASE].list_collection_names() if n.startswith("mdr_")] == []
        assert client.mongo_dr.locks.find_one({"_id": "restore"}) is None
        assert client.admin.command("serverStatus")["repl"]["userWriteBlockMode"] == 1


@pytest.mark.parametrize("victim", SOME_VICTIMS)
def test_beside(stage: Stage, victim: str) -> None:
    for n in range(ROUNDS):
        mapping = (f"{DATABASE}=beside_{n}",)
        plan = plan_for(
            stage.prepared, before=stage.limit, namespaces=(DATABASE,), mode="beside", renames=mapping
        )
        folder = start(stage, "restore", {"plan": plan.to_json()})
        kill_within(stage, folder, victim)
        revive(stage)
        assert twin.differences(stage.state(), stage.after) == []
        outcome = settle(stage, folder)
        assert outcome == "done", outcome
        with closing(stage.client()) as client:
            assert twin.differences(twin.state_of(client, f"beside_{n}"), stage.before) == []
            client.drop_database(f"beside_{n}")


@pytest.mark.parametrize("victim", SOME_VICTIMS)
def test_in_place(stage: Stage, victim: str) -> None:
    for _ in range(ROUNDS):
        plan = plan_for(stage.prepared, before=stage.limit, namespaces=(DATABASE,), mode="in-place")
        folder = start(stage, "restore", {"plan": plan.to_json()})
        kill_within(stage, folder, victim)
        revive(stage)
        # The plan said that the live collections are dropped: absent is allowed, half-filled is not.
        assert one_of(stage.state(), [stage.after, stage.before, {}]) == []
        outcome = settle(stage, folder)
        assert outcome == "done", outcome
        assert twin.differences(stage.state(), stage.before) == []
        nothing_left(stage)


@pytest.mark.parametrize("victim", SOME_VICTIMS)
def test_skip_with_writers(stage: Stage, victim: str) -> None:
    """Following to the cut-over, with an application that goes on writing through all of it: every write it
    got an acknowledgement for (by a majority) is there in the end."""
    database = f"skip_{victim.partition(' ')[0]}"
    with closing(stage.client()) as client:
        fill(client, database, documents=12_000)
        backup_here(stage.prepared)
        client[database].orders.delete_many({"_id": {"$type": "number"}})
        event = next(e for e in events_in(client, database) if e.namespace == f"{database}.orders")
    for number in range(ROUNDS):
        plan = plan_for(stage.prepared, skip=(event.id,))
        with Ledgered(stage, database, number) as ledger:
            folder = start(stage, "restore", {"plan": plan.to_json()})
            kill_within(stage, folder, victim)
            revive(stage)
            outcome = settle(stage, folder)
            assert outcome == "done", outcome
        with closing(stage.client()) as client:
            orders = client[database].orders
            there = set(orders.distinct("_id", {"_id": {"$regex": f"^ledger{number}-"}}))
            assert ledger.acknowledged and ledger.acknowledged - there == set()
            assert orders.count_documents({"_id": {"$type": "number"}}) == 12_000
        assert settle(stage, start(stage, "accept", {"job": folder.id})) == "done"
        nothing_left(stage)


class Ledgered:
    """One writer that remembers what a majority acknowledged."""

    def __init__(self, stage: Stage, database: str, number: int) -> None:
        self._stage, self._database, self._number = stage, database, number
        self.acknowledged: set[str] = set()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Ledgered:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        replica_set = self._stage.replica_set
        uri = replica_set.user_uri(replica_set.options.users[0])
        with closing(connect(uri, seconds=5)) as client:
            orders = client[self._database].get_collection(
                "orders", write_concern=WriteConcern("majority", wtimeout=5000)
            )
            count = 0
            while not self._stopping.is_set():
                count += 1
                key = f"ledger{self._number}-{count}"
                try:
                    orders.insert_one({"_id": key, "no": key, "n": 9})
                    self.acknowledged.add(key)
                except PyMongoError:
                    time.sleep(0.05)
                time.sleep(0.005)
