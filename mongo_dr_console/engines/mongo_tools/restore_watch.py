"""What mongorestore says, as the progress of a restore, and what it comes to in the end. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from mongo_dr_console.engines.mongo_tools.output import (
    Bar,
    Indexing,
    KeptExisting,
    Loaded,
    Loading,
    PassedOver,
    Replayed,
    Replaying,
    Said,
    Totals,
    WentOn,
)
from mongo_dr_console.model.namespace import BUCKETS
from mongo_dr_console.model.progress import Note, Progress, StepDone, StepProgress, StepStarted

LOAD, REPLAY, INDEX = "load", "replay", "index"

_REFUSALS_TOLD = 20


@dataclass(slots=True)
class RestoreWatch:
    """Adds up what was said.

    Args:
        sizes: Stored bytes of each collection's data.
        entries: How many oplog entries there are to go through, about.
    """

    sizes: Mapping[str, int]
    entries: int
    loaded: dict[str, Loaded] = field(default_factory=dict)
    running: dict[str, int] = field(default_factory=dict)
    passed_over: list[str] = field(default_factory=list)
    existing: list[str] = field(default_factory=list)
    totals: Totals | None = None
    replayed: int | None = None
    _indexing: list[str] = field(default_factory=list)
    _refused: int = 0
    _replaying: bool = False

    @property
    def total(self) -> int:
        return sum(self.sizes.values())

    @property
    def failures(self) -> dict[str, int]:
        """Documents that the server refused, by namespace."""
        return {name: said.failures for name, said in self.loaded.items() if said.failures}

    def begin(self) -> Iterator[Progress]:
        yield StepStarted(LOAD, self.total, "bytes")

    def hear(self, said: Said) -> Iterator[Progress]:  # noqa: PLR0912
        self.totals = None
        match said:
            case Loading(namespace):
                self.running.setdefault(namespace, 0)
                yield self._load(namespace)
            case Bar(subject, current, _) if self._replaying:
                yield StepProgress(REPLAY, 0, self.entries, "operations", current)
            case Bar(subject, current, _) if subject in self.running:
                self.running[subject] = min(current, self.sizes.get(subject, current))
                yield self._load(subject)
            case Loaded(namespace, _, _):
                self.loaded[namespace] = said
                self._finish(namespace)
                yield self._load(namespace)
            case Replaying():
                self._replaying = True
                facts = {"documents": sum(s.documents for s in self.loaded.values())}
                yield StepDone(LOAD, facts=facts)
                yield StepStarted(REPLAY, self.entries, "operations")
            case Replayed(entries):
                self._replaying = False
                self.replayed = entries
                yield StepDone(REPLAY, f"{entries} entries applied", {"operations": entries})
                yield StepStarted(INDEX, unit="collections")
            case Indexing(namespace):
                self._indexing.append(namespace)
                yield StepProgress(INDEX, len(self._indexing), None, "collections", detail=namespace)
            case WentOn(error):
                self._refused += 1
                if self._refused <= _REFUSALS_TOLD:
                    yield Note(f"a document was refused: {error}", "warning")
            case PassedOver(path) if not path.rpartition("/")[2].startswith("prelude.json"):
                self.passed_over.append(path)
            case KeptExisting(namespace):
                self.existing.append(namespace)
            case Totals():
                self.totals = said
            case _:
                return

    def _finish(self, namespace: str) -> None:
        """A time series is loaded by the name of its buckets and finished by its own."""
        database, _, name = namespace.partition(".")
        for known in (namespace, f"{database}.{BUCKETS}{name}"):
            if known in self.sizes:
                self.running[known] = self.sizes[known]

    def _load(self, namespace: str) -> StepProgress:
        done = min(sum(self.running.values()), self.total)
        return StepProgress(LOAD, done, self.total, "bytes", detail=namespace)

    def shortcomings(self, documents: int | None) -> list[str]:
        """Why a run that ended with 0 was no whole restore all the same; empty where it was one.

        Args:
            documents: How many there are in the base, None where that is not known.
        """
        if self.totals is None:
            return ["it ended without its last line"]
        found = []
        if self.passed_over:
            count = len(self.passed_over)
            shown = ", ".join(self.passed_over[:3])
            found.append(f"it passed over {count} file{'' if count == 1 else 's'} ({shown})")
        if self.existing:
            shown = ", ".join(self.existing[:3])
            found.append(f"it wrote into {shown}, which had been made meanwhile")
        missing = sorted(
            name
            for name in self.sizes
            if name not in self.loaded and name.replace(f".{BUCKETS}", ".", 1) not in self.loaded
        )
        if missing:
            found.append(f"it did not restore {', '.join(missing[:3])}")
        counted = self.totals.restored + self.totals.failed
        if documents is not None and counted != documents:
            found.append(f"it restored {counted:,} of {documents:,} documents")
        if self.replayed is None:
            found.append("it did not say that it replayed the oplog")
        return found
