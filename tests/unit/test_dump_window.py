"""What stays of the oplog in a dump's window, entry by entry."""

from __future__ import annotations

from typing import Any

import bson
from bson import Timestamp

from mongo_dr_console.engines.builtin.dump_window import Rename, WindowFilter, renames_in
from mongo_dr_console.model.namespace import Namespace
from mongo_dr_console.model.oplogentry import raw_entry
from mongo_dr_console.model.position import Position

A, B, TMP = (Namespace("shop", n) for n in ("a", "b", "tmp"))


def entry(op: str, namespace: str, body: Any, ordinal: int = 5, **more: Any) -> bytes:
    return bson.encode({"op": op, "ns": namespace, "o": body, "ts": Timestamp(100, ordinal), "t": 1, **more})


def part(*inner: dict[str, Any], **more: Any) -> bytes:
    body = {"applyOps": list(inner), **({"partialTxn": True} if more.pop("partial", False) else {})}
    return entry("c", "admin.$cmd", body, lsid={"id": 1}, txnNumber=1, **more)


def insert(namespace: str) -> dict[str, Any]:
    return {"op": "i", "ns": namespace, "o": {"_id": 1}}


def of(*namespaces: Namespace) -> WindowFilter:
    return WindowFilter(lambda n: n in namespaces, lambda database: False)


def kept(choice: WindowFilter, raw: bytes) -> list[str] | None:
    chosen = choice.choose(raw)
    return None if chosen is None else [e["ns"] for e in bson.decode(chosen)["o"]["applyOps"]]


def test_without_a_part_or_a_rename_all_stays_as_it_is() -> None:
    raw = entry("c", "shop.$cmd", {"dropDatabase": 1})
    assert WindowFilter().choose(raw) is raw


def test_only_what_is_in_the_part_stays() -> None:
    choice = of(A)
    inside, outside = entry("i", "shop.a", {"_id": 1}), entry("i", "shop.b", {"_id": 1})
    assert choice.choose(inside) is inside
    assert choice.choose(outside) is None
    assert choice.choose(entry("c", "shop.$cmd", {"drop": "b"})) is None
    assert choice.choose(entry("c", "shop.$cmd", {"drop": "a"})) is not None
    assert choice.choose(entry("n", "", {"msg": "x"})) is not None
    assert choice.choose(entry("c", "shop.$cmd", {"dropDatabase": 1})) is None


def test_views_and_time_series_go_by_the_name_that_people_know() -> None:
    choice = of(A)
    assert choice.choose(entry("i", "shop.system.views", {"_id": "shop.a"})) is not None
    assert choice.choose(entry("i", "shop.system.views", {"_id": "shop.b"})) is None
    assert choice.choose(entry("u", "shop.system.views", {"$v": 2}, o2={"_id": "shop.a"})) is not None
    assert choice.choose(entry("i", "shop.system.buckets.a", {"_id": 1})) is not None


def test_a_transaction_keeps_its_parts_and_loses_what_is_outside() -> None:
    choice = of(A)
    assert kept(choice, part(insert("shop.a"), insert("shop.b"))) == ["shop.a"]
    assert kept(choice, part(insert("shop.b"), partial=True)) == [], "its commit builds on it"
    later = {"prevOpTime": {"ts": Timestamp(100, 1), "t": 1}}
    assert kept(choice, part(insert("shop.b"), **later)) == []
    assert kept(choice, part(insert("shop.b"))) is None
    whole = part(insert("shop.a"))
    assert choice.choose(whole) is whole
    commit = entry("c", "admin.$cmd", {"commitTransaction": 1}, lsid={"id": 1}, txnNumber=1)
    assert choice.choose(commit) is commit


def test_what_a_rename_touched_begins_behind_it() -> None:
    choice = WindowFilter()
    choice.note(Rename(Position(100, 5), TMP, A))
    assert choice.choose(entry("i", "shop.a", {"_id": 1}, 5)) is None
    assert choice.choose(entry("i", "shop.tmp", {"_id": 1}, 4)) is None
    assert choice.choose(entry("i", "shop.a", {"_id": 1}, 6)) is not None
    assert choice.choose(entry("i", "shop.b", {"_id": 1}, 4)) is not None
    assert choice.choose(entry("c", "shop.$cmd", {"renameCollection": "shop.tmp", "to": "shop.a"})) is None
    assert choice.choose(entry("c", "shop.$cmd", {"dropDatabase": 1}, 4)) is None, (
        "it would drop what was read"
    )
    assert choice.choose(entry("c", "shop.$cmd", {"dropDatabase": 1}, 6)) is not None
    assert choice.choose(entry("c", "other.$cmd", {"dropDatabase": 1}, 4)) is not None


def test_renames_are_found_also_within_others() -> None:
    rename = {"op": "c", "ns": "shop.$cmd", "o": {"renameCollection": "shop.a", "to": "shop.b"}}
    raw = entry("c", "admin.$cmd", {"applyOps": [insert("shop.a"), rename]}, 7)
    assert list(renames_in(raw_entry(raw))) == [Rename(Position(100, 7), A, B)]
