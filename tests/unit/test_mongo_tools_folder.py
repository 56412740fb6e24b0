"""What mongorestore is given: the oplog without what it must not touch, and the limit in its own words."""

from __future__ import annotations

from typing import Any

import bson
import pytest
from bson import Int64, Timestamp

from mongo_dr_console.engines.mongo_tools.abilities import refuse_restore
from mongo_dr_console.engines.mongo_tools.dump_folder import oplog_limit, wanted_entries
from mongo_dr_console.model.oplogentry import Operation, TransactionAssembler, raw_entry
from mongo_dr_console.model.plan import Intent
from mongo_dr_console.model.position import Bound, Limit, Position
from mongo_dr_console.model.trouble import Refused


def entry(op: str, namespace: str, body: dict[str, Any], **more: Any) -> bytes:
    return bytes(
        bson.encode({"ts": Timestamp(9, 1), "t": Int64(1), "op": op, "ns": namespace, "o": body, **more})
    )


def inner(namespace: str, number: int = 1) -> dict[str, Any]:
    return {"op": "i", "ns": namespace, "o": {"_id": number}}


def kept(*entries: bytes) -> list[bytes]:
    return list(wanted_entries([b"".join(entries)]))


TRANSACTION = {"lsid": {"id": bson.Binary(b"x" * 16, 4)}, "txnNumber": Int64(1)}


@pytest.mark.parametrize(
    "raw",
    [
        entry("n", "", {"msg": "x"}),
        entry("i", "shop.orders", {"_id": 1}),
        entry("u", "shop.system.buckets.weather", {"$v": 2}, o2={"_id": 1}),
        entry("c", "shop.$cmd", {"create": "orders"}),
        entry("c", "shop.$cmd", {"dropDatabase": 1}),
        entry("c", "admin.$cmd", {"applyOps": [inner("shop.a"), inner("shop.b")]}),
        entry("c", "admin.$cmd", {"commitTransaction": 1}, **TRANSACTION),
        entry("c", "admin.$cmd", {"abortTransaction": 1}, **TRANSACTION),
        entry("i", "shop.mdr_not_a_staging_one", {"_id": 1}),
    ],
)
def test_it_gets_these_as_they_are(raw: bytes) -> None:
    assert kept(raw) == [raw]


@pytest.mark.parametrize(
    "raw",
    [
        entry("i", "admin.system.users", {"_id": "a.b"}),
        entry("u", "config.transactions", {"$v": 2}, o2={"_id": 1}),
        entry("i", "mongo_dr.locks", {"_id": "restore"}),
        entry("c", "mongo_dr.$cmd", {"create": "locks"}),
        entry("i", "shop.mdr_0123abcd_1", {"_id": 1}),
        entry("c", "shop.$cmd", {"drop": "mdr_aside_0123abcd_1"}),
        entry("c", "shop.$cmd", {"createIndexes": "mdr_0123abcd_1", "key": {"a": 1}}),
        entry("c", "admin.$cmd", {"applyOps": [inner("mongo_dr.locks"), inner("shop.mdr_0123abcd_1")]}),
    ],
)
def test_it_never_gets_these(raw: bytes) -> None:
    assert kept(raw) == []


def test_a_batch_keeps_what_is_wanted_of_it() -> None:
    raw = entry("c", "admin.$cmd", {"applyOps": [inner("mongo_dr.x"), inner("shop.a", 2)]}, extra=1)
    (found,) = [bson.decode(one) for one in kept(raw)]
    assert found["o"] == {"applyOps": [inner("shop.a", 2)]}
    assert {**found, "o": None} == {**bson.decode(raw), "o": None}


def test_the_end_of_a_transaction_stays_though_nothing_is_left_in_it() -> None:
    first = entry("c", "admin.$cmd", {"applyOps": [inner("shop.a")], "partialTxn": True}, **TRANSACTION)
    last = entry("c", "admin.$cmd", {"applyOps": [inner("mongo_dr.x")]}, **TRANSACTION)
    assembler = TransactionAssembler()
    operations = [o for one in kept(first, last) for o in assembler.feed(raw_entry(one))]
    assert [o.namespace for o in operations] == ["shop.a"]


@pytest.mark.parametrize(
    ("position", "bound", "wanted"),
    [
        (Position(7, 3), Bound.BEFORE, "7:3"),
        (Position(7, 3), Bound.THROUGH, "7:4"),
        (Position(7, 2**32 - 1), Bound.THROUGH, "8:0"),
        (Position(7, 2**32 - 1), Bound.BEFORE, f"7:{2**32 - 1}"),
    ],
)
def test_mongorestore_leaves_the_limit_itself_out(position: Position, bound: Bound, wanted: str) -> None:
    assert oplog_limit(Limit(position, bound)) == wanted


def operations(*entries: bytes) -> list[Operation]:
    assembler = TransactionAssembler()
    return [o for one in entries for o in assembler.feed(raw_entry(one))]


@pytest.mark.parametrize("command", ["renameCollection", "convertToCapped", "importCollection", "someday"])
def test_commands_that_it_does_not_replay_right_are_refused_before_anything_is_dropped(command: str) -> None:
    def check(changes: list[Operation]) -> None:
        refuse_restore(
            Intent(mode="in-place"),
            compression="none",
            part=None,
            changes=changes,
        )

    check(operations(entry("c", "shop.$cmd", {"create": "a"}), entry("c", "shop.$cmd", {"dropIndexes": "a"})))
    with pytest.raises(Refused, match=f"replay of {command} in shop at 9:1"):
        check(operations(entry("c", "shop.$cmd", {command: "shop.a"})))
