"""Which operations may overtake each other in a replay, and how plain entries are read (server-rules 8)."""

from __future__ import annotations

from typing import Any

import bson
import pytest
from bson import Binary, Decimal128, Int64, ObjectId, Timestamp
from bson.raw_bson import RawBSONDocument

from mongo_dr_console.engines.builtin.lanes import Split, key_of, split
from mongo_dr_console.engines.builtin.timestamps import may_have_empty_timestamps
from mongo_dr_console.model import rawbson
from mongo_dr_console.model.entryhead import find_field
from mongo_dr_console.model.plainentry import plain_entry
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.timeline import Staged, Write


def raw(value: Any) -> RawBSONDocument:
    return RawBSONDocument(bson.encode(value), rawbson.RAW)


def staged(number: int = 1, **options: Any) -> Staged:
    return Staged(number=number, database="d", name=f"mdr_0_{number}", options=raw(options))


def write(op: str, identity: Any, n: int = 0, home: Staged | None = None) -> Write:
    document = {"i": {"_id": identity, "n": n}, "u": {"$v": 2, "diff": {"u": {"n": n}}}}.get(
        op, {"_id": identity}
    )
    key = raw({"_id": identity}) if op == "u" else None
    return Write(home or staged(), op, raw(document), key, False, Position(1, n), "d.c", False)


SAME = [
    [1, 1.0, Int64(1), Decimal128("1"), Decimal128("1.00")],
    [0, -0.0, Decimal128("-0"), Decimal128("0E+3")],
    [0.1, Decimal128("0.1000000000000000055511151231257827")],
    [float("nan"), Decimal128("NaN"), Decimal128("-NaN"), Decimal128("sNaN")],
    [2**53, float(2**53)],
    [float("inf"), Decimal128("Infinity")],
]


@pytest.mark.parametrize("values", SAME, ids=lambda values: str(values[0]))
def test_one_id_in_different_numeric_types_has_one_key(values: list[Any]) -> None:
    assert len({key_of(bson.encode({"_id": value})) for value in values}) == 1


def test_a_symbol_is_the_string_and_a_field_before_the_id_does_not_matter() -> None:
    string = bson.encode({"_id": "x"})
    symbol = string[:4] + b"\x0e" + string[5:]
    assert key_of(string) == key_of(symbol) == key_of(bson.encode({"shard": 1, "_id": "x"})) is not None
    assert key_of(bson.encode({"_id": {"a": 1}})) is None and key_of(bson.encode({"x": 1})) is None
    assert find_field(b"\x08\x00\x00\x00\x02x", b"_id") is None


def test_other_ids_have_other_keys() -> None:
    ids = [1, 2, "1", "", b"1", Binary(b"1", 4), True, False, None, ObjectId(), ObjectId(), Timestamp(1, 1)]
    assert len({key_of(bson.encode({"_id": value})) for value in ids}) == len(ids)


def positions(writes: list[Write]) -> list[int]:
    return [w.position.i for w in writes]


def test_operations_on_one_document_stay_in_one_lane_in_their_order() -> None:
    history = [
        write(op, identity, 10 * n + k)
        for n, op in enumerate("uiddiu")
        for k, identity in enumerate([1, 1.0, Int64(2), 2.0, "a", "b", ObjectId(b"x" * 12)])
    ]
    found = split(history, 4)
    for documents in (range(2), range(2, 4), [4], [5], [6]):
        homes = [lane for lane in found.lanes if any(p % 10 in documents for p in positions(lane))]
        assert len(homes) == 1
        mine = [p for p in positions(homes[0]) if p % 10 in documents]
        assert mine == sorted(mine) and len(mine) == 6 * len(documents)
    assert found.inserts == {} and len(found.lanes) > 1


def test_only_an_insert_that_is_the_first_of_its_document_goes_ahead() -> None:
    empty = Write(
        staged(), "i", raw({"_id": 9, "t": Timestamp(0, 0)}), None, False, Position(1, 9), "d.c", False
    )
    history = [
        write("i", 1, 0),
        write("u", 1.0, 1),
        write("d", 2, 2),
        write("i", 2.0, 3),
        write("i", {"a": 1}, 4),
        empty,
        write("i", 3, 5, staged(2)),
    ]
    found = split(history, 4)
    ahead = {name: positions(writes) for name, writes in found.inserts.items()}
    assert ahead == {"d.mdr_0_1": [0], "d.mdr_0_2": [5]}
    assert sorted(p for lane in found.lanes for p in positions(lane)) == [1, 2, 3, 4, 9]


@pytest.mark.parametrize(
    "options", [{"capped": True, "size": 4096}, {"collation": {"locale": "en", "strength": 2}}], ids=str
)
def test_capped_and_collated_collections_have_one_worker(options: Any) -> None:
    home = staged(1, **options)
    history = [write("i", name, n, home) for n, name in enumerate("aAbBcC")]
    assert split(history, 4) == Split({}, [history])


def test_a_plain_entry_reads_as_it_is_and_any_other_not_at_all() -> None:
    session = {"id": Binary(b"s" * 16, 4), "uid": Binary(b"u" * 32)}
    tail = {"ts": Timestamp(7, 3), "t": Int64(1), "v": Int64(2), "wall": bson.datetime_ms.DatetimeMS(5)}
    head = {"ns": "d.a.b", "ui": Binary(b"i" * 16, 4)}
    entries = [
        {"op": "i", **head, "o": {"_id": 1, "ts": Timestamp(0, 0)}, **tail},
        {"op": "d", **head, "o": {"_id": "\x11ts"}, **tail},
        {
            "lsid": session,
            "txnNumber": Int64(4),
            "op": "u",
            **head,
            "o": {"$v": 2, "diff": {}},
            "o2": {"_id": 1},
            "stmtId": 3,
            **tail,
            "prevOpTime": {"ts": Timestamp(7, 2), "t": Int64(1)},
        },
    ]
    for entry in entries:
        found = plain_entry(bson.encode(entry))
        assert found is not None
        assert (found.op.decode(), found.namespace.decode()) == (entry["op"], "d.a.b")
        assert found.document == bson.encode(entry["o"]) and (found.t, found.i) == (7, 3)
        assert found.key == (bson.encode(entry["o2"]) if "o2" in entry else None)
    update = entries[2]
    others = [
        {**update, "b": True},
        {"b": True, **update},
        {k: v for k, v in update.items() if k != "o2"},
        {**update, "op": "c"},
        {**update, "fromMigrate": True},
        {k: v for k, v in update.items() if k != "ui"},
        {**update, "lsid": {**session, "txnUUID": 1}},
    ]
    for entry in others:
        assert plain_entry(bson.encode(entry)) is None
    for size in range(5, 40):
        assert plain_entry(bson.encode(entries[0])[:-size]) is None


def test_empty_timestamps_are_never_overlooked() -> None:
    for document in ({"t": Timestamp(0, 0)}, {"a": {"": Timestamp(0, 0)}}, {"z": 0.0, "t": Timestamp(0, 0)}):
        assert may_have_empty_timestamps(bson.encode(document))
    for document in ({"z": 0.0}, {"z": Int64(0), "b": bytes(40)}, {"t": Timestamp(0, 1)}):
        assert not may_have_empty_timestamps(bson.encode(document))


def test_large_documents_of_a_stream_come_alone_wherever_it_was_cut() -> None:
    large = [bson.encode({"_id": n, "x": bytes(size)}) for n, size in enumerate((3_000_000, 1_200_000))]
    small = [bson.encode({"_id": n, "x": "x" * n}) for n in range(300)]
    documents = [*small[:150], *large, *small[150:], large[0]]
    stream = b"".join(documents)
    for cut in (1 << 20, 999_983, 2_500_000, 3_000_000, len(stream)):
        chunks = [stream[at : at + cut] for at in range(0, len(stream), cut)]
        found = list(rawbson.whole_chunks(chunks))
        assert [d for chunk in found for d in rawbson.split(chunk)] == documents
        assert list(rawbson.documents(chunks)) == documents
        assert b"".join(b for b, _ in rawbson.batches(found, 100, 100_000)) == stream
        if cut <= 1 << 20:
            assert all(one in found for one in large)
    for cut in range(1, len(small[0]) + len(small[1])):
        stream = b"".join(small[:20])
        chunks = [stream[at : at + cut] for at in range(0, len(stream), cut)]
        assert list(rawbson.documents(chunks)) == small[:20]
        with pytest.raises(rawbson.TornDocument):
            list(rawbson.documents([*chunks, b"\x07\0\0"]))
        with pytest.raises(rawbson.TornDocument):
            list(rawbson.documents([*chunks, b"\x04\0\0\0", b"\0"]))


def test_batches_of_a_stream_that_was_cut_anywhere() -> None:
    documents = [bson.encode({"_id": n, "x": "x" * (n * 7 % 50)}) for n in range(50)]
    documents.append(bson.encode({"x": "x" * 500}))
    stream = b"".join(documents)
    for cut in (1, 3, 100, len(stream)):
        chunks = [stream[at : at + cut] for at in range(0, len(stream), cut)]
        found = list(rawbson.batches(chunks, 7, 300))
        assert b"".join(batch for batch, _ in found) == stream
        for batch, count in found:
            assert rawbson.count(batch) == count <= 7 and (len(batch) <= 300 or count == 1)
    for broken in (stream[:-1], b"\x04\0\0\0\0", stream[:-1] + b"\x01"):
        with pytest.raises(rawbson.TornDocument):
            list(rawbson.batches([broken], 7, 300))
