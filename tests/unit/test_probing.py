"""What the answers of a member come to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId
from bson.timestamp import Timestamp

from mongo_dr_console.model.failover import Answer
from mongo_dr_console.mongo import probing
from mongo_dr_console.mongo.probing import Probes, answer_of

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


def test_a_name_server_that_knows_nothing_yet_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [(), ("127.0.0.1:9",)]
    monkeypatch.setattr(probing, "_looked_up", lambda _: answers.pop(0) if len(answers) > 1 else answers[0])
    monkeypatch.setattr(probing, "EVERY_SECONDS", 0.01)
    probes = Probes("mongodb+srv://cluster.example.invalid/")
    probes.start()
    try:
        version = 0
        while not probes.round().silent:
            version = probes.wait(version, 20)
            assert version
    finally:
        probes.stop()
    assert probes.join(20)
    assert set(probes.round().votes) == {"127.0.0.1:9"}


def test_a_certificate_that_is_not_there_is_silence(tmp_path: Path) -> None:
    probes = Probes(f"mongodb://127.0.0.1:9/?replicaSet=rs&tls=true&tlsCAFile={tmp_path}/none")
    probes.start()
    try:
        assert probes.wait(0, 20)
        assert probes.round().silent["127.0.0.1:9"] >= 1
    finally:
        probes.stop()
    assert probes.join(20)
