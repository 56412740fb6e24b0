"""Operations in rows and whole, what brings one back, holds, and the ladder: pure, at both widths."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId
from support.entrykit import Oplog, Recorded
from support.readingkit import NOW, snapshot
from support.states import LONG, RTL, event

from mongo_dr_console.model.bringback import bring_back
from mongo_dr_console.model.catalogue import Verification
from mongo_dr_console.model.event import EventSelector
from mongo_dr_console.model.eventscan import is_part
from mongo_dr_console.model.hold import Hold
from mongo_dr_console.model.operationpage import Found
from mongo_dr_console.model.operationtext import change_text, extended_json, identity_text
from mongo_dr_console.model.position import Bound, Position
from mongo_dr_console.model.trouble import Unreachable, WrongUse
from mongo_dr_console.model.wizard import intent
from mongo_dr_console.stream.around import page
from mongo_dr_console.ui.holdslist import chosen_hold, hold_items, holds_head
from mongo_dr_console.ui.lines import Line
from mongo_dr_console.ui.operationslist import operation_items, whole_operation
from mongo_dr_console.ui.snapshotpage import ladder_lines

WIDTHS = (118, 78)
SECRET = "jane@example.com"
PERSON = {"_id": SECRET, "name": "Jane Roe", "age": 41, "tags": ["vip"], "home": {"town": "Bern"}}


def found(oplog: Oplog) -> list[Found]:
    return list(page(Recorded(oplog), oplog.positions[0], "after", 99).found)


def text(rows: list[Line]) -> str:
    return "\n".join(row.text for row in rows)


def some() -> Oplog:
    oplog = Oplog()
    oplog.put("i", "crm.people", PERSON)
    oplog.update("crm.people", SECRET, {"u": {"name": "Jane Doe"}, "sh": {"u": {"town": "Rome"}}})
    oplog.put("u", "crm.people", {"_id": SECRET, "name": "Whole"}, o2={"_id": SECRET})
    oplog.delete("crm.people", SECRET)
    oplog.drop("crm.people")
    oplog.command("crm", {"renameCollection": "crm.a", "to": "crm.b", "dropTarget": True})
    oplog.transaction(b"s" * 16, [("i", "shop.orders", {"_id": 1, "total": 5})])
    return oplog


@pytest.mark.parametrize("width", WIDTHS)
def test_a_row_says_time_position_operation_namespace_id_and_change(width: int) -> None:
    oplog = some()
    items, header = operation_items(found(oplog), oplog.positions[1], width, redacted=False)
    rows = [item.line for item in items]
    assert all(row.width <= width for row in [*rows, *header])
    said = text(rows)
    for word in ("insert", "update", "delete", "drop", "rename", "txn insert", "crm.people"):
        assert word in said
    assert str(oplog.positions[0]) in rows[0].text
    # The position's own row stands before the first operation that is not before it, and cannot be chosen.
    assert [n for n, item in enumerate(items) if not item.key] == [1] and "position" in rows[1].text
    assert len({item.key for item in items}) == len(items)


def test_a_position_after_all_of_them_stands_last() -> None:
    oplog = some()
    items, _ = operation_items(found(oplog), Position(2**32 - 1, 0), 118, redacted=False)
    assert items[-1].key == "" and "position" in items[-1].line.text


def test_what_changed_in_short() -> None:
    insert, update, whole, delete, drop, rename, _ = (f.operation for f in found(some()))
    assert '"name": "Jane Roe"' in change_text(insert)
    assert "name" in change_text(update) and "home" not in change_text(insert, redacted=True)[:4]
    assert change_text(whole) == "the whole document"
    assert (change_text(delete), change_text(drop)) == ("", "")
    assert change_text(rename) == "to crm.b, over an existing one"
    assert identity_text(delete) == f'"{SECRET}"' and identity_text(drop) == ""


@pytest.mark.parametrize("width", WIDTHS)
def test_no_value_is_left_where_they_are_hidden(width: int) -> None:
    oplog = some()
    oplog.put("i", "crm.people", {"_id": {"mail": SECRET}, "at": datetime.now(UTC), "o": ObjectId()})
    everything = found(oplog)
    items, _ = operation_items(everything, None, width, redacted=True)
    shown = text([item.line for item in items])
    shown += "".join(text(whole_operation(f, width, redacted=True)) for f in everything)
    for value in (SECRET, "Jane", "41", "vip", "Bern", "Rome", "Whole"):
        assert value not in shown.replace(str(oplog.positions[0].t), ""), value
    # Names and kinds stay.
    for word in ("crm.people", '"name": "<string>"', '"age": "<number>"', '"town": "<string>"', "<ObjectId>"):
        assert word in shown
    opened = "".join(text(whole_operation(f, width, redacted=False)) for f in everything)
    assert SECRET in opened and "Bern" in opened


@pytest.mark.parametrize("width", WIDTHS)
def test_one_operation_whole_is_canonical_extended_json(width: int) -> None:
    rows = whole_operation(found(some())[0], width, redacted=False)
    assert all(row.width <= width for row in rows)
    for word in ('"$numberInt": "41"', '"ns": "crm.people"', "position 1795313400:1"):
        assert word in text(rows)
    within = whole_operation(found(some())[-1], width, redacted=False)
    assert "in a transaction: its commit's position" in " ".join(text(within).split())


def test_names_and_values_of_others_are_shown_and_not_obeyed() -> None:
    oplog = Oplog()
    oplog.put("i", f"db[/].a{RTL}[red]", {"_id": f"x{RTL}\x1b[1m[bold]", f"k{RTL}": LONG})
    (one,) = found(oplog)
    items, _ = operation_items([one], None, 118, redacted=False)
    for shown in (text([items[0].line]), text(whole_operation(one, 78, redacted=False))):
        assert RTL not in shown and "\x1b" not in shown and "[red]" in shown


def test_bytes_that_python_cannot_read_are_shown_all_the_same() -> None:
    oplog = Oplog()
    oplog.put("i", "shop.orders", {"_id": {"k": "AAAA"}, "name": "BBBB"})
    oplog.entries[0] = oplog.entries[0].replace(b"AAAA", b"\xff\xfe\xfd\xfc").replace(b"BBBB", b"\xff" * 4)
    (one,) = found(oplog)
    assert "�" in identity_text(one.operation) and "�" in change_text(one.operation)
    assert "�" in "\n".join(extended_json(one.operation))


# Bringing back


def selector(oplog: Oplog, number: int, op: Any, namespace: str) -> EventSelector:
    at = oplog.positions[number]
    return EventSelector(first=at, last=at, op=op, namespaces=(namespace,))


def test_of_an_event_merge_is_proposed_with_the_event_left_out() -> None:
    oplog = some()
    deleted = event("a1", 0, "crm.people", "mass-delete", selector=selector(oplog, 3, "d", "crm.people"))
    other = event("b2", 0, "shop.orders", "mass-delete", selector=selector(oplog, 3, "d", "shop.orders"))
    operation = found(oplog)[3].operation
    assert [e.id for e in (other, deleted) if is_part(operation, e)] == ["a1"]
    proposed = bring_back(operation, deleted)
    wanted = intent(proposed.state)
    assert (wanted.mode, wanted.skip, wanted.namespaces) == ("merge", ("a1",), ("crm.people",))
    assert wanted.before is None and wanted.through is None
    assert "not this document alone" in proposed.text and "not overwritten" in proposed.text


def test_a_dropped_database_comes_back_as_a_whole() -> None:
    oplog = some()
    gone = event("a1", 0, "crm", "drop-database", selector=selector(oplog, 4, "c", "crm.people"))
    assert intent(bring_back(found(oplog)[4].operation, gone).state).namespaces == ("crm",)


@pytest.mark.parametrize(("number", "bound"), [(0, Bound.THROUGH), (1, Bound.BEFORE), (3, Bound.BEFORE)])
def test_else_its_collection_beside_as_it_was_then(number: int, bound: Bound) -> None:
    oplog = some()
    definitions = event(
        "a1", 0, "crm.people", "coll-mod", selector=selector(oplog, number, "d", "crm.people")
    )
    operation = found(oplog)[number].operation
    assert not is_part(operation, definitions)
    proposed = bring_back(operation, None)
    wanted = intent(proposed.state)
    assert (wanted.mode, wanted.skip, wanted.namespaces) == ("beside", (), ("crm.people",))
    assert getattr(wanted, str(bound)) == str(oplog.positions[number])
    assert wanted.renames == ("crm.people=crm.people_restored",)
    assert "Nothing live is touched" in proposed.text


def test_what_is_not_restored_is_not_proposed() -> None:
    oplog = Oplog()
    oplog.delete("admin.system.users", "x")
    with pytest.raises(WrongUse, match="is not restored"):
        bring_back(found(oplog)[0].operation, None)


# Holds and the ladder

RANGE = Hold("aaaa0001", f"audit {RTL}[red]", "jane@db-1", NOW - timedelta(hours=3))
RANGE = replace(RANGE, start=Position(1795313400, 1), end=Position(1795313460, 4))
NAMED = Hold("aaaa0002", LONG, "joe@db-2", NOW - timedelta(days=2), snapshot="20261118_110000")


@pytest.mark.parametrize("width", WIDTHS)
def test_holds_with_what_they_keep_why_by_whom_since_when(width: int) -> None:
    items, header = hold_items([RANGE, NAMED], NOW, width)
    rows = [*header, *(i.line for i in items)]
    assert all(row.width <= width for row in rows) and [i.key for i in items] == ["aaaa0001", "aaaa0002"]
    assert RTL not in text(rows)
    whole = " ".join(text(chosen_hold(RANGE, NOW, width)).split())
    for word in ("1795313400:1", "1795313460:4", "audit", "jane@db-1", "3h ago", "retention.ms"):
        assert word in whole
    head = text(holds_head([RANGE], {"s3": Unreachable("x", "No answer.")}, ["local", "s3"], width))
    assert "Holds: 1" in head and "In local." in head and "? Store s3 was not asked: No answer." in head
    assert "Nothing is held." in text(holds_head([], {}, ["local"], width))


def test_every_rung_with_when_it_was_reached() -> None:
    day = timedelta(days=1)
    rungs = tuple((n, NOW - day * n) for n in (1, 2, 3, 4))
    seen = Verification(4, NOW, good=True, rungs=rungs)
    rows = ladder_lines(snapshot(0, verification=seen, drilled_at=NOW - 9 * day), 78)
    assert all(row.width <= 78 for row in rows)
    said = " ".join(text(rows).split())
    for n, name in enumerate(("complete", "checksums", "readable", "restorable"), 1):
        assert f"✓ {n} {name} {NOW - day * n:%Y-%m-%dT%H:%M:%SZ}" in said
    assert "- 5 restored not reached" in said
    assert f"✓ 6 drilled {NOW - 9 * day:%Y-%m-%dT%H:%M:%SZ}" in said
    bad = snapshot(0, verification=Verification(2, NOW, good=False), drilled_at=NOW - day)
    damaged = " ".join(text(ladder_lines(bad, 78)).split())
    assert f"✗ 2 checksums BAD {NOW:%Y-%m-%dT%H:%M:%SZ}" in damaged and "✓" not in damaged
    assert text(ladder_lines(snapshot(0, verification=None), 78)).count("not reached") == 6


def test_a_drill_is_a_rung_also_where_nothing_was_ever_verified() -> None:
    said = " ".join(text(ladder_lines(snapshot(0, verification=None, drilled_at=NOW), 78)).split())
    assert f"✓ 6 drilled {NOW:%Y-%m-%dT%H:%M:%SZ}" in said and said.count("not reached") == 5
