"""When which kind of job is due, and whether it begins now. Pure: the time is given.

A run is named by the moment at which it was due. From then on, and after its jitter, it may begin until the
next one is due; what stands against it meanwhile (the deployment has no primary, the window is closed, one of
its kind still runs) holds it, and whoever is held until the next is due is skipped, with that reason. After a
downtime the newest due alone is run: one, however many were missed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Literal, TypeAlias, get_args
from zoneinfo import ZoneInfo

Kind = Literal["backup", "verify", "prune", "drill"]
KINDS: tuple[Kind, ...] = get_args(Kind)

_STAMP = "%Y%m%dT%H%M%SZ"
_COUNTED = 1000


@dataclass(frozen=True, slots=True)
class Window:
    """Hours of a day within which a run may begin; over midnight where ``end`` is not after ``start``."""

    start: time
    end: time

    @classmethod
    def parse(cls, text: str) -> Window:
        """
        >>> Window.parse("22:00-06:00").is_open(time(23, 30))
        True
        """
        match = re.fullmatch(r"(\d\d):(\d\d)\s*-\s*(\d\d):(\d\d)", text.strip())
        try:
            if match is None:
                raise ValueError
            a, b, c, d = (int(n) for n in match.groups())
            start, end = time(a, b), time(c, d)
        except ValueError:
            raise ValueError("a window is written from-to, as in '22:00-06:00'") from None
        if start == end:
            raise ValueError("a window that ends when it begins is never open")
        return cls(start, end)

    def is_open(self, at: time) -> bool:
        if self.start < self.end:
            return self.start <= at < self.end
        return at >= self.start or at < self.end

    def __str__(self) -> str:
        return f"{self.start:%H:%M}-{self.end:%H:%M}"


@dataclass(frozen=True, slots=True)
class Entry:
    """One kind of job and when it is due.

    Args:
        profile: Whose.
        expression: Cron, with a sixth field in front for seconds where wanted.
        timezone: Of the expression and the window.
        jitter: A run begins up to so long after its time, for each time by the same.
    """

    profile: str
    kind: Kind
    expression: str
    timezone: str = "UTC"
    jitter: timedelta = timedelta()
    window: Window | None = None

    def due_by(self, now: datetime) -> datetime | None:
        """The newest due that is not after ``now``, in UTC; None where there was none in decades."""
        from cronsim import CronSim

        # Reckoned in UTC: in a zone that sets its clocks back, an hour comes twice.
        second = now.astimezone(UTC).replace(microsecond=0) + timedelta(seconds=1)
        start = second.astimezone(ZoneInfo(self.timezone))
        found = next(CronSim(self.expression, start, reverse=True), None)
        return None if found is None else found.astimezone(UTC)

    def due_after(self, moment: datetime) -> datetime | None:
        """The next due, in UTC."""
        from cronsim import CronSim

        start = moment.astimezone(ZoneInfo(self.timezone))
        found = next(CronSim(self.expression, start), None)
        return None if found is None else found.astimezone(UTC)

    def begins(self, due: datetime) -> datetime:
        """When a run that is due then begins, with its jitter."""
        seconds = int(self.jitter.total_seconds())
        if not seconds:
            return due
        seed = hashlib.sha256(f"{self.profile} {self.kind} {stamp(due)}".encode()).digest()
        return due + timedelta(seconds=int.from_bytes(seed[:8], "big") % (seconds + 1))

    def is_open(self, now: datetime) -> bool:
        """Whether a run may begin now, by the window."""
        return self.window is None or self.window.is_open(now.astimezone(ZoneInfo(self.timezone)).time())

    @property
    def mark(self) -> str:
        """Changes with the expression: what another one had missed is not caught up with."""
        return hashlib.sha256(f"{self.expression} {self.timezone}".encode()).hexdigest()[:8]


@dataclass(frozen=True, slots=True)
class Start:
    """The run begins now.

    Args:
        missed: How many before it were due since the last that was decided, and were not run.
    """

    due: datetime
    missed: int = 0


@dataclass(frozen=True, slots=True)
class Hold:
    """It may not begin now."""

    due: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Skip:
    """It was held until the next was due."""

    due: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing is due before then; None: never again."""

    until: datetime | None


Decision: TypeAlias = Start | Hold | Skip | Wait


def decide(
    entry: Entry,
    now: datetime,
    last: datetime,
    held: Hold | None = None,
    against: Callable[[], str] = lambda: "",
) -> Decision:
    """What is to be done about a kind of job now.

    Args:
        last: The newest due that was decided, or from when on there is this expression.
        held: What was decided the last time, where that was to hold.
        against: Asked only where a run is due: why it may not begin; empty: it may.
    """
    due = entry.due_by(now)
    if held is not None and held.due > last and due is not None and due > held.due:
        return Skip(held.due, held.reason)
    if due is None or due <= last:
        following = entry.due_after(max(now, last))
        return Wait(None if following is None else entry.begins(following))
    if now < entry.begins(due):
        return Wait(entry.begins(due))
    reason = against() if entry.is_open(now) else f"the window {entry.window} is closed"
    if reason:
        return Hold(due, reason)
    return Start(due, _missed(entry, last, due))


def _missed(entry: Entry, last: datetime, due: datetime) -> int:
    count, at = 0, entry.due_after(last)
    while at is not None and at < due and count < _COUNTED:
        count, at = count + 1, entry.due_after(at)
    return count


def stamp(due: datetime) -> str:
    """A due as part of a name.

    >>> stamp(datetime(2026, 11, 30, 2, tzinfo=UTC))
    '20261130T020000Z'
    """
    return due.astimezone(UTC).strftime(_STAMP)


def parse_stamp(text: str) -> datetime | None:
    """None for anything else."""
    try:
        return datetime.strptime(text, _STAMP).replace(tzinfo=UTC)
    except ValueError:
        return None
