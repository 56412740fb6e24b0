"""Where values of documents are hidden, none is left in any text that tells of one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.entrykit import Oplog

from mongo_dr_console.config import Profile
from mongo_dr_console.model.describe import describe_entry
from mongo_dr_console.model.redaction import file_without_values, redacted, without_values

SECRET = "s3cret7"


def said_of(identity: Any) -> list[str]:
    """Every way in which our own texts name a document."""
    log = Oplog()
    log.put("u", "crm.people", {"$v": 2, "diff": {"u": {"mail": 1}}}, o2={"_id": identity})
    log.transaction(
        b"s" * 16, [("d", "crm.people", {"_id": identity}), ("i", "crm.people", {"_id": identity})]
    )
    shown = str(identity)[:80]
    return [
        *map(describe_entry, log.entries),
        f"_id={shown!r} was inserted anew after the skipped delete of it",
        f"5:1 crm.people _id={shown!r} was written again",
        f'_id={shown!r}: E11000 duplicate key error collection: crm.people dup key: {{ mail: "{SECRET}" }}',
        f"Can't extract geo keys: {{ _id: 1, at: '{SECRET}' }}",
        f"must be an array but is of type string in document {{_id: '{SECRET}'}}",
    ]


identities = st.recursive(
    st.text(max_size=90).map(lambda text: f"{text}{SECRET}") | st.text(max_size=5).map(lambda t: SECRET + t),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=3,
)


@given(identities)
@example(f'a"…\\" {SECRET}')
@example(f"it's \"{SECRET}\", \\' he said")
@example("x" * 58 + f'" {SECRET}')
@example(SECRET + "x" * 80)
def test_no_value_is_left(identity: Any) -> None:
    for text in said_of(identity):
        assert SECRET not in without_values(text), text


@pytest.mark.parametrize("identity", [5, -1.5, "a@b.org", "it's"])
def test_what_happened_and_where_stays(identity: Any) -> None:
    update, transaction, *others = (without_values(text) for text in said_of(identity))
    assert update == "update crm.people _id=<value> (mail)"
    assert transaction.count("crm.people _id=<value>") == 2
    assert others[0] == "_id=<value> was inserted anew after the skipped delete of it"
    assert "E11000 duplicate key error collection: crm.people dup key: <value>" in others[2]


def test_what_tells_no_value_is_left_alone() -> None:
    for text in ("2 documents of crm.people_id; index a_1", "createRole({ role: 'mdrWatch' })", "id=5"):
        assert without_values(text) == text
    assert redacted((1, None, b"x", {"a": ["b"]})) == (1, None, b"x", {"a": ["b"]})


def test_a_file_of_json_stays_json() -> None:
    told = {"seq": 1, "text": f'delete crm.people _id="{SECRET}"', "n": [{"text": "as it was"}]}
    indented, lines = json.dumps(told, indent=2).encode(), (json.dumps(told) + "\n").encode() * 2
    assert json.loads(file_without_values(indented)) == told | {"text": "delete crm.people _id=<value>"}
    assert [json.loads(line)["seq"] for line in file_without_values(lines).splitlines()] == [1, 1]
    torn = lines + f"Failed: _id={SECRET} and\nmore\n".encode()
    assert file_without_values(torn).endswith(b"Failed: _id=<value>\nmore\n")
    assert file_without_values(b"\xff untouched") == b"\xff untouched"


def test_the_variable_says_it_for_every_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MDR_REDACT", raising=False)
    assert not Profile.model_validate({"uri": "mongodb://h/"}).redacts
    assert Profile.model_validate({"uri": "mongodb://h/", "redact": True}).redacts
    for value, told in (("1", True), ("0", False), ("", False)):
        monkeypatch.setenv("MDR_REDACT", value)
        assert Profile.model_validate({"uri": "mongodb://h/"}).redacts is told
