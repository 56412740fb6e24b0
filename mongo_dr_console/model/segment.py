"""Segments by name and header, and how they continue each other. Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
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
        return cls(unquote(parts[1]), start, end, numbers[4])

    @property
    def path(self) -> str:
        ends = f"{self.start.t}-{self.start.i}_{self.end.t}-{self.end.i}"
        return f"{set_folder(self.set_name)}{self.end.time:%Y%m%d}/{ends}.{self.term}.bson.zst"


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


@dataclass(frozen=True, slots=True)
class Run:
    """Segments that continue each other, each with at most one that follows: ``after`` is not in it."""

    segments: tuple[Segment, ...]

    @property
    def identity(self) -> Identity:
        return self.segments[0].header.identity

    @property
    def after(self) -> Link:
        return self.segments[0].header.previous

    @property
    def first(self) -> Position:
        return self.segments[0].header.first

    @property
    def last(self) -> Link:
        return self.segments[-1].header.last

    @property
    def links(self) -> tuple[Link, ...]:
        """What is known of it without reading an entry: ``after``, and the end of each segment."""
        return (self.after, *(s.header.last for s in self.segments))


Key = tuple[str, str, Link]


def runs(segments: Iterable[Segment]) -> list[Run]:
    """Brings segments together that continue each other by position, term and hash, of one deployment. A run
    ends where nothing follows, or more than one does: after that the history forked, or two wrote it.

    Two of the same extent are taken once.
    """
    by_extent = {(s.header.identity.replica_set_id, s.header.previous, s.header.last): s for s in segments}
    following: dict[Key, list[Segment]] = defaultdict(list)
    ending: dict[Key, int] = defaultdict(int)
    for segment in by_extent.values():
        following[_key(segment, segment.header.previous)].append(segment)
        ending[_key(segment, segment.header.last)] += 1
    found = []
    for segment in by_extent.values():
        before = _key(segment, segment.header.previous)
        if ending[before] == 1 and len(following[before]) == 1:
            continue
        row = [segment]
        while True:
            here = _key(row[-1], row[-1].header.last)
            nexts = following.get(here, [])
            if len(nexts) != 1 or ending[here] != 1:
                break
            row.append(nexts[0])
        found.append(Run(tuple(row)))
    return sorted(found, key=lambda r: (r.after.position, r.last.position, r.last.term, r.last.hash))


def _key(segment: Segment, link: Link) -> Key:
    identity = segment.header.identity
    return identity.set_name, identity.replica_set_id, link


def tail(segments: Iterable[Segment], identity: Identity) -> Segment | None:
    """The segment that was written last on the newest history of this deployment: the highest term, then
    position. None where there is none."""
    own = [s for s in segments if s.header.identity.same_deployment(identity)]
    return max(own, key=lambda s: (s.header.last.term, s.header.last.position), default=None)
