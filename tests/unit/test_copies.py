"""One snapshot in several stores: which copy is read, and from which byte on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mongo_dr_console.model.trouble import Failed, Refused, Trouble, Unreachable
from mongo_dr_console.stores.copies import Copies, as_one
from mongo_dr_console.stores.local import LocalStore

DATA = bytes(range(256)) * 10


class Shaky(LocalStore):
    """Gives so many bytes of an object, then fails."""

    def __init__(self, name: str, path: Path) -> None:
        super().__init__(name, path)
        self.breaks: tuple[int, Trouble] | None = None
        self.reads: list[tuple[str, int, int | None]] = []

    def read(self, path: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        self.reads.append((path, start, length))
        if self.breaks is None:
            yield from super().read(path, start, length)
            return
        after, trouble = self.breaks
        if after:
            yield from super().read(path, start, after)
        raise trouble


@pytest.fixture
def shelf(tmp_path: Path) -> list[Shaky]:
    found = [Shaky(name, tmp_path / name) for name in ("a", "b", "c")]
    for store in found:
        for path in ("x", "y"):
            store.write(path, [DATA])
    return found


def read(copies: Copies, path: str = "x", start: int = 0, length: int | None = None) -> bytes:
    return b"".join(copies.read(path, start, length))


@pytest.mark.parametrize("trouble", [Unreachable("store-unreachable", ""), Refused("store-forbidden", "")])
def test_the_next_copy_goes_on_from_the_same_byte(shelf: list[Shaky], trouble: Trouble) -> None:
    told: list[str] = []
    copies = Copies(shelf, told.append)
    shelf[0].breaks = (1000, trouble)
    assert read(copies, "x", 10, 2000) == DATA[10:2010]
    assert shelf[1].reads == [("x", 1010, 1000)] and shelf[2].reads == []
    assert len(told) == 1 and "store a" in told[0]
    # It is not asked for the next file while others answer, and it is when none of them does.
    assert read(copies, "y") == DATA and len(shelf[0].reads) == 1
    shelf[0].breaks = None
    shelf[1].breaks = shelf[2].breaks = (0, Unreachable("store-unreachable", ""))
    assert read(copies, "y") == DATA


def test_a_file_that_is_missing_is_missing_in_that_copy_alone(shelf: list[Shaky]) -> None:
    shelf[0].delete("x")
    copies = Copies(shelf)
    assert read(copies, "x") == DATA and read(copies, "y") == DATA
    assert [path for path, *_ in shelf[0].reads] == ["x", "y"]


def test_what_is_blamed_is_not_read_again(shelf: list[Shaky]) -> None:
    copies = Copies(shelf)
    for last in (False, False, True):
        assert read(copies) == DATA
        assert copies.blame("x") is not last
    assert [len(s.reads) for s in shelf] == [1, 1, 1]
    assert read(copies, "y") == DATA and shelf[0].reads[-1][0] == "y", "another file is another matter"


def test_where_none_answers_the_last_trouble_is_told(shelf: list[Shaky]) -> None:
    for store in shelf:
        store.breaks = (0, Unreachable("store-unreachable", store.name))
    with pytest.raises(Unreachable):
        read(Copies(shelf))
    for store in shelf:
        store.delete("x")
        store.breaks = None
    with pytest.raises(Failed) as caught:
        read(Copies(shelf))
    assert caught.value.code == "not-in-store"


def test_one_store_is_itself(shelf: list[Shaky]) -> None:
    assert as_one(shelf[:1]) is shelf[0]
