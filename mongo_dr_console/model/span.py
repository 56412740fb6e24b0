"""Which stretch of time a range strip shows: from minutes to thirty days, moved along by halves. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

_MINUTES = (10, 30, 60, 180, 360, 720, 1440, 3 * 1440, 7 * 1440, 14 * 1440, 30 * 1440)
SPANS: tuple[timedelta, ...] = tuple(timedelta(minutes=m) for m in _MINUTES)
"""From the shortest to the longest."""
FURTHEST = SPANS[-1]
"""Nothing before that is shown."""


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of time.

    Args:
        size: Which of ``SPANS``.
        end: Where it ends; None: now, and it moves along.
    """

    size: int
    end: datetime | None = None

    @property
    def span(self) -> timedelta:
        return SPANS[self.size]

    def bounds(self, now: datetime) -> tuple[datetime, datetime]:
        """From when to when."""
        end = now if self.end is None else min(self.end, now)
        return end - self.span, end

    def zoomed(self, by: int, now: datetime, about: datetime | None = None) -> Window:
        """Shorter (below 0) or longer by so many steps.

        Args:
            about: What stays in the middle as far as that goes; None: what is there now, and now at the end.
        """
        size = max(0, min(len(SPANS) - 1, self.size + by))
        start, end = self.bounds(now)
        if about is None and self.end is None:
            return Window(size)
        middle = start + (end - start) / 2 if about is None else about
        return _held(Window(size, middle + SPANS[size] / 2), now)

    def moved(self, halves: int, now: datetime) -> Window:
        """Earlier (below 0) or later by halves of its length; not before thirty days ago, nor beyond now."""
        _, end = self.bounds(now)
        return _held(replace(self, end=end + halves * self.span / 2), now)


def _held(window: Window, now: datetime) -> Window:
    assert window.end is not None
    end = max(window.end, now - FURTHEST + window.span)
    return replace(window, end=None if end >= now else end)


def nearest(span: timedelta) -> Window:
    """The shortest one that shows all of it, up to now."""
    return Window(next((n for n, known in enumerate(SPANS) if known >= span), len(SPANS) - 1))
