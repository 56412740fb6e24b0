"""Canonical Extended JSON: no value changes its type, and the text is mongodump's."""

from __future__ import annotations

import gzip
import math
import struct
from pathlib import Path
from typing import Any

import bson
import pytest
from bson import Binary, Code, DBRef, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.codec_options import DatetimeConversion
from bson.datetime_ms import DatetimeMS
from hypothesis import given
from hypothesis import strategies as st

from mongo_dr_console.model import extjson, rawbson
from mongo_dr_console.model.extjson import NotCanonical, dumps, loads

RECORDED = Path(__file__).parents[1] / "data" / "dump"

TEXT = st.text(alphabet=st.characters(blacklist_categories=["Cs"]), max_size=20)
KEYS = TEXT.filter(lambda key: "\0" not in key)
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**31), 2**31 - 1),
    st.integers(-(2**63), 2**63 - 1).map(Int64),
    st.floats(allow_nan=False),
    st.just(math.nan),
    TEXT,
    st.binary(max_size=30),
    st.builds(Binary, st.binary(max_size=30), st.sampled_from([0, 1, 2, 3, 4, 5, 6, 128, 255])),
    st.binary(min_size=12, max_size=12).map(ObjectId),
    st.integers(-(2**63), 2**63 - 1).map(DatetimeMS),
    st.builds(Timestamp, st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)),
    st.builds(
        lambda text, flags: Regex(text.replace("\0", ""), flags), TEXT, st.sampled_from(["", "i", "ims"])
    ),
    st.builds(lambda n, e: Decimal128(f"{n}E{e}"), st.integers(-(10**33), 10**33), st.integers(-6000, 6000)),
    st.sampled_from([Decimal128("Infinity"), Decimal128("-Infinity"), Decimal128("NaN"), Decimal128("-0")]),
    TEXT.map(Code),
    TEXT.map(lambda text: Code(text, {"x": 1})),
    st.just(MinKey()),
    st.just(MaxKey()),
)
DOCUMENTS = st.recursive(
    st.dictionaries(KEYS, VALUES, max_size=6),
    lambda inner: st.dictionaries(KEYS, st.one_of(VALUES, inner, st.lists(inner, max_size=3)), max_size=6),
    max_leaves=12,
)


@given(DOCUMENTS)
def test_what_is_written_is_read_back_byte_for_byte(document: dict[str, Any]) -> None:
    raw = bson.encode(document)
    assert loads(dumps(raw)) == raw


@given(DOCUMENTS)
def test_the_way_through_json_values_keeps_everything(document: dict[str, Any]) -> None:
    raw = bson.encode(document)
    assert extjson.from_jsonable(extjson.to_jsonable(raw)) == raw


DOLLAR_KEYS = st.sampled_from(
    ["$regex", "$options", "$ref", "$id", "$date", "$numberInt", "$oid", "$type", "$uuid", "$code", "$scope",
     "$minKey", "$binary", "$symbol", "$undefined", "$timestamp", "x"]
)  # fmt: skip


@given(
    st.recursive(
        st.dictionaries(DOLLAR_KEYS, st.sampled_from(["1", 1, True, "00", Int64(1)]), max_size=3),
        lambda inner: st.dictionaries(DOLLAR_KEYS, inner, max_size=2),
    )
)
def test_a_document_that_looks_like_a_value_is_refused_and_never_changed(document: dict[str, Any]) -> None:
    raw = bson.encode({"inner": document})
    try:
        text = dumps(raw)
    except NotCanonical:
        return
    assert loads(text) == raw


@given(st.binary(max_size=60))
def test_any_bytes_are_bson_or_refused(data: bytes) -> None:
    try:
        dumps(data)
        dumps(struct.pack("<i", len(data) + 5) + data + b"\0")
    except NotCanonical:
        return


@pytest.mark.parametrize(
    "document",
    [
        {"$regex": "^a", "$options": "i"},
        {"$regex": "^a"},
        {"$ref": "c", "$id": 1},
        {"$type": "string"},
        {"$date": "yesterday"},
        {"$uuid": "00000000-0000-0000-0000-000000000000"},
    ],
)
def test_operators_stay_documents(document: dict[str, Any]) -> None:
    raw = bson.encode({"pipeline": [{"$match": {"a": document}}]})
    text = dumps(raw)
    assert loads(text) == raw
    assert bson.decode(loads(text))["pipeline"][0]["$match"]["a"] == (
        DBRef("c", 1) if "$ref" in document else document
    )


@pytest.mark.parametrize(
    "document", [{"$numberInt": "5"}, {"$oid": "0" * 24}, {"$code": "x", "$scope": {}}, {"$undefined": True}]
)
def test_a_document_in_a_wrappers_clothes_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(NotCanonical):
        dumps(bson.encode({"a": document}))


def test_rare_types() -> None:
    old = b"\x06u\0" + b"\x0es\0\x02\0\0\0x\0" + b"\x0cp\0\x02\0\0\0c\0" + bytes(range(12))
    raw = struct.pack("<i", len(old) + 5) + old + b"\0"
    text = dumps(raw)
    assert text == (
        '{"u":{"$undefined":true},"s":{"$symbol":"x"},'
        '"p":{"$dbPointer":{"$ref":"c","$id":{"$oid":"000102030405060708090a0b"}}}}'
    )
    assert loads(text) == raw


def test_keys_keep_their_order_and_their_duplicates() -> None:
    body = b"\x10b\0\x01\0\0\0\x10a\0\x02\0\0\0\x10b\0\x03\0\0\0"
    raw = struct.pack("<i", len(body) + 5) + body + b"\0"
    assert dumps(raw) == '{"b":{"$numberInt":"1"},"a":{"$numberInt":"2"},"b":{"$numberInt":"3"}}'
    assert loads(dumps(raw)) == raw


def test_relaxed_numbers_and_dates_are_read() -> None:
    read = bson.decode(
        loads('{"i":1,"l":5000000000,"d":1.5,"t":{"$date":"1970-01-01T00:00:01Z"}}'),
        bson.CodecOptions(datetime_conversion=DatetimeConversion.DATETIME_MS),
    )
    assert (type(read["i"]), type(read["l"]), read["d"], read["t"]) == (int, Int64, 1.5, DatetimeMS(1000))


@pytest.mark.parametrize("text", ["", "[]", "1", '{"a":', '{"a":18446744073709551616}', '{"a\\u0000":1}'])
def test_what_is_no_document_is_refused(text: str) -> None:
    with pytest.raises(NotCanonical):
        loads(text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1.0"), (0.0, "0.0"), (-0.0, "-0.0"), (0.1, "0.1"), (1e5, "100000.0"), (1e6, "1E+06"),
        (1234567.5, "1.2345675E+06"), (1e-4, "0.0001"), (1e-5, "1E-05"), (1e300, "1E+300"),
        (123456.789, "123456.789"), (math.inf, "Infinity"), (-math.inf, "-Infinity"), (math.nan, "NaN"),
    ],
)  # fmt: skip
def test_doubles_are_written_as_go_does(value: float, text: str) -> None:
    assert extjson.format_double(value) == text


def test_the_real_tools_metadata_is_read_and_written_the_same() -> None:
    paths = sorted(RECORDED.glob("plain/*/*.metadata.json"))
    assert len(paths) == 19
    for path in paths:
        text = path.read_text()
        assert dumps(loads(text)) == text, path


def test_every_recorded_document_survives() -> None:
    for path in sorted(RECORDED.glob("gzip/*/*.bson.gz")):
        for raw in rawbson.split(gzip.decompress(path.read_bytes())):
            assert loads(dumps(raw)) == raw
