from __future__ import annotations

import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from mongo_dr_console.model.filenames import escape, is_truncated, split_name, unescape

RECORDED = Path(__file__).parents[1] / "data" / "dump" / "plain"


def test_recorded_names_are_what_we_write() -> None:
    for path in RECORDED.glob("*/*.metadata.json"):
        name = json.loads(path.read_text())["collectionName"]
        assert path.name == escape(name) + ".metadata.json"
        assert unescape(escape(name)) == name


@given(st.text(alphabet=st.characters(blacklist_categories=["Cs"]), min_size=1, max_size=60))
def test_names_come_back(name: str) -> None:
    base = escape(name)
    assert "/" not in base
    assert base.isascii()
    assert is_truncated(base) == (len(base) == 238 and "%24" in base)
    if not is_truncated(base):
        assert unescape(base) == name


def test_a_long_name_is_cut_and_told_by_its_digest() -> None:
    one, other = "é" * 60, "é" * 59 + "e"
    assert len(escape(one)) == len(escape(other)) == 238
    assert escape(one) != escape(other)
    assert escape(one)[:208] == escape(other)[:208]
    # From Go: base64.RawURLEncoding of SHA-1 of the name.
    assert escape("x" * 239) == "x" * 208 + "%24" + "Nq75d-cu3iRxNs-ce3Tvf9gagoU"
    assert is_truncated(escape(one))
    assert not is_truncated("x" * 238)


def test_files_are_told_apart() -> None:
    assert split_name("a.b.bson.gz") == ("a.b", ".bson")
    assert split_name("a.metadata.json") == ("a", ".metadata.json")
    assert split_name("a.bson.zst") == ("a", ".bson")
    assert split_name("prelude.json") is None
