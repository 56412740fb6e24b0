"""What becomes of the runs of a schedule, as their documents tell. Pure.

Each attempt at a run has up to three documents, none of which is ever changed: that it was *decided*, by a
leader; that it *began*, written by the job itself or by the leader that gives it up, whoever comes first; and
how it *ended*. So no run is done twice, though a leader dies between deciding and starting.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from mongo_dr_console.model.schedule import Kind

RunState = Literal["skipped", "starting", "running", "done", "partial", "failed", "stopped", "lost"]
OPEN: tuple[RunState, ...] = ("starting", "running")
SILENT_SECONDS = 90.0
"""A run of which nobody heard for so long is lost."""
ATTEMPTS = 3
AGAIN: tuple[Kind, ...] = ("backup",)
"""Kinds that are run anew at once where a run was lost: the others can wait until they are due again."""


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


class Decided(_Document):
    """A leader decided that a run is to begin, or is skipped.

    Args:
        reason: Why it is skipped.
        missed: How many were due before it, and were not run.
        fence: Of the leader.
    """

    schema_name: Literal["mdr.run-decided.1"] = Field(default="mdr.run-decided.1", alias="schema")
    decision: Literal["start", "skipped"]
    reason: str = ""
    missed: int = 0
    fence: int
    profile: str
    host: str
    at: datetime


class Began(_Document):
    """The job is at work.

    Args:
        job: Its id; empty: a leader gave the run up before any job began it.
        mark: Of its process, see ``stores.owner``.
    """

    schema_name: Literal["mdr.run-began.1"] = Field(default="mdr.run-began.1", alias="schema")
    job: str
    host: str
    at: datetime
    mark: dict[str, Any] = Field(default_factory=dict)


class Ended(_Document):
    """How it ended.

    Args:
        error: Why it is not done, in words.
    """

    schema_name: Literal["mdr.run-ended.1"] = Field(default="mdr.run-ended.1", alias="schema")
    state: Literal["done", "partial", "failed", "stopped", "lost"]
    error: str = ""
    at: datetime


@dataclass(frozen=True, slots=True)
class Run:
    """One attempt at a run.

    Args:
        sign: When its job was last heard of, by the store's clock; None: never.
    """

    kind: Kind
    due: datetime
    attempt: int
    decided: Decided
    began: Began | None = None
    ended: Ended | None = None
    sign: datetime | None = None

    @property
    def state(self) -> RunState:
        if self.decided.decision == "skipped":
            return "skipped"
        if self.ended is not None:
            return self.ended.state
        if self.began is None:
            return "starting"
        # Given up, and the leader that did died before it could say so.
        return "running" if self.began.job else "lost"

    @property
    def reason(self) -> str:
        """Why it was skipped or is not done."""
        return self.decided.reason or ("" if self.ended is None else self.ended.error)

    @property
    def is_again(self) -> bool:
        """Whether it is to be run anew at once."""
        return self.state == "lost" and self.kind in AGAIN and self.attempt < ATTEMPTS
