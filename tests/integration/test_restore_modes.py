"""The modes: swap, in place, beside; taking back and settling; and the cut-over with others at work."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from pymongo.errors import AutoReconnect, PyMongoError
from support import twin
from support.found import events_in
from support.jobs import backup_here, plan_for, restore_here, run_here

from mongo_dr_console.config import load_config
from mongo_dr_console.engines.builtin import cutover, replay
from mongo_dr_console.engines.builtin import restore as engine
from mongo_dr_console.model.plan import Intent
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.trouble import Failed, Refused, WrongUse
from mongo_dr_console.mongo.client import connect
from mongo_dr_console.stores.catalogue import list_snapshots
from mongo_dr_console.stores.local import LocalStore
from mongo_dr_console.workers.plan_sources import open_deployments
from mongo_dr_console.workers.planning import make_plan

pytestmark = pytest.mark.mongod


@pytest.fixture
def db(client: Any, database_name: str) -> Any:
    return client[database_name]


def moment(client: Any) -> str:
    command = {"appendOplogNote": 1, "data": {"test": 1}, "writeConcern": {"w": "majority"}}
    return str(Position.of(client.admin.command(command)["operationTime"]))


def fill(db: Any) -> None:
    db.create_collection("a", validator={"n": {"$exists": True}})
    db.a.insert_many([{"_id": n, "n": n} for n in range(20)])
    db.a.create_index("n", unique=True)
    db.b.insert_many([{"_id": n} for n in range(5)])
    db.command({"create": "v", "viewOn": "a", "pipeline": [{"$match": {"n": 1}}]})


def damage(db: Any) -> None:
    db.a.update_many({}, [{"$set": {"n": {"$add": ["$n", 1000]}}}])
    db.a.create_index("later")
    db.b.drop()
    db.command({"collMod": "v", "viewOn": "a", "pipeline": []})


@pytest.fixture
def scene(client: Any, prepared: Any, db: Any) -> tuple[str, Any, Any]:
    """A snapshot, changes, a limit, and a mistake; the states at the limit and after the mistake."""
    fill(db)
    backup_here(prepared)
    db.a.update_one({"_id": 3}, {"$set": {"in the range": True}})
    limit, good = moment(client), twin.state_of(client, db.name)
    damage(db)
    return limit, good, twin.state_of(client, db.name)


def everything(db: Any) -> dict[str, str]:
    """Name to UUID, or to nothing for a view."""
    return {i["name"]: i["info"]["uuid"].hex() if "uuid" in i["info"] else "" for i in db.list_collections()}


def aside(db: Any) -> list[str]:
    return sorted(n for n in db.list_collection_names() if n.startswith("mdr_aside_"))


def staging(db: Any) -> list[str]:
    return [n for n in db.list_collection_names() if n.startswith("mdr_") and n not in aside(db)]


# Swap, undo, accept


def test_swap_keeps_the_old_and_undo_brings_it_back(
    client: Any, prepared: Any, db: Any, scene: tuple[str, Any, Any]
) -> None:
    limit, good, bad = scene
    before = everything(db)
    plan = plan_for(prepared, through=limit, namespaces=(db.name,))
    effects = {n.target.partition(".")[2]: n.effect for n in plan.namespaces}
    assert "kept aside" in effects["a"] and effects["b"] == "created"
    assert plan.confirm.startswith("test/shared/") and plan.later_writes > 0
    job, outcome = run_here(prepared, "restore", {"plan": plan.to_json()})
    assert twin.differences(twin.state_of(client, db.name), good) == []
    assert staging(db) == [] and aside(db) == [f"mdr_aside_{job}_1"]
    (kept,) = outcome.result["set_aside"]
    assert kept["uuid"] == before["a"] and kept["expected"]
    assert outcome.result["way"] == "write block"

    db.a.insert_one({"_id": "made since", "n": -1})
    db.b.insert_one({"_id": "made since"})
    _, undone = run_here(prepared, "undo", {"job": job})
    assert twin.differences(twin.state_of(client, db.name), bad) == []
    assert everything(db)["a"] == before["a"], "it is the old collection itself"
    assert "b" not in everything(db), "a dropped collection's name is free again"
    assert undone.result["writes_since"] == 2
    kept_as = {a["namespace"]: a["kept_as"] for a in undone.result["set_aside"]}
    for name in "ab":
        held = kept_as[f"{db.name}.{name}"].partition(".")[2]
        assert db[held].count_documents({"_id": "made since"}) == 1

    _, accepted = run_here(prepared, "accept", {"job": job})
    assert len(accepted.result["dropped"]) == 2 and aside(db) == []
    assert twin.differences(twin.state_of(client, db.name), bad) == []


@pytest.mark.parametrize("accepted", [False, True])
def test_restores_of_one_collection_are_taken_back_in_turn(
    client: Any, prepared: Any, db: Any, scene: tuple[str, Any, Any], accepted: bool
) -> None:
    limit, _, bad = scene
    first, _ = restore_here(prepared, through=limit, namespaces=(db.name,))
    db.a.insert_one({"_id": "after the first", "n": -1})
    second, _ = restore_here(prepared, through=limit, namespaces=(f"{db.name}.a",))
    if accepted:
        run_here(prepared, "accept", {"job": second})
    before = everything(db)
    with pytest.raises(Refused) as caught:
        run_here(prepared, "undo", {"job": first})
    assert caught.value.code == "replaced-since" and second in caught.value.hint
    assert everything(db) == before
    if not accepted:
        run_here(prepared, "undo", {"job": second})
        assert db.a.count_documents({"_id": "after the first"}) == 1
        run_here(prepared, "undo", {"job": first})
        assert twin.differences(twin.state_of(client, db.name), bad) == []


def test_what_an_application_put_in_the_place_since_is_set_aside_by_an_undo(
    client: Any, prepared: Any, db: Any, scene: tuple[str, Any, Any]
) -> None:
    limit, _, bad = scene
    job, _ = restore_here(prepared, through=limit, namespaces=(f"{db.name}.a",))
    db.a.drop()
    db.a.insert_one({"_id": "an application's own"})
    _, undone = run_here(prepared, "undo", {"job": job})
    assert twin.differences({"a": twin.state_of(client, db.name)["a"]}, {"a": bad["a"]}) == []
    (kept,) = [a["kept_as"].partition(".")[2] for a in undone.result["set_aside"]]
    assert [d["_id"] for d in db[kept].find()] == ["an application's own"]


def test_accept_settles_it(client: Any, prepared: Any, db: Any, scene: tuple[str, Any, Any]) -> None:
    limit, good, _ = scene
    job, _ = restore_here(prepared, through=limit, namespaces=(db.name,))
    run_here(prepared, "accept", {"job": job})
    assert aside(db) == [] and twin.differences(twin.state_of(client, db.name), good) == []
    with pytest.raises(Refused) as caught:
        run_here(prepared, "undo", {"job": job})
    assert caught.value.code == "already-accepted"
    assert twin.differences(twin.state_of(client, db.name), good) == []
    assert run_here(prepared, "accept", {"job": job})[1].result["dropped"] == []


def test_a_plan_that_time_has_passed_by_is_refused(
    client: Any, prepared: Any, db: Any, scene: tuple[str, Any, Any]
) -> None:
    limit, _, _ = scene
    plan = plan_for(prepared, through=limit, namespaces=(f"{db.name}.a",))
    db.a.insert_one({"_id": "a write", "n": -5})
    assert plan_for(prepared, through=limit, namespaces=(f"{db.name}.a",)).hash == plan.hash
    db.a.drop()
    db.a.insert_one({"_id": "another collection"})
    state = twin.state_of(client, db.name)
    with pytest.raises(Refused) as caught:
        run_here(prepared, "restore", {"plan": plan.to_json()})
    assert caught.value.code == "plan-changed" and "another collection" in str(caught.value)
    assert twin.state_of(client, db.name) == state


# In place


def test_in_place_has_a_safety_snapshot_before_it_drops(
    client: Any, prepared: Any, db: Any, scene: tuple[str, Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    limit, good, bad = scene
    seen: list[bool] = []
    drop = engine.BuiltinRestore._drop_live

    def watched(work: Any) -> None:
        seen.append("a" in everything(db) and len(snapshots(prepared)) == 2)
        drop(work)

    monkeypatch.setattr(engine.BuiltinRestore, "_drop_live", watched)
    job, result = restore_here(prepared, through=limit, namespaces=(db.name,), mode="in-place")
    assert seen == [True]
    assert twin.differences(twin.state_of(client, db.name), good) == []
    assert aside(db) == staging(db) == []
    with pytest.raises(Refused) as caught:
        run_here(prepared, "undo", {"job": job})
    assert caught.value.code == "no-undo"
    # What was dropped can be had back from the safety snapshot.
    restore_here(prepared, snapshot=result["safety_snapshot"], namespaces=(f"{db.name}.a",))
    assert twin.differences({"a": twin.state_of(client, db.name)["a"]}, {"a": bad["a"]}) == []


def snapshots(prepared: Any) -> list[str]:
    return [e.name for e in list_snapshots(LocalStore("local", prepared.store)) if e.problem is None]


# Beside


def test_beside_makes_new_names(client: Any, prepared: Any, db: Any, scene: tuple[str, Any, Any]) -> None:
    limit, good, bad = scene
    plan = plan_for(prepared, through=limit, namespaces=(db.name,), mode="beside")
    assert plan.confirm == "" and not plan.destroys
    job, outcome = run_here(prepared, "restore", {"plan": plan.to_json()})
    stamp = Position.parse(limit).time.strftime("%Y%m%d_%H%M%S")
    found = twin.state_of(client, db.name)
    assert twin.differences({k: v for k, v in found.items() if not k.endswith(stamp)}, bad) == []
    renamed = {k.removesuffix(f"_{stamp}"): v for k, v in found.items() if k.endswith(stamp)}
    assert twin.differences(renamed, good) == []
    assert outcome.result["set_aside"] == [] and staging(db) == []
    with pytest.raises(Refused) as caught:
        plan_for(prepared, through=limit, namespaces=(db.name,), mode="beside")
    assert caught.value.code == "target-exists"
    run_here(prepared, "undo", {"job": job})
    run_here(prepared, "accept", {"job": job})
    found = twin.state_of(client, db.name)
    assert twin.differences({k: v for k, v in found.items() if not k.startswith("v_")}, bad) == []


def test_beside_by_map(client: Any, prepared: Any, db: Any, scene: tuple[str, Any, Any]) -> None:
    limit, good, bad = scene
    there = f"{db.name}_there"
    try:
        pairs = (f"{db.name}={there}", f"{db.name}.b={db.name}.copy of b")
        restore_here(prepared, through=limit, namespaces=(db.name,), mode="beside", renames=pairs)
        found = twin.state_of(client, there)
        assert twin.differences(found, {k: v for k, v in good.items() if k != "b"}) == []
        assert twin.differences(twin.state_of(client, db.name), {**bad, "copy of b": good["b"]}) == []
    finally:
        client.drop_database(there)
    with pytest.raises(WrongUse):
        plan_for(prepared, through=limit, namespaces=(db.name,), renames=(f"{db.name}.a={db.name}.b",))
    with pytest.raises(WrongUse) as caught:
        plan_for(
            prepared, through=limit, namespaces=(db.name,), renames=(f"{db.name}.a={db.name}.{'x' * 255}",)
        )
    assert caught.value.code == "target-too-long"


def test_to_another_deployment(
    client: Any, prepared: Any, db: Any, scene: tuple[str, Any, Any], make_replica_set: Any, tmp_path: Path
) -> None:
    limit, good, bad = scene
    other = make_replica_set(nodes=1, auth=False, set_name="other")
    config_file = add_profile(prepared, other, tmp_path)
    deployments = open_deployments(
        prepared.name, prepared.profile, ("other", load_config(config_file).profiles["other"])
    )
    intent = Intent(through=limit, namespaces=(db.name,), to_profile="other")
    plan = make_plan(prepared.name, prepared.profile, intent, deployments)
    assert plan.identity.set_name == "other" and plan.source_identity.set_name == "shared"
    job, _ = run_here(prepared, "restore", {"plan": plan.to_json()})
    with closing(other.client()) as there:
        assert twin.differences(twin.state_of(there, db.name), good) == []
        assert twin.differences(twin.state_of(client, db.name), bad) == []
        run_here(prepared, "undo", {"job": job})
        assert set(twin.state_of(there, db.name)) <= {"v"}


def add_profile(prepared: Any, replica_set: Any, tmp_path: Path) -> Path:
    uri_file = tmp_path / "other-uri"
    uri_file.touch(mode=0o600)
    uri_file.write_text(replica_set.uri)
    lines = [
        "",
        "[profiles.other]",
        f"uri_file = '{uri_file}'",
        "environment = 'other'",
        "access = 'restore'",
    ]
    config_file: Path = prepared.config_file
    config_file.write_text(config_file.read_text() + "\n".join(lines) + "\n")
    return config_file


# TTL


def test_ttl_indexes_are_built_last(
    client: Any, prepared: Any, db: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    db.s.insert_one({"_id": 1})
    db.s.create_index("at", expireAfterSeconds=3600)
    db.s.create_index("other")
    backup_here(prepared)
    verify = engine.BuiltinRestore._verify
    seen: list[list[str]] = []

    def watched(work: Any, placed: Any) -> None:
        verify(work, placed)
        seen.extend(sorted(i["name"] for i in db[s.name].list_indexes()) for s in placed.values())

    monkeypatch.setattr(engine.BuiltinRestore, "_verify", watched)
    wanted = twin.state_of(client, db.name)
    db.s.drop()
    restore_here(prepared, namespaces=(db.name,))
    assert seen == [["_id_", "other_1"]]
    assert twin.differences(twin.state_of(client, db.name), wanted) == []


# The cut-over with others at work


@contextmanager
def just_before_the_renames(monkeypatch: pytest.MonkeyPatch, hook: Callable[[], object]) -> Iterator[None]:
    """Calls a hook once, after the last look at what is to be renamed."""
    rename = cutover._rename_once
    called: list[bool] = []

    def renaming(client: Any, renames: Any, report: Any, result: Any) -> None:
        if not called:
            called.append(True)
            hook()
        rename(client, renames, report, result)

    with monkeypatch.context() as patched:
        patched.setattr(cutover, "_rename_once", renaming)
        yield
    assert called


@pytest.mark.parametrize("with_auth", [True, False], ids=["write block", "one applyOps"])
def test_a_collection_that_an_application_makes_in_between(
    client: Any,
    prepared: Any,
    db: Any,
    profile_for: Any,
    make_replica_set: Any,
    with_auth: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With the block on, only a user who passes it can do so; without, everybody can."""
    if not with_auth:
        other = make_replica_set(nodes=1, auth=False)
        prepared, client = profile_for(other), other.client()
        db = client[db.name]
    fill(db)
    backup_here(prepared)
    good = twin.state_of(client, db.name)
    limit = moment(client)
    db.b.drop()
    db.a.delete_many({})
    bad = twin.state_of(client, db.name)

    def in_between() -> None:
        db.b.insert_one({"_id": "in between"})
        db.a.drop()
        db.a.insert_one({"_id": "in between", "n": 1})

    with just_before_the_renames(monkeypatch, in_between):
        job, result = restore_here(prepared, through=limit, namespaces=(db.name,))
    assert twin.differences(twin.state_of(client, db.name), good) == []
    assert result["way"] == ("write block" if with_auth else "one applyOps")
    assert [a["expected"] for a in result["set_aside"]] == [False, False]
    for facts in result["set_aside"]:
        kept = facts["kept_as"].partition(".")[2]
        assert [d["_id"] for d in db[kept].find()] == ["in between"]
    # The live one that the plan was made for was dropped by the application: there is nothing to go back to.
    with pytest.raises(Refused):
        run_here(prepared, "undo", {"job": job})
    assert bad["a"] != good["a"]
    if not with_auth:
        client.close()


def test_an_open_transaction_on_the_live_collection(
    client: Any, prepared: Any, db: Any, scene: tuple[str, Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    limit, good, _ = scene
    monkeypatch.setattr(cutover, "RENAME_MS", 200)
    with client.start_session() as session:
        session.start_transaction()
        db.a.insert_one({"_id": "open", "n": -9}, session=session)
        tries: list[int] = []
        sleep = cutover.time.sleep

        def then_it_ends(seconds: float) -> None:
            tries.append(1)
            if len(tries) == 2:
                session.abort_transaction()
            sleep(seconds)

        monkeypatch.setattr(cutover.time, "sleep", then_it_ends)
        restore_here(prepared, through=limit, namespaces=(db.name,))
    assert len(tries) >= 2
    assert twin.differences(twin.state_of(client, db.name), good) == []
    assert not cutover.writes_are_blocked(client)


def test_a_write_block_that_somebody_else_set_stays(
    client: Any, prepared: Any, db: Any, scene: tuple[str, Any, Any]
) -> None:
    limit, good, _ = scene
    client.admin.command({"setUserWriteBlockMode": 1, "global": True})
    try:
        restore_here(prepared, through=limit, namespaces=(db.name,))
        assert cutover.writes_are_blocked(client)
    finally:
        client.admin.command({"setUserWriteBlockMode": 1, "global": False})
    assert twin.differences(twin.state_of(client, db.name), good) == []


def test_names_that_never_come_free(
    client: Any, prepared: Any, db: Any, scene: tuple[str, Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    limit, good, bad = scene
    with monkeypatch.context() as patched:
        patched.setattr(cutover, "_PASSES", 2)
        patched.setattr(cutover, "RENAME_MS", 100)
        with client.start_session() as session:
            session.start_transaction()
            db.a.insert_one({"_id": "open", "n": -9}, session=session)
            with pytest.raises(Failed) as caught:
                restore_here(prepared, through=limit, namespaces=(db.name,))
            session.abort_transaction()
    assert caught.value.code == "cut-over-stuck"
    assert not cutover.writes_are_blocked(client)
    assert twin.differences(twin.state_of(client, db.name), bad) == []
    from support.jobs import resume_here

    from mongo_dr_console.workers import jobs

    (folder,) = [j for j in jobs.list_jobs(jobs.jobs_folder(prepared.profile)) if j.kind == "restore"]
    resume_here(prepared, jobs.find_job(jobs.jobs_folder(prepared.profile), folder.job))
    assert twin.differences(twin.state_of(client, db.name), good) == []


# Without a write block: no acknowledged write is lost


class Tellers:
    """Writers that remember what was acknowledged: key to the newest number."""

    def __init__(self, client: Any, database: str, names: tuple[str, ...]) -> None:
        self.client, self.database, self.names = client, database, names
        self.acknowledged: list[dict[Any, int]] = [{} for _ in names]
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(len(names))]

    def __enter__(self) -> Tellers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def count(self) -> int:
        return sum(len(a) for a in self.acknowledged)

    def _run(self, which: int) -> None:
        collection = self.client[self.database][self.names[which]]
        number = 0
        while not self._stopping.is_set():
            number += 1
            key = f"w{which}-{number // 3}"
            try:
                change = {"$set": {"n": number}}
                collection.update_one({"_id": key}, change, upsert=True)
                self.acknowledged[which][key] = number
            except PyMongoError:
                # Neither written nor not: not counted.
                self.acknowledged[which].pop(key, None)


def test_no_acknowledged_write_is_lost_without_a_write_block(
    make_replica_set: Any, profile_for: Any, database_name: str
) -> None:
    own = make_replica_set(nodes=1, auth=False)
    prepared = profile_for(own)
    with closing(own.client()) as client, closing(connect(own.uri)) as app:
        db = client[database_name]
        for name in "abc":
            db[name].insert_many([{"_id": n, "n": n} for n in range(500)])
        backup_here(prepared)
        with Tellers(app, db.name, ("a", "b", "c")) as tellers:
            wait_until(lambda: tellers.count() > 100)
            db.a.delete_many({"_id": {"$type": "number"}})
            db.b.drop()
            moment(client)
            skip = tuple(
                e.id
                for e in events_in(client, db.name)
                if e.namespace.startswith(db.name) and e.kind in ("drop", "mass-delete")
            )
            assert len(skip) == 2
            _, result = restore_here(prepared, skip=skip)
            since = tellers.count()
            wait_until(lambda: tellers.count() > since + 50)
        assert result["way"] == "one applyOps"
        for which, name in enumerate("abc"):
            found = {d["_id"]: d["n"] for d in db[name].find()}
            told = tellers.acknowledged[which]
            lost = {k: (n, found.get(k)) for k, n in told.items() if found.get(k, -1) < n}
            assert lost == {}, f"{name}: {len(lost)} of {len(told)}"
            assert all(found[n] == n for n in range(500))
        kept = [a for a in result["set_aside"] if not a["expected"]]
        assert kept == [], kept


def wait_until(condition: Callable[[], bool]) -> None:
    wake = threading.Event()
    while not condition():
        wake.wait(0.01)


@pytest.mark.parametrize("late", [True, False])
def test_late_writes_are_carried_over(
    make_replica_set: Any,
    profile_for: Any,
    database_name: str,
    monkeypatch: pytest.MonkeyPatch,
    late: bool,
) -> None:
    """Writes between the last look at the oplog and the renames: without the carrying over they are lost."""
    own = make_replica_set(nodes=1, auth=False)
    prepared = profile_for(own)
    with closing(own.client()) as client:
        db = client[database_name]
        db.a.insert_many([{"_id": n, "n": 0} for n in range(300)])
        backup_here(prepared)
        db.a.delete_many({"_id": {"$lt": 290}})
        moment(client)
        (event,) = [e for e in events_in(client, db.name) if e.namespace == f"{db.name}.a"]

        def in_between() -> None:
            db.a.insert_one({"_id": "late"})
            db.a.update_one({"_id": 298}, {"$set": {"n": 8}})
            db.a.delete_one({"_id": 299})
            with client.start_session() as session, session.start_transaction():
                db.a.insert_one({"_id": "late, in a transaction"}, session=session)

        if not late:
            monkeypatch.setattr(engine, "carry_over_late_writes", lambda *a: {"late_writes": 0})
        with just_before_the_renames(monkeypatch, in_between):
            _, result = restore_here(prepared, skip=(event.id,))
        found = {d["_id"]: d.get("n") for d in db.a.find()}
        assert set(range(290)) <= set(found)
        assert ("late" in found, found[298] == 8, 299 not in found) == (late, late, late)
        assert ("late, in a transaction" in found) == late
        assert result["late_writes"] == (4 if late else 0)


def test_a_primary_lost_while_the_last_writes_are_caught_up_with(
    client: Any, prepared: Any, db: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was on its way to the lost one is sent again: it was not, and was missing afterwards."""
    db.a.insert_many([{"_id": n} for n in range(300)])
    backup_here(prepared)
    db.a.delete_many({"_id": {"$lt": 290}})
    moment(client)
    (event,) = [e for e in events_in(client, db.name) if e.namespace == f"{db.name}.a"]
    catch_up, send, lost = engine.BuiltinRestore._catch_up, replay.Replayer.send, []

    def losing(replayer: Any, actions: Any) -> None:
        if lost == ["soon"]:
            lost.append("now")
            raise AutoReconnect("the primary is gone")
        send(replayer, actions)

    def late(work: Any) -> None:
        if not lost:
            db.a.insert_many([{"_id": f"late {n}"} for n in range(20)])
            lost.append("soon")
        catch_up(work)

    monkeypatch.setattr(replay.Replayer, "send", losing)
    monkeypatch.setattr(engine.BuiltinRestore, "_catch_up", late)
    restore_here(prepared, skip=(event.id,))
    assert lost == ["soon", "now"]
    wanted = {*range(300), *(f"late {n}" for n in range(20))}
    assert set(db.a.distinct("_id")) == wanted


def test_a_primary_lost_between_two_renames(
    client: Any, prepared: Any, db: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Applications find no collection under the name, and make one: what they write there until the cut-over
    goes on belongs to the restored one, also where no event was skipped in it."""
    db.a.insert_many([{"_id": n} for n in range(300)])
    db.b.insert_many([{"_id": n} for n in range(10)])
    backup_here(prepared)
    db.a.delete_many({"_id": {"$lt": 290}})
    moment(client)
    (event,) = [e for e in events_in(client, db.name) if e.namespace == f"{db.name}.a"]
    in_turn, tries = cutover._in_turn, []

    def broken(client: Any, renames: Any) -> Any:
        tries.append(len(renames))
        if len(tries) > 1:
            return in_turn(client, renames)
        in_turn(client, [r for r in renames if cutover.is_set_aside(r.target)])
        raise AutoReconnect("the primary is gone")

    def released(client: Any) -> None:
        release(client)
        if len(tries) == 1:
            db.a.insert_one({"_id": "in between"})
            db.b.insert_one({"_id": "in between"})

    release = cutover.release_write_block
    monkeypatch.setattr(cutover, "_in_turn", broken)
    monkeypatch.setattr(cutover, "release_write_block", released)
    _, result = restore_here(prepared, skip=(event.id,), namespaces=(db.name,))
    assert tries == [4, 4]
    assert set(db.a.distinct("_id")) == {*range(300), "in between"}
    assert set(db.b.distinct("_id")) == {*range(10), "in between"}
    assert sum(not kept["expected"] for kept in result["set_aside"]) == 2
