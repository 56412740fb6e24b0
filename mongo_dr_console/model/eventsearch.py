"""What a search for events over days has found, and how far it has come. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from mongo_dr_console.model.coverage import Damage
from mongo_dr_console.model.event import Event
from mongo_dr_console.model.position import Position, Span
from mongo_dr_console.model.words import moment

USUAL_RANGE = "-3d"
"""Where nothing is said: longer than most live oplogs reach, and a mistake that is found after two days."""


@dataclass(frozen=True, slots=True)
class Looked:
    """A search at one moment.

    Args:
        start, end: What is to be looked through, both included; no end: to the newest entry.
        events: Oldest first.
        sources: By id, where an event was read: ``live``, ``segments:STORE``, ``kafka``.
        reached: From here on all was looked through, as far as it could be; None: nothing yet.
        newest: Up to here.
        slow: Where deletes that are spread over hours are being looked for; None: not now.
        missing: What of the range nothing has or can be read, in sentences.
        unread: Which sources failed, in sentences.
        ended: Whether it is over.
    """

    start: Position
    end: Position | None = None
    events: tuple[Event, ...] = ()
    sources: Mapping[str, str] = field(default_factory=dict)
    reached: Position | None = None
    newest: Position | None = None
    slow: Position | None = None
    missing: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    ended: bool = False

    @property
    def share(self) -> float:
        """How much of the range was looked through, from 0 to 1."""
        if self.reached is None or self.newest is None:
            return 0.0
        whole = self.newest.t - self.start.t
        return 1.0 if whole <= 0 else min(1.0, max(0.0, (self.newest.t - self.reached.t) / whole))

    def over(self) -> Looked:
        """The same where nothing more comes."""
        return replace(self, ended=True, slow=None)

    @property
    def further(self) -> Position:
        """Where a range that goes as far back again begins."""
        newest = self.newest or self.end or self.start
        return Position(max(0, self.start.t - max(3600, newest.t - self.start.t)), 0)


def gaps_in(
    windows: Sequence[Span], start: Position, end: Position | None, damage: Iterable[Damage] = ()
) -> tuple[str, ...]:
    """What of a range is in no window, in sentences, the newest first.

    Args:
        windows: In order.
        end: None: to the newest entry.
        damage: What is known to be damaged: it may be why.
    """
    if not windows:
        return (f"Nothing has the oplog from {moment(start.time)} on.",)
    found = []
    if end is not None and windows[-1].end.t < end.t:
        found.append(_lost(max(start, windows[-1].end), end))
    for older, newer in zip(reversed(windows[:-1]), reversed(windows[1:]), strict=True):
        low, high = max(start, older.end), newer.start if end is None else min(end, newer.start)
        if low < high:
            texts = dict.fromkeys(d.text for d in damage if d.start < high and low < d.end)
            found.append(" ".join([_lost(low, high), *texts]))
    if start.t < windows[0].start.t:
        found.append(f"Nothing has the oplog before {moment(windows[0].start.time)}.")
    return tuple(found)


def _lost(start: Position, end: Position) -> str:
    return f"Nothing has the oplog between {moment(start.time)} and {moment(end.time)}."
