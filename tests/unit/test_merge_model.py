"""What merge mode brings back and what it leaves alone, as far as the oplog tells; and its record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bson
import pytest
from bson.raw_bson import RawBSONDocument
from support.entrykit import Oplog

from mongo_dr_console.engines.builtin.merge_log import WRITTEN, Conflicts, WrittenLog, written
from mongo_dr_console.engines.builtin.merge_log import Written as Record
from mongo_dr_console.model import merge
from mongo_dr_console.model.event import EventSelector
from mongo_dr_console.model.merge import MergeWatch
from mongo_dr_console.model.namespace import Namespace
from mongo_dr_console.model.oplogentry import TransactionAssembler, raw_entry
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.rawbson import RAW
from mongo_dr_console.model.skip import document_key
from mongo_dr_console.model.trouble import Failed

ORDERS = Namespace("shop", "orders")
OURS, THEIRS = b"o" * 16, b"t" * 16


def key(identity: Any) -> bytes:
    return document_key("shop.orders", identity)


def selector(op: Any, first: Position, last: Position, *names: str) -> EventSelector:
    return EventSelector(first=first, last=last, op=op, namespaces=names or ("shop.orders",))


def fed(oplog: Oplog, *selectors: EventSelector, ours: bytes | None = None) -> tuple[MergeWatch, list[bool]]:
    watch = MergeWatch(selectors, {ours.hex()} if ours else set())
    assembler = TransactionAssembler()
    operations = [o for raw in oplog.entries for o in assembler.feed(raw_entry(raw))]
    return watch, [watch.skips(o) for o in operations]


def test_what_a_mass_delete_hit_stands_still_and_what_came_after_is_since() -> None:
    oplog = Oplog()
    oplog.update("shop.orders", 1, {"u": {"a": 1}}, session=THEIRS)
    first = oplog.delete("shop.orders", 1)
    oplog.insert("shop.orders", 1.0, session=THEIRS)
    last = oplog.delete("shop.orders", 2)
    oplog.insert("shop.orders", 3, session=THEIRS)
    oplog.delete("shop.orders", 1, session=THEIRS)
    oplog.insert("shop.items", 2, session=THEIRS)
    watch, skipped = fed(oplog, selector("d", first, last))
    assert skipped == [False, True, True, True, False, True, False]
    assert watch.hit(ORDERS, key(1)) and watch.hit(ORDERS, key(2)) and not watch.hit(ORDERS, key(3))
    assert "inserted" in str(watch.against(ORDERS, key(1))), "one and 1.0 are one document"
    assert watch.against(ORDERS, key(2)) is None and not watch.leaves_one(ORDERS, key(2))
    assert (watch.foreseen[ORDERS].documents, watch.foreseen[ORDERS].since, watch.operations) == (2, 1, 2)


def test_own_writes_are_known_by_their_session() -> None:
    oplog = Oplog()
    first = oplog.update("shop.orders", 1, {"u": {"a": 1}})
    last = oplog.update("shop.orders", 2, {"u": {"a": 1}})
    oplog.transaction(OURS, [("i", "shop.orders", {"_id": 1})])
    oplog.transaction(THEIRS, [("i", "shop.orders", {"_id": 2})])
    event = EventSelector(first=first, last=last, op="u", namespaces=("shop.orders",), fields=("a",))
    watch, _ = fed(oplog, event, ours=OURS)
    assert watch.is_written(ORDERS, key(1)) and not watch.is_written(ORDERS, key(2))
    assert watch.against(ORDERS, key(1)) is None
    assert watch.against(ORDERS, key(2)) is not None and watch.leaves_one(ORDERS, key(2))
    stranger, _ = fed(oplog, event)
    assert stranger.against(ORDERS, key(1)) is not None
    again = MergeWatch([event], settling={OURS.hex()})
    assembler = TransactionAssembler()
    skipped = [again.skips(o) for raw in oplog.entries for o in assembler.feed(raw_entry(raw))]
    assert again.against(ORDERS, key(1)) is None and again.against(ORDERS, key(2)) and all(skipped)


def test_a_collection_that_went_since_takes_its_documents_with_it() -> None:
    oplog = Oplog()
    oplog.drop("shop.orders")
    first = oplog.delete("shop.orders", 1)
    watch, _ = fed(oplog, selector("d", first, first))
    assert watch.against(ORDERS, key(1)) is None, "one before the event is no matter"
    oplog.drop("shop.orders")
    watch, skipped = fed(oplog, selector("d", first, first))
    assert "dropped" in str(watch.against(ORDERS, key(1))) and skipped[-1]
    dropped = oplog.positions[-1]
    watch, _ = fed(oplog, selector("d", first, first), selector("c", dropped, dropped))
    assert watch.against(ORDERS, key(1)) is None, "a drop that is chosen too is no later one"


def test_a_drop_freezes_the_collection_and_a_rename_over_it_leaves_another() -> None:
    oplog = Oplog()
    dropped = oplog.drop("shop.orders", records=7)
    oplog.command("shop", {"create": "orders"})
    oplog.insert("shop.orders", 1, session=THEIRS)
    watch, skipped = fed(oplog, selector("c", dropped, dropped))
    assert skipped == [True, True, True]
    assert watch.hit(ORDERS, key("any")) and not watch.leaves_one(ORDERS, key("any"))
    assert watch.foreseen[ORDERS].documents == 7 and watch.against(ORDERS, key(1)) is not None

    oplog = Oplog()
    names = {"renameCollection": "shop.new", "to": "shop.orders", "dropTarget": True}
    over = oplog.command("shop", names, o2={"numRecords": 3})
    oplog.command("shop", {"create": "new"})
    oplog.insert("shop.new", 1)
    watch, skipped = fed(oplog, selector("c", over, over, "shop.new", "shop.orders"))
    assert skipped == [True, True, True] and watch.leaves_one(ORDERS, key(1))
    assert watch.hits(ORDERS) and not watch.hits(Namespace("shop", "new"))
    oplog.drop("shop.orders")
    watch, _ = fed(oplog, selector("c", over, over, "shop.new", "shop.orders"))
    assert not watch.leaves_one(ORDERS, key(1)), "what is there now is not what the event left"


def test_more_than_can_be_kept_in_mind_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merge, "MOST_DOCUMENTS", 2)
    oplog = Oplog()
    first, _, last = (oplog.delete("shop.orders", n) for n in range(3))
    with pytest.raises(Failed) as caught:
        fed(oplog, selector("d", first, last))
    assert caught.value.code == "merge-too-large"


def document(**fields: Any) -> RawBSONDocument:
    return RawBSONDocument(bson.encode(fields), RAW)


def test_the_record_of_what_was_written_survives_a_torn_tail(tmp_path: Path) -> None:
    records = [
        Record.of("shop.orders", document(_id=1, a=1), None),
        Record.of("shop.orders", document(_id={"x": 1}, a=2), bytes(document(_id=2, a=0).raw)),
    ]
    log = WrittenLog(tmp_path)
    log.append(records)
    log.close()
    whole = (tmp_path / WRITTEN).read_bytes()
    for cut in range(1, len(whole)):
        (tmp_path / WRITTEN).write_bytes(whole[:cut])
        kept = list(written(tmp_path))
        assert len(kept) < 2 and [r.digest for r in kept] == [r.digest for r in records[: len(kept)]]
        log = WrittenLog(tmp_path)
        log.append(records[1:])
        log.close()
        assert [r.digest for r in written(tmp_path)][len(kept) :] == [records[1].digest]
    assert next(written(tmp_path / "nowhere"), None) is None


def test_conflicts_are_written_anew_and_a_file_without_any_goes(tmp_path: Path) -> None:
    for count in (2, 1, 0):
        conflicts = Conflicts(tmp_path)
        for number in range(count):
            conflicts.add("shop.orders", document(_id=number), "why", "5:1")
        conflicts.close()
        found = list(tmp_path.iterdir())
        assert [len(f.read_text().splitlines()) for f in found] == ([count] if count else [])
        assert len(conflicts.first) == conflicts.counts["shop.orders"] == count
