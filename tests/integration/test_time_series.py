"""Time series: restored through their buckets, since the server can give them no other name."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support import twin
from support.found import events_in
from support.jobs import backup_here, plan_for, restore_here, resume_here, run_here

from mongo_dr_console.engines.builtin import restore, series
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.trouble import Failed, Refused
from mongo_dr_console.workers import jobs
from mongo_dr_console.workers.context import JobOutcome

pytestmark = pytest.mark.mongod

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def db(client: Any, database_name: str) -> Any:
    return client[database_name]


def moment(client: Any) -> str:
    command = {"appendOplogNote": 1, "data": {"test": 1}, "writeConcern": {"w": "majority"}}
    return str(Position.of(client.admin.command(command)["operationTime"]))


def measure(db: Any, name: str, first: int, count: int) -> None:
    db[name].insert_many(
        [
            {"at": BEGIN + timedelta(minutes=n), "where": {"room": n % 3}, "t": n}
            for n in range(first, first + count)
        ]
    )


def make(db: Any, name: str, **options: Any) -> None:
    db.create_collection(name, timeseries={"timeField": "at", "metaField": "where"}, **options)


def buckets(db: Any, name: str) -> dict[str, Any]:
    """The buckets too, byte for byte, not only what a query unpacks from them."""
    return twin.state_of(db.client, db.name) | {
        "buckets": sorted(d.raw for d in _raw(db, f"system.buckets.{name}").find()),
    }


def _raw(db: Any, name: str) -> Any:
    return db.get_collection(name, codec_options=twin.RAW)


@pytest.fixture
def scene(client: Any, prepared: Any, db: Any) -> tuple[str, dict[str, Any]]:
    """A series in a snapshot; all that can happen to one after it; a limit; and a mistake."""
    make(db, "weather", expireAfterSeconds=1_000_000_000)
    db.weather.create_index([("where.room", 1), ("at", -1)])
    measure(db, "weather", 0, 200)
    db.plain.insert_one({"_id": 1})
    make(db, "gone")
    measure(db, "gone", 0, 5)
    db.command({"create": "rooms", "viewOn": "weather", "pipeline": [{"$match": {"where.room": 1}}]})
    backup_here(prepared)
    measure(db, "weather", 200, 50)
    db.weather.delete_many({"where.room": 2})
    db.command({"collMod": "weather", "timeseries": {"granularity": "hours"}})
    db.command({"collMod": "weather", "expireAfterSeconds": 1_200_000_000})
    db.weather.create_index("t", name="by value")
    db.weather.create_index("where.room", name="by room")
    db.gone.drop()
    make(db, "late", collation={"locale": "sv"})
    measure(db, "late", 0, 30)
    limit, good = moment(client), buckets(db, "weather")
    db.weather.delete_many({})
    return limit, good


def test_it_is_dropped_and_made_again_where_it_is_live(
    client: Any, prepared: Any, db: Any, scene: tuple[str, dict[str, Any]]
) -> None:
    limit, good = scene
    live = db["system.buckets.late"].options()
    plan = plan_for(prepared, through=limit, namespaces=(db.name,))
    named = {n.target.partition(".")[2]: n for n in plan.namespaces}
    assert set(named) == {"weather", "late", "rooms", "plain"}
    assert named["plain"].mode == "swap"
    assert named["weather"].kind == "timeseries" and named["weather"].mode == "in-place"
    assert "DROPPED (0 buckets)" in named["weather"].effect
    assert {h.severity for h in plan.hazards if h.code == "time-series"} == {"danger"}
    assert "weather" in "".join(h.text for h in plan.hazards)
    assert plan.confirm, "something is destroyed"
    assert any("safety snapshot" in step for step in plan.steps)
    job, outcome = run_here(prepared, "restore", {"plan": plan.to_json()})
    assert outcome.partial is None
    assert twin.differences(buckets_state(db), good_state(good)) == []
    assert buckets(db, "weather")["buckets"] == good["buckets"]
    assert db["system.buckets.late"].options() == live
    assert outcome.result["safety_snapshot"] is not None
    assert outcome.result["time_series"] == [f"{db.name}.late", f"{db.name}.weather"]
    assert [n for n in db.list_collection_names() if n.startswith("mdr_")] == [f"mdr_aside_{job}_1"]
    measure(db, "weather", 300, 3)
    assert db.weather.count_documents({"t": {"$gte": 300}}) == 3


def buckets_state(db: Any) -> dict[str, Any]:
    return twin.state_of(db.client, db.name)


def good_state(good: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in good.items() if k != "buckets"}


def test_into_an_empty_place_nothing_is_destroyed(
    client: Any, prepared: Any, db: Any, scene: tuple[str, dict[str, Any]]
) -> None:
    limit, good = scene
    client.drop_database(db.name)
    plan = plan_for(prepared, through=limit, namespaces=(db.name,))
    assert plan.confirm == "" and not [h for h in plan.hazards if h.severity == "danger"]
    run_here(prepared, "restore", {"plan": plan.to_json()})
    assert twin.differences(buckets_state(db), good_state(good)) == []
    assert buckets(db, "weather")["buckets"] == good["buckets"]


def test_beside_and_into_another_database(
    client: Any, prepared: Any, db: Any, scene: tuple[str, dict[str, Any]]
) -> None:
    limit, good = scene
    before = buckets(db, "weather")
    other = f"{db.name}_there"
    try:
        restore_here(
            prepared, through=limit, namespaces=(db.name,), renames=(f"{db.name}={other}",), mode="beside"
        )
        assert twin.differences(twin.state_of(client, other), good_state(good)) == []
        with pytest.raises(Refused) as caught:
            plan_for(
                prepared, through=limit, namespaces=(db.name,), renames=(f"{db.name}={other}",), mode="beside"
            )
        assert caught.value.code == "target-exists"
    finally:
        client.drop_database(other)
    ns = f"{db.name}.weather"
    restore_here(prepared, through=limit, namespaces=(ns,), mode="beside")
    (made,) = [n for n in db.list_collection_names() if n.startswith("weather_2")]
    assert sorted(d.raw for d in _raw(db, f"system.buckets.{made}").find()) == good["buckets"]
    assert buckets(db, "weather")["buckets"] == before["buckets"]


@pytest.mark.parametrize("where", ["make", "fill", "complete"])
def test_a_job_that_died_on_it_goes_on(
    client: Any,
    prepared: Any,
    db: Any,
    scene: tuple[str, dict[str, Any]],
    where: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Before it is made, while it is filled and once it is full: what was there is dropped once."""
    limit, good = scene
    plan = plan_for(prepared, through=limit, namespaces=(f"{db.name}.weather",))
    real = getattr(series, where)

    def dies(*arguments: Any, **more: Any) -> Any:
        if where == "fill":
            next(iter(real(*arguments, **more)))
        elif where == "make":
            client[db.name].drop_collection("weather")
        raise Died

    with monkeypatch.context() as patched, pytest.raises(Died):
        patched.setattr(series, where, dies)
        run_here(prepared, "restore", {"plan": plan.to_json()})
    resume(prepared)
    assert buckets(db, "weather")["buckets"] == good["buckets"]
    assert twin.state_of(client, db.name)["weather"] == good["weather"]


def resume(prepared: Any) -> JobOutcome:
    """Goes on with the one restore that there was."""
    root = jobs.jobs_folder(prepared.profile)
    (died,) = [view.job for view in jobs.list_jobs(root) if view.kind == "restore"]
    return resume_here(prepared, jobs.find_job(root, died))


class Died(BaseException):
    """As by kill -9."""


def test_a_collection_that_an_application_makes_of_its_name_is_set_aside(
    client: Any, prepared: Any, db: Any, scene: tuple[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    limit, good = scene
    real = series._create

    def in_between(*arguments: Any) -> None:
        if "weather" not in db.list_collection_names():
            db.weather.insert_one({"_id": "made by an application"})
        real(*arguments)

    monkeypatch.setattr(series, "_create", in_between)
    job, _ = restore_here(prepared, through=limit, namespaces=(f"{db.name}.weather", f"{db.name}.plain"))
    assert buckets(db, "weather")["buckets"] == good["buckets"]
    (aside,) = [n for n in db.list_collection_names() if n.startswith("mdr_aside_") and "_s" in n]
    assert db[aside].count_documents({"_id": "made by an application"}) == 1
    _, undone = run_here(prepared, "undo", {"job": job})
    assert f"{db.name}.weather" in undone.result["hint"], "what undo cannot take back is said"
    run_here(prepared, "accept", {"job": job})
    assert aside not in db.list_collection_names()


def test_one_that_somebody_else_made_meanwhile_is_not_touched(
    client: Any, prepared: Any, db: Any, scene: tuple[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    limit, good = scene
    db.weather.drop()
    plan = plan_for(prepared, through=limit, namespaces=(f"{db.name}.weather",))
    real = series.make

    def made_before(*arguments: Any, **more: Any) -> str:
        make(db, "weather")
        measure(db, "weather", 1000, 1)
        return real(*arguments, **more)

    with monkeypatch.context() as patched, pytest.raises(Failed) as caught:
        patched.setattr(series, "make", made_before)
        run_here(prepared, "restore", {"plan": plan.to_json()})
    assert caught.value.code == "time-series-in-the-way"
    assert db.weather.count_documents({"t": 1000}) == 1
    db.weather.drop()
    resume(prepared)
    assert buckets(db, "weather")["buckets"] == good["buckets"]


def test_a_transaction_that_reads_the_live_one(
    client: Any,
    prepared: Any,
    db: Any,
    scene: tuple[str, dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is waited for, and writers are let through meanwhile."""
    limit, good = scene
    monkeypatch.setattr(series, "RENAME_MS", 100)
    tried: list[str] = []
    with client.start_session() as session:
        session.start_transaction()
        assert db.rooms.find_one({}, session=session) is None

        def waiting(self: Any, text: str) -> None:
            if "is tried again" in text:
                tried.append(text)
                db.other.insert_one({"n": len(tried)})
                if len(tried) == 2:
                    session.abort_transaction()

        monkeypatch.setattr(restore.BuiltinRestore, "_waiting", waiting)
        restore_here(prepared, through=limit, namespaces=(f"{db.name}.weather",))
    assert len(tried) >= 2
    assert buckets(db, "weather")["buckets"] == good["buckets"]


@pytest.mark.parametrize("dies", [False, True])
@pytest.mark.parametrize("made_again", [False, True])
def test_its_drop_is_left_out_and_later_writes_stay(
    client: Any, prepared: Any, db: Any, made_again: bool, dies: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the application has made it again; and by a job that dies once it is made, which meets its
    own drop and create in the oplog that it follows."""
    make(db, "weather", expireAfterSeconds=1_000_000_000)
    measure(db, "weather", 0, 20)
    backup_here(prepared)
    measure(db, "weather", 20, 20)
    wanted = buckets(db, "weather")["buckets"]
    db.weather.drop()
    if made_again:
        make(db, "weather", expireAfterSeconds=1_000_000_000)
        measure(db, "weather", 5000, 20)
        wanted += buckets(db, "weather")["buckets"]
    moment(client)
    (event,) = [e for e in events_in(client, db.name) if e.namespace == f"{db.name}.weather"]
    plan = plan_for(prepared, skip=(event.id,))
    assert plan.limit.follow and [n.kind for n in plan.namespaces] == ["timeseries"]
    if not dies:
        _, outcome = run_here(prepared, "restore", {"plan": plan.to_json()})
    else:
        with monkeypatch.context() as patched, pytest.raises(Died):
            patched.setattr(series, "complete", _die)
            run_here(prepared, "restore", {"plan": plan.to_json()})
        outcome = resume(prepared)
    assert outcome.result["conflicts"] == []
    assert buckets(db, "weather")["buckets"] == sorted(wanted)
    assert db.weather.count_documents({}) == (60 if made_again else 40)


def _die(*_: Any) -> None:
    raise Died
