"""Operations in words."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from bson import ObjectId
from hypothesis import given
from hypothesis import strategies as st
from support.entrykit import Oplog

from mongo_dr_console.model.describe import describe_entry, describe_operation, shown_value
from mongo_dr_console.model.oplogentry import TransactionAssembler, raw_entry


@pytest.mark.parametrize(
    ("op", "namespace", "o", "o2", "text"),
    [
        ("d", "shop.orders", {"_id": 5}, None, "delete shop.orders _id=5"),
        ("i", "shop.orders", {"_id": "a\n"}, None, 'insert shop.orders _id="a\\n"'),
        (
            "u",
            "shop.orders",
            {"$v": 2, "diff": {"u": {"status": 1}}},
            {"_id": 5},
            "update shop.orders _id=5 (status)",
        ),
        ("u", "shop.orders", {"_id": 5, "a": 1}, {"_id": 5}, "update shop.orders _id=5 (whole document)"),
        ("c", "shop.$cmd", {"drop": "orders"}, None, "drop shop.orders"),
        ("c", "shop.$cmd", {"dropDatabase": 1}, None, "dropDatabase shop"),
        ("c", "shop.$cmd", {"renameCollection": "a.b", "to": "a.c"}, None, "rename a.b to a.c"),
        (
            "c",
            "shop.$cmd",
            {"renameCollection": "a.b", "to": "a.c", "dropTarget": True},
            None,
            "rename a.b to a.c (over an existing one)",
        ),
        ("n", "", {"msg": "periodic noop"}, None, "no-op of the server"),
    ],
)
def test_an_entry_in_words(op: str, namespace: str, o: dict, o2: dict | None, text: str) -> None:  # type: ignore[type-arg]
    log = Oplog()
    log.put(op, namespace, o, **({"o2": o2} if o2 else {}))
    assert describe_entry(log.entries[0]) == text
    for operation in TransactionAssembler().feed(raw_entry(log.entries[0])):
        assert describe_operation(operation) == text


def test_a_transaction_is_told_by_what_is_in_it() -> None:
    log = Oplog()
    log.transaction(b"s" * 16, [("d", "shop.orders", {"_id": n}) for n in range(5)])
    assert describe_entry(log.entries[0]) == (
        "transaction or batch of 5: delete shop.orders _id=0; delete shop.orders _id=1; and 3 more"
    )


def test_values_are_shortened_and_typed() -> None:
    assert shown_value(ObjectId("0" * 24)) == '{"$oid": "000000000000000000000000"}'
    assert len(shown_value("x" * 500)) == 60
    assert "2026" in shown_value(datetime(2026, 1, 1, tzinfo=UTC))


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",))), st.text())
def test_nothing_in_it_is_obeyed_by_a_terminal(name: str, identity: str) -> None:
    log = Oplog()
    log.put("d", f"shop.{name}", {"_id": identity.encode("utf-8", "replace").decode()})
    assert describe_entry(log.entries[0]).isprintable()
