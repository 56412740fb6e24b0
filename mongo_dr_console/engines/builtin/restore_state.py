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
        rejected: Number of a staging collection to the documents that the server did not take.
        unbuilt: Indexes that the server refused: number, namespace, index, why.
        series: The time series to be put in place, once everything was ready.
        series_made: A series that was made, to the UUID of its buckets.
        series_done: Those that are filled, to the buckets that the server did not take.
        logins: What was done with users and roles.
        merge_sessions: Ids (hex) of the sessions in which merge mode has written to live collections.
        merge_made: Collections that merge mode has made.
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
    rejected: dict[int, int] = field(default_factory=dict)
    unbuilt: list[dict[str, Any]] = field(default_factory=list)
    series: list[dict[str, Any]] | None = None
    series_made: dict[str, str] = field(default_factory=dict)
    series_done: dict[str, int] = field(default_factory=dict)
    logins: dict[str, Any] | None = None
    merge_sessions: list[str] = field(default_factory=list)
    merge_made: list[str] = field(default_factory=list)

    def refused(self, number: int) -> frozenset[str]:
        """Names of the indexes of a staging collection that the server refused."""
        return frozenset(str(u["index"]) for u in self.unbuilt if u["number"] == number)

    @classmethod
    def of(cls, checkpoints: Iterable[Checkpoint]) -> RestoreState:
        state = cls()
        for checkpoint in checkpoints:
            state.take(checkpoint)
        return state

    def take(self, checkpoint: Checkpoint) -> None:
        for take in (self._take_staging, self._take_merging):
            if take(checkpoint.kind, checkpoint.facts):
                return
        self._take_placing(checkpoint.kind, checkpoint.facts)

    def _take_staging(self, kind: str, facts: dict[str, Any]) -> bool:
        match kind:
            case "loaded":
                self.loaded[int(facts["number"])] = int(facts["documents"])
                self.rejected[int(facts["number"])] = int(facts.get("rejected", 0))
            case "replay":
                self.confirmed = _position(facts.get("confirmed")) or self.confirmed
                self.sent = _latest(self.sent, _position(facts.get("sending")))
            case "baseline":
                self.baseline = {int(number): int(count) for number, count in facts["documents"].items()}
            case "reset":
                self.loaded, self.baseline, self.confirmed, self.sent = {}, None, None, None
                self.indexed, self.rejected, self.unbuilt = False, {}, []
            case "indexing":
                self.indexed = True
            case "unindexed":
                self.indexed, self.unbuilt = False, []
            case "index-refused":
                self.unbuilt.append(dict(facts))
            case _:
                return False
        return True

    def _take_merging(self, kind: str, facts: dict[str, Any]) -> bool:
        match kind:
            case "merge-session":
                self.merge_sessions.append(str(facts["session"]))
            case "merge-made":
                self.merge_made.append(str(facts["namespace"]))
            case "merge-not-made":
                self.merge_made.remove(str(facts["namespace"]))
            case _:
                return False
        return True

    def _take_placing(self, kind: str, facts: dict[str, Any]) -> None:
        match kind:
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
            case "series":
                self.series = list(facts["series"])
            case "series-made":
                self.series_made[str(facts["namespace"])] = str(facts["buckets"])
            case "series-done":
                self.series_done[str(facts["namespace"])] = int(facts.get("rejected", 0))
            case "logins":
                self.logins = dict(facts)


def _position(text: Any) -> Position | None:
    return Position.parse(text) if text else None


def _latest(a: Position | None, b: Position | None) -> Position | None:
    if a is None or b is None:
        return a or b
    return max(a, b)
