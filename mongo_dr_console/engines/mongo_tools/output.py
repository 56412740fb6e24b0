"""What mongodump and mongorestore print, line by line, understood. Pure; no text makes it raise.

Names are bare up to 100.15 and quoted from 100.16 on (by backquotes, or as a Go string where the name holds a
backquote or a control character). A bare name may hold anything, so patterns are anchored at their ends.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Dumping:
    """``writing `db.c` to `…` ``."""

    namespace: str


@dataclass(frozen=True, slots=True)
class Dumped:
    """``done dumping `db.c` (N documents)``."""

    namespace: str
    documents: int


@dataclass(frozen=True, slots=True)
class CopyingOplog:
    """``writing captured oplog to ``."""


@dataclass(frozen=True, slots=True)
class OplogCopied:
    """``dumped N oplog entries``."""

    entries: int


@dataclass(frozen=True, slots=True)
class KeptExisting:
    """``restoring to existing collection `db.c` without dropping``."""

    namespace: str


@dataclass(frozen=True, slots=True)
class Loading:
    """``restoring `db.c` from `…` ``."""

    namespace: str


@dataclass(frozen=True, slots=True)
class Loaded:
    """``finished restoring `db.c` (N documents, M failures)``."""

    namespace: str
    documents: int
    failures: int


@dataclass(frozen=True, slots=True)
class WentOn:
    """``continuing through error: …``: a document that the server refused."""

    error: str


@dataclass(frozen=True, slots=True)
class PassedOver:
    """``don't know what to do with file `…`, skipping...``."""

    path: str


@dataclass(frozen=True, slots=True)
class Replaying:
    """``replaying oplog``."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """``applied N oplog entries``."""

    entries: int


@dataclass(frozen=True, slots=True)
class Indexing:
    """``restoring indexes for collection `db.c` from metadata``."""

    namespace: str


@dataclass(frozen=True, slots=True)
class Bar:
    """A progress bar. ``current`` and ``total`` count documents in a dump and bytes of files in a restore;
    ``total`` is None where the tool does not know it."""

    subject: str
    current: int
    total: int | None


@dataclass(frozen=True, slots=True)
class Totals:
    """The last line of a restore."""

    restored: int
    failed: int


@dataclass(frozen=True, slots=True)
class GaveUp:
    """``Failed: …``, and other words for the end."""

    error: str


@dataclass(frozen=True, slots=True)
class Stopping:
    """``signal 'interrupt' received; attempting to shut down``."""


@dataclass(frozen=True, slots=True)
class Other:
    """Any other line."""

    text: str


Said: TypeAlias = (
    Dumping
    | Dumped
    | CopyingOplog
    | OplogCopied
    | KeptExisting
    | Loading
    | Loaded
    | WentOn
    | PassedOver
    | Replaying
    | Replayed
    | Indexing
    | Bar
    | Totals
    | GaveUp
    | Stopping
    | Other
)

_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d{4}\t")
_NUMBER = r"[0-9]{1,18}"
_NAME = r"(`[^`]*`|\"(?:[^\"\\]|\\.)*\"|.+)"
_AMOUNT = r"[0-9]{1,18}(?:\.[0-9]{1,9})?(?:[KMGT]?B)?"
_BAR = re.compile(
    rf"(?:\s*\[[#.]{{24}}\])?\s*(\S.*?)\s{{2,}}({_AMOUNT})(?:/({_AMOUNT})\s+\(\s*[0-9.]+%\))?", re.DOTALL
)
_LONGEST = 300
"""Lines of one message; a name has at most 255 bytes."""

_UNITS = {"": 1, "B": 1, "KB": 2**10, "MB": 2**20, "GB": 2**30, "TB": 2**40}
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))", re.DOTALL)
_LETTERS = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}

_FIXED: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], Said]], ...] = tuple(
    (re.compile(pattern, re.DOTALL), make)
    for pattern, make in (
        (r"writing captured oplog to .*", lambda m: CopyingOplog()),
        (rf"writing {_NAME} to .*", lambda m: Dumping(name_of(m[1]))),
        (rf"done dumping {_NAME} \(({_NUMBER}) documents?\)", lambda m: Dumped(name_of(m[1]), int(m[2]))),
        (rf"\s*dumped ({_NUMBER}) oplog entr(?:y|ies)", lambda m: OplogCopied(int(m[1]))),
        (
            rf"restoring to existing collection {_NAME} without dropping",
            lambda m: KeptExisting(name_of(m[1])),
        ),
        (rf"restoring indexes for collection {_NAME} from metadata", lambda m: Indexing(name_of(m[1]))),
        (r"restoring (?:users|roles) from .*", lambda m: Other(m[0])),
        (rf"restoring {_NAME} from .*", lambda m: Loading(name_of(m[1]))),
        (
            rf"finished restoring {_NAME} \(({_NUMBER}) documents?, ({_NUMBER}) failures?\)",
            lambda m: Loaded(name_of(m[1]), int(m[2]), int(m[3])),
        ),
        (r"continuing through error: (.*)", lambda m: WentOn(m[1])),
        (
            rf"don't know what to do with (?:file|subdirectory) {_NAME}, skipping\.\.\.",
            lambda m: PassedOver(name_of(m[1])),
        ),
        (r"replaying oplog", lambda m: Replaying()),
        (rf"applied ({_NUMBER}) oplog entries", lambda m: Replayed(int(m[1]))),
        (
            rf"({_NUMBER}) document\(s\) restored successfully\. "
            rf"({_NUMBER}) document\(s\) failed to restore\.",
            lambda m: Totals(int(m[1]), int(m[2])),
        ),
        (r"Failed: (.*)", lambda m: GaveUp(m[1])),
        (r"(error (?:connecting to host|parsing command line options): .*)", lambda m: GaveUp(m[1])),
        (r"signal '.*' received; .*", lambda m: Stopping()),
    )
)


class Messages:
    """Puts messages together from lines: only the first line of a message has a time, and before 100.16 a
    name with a line end in it makes two lines of one message."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def feed(self, line: str) -> Iterator[str]:
        """The message before this line, if the line begins another one."""
        if _STAMP.match(line) is not None:
            yield from self.flush()
        self._lines.append(line)
        if len(self._lines) >= _LONGEST:
            yield from self.flush()

    def flush(self) -> Iterator[str]:
        """The message that was being put together, where nothing more comes for now."""
        if self._lines:
            yield "\n".join(self._lines)
            self._lines.clear()


def parse(line: str) -> Said:
    """One message, with its time or without.

    >>> parse("2026-11-22T16:45:09.395+0000\\tdone dumping `shop.users` (1 document)")
    Dumped(namespace='shop.users', documents=1)
    >>> parse("[###.....................]  shop.orders  5.95MB/36.0MB  (16.5%)")
    Bar(subject='shop.orders', current=6239027, total=37748736)
    """
    text = _STAMP.sub("", line.rstrip("\r\n"), count=1)
    for pattern, make in _FIXED:
        match = pattern.fullmatch(text)
        if match is not None:
            return make(match)
    match = _BAR.fullmatch(text)
    if match is not None:
        total = None if match[3] is None else _amount(match[3])
        return Bar(match[1], _amount(match[2]), total)
    return Other(text)


def name_of(text: str) -> str:
    """A name as it was printed: backquoted, as a Go string, or bare.

    >>> name_of("`shop.orders`"), name_of('"odd.a`b\\\\n"'), name_of("shop.orders")
    ('shop.orders', 'odd.a`b\\n', 'shop.orders')
    """
    if len(text) >= 2 and text[0] == text[-1] == "`" and "`" not in text[1:-1]:
        return text[1:-1]
    if len(text) >= 2 and text[0] == text[-1] == '"':
        return _unescaped(text[1:-1])
    return text


def _unescaped(text: str) -> str:
    # \xNN is one byte of UTF-8, so bytes are put together first.
    found = bytearray()
    at = 0
    for match in _ESCAPE.finditer(text):
        found += text[at : match.start()].encode("utf-8", "surrogatepass")
        at = match.end()
        if match[1] is not None:
            found.append(int(match[1], 16))
        elif match[4] is not None:
            found += _LETTERS.get(match[4], match[4]).encode("utf-8", "surrogatepass")
        else:
            code = int(match[2] or match[3], 16)
            found += (chr(code) if code <= 0x10FFFF else "\ufffd").encode("utf-8", "surrogatepass")
    found += text[at:].encode("utf-8", "surrogatepass")
    return found.decode("utf-8", "replace")


def _amount(text: str) -> int:
    number = text.rstrip("KMGTB")
    return round(float(number) * _UNITS[text[len(number) :]])
