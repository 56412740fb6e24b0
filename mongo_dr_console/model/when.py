"""Points in time as people write them, and the limits that they mean."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

from mongo_dr_console.model.event import Event
from mongo_dr_console.model.position import MAX_ORDINAL, Bound, Limit, Position
from mongo_dr_console.model.trouble import WrongUse

FORMS = (
    "A time is 2026-11-22T02:11:31Z (with Z or an offset such as +01:00), -10m, -2h, -1d, a position t:i or "
    "Timestamp(t, i), latest, or event:ID."
)

_EVENT = "event:"
_AGO = re.compile(r"-(\d{1,9})\s*([smhd])")
_AGO_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_TIME = re.compile(
    r"(?P<date>\d{4}-\d{2}-\d{2})[Tt ](?P<clock>\d{2}:\d{2}:\d{2})(?P<fraction>\.\d+)?"
    r"(?P<offset>[Zz]|[+-]\d{2}:\d{2})?"
)
_TIME_LIKE = re.compile(r"\d{4}-\d{2}-\d{2}([Tt ]\d{2}(:\d{2})?(Z|[+-]\d{2}:?\d{2})?)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class When:
    """What a text for a time means: the positions from ``first`` to ``last``, both included.

    A whole second is all its ordinals, an event all of its range, a position itself alone.
    """

    text: str
    first: Position
    last: Position
    event: Event | None = None

    @property
    def time(self) -> datetime:
        return self.first.time


def names_event(text: str) -> bool:
    """Whether the text is ``event:ID``, so that the events must be looked for before it can be read."""
    return text.strip().startswith(_EVENT)


def needs_latest(text: str) -> bool:
    return text.strip() == "latest"


def parse_when(
    text: str,
    *,
    now: datetime,
    latest: Position | None,
    events: Callable[[str], Event] | None = None,
) -> When:
    """Reads a time as in DESIGN.md section 4.

    Args:
        text: What a person wrote.
        now: For ``-10m``; the second that this falls into is meant.
        latest: The newest position that can be had; None if unknown.
        events: Finds an event by its id; called for ``event:ID`` only.

    Raises:
        WrongUse: Not a time; a time without an offset; a fraction of a second; ``latest`` or an event where
            none is known.
    """
    wanted = text.strip()
    if wanted == "latest":
        if latest is None:
            raise WrongUse("time-unknown", "There is no newest position to mean by 'latest'.", FORMS)
        return When(wanted, latest, latest)
    if wanted.startswith(_EVENT):
        if events is None:
            raise WrongUse("time-wrong", f"An event cannot be named here: {wanted!r}.", FORMS)
        event = events(wanted.removeprefix(_EVENT).strip())
        return When(wanted, event.position, event.last, event)
    ago = _AGO.fullmatch(wanted)
    if ago is not None:
        return _second(wanted, now.timestamp() - int(ago[1]) * _AGO_SECONDS[ago[2]])
    if wanted[:1].isdigit() and _TIME.fullmatch(wanted) is None and ":" in wanted and "-" not in wanted:
        return _position(wanted)
    if wanted.startswith("Timestamp"):
        return _position(wanted)
    return _second(wanted, _moment(wanted).timestamp())


def limit_before(when: When) -> Limit:
    """Replay stops before it: before a second's start, before an event's first operation."""
    return Limit(when.first, Bound.BEFORE)


def limit_through(when: When) -> Limit:
    """Replay goes through it: a second's last operation, an event's last operation included."""
    return Limit(when.last, Bound.THROUGH)


def parse_range(text: str, read: Callable[[str], When]) -> tuple[Position, Position | None]:
    """Reads ``FROM..TO``, both ends included; without ``TO`` (``-2d``, ``-2d..``) it has no end.

    Args:
        read: What one time means: see ``parse_when``.

    Raises:
        WrongUse: Not a range, its end lies before its start, or what ``read`` says.
    """
    first, dots, last = (part.strip() for part in text.partition(".."))
    if not first:
        raise WrongUse("range-wrong", f"Not a range: {text!r}.", "FROM or FROM..TO, as in -2d or -3d..-1d.")
    start = limit_before(read(first)).position
    if not dots or not last:
        return start, None
    end = limit_through(read(last)).position
    if end < start:
        raise WrongUse("range-backwards", f"{first} ({start}) lies after {last} ({end}).")
    return start, end


def event_by_id(events: list[Event], wanted: str) -> Event:
    """The event with this id, or with an id that begins with it (four digits at least).

    Raises:
        WrongUse: None, or several.
    """
    found = [e for e in events if e.id == wanted]
    if not found and len(wanted) >= 4:
        found = [e for e in events if e.id.startswith(wanted)]
    if len(found) == 1:
        return found[0]
    if found:
        raise WrongUse(
            "event-ambiguous", f"Several events begin with {wanted!r}: {', '.join(e.id for e in found)}."
        )
    raise WrongUse(
        "event-unknown", f"There is no event {wanted!r}.", "mdr find lists the events and their ids."
    )


def _position(text: str) -> When:
    try:
        position = Position.parse(text)
    except ValueError as error:
        raise WrongUse("time-wrong", f"This is {error}.", FORMS) from None
    return When(text, position, position)


def _second(text: str, timestamp: float) -> When:
    t = int(timestamp // 1)
    if not 0 <= t <= MAX_ORDINAL:
        raise WrongUse("time-wrong", f"No oplog reaches to {text!r}.", FORMS)
    return When(text, Position(t, 0), Position(t, MAX_ORDINAL))


def _moment(text: str) -> datetime:
    match = _TIME.fullmatch(text)
    if match is None:
        if _TIME_LIKE.fullmatch(text):
            raise WrongUse(
                "time-wrong", f"{text!r} is not a whole time: date, hour, minute and second.", FORMS
            )
        raise WrongUse("time-wrong", f"This is not a time: {text!r}.", FORMS)
    plain = f"{match['date']}T{match['clock']}"
    offset = match["offset"]
    try:
        moment = datetime.fromisoformat(plain)
        zone = _zone(offset) if offset else None
    except ValueError as error:
        raise WrongUse("time-wrong", f"This is not a time: {text!r} ({error}).", FORMS) from None
    if match["fraction"]:
        raise WrongUse(
            "time-fraction",
            f"{text!r} has a fraction of a second; the oplog counts whole seconds and ordinals in them.",
            f"Write {plain}{offset or 'Z'}, or a position t:i.",
        )
    if zone is None:
        raise WrongUse(
            "time-naive",
            f"{text!r} has no offset, so it could be any of 24 hours.",
            f"If it is UTC, write {plain}Z; else add the offset, as in {plain}+01:00.",
        )
    return moment.replace(tzinfo=zone)


def _zone(offset: str) -> timezone:
    if offset in "Zz":
        return UTC
    hours, minutes = int(offset[1:3]), int(offset[4:6])
    if hours > 23 or minutes > 59:
        raise ValueError(f"no such offset: {offset}")
    size = timedelta(hours=hours, minutes=minutes)
    return timezone(-size if offset[0] == "-" else size)
