"""The last minutes' lag of every member, as a row on a scale that never moves. Pure.

A scale that follows its values would draw a constant lag of ten hours as if there were none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

from mongo_dr_console.model.reading import Reading
from mongo_dr_console.model.setstatus import SetStatus

KEPT = 60
GAP = "·"
_STEPS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True, slots=True)
class LagRing:
    """The newest values a member, oldest first; None: it was not known then."""

    values: Mapping[str, tuple[float | None, ...]] = field(default_factory=lambda: MappingProxyType({}))
    tried_at: datetime | None = None

    def noted(self, reading: Reading[SetStatus] | None) -> LagRing:
        """With one more reading; the same reading twice counts once. A failed one leaves a gap."""
        if reading is None or reading.tried_at == self.tried_at:
            return self
        status = None if reading.error is not None else reading.value
        now = {} if status is None else {m.name: m.lag_seconds for m in status.members}
        names = list(self.values) if status is None else list(now)
        length = max((len(v) for v in self.values.values()), default=0)
        grown = {name: self._grown(name, length, now.get(name)) for name in names}
        return LagRing(MappingProxyType(grown), reading.tried_at)

    def _grown(self, name: str, length: int, value: float | None) -> tuple[float | None, ...]:
        before = self.values.get(name, (None,) * length)
        return (*before, value)[-KEPT:]


def history(values: tuple[float | None, ...], full: float, width: int) -> str:
    """The newest values as signs, the newest at the right; ``full`` seconds and more are the highest sign.

    >>> history((0.0, 5.0, None, 10.0, 99.0), full=10.0, width=7)
    '  ▁▅·██'
    """
    shown = values[-width:] if width > 0 else ()
    return "".join(_sign(value, full) for value in shown).rjust(width)


def _sign(value: float | None, full: float) -> str:
    if value is None:
        return GAP
    share = 1.0 if full <= 0 else min(1.0, max(0.0, value / full))
    return _STEPS[min(len(_STEPS) - 1, int(share * len(_STEPS)))]
