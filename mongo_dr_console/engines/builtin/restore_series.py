"""Time series take their place: they cannot be renamed, so they are made and filled."""

from __future__ import annotations

import time
from contextlib import nullcontext
from dataclasses import dataclass

from pymongo.errors import ExecutionTimeout

from mongo_dr_console.engines.builtin import cutover, series
from mongo_dr_console.engines.builtin.restore_build import Building
from mongo_dr_console.engines.builtin.series import SeriesPlace
from mongo_dr_console.model.progress import Checkpoint, Note, StepDone, StepProgress, StepStarted
from mongo_dr_console.model.trouble import Failed

_CAUGHT_UP_OPERATIONS = 500
_SERIES_TRIES = 100


@dataclass(slots=True)
class FillingSeries(Building):
    """Brings the staging collections up to date, and time series into place."""

    def _place_series(self) -> None:
        """Makes the time series and fills them; a resumed job goes on with those that are not full yet."""
        if self.state.series is None:
            facts = [place.as_facts() for place in self._series_places()]
            if not facts:
                return
            self._note(Checkpoint("series", {"series": facts}))
        places = [SeriesPlace.from_facts(f) for f in self.state.series or []]
        total = sum(self.client[p.database][p.staging].count_documents({}) for p in places)
        self.report(StepStarted("time-series", total, "documents"))
        done = 0
        for place in places:
            if place.namespace not in self.state.series_done:
                done = self._fill_series(place, done, total)
        self.report(StepDone("time-series", f"{len(places)} time series in place"))

    def _fill_series(self, place: SeriesPlace, done: int, total: int) -> int:
        confirmation = self._confirmation()
        made = self._make_series(place)
        self._note(Checkpoint("series-made", {"namespace": place.namespace, "buckets": made}))
        name, rejects = place.namespace, self.request.rejects
        refused = rejects.counts[name]

        def guard(weight: int) -> None:
            self.guard()
            self._keep_close(weight)

        for count, _ in series.fill(self.client, place, self._refusing(name), guard):
            done += count
            self.report(StepProgress("time-series", done, total, "documents", detail=name))
        refused = rejects.counts[name] - refused
        short = series.missing(self.client, place) - refused
        if short > 0:
            raise Failed(
                "verification",
                f"{short} buckets of the time series {name} are missing from it. They are in "
                f"{place.database}.{place.staging}.",
                "To try again: mdr jobs resume",
            )
        for index, why in series.complete(self.client, place):
            facts = {"number": 0, "namespace": name, "index": index, "why": why}
            self._note(Checkpoint("index-refused", facts))
        confirmation.confirm()
        self._note(Checkpoint("series-done", {"namespace": name, "rejected": refused}))
        return done

    def _make_series(self, place: SeriesPlace) -> str:
        block = cutover.can_block_writes(self.client) and place.outgoing is not None
        for attempt in range(_SERIES_TRIES):
            try:
                return series.make(
                    self.client,
                    place,
                    self.request.job,
                    self.state.series_made.get(place.namespace),
                    block=lambda: cutover.write_block(self.client, self._note) if block else nullcontext(),
                    drain=self._drain,
                    note=lambda text: self.report(Note(text, "warning")),
                )
            except (cutover.NotDrained, ExecutionTimeout) as error:
                self._waiting(f"time series {place.namespace} is tried again: {error}")
                time.sleep(min(0.05 * (attempt + 1), 1))
        raise Failed(
            "cut-over-stuck",
            f"The time series {place.namespace} could not be made: a transaction stays open on it, or the "
            "oplog cannot be followed. What was restored lies ready beside it.",
            "Stop its readers and writers for a moment, then: mdr jobs resume",
        )

    def _series_places(self) -> list[SeriesPlace]:
        live = {n.source: n.live_uuid for n in self.request.plan.namespaces}
        return [
            SeriesPlace.of(self._targets[namespace], staged, live.get(str(namespace)))
            for namespace, staged in self._series().items()
        ]

    def _drain(self) -> None:
        """The last writes, with user writes blocked where that can be had."""
        if self.request.follower is None:
            return
        try:
            self._wait_for_now(seconds=3)
        except Failed as error:
            raise cutover.NotDrained(str(error)) from None
        self.run.advance(self._later_entries(), confirm=False)
        self._note(Checkpoint("drained", {"position": str(self.run.position)}))

    def _catch_up(self) -> None:
        """Brings the staging collections close to now, and their indexes with them."""
        if self.request.follower is None:
            return
        while True:
            before = self.run.operations
            self._wait_for_now()
            self.run.advance(self._later_entries())
            if self.run.operations - before < _CAUGHT_UP_OPERATIONS:
                break
        for namespace, staged in self._ready(self._placed()).items():
            self._build(namespace, staged, lambda spec: True)
