"""The head of an entry is what decoding the whole says."""

from __future__ import annotations

from random import Random

import bson
import pytest
from bson import Binary, Code, DBRef, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from hypothesis import given
from hypothesis import strategies as st

from mongo_dr_console.model.entryhead import Head, head, operation_type
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.rawbson import TornDocument

values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63), 2**63 - 1),
        st.floats(),
        st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",))),
        st.binary(),
        st.sampled_from(
            [
                ObjectId(),
                Regex("a.b", "i"),
                Code("f()"),
                Code("f()", {"ts": Timestamp(9, 9)}),
                DBRef("c", 1),
                Decimal128("1.5"),
                MinKey(),
                MaxKey(),
                Timestamp(7, 7),
                Binary(b"abc", 2),
            ]
        ),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["ts", "op", "t", "a", ""]), inner, max_size=3),
    ),
    max_leaves=6,
)
stamps = st.integers(0, 2**32 - 1)


@given(
    st.sampled_from("iudcn"),
    st.builds(Position, stamps, stamps),
    st.integers(0, 2**62),
    st.lists(values, max_size=4),
    st.randoms(),
)
def test_the_head_is_what_decoding_says(
    op: str, position: Position, term: int, others: list[object], random: Random
) -> None:
    fields: list[tuple[str, object]] = [("op", op), ("ts", position.timestamp), ("t", Int64(term))]
    fields += [(f"o{n}", value) for n, value in enumerate(others)]
    random.shuffle(fields)
    raw = bson.encode(dict(fields))
    assert head(raw) == Head(op, position, term)
    assert operation_type(raw) == op


def test_an_entry_without_a_term_has_minus_one() -> None:
    assert head(bson.encode({"ts": Timestamp(1, 2), "op": "i"})).term == -1


@given(st.binary(max_size=80))
def test_no_bytes_break_it(raw: bytes) -> None:
    for read in (head, operation_type):
        with pytest.raises(TornDocument):
            read(raw)


def test_a_document_that_is_no_entry_is_told() -> None:
    with pytest.raises(TornDocument, match="no oplog entry"):
        head(bson.encode({"a": 1, "o": {"ts": Timestamp(1, 2), "op": "i"}}))
