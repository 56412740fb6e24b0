"""What is passed to the driver and taken from it by its bytes: it must come to what the driver itself does.

Where one of these fails the driver has changed, and backups and restores go the slower way by themselves.
"""

from __future__ import annotations

from typing import Any

import bson
import pytest
from bson.int64 import Int64
from pymongo import message

from mongo_dr_console.model import rawbson
from mongo_dr_console.mongo import batches, encoded


def test_the_driver_takes_documents_as_they_are_or_gets_objects_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert encoded.is_taken_as_written()
    one, two = bson.encode({"_id": 1}), bson.encode({"_id": 2})
    assert [d.raw for d in encoded.documents(one + two)] == [one + two]
    monkeypatch.setattr(encoded._Encoded, "_type_marker", 102)
    encoded.is_taken_as_written.cache_clear()
    assert not encoded.is_taken_as_written()
    assert [d.raw for d in encoded.documents(one + two)] == [one, two]
    encoded.is_taken_as_written.cache_clear()


class Cursor:
    """As much of the driver's cursor as its replies go through."""

    def _unpack_response(self, response: Any, *given: Any, **named: Any) -> Any:
        fields = {"cursor": {"firstBatch": 1, "nextBatch": 1}}
        found: Any = response.raw_response(0, user_fields=fields)
        bson._convert_raw_document_lists_to_streams(found[0])
        return found


@pytest.mark.parametrize("understood", [True, False])
def test_batches_are_the_documents_back_to_back(understood: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    assert batches.is_understood()
    monkeypatch.setattr(batches, "is_understood", lambda: understood)
    documents = [{"_id": n, "x": [n, {"y": "z" * n}]} for n in range(30)]
    for name in ("firstBatch", "nextBatch"):
        for wanted in (documents, []):
            reply = {"cursor": {name: wanted, "id": Int64(5), "ns": "d.c"}, "ok": 1.0}
            response = message._OpMsg(0, bson.encode(reply))
            (found,) = batches.quick(Cursor())._unpack_response(response, 0, None, legacy_response=False)
            assert found["cursor"]["id"] == 5 and found["ok"] == 1.0
            assert b"".join(found["cursor"][name]) == b"".join(bson.encode(d) for d in wanted)


@pytest.mark.parametrize("name", ["firstBatch", "nextBatch"])
def test_a_large_batch_comes_in_pieces_and_its_large_documents_are_not_copied(name: str) -> None:
    large = {"_id": 1, "x": bytes(5_000_000)}
    documents: list[Any] = [
        large,
        {"_id": 2},
        large,
        large,
        *({"_id": n, "x": bytes(1000)} for n in range(3000)),
    ]
    wanted = [bson.encode(document) for document in documents]
    reply = {"cursor": {name: documents, "id": Int64(5), "ns": "d.c"}, "ok": 1.0}
    received = bytearray(bson.encode(reply))
    (found,) = batches.quick(Cursor())._unpack_response(message._OpMsg(0, memoryview(received)))
    pieces = found["cursor"][name]
    assert found["cursor"]["id"] == 5 and found["ok"] == 1.0
    assert b"".join(pieces) == b"".join(wanted)
    assert sum(isinstance(p, memoryview) and p.obj is received for p in pieces) == 3
    assert max(len(p) for p in pieces if isinstance(p, bytes)) < 1_100_000
    assert sum(rawbson.count(p) for p in pieces) == len(documents)


def test_an_error_goes_the_way_of_the_driver() -> None:
    response = message._OpMsg(0, bson.encode({"ok": 0.0, "code": 43, "errmsg": "cursor not found"}))
    assert batches.quick(Cursor())._unpack_response(response)[0]["code"] == 43


def test_a_driver_that_answers_otherwise_is_not_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    batches.is_understood.cache_clear()
    monkeypatch.setattr(bson, "_array_of_documents_to_buffer", lambda array: b"x")
    assert not batches.is_understood()
    batches.is_understood.cache_clear()
