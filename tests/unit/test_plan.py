"""The plan's hash and the text that a person types."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mongo_dr_console.model.identity import Identity
from mongo_dr_console.model.plan import BaseSnapshot, Intent, PlannedNamespace, confirmation, plan_hash
from mongo_dr_console.model.planlimit import PlanLimit
from mongo_dr_console.model.position import Bound, Position

WHO = Identity(environment="prod", set_name="rs0", replica_set_id="00")


def base(**changes: Any) -> BaseSnapshot:
    facts: dict[str, Any] = {
        "name": "20261122_020000",
        "store": "local",
        "checksum": "ab",
        "start": Position(1, 1),
        "end": Position(2, 1),
        "end_term": 1,
        "end_hash": "cd",
        "documents": 10,
        "bytes": 100,
    }
    return BaseSnapshot(**{**facts, **changes})


def planned(**changes: Any) -> PlannedNamespace:
    facts: dict[str, Any] = {
        "source": "shop.orders",
        "target": "shop.orders",
        "mode": "swap",
        "documents": 10,
        "bytes": 100,
        "effect": "replaced",
        "live_uuid": "aa",
        "live_documents": 9,
    }
    return PlannedNamespace(**{**facts, **changes})


def hashed(**changes: Any) -> str:
    facts: dict[str, Any] = {
        "identity": WHO,
        "base": base(),
        "limit": PlanLimit(position=Position(5, 1), bound=Bound.BEFORE),
        "skipped": ["e1", "e2"],
        "namespaces": [planned(), planned(source="shop.items", target="shop.items")],
        "intent": Intent(before="-10m"),
    }
    return plan_hash(**{**facts, **changes})


CHANGES: list[dict[str, Any]] = [
    {"identity": Identity(environment="test", set_name="rs0", replica_set_id="00")},
    {"identity": Identity(environment="prod", set_name="rs0", replica_set_id="01")},
    {"base": base(checksum="ac")},
    {"base": base(name="20261122_030000")},
    {"limit": PlanLimit(position=Position(5, 2), bound=Bound.BEFORE)},
    {"limit": PlanLimit(position=Position(5, 1), bound=Bound.THROUGH)},
    {"limit": PlanLimit(position=Position(5, 1), bound=Bound.BEFORE, follow=True)},
    {"skipped": ["e1"]},
    {"namespaces": [planned()]},
    {"namespaces": [planned(live_uuid="bb"), planned(source="shop.items", target="shop.items")]},
    {"namespaces": [planned(live_uuid=None), planned(source="shop.items", target="shop.items")]},
    {"namespaces": [planned(mode="in-place"), planned(source="shop.items", target="shop.items")]},
    {"namespaces": [planned(target="shop.other"), planned(source="shop.items", target="shop.items")]},
    {"namespaces": [planned(kind="view"), planned(source="shop.items", target="shop.items")]},
    {"intent": Intent(before="-10m", to_profile="other")},
    {"intent": Intent(before="-10m", mode="in-place")},
    {"intent": Intent(before="-10m", renames=("a=b",))},
]


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_what_must_not_change_is_hashed(change: dict[str, Any]) -> None:
    assert hashed(**change) != hashed()


def test_copies_of_one_base_are_one() -> None:
    """Where the nearest store is gone, the next copy may be read."""
    assert hashed(base=base(store="s3")) == hashed()


def test_no_two_of_these_plans_are_one() -> None:
    assert len({hashed(**change) for change in CHANGES}) == len(CHANGES)


SAME: list[dict[str, Any]] = [
    {"base": base(documents=11, bytes=200)},
    {"skipped": ["e2", "e1"]},
    {"namespaces": [planned(source="shop.items", target="shop.items"), planned()]},
    {
        "namespaces": [
            planned(documents=99, bytes=None, live_documents=1, effect="x"),
            planned(source="shop.items", target="shop.items"),
        ]
    },
    {"intent": Intent(through="5:0", snapshot="x", store="local", namespaces=("shop",))},
]


@pytest.mark.parametrize("change", SAME, ids=str)
def test_counts_estimates_and_order_are_not_hashed(change: dict[str, Any]) -> None:
    assert hashed(**change) == hashed()


def test_what_is_typed() -> None:
    assert confirmation(WHO, [], whole=True) == ""
    assert confirmation(WHO, ["shop.orders"], whole=True) == "prod/rs0/all"
    assert confirmation(WHO, ["shop.orders"], whole=False) == "prod/rs0/shop.orders"
    several = confirmation(WHO, ["shop.b", "shop.a"], whole=False)
    assert several == confirmation(WHO, ["shop.a", "shop.b"], whole=False)
    assert several.startswith("prod/rs0/2-collections-") and len(several.rpartition("-")[2]) == 4
    assert several != confirmation(WHO, ["shop.a", "shop.c"], whole=False)


@pytest.mark.parametrize("name", ["shop.we ird", 'shop.a"b', "shop.né", "shop.a*", "shop.a/b", "shop.a\nb"])
def test_a_name_that_cannot_be_typed_has_a_number_instead(name: str) -> None:
    text = confirmation(WHO, [name], whole=False)
    assert text.startswith("prod/rs0/1-collections-")
    assert text.isascii() and text.isprintable() and " " not in text


@given(st.lists(st.text(min_size=1), min_size=1, unique=True))
def test_it_can_always_be_typed(names: list[str]) -> None:
    text = confirmation(WHO, names, whole=False)
    assert text.isascii() and text.isprintable() and not set(text) & set(" \"'*\\")
