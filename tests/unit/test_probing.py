"""What the answers of a member come to."""

from __future__ import annotations

from typing import Any

from bson import ObjectId
from bson.timestamp import Timestamp

from mongo_dr_console.model.failover import Answer
from mongo_dr_console.mongo.probing import answer_of

ELECTION = ObjectId(bytes.fromhex("7fffffff" + f"{9:016x}"))
WRITTEN = {"lastWrite": {"opTime": {"ts": Timestamp(100, 2), "t": 8}}}


def status(term: int, *names: str, down: tuple[str, ...] = ()) -> dict[str, Any]:
    members = [{"name": n, "health": 1.0} for n in names] + [{"name": n, "health": 0.0} for n in down]
    return {"term": term, "members": members}


def test_a_primary_has_the_term_of_its_own_election() -> None:
    hello = {"isWritablePrimary": True, "primary": "a:1", "electionId": ELECTION, **WRITTEN}
    found = answer_of(hello, status(11, "a:1", "b:1", down=("c:1",)))
    assert found == Answer(True, 9, "a:1", frozenset(("a:1", "b:1")), "100:2")


def test_one_that_was_elected_and_takes_no_writes_yet_is_none() -> None:
    hello = {"isWritablePrimary": False, "secondary": True, "primary": "a:1", "me": "a:1", **WRITTEN}
    assert not answer_of(hello, status(9, "a:1")).primary


def test_a_secondary_tells_the_newest_term_that_it_knows() -> None:
    hello = {"isWritablePrimary": False, "primary": "a:1", **WRITTEN}
    assert answer_of(hello, status(9, "a:1", "b:1")).term == 9


def test_where_the_status_is_refused_the_newest_entry_has_the_term() -> None:
    found = answer_of({"isWritablePrimary": False, "primary": "a:1", **WRITTEN}, None)
    assert found == Answer(False, 8, "a:1", None, "100:2")


def test_an_arbiter_has_written_nothing() -> None:
    assert answer_of({"isWritablePrimary": False, "arbiterOnly": True}, None) == Answer(False, None, None)
