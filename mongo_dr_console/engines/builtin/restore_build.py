"""Indexes of what was restored, and its comparison with snapshot and oplog."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from bson.raw_bson import RawBSONDocument

from mongo_dr_console.engines.builtin import indexes
from mongo_dr_console.engines.builtin.rejects import SHOWN
from mongo_dr_console.engines.builtin.restore_load import Loading
from mongo_dr_console.engines.builtin.verify import problems_of
from mongo_dr_console.model.namespace import Namespace
from mongo_dr_console.model.progress import Checkpoint, Note, StepDone, StepProgress, StepStarted
from mongo_dr_console.model.timeline import Staged
from mongo_dr_console.model.trouble import Failed

BUILDERS = 2
"""Commands that build indexes at a time; the server takes three by itself and lets more of them wait."""
LARGE = 100_000
"""Documents of a collection whose indexes are built by several commands."""

Wanted: TypeAlias = Callable[[RawBSONDocument], bool]


@dataclass(slots=True)
class Building(Loading):
    """Builds indexes and verifies."""

    def _index(self, placed: dict[Namespace, Staged]) -> None:
        total = sum(not indexes.is_ttl(s) for p in placed.values() for s in p.indexes.values())
        self._note(Checkpoint("indexing"))
        self.report(StepStarted("indexes", total, "indexes"))
        built = 0
        with ThreadPoolExecutor(BUILDERS, thread_name_prefix="index") as pool:
            tasks = {pool.submit(self._build, *task): task[0] for task in self._tasks(placed)}
            try:
                for task in as_completed(tasks):
                    built += task.result()
                    self.guard()
                    detail = str(tasks[task])
                    self.report(StepProgress("indexes", built, total, "indexes", detail=detail))
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise
        self.run.confirmation.confirm()
        self.report(StepDone("indexes", f"{built} indexes"))

    def _tasks(self, placed: dict[Namespace, Staged]) -> Iterator[tuple[Namespace, Staged, Wanted]]:
        """Which indexes one command builds: those of a collection, but of a large one every second, since
        the server has one thread for each command. The largest first."""

        def size(staged: Staged) -> int:
            return self.state.loaded.get(staged.number, 0)

        for namespace, staged in sorted(self._ready(placed).items(), key=lambda p: -size(p[1])):
            names = [name for name, spec in staged.indexes.items() if not indexes.is_ttl(spec)]
            parts = BUILDERS if size(staged) >= LARGE else 1
            for part in (frozenset(names[n::parts]) for n in range(parts)):
                if part:
                    yield namespace, staged, partial(_is_named, part)

    def _verify(self, placed: dict[Namespace, Staged]) -> None:
        """Documents, options and indexes against what snapshot and oplog say."""
        self.report(StepStarted("verify", len(placed), "collections"))
        found: list[str] = []
        ready = {**self._ready(placed), **self._series()}
        for done, (namespace, staged) in enumerate(ready.items(), start=1):
            self.guard()
            expected = None if self._is_short(staged) else self.run.expected(staged)
            problems, conflict = problems_of(
                self.client,
                staged,
                expected,
                lenient=self.run.is_lenient(staged),
                without=self.state.refused(staged.number),
            )
            found += [f"{namespace}: {problem}" for problem in problems]
            if conflict is not None:
                self.run.timeline.conflict_at(self.run.position, namespace, conflict)
            self.report(StepProgress("verify", done, len(ready), "collections", detail=str(namespace)))
        if found:
            raise Failed(
                "verification",
                f"What was restored is not what snapshot and oplog say: {'; '.join(found[:5])}. "
                "Nothing live was replaced.",
                "Keep the job's folder and report this; another base snapshot may help.",
            )
        agree = "1 collection agrees" if len(ready) == 1 else f"{len(ready)} collections agree"
        self.report(StepDone("verify", f"{agree} with snapshot and oplog"))

    def _index_ttl(self, placed: dict[Namespace, Staged]) -> None:
        ready = self._ready(placed)
        total = sum(indexes.is_ttl(spec) for staged in ready.values() for spec in staged.indexes.values())
        if total:
            self.report(StepStarted("ttl-indexes", total, "indexes"))
        built = sum(self._build(n, staged, indexes.is_ttl) for n, staged in ready.items())
        self.run.confirmation.confirm()
        if total:
            what = f"{built} TTL index{'' if built == 1 else 'es'}"
            self.report(StepDone("ttl-indexes", f"{what}, built last"))

    def _build(self, namespace: Namespace, staged: Staged, wanted: Wanted) -> int:
        """Builds indexes; one that the server refuses is told, and kept in mind."""
        before = self.state.refused(staged.number)
        built, refused = indexes.build(
            self.client, staged, lambda spec: wanted(spec) and spec["name"] not in before
        )
        for unbuilt in refused:
            facts = {"number": staged.number, "namespace": str(namespace), "index": unbuilt.name}
            self._note(Checkpoint("index-refused", {**facts, "why": unbuilt.why}))
            self.report(Note(f"index {unbuilt.name} of {namespace} is not built: {unbuilt.why}", "warning"))
            self._stop_on_error(f"index {unbuilt.name} of {namespace} is not built: {unbuilt.why}")
            if unbuilt.duplicates:
                why = f"in the way of the unique index {unbuilt.name}"
                for document in indexes.duplicates(self.client, staged, unbuilt.spec, SHOWN):
                    self.request.rejects.add(str(namespace), why, bytes(document.raw), kept=True)
        return built


def _is_named(names: frozenset[str], spec: RawBSONDocument) -> bool:
    return spec["name"] in names
