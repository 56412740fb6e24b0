"""Operations around a position of a real set: the live oplog, a transaction, one document's history."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import pytest

from mongo_dr_console.config import Profile
from mongo_dr_console.model.trouble import Unreachable
from mongo_dr_console.mongo.client import connect
from mongo_dr_console.mongo.launch import ReplicaSet
from mongo_dr_console.stream import around
from mongo_dr_console.stream.live import LiveOplog
from mongo_dr_console.workers import browsing
from mongo_dr_console.workers.browsing import document_history, event_of, operations_around

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.mongod


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A person who looks on is shown what was found within seconds; here it is all waited for."""
    monkeypatch.setattr(around, "Budget", functools.partial(around.Budget, seconds=120))
    monkeypatch.setattr(browsing, "_ANSWER_SECONDS", 120)
    monkeypatch.setattr(browsing, "connect", lambda uri, **more: connect(uri, **{**more, "seconds": 60}))


def test_around_a_position_and_one_document(replica_set: ReplicaSet) -> None:
    profile = Profile.model_validate({"uri": replica_set.uri})
    with replica_set.client() as client:
        orders = client["browsed"]["orders"]
        orders.insert_many([{"_id": n} for n in range(5)])
        orders.update_one({"_id": 3}, {"$set": {"paid": True}})
        with client.start_session() as session, session.start_transaction():
            orders.delete_one({"_id": 3}, session=session)
            orders.insert_one({"_id": "x"}, session=session)
        orders.insert_one({"_id": "last"})
        place = LiveOplog(client).windows()[0].end
    seen = operations_around(profile, place, "before", 4, "browsed.orders").found
    shown = [(f.operation.op, f.operation.document_id, f.operation.transaction) for f in seen]
    assert ("d", 3, True) in shown and ("i", "x", True) in shown and ("u", 3, False) in shown
    history = document_history(profile, "browsed.orders", [3], None)
    assert [f.operation.op for f in history.found] == ["c", "i", "u", "d"]


def test_an_operation_belongs_to_its_event_however_small(client: Any, replica_set: ReplicaSet) -> None:
    profile = Profile.model_validate({"uri": replica_set.uri})
    stock = client["browsed"]["stock"]
    stock.drop()
    stock.insert_many([{"_id": n, "n": 1} for n in range(40)])
    stock.update_one({"_id": 7}, {"$set": {"n": 2}})
    stock.update_many({}, {"$set": {"n": 0}})
    first, second = (f.operation for f in document_history(profile, "browsed.stock", [7], None).found[-2:])
    found = event_of(profile, second)
    assert found is not None
    assert (found.kind, found.namespace, found.documents) == ("mass-update", "browsed.stock", 40)
    assert event_of(profile, first) is None


def test_without_deployment_and_stream_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browsing, "connect", lambda uri, **more: connect(uri, **{**more, "seconds": 0.2}))
    store = {"type": "local", "path": str(tmp_path)}
    uri = "mongodb://127.0.0.1:1/"
    profile = Profile.model_validate({"uri": uri, "stores": {"local": store}})
    with pytest.raises(Unreachable):
        document_history(profile, "browsed.orders", [3], None)
