"""What a resumed restore knows from its journal: a pure fold over the checkpoints."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from mongo_dr_console.model.position import Position
from mongo_dr_console.model.progress import Checkpoint


@dataclass(slots=True)
class RestoreState:
    """How far earlier runs came.

    Args:
        loaded: Number of a staging collection to the documents that were loaded into it, majority-committed.
        confirmed: Everything up to here is applied and majority-committed.
        sent: Some of what lies between ``confirmed`` and here may have been applied.
        baseline: Number to documents at the end of the snapshot's window.
        indexed: Whether index builds have begun, so that going back means dropping them first.
        dropped: Namespaces that in-place mode has dropped.
        placements: The wanted places, once everything was ready.
        drained: Everything up to here was in the staging collections before the newest try at renaming.
        placed: Whether all renames were done and confirmed.
        blocked: Whether user writes may still be blocked by us.
        views: Views that were put in place: name, definition before (Extended JSON or None).
    """

    loaded: dict[int, int] = field(default_factory=dict)
    confirmed: Position | None = None
    sent: Position | None = None
    baseline: dict[int, int] | None = None
    indexed: bool = False
    dropped: list[str] = field(default_factory=list)
    placements: list[dict[str, Any]] | None = None
    drained: Position | None = None
    placed: dict[str, Any] | None = None
    blocked: bool = False
    views: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def of(cls, checkpoints: Iterable[Checkpoint]) -> RestoreState:
        state = cls()
        for checkpoint in checkpoints:
            state.take(checkpoint)
        return state

    def take(self, checkpoint: Checkpoint) -> None:
        facts = checkpoint.facts
        match checkpoint.kind:
            case "loaded":
                self.loaded[int(facts["number"])] = int(facts["documents"])
            case "replay":
                self.confirmed = _position(facts.get("confirmed")) or self.confirmed
                self.sent = _latest(self.sent, _position(facts.get("sending")))
            case "baseline":
                self.baseline = {int(number): int(count) for number, count in facts["documents"].items()}
            case "reset":
                self.loaded, self.baseline, self.confirmed, self.sent = {}, None, None, None
                self.indexed = False
            case "indexing":
                self.indexed = True
            case "unindexed":
                self.indexed = False
            case "dropped":
                self.dropped.append(str(facts["namespace"]))
            case "ready":
                self.placements = list(facts["placements"])
            case "drained":
                self.drained = _position(facts["position"])
            case "placed":
                self.placed = dict(facts)
            case "write-block":
                self.blocked = bool(facts["on"])
            case "view":
                self.views.append(dict(facts))


def _position(text: Any) -> Position | None:
    return Position.parse(text) if text else None


def _latest(a: Position | None, b: Position | None) -> Position | None:
    if a is None or b is None:
        return a or b
    return max(a, b)
