"""One history's oplog from every source that has a part of it: the live one, and what the stream kept.

Each stretch comes from the first source that has it; where one ends, or turns out to be damaged, another goes
on from the very entry that came last. What no source has is a gap, never left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol, TypeAlias

from mongo_dr_console.model import rawbson
from mongo_dr_console.model.coverage import LIVE, Damage, Unread, branch_name
from mongo_dr_console.model.entryhead import head
from mongo_dr_console.model.identity import Identity
from mongo_dr_console.model.position import Position, Span
from mongo_dr_console.model.stretch import Copy, Stretch, copy_of, joined, sort_out
from mongo_dr_console.model.trouble import Failed, Trouble, WrongUse
from mongo_dr_console.mongo.client import Client
from mongo_dr_console.mongo.oplog import entry_at, raw_batches
from mongo_dr_console.stream.batch import last_entry
from mongo_dr_console.stream.coverage import Gathered
from mongo_dr_console.stream.follow import continue_from
from mongo_dr_console.stream.keep import Keep

_DAMAGES_TOLD = 3

Tried: TypeAlias = dict[int, tuple[Position, Trouble | None]]
"""Parts, by their ``id``, that could not go on: from where, and why; None: they had no more."""


class Part(Protocol):
    """A source's stretch of the history: ``start`` is the entry before it, ``end`` the last one."""

    name: str
    start: Position
    end: Position

    def read(self, start: Position, end: Position) -> Iterator[bytes]: ...

    def hash_at(self, position: Position) -> str | None:
        """Of the entry that is there, None where none is."""
        ...

    def go_on(self, position: Position, entry_hash: str, through: Position) -> Iterator[bytes]:
        """Batches after an entry, once it was compared."""
        ...


class LivePart:
    """The live oplog, up to where a majority was."""

    def __init__(self, client: Client, start: Position, end: Position) -> None:
        self.name, self.start, self.end = LIVE, start, end
        self._client = client

    def read(self, start: Position, end: Position) -> Iterator[bytes]:
        return raw_batches(self._client, start, end)

    def hash_at(self, position: Position) -> str | None:
        raw = entry_at(self._client, position)
        return None if raw is None else rawbson.entry_hash(raw)

    def go_on(self, position: Position, entry_hash: str, through: Position) -> Iterator[bytes]:
        return continue_from(self._client, position, entry_hash, min(through, self.end))


class KeptPart:
    """A stretch outside the deployment, or what of it lies on this history.

    Args:
        keep: Where it is.
        whole: As the keep knows it.
        start, end: What of it counts.
    """

    def __init__(self, keep: Keep, whole: Stretch, start: Position, end: Position) -> None:
        self.name, self.start, self.end = keep.name, start, end
        self._keep, self._whole = keep, whole

    def read(self, start: Position, end: Position) -> Iterator[bytes]:
        return self._keep.read_in(self._whole, start, min(end, self.end))

    def hash_at(self, position: Position) -> str | None:
        link = self._keep.link_in(self._whole, position)
        return None if link is None else link.hash

    def go_on(self, position: Position, entry_hash: str, through: Position) -> Iterator[bytes]:
        if self.hash_at(position) != entry_hash:
            raise Failed(
                "divergence",
                f"{self.name} has another entry at {position} than was read before.",
                "mdr coverage shows the branches.",
            )
        return self.read(_after(position), through)


class History:
    """The parts of one history, as ``stream.source.StreamSource``; the first of those that reach furthest are
    read first.

    Args:
        parts: In the order in which they are preferred.
        spans: What they cover together, from the first entry to the last of each unbroken line.
        unread: What could not be asked.
        damage: What is known to be damaged.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        spans: Sequence[Span],
        name: str = "all sources",
        unread: Sequence[Unread] = (),
        damage: Sequence[Damage] = (),
    ) -> None:
        self.name = name
        self._unread, self._damage = tuple(unread), tuple(damage)
        self._parts, self._spans = tuple(parts), tuple(spans)

    def windows(self) -> list[Span]:
        return list(self._spans)

    @property
    def latest(self) -> Position | None:
        return max((s.end for s in self._spans), default=None)

    @property
    def unread(self) -> tuple[Unread, ...]:
        """What could not be asked."""
        return self._unread

    @property
    def damage(self) -> tuple[Damage, ...]:
        """What is known to be damaged."""
        return self._damage

    def source_of(self, position: Position) -> str:
        """Whose part a position is read from first; empty where none has it."""
        part = self._best(position, {}, inclusive=True)
        return "" if part is None else part.name

    def told(self) -> str:
        """Which sources there are, for people."""
        return ", ".join(dict.fromkeys(p.name for p in self._parts)) or "none"

    def missing(self) -> str:
        """A sentence on each source that could not be asked, and on the first damages, to follow another one;
        empty where there is none."""
        unread = [f" {u.source} cannot be read: {u.error.message}" for u in self._unread]
        return "".join([*unread, *(f" {d.text}" for d in self._damage[:_DAMAGES_TOLD])])

    def read(self, start: Position, end: Position) -> Iterator[bytes]:
        """Whole raw entries with ``start <= ts <= end``, oldest first, each once.

        Raises:
            Failed: ``gap`` where no source goes on within a line.
        """
        for span in self._spans:
            low, high = max(start, span.start), min(end, span.end)
            if low <= high:
                yield from self._line(low, high)

    def go_on(self, position: Position, entry_hash: str, through: Position) -> Iterator[bytes]:
        """Batches after an entry up to ``through``, included, each of them proved to continue what came
        before.

        Raises:
            Failed: ``gap``: no source that can be read has what follows, with each one's trouble.
        """
        bad: Tried = {}
        while position < through:
            part = self._best(position, bad)
            if part is None and position.t >= through.t:
                return  # a limit at the end of a second is no entry's position
            if part is None:
                raise self._gap(position, through, bad)
            try:
                for batch in part.go_on(position, entry_hash, through):
                    yield batch
                    last = last_entry(batch)
                    position, entry_hash = head(last).position, rawbson.entry_hash(last)
            except Trouble as trouble:
                bad[id(part)] = position, trouble
            else:
                # It gave all it has; where that is less than it said, it is not asked for the same again.
                bad[id(part)] = position, None
                if part.end >= through:
                    return

    def holds(self, position: Position, entry_hash: str) -> bool:
        """Whether this very entry is on the history, as far as can be read."""
        for part in self._parts:
            if part.start <= position <= part.end:
                try:
                    if part.hash_at(position) == entry_hash:
                        return True
                except Trouble:
                    continue
        return False

    def reaches(self, position: Position, through: Position) -> Position:
        """How far the parts reach one after another from a position on, without reading them."""
        while position < through:
            ends = [p.end for p in self._parts if p.start <= position < p.end]
            if not ends:
                break
            position = max(ends)
        return position

    def _line(self, start: Position, end: Position) -> Iterator[bytes]:
        bad: Tried = {}
        while True:
            part = self._best(start, bad, inclusive=True)
            if part is None:
                raise self._gap(start, end, bad)
            try:
                for batch in part.read(start, min(end, part.end)):
                    yield batch
                    start = _after(head(last_entry(batch)).position)
            except Trouble as trouble:
                bad[id(part)] = start, trouble
                continue
            if part.end >= end:
                return
            start = max(start, _after(part.end))

    def _best(self, position: Position, bad: Tried, *, inclusive: bool = False) -> Part | None:
        """Who goes on from here: of those that have it, one that has not failed yet; else one that failed
        before this, since what is damaged there may end before what it has here."""
        fitting = [
            p
            for p in self._parts
            if p.start <= position and (position <= p.end if inclusive else position < p.end)
        ]
        whole = [p for p in fitting if id(p) not in bad]
        return next(iter(whole or [p for p in fitting if bad[id(p)][0] < position]), None)

    def _gap(self, position: Position, through: Position, bad: Tried) -> Failed:
        told = "; ".join(dict.fromkeys(t.message for _, t in bad.values() if t is not None))
        return Failed(
            "gap",
            f"No source has the oplog after {position}, and {through} is needed"
            + (f": {told}" if told else ".")
            + f"{self.missing()} Nothing live was changed.",
            "See what can be restored to: mdr coverage",
        )


def history_of(
    gathered: Gathered,
    keeps: Mapping[str, Keep],
    client: Client | None,
    identity: Identity | None,
    branch: str | None = None,
) -> History:
    """The deployment's history, or that of a branch.

    Args:
        gathered: See ``stream.coverage.gather``.
        keeps: By the stretches' source.
        client: Of the source deployment; None where it is gone.
        identity: Whose oplog is wanted.
        branch: Its name in coverage; None: the deployment's own history.

    Raises:
        WrongUse: There is no such branch.
    """
    live = gathered.live
    seen = None if live is None else Copy(LIVE, live.oldest, live.newest, live.hashes)
    sorted_out = sort_out(gathered.stretches, seen, identity)
    chosen, fork = list(sorted_out.main), None
    if branch is not None:
        parted = [s for s in (*sorted_out.branches, *sorted_out.foreign) if branch_name(s) == branch]
        if not parted:
            known = ", ".join(branch_name(s) for s in sorted_out.branches) or "there is none"
            raise WrongUse("branch-unknown", f"There is no branch {branch!r}.", f"Known: {known}")
        fork = max(s.start for s in parted)
        chosen = [*parted, *(_until(s, fork) for s in sorted_out.main if s.start < fork)]
    parts: list[Part] = []
    copies = [copy_of(s) for s in chosen]
    if live is not None and client is not None:
        end = max(live.oldest, live.latest) if fork is None else fork
        if end > live.oldest or fork is None:
            parts.append(LivePart(client, live.oldest, end))
            copies.append(Copy(LIVE, live.oldest, end, live.hashes))
    for stretch in chosen:
        part = _part(stretch, gathered.stretches, keeps)
        if part is not None:
            parts.append(part)
    lines = joined(copies, seen)
    return History(
        parts, [Span(line.start, line.end) for line in lines], unread=gathered.unread, damage=gathered.damage
    )


def _until(stretch: Stretch, fork: Position) -> Stretch:
    index = max((n for n, link in enumerate(stretch.links) if link.position <= fork), default=0)
    return stretch.cut(index)[0] or stretch


def _part(stretch: Stretch, known: Sequence[Stretch], keeps: Mapping[str, Keep]) -> KeptPart | None:
    keep = keeps.get(stretch.source)
    for whole in known:
        same = whole.source == stretch.source
        if keep is not None and same and stretch.links[0] in whole.links and stretch.last in whole.links:
            return KeptPart(keep, whole, stretch.start, stretch.end)
    return None


def _after(position: Position) -> Position:
    return Position(position.t, position.i + 1)
