"""Where a planned replay stops, as plans and results of jobs say it."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from mongo_dr_console.model.position import Bound, Limit, Position


class PlanLimit(BaseModel):
    """Where replay stops.

    Args:
        position: The limit itself.
        bound: Whether the entry at the position is left out (before) or applied (through).
        follow: Replay goes on to the writes made up to the cut-over itself; the position is what was
            newest when planned.
    """

    model_config = ConfigDict(frozen=True)

    position: Position
    bound: Bound
    follow: bool = False

    @property
    def limit(self) -> Limit:
        return Limit(self.position, self.bound)
