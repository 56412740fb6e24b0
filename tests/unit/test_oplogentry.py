"""Entries taken apart: transactions take effect at their commit, once and whole, or never."""

from __future__ import annotations

from typing import Any

import bson
import pytest
from bson import Binary, Int64, Timestamp
from hypothesis import given
from hypothesis import strategies as st

from mongo_dr_console.model.oplogentry import (
    Operation,
    TransactionAssembler,
    namespaces_of,
    raw_entry,
)
from mongo_dr_console.model.position import Position

NOTHING = {"ts": Timestamp(0, 0), "t": Int64(-1)}


def entry(t: int, op: str, ns: str, o: dict[str, Any], **more: Any) -> Any:
    return raw_entry(bson.encode({"op": op, "ns": ns, "o": o, "ts": Timestamp(t, 1), **more}))


def session(number: int, transaction: int = 1) -> dict[str, Any]:
    return {
        "lsid": {"id": Binary(bytes([number]) * 16, 4), "uid": b"u" * 32},
        "txnNumber": Int64(transaction),
    }


def inner(op: str, ns: str, o: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"op": op, "ns": ns, "ui": Binary(b"c" * 16, 4), "o": o, **more}


def inserts(*ids: Any) -> list[dict[str, Any]]:
    return [inner("i", "shop.orders", {"_id": i}) for i in ids]


def part(t: int, who: dict[str, Any], ids: list[Any], *, first: bool = False, **flags: Any) -> Any:
    before = NOTHING if first else {"ts": Timestamp(t - 1, 1), "t": Int64(1)}
    body = {"applyOps": inserts(*ids), **flags}
    return entry(t, "c", "admin.$cmd", body, prevOpTime=before, **who)


def ended(t: int, who: dict[str, Any], how: str) -> Any:
    before = {"ts": Timestamp(t - 1, 1), "t": Int64(1)}
    return entry(t, "c", "admin.$cmd", {how: 1}, prevOpTime=before, **who)


def fed(*entries: Any) -> tuple[list[Operation], TransactionAssembler]:
    assembler = TransactionAssembler()
    return [operation for one in entries for operation in assembler.feed(one)], assembler


def ids(operations: list[Operation]) -> list[Any]:
    return [operation.document_id for operation in operations]


def test_a_plain_write() -> None:
    body = {"$v": 2, "diff": {"u": {"a": 1}}}
    (one,), _ = fed(entry(5, "u", "shop.or.ders", body, o2={"_id": 7}, ui=Binary(b"c" * 16, 4), b=True))
    assert (one.database, one.collection, one.namespace) == ("shop", "or.ders", "shop.or.ders")
    assert (one.op, one.document_id, one.upsert, one.uuid) == ("u", 7, True, (b"c" * 16).hex())
    assert (one.position, one.index, one.transaction, one.session) == (Position(5, 1), 0, False, None)


def test_notes_are_no_operations() -> None:
    assert fed(entry(5, "n", "", {"msg": "x"}))[0] == []


def test_a_retryable_write_is_no_transaction() -> None:
    (one,), assembler = fed(entry(5, "i", "shop.orders", {"_id": 1}, **session(1)))
    assert (one.transaction, one.session) == (False, (b"\x01" * 16).hex())
    assert assembler.oldest_open is None


def test_a_transaction_in_one_entry() -> None:
    operations, assembler = fed(part(5, session(1), [1, 2, 3], first=True))
    assert ids(operations) == [1, 2, 3]
    assert [o.index for o in operations] == [0, 1, 2]
    assert all(o.transaction and o.position == Position(5, 1) for o in operations)
    assert assembler.incomplete == [] and assembler.oldest_open is None


def test_parts_come_at_the_last_one() -> None:
    who = session(1)
    first = part(5, who, [1, 2], first=True, partialTxn=True)
    second = part(6, who, [3], partialTxn=True)
    operations, assembler = fed(first, second)
    assert operations == [] and assembler.oldest_open == Position(5, 1)
    operations, assembler = fed(first, second, part(7, who, [4], count=Int64(4)))
    assert ids(operations) == [1, 2, 3, 4]
    assert {o.position for o in operations} == {Position(7, 1)}
    assert assembler.incomplete == []


@pytest.mark.parametrize("partial", [False, True])
def test_a_prepared_transaction_comes_at_its_commit(partial: bool) -> None:
    who = session(1)
    parts = [part(5, who, [1], first=True, partialTxn=True)] if partial else []
    parts.append(part(6, who, [2], first=not partial, prepare=True))
    assert fed(*parts)[0] == []
    operations, assembler = fed(*parts, ended(9, who, "commitTransaction"))
    assert ids(operations) == ([1, 2] if partial else [2])
    assert {o.position for o in operations} == {Position(9, 1)}
    assert assembler.oldest_open is None


def test_an_aborted_transaction_never_comes() -> None:
    who = session(1)
    operations, assembler = fed(
        part(5, who, [1], first=True, prepare=True),
        ended(6, who, "abortTransaction"),
        part(7, session(1, 2), [9], first=True),
    )
    assert ids(operations) == [9]
    assert assembler.incomplete == [] and assembler.oldest_open is None


def test_an_abort_of_what_was_never_seen_is_nothing() -> None:
    operations, assembler = fed(ended(6, session(1), "abortTransaction"))
    assert operations == [] and assembler.incomplete == []


def test_a_commit_without_its_beginning_is_a_hole() -> None:
    assert fed(ended(6, session(1), "commitTransaction"))[1].incomplete == [Position(6, 1)]
    operations, assembler = fed(part(6, session(1), [3], count=Int64(3)))
    assert ids(operations) == [3] and assembler.incomplete == [Position(6, 1)]


def test_vectored_inserts_take_effect_where_they_stand() -> None:
    body = {"applyOps": inserts(1, 2)}
    operations, assembler = fed(
        entry(5, "c", "admin.$cmd", body, multiOpType=1, prevOpTime=NOTHING, **session(1)),
        entry(6, "c", "admin.$cmd", {"applyOps": inserts(3)}),
    )
    assert ids(operations) == [1, 2, 3]
    assert not any(o.transaction for o in operations)
    assert assembler.incomplete == []


def test_nested_apply_ops_are_flattened_in_order() -> None:
    nested = inner("c", "admin.$cmd", {"applyOps": [*inserts(2), inner("n", "", {}), *inserts(3)]})
    body = {"applyOps": [*inserts(1), nested, *inserts(4)]}
    one = entry(5, "c", "admin.$cmd", body)
    operations, _ = fed(one)
    assert ids(operations) == [1, 2, 3, 4] and [o.index for o in operations] == [0, 1, 2, 3]
    assert namespaces_of(one) == {"shop.orders", ""}


def test_what_a_user_sent_as_apply_ops_upserts_unless_it_says_otherwise() -> None:
    """The command's default is to upsert, on every member that applies the entry."""
    update = inner("u", "shop.orders", {"$v": 2, "diff": {"u": {"a": 1}}}, o2={"_id": 1})
    for said, wanted in (({}, True), ({"alwaysUpsert": True}, True), ({"alwaysUpsert": False}, False)):
        (one,), _ = fed(entry(5, "c", "admin.$cmd", {"applyOps": [update], "$db": "admin", **said}))
        assert one.upsert is wanted and one.loose
    (one,), _ = fed(entry(5, "c", "admin.$cmd", {"applyOps": inserts(1)}))
    assert not one.loose
    (one,), _ = fed(entry(5, "c", "admin.$cmd", {"applyOps": [update]}, prevOpTime=NOTHING, **session(1)))
    assert (one.upsert, one.loose) == (False, False)


def test_a_command_knows_its_name() -> None:
    (one,), _ = fed(entry(5, "c", "shop.$cmd", {"drop": "orders"}, o2={"numRecords": 4}))
    assert (one.command, one.document_id, one.collection) == ("drop", None, "$cmd")


@st.composite
def interleavings(draw: st.DrawFn) -> tuple[list[Any], list[Any]]:
    """Transactions of several sessions and plain writes, mixed; and the ids in the order of their effect."""
    pieces: list[list[tuple[str, list[int]]]] = []
    number = 0
    for _ in range(draw(st.integers(1, 4))):
        story: list[tuple[str, list[int]]] = []
        for _ in range(draw(st.integers(1, 3))):
            story.append(("part", [number, number + 1]))
            number += 2
        story.append((draw(st.sampled_from(["last", "commit", "abort", "open"])), [number]))
        number += 1
        pieces.append(story)
    for _ in range(draw(st.integers(0, 4))):
        pieces.append([("plain", [number])])
        number += 1
    order = draw(st.permutations([n for n, story in enumerate(pieces) for _ in story]))
    entries: list[Any] = []
    effect: list[Any] = []
    held: dict[int, list[int]] = {}
    for t, which in enumerate(order, start=10):
        kind, values = pieces[which].pop(0)
        who = session(which)
        first = which not in held
        if kind == "plain":
            entries.append(entry(t, "i", "shop.orders", {"_id": values[0]}))
            effect += values
        elif kind == "part":
            held.setdefault(which, []).extend(values)
            entries.append(part(t, who, values, first=first, partialTxn=True))
        elif kind == "last":
            entries.append(part(t, who, values, first=first))
            effect += [*held.pop(which, []), *values]
        elif kind == "open":
            continue
        else:
            entries.append(ended(t, who, f"{kind}Transaction"))
            effect += held.pop(which, []) if kind == "commit" else []
            held.pop(which, None)
    return entries, effect


@given(interleavings())
def test_any_interleaving_takes_effect_at_the_commits(case: tuple[list[Any], list[Any]]) -> None:
    entries, effect = case
    operations, assembler = fed(*entries)
    assert ids(operations) == effect
    assert assembler.incomplete == []
    assert [o.position for o in operations] == sorted(o.position for o in operations)
