"""What a killed merge or undo left open on the server does not stand in the way of its resume."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest
from pymongo.errors import OperationFailure

from mongo_dr_console.engines.builtin import merge_sessions
from mongo_dr_console.mongo.client import connect
from mongo_dr_console.mongo.launch import ReplicaSet

pytestmark = pytest.mark.mongod


def delete(client: Any, database: str) -> None:
    with client.start_session() as session, session.start_transaction():
        client[database].orders.delete_one({"_id": 1}, session=session)


@pytest.mark.parametrize("job", ["0badcafe", "other"])
def test_only_its_own_transactions_are_ended(replica_set: ReplicaSet, database_name: str, job: str) -> None:
    with closing(connect(replica_set.uri)) as dead, closing(connect(replica_set.uri)) as alive:
        alive[database_name].orders.insert_one({"_id": 1})
        session = dead.start_session(causal_consistency=False)
        merge_sessions.remember(alive, bytes(session.session_id["id"]).hex(), job)
        session.start_transaction()
        dead[database_name].orders.delete_one({"_id": 1}, session=session)
        with pytest.raises(OperationFailure, match="conflict"):
            delete(alive, database_name)
        merge_sessions.end_open(alive, "0badcafe")
        if job == "other":
            with pytest.raises(OperationFailure, match="conflict"):
                delete(alive, database_name)
            session.abort_transaction()
            return
        delete(alive, database_name)
        assert alive[database_name].orders.find_one() is None
