"""What mongodump says, as the progress of a backup. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from mongo_dr_console.engines.mongo_tools.output import (
    Bar,
    CopyingOplog,
    Dumped,
    Dumping,
    OplogCopied,
    Said,
)
from mongo_dr_console.model.namespace import OWN_DATABASE
from mongo_dr_console.model.progress import Progress, StepDone, StepProgress, StepStarted

DATA, OPLOG = "data", "oplog"


@dataclass(slots=True)
class DumpWatch:
    """Adds up what was said.

    Args:
        total: How many documents there are, about.
    """

    total: int
    finished: dict[str, int] = field(default_factory=dict)
    running: dict[str, int] = field(default_factory=dict)
    oplog_entries: int | None = None
    _copying: bool = False

    @property
    def documents(self) -> int:
        counts = (*self.finished.items(), *self.running.items())
        return sum(n for name, n in counts if not _is_ours(name))

    def begin(self) -> Iterator[Progress]:
        yield StepStarted(DATA, self.total, "documents")

    def hear(self, said: Said) -> Iterator[Progress]:
        match said:
            case Dumping(namespace):
                self.running.setdefault(namespace, 0)
                yield self._data(namespace)
            case Bar(_, current, _) if self._copying:
                yield StepProgress(OPLOG, current, None, "operations")
            case Bar(subject, current, _) if subject not in self.finished:
                self.running[subject] = current
                yield self._data(subject)
            case Dumped(namespace, documents):
                self.running.pop(namespace, None)
                self.finished[namespace] = documents
                yield self._data(namespace)
            case CopyingOplog():
                self._copying = True
                collections = sum(not _is_ours(name) for name in self.finished)
                facts = {"documents": self.documents, "collections": collections}
                yield StepDone(DATA, facts=facts)
                yield StepStarted(OPLOG, unit="operations")
            case OplogCopied(entries):
                self.oplog_entries = entries
                yield StepProgress(OPLOG, entries, entries, "operations")
                yield StepDone(OPLOG, facts={"operations": entries})
            case _:
                return

    def _data(self, namespace: str) -> StepProgress:
        done = self.documents
        return StepProgress(DATA, done, max(self.total, done), "documents", detail=namespace)


def _is_ours(namespace: str) -> bool:
    """Whether it will be taken out of the dump again."""
    return namespace.startswith(f"{OWN_DATABASE}.")
