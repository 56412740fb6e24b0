"""Leaving events out, and recognising what builds on them."""

from __future__ import annotations

from typing import Any

import bson
import pytest
from bson import Binary, Int64, ObjectId, Timestamp
from hypothesis import given
from hypothesis import strategies as st

from mongo_dr_console.model import skip
from mongo_dr_console.model.event import EventSelector
from mongo_dr_console.model.oplogentry import Operation, TransactionAssembler, raw_entry
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.skip import SkipWatch, overlapping


def operation(op: str, t: int, key: Any, o: dict[str, Any] | None = None, **more: Any) -> Operation:
    body = o if o is not None else {"_id": key}
    if op == "u":
        more["o2"] = {"_id": key}
    ns = more.pop("ns", "shop.orders")
    raw = bson.encode({"op": op, "ns": ns, "o": body, "ts": Timestamp(t, 1), **more})
    (one,) = TransactionAssembler().feed(raw_entry(raw))
    return one


def diff(*fields: str) -> dict[str, Any]:
    return {"$v": 2, "diff": {"u": dict.fromkeys(fields, 1)}}


def selector(op: Any, **more: Any) -> EventSelector:
    facts = {"first": Position(10, 1), "last": Position(20, 1), "namespaces": ("shop.orders",), **more}
    return EventSelector(op=op, **facts)


def test_only_what_is_the_events_own() -> None:
    watch = SkipWatch([selector("d")])
    assert watch.skips(operation("d", 10, 1)) and watch.skips(operation("d", 20, 2))
    assert not watch.skips(operation("d", 9, 1)) and not watch.skips(operation("d", 21, 1))
    assert not watch.skips(operation("d", 15, 1, ns="shop.items"))
    assert not watch.skips(operation("u", 15, 1, diff("a")))
    lsid = {"id": Binary(b"s" * 16, 4), "uid": b""}
    assert not watch.skips(operation("d", 15, 1, lsid=lsid, txnNumber=Int64(1)))


def test_a_mass_update_is_told_by_its_fields() -> None:
    watch = SkipWatch([selector("u", fields=("state", "sub"))])
    assert watch.skips(operation("u", 15, 1, diff("state")))
    assert not watch.skips(operation("u", 15, 1, diff("state", "other")))
    assert not watch.skips(operation("u", 15, 1, {"_id": 1, "state": 2}))


def test_an_insert_after_a_skipped_delete_builds_on_it() -> None:
    watch = SkipWatch([selector("d")])
    watch.skips(operation("d", 15, 1))
    assert "1" in str(watch.overlap(operation("i", 30, 1)))
    assert watch.overlap(operation("i", 30, 2)) is None
    assert watch.overlap(operation("i", 30, 1, ns="shop.items")) is None
    assert watch.overlap(operation("d", 30, 1)) is None


def test_a_later_update_of_the_same_fields_builds_on_a_skipped_one() -> None:
    watch = SkipWatch([selector("u", fields=("state", "sub"))])
    watch.skips(operation("u", 15, 1, diff("state")))
    assert "state" in str(watch.overlap(operation("u", 30, 1, diff("state"))))
    assert watch.overlap(operation("u", 30, 1, diff("other"))) is None
    assert "whole" in str(watch.overlap(operation("u", 30, 1, {"_id": 1, "x": 1})))
    below = {"$v": 2, "diff": {"ssub": {"u": {"x": 1}}}}
    assert "sub.x" in str(watch.overlap(operation("u", 30, 1, below)))


def test_what_was_skipped_is_known_again_under_another_name() -> None:
    watch = SkipWatch([selector("u", fields=("state",))])
    watch.skips(operation("u", 15, 1, diff("state")))
    rename = {"renameCollection": "shop.orders", "to": "shop.archive"}
    assert not watch.skips(operation("c", 25, None, rename, ns="shop.$cmd"))
    assert "state" in str(watch.overlap(operation("u", 30, 1, diff("state"), ns="shop.archive")))
    assert watch.overlap(operation("u", 30, 1, diff("state"))) is None, "that is another collection now"
    back = {"renameCollection": "shop.archive", "to": "shop.orders"}
    watch.skips(operation("c", 35, None, back, ns="shop.$cmd"))
    assert watch.overlap(operation("u", 40, 1, diff("state"))) is not None


KEYS = [1, 1.5, "a", True, None, ObjectId("5" * 24), {"a": 1}, float("nan"), float("inf"), Int64(2**62)]


@pytest.mark.parametrize("key", KEYS, ids=repr)
def test_any_key_is_known_again(key: Any) -> None:
    watch = SkipWatch([selector("d")])
    assert watch.skips(operation("d", 15, key))
    assert watch.overlap(operation("i", 30, key)) is not None


def test_numbers_of_any_type_are_one_key_and_others_are_not() -> None:
    watch = SkipWatch([selector("d")])
    watch.skips(operation("d", 15, 1))
    watch.skips(operation("d", 15, 2**60))
    for same in (1, 1.0, Int64(1), Int64(2**60), float(2**60)):
        assert watch.overlap(operation("i", 30, same)) is not None
    for other in (True, "1", 1.5, Int64(2**60 + 1)):
        assert watch.overlap(operation("i", 30, other)) is None


def test_it_says_when_it_could_not_remember_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(skip, "MAX_REMEMBERED", 2)
    watch = SkipWatch([selector("d")])
    for key in (1, 2):
        assert watch.skips(operation("d", 15, key))
    assert watch.remembered_all
    assert watch.skips(operation("d", 15, 3)) and not watch.remembered_all


PATHS = st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map(".".join)


@given(st.lists(PATHS, max_size=4), st.lists(PATHS, max_size=4))
def test_paths_overlap_where_one_is_within_the_other(skipped: list[str], later: list[str]) -> None:
    def within(a: str, b: str) -> bool:
        one, two = a.split("."), b.split(".")
        return one[: len(two)] == two or two[: len(one)] == one

    wanted = [new for new in later if any(within(old, new) for old in skipped)]
    assert overlapping(skipped, later) == (wanted if later else ["the whole document"])
