"""The engine mongo_tools with scripted tools: what it cannot do is refused, what a tool leaves or says is not
believed."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support.jobs import NeverStop, mdr, plan_for, run_here
from support.prepared import PreparedProfile
from support.toolkit import RECORDED, backup, empty, moment

from mongo_dr_console.config import load_config
from mongo_dr_console.model.plan import Plan
from mongo_dr_console.model.trouble import Failed, Interrupted, Refused, Trouble
from mongo_dr_console.mongo.launch import Options, ReplicaSet
from mongo_dr_console.stores.catalogue import list_snapshots
from mongo_dr_console.stores.local import LocalStore
from mongo_dr_console.stores.verification import verify

pytestmark = pytest.mark.mongod

SAID = RECORDED.parent / "mongo-tools" / "dump-gzip.stderr"


@pytest.fixture(scope="module")
def own_set(mongod: Path, sets_folder: Path) -> Iterator[ReplicaSet]:
    """The tools take all of a deployment, so it must be nobody else's."""
    replica_set = ReplicaSet.launch(sets_folder / "tools", Options(set_name="tools", nodes=1, cache_gb=1))
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


def codes(hazards: Any) -> set[str]:
    return {hazard.code for hazard in hazards}


# What it cannot do is refused in the plan, with the engine that can


@pytest.fixture
def scripted(prepared: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Puts tools in place that run these lines of Python."""
    folder = tmp_path / "tools"
    folder.mkdir()
    monkeypatch.setenv("MDR_MONGO_TOOLS", str(folder))

    def make(mongodump: str = "", mongorestore: str = "") -> None:
        for name, code in (("mongodump", mongodump), ("mongorestore", mongorestore)):
            start = f"#!{sys.executable} -S\nimport os, shutil, sys, time\n"
            version = f"if '--version' in sys.argv: print('{name} version: 100.18.0'); sys.exit()\n"
            option = "words = dict(w[2:].partition('=')[::2] for w in sys.argv[1:])\n"
            (folder / name).write_text(start + version + option + textwrap.dedent(code), encoding="utf-8")
            (folder / name).chmod(0o755)

    make()
    return make


def test_what_mongorestore_cannot_do_is_refused(client: Any, prepared: Any, scripted: Any) -> None:
    client.shop.a.insert_one({"_id": 1})
    client.shop.other.insert_one({"_id": 1})
    made = backup(prepared, "builtin")
    packed = backup(prepared, "builtin", "zstd")
    request = {"stores": None, "compression": "gzip", "databases": ["shop"]}
    part = run_here(prepared, "backup", request)[1].result["snapshot"]
    good: dict[str, Any] = {"snapshot": made, "mode": "in-place", "engine": "mongo_tools"}
    assert plan_for(prepared, **good).intent.users is False

    def refused(*words: str, **intent: Any) -> None:
        with pytest.raises(Refused) as caught:
            plan_for(prepared, **good | intent)
        assert caught.value.code == "engine-cannot" and "--engine builtin" in caught.value.hint
        assert all(word in str(caught.value) for word in words), str(caught.value)

    refused("mode swap", "--mode in-place", mode="swap")
    refused("mode beside", mode="beside")
    refused("filter together with replay", namespaces=("shop",))
    refused("renaming", renames=("shop=crm",))
    refused("zstd", snapshot=packed)
    refused("holds only shop", snapshot=part)
    refused("users and roles", users=True)
    refused("filter together with replay", exclude=("shop.other",))
    refused("same UUIDs", preserve_uuids=True)
    client.shop.a.rename("b")
    refused("renameCollection in shop", through=moment(client))


def test_a_changed_view_in_the_range_is_refused(client: Any, prepared: Any, scripted: Any) -> None:
    client.shop.a.insert_one({"_id": 1})
    made = backup(prepared, "builtin")
    client.shop.command({"create": "v", "viewOn": "a", "pipeline": []})
    with pytest.raises(Refused) as caught:
        plan_for(prepared, snapshot=made, through=moment(client), mode="in-place", engine="mongo_tools")
    assert "view or time series shop.v" in caught.value.message


def test_a_name_that_is_somebody_elses_now_is_not_written_to(
    client: Any, prepared: Any, scripted: Any
) -> None:
    """It was in the snapshot, is not in the state at the limit, and was made anew after it."""
    client.shop.a.insert_one({"_id": 1})
    client.shop.b.insert_one({"_id": 1})
    made = backup(prepared, "builtin")
    client.shop.b.drop()
    limit = moment(client)
    client.shop.b.insert_one({"_id": "new"})
    with pytest.raises(Refused) as caught:
        plan_for(prepared, snapshot=made, through=limit, mode="in-place", engine="mongo_tools")
    assert caught.value.code == "engine-cannot" and "shop.b is live now" in caught.value.message


def test_builtin_plans_hash_as_before_and_each_engine_for_itself(
    client: Any, prepared: Any, scripted: Any
) -> None:
    client.shop.a.insert_one({"_id": 1})
    made = backup(prepared, "builtin")
    plans = [
        plan_for(prepared, snapshot=made, mode="in-place", users=False, engine=engine)
        for engine in (None, "builtin", "mongo_tools")
    ]
    assert plans[0].hash == plans[1].hash != plans[2].hash
    assert plans[0].intent.engine == "builtin" and "--engine mongo_tools" in plans[2].command
    assert "slow-replay" in codes(plans[2].hazards)
    assert Plan.model_validate(plans[2].to_json()) == plans[2]


# With a scripted tool: what it leaves and says is not believed


GOOD = f"""
    shutil.copytree({str(RECORDED / "gzip")!r}, words["out"], dirs_exist_ok=True)
    sys.stderr.write(open({str(SAID)!r}, errors="replace").read())
"""


def failed_backup(prepared: Any, code: str) -> Trouble:
    """A backup that fails as it should: nothing is left in the store."""
    with pytest.raises(Trouble) as caught:
        backup(prepared, "mongo_tools")
    assert caught.value.code == code, str(caught.value)
    assert list_snapshots(LocalStore("local", prepared.store)) == []
    assert [p.name for p in prepared.store.iterdir() if p.is_dir()] == []
    return caught.value


def test_what_mongodump_left_is_read_through_before_it_is_offered(prepared: Any, scripted: Any) -> None:
    scripted(mongodump=GOOD)
    name = backup(prepared, "mongo_tools")
    (entry,) = list_snapshots(LocalStore("local", prepared.store))
    assert (entry.name, entry.engine, entry.problem) == (name, "mongo_tools", None)
    checked = verify(LocalStore("local", prepared.store), name, 3, lambda event: None, NeverStop())
    assert checked.problems == () and checked.documents == entry.documents


@pytest.mark.parametrize(
    ("code", "change"),
    [
        ("snapshot-corrupt", "open(words['out'] + '/shop/orders.bson.gz', 'r+b').truncate(400)"),
        (
            "tool-incomplete",
            "shutil.copy(words['out'] + '/shop/names.bson.gz', words['out'] + '/shop/orders.bson.gz')",
        ),
        ("snapshot-without-oplog", "os.unlink(words['out'] + '/oplog.bson')"),
        ("tool-failed", "sys.stderr.write('Failed: error writing data\\n'); sys.exit(1)"),
        (
            "renamed-during-backup",
            "sys.stderr.write('Failed: x: cannot dump with oplog while renames occur\\n'); sys.exit(1)",
        ),
        (
            "oplog-overflow",
            "sys.stderr.write('Failed: oplog overflow: mongodump was unable\\n'); sys.exit(1)",
        ),
        ("store-full", "sys.stderr.write('Failed: write x: no space left on device\\n'); sys.exit(1)"),
    ],
)
def test_nothing_half_done_is_offered(prepared: Any, scripted: Any, code: str, change: str) -> None:
    scripted(mongodump=GOOD + "\n    sys.stderr.write('\\n')\n    " + change)
    failed_backup(prepared, code)


def test_a_dump_that_does_not_say_that_it_copied_the_oplog(prepared: Any, scripted: Any) -> None:
    scripted(mongodump=GOOD.partition("sys.stderr")[0])
    failed_backup(prepared, "tool-incomplete")


def test_a_stopped_backup_leaves_nothing(
    prepared: Any, scripted: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = tmp_path / "begun"
    scripted(mongodump=GOOD + f"\n    open({str(begun)!r}, 'w').close()\n    time.sleep(600)")

    def check(_: Any) -> None:
        if begun.exists():
            raise Interrupted("stopped", "Stopped.")

    monkeypatch.setattr(NeverStop, "check", check)
    failed_backup(prepared, "stopped")


def test_single_databases_and_zstd_are_refused(prepared: Any, scripted: Any) -> None:
    for words in (("--db", "shop"), ("--compression", "zstd")):
        answer = mdr(prepared, "backup", "--engine", "mongo_tools", "--json", *words)
        assert (answer.code, answer.json["error"]["code"]) == (4, "engine-cannot")
    assert not (prepared.profile.state_dir / "jobs").exists(), "refused before a job is made"


@pytest.mark.parametrize(
    ("says", "why"),
    [
        (
            "1 document(s) restored successfully. 0 document(s) failed to restore.",
            "it did not restore shop.a",
        ),
        ("0 document(s) restored successfully. 0 document(s) failed to restore.", "0 of 1 documents"),
        ("done", "without its last line"),
    ],
)
def test_a_restore_that_exits_with_0_and_restored_nothing_is_none(
    client: Any, prepared: Any, scripted: Any, says: str, why: str
) -> None:
    scripted(mongorestore=f"sys.stderr.write({says!r})")
    client.shop.a.insert_one({"_id": 1})
    plan = plan_for(prepared, snapshot=backup(prepared, "builtin"), mode="in-place", engine="mongo_tools")
    with pytest.raises(Failed) as caught:
        run_here(prepared, "restore", {"plan": plan.to_json()})
    assert caught.value.code == "tool-incomplete" and why in caught.value.message
    lock = client.mongo_dr.locks.find_one({"_id": "restore"})
    assert lock, "the deployment is half-way: only this job's resume may go on"
    client.mongo_dr.locks.delete_one({"_id": "restore"})


def test_a_damaged_base_is_noticed_before_anything_is_dropped(
    client: Any, prepared: Any, scripted: Any
) -> None:
    client.shop.a.insert_many([{"_id": n} for n in range(1000)])
    made = backup(prepared, "builtin")
    plan = plan_for(prepared, snapshot=made, mode="in-place", engine="mongo_tools")
    data = prepared.store / made / "shop" / "a.bson.gz"
    data.write_bytes(data.read_bytes()[:-20])
    with pytest.raises(Failed) as caught:
        run_here(prepared, "restore", {"plan": plan.to_json()})
    assert caught.value.code == "snapshot-corrupt" and client.shop.a.count_documents({}) == 1000


def test_the_profile_names_engine_and_folder(
    own_set: ReplicaSet, client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scripted: Any
) -> None:
    monkeypatch.delenv("MDR_MONGO_TOOLS")
    config = tmp_path / "config.toml"
    text = config.read_text(encoding="utf-8").replace(
        "[profiles.test.stores.local]",
        f"engine = 'mongo_tools'\n[profiles.test.mongo_tools]\npath = '{tmp_path / 'tools'}'\n"
        "[profiles.test.stores.local]",
    )
    config.write_text(text, encoding="utf-8")
    scripted(mongodump=GOOD)
    profile = load_config(config).profiles["test"]
    named = PreparedProfile("test", profile, config, tmp_path / "store")
    made = mdr(named, "backup", "--json")
    assert made.code == 0, made.err
    shown = mdr(named, "snapshots", "show", made.json["snapshot"], "--json").json
    assert shown["engine"] == "mongo_tools"
    refused = mdr(named, "restore", "plan", "--json")
    assert refused.json["error"]["code"] == "engine-cannot"
    assert mdr(named, "restore", "plan", "--json", "--engine", "builtin").code == 0


def restoring(*indexes: str) -> str:
    """A mongorestore that fills one collection, whatever it was given, and builds these indexes."""
    packages = [path for path in sys.path if "site-packages" in path]
    return f"""
        sys.path[:0] = {packages!r}
        import json, pymongo
        uri = json.loads(open(words["config"]).read().partition(": ")[2])
        assert sorted(os.listdir(words["dir"] + "/shop")) == ["a.bson.gz", "a.metadata.json.gz"], "no more"
        with pymongo.MongoClient(uri) as client:
            client.shop.a.insert_many([{{"_id": n}} for n in range(3)])
            for name in {indexes!r}:
                client.shop.a.create_index(name)
        sys.stderr.write("finished restoring `shop.a` (3 documents, 0 failures)\\n")
        sys.stderr.write("2026-11-22T16:43:13.248+0000\\treplaying oplog\\n")
        sys.stderr.write("2026-11-22T16:43:13.248+0000\\tapplied 1 oplog entries\\n")
        sys.stderr.write("2026-11-22T16:43:13.248+0000\\t3 document(s) restored successfully. ")
        sys.stderr.write("0 document(s) failed to restore.\\n")
    """


@pytest.mark.parametrize("indexes", [("kept", "made"), ("wrong",)])
def test_indexes_are_compared_with_snapshot_and_oplog(
    client: Any, prepared: Any, scripted: Any, indexes: tuple[str, ...]
) -> None:
    """``gone`` is dropped before the limit, ``made`` is made before it, ``later`` after it."""
    client.shop.a.insert_many([{"_id": n} for n in range(3)])
    client.shop.a.create_index("kept")
    client.shop.a.create_index("gone")
    made = backup(prepared, "builtin")
    client.shop.a.drop_index("gone_1")
    client.shop.a.create_index("made")
    limit = moment(client)
    client.shop.a.create_index("later")
    scripted(mongorestore=restoring(*indexes))
    plan = plan_for(prepared, snapshot=made, through=limit, mode="in-place", engine="mongo_tools")
    _, outcome = run_here(prepared, "restore", {"plan": plan.to_json()})
    wrong = {u["index"]: u["why"] for u in outcome.result["unbuilt_indexes"]}
    if indexes == ("kept", "made"):
        assert wrong == {} and outcome.partial is None
        assert outcome.result["engine"] == "mongo_tools" and outcome.result["applied"] == 1
        return
    assert set(wrong) == {"kept_1", "made_1", "wrong_1"} and "left it out" in wrong["kept_1"]
    assert outcome.partial is not None and "kept_1" in outcome.partial
