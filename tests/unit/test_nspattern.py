"""Patterns over namespaces: mongorestore's, and where ours differ on purpose."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mongo_dr_console.model import nspattern
from mongo_dr_console.model.namespace import Namespace, Patterns, Renames

CHOSEN = [
    ("shop.orders", "shop.orders", True),
    ("shop.orders", "shop.orders2", False),
    ("shop.orders", "xshop.orders", False),
    ("shop.order*", "shop.orders.old", True),
    ("shop.*", "shop.a\nb", True),
    ("*.orders", "shop.orders", True),
    ("*.orders", "shop.old.orders", True),
    ("s*.o*s", "shop.old.orders", True),
    (r"shop.st\*ar", "shop.st*ar", True),
    (r"shop.st\*ar", "shop.stxar", False),
    ("shop.a[b]?", "shop.a[b]?", True),
    ("shop.a[b]?", "shop.ab", False),
    ("shop.a+b(c)", "shop.a+b(c)", True),
    ("shop.$x", "shop.$x", True),
    (r"shop.a\b", r"shop.a\b", True),
    (r"shop.a\\b", r"shop.a\b", True),
    (r"shop.a\\*", r"shop.a\b", True),
    # Ours: mongorestore takes these for whole namespaces, and matches nothing.
    ("shop", "shop.orders", True),
    ("sh*", "shop.orders", True),
    ("*orders", "shop.orders", False),
    ("*", "shop.orders", True),
]


@pytest.mark.parametrize(("pattern", "name", "chosen"), CHOSEN)
def test_a_pattern_is_anchored_and_a_star_is_anything(pattern: str, name: str, chosen: bool) -> None:
    assert Patterns((pattern,)).match(Namespace.parse(name)) is chosen
    assert Patterns((), (pattern,)).match(Namespace.parse(name)) is not chosen


def test_an_exclusion_goes_before_any_choice() -> None:
    patterns = Patterns(("shop", "crm.*"), ("*.tmp*", "crm"))
    found = ["shop.a", "shop.tmp1", "crm.a", "other.a"]
    assert [n for n in found if patterns.match(Namespace.parse(n))] == ["shop.a"]
    assert patterns.unmatched_exclusions([Namespace("shop", "tmp1")]) == ["crm"]


RENAMED = [
    (["shop.a=shop.b"], "shop.a", "shop.b"),
    (["shop.a=shop.b"], "shop.ab", "shop.ab"),
    (["shop=copy"], "shop.a.b", "copy.a.b"),
    (["shop.*=copy.*"], "shop.a.b", "copy.a.b"),
    (["*.*=x*.y*"], "shop.a.b", "xshop.ya.b"),
    (["*=x_*"], "shop.a.b", "x_shop.a.b"),
    (["$db$.$c$=all.$db$_$c$_$db$"], "shop.a", "all.shop_a_shop"),
    (["$db$.$c$=$c$.$db$"], "shop.a", "a.shop"),
    ([r"shop.st\*ar=shop.star"], "shop.st*ar", "shop.star"),
    ([r"shop.a=shop.b\*"], "shop.a", "shop.b*"),
    ([r"shop.a=shop.b\c"], "shop.a", r"shop.b\c"),
    # The last pair that fits wins, as in mongorestore.
    (["shop.*=one.*", "shop.a=two.a"], "shop.a", "two.a"),
    (["shop.a=two.a", "shop.*=one.*"], "shop.a", "one.a"),
    (["shop.*=one.*", "crm.*=two.*"], "shop.a", "one.a"),
]


@pytest.mark.parametrize(("pairs", "name", "wanted"), RENAMED)
def test_a_map_with_stars_and_variables(pairs: list[str], name: str, wanted: str) -> None:
    assert str(Renames.parse(pairs).apply(Namespace.parse(name))) == wanted


def test_a_pair_that_meets_nothing_is_named() -> None:
    renames = Renames.parse(["shop.*=one.*", "crm.*=two.*"])
    assert renames.unmatched([Namespace("shop", "a")]) == ["crm.*"]


@pytest.mark.parametrize(
    ("pair", "why"),
    [
        ("a.*=b.c", "stars"),
        ("a.b=c.*", "stars"),
        ("*.*=a.*", "stars"),
        ("$x$.$x$=a.$x$", "twice"),
        ("$x$.a=$y$.a", "not in the source"),
        ("$x.a=b.c", "dollar"),
        ("a.b", "wanted"),
        ("a=b.c", "wanted"),
        ("a.*=b*", "wanted"),
        ("=b", "wanted"),
    ],
)
def test_a_map_that_is_none(pair: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Renames.parse([pair])


def test_a_map_that_makes_no_name_of_what_it_meets() -> None:
    renames = Renames.parse(["shop.a*=shop.*"])
    assert str(renames.apply(Namespace("shop", "ab"))) == "shop.b"
    with pytest.raises(ValueError, match="not a namespace"):
        renames.apply(Namespace("shop", "a"))


NAMES = st.text("ab.*\\$[?(", min_size=1, max_size=8)


@given(NAMES, NAMES)
def test_an_escaped_name_is_that_name_alone(name: str, other: str) -> None:
    pattern = nspattern.exact(f"db.{name}")
    assert nspattern.matches(pattern, "db", name)
    assert nspattern.matches(pattern, "db", other) is (name == other)
