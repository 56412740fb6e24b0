"""Events: what is one, where it begins and ends, and which operations are its own."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from bson import Binary, Timestamp
from bson.int64 import Int64
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.entrykit import START, Oplog, Recorded

from mongo_dr_console.model.event import Event
from mongo_dr_console.model.eventscan import GAP_SECONDS, Filter, changed_fields, selects
from mongo_dr_console.model.oplogentry import Operation, TransactionAssembler, raw_entry
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.trouble import WrongUse
from mongo_dr_console.stream import finder
from mongo_dr_console.stream.finder import document_history, find_event, find_events

ALICE, BOB = b"a" * 16, b"b" * 16


@pytest.fixture
def oplog() -> Oplog:
    log = Oplog()
    log.insert("shop.orders", 0)
    return log


def found(oplog: Oplog, **wanted: object) -> list[Event]:
    return find_events(Recorded(oplog), wanted=Filter(**wanted))  # type: ignore[arg-type]


def operations(oplog: Oplog) -> list[Operation]:
    assembler = TransactionAssembler()
    return [o for raw in oplog.entries for o in assembler.feed(raw_entry(raw))]


def own(oplog: Oplog, event: Event) -> list[Operation]:
    return [o for o in operations(oplog) if selects(event.selector, o)]


# Commands


def test_a_drop_has_its_position_and_what_it_destroyed(oplog: Oplog) -> None:
    before = oplog.insert("shop.orders", 1)
    position = oplog.drop("shop.orders", 40_000)
    oplog.insert("shop.orders", 2)
    (event,) = found(oplog)
    assert (event.kind, event.namespace, event.documents) == ("drop", "shop.orders", 40_000)
    assert (event.position, event.last, event.before) == (position, position, before)
    assert [o.command for o in own(oplog, event)] == ["drop"]


def test_a_dropped_database_is_one_event_from_its_first_drop(oplog: Oplog) -> None:
    before = oplog.insert("shop.orders", 1)
    first = oplog.drop("shop.system.views", 2)
    oplog.insert("crm.customers", 1)
    oplog.drop("shop.orders", 30)
    oplog.drop("crm.old", 1)
    oplog.drop("shop.carts", 12)
    oplog.wait(0.2)
    oplog.delete("crm.customers", 1)
    last = oplog.command("shop", {"dropDatabase": 1})
    events = {e.kind: e for e in found(oplog)}
    event = events["drop-database"]
    assert (event.namespace, event.documents, event.operations) == ("shop", 42, 4)
    assert (event.position, event.last, event.before) == (first, last, before)
    assert [o.position for o in own(oplog, event)] == [
        p
        for p in oplog.positions
        if first <= p <= last and p not in (first_of(oplog, "crm.old"), *crud(oplog))
    ]
    assert events["drop"].namespace == "crm.old"
    assert len(events) == 2


def first_of(oplog: Oplog, namespace: str) -> Position:
    collection = namespace.partition(".")[2]
    return next(o.position for o in operations(oplog) if o.op == "c" and o.document.get("drop") == collection)


def crud(oplog: Oplog) -> list[Position]:
    return [o.position for o in operations(oplog) if o.op != "c"]


@pytest.mark.parametrize(
    "between",
    [
        lambda log: log.command("shop", {"create": "orders"}),
        lambda log: log.wait(5),
        lambda log: log.insert("shop.reviews", 1),
        lambda log: log.delete("shop.reviews", 1),
        lambda log: log.transaction(ALICE, [("i", "shop.reviews", {"_id": 1})]),
        lambda log: log.command("shop", {"renameCollection": "shop.a", "to": "shop.b"}),
    ],
)
def test_an_earlier_drop_is_an_event_of_its_own(oplog: Oplog, between: Callable[[Oplog], object]) -> None:
    oplog.drop("shop.orders", 30)
    between(oplog)
    first = oplog.drop("shop.carts", 5)
    oplog.command("shop", {"dropDatabase": 1})
    drop, database = found(oplog)
    assert (drop.kind, drop.namespace, drop.documents) == ("drop", "shop.orders", 30)
    assert (database.kind, database.position, database.documents) == ("drop-database", first, 5)


def test_a_rename_over_an_existing_collection_destroys_that(oplog: Oplog) -> None:
    oplog.command("shop", {"renameCollection": "shop.a", "to": "shop.b"})
    over = {"renameCollection": "shop.new", "to": "shop.orders", "dropTarget": True}
    position = oplog.command("shop", over, o2={"numRecords": 17})
    (event,) = found(oplog)
    assert (event.kind, event.namespace, event.documents) == ("rename-over", "shop.orders", 17)
    assert event.position == position
    assert [o.command for o in own(oplog, event)] == ["renameCollection"]


def test_a_dropped_time_series_has_the_name_that_people_know(oplog: Oplog) -> None:
    oplog.delete("shop.system.views", "shop.weather")
    oplog.drop("shop.system.buckets.weather", 3)
    (event,) = found(oplog)
    assert event.namespace == "shop.weather"
    assert len(own(oplog, event)) == 1


def test_what_is_nobodys_mistake_is_left_out(oplog: Oplog) -> None:
    for name in (
        "shop.tmp.agg_out.12ab",
        "shop.tmpXy12z.renameCollection",
        "shop.mdr_0a1b2c3d_1",
        "shop.mdr_aside_0a1b2c3d_1",
        "mongo_dr.locks",
        "config.cache",
        "shop.system.views",
    ):
        oplog.drop(name)
    cut_over = {"renameCollection": "shop.mdr_0a1b2c3d_1", "to": "shop.orders", "dropTarget": True}
    oplog.command("shop", cut_over)
    oplog.command("mongo_dr", {"dropDatabase": 1})
    for n in range(200):
        oplog.delete("config.transactions", n)
        oplog.delete("shop.mdr_0a1b2c3d_2", n)
    assert found(oplog) == []


def test_patterns_and_ignored_globs(oplog: Oplog) -> None:
    oplog.drop("shop.orders")
    oplog.drop("tmp_a.b")
    oplog.wait(30)
    oplog.drop("crm.a")
    oplog.drop("crm.b")
    oplog.command("crm", {"dropDatabase": 1})
    names = lambda **w: [e.namespace for e in found(oplog, **w)]  # noqa: E731
    assert names() == ["shop.orders", "tmp_a.b", "crm"]
    assert names(ignored=("tmp_*.*",)) == ["shop.orders", "crm"]
    assert names(ignored=("crm.a",)) == ["shop.orders", "tmp_a.b", "crm"]
    assert names(ignored=("crm",)) == ["shop.orders", "tmp_a.b"]
    assert names(patterns=("shop",)) == ["shop.orders"]
    assert names(patterns=("crm.b",)) == ["crm"]


# Masses


def test_a_mass_delete_is_found_between_the_deletes_of_others(oplog: Oplog) -> None:
    for n in range(20):
        oplog.delete("shop.orders", f"cart-{n}", session=ALICE)
        oplog.wait(0.3)
    before = oplog.delete("shop.orders", "neighbour", session=ALICE)
    mass = []
    for n in range(500):
        mass.append(oplog.delete("shop.orders", n))
        if n % 50 == 0:
            oplog.delete("shop.orders", f"mine-{n}", session=ALICE)
            oplog.delete("shop.carts", n)
        oplog.wait(0.001)
    oplog.delete("shop.orders", "neighbour", session=ALICE)
    (event,) = found(oplog)
    assert (event.kind, event.namespace, event.documents) == ("mass-delete", "shop.orders", 500)
    assert (event.position, event.last, event.before) == (mass[0], mass[-1], before)
    assert [o.position for o in own(oplog, event)] == mass


def test_a_mass_update_takes_the_documents_that_had_one_value_already(oplog: Oplog) -> None:
    for n in range(5):
        oplog.update("shop.orders", n, {"u": {"status": "paid"}}, session=ALICE)
    whole, part = {"u": {"status": "x", "total": 0}}, {"u": {"status": "x"}}
    mass = [oplog.update("shop.orders", n, part if n % 10 == 0 else whole) for n in range(300)]
    oplog.update("shop.orders", 1, {"u": {"note": "unrelated"}})
    oplog.update("shop.orders", 1, {"u": {"status": "paid"}}, session=ALICE)
    (event,) = found(oplog)
    assert (event.kind, event.documents) == ("mass-update", 300)
    assert event.selector.fields == ("status", "total")
    assert [o.position for o in own(oplog, event)] == mass


def test_two_statements_that_change_other_fields_are_two_events(oplog: Oplog) -> None:
    for n in range(200):
        oplog.update("shop.orders", n, {"u": {"a": 1}})
        oplog.update("shop.orders", n, {"u": {"b": 1}})
    first, second = found(oplog)
    assert {first.selector.fields, second.selector.fields} == {("a",), ("b",)}
    assert len(own(oplog, first)) == len(own(oplog, second)) == 200


def test_the_same_change_later_is_an_event_of_its_own_though_others_go_on(oplog: Oplog) -> None:
    def both(count: int) -> None:
        for n in range(count):
            oplog.update("shop.orders", n, {"u": {"a": 1}})
            oplog.update("shop.orders", n, {"u": {"b": 1}})

    both(150)
    for n in range(400):
        oplog.update("shop.orders", n, {"u": {"b": 1}})
        oplog.wait(0.02)
    both(150)
    events = found(oplog)
    assert sorted((e.selector.fields, e.operations) for e in events) == [
        (("a",), 150),
        (("a",), 150),
        (("b",), 700),
    ]


def test_replaced_documents_are_a_mass_of_their_own(oplog: Oplog) -> None:
    for n in range(150):
        oplog.put("u", "shop.orders", {"_id": n, "x": 1}, o2={"_id": n})
        oplog.update("shop.orders", n, {"u": {"x": 1}})
    events = found(oplog)
    assert sorted(e.selector.fields for e in events) == [(), ("x",)]
    assert [len(own(oplog, e)) for e in events] == [150, 150]


def test_a_mass_in_a_transaction_is_at_its_commit(oplog: Oplog) -> None:
    before = oplog.insert("shop.orders", 1)
    position = oplog.transaction(ALICE, [("d", "shop.orders", {"_id": n}) for n in range(120)])
    (event,) = found(oplog)
    assert (event.position, event.last, event.before) == (position, position, before)
    assert event.documents == len(own(oplog, event)) == 120
    assert event.selector.session == ALICE.hex()


def test_a_busy_applications_single_updates_are_no_event(oplog: Oplog) -> None:
    for n in range(1_000):
        oplog.update("shop.orders", n, {"u": {"seen": n}}, session=ALICE)
    assert found(oplog) == []


def test_a_mass_update_in_a_transaction_is_an_event(oplog: Oplog) -> None:
    change = {"$v": 2, "diff": {"u": {"x": 1}}}
    position = oplog.transaction(ALICE, [("u", "shop.orders", change)] * 120)
    oplog.transaction(ALICE, [("u", "shop.orders", change)] * 90)
    (event,) = found(oplog)
    assert (event.position, event.documents) == (position, 120)
    assert len(own(oplog, event)) == 120


def test_a_steady_workload_is_no_event(oplog: Oplog) -> None:
    for n in range(2_000):
        oplog.delete("shop.carts", n, session=ALICE)
        oplog.update("shop.orders", n, {"u": {"status": "paid"}}, session=ALICE)
        oplog.update("shop.orders", n, {"u": {"status": "paid"}})
        oplog.wait(0.1)
    assert found(oplog) == []


def test_a_trickle_of_the_same_kind_is_not_drawn_into_the_mass(oplog: Oplog) -> None:
    for n in range(300):
        oplog.delete("shop.orders", f"early-{n}")
        oplog.wait(0.5)
    mass = [oplog.delete("shop.orders", n) for n in range(200)]
    for n in range(300):
        oplog.wait(0.5)
        oplog.delete("shop.orders", f"late-{n}")
    (event,) = found(oplog)
    assert mass[0].t - event.position.t <= GAP_SECONDS + 1
    assert event.last.t - mass[-1].t <= GAP_SECONDS + 2
    assert 200 <= event.operations <= 215
    assert event.operations == len(own(oplog, event))


def test_a_pause_within_a_mass_does_not_cut_it(oplog: Oplog) -> None:
    for pause in (1.5, 1.9, 0):
        for n in range(60):
            oplog.delete("shop.orders", n)
        oplog.wait(pause)
    (event,) = found(oplog)
    assert event.documents == 180


def test_an_event_of_the_last_hour_is_found_without_the_days_before(oplog: Oplog) -> None:
    oplog.drop("shop.old")
    for n in range(3):
        oplog.wait(3600)
        oplog.insert("shop.orders", n)
    oplog.drop("shop.orders")
    old, new = found(oplog)
    source = Recorded(oplog)
    reads = []
    read = source.read
    source.read = lambda start, end: reads.append(start) or read(start, end)  # type: ignore[method-assign]
    assert find_event(source, new.id) == new
    assert reads and min(reads) > old.position
    assert find_event(source, old.id) == old
    assert find_event(source, old.id[:7]) == old, "what may mean several is looked for everywhere"


def test_the_minimum_can_be_set(oplog: Oplog) -> None:
    for n in range(60):
        oplog.delete("shop.orders", n)
    assert found(oplog) == []
    assert len(found(oplog, minimum=50)) == 1
    assert found(oplog, minimum=61) == []
    (event,) = found(oplog, minimum=50)
    assert find_event(Recorded(oplog), event.id) == event
    with pytest.raises(WrongUse, match="no event"):
        find_event(Recorded(oplog), "ffffffff")


def test_the_history_of_a_document_tells_numbers_by_value(oplog: Oplog) -> None:
    identities = [7, 7.0, Int64(7), "7", float("nan"), 2**60, 2**60 + 1]
    for identity in identities:
        oplog.insert("shop.odd", identity)
    span = Recorded(oplog).windows()[0]

    def count(identity: object) -> int:
        return len(list(document_history(Recorded(oplog), "shop.odd", [identity], span.start, span.end)))

    assert [count(i) for i in identities] == [3, 3, 3, 1, 1, 1, 1]


def test_an_event_is_the_same_wherever_the_scan_begins(oplog: Oplog) -> None:
    for n in range(3_000):
        oplog.delete("shop.orders", n)
        oplog.wait(0.04)
    oplog.wait(600)
    oplog.drop("shop.carts")
    both = find_events(Recorded(oplog))
    assert len(both) == 2
    source = Recorded(oplog)
    for since in (both[0].position, oplog.positions[2_000], both[0].last):
        assert find_events(source, since=since) == both
        assert find_events(source, since=since, until=since) == both[:1]
    assert find_events(source, since=both[1].position) == both[1:]
    assert find_events(source, until=Position(START - 1, 0)) == []


def test_an_event_at_the_very_start_has_nothing_before_it() -> None:
    oplog = Oplog()
    oplog.drop("shop.orders")
    (event,) = found(oplog)
    assert event.before is None


@pytest.mark.parametrize(
    ("document", "fields"),
    [
        ({"$v": 2, "diff": {"u": {"b": 1}, "i": {"a": 1}, "d": {"c": False}}}, ("a", "b", "c")),
        ({"$v": 2, "diff": {"ssub": {"u": {"k": 2}, "sdeep": {"d": {"x": False}}}}}, ("sub.deep.x", "sub.k")),
        ({"$v": 2, "diff": {"sarr": {"a": True, "u1": 7, "u2": 8}}}, ("arr.*",)),
        ({"$v": 2, "diff": {"sarr": {"a": True, "l": 3, "s0": {"u": {"y": 1}}}}}, ("arr.*", "arr.*.y")),
        ({"$v": 1, "$set": {"a.b": 1}, "$unset": {"c": True}}, ("a.b", "c")),
        ({"_id": 1, "diff": {"u": {"a": 1}}}, ()),
    ],
)
def test_changed_fields(document: dict[str, object], fields: tuple[str, ...]) -> None:
    assert changed_fields(document) == fields


deeds = st.lists(
    st.tuples(
        st.sampled_from(["mass-d", "mass-u", "d", "u", "i", "drop", "wait", "txn"]),
        st.sampled_from(["shop.a", "shop.b", "crm.a"]),
        st.sampled_from([None, ALICE, BOB]),
    ),
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(deeds)
def test_an_events_own_operations_are_those_it_counts(steps: list[tuple[str, str, bytes | None]]) -> None:
    oplog = Oplog()
    for what, namespace, session in steps:
        match what:
            case "mass-d":
                for n in range(110):
                    oplog.delete(namespace, n, session)
            case "mass-u":
                for n in range(130):
                    oplog.update(namespace, n, {"u": {"x": 1, "y": 1} if n % 3 else {"x": 1}}, session)
            case "d":
                oplog.delete(namespace, 0, session)
            case "u":
                oplog.update(namespace, 0, {"u": {"x": 1}}, session)
            case "i":
                oplog.insert(namespace, 0, session)
            case "drop":
                oplog.drop(namespace, 3)
            case "txn":
                oplog.transaction(session or ALICE, [("d", namespace, {"_id": n}) for n in range(105)])
        oplog.wait(1.5 if what == "wait" else 0.01)
    events = found(oplog)
    assert len({e.id for e in events}) == len(events)
    masses = sum(1 for what, _, session in steps if what == "mass-d" or (what, session) == ("mass-u", None))
    assert masses == 0 or events
    for event in events:
        mine = own(oplog, event)
        assert len(mine) == event.operations
        assert (mine[0].position, mine[-1].position) == (event.position, event.last)
    for operation in operations(oplog):
        assert sum(selects(e.selector, operation) for e in events) <= 1


# Entries of many writes

CHANGE = {"$v": 2, "diff": {"u": {"x": 1}}}
NOTHING = {"ts": Timestamp(0, 0), "t": Int64(-1)}
INNER = {
    "d": [("d", "shop.a", {"_id": 1})] * 60,
    "u": [("u", "shop.a", CHANGE)] * 60,
    "replace": [("u", "shop.b", {"_id": 1, "x": 2})] * 60,
    "i": [("i", "shop.b", {"_id": 1})],
    "user": [("i", "admin.system.users", {"_id": "shop.app", "user": "app"})],
    "create": [("c", "shop.$cmd", {"create": "c"})],
    "nothing": [("n", "", {"msg": ""})],
}
several = st.tuples(
    st.sampled_from(["transaction", "in parts", "vectored", "sent", "sent in a session", "drop", "drop all"]),
    st.lists(st.sampled_from(sorted(INNER)), min_size=1, max_size=4),
    st.sampled_from([ALICE, BOB]),
    st.sampled_from([0.0, 0.4, 3.0]),
)


@settings(max_examples=200)
@given(st.lists(several, min_size=1, max_size=10))
@example([("transaction", ["u"], ALICE, 0.0), ("transaction", ["u"], ALICE, 0.0)])
@example([("drop", ["i"], ALICE, 0.0), ("sent", ["i"], ALICE, 0.0), ("drop all", ["i"], ALICE, 0.0)])
def test_entries_of_many_writes_are_read_the_short_way_with_the_same_events(
    steps: list[tuple[str, list[str], bytes, float]],
) -> None:
    oplog = Oplog()
    for txn, (what, parts, session, pause) in enumerate(steps):
        inner = [{"op": op, "ns": ns, "o": o} for part in parts for op, ns, o in INNER[part]]
        own_transaction = {"session": session, "txn": txn}
        match what:
            case "transaction":
                oplog.command("admin", {"applyOps": inner}, **own_transaction, prevOpTime=NOTHING)
            case "in parts":
                half = len(inner) // 2
                begun = {"applyOps": inner[:half], "partialTxn": True}
                first = oplog.command("admin", begun, **own_transaction, prevOpTime=NOTHING)
                before = {"ts": first.timestamp, "t": Int64(1)}
                oplog.command("admin", {"applyOps": inner[half:]}, **own_transaction, prevOpTime=before)
            case "vectored":
                oplog.command("admin", {"applyOps": inner}, **own_transaction, multiOpType=1)
            case "sent":
                oplog.command("admin", {"applyOps": inner, "alwaysUpsert": False})
            case "sent in a session":
                oplog.put("c", "admin.$cmd", {"applyOps": inner}, lsid={"id": Binary(session, 4)})
            case "drop":
                oplog.drop("shop.b", 3)
            case _:
                oplog.command("shop", {"dropDatabase": 1})
        oplog.wait(pause)
    quick = found(oplog, minimum=50)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(finder, "_several", lambda raw: None)
        assert found(oplog, minimum=50) == quick


# Changes that destroy no document


def test_a_changed_definition_is_an_event_and_can_be_told_from_others(oplog: Oplog) -> None:
    before = oplog.insert("shop.orders", 1)
    position = oplog.command("shop", {"collMod": "orders", "validator": {}, "validationLevel": "off"})
    oplog.command("shop", {"collMod": "mdr_0123abcd_1", "validator": {}})
    oplog.drop("shop.orders", 2)
    change, drop = found(oplog)
    assert (change.kind, change.namespace, change.documents) == ("coll-mod", "shop.orders", 0)
    assert (change.position, change.last, change.before) == (position, position, before)
    assert change.detail == "options: validationLevel, validator"
    assert [o.command for o in own(oplog, change)] == ["collMod"]
    assert [o.command for o in own(oplog, drop)] == ["drop"]


def test_changes_of_users_and_roles_are_events_with_the_name(oplog: Oplog) -> None:
    users, roles = "admin.system.users", "admin.system.roles"
    positions = [
        oplog.insert(users, "shop.app", session=ALICE),
        oplog.update(users, "shop.app", {"u": {"roles": []}}),
        oplog.transaction(BOB, [("d", users, {"_id": "shop.app"})]),
        oplog.insert(roles, "shop.clerk"),
    ]
    events = found(oplog)
    assert [e.position for e in events] == positions
    assert [e.kind for e in events] == ["user-change"] * 3 + ["role-change"]
    assert [e.detail for e in events] == [
        "user shop.app was made",
        "user shop.app was changed",
        "user shop.app was dropped",
        "role shop.clerk was made",
    ]
    assert all(len(own(oplog, event)) == 1 for event in events)


# Slow mass deletes


def slow(oplog: Oplog, since: Position | None = None, until: Position | None = None) -> list[Event]:
    return find_events(Recorded(oplog), since, until, slow=True)


def hours_of(oplog: Oplog, namespace: str, deletes: int, inserts: int, session: bytes | None = ALICE) -> None:
    """A writer that deletes one document a minute, while others insert."""
    for number in range(deletes):
        oplog.wait(60)
        oplog.delete(namespace, number, session)
        for more in range((number + 1) * inserts // deletes - number * inserts // deletes):
            oplog.insert(namespace, f"{number}-{more}", BOB)


def test_a_slow_mass_delete_is_found_whole_wherever_one_looks(oplog: Oplog) -> None:
    before = oplog.insert("shop.orders", 1)
    hours_of(oplog, "shop.orders", 240, 40)
    (event,) = slow(oplog)
    deletes = [o for o in operations(oplog) if o.op == "d"]
    assert (event.kind, event.documents, event.operations) == ("mass-delete", 240, 240)
    assert (event.position, event.last) == (deletes[0].position, deletes[-1].position)
    assert event.before == before and event.detail.startswith("slow: spread over ")
    assert own(oplog, event) == deletes
    assert found(oplog) == []
    for at in (3, 120, 239):
        position = deletes[at].position
        assert slow(oplog, position, position) == [event]
    assert find_event(Recorded(oplog), event.id) == event


@pytest.mark.parametrize(("deletes", "inserts"), [(99, 0), (240, 150), (240, 500)])
def test_what_an_application_deletes_in_its_work_is_none(oplog: Oplog, deletes: int, inserts: int) -> None:
    hours_of(oplog, "shop.orders", deletes, inserts)
    assert slow(oplog) == []


def test_a_pause_and_another_writer_make_another_one_and_a_fast_one_is_told_once(oplog: Oplog) -> None:
    hours_of(oplog, "shop.orders", 120, 0)
    oplog.wait(3600)
    hours_of(oplog, "shop.orders", 100, 0, None)
    for number in range(150):
        oplog.delete("shop.carts", number, BOB)
    events = slow(oplog)
    assert [(e.namespace, e.documents, e.selector.session) for e in events] == [
        ("shop.orders", 120, ALICE.hex()),
        ("shop.orders", 100, None),
        ("shop.carts", 150, BOB.hex()),
    ]
    assert [e.detail[:4] for e in events] == ["slow", "slow", ""]
