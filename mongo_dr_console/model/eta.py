"""How long a step will still take, as a range: by its pace since it began, and by its pace of late."""

from __future__ import annotations

from collections import deque
from datetime import datetime

from mongo_dr_console.model.jobview import StepView
from mongo_dr_console.model.journal import Line
from mongo_dr_console.model.progress import StepProgress, StepStarted
from mongo_dr_console.model.progresstext import seconds_text

LATE_SECONDS = 30.0
"""What counts as of late."""
_SAME = 0.15
"""Two ends that lie closer together than this are one number to a person."""


class Pace:
    """What was journalled of each step's progress of late."""

    def __init__(self) -> None:
        self._seen: dict[str, deque[tuple[datetime, int]]] = {}

    def feed(self, line: Line) -> None:
        event = line.event
        if isinstance(event, StepStarted):
            self._seen[event.step] = deque()
        elif isinstance(event, StepProgress):
            seen = self._seen.setdefault(event.step, deque())
            seen.append((line.at, event.done))
            while (line.at - seen[0][0]).total_seconds() > LATE_SECONDS:
                seen.popleft()

    def rate(self, step: str) -> float | None:
        """Units a second of late; None where there is nothing to measure."""
        seen = self._seen.get(step)
        if not seen:
            return None
        (begun, before), (now, done) = seen[0], seen[-1]
        seconds = (now - begun).total_seconds()
        return (done - before) / seconds if seconds > 0 and done > before else None

    def left(self, step: StepView) -> tuple[float, float] | None:
        """The least and the most seconds that the step will still take; None where nobody can say."""
        if step.state != "running" or not step.total:
            return None
        rates = [rate for rate in (step.rate, self.rate(step.step)) if rate]
        if not rates:
            return None
        rest = max(0, step.total - step.done)
        return rest / max(rates), rest / min(rates)


def left_text(left: tuple[float, float]) -> str:
    """
    >>> left_text((100, 200)), left_text((2.0, 2.1)), left_text((60, 62))
    ('1 min 40 s to 3 min 20 s left', '2.1 s left', '1 min 2 s left')
    """
    low, high = left
    if high - low <= max(1.0, high * _SAME):
        return f"{seconds_text(high)} left"
    return f"{seconds_text(low)} to {seconds_text(high)} left"
