"""Segments by name and header, and how they continue each other. Pure."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal
from urllib.parse import quote, unquote

from pydantic import BaseModel, ConfigDict, Field

from mongo_dr_console.model.identity import Identity
from mongo_dr_console.model.link import Link
from mongo_dr_console.model.position import Position

FOLDER = "oplog"

_NAME = re.compile(r"(\d{1,10})-(\d{1,10})_(\d{1,10})-(\d{1,10})\.(-?\d+)\.bson\.zst")


@dataclass(frozen=True, slots=True)
class SegmentName:
    """``oplog/<set>/<YYYYMMDD>/<t>-<i>_<t>-<i>.<term>.bson.zst``: the day (UTC) is that of the end.

    >>> SegmentName.parse("oplog/rs0/20261129/1795000000-1_1795000030-7.3.bson.zst").end
    Position(t=1795000030, i=7)

    Args:
        start: The entry before the first one: not in it.
        end: The last entry: in it.
        term: Of all its entries.
    """

    set_name: str
    start: Position
    end: Position
    term: int

    @classmethod
    def parse(cls, path: str) -> SegmentName | None:
        """None for what is no segment's path."""
        parts = path.split("/")
        match = _NAME.fullmatch(parts[-1])
        if len(parts) != 4 or parts[0] != FOLDER or match is None:
            return None
        numbers = [int(n) for n in match.groups()]
        start, end = Position(*numbers[0:2]), Position(*numbers[2:4])
        return cls(_set_in(parts[1]), start, end, numbers[4])

    @property
    def path(self) -> str:
        ends = f"{self.start.t}-{self.start.i}_{self.end.t}-{self.end.i}"
        return f"{set_folder(self.set_name)}{self.end.time:%Y%m%d}/{ends}.{self.term}.bson.zst"


@lru_cache(maxsize=256)
def _set_in(folder: str) -> str:
    """One text for all segments of a set."""
    return unquote(folder)


def set_folder(set_name: str) -> str:
    """Where a set's segments lie in a store, with a slash at its end.

    >>> set_folder("a/b")
    'oplog/a%2Fb/'
    """
    return f"{FOLDER}/{quoted_set(set_name)}/"


def quoted_set(set_name: str) -> str:
    """A set's name as that of a folder."""
    quoted = quote(set_name, safe=" ")
    return "%2E" + quoted[1:] if quoted.startswith(".") else quoted


class SegmentHeader(BaseModel):
    """What stands at the front of a segment.

    Args:
        identity: Of the deployment.
        previous: The entry before the first one; where that is another segment's last, this one continues it.
        first, last: The first position, and the last entry.
        count, bytes: Entries, and their uncompressed size.
        sha256: Of the uncompressed entries.
        stored_bytes, stored_sha256: Of what follows the header.
        tail: What the sink had written last where that is not ``previous``: before this segment the stream
            was broken, by a gap or by another history.
        fence: Of the agent that wrote it, greater than those of all before; None where there was but one.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    schema_name: Literal["mdr.segment.1"] = Field(default="mdr.segment.1", alias="schema")
    identity: Identity
    previous: Link
    first: Position
    last: Link
    count: int = Field(ge=1)
    bytes: int = Field(ge=1)
    sha256: str
    stored_bytes: int
    stored_sha256: str
    tail: Link | None = None
    fence: int | None = None

    @property
    def name(self) -> SegmentName:
        return SegmentName(self.identity.set_name, self.previous.position, self.last.position, self.last.term)


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment in a store, known by its header."""

    path: str
    header: SegmentHeader

    @property
    def start(self) -> Position:
        return self.header.previous.position

    @property
    def end(self) -> Position:
        return self.header.last.position

    @property
    def term(self) -> int:
        return self.header.last.term

    @property
    def stored_bytes(self) -> int:
        return self.header.stored_bytes


@dataclass(frozen=True, slots=True)
class Unread:
    """One that is known by its name alone, since its neighbours tell what its header would (see ``seams``).

    Args:
        start, end, term: As its name says.
        stored_bytes: Its size in the store.
    """

    path: str
    start: Position
    end: Position
    term: int
    stored_bytes: int


def seams(names: Sequence[SegmentName], newest: int, samples: int) -> set[int]:
    """Of which segments the header must be read to know how all of them join; by their place in ``names``.

    A term and a position are given out once, so that two names which meet, one of each, and are of one term,
    are of segments that continue each other. That is so for most. Read are those where it is not: both ends
    of a line, where more than one begins or ends, and where the term changes. Beside them the newest, and
    some all along, which show whose the line is. A segment of another deployment that fills a hole to the
    very entry at both ends would be found out only when its entries are read.

    Args:
        newest: So many at the end of each set.
        samples: About so many of each set's older ones.
    """
    by_set: dict[str, list[int]] = defaultdict(list)
    for at, name in enumerate(names):
        by_set[name.set_name].append(at)
    found: set[int] = set()
    for own in by_set.values():
        own.sort(key=lambda at: (names[at].end, names[at].start))
        older = own[:-newest] if newest else own
        found |= {*own[len(older) :], *older[:: len(older) // samples + 1]}
        starting, ending = Counter(names[at].start for at in own), Counter(names[at].end for at in own)
        term_at = {names[at].end: names[at].term for at in own}
        for at in older:
            name = names[at]
            alone = starting[name.start] == ending[name.start] == starting[name.end] == ending[name.end] == 1
            if not alone or term_at[name.start] != name.term:
                found.add(at)
    return found


@dataclass(frozen=True, slots=True)
class Run:
    """Segments that continue each other, each with at most one that follows: ``after`` is not in it. The
    headers of the first and the last one are known."""

    segments: tuple[Segment | Unread, ...]

    @property
    def identity(self) -> Identity:
        return _read(self.segments[0]).identity

    @property
    def after(self) -> Link:
        return _read(self.segments[0]).previous

    @property
    def first(self) -> Position:
        return _read(self.segments[0]).first

    @property
    def last(self) -> Link:
        return _read(self.segments[-1]).last

    @property
    def links(self) -> tuple[Link, ...]:
        """What is known of it without reading an entry: ``after``, and the end of each segment whose header
        was read."""
        return (self.after, *(s.header.last for s in self.segments if isinstance(s, Segment)))

    @property
    def open_questions(self) -> tuple[Unread, ...]:
        """Segments whose headers must be read after all: at an end of it; or all, where those that were read
        are of several deployments, so that names met by chance."""
        unread = tuple(s for s in self.segments if isinstance(s, Unread))
        whose = {s.header.identity.replica_set_id for s in self.segments if isinstance(s, Segment)}
        if len(whose) != 1:
            return unread
        return tuple(s for s in unread if s is self.segments[0] or s is self.segments[-1])


def _read(segment: Segment | Unread) -> SegmentHeader:
    assert isinstance(segment, Segment), "both ends of a run are seams"
    return segment.header


def runs(segments: Iterable[Segment | Unread]) -> list[Run]:
    """Brings segments together that continue each other by position, term and hash, of one deployment; where
    a header is unread, by position and term. A run ends where nothing follows, or more than one does: after
    that the history forked, or two wrote it.

    Two of the same extent are taken once.
    """
    given = list(segments)
    own: list[Segment | Unread] = [s for s in given if isinstance(s, Unread)]
    own += {_extent(s): s for s in given if isinstance(s, Segment)}.values()
    starting: dict[Position, list[Segment | Unread]] = defaultdict(list)
    ending: dict[Position, list[Segment | Unread]] = defaultdict(list)
    for segment in own:
        starting[segment.start].append(segment)
        ending[segment.end].append(segment)

    def before(segment: Segment | Unread) -> list[Segment | Unread]:
        return [s for s in ending.get(segment.start, ()) if _continues(s, segment)]

    def following(segment: Segment | Unread) -> list[Segment | Unread]:
        return [s for s in starting.get(segment.end, ()) if _continues(segment, s)]

    found = []
    for segment in own:
        earlier = before(segment)
        if len(earlier) == 1 and len(following(earlier[0])) == 1:
            continue
        row = [segment]
        while True:
            nexts = following(row[-1])
            if len(nexts) != 1 or len(before(nexts[0])) != 1:
                break
            row.append(nexts[0])
        found.append(Run(tuple(row)))
    return sorted(found, key=_place)


def _place(run: Run) -> tuple[Position, Position, int, str]:
    last = run.segments[-1]
    return (
        run.segments[0].start,
        last.end,
        last.term,
        last.header.last.hash if isinstance(last, Segment) else "",
    )


def _extent(segment: Segment) -> Hashable:
    header = segment.header
    return header.identity.replica_set_id, header.previous, header.last


def _continues(one: Segment | Unread, other: Segment | Unread) -> bool:
    """Whether ``other`` is what follows; they meet already."""
    if isinstance(one, Segment) and isinstance(other, Segment):
        return other.header.previous == one.header.last and (
            one.header.identity.set_name,
            one.header.identity.replica_set_id,
        ) == (other.header.identity.set_name, other.header.identity.replica_set_id)
    term = other.header.previous.term if isinstance(other, Segment) else other.term
    return term == one.term and _set_of(one) == _set_of(other)


def _set_of(segment: Segment | Unread) -> str:
    return segment.path.split("/", 2)[1]


def tail(segments: Iterable[Segment | Unread], identity: Identity) -> Segment | None:
    """The segment that was written last on the newest history of this deployment: the highest term, then
    position. None where there is none."""
    return max(own_of(segments, identity), key=lambda s: (s.term, s.end), default=None)


def own_of(segments: Iterable[Segment | Unread], identity: Identity) -> list[Segment]:
    """Those that are known to be this deployment's."""
    return [s for s in segments if isinstance(s, Segment) and s.header.identity.same_deployment(identity)]
