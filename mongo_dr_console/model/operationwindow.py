"""The operations that are looked at: a stretch that grows both ways, and holds a bounded number. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from mongo_dr_console.model.operationpage import Found, OperationPage, Way
from mongo_dr_console.model.position import MAX_ORDINAL, Position
from mongo_dr_console.model.words import moment

MOST = 500
"""Operations that are kept; what is left out at one end is read again when it is wanted."""


@dataclass(frozen=True, slots=True)
class OperationWindow:
    """What was read so far.

    Args:
        start: Everything from here on was looked through (included), up to ``end`` (left out).
        oldest, newest: Whether there is nothing further that way, as far as any source knows.
        source: Where it was read.
    """

    start: Position
    end: Position
    found: tuple[Found, ...] = ()
    oldest: bool = False
    newest: bool = False
    source: str = ""
    notes: tuple[str, ...] = ()

    @classmethod
    def at(cls, place: Position) -> OperationWindow:
        """Nothing yet, at a position."""
        return cls(place, place)

    def edge(self, way: Way) -> Position:
        """Where to read on."""
        return self.start if way == "before" else self.end

    def grown(self, way: Way, page: OperationPage) -> OperationWindow:
        """The same with a page that was read at its edge."""
        source = ", ".join(dict.fromkeys([*self.source.split(", "), page.source])).removeprefix(", ")
        notes = tuple(dict.fromkeys((*self.notes, *page.notes)))
        whole = replace(self, source=source, notes=notes)
        if way == "before":
            return replace(
                whole, found=(*page.found, *self.found), start=page.start, oldest=page.ended
            )._without_newest()
        end = _after(page.end)
        return replace(whole, found=(*self.found, *page.found), end=end, newest=page.ended)._without_oldest()

    def said(self) -> str:
        """What was looked through, in words."""
        start, end = moment(self.start.time), moment(self.end.time)
        first = "the oldest there is" if self.oldest else "p reads further back"
        last = "the newest by now" if self.newest else "n reads on"
        where = f", from {self.source}" if self.source else ""
        return f"{start} ({first}) to {end} ({last}){where}"

    def _without_newest(self) -> OperationWindow:
        if len(self.found) <= MOST:
            return self
        border = self.found[MOST].operation.position
        kept = tuple(f for f in self.found if f.operation.position < border)
        return replace(self, found=kept, end=border, newest=False) if kept else self

    def _without_oldest(self) -> OperationWindow:
        if len(self.found) <= MOST:
            return self
        border = self.found[-MOST - 1].operation.position
        kept = tuple(f for f in self.found if f.operation.position > border)
        return replace(self, found=kept, start=_after(border), oldest=False) if kept else self


def _after(position: Position) -> Position:
    if position.i < MAX_ORDINAL:
        return Position(position.t, position.i + 1)
    return Position(position.t + 1, 0)
