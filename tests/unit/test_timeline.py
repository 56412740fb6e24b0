"""The timeline: which staging collection stands for which namespace, at each position."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import bson
import pytest
from bson import Binary, Timestamp
from bson.raw_bson import RawBSONDocument
from hypothesis import given
from hypothesis import strategies as st

from mongo_dr_console.engines.builtin.replay_run import tracked_with
from mongo_dr_console.model.namespace import Namespace, Patterns
from mongo_dr_console.model.oplogentry import Operation, TransactionAssembler, raw_entry
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.timeline import (
    Action,
    Create,
    Modify,
    SnapshotCollection,
    Timeline,
    Write,
    rename_closure,
)
from mongo_dr_console.model.trouble import Failed

WINDOW_END = Position(100, 0)
AFTER = 101


def raw(**fields: Any) -> RawBSONDocument:
    return raw_entry(bson.encode(fields))


def uuid(number: int) -> Binary:
    return Binary(bytes([number]) * 16, 4)


def operation(op: str, ns: str, o: dict[str, Any], t: int = AFTER, **more: Any) -> Operation:
    entry = raw(op=op, ns=ns, o=o, ts=Timestamp(t, 1), **more)
    (one,) = TransactionAssembler().feed(entry)
    return one


def command(o: dict[str, Any], database: str = "shop", t: int = AFTER, **more: Any) -> Operation:
    return operation("c", f"{database}.$cmd", o, t, **more)


def create(name: str, number: int = 0, t: int = AFTER, **options: Any) -> Operation:
    return command({"create": name, **options, "idIndex": {"v": 2}}, t=t, ui=uuid(number))


def drop(name: str, t: int = AFTER) -> Operation:
    return command({"drop": name}, t=t)


def rename(source: str, target: str, over: bool = False, t: int = AFTER) -> Operation:
    more = {"dropTarget": uuid(9)} if over else {}
    return command({"renameCollection": f"shop.{source}", "to": f"shop.{target}", **more}, t=t)


def insert(name: str, key: Any, t: int = AFTER) -> Operation:
    return operation("i", f"shop.{name}", {"_id": key}, t)


def update(name: str, key: Any, t: int = AFTER, **more: Any) -> Operation:
    return operation("u", f"shop.{name}", {"$v": 2, "diff": {"u": {"a": 1}}}, t, o2={"_id": key}, **more)


def index(name: str, key: str = "a", **more: Any) -> dict[str, Any]:
    return {"v": 2, "key": {key: 1}, "name": name, **more}


@dataclass
class Told:
    """A timeline and what it said."""

    timeline: Timeline
    actions: list[Action] = field(default_factory=list)

    def feed(self, *operations: Operation) -> Told:
        for one in operations:
            self.actions += self.timeline.feed(one)
        return self

    def home(self, name: str) -> int | None:
        staged = self.timeline.collections.get(Namespace("shop", name))
        return staged.number if staged else None

    @property
    def places(self) -> dict[str, int]:
        return {n.collection: s.number for n, s in self.timeline.collections.items()}

    def indexes(self, name: str) -> dict[str, dict[str, Any]]:
        staged = self.timeline.collections[Namespace("shop", name)]
        return {k: bson.decode(v.raw) for k, v in staged.indexes.items()}

    def options(self, name: str) -> dict[str, Any]:
        return bson.decode(self.timeline.collections[Namespace("shop", name)].options.raw)


def begun(
    *names: str,
    scope: tuple[str, ...] = (),
    renames: Iterable[Operation] = (),
    skipped: Callable[[Operation], bool] = lambda operation: False,
    settled: set[Namespace] | None = None,
    views: dict[Namespace, RawBSONDocument] | None = None,
    indexes: tuple[RawBSONDocument, ...] = (),
) -> Told:
    """A timeline that begins with these collections of ``shop``."""
    patterns = Patterns(scope)
    pairs = [
        (Namespace.parse(o.document["renameCollection"]), Namespace.parse(o.document["to"])) for o in renames
    ]
    closure = frozenset(rename_closure(patterns.match, pairs))
    tracked = tracked_with(patterns.match, closure, settled if settled is not None else set())
    timeline = Timeline(
        "ab12cd34", tracked=tracked, wanted=patterns.match, window_end=WINDOW_END, skipped=skipped
    )
    collections = [
        SnapshotCollection(Namespace("shop", n), raw(), indexes, bytes(uuid(k)).hex())
        for k, n in enumerate(names, start=1)
        if tracked(Namespace("shop", n))
    ]
    timeline.begin(collections, views or {})
    return Told(timeline)


def follow(*operations: Operation, names: tuple[str, ...], scope: tuple[str, ...] = ()) -> Told:
    return begun(*names, scope=scope, renames=[o for o in operations if o.command.startswith("ren")]).feed(
        *operations
    )


# Time series


def buckets(name: str) -> str:
    return f"system.buckets.{name}"


SERIES = {"timeField": "at", "granularity": "seconds", "bucketMaxSpanSeconds": 3600}


def test_a_time_series_is_followed_by_its_buckets_under_its_own_name() -> None:
    made = create(buckets("w"), 5, timeseries=SERIES, validator={"x": 1}, clusteredIndex=True)
    view = operation("i", "shop.system.views", {"_id": "shop.w", "viewOn": buckets("w"), "pipeline": []})
    told = begun("a").feed(made, view, insert(buckets("w"), 1))
    (staged,) = [s for n, s in told.timeline.collections.items() if n.collection == "w"]
    assert staged.series and told.options("w") == {"timeseries": SERIES}
    (write,) = [a for a in told.actions if isinstance(a, Write)]
    assert write.staged is staged and write.original == "shop.w"
    assert told.timeline.views == {}
    told.feed(drop(buckets("w")))
    assert told.places == {"a": 1} and staged.discarded


def test_a_change_of_a_time_series_is_sent_nowhere_and_kept_for_the_end() -> None:
    told = begun().feed(create(buckets("w"), 5, timeseries=SERIES, expireAfterSeconds=5))
    before = len(told.actions)
    told.feed(
        command({"collMod": buckets("w"), "timeseries": {"granularity": "hours"}}),
        command({"collMod": buckets("w"), "expireAfterSeconds": "off"}),
        command({"createIndexes": buckets("w"), **index("i", "meta")}),
    )
    assert told.actions[before:] == []
    assert told.options("w") == {"timeseries": {"timeField": "at", "granularity": "hours"}}
    assert told.timeline.collections[Namespace("shop", "w")].bucket_indexes == {"i"}


def test_a_time_series_out_of_the_scope_is_not_followed() -> None:
    told = begun("a", scope=("shop.a",)).feed(
        create(buckets("w"), 5, timeseries=SERIES), insert(buckets("w"), 1)
    )
    assert told.places == {"a": 1} and told.actions == []


# Writes


def test_a_write_goes_to_the_staging_collection() -> None:
    told = begun("a").feed(insert("a", 1), update("a", 1), operation("d", "shop.a", {"_id": 1}))
    writes = [a for a in told.actions if isinstance(a, Write)]
    assert [(w.op, w.staged.namespace, w.original) for w in writes] == [
        (op, "shop.mdr_ab12cd34_1", "shop.a") for op in "iud"
    ]


def test_updates_upsert_within_the_window_only() -> None:
    told = begun("a").feed(update("a", 1, t=100), update("a", 1, t=101), update("a", 1, t=101, b=True))
    # Position (100, 1) lies after (100, 0): the window's end itself is the last that may upsert.
    assert [a.upsert for a in told.actions if isinstance(a, Write)] == [False, False, True]
    told = begun("a").feed(update("a", 1, t=99), insert("a", 1, t=99))
    assert [a.upsert for a in told.actions if isinstance(a, Write)] == [True, False]


def test_a_write_to_what_nobody_made_is_a_hole_after_the_window_only() -> None:
    assert begun("a").feed(insert("b", 1, t=99)).actions == []
    with pytest.raises(Failed) as caught:
        begun("a").feed(insert("b", 1))
    assert caught.value.code == "oplog-hole" and "101:1" in str(caught.value)


def test_what_is_out_of_scope_is_left_alone() -> None:
    told = begun("a", "b", scope=("shop.a",)).feed(
        insert("b", 1), create("c"), drop("b"), rename("b", "d"), insert("d", 1)
    )
    assert told.actions == [] and told.places == {"a": 1}


# Create, drop, rename


def test_dropped_and_made_again() -> None:
    told = begun("a").feed(insert("a", 1), drop("a"), create("a", 7, capped=True, size=4096), insert("a", 2))
    assert told.home("a") == 2
    assert [type(a).__name__ for a in told.actions] == ["Write", "Create", "Write"]
    assert [a.staged.number for a in told.actions] == [1, 2, 2]
    assert told.options("a") == {"capped": True, "size": 4096}
    assert told.timeline.all[0].discarded and not told.timeline.all[1].discarded
    assert told.timeline.all[0].from_snapshot and not told.timeline.all[1].from_snapshot


def test_a_create_that_the_listing_saw_is_no_second_one() -> None:
    assert begun("a").feed(create("a", 1, t=99)).places == {"a": 1}
    assert begun("a").feed(create("a", 1)).places == {"a": 1}


def test_a_create_of_what_is_there_does_not_continue_the_snapshot() -> None:
    with pytest.raises(Failed) as caught:
        begun("a").feed(create("a", 5))
    assert caught.value.code == "oplog-inconsistent"


def test_a_rename_moves_what_a_name_stands_for() -> None:
    told = begun("a").feed(rename("a", "b"), insert("b", 1), create("a", 8), insert("a", 2))
    assert told.places == {"b": 1, "a": 2}
    assert [a.staged.number for a in told.actions] == [1, 2, 2]


def test_a_rename_over_lets_the_target_go() -> None:
    told = begun("a", "b").feed(rename("a", "b", over=True), insert("b", 1))
    assert told.places == {"b": 1}
    assert told.timeline.all[1].discarded


def test_a_chain_of_renames_into_the_scope() -> None:
    steps = (insert("a", 1), rename("a", "b"), insert("b", 2), rename("b", "c"), insert("c", 3))
    told = follow(*steps, names=("a", "x"), scope=("shop.c",))
    assert [a.staged.number for a in told.actions] == [1, 1, 1]
    assert told.places == {"c": 1}


def test_a_swap_of_two_names_through_a_third() -> None:
    steps = (rename("a", "t"), rename("b", "a"), rename("t", "b"))
    assert follow(*steps, names=("a", "b")).places == {"a": 2, "b": 1}
    assert follow(*steps, names=("a", "b"), scope=("shop.a", "shop.b")).places == {"a": 2, "b": 1}
    for one in ("a", "b"):
        told = follow(*steps, names=("a", "b"), scope=(f"shop.{one}",))
        staged = told.timeline.collections[Namespace("shop", one)]
        assert staged.uuid == bytes(uuid(2 if one == "a" else 1)).hex()


def test_what_a_name_becomes_after_it_was_needed_is_nobodys_business() -> None:
    """Nightly rotation, with only the old one asked for: the new one need not be known."""
    steps = (rename("now", "old", over=True), rename("next", "now"), insert("now", 1))
    told = follow(*steps, names=("now", "old", "next"), scope=("shop.old",))
    assert told.places == {"old": 1} and told.actions == []
    again = (create("now2", 7), rename("now", "old", over=True), rename("now2", "now"), insert("now", 2))
    told = follow(*steps, *again, names=("now", "old", "next"), scope=("shop.old",))
    assert set(told.places) == {"old"}


def test_a_wanted_name_from_a_source_that_is_not_there_is_an_error() -> None:
    step = rename("gone", "a", over=True)
    for scope in ((), ("shop.a",)):
        with pytest.raises(Failed) as caught:
            follow(step, names=("a",), scope=scope)
        assert caught.value.code == "rename-source-missing" and "shop.gone" in str(caught.value)
    # Where a rename comes that the closure was not made for, as while the live oplog is followed.
    with pytest.raises(Failed):
        begun("a", "other", scope=("shop.a",)).feed(rename("other", "a", over=True))


def test_a_rename_out_of_the_scope_lets_go() -> None:
    told = follow(rename("a", "mdr_aside_0011aabb_1"), names=("a",))
    assert told.places == {} and told.timeline.all[0].discarded


def test_drop_database() -> None:
    views = {Namespace("shop", "v"): raw(_id="shop.v", viewOn="a", pipeline=[])}
    told = begun("a", "b", views=views).feed(command({"dropDatabase": 1}), create("a", 5))
    assert told.places == {"a": 3} and told.timeline.views == {}


def test_an_earlier_restore_is_data_like_any_other() -> None:
    """Its staging collection is followed to its cut-over; what it set aside is gone (server-rules 4)."""
    steps = (
        create("mdr_99aabbcc_1", 5),
        insert("mdr_99aabbcc_1", 1),
        rename("a", "mdr_aside_99aabbcc_1"),
        rename("mdr_99aabbcc_1", "a"),
        insert("a", 2),
        drop("mdr_aside_99aabbcc_1"),
    )
    told = follow(*steps, names=("a",), scope=("shop.a",))
    assert told.home("a") == 2
    assert [a.staged.number for a in told.actions] == [2, 2, 2]
    # And where it began before the snapshot, between staging and cut-over.
    told = follow(*steps[2:], names=("a", "mdr_99aabbcc_1"), scope=("shop.a",))
    assert told.home("a") == 2


def test_an_undo_is_followed_where_all_of_it_is_in_the_range() -> None:
    back = (rename("a", "mdr_aside_99aabbcc_u1"), rename("mdr_aside_99aabbcc_1", "a"))
    steps = (
        create("mdr_99aabbcc_1", 5),
        rename("a", "mdr_aside_99aabbcc_1"),
        rename("mdr_99aabbcc_1", "a"),
        *back,
        insert("a", 3),
    )
    told = follow(*steps, names=("a",))
    assert told.home("a") == 1
    with pytest.raises(Failed) as caught:
        follow(*back, names=("a",))
    assert caught.value.code == "rename-source-missing"


def test_a_settled_namespace_is_not_followed() -> None:
    settled: set[Namespace] = set()
    told = begun("a", settled=settled)
    settled.add(Namespace("shop", "a"))
    assert told.feed(insert("a", 1)).actions == []


def test_unknown_commands_stop_it_in_the_scope_only() -> None:
    odd = command({"upgradeDowngradeViewlessTimeseries": "a"})
    with pytest.raises(Failed) as caught:
        begun("a").feed(odd)
    assert caught.value.code == "oplog-unknown-command"
    assert begun("b", scope=("shop.b",)).feed(odd).actions == []
    assert begun("a").feed(command({"startIndexBuild": "a"}), command({"dbCheck": "a"})).actions == []


# Skipping


@pytest.mark.parametrize(("options", "conflicts"), [({}, []), ({"capped": True}, ["shop.a"])])
def test_a_skipped_drop_leaves_it_there_and_lists_a_clash(
    options: dict[str, Any], conflicts: list[str]
) -> None:
    told = begun("a", skipped=lambda o: o.command == "drop")
    told.feed(drop("a"), create("a", 5, **options), insert("a", 1), insert("a", 2))
    assert told.places == {"a": 1}
    assert [c.namespace for c in told.timeline.conflicts] == conflicts
    assert told.timeline.skipped_operations == 1
    assert all(a.lenient for a in told.actions if isinstance(a, Write))


def test_a_rename_onto_what_a_skipped_drop_left_is_listed_not_done() -> None:
    told = begun("a", "b", skipped=lambda o: o.command == "drop")
    told.feed(drop("b"), rename("a", "b"), insert("b", 1))
    assert told.places == {"a": 1, "b": 2} and told.timeline.conflict_count == 1


def test_a_rename_that_was_not_done_leaves_its_source_to_meet_what_comes_later() -> None:
    told = begun("a", "b", "c", skipped=lambda o: o.command == "drop")
    told.feed(drop("b"), rename("a", "b"), rename("c", "a"), create("a", 7))
    assert told.places == {"a": 1, "b": 2, "c": 3} and told.timeline.conflict_count == 2


def test_what_a_skip_touched_is_known_by_its_later_names() -> None:
    told = begun("a", "b", skipped=lambda o: bool(o.document.get("dropTarget")))
    told.feed(rename("a", "b", over=True), update("b", 1), rename("b", "z"), update("z", 2), update("z", 3))
    writes = [action for action in told.actions if isinstance(action, Write)]
    assert [w.lenient for w in writes] == [True] * 3 and told.places == {"a": 1, "z": 2}


def test_a_rename_onto_what_is_there_without_a_skip_is_an_error() -> None:
    with pytest.raises(Failed):
        begun("a", "b").feed(rename("a", "b"))


# Indexes, options


def test_indexes_come_and_go() -> None:
    told = begun("a", indexes=(raw(**index("_id_", "_id")), raw(**index("old"))))
    told.feed(
        command({"createIndexes": "a", **index("one")}),
        command({"startIndexBuild": "a", "indexes": [index("two"), index("broken")]}),
        command({"commitIndexBuild": "a", "indexes": [index("two", unique=True)]}),
        command({"abortIndexBuild": "a", "indexes": [index("broken")]}),
        command({"dropIndexes": "a", "index": "old"}),
        command({"dropIndexes": "a", "index": "never"}),
    )
    assert told.indexes("a") == {"one": index("one"), "two": index("two", unique=True)}
    assert told.feed(command({"dropIndexes": "a", "index": "*"})).indexes("a") == {}
    assert told.actions == []


def test_a_clustered_index_belongs_to_its_collection() -> None:
    assert begun("a", indexes=(raw(**index("mine", "_id", clustered=True)),)).indexes("a") == {}


def test_indexes_stay_with_a_collection_that_is_renamed() -> None:
    told = begun("a").feed(command({"createIndexes": "a", **index("one")}), rename("a", "b"))
    assert told.indexes("b") == {"one": index("one")}


def test_coll_mod_of_an_index() -> None:
    told = begun("a", indexes=(raw(**index("x")),))

    def change(**what: Any) -> dict[str, Any]:
        told.feed(command({"collMod": "a", "index": {"name": "x", **what}}))
        return told.indexes("a")["x"]

    assert change(expireAfterSeconds=60) == index("x", expireAfterSeconds=60)
    assert change(hidden=True)["hidden"] is True
    assert change(hidden=False) == index("x", expireAfterSeconds=60)
    assert change(prepareUnique=True)["prepareUnique"] is True
    assert change(unique=True) == index("x", expireAfterSeconds=60, unique=True)
    assert told.actions == []


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        (
            [{"validator": {"a": 1}}],
            {"validator": {"a": 1}, "validationLevel": "strict", "validationAction": "error"},
        ),
        (
            [{"validator": {"a": 1}, "validationLevel": "moderate"}, {"validator": {}}],
            {"validationLevel": "moderate", "validationAction": "error"},
        ),
        ([{"validationAction": "warn"}], {"validationLevel": "strict", "validationAction": "warn"}),
        (
            [{"validationLevel": "moderate"}],
            {"validationLevel": "moderate", "validationAction": "error"},
        ),
        ([{"cappedSize": 100_000, "cappedMax": 20}], {"size": 100_096, "max": 20}),
        ([{"expireAfterSeconds": 5}, {"expireAfterSeconds": "off"}], {}),
        ([{"changeStreamPreAndPostImages": {"enabled": True}}] * 2, None),
        ([{"changeStreamPreAndPostImages": {"enabled": e}} for e in (True, False)], {}),
    ],
)
def test_coll_mod_of_options_as_the_server_lists_them(
    changes: list[dict[str, Any]], wanted: dict[str, Any] | None
) -> None:
    told = begun("a")
    for change in changes:
        told.feed(command({"collMod": "a", **change}))
    assert told.options("a") == (changes[0] if wanted is None else wanted)
    assert [bson.decode(a.changes.raw) for a in told.actions if isinstance(a, Modify)] == changes


# Views


def view(op: str, name: str, **fields: Any) -> Operation:
    more: dict[str, Any] = {"o2": {"_id": f"shop.{name}"}} if op == "u" else {}
    return operation(op, "shop.system.views", {"_id": f"shop.{name}", **fields}, **more)


def test_a_views_life() -> None:
    told = begun("a").feed(create("system.views"), view("i", "v", viewOn="a", pipeline=[]))
    namespace = Namespace("shop", "v")
    told.feed(view("u", "v", viewOn="a", pipeline=[{"$match": {"x": 1}}]))
    assert bson.decode(told.timeline.views[namespace].raw)["pipeline"] == [{"$match": {"x": 1}}]
    diff = {"$v": 2, "diff": {"u": {"viewOn": "b"}, "i": {"collation": {"locale": "de"}}}}
    told.feed(operation("u", "shop.system.views", diff, o2={"_id": "shop.v"}))
    assert bson.decode(told.timeline.views[namespace].raw) == {
        "_id": "shop.v",
        "viewOn": "b",
        "pipeline": [{"$match": {"x": 1}}],
        "collation": {"locale": "de"},
    }
    told.feed(view("d", "v"))
    assert told.timeline.views == {} and told.actions == [] and told.places == {"a": 1}


def test_a_views_definition_changed_in_part_is_refused() -> None:
    told = begun("a").feed(view("i", "v", viewOn="a", pipeline=[{}]))
    diff = {"$v": 2, "diff": {"spipeline": {"a": True, "u0": {}}}}
    with pytest.raises(Failed) as caught:
        told.feed(operation("u", "shop.system.views", diff, o2={"_id": "shop.v"}))
    assert caught.value.code == "view-diff"


def test_views_out_of_scope_and_of_dropped_catalogues() -> None:
    assert begun("a", scope=("shop.a",)).feed(view("i", "v", viewOn="a", pipeline=[])).timeline.views == {}
    told = begun("a").feed(view("i", "v", viewOn="a", pipeline=[]), drop("system.views"))
    assert told.timeline.views == {}


# Against a model of a server


NAMES = ("a", "b", "c", "d")


@st.composite
def stories(draw: st.DrawFn) -> tuple[list[Operation], dict[str, frozenset[str]]]:
    """What a real server could log, and its collections at the end: name to the keys that they hold."""
    server: dict[str, set[str]] = {"a": {"snapshot a"}, "b": {"snapshot b"}}
    story: list[Operation] = []
    for step in range(draw(st.integers(0, 14))):
        t = AFTER + step
        some, other = draw(st.sampled_from(NAMES)), draw(st.sampled_from(NAMES))
        if some not in server:
            server[some] = set()
            story.append(create(some, 20 + step, t))
            continue
        kind = draw(st.sampled_from(["insert", "insert", "drop", "rename", "rename"]))
        if kind == "insert":
            server[some].add(f"{step}")
            story.append(insert(some, f"{step}", t))
        elif kind == "drop":
            del server[some]
            story.append(drop(some, t))
        elif some != other:
            story.append(rename(some, other, over=other in server, t=t))
            server[other] = server.pop(some)
    return story, {name: frozenset(keys) for name, keys in server.items()}


@given(stories(), st.sets(st.sampled_from(NAMES)))
def test_any_story_and_any_scope_end_as_on_the_server(
    case: tuple[list[Operation], dict[str, frozenset[str]]], scope: set[str]
) -> None:
    story, server = case
    told = follow(*story, names=("a", "b"), scope=tuple(f"shop.{n}" for n in sorted(scope)))
    held: dict[int, set[str]] = {
        s.number: {f"snapshot {'ab'[bytes.fromhex(s.uuid or '')[0] - 1]}"}
        for s in told.timeline.all
        if s.from_snapshot
    }
    for action in told.actions:
        if isinstance(action, Write):
            held[action.staged.number].add(action.document["_id"])
        elif isinstance(action, Create):
            held[action.staged.number] = set()
    wanted = {n: keys for n, keys in server.items() if not scope or n in scope}
    found = {n: held[k] for n, k in told.places.items() if not scope or n in scope}
    assert found == wanted
