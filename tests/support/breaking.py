"""A world that breaks by chance, and is mended: members that fall silent, stores that vanish, hang and are
damaged, a broker that says nothing or nonsense, what the agent and jobs left behind.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any

from support.partition import OUTSIDE, CutSet
from support.watched import our_own

NONSENSE = (
    *(b"", b"\x00" * 100, b"\xff\xfe{", b"{", b"[]", b"{}", b"null", b"17", b'"x"', b'{"schema": 1}\n' * 3),
    b'{"a": ' * 2000,
    b'{"job": [], "kind": {}, "request": 1, "created_at": "x", "snapshots": 1, "window": [], "files": {}}',
    '{"error": "[bold]\u202e\x1b[31m"}'.encode(),
)


class World:
    """Broken and mended by the thread that owns it.

    Args:
        store: Of the profile.
        state: The profile's state folder.
    """

    def __init__(self, luck: Random, members: CutSet, store: Path, state: Path) -> None:
        self._luck, self._members, self._store, self._state = luck, members, store, state
        self._mend: list[Callable[[], None]] = []
        self._spoilt: set[Path] = set()
        self.told: list[str] = []
        """What was broken, in order."""

    def turn(self) -> None:
        """Breaks one thing more, or mends one or all."""
        with our_own():
            if self._mend and self._luck.random() < 0.5:
                self._mend.pop(self._luck.randrange(len(self._mend)))()
            else:
                self._break()

    def mend_all(self) -> None:
        with our_own():
            while self._mend:
                self._mend.pop()()

    def _break(self) -> None:
        way = self._luck.choice(
            (self._cut, self._cut_all, self._take_store, self._hang, self._spoil, self._spoil)
        )
        if (mend := way()) is not None:
            self._mend.append(mend)

    def _cut(self) -> Callable[[], None]:
        member = self._luck.randrange(3)
        self.told.append(f"member {member} is silent")
        self._members.cut(member, OUTSIDE)
        return self._members.heal

    def _cut_all(self) -> Callable[[], None]:
        self.told.append("the whole set is silent")
        for member in range(3):
            self._members.cut(member, OUTSIDE)
        return self._members.heal

    def _take_store(self) -> Callable[[], None] | None:
        """Gone, or a file in its place."""
        away = self._store.with_name("away")
        if away.exists():
            return None
        self._store.rename(away)
        if self._luck.random() < 0.5:
            self._store.write_bytes(b"a file")
        self.told.append("the store is gone")

        def mend() -> None:
            self._store.unlink(missing_ok=True)
            away.rename(self._store)

        return mend

    def _hang(self) -> Callable[[], None] | None:
        """Whoever reads one file of the store waits, as on a dead network file system."""
        if (path := self._one(self._store)) is None:
            return None
        kept = path.read_bytes()
        self._spoilt.add(path)
        path.unlink()
        os.mkfifo(path)
        self.told.append(f"{path.name} hangs")

        def mend() -> None:
            for _ in range(2):  # who came to it between the two waits no longer either
                os.close(os.open(self._there(path), os.O_RDWR | os.O_NONBLOCK))
            self._put(path, kept)

        return mend

    def _spoil(self) -> Callable[[], None] | None:
        """A file of the store, of a job or of the agent is nonsense, gone, cut off, or a folder."""
        if (path := self._one(self._luck.choice((self._store, self._state, self._state)))) is None:
            return None
        kept = path.read_bytes()
        self._spoilt.add(path)
        match self._luck.randrange(6):
            case 0:
                path.unlink()
            case 1:
                path.unlink()
                path.mkdir()
            case 2:
                path.write_bytes(kept[: self._luck.randrange(len(kept) + 1)])
            case 3:
                path.write_bytes(self._luck.choice(NONSENSE))
            case _:
                path.write_bytes(crafted(kept, self._luck))
        self.told.append(f"{path.name} is spoilt")
        return lambda: self._put(path, kept)

    def _one(self, folder: Path) -> Path | None:
        """A file that is whole."""
        files = {p for p in folder.rglob("*") if p.is_file() and p.name != "lock"} - self._spoilt
        return self._luck.choice(sorted(files)) if files else None

    def _there(self, path: Path) -> Path:
        """Where a file of the store is now: the store itself may be away."""
        away = self._store.with_name("away")
        inside = path.is_relative_to(self._store) and away.exists()
        return away / path.relative_to(self._store) if inside else path

    def _put(self, path: Path, content: bytes) -> None:
        self._spoilt.discard(path)
        path = self._there(path)
        if path.is_dir():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def crafted(content: bytes, luck: Random) -> bytes:
    """One value of a JSON document, or of one of several lines, is another of its kind; else as it was."""
    lines = [content] if content[:2] == b"{\n" else content.splitlines()
    number = luck.randrange(len(lines) or 1)
    try:
        document = json.loads(lines[number])
        ways = list(_ways(document))
        *path, last = luck.choice(ways)
    except (ValueError, IndexError):
        return content
    place = document
    for key in path:
        place = place[key]
    place[last] = luck.choice(_OTHERS[type(place[last])])
    lines[number] = json.dumps(document).encode()
    return b"\n".join(lines) + b"\n"


def _ways(value: Any, *path: Any) -> Iterator[tuple[Any, ...]]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in pairs:
        yield (*path, key)
        yield from _ways(part, *path, key)


_TEXTS = (
    *("", "x", "[/]", "\u202e", "\x1b[31m", "a\nb", "漢" * 300, "0:0", "4294967295:1", "99999999999:1"),
    *(
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "2026-11-22T02:00:00",
        "2026-11-22T02:00:00Z",
    ),
)
_NUMBERS = (0, -1, 0.5, 2**31, 2**63, 10**30, -(10**15), 1e308)
_OTHERS: dict[type, tuple[Any, ...]] = {
    str: _TEXTS,
    int: _NUMBERS,
    float: _NUMBERS,
    bool: (True, False, None),
    type(None): (0, "x", [], {}),
    list: ([], None, [None], {}),
    dict: ({}, None, [], {"x": 1}),
}


@contextmanager
def broker_of_nonsense(luck: Random) -> Iterator[str]:
    """Where it listens: it takes no call, or says nothing, or something that no broker says."""
    listener = socket.create_server(("127.0.0.1", 0))
    open_ones = []

    def serve() -> None:
        with suppress(OSError):
            while True:
                one, _ = listener.accept()
                fate = luck.random()
                if fate < 0.3:
                    one.close()
                    continue
                open_ones.append(one)
                if fate < 0.6:
                    with suppress(OSError):
                        one.sendall(b"\x00\x00\x00\x08\x00\x00\x00\x01nonsense" * 3)

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        for one in (listener, *open_ones):
            one.close()
