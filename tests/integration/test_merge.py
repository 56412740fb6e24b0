"""Merge mode: what an event removed or changed comes back, and what was written since is left alone.

The oracle is made from the oplog's own entries: the state right before the event, the state as it would be
now without the merge, and the ids of the documents that the event hit and that were written after it.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import bson
import pytest
from bson import Timestamp
from bson.raw_bson import RawBSONDocument
from pymongo.client_session import ClientSession
from support import twin
from support.found import events_in
from support.jobs import backup_here, mdr, plan_for, resume_here, run_here
from support.writers import Writers, fill

from mongo_dr_console.engines.builtin import merge, merge_write
from mongo_dr_console.engines.builtin.merge_log import CONFLICTS
from mongo_dr_console.model import extjson
from mongo_dr_console.model.documents import RestoreResult, UndoResult
from mongo_dr_console.model.event import Event
from mongo_dr_console.model.journal import checkpoints
from mongo_dr_console.model.merge import MergeWatch
from mongo_dr_console.model.plan import Plan
from mongo_dr_console.model.plantext import plan_lines
from mongo_dr_console.model.rawbson import RAW
from mongo_dr_console.model.trouble import ExitCode, Failed, Refused, WrongUse
from mongo_dr_console.workers import jobs

pytestmark = pytest.mark.mongod

BEFORE = "just before"


def note(client: Any) -> Timestamp:
    command = {"appendOplogNote": 1, "data": {"test": 1}, "writeConcern": {"w": "majority"}}
    moment: Timestamp = client.admin.command(command)["operationTime"]
    return moment


def event_in(client: Any, database: str, kind: str) -> Event:
    note(client)
    found = events_in(client, database)
    (event,) = (e for e in found if e.kind == kind and e.selector.session is None)
    return event


def raw_of(*fields: tuple[str, Any]) -> RawBSONDocument:
    """A document of these fields, also with one twice."""
    body = b"".join(bson.encode({key: value})[4:-1] for key, value in fields)
    return RawBSONDocument((len(body) + 5).to_bytes(4, "little") + body + b"\0", RAW)


def documents(client: Any, database: str, collection: str) -> dict[bytes, bytes]:
    """Raw ``_id`` to raw document."""
    found = client[database].get_collection(collection, codec_options=RAW).find()
    return {bson.encode({"": d["_id"]}): bytes(d.raw) for d in found}


@dataclass
class Oracle:
    """What one collection must hold after a merge, by the oplog's own entries."""

    client: Any
    database: str
    start: Timestamp
    event: Event

    def twin(self, applies: Callable[[Timestamp], bool], collection: str, **more: Any) -> dict[bytes, bytes]:
        name = f"{self.database}_twin"
        self.client.drop_database(name)
        # What is renamed over it comes from another.
        more["only"] = None if self.event.kind == "rename-over" else collection
        try:
            twin.build(self.client, self.database, name, self.start, applies, **more)
            return documents(self.client, name, collection)
        finally:
            self.client.drop_database(name)

    def wanted(self, collection: str, sessions: set[str]) -> tuple[dict[bytes, bytes], set[bytes]]:
        """The documents, and the ids of the conflicts; what a document is to be depends on whether the merge
        wrote it. That it wrote, once, just those that nobody wrote between event and merge is checked."""
        first, last = (p.timestamp for p in (self.event.position, self.event.last))
        before = self.twin(lambda ts: ts < first, collection)
        hit = set(before) if self.event.selector.op == "c" else set()
        since: set[bytes] = set()
        merged: set[bytes] = set()
        for ts, _, session, operation in twin.operations(self.client, self.database, self.start):
            if operation["ns"] != f"{self.database}.{collection}" or operation["op"] == "c":
                continue
            identity = self.key_of(operation)
            if session in sessions:
                assert identity in hit and identity not in since, "it was written by others before"
                merged.add(identity)
            elif self.is_event(ts, session, operation):
                hit.add(identity)
            elif ts > last and identity not in merged:
                since.add(identity)
        for identity in hit & set(before) - since:
            assert identity in merged, "nobody wrote it"

        def without_merge(ts: Timestamp, session: Any, operation: Any) -> bool:
            return (
                _views(operation)
                or session in sessions
                or (ts > last and self.is_of(operation, collection, merged))
            )

        def without_event(ts: Timestamp, session: Any, operation: Any) -> bool:
            if _views(operation) or session in sessions or self.is_event(ts, session, operation):
                return True
            others = operation["op"] != "c" and not self.is_of(operation, collection, merged)
            return ts > last and others and operation["ns"] == f"{self.database}.{collection}"

        left = self.twin(lambda ts: True, collection, skips=without_merge)
        brought = self.twin(lambda ts: True, collection, skips=without_event)
        wanted = {k: v for k, v in left.items() if k not in merged}
        wanted |= {k: v for k, v in brought.items() if k in merged}
        return wanted, hit & set(before) - merged

    def key_of(self, operation: Any) -> bytes:
        return bson.encode({"": operation["o2" if operation["op"] == "u" else "o"]["_id"]})

    def is_of(self, operation: Any, collection: str, keys: set[bytes]) -> bool:
        named = operation["op"] != "c" and operation["ns"] == f"{self.database}.{collection}"
        return named and self.key_of(operation) in keys

    def is_event(self, ts: Timestamp, session: Any, operation: Any) -> bool:
        """By what the test knows: a command, or a write without a session, between the event's ends."""
        selector = self.event.selector
        within = selector.first.timestamp <= ts <= selector.last.timestamp
        if not within or operation["op"] != selector.op:
            return False
        return (session is None) if selector.op != "c" else next(iter(operation["o"])) != "create"


def _views(operation: Any) -> bool:
    """Definitions of views, and the drop of all of them: here documents are compared."""
    dropped = operation["op"] == "c" and operation["o"].get("drop") == "system.views"
    return bool(dropped or operation["ns"].endswith(".system.views"))


def sessions_of(prepared: Any, job: str) -> set[str]:
    folder = jobs.find_job(jobs.jobs_folder(prepared.profile), job)
    found = checkpoints(jobs.read_lines(folder))
    return {str(c.facts["session"]) for c in found if c.kind == "merge-session"}


def the_restore(prepared: Any) -> jobs.JobFolder:
    root = jobs.jobs_folder(prepared.profile)
    (job,) = (view.job for view in jobs.list_jobs(root) if view.kind == "restore")
    return jobs.find_job(root, job)


def conflict_lines(prepared: Any, job: str) -> list[dict[str, Any]]:
    folder = jobs.find_job(jobs.jobs_folder(prepared.profile), job)
    file = folder.path / CONFLICTS
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def merge_here(prepared: Any, event: Event, **more: Any) -> tuple[str, Any, Plan]:
    plan = plan_for(prepared, mode="merge", skip=(event.id,), **more)
    job, outcome = run_here(prepared, "restore", {"plan": plan.to_json()})
    return job, outcome, plan


def drop_database(shop: Any) -> None:
    shop.client.drop_database(shop.name)


def mass_delete(shop: Any) -> None:
    shop.orders.delete_many({"_id": {"$type": "number"}})


def bad_update(shop: Any) -> None:
    shop.orders.update_many({}, {"$set": {"state": "LOST", "sub": None}})


def rename_over(shop: Any) -> None:
    shop.orders_new.rename("orders", dropTarget=True)


MISTAKES = {
    "drop-database": drop_database,
    "mass-delete": mass_delete,
    "mass-update": bad_update,
    "rename-over": rename_over,
}

ODD = [
    raw_of(("_id", 9001), ("no", "odd1"), ("at", Timestamp(0, 0)), ("state", "x")),
    raw_of(("_id", 9002), ("no", "odd2"), ("twice", 1), ("twice", 2), ("state", "x")),
    raw_of(("_id", 9003), ("no", "odd3"), ("$dollar", 1), ("a.b", 2), ("", 3), ("state", "x")),
    raw_of(("_id", 9004), ("no", "odd4"), ("n", bson.Int64(5)), ("d", 5.0), ("state", "x")),
]


def odd_documents(client: Any, database: str) -> None:
    client[database].orders.insert_many(ODD)
    # An insert has put the present time there.
    client[database].orders.update_one({"_id": 9001}, {"$set": {"at": Timestamp(0, 0)}})
    assert (
        documents(client, database, "orders").items()
        >= {bson.encode({"": d["_id"]}): d.raw for d in ODD}.items()
    )


@contextmanager
def hammering(app: Any, database: str) -> Iterator[None]:
    """Writes on the very documents that are brought back, for as long as it goes on."""
    stopping = threading.Event()

    def run() -> None:
        number = 0
        while not stopping.is_set():
            number = (number + 7) % 400
            with contextlib.suppress(Exception):
                app[database].orders.update_one(
                    {"_id": number}, {"$inc": {"hammered": 1}}, upsert=number % 3 == 0
                )
                if number % 5 == 0:
                    app[database].orders.delete_one({"_id": number})
            time.sleep(0.002)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()


@pytest.mark.slow
@pytest.mark.parametrize("kind", MISTAKES)
def test_with_writers_it_is_what_the_oplog_says(
    client: Any, app: Any, prepared: Any, database_name: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merge, "BATCH_DOCUMENTS", 25)
    start = note(client)
    fill(client, database_name)
    odd_documents(client, database_name)
    shop = client[database_name]
    with Writers(app, database_name) as writers:
        writers.wait_for(100)
        backup_here(prepared)
        writers.wait_for(150)
        if kind == "rename-over":
            shop.orders_new.insert_many(
                [{"_id": n, "no": f"new{n}", "from": "the new one"} for n in range(200, 500)]
            )
        with writers.pause():
            shop.orders.insert_one({"_id": BEFORE, "no": BEFORE, "n": 0, "state": "x"})
            MISTAKES[kind](shop)
            # One that is there again, one that is there again and gone, one that is written a second time.
            app[database_name].orders.replace_one({"_id": 7}, {"no": "again", "n": 1}, upsert=True)
            app[database_name].orders.replace_one({"_id": 8}, {"no": "gone", "n": 1}, upsert=True)
            app[database_name].orders.delete_one({"_id": 8})
            app[database_name].orders.update_one({"_id": 9}, {"$inc": {"n": 1}}, upsert=True)
        writers.wait_for(100)
        event = event_in(client, database_name, kind)
        with hammering(app, database_name):
            job, outcome, plan = merge_here(prepared, event)
    oracle = Oracle(client, database_name, start, event)
    sessions = sessions_of(prepared, job)
    assert sessions
    wanted, conflicts = oracle.wanted("orders", sessions)
    found = documents(client, database_name, "orders")
    wrong = {k for k in wanted.keys() | found.keys() if wanted.get(k) != found.get(k)}
    assert not wrong, [(k, wanted.get(k), found.get(k)) for k in sorted(wrong)[:3]]
    listed = conflict_lines(prepared, job)
    assert {bson.encode({"": identity(x)}) for x in listed if x["namespace"].endswith(".orders")} == conflicts
    assert {bson.encode({"": n}) for n in (7, 8, 9)} <= conflicts
    assert outcome.result["conflict_count"] == len(listed) and CONFLICTS in outcome.partial
    assert plan.limit.follow and plan.namespaces[0].mode == "merge"
    (row,) = (m for m in outcome.result["merged"] if m["namespace"].endswith(".orders"))
    assert row["brought_back"] + row["replaced"] + row["conflicts"] > 100
    assert [n for n in shop.list_collection_names() if n.startswith("mdr_")] == []
    if kind == "drop-database":
        items, _ = oracle.wanted("items", sessions)
        assert documents(client, database_name, "items") == items
        assert "new_orders" in shop.list_collection_names()


def identity(line: dict[str, Any]) -> Any:
    return bson.decode(extjson.loads(json.dumps(line["document"])))["_id"]


# Quiet scenes: every write is known


@pytest.fixture
def shop(client: Any, prepared: Any, database_name: str) -> Any:
    """Documents and a snapshot of them; a batch of the merge holds thirty."""
    shop = client[database_name]
    shop.orders.insert_many([{"_id": n, "no": n, "state": "new"} for n in range(150)])
    shop.orders.create_index("no", unique=True)
    backup_here(prepared)
    return shop


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merge, "BATCH_DOCUMENTS", 30)


def wipe(client: Any, shop: Any) -> tuple[dict[bytes, bytes], Event]:
    """The state before, and the mass delete of most."""
    before = documents(client, shop.name, "orders")
    shop.orders.delete_many({"_id": {"$lt": 120}})
    return before, event_in(client, shop.name, "mass-delete")


def spoil(client: Any, shop: Any) -> tuple[dict[bytes, bytes], Event]:
    """The state before, and the mass update of most."""
    before = documents(client, shop.name, "orders")
    shop.orders.update_many({"_id": {"$lt": 120}}, {"$set": {"state": "LOST"}})
    return before, event_in(client, shop.name, "mass-update")


def key(identity: Any) -> bytes:
    return bson.encode({"": identity})


def times_written(client: Any, prepared: Any, job: str, database: str) -> Counter[bytes]:
    """How often the merge wrote each document, by the oplog."""
    sessions = sessions_of(prepared, job)
    found: Counter[bytes] = Counter()
    for _, _, session, operation in twin.operations(client, database, Timestamp(1, 1)):
        if session in sessions and operation["ns"] == f"{database}.orders":
            found[key(operation["o2" if operation["op"] == "u" else "o"]["_id"])] += 1
    return found


@pytest.mark.slow
def test_nothing_is_asked_where_nothing_is_destroyed(
    client: Any, prepared: Any, shop: Any, tmp_path: Path
) -> None:
    before, event = wipe(client, shop)
    plan = plan_for(prepared, mode="merge", skip=(event.id,))
    (planned,) = plan.namespaces
    assert plan.confirm == "" and planned.documents == 120 and planned.conflicts == 0
    assert "nothing there is replaced" in planned.effect
    shop.orders.insert_one({"_id": 3, "no": 3, "since": True})
    shop.orders.insert_one({"_id": "another", "no": "another"})
    later = plan_for(prepared, mode="merge", skip=(event.id,))
    assert later.confirm.endswith(".orders") and later.namespaces[0].conflicts == 1
    assert any(h.code == "merge-conflicts" and "1 document" in h.text for h in later.hazards)
    with pytest.raises(Refused) as caught:
        run_here(prepared, "restore", {"plan": plan.to_json()})
    assert caught.value.code == "plan-changed" and "conflicts" in str(caught.value)
    text = "\n".join(plan_lines(later))
    assert "brings back" in text and "cut-over" not in text
    file = tmp_path / "plan.json"
    file.write_text(json.dumps(later.to_json()))
    answer = mdr(prepared, "restore", "run", "--plan", str(file), "--confirm", later.confirm, "--json")
    assert answer.code == ExitCode.PARTLY and answer.json["state"] == "partial"
    found = documents(client, shop.name, "orders")
    assert bson.decode(found.pop(key(3)))["since"] and found.pop(key("another"))
    assert found == {k: v for k, v in before.items() if k != key(3)}
    assert "1 document was left" in answer.json["error"]["message"]


@pytest.mark.slow
def test_a_later_change_of_the_same_document_is_a_conflict(client: Any, prepared: Any, shop: Any) -> None:
    """``$inc`` is an absolute value in the oplog, and a diff assumes what it was made on."""
    before, event = spoil(client, shop)
    shop.orders.update_one({"_id": 1}, {"$inc": {"counted": 1}})
    shop.orders.update_one({"_id": 2}, {"$set": {"state": "paid"}})
    shop.orders.update_one({"_id": 130}, {"$set": {"state": "paid"}})
    left = documents(client, shop.name, "orders")
    plan = plan_for(prepared, mode="merge", skip=(event.id,))
    assert plan.confirm and plan.namespaces[0].effect.startswith("REPLACED")
    assert (plan.namespaces[0].documents, plan.namespaces[0].conflicts) == (118, 2)
    job, outcome, _ = merge_here(prepared, event)
    wanted = {**before, **{k: left[k] for k in map(key, (1, 2, 130))}}
    assert documents(client, shop.name, "orders") == wanted
    assert sorted(identity(x) for x in conflict_lines(prepared, job)) == [1, 2]
    assert outcome.result["merged"][0]["replaced"] == 118


def write_in_between(app: Any, shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """An application writes to documents of each batch after the oplog was looked through for it: one is
    inserted, one inserted and deleted again."""
    real, seen = merge_write.Merger._once, set()

    def once(self: Any, namespace: str, part: list[Any]) -> None:
        ids = [w.document["_id"] for w in part]
        if len(part) == 30 and ids[0] not in seen:
            seen.add(ids[0])
            orders = app[shop.name].orders
            orders.insert_one({"_id": ids[0], "no": ids[0], "since": True})
            orders.insert_one({"_id": ids[1], "no": ids[1], "since": True})
            orders.delete_one({"_id": ids[1]})
        real(self, namespace, part)

    monkeypatch.setattr(merge_write.Merger, "_once", once)


def kept_what_was_written(client: Any, prepared: Any, shop: Any, event: Event, before: Any) -> bool:
    """Whether a merge, with an application that writes in between, leaves alone what it wrote."""
    merge_here(prepared, event)
    found = documents(client, shop.name, "orders")
    written = [k for k, v in found.items() if "since" in bson.decode(v)]
    gone = before.keys() - found.keys()
    others = {k: v for k, v in found.items() if k not in written}
    return len(written) == len(gone) == 4 and others.items() <= before.items()


@pytest.mark.usefixtures("small_batches")
class TestWithAWriterOnTheVeryDocuments:
    def test_what_it_writes_stays(
        self, client: Any, app: Any, prepared: Any, shop: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before, event = wipe(client, shop)
        write_in_between(app, shop, monkeypatch)
        assert kept_what_was_written(client, prepared, shop, event, before)

    def test_a_merge_that_looks_at_the_newest_state_only_is_caught(
        self, client: Any, app: Any, prepared: Any, shop: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before, event = wipe(client, shop)
        write_in_between(app, shop, monkeypatch)
        newest = property(lambda self: {"level": "snapshot"})
        monkeypatch.setattr(merge_write._At, "document", newest)
        assert not kept_what_was_written(client, prepared, shop, event, before)

    def test_a_merge_that_overwrites_conflicts_is_caught(
        self, client: Any, app: Any, prepared: Any, shop: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before, event = wipe(client, shop)
        write_in_between(app, shop, monkeypatch)
        monkeypatch.setattr(MergeWatch, "against", lambda self, namespace, key: None)
        monkeypatch.setattr(MergeWatch, "leaves_one", lambda self, namespace, key: True)
        assert not kept_what_was_written(client, prepared, shop, event, before)


@pytest.mark.usefixtures("small_batches")
def test_a_collection_that_is_dropped_meanwhile_is_not_made_by_an_insert(
    client: Any, app: Any, prepared: Any, shop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, event = wipe(client, shop)
    real, calls = merge_write.Merger._once, 0

    def once(self: Any, namespace: str, part: list[Any]) -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            app[shop.name].orders.drop()
        real(self, namespace, part)

    monkeypatch.setattr(merge_write.Merger, "_once", once)
    with pytest.raises(Failed) as caught:
        merge_here(prepared, event)
    assert caught.value.code == "collection-changed"
    assert "orders" not in shop.list_collection_names()
    outcome = resume_here(prepared, the_restore(prepared))
    assert outcome.result["conflict_count"] == 120 and "orders" not in shop.list_collection_names()


class Died(BaseException):
    """As if the process had been killed here."""


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("commits", [False, True])
def test_what_dies_goes_on_and_writes_nothing_twice(
    client: Any, app: Any, prepared: Any, shop: Any, monkeypatch: pytest.MonkeyPatch, commits: bool
) -> None:
    """Right before a commit, and right after it: what was written is known from the oplog alone."""
    before, event = spoil(client, shop)
    plan = plan_for(prepared, mode="merge", skip=(event.id,))
    real, count = ClientSession.commit_transaction, 0

    def commit(self: Any) -> None:
        nonlocal count
        count += 1
        if count == 3 and not commits:
            raise Died
        real(self)
        if count == 3:
            raise Died

    monkeypatch.setattr(ClientSession, "commit_transaction", commit)
    with pytest.raises(Died):
        run_here(prepared, "restore", {"plan": plan.to_json()})
    monkeypatch.setattr(ClientSession, "commit_transaction", real)
    folder = the_restore(prepared)
    lost, back = (shop.orders.find_one({"state": s, "_id": {"$lt": 120}})["_id"] for s in ("LOST", "new"))
    app[shop.name].orders.update_one({"_id": lost}, {"$set": {"state": "since the death"}})
    app[shop.name].orders.update_one({"_id": back}, {"$set": {"state": "since it was put back"}})
    with folder.journal.open("ab") as journal:
        journal.write(b'{"torn')
    outcome = resume_here(prepared, folder)
    found = documents(client, shop.name, "orders")
    since = {k: bson.decode(found[k])["state"] for k in found if found[k] != before[k]}
    assert since == {key(lost): "since the death", key(back): "since it was put back"}
    assert [identity(x) for x in conflict_lines(prepared, folder.id)] == [lost]
    assert times_written(client, prepared, folder.id, shop.name) == Counter(
        key(n) for n in range(120) if n != lost
    )
    assert outcome.result["merged"][0]["replaced"] == 119
    assert [n for n in shop.list_collection_names() if n.startswith("mdr_")] == []


@pytest.mark.slow
@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("mistake", [wipe, spoil])
def test_undo_takes_back_what_nobody_has_written_since(
    client: Any, app: Any, prepared: Any, shop: Any, mistake: Any
) -> None:
    _, event = mistake(client, shop)
    shop.orders.update_one({"_id": 5}, {"$set": {"no": 5, "since": True}}, upsert=True)
    left = documents(client, shop.name, "orders")
    job, _, _ = merge_here(prepared, event)
    assert documents(client, shop.name, "orders") != left
    app[shop.name].orders.update_one({"_id": 11}, {"$set": {"after the merge": True}})
    app[shop.name].orders.delete_one({"_id": 12})
    stays = documents(client, shop.name, "orders")
    _, outcome = run_here(prepared, "undo", {"job": job})
    wanted = {**left, key(11): stays[key(11)]}
    wanted.pop(key(12), None)
    assert documents(client, shop.name, "orders") == wanted
    (row,) = outcome.result["merged"]
    # A batch that the merge had to try again is put down twice, and its documents are met twice.
    assert row["removed"] + row["put_back"] == 117 and row["already"] + row["changed"] >= 2
    UndoResult.model_validate(outcome.result)
    if mistake is wipe:
        _, again = run_here(prepared, "undo", {"job": job})
        assert documents(client, shop.name, "orders") == wanted
        assert again.result["merged"][0]["removed"] == again.result["merged"][0]["put_back"] == 0
        return
    # What was brought back and taken away can be brought back once more.
    other, merged, _ = merge_here(prepared, event)
    row = merged.result["merged"][0]
    assert row["brought_back"] + row["replaced"] == 117 and row["conflicts"] == 3
    assert sorted(identity(x) for x in conflict_lines(prepared, other)) == [5, 11, 12]


@pytest.mark.slow
def test_a_collection_that_is_not_there_is_made_again(client: Any, prepared: Any, database_name: str) -> None:
    """With options and indexes, and with an ``_id`` that its collation takes for another's."""
    shop = client[database_name]
    strength = {"locale": "en", "strength": 2}
    shop.create_collection("orders", collation=strength, validator={"n": {"$gte": 0}})
    shop.orders.insert_many([{"_id": f"d{n}", "n": n} for n in range(30)])
    shop.orders.create_index("n", unique=True)
    shop.orders.create_index("at", expireAfterSeconds=86400)
    backup_here(prepared)
    shop.orders.insert_many([{"_id": f"D{n}", "n": n} for n in range(30, 40)])
    before = twin.state_of(client, database_name)
    shop.orders.drop()
    event = event_in(client, database_name, "drop")
    plan = plan_for(prepared, mode="merge", skip=(event.id,))
    assert plan.confirm == "" and plan.namespaces[0].effect.startswith("made again")
    job, outcome = run_here(prepared, "restore", {"plan": plan.to_json()})
    assert twin.differences(twin.state_of(client, database_name), before) == []
    assert outcome.partial is None and outcome.result["merged"][0]["made"]
    assert not (jobs.find_job(jobs.jobs_folder(prepared.profile), job).path / CONFLICTS).exists()
    RestoreResult.model_validate(outcome.result)
    run_here(prepared, "undo", {"job": job})
    assert documents(client, database_name, "orders") == {}

    shop.orders.drop()
    shop.create_collection("orders", collation=strength)
    shop.orders.insert_one({"_id": "D3", "n": 3})
    shop.orders.create_index("n", unique=True)
    shop.orders.insert_one({"_id": "new", "n": 4})
    job, outcome = run_here(
        prepared, "restore", {"plan": plan_for(prepared, mode="merge", skip=(event.id,)).to_json()}
    )
    found = {d["_id"] for d in shop.orders.find()}
    assert found == {"D3", "new"} | {f"d{n}" for n in range(30) if n not in (3, 4)} | {
        f"D{n}" for n in range(30, 40)
    }
    why = {identity(x): x["why"] for x in conflict_lines(prepared, job)}
    assert why.keys() == {"d3", "d4"} and "n_1" in why["d4"]


def test_what_has_no_meaning_is_refused(client: Any, prepared: Any, database_name: str) -> None:
    shop = client[database_name]
    shop.create_collection("log", capped=True, size=100_000)
    shop.create_collection("weather", timeseries={"timeField": "at"})
    shop.log.insert_many([{"_id": n} for n in range(10)])
    shop.weather.insert_one({"at": datetime.now(UTC), "t": 3})
    shop.orders.insert_one({"_id": 1})
    backup_here(prepared)
    client.drop_database(database_name)
    event = event_in(client, database_name, "drop-database")
    plan = plan_for(prepared, mode="merge", skip=(event.id,))
    assert [n.target for n in plan.namespaces] == [f"{database_name}.orders"]
    left_out = [h.text for h in plan.hazards if h.code == "not-merged"]
    assert (
        len(left_out) == 2 and any("capped" in t for t in left_out) and any("series" in t for t in left_out)
    )
    with pytest.raises(Refused) as caught:
        plan_for(prepared, mode="merge", skip=(event.id,), namespaces=(f"{database_name}.weather",))
    assert caught.value.code == "merge-not-possible" and "--mode swap" in caught.value.hint
    for wrong, code in (
        ({"skip": ()}, "merge-without-event"),
        ({"through": "latest"}, "merge-with-limit"),
        ({"renames": ("a.b=a.c",)}, "merge-elsewhere"),
        ({"to_profile": "other"}, "merge-elsewhere"),
        ({"users": True}, "merge-with-users"),
    ):
        with pytest.raises(WrongUse) as caught_use:
            plan_for(prepared, **{"mode": "merge", "skip": (event.id,), **wrong})
        assert caught_use.value.code == code
