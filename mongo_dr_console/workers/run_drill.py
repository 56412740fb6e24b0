"""The work of a drill: makes data, takes a snapshot, goes on writing, loses it, brings it back, compares.

All in a database of its own. RTO is measured from the drop to the end of the comparison, RPO by a series of
writes whose every one is known. The parts are those of an ordinary backup and an ordinary restore.
"""

from __future__ import annotations

import shutil
import time
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime

from mongo_dr_console.model.drill import DrillRecord
from mongo_dr_console.model.drilldata import DATABASE, NAMESPACE, compare, index_problems
from mongo_dr_console.model.identity import Identity
from mongo_dr_console.model.manifest import Manifest
from mongo_dr_console.model.plan import Intent
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.progress import Checkpoint, Note, Progress, StepDone, StepStarted
from mongo_dr_console.model.trouble import Failed, Trouble
from mongo_dr_console.mongo.client import Client, connect
from mongo_dr_console.mongo.identity import read_identity
from mongo_dr_console.mongo.locks import DeploymentLock
from mongo_dr_console.stores import ledger
from mongo_dr_console.stores.open import choose_stores, open_answering
from mongo_dr_console.stores.store import Store
from mongo_dr_console.workers import drill_data, drill_place
from mongo_dr_console.workers.context import JobContext, JobOutcome
from mongo_dr_console.workers.drill_data import Series, State
from mongo_dr_console.workers.drill_steps import Drill
from mongo_dr_console.workers.full_drill import FullDrill
from mongo_dr_console.workers.jobs import PLAN, write_once
from mongo_dr_console.workers.kept import kept_oplog
from mongo_dr_console.workers.plan_sources import Deployments
from mongo_dr_console.workers.planning import make_plan
from mongo_dr_console.workers.run_backup import NAMED, take_snapshot
from mongo_dr_console.workers.run_restore import owner_of, restore_under, what_is_missing

_LOOK_SECONDS = 0.5
_STREAM_SECONDS = 120.0
"""How long the stream is waited for, beyond the time that a segment stays open."""


def run(context: JobContext) -> JobOutcome:
    """Request: ``store`` (None for the nearest one, or whichever has the newest snapshot), ``full``. Run
    again it cleans up, and drills from the start.

    A drill that failed has a record like any other, and fails the job.

    Raises:
        Refused: The database is not a drill's; another job has the deployment.
        Interrupted: Stopped; nothing is left.
    """
    wanted = context.request.get("store")
    store = next(iter(choose_stores(context.profile, [wanted] if wanted else None).values()))
    with closing(connect(context.profile.connection_uri())) as client:
        identity = read_identity(client, context.profile.environment)
        if context.request.get("full"):
            return _ended(context, FullDrill(context, client, identity, store.name).run())
        drill_place.require_own(client)
        lock = drill_place.take_lock(client, context.job, owner_of(context), context.stop)
        with lock:
            record = SmallDrill(context, client, identity, store, lock).run()
    return _ended(context, record)


def _ended(context: JobContext, record: DrillRecord) -> JobOutcome:
    _write_ledger(context, record)
    return JobOutcome(record.model_dump(mode="json", by_alias=True), failed=_failure(record))


def _failure(record: DrillRecord) -> Failed | None:
    if record.success:
        return None
    rest = f" (and {len(record.problems) - 1} more)" if len(record.problems) > 1 else ""
    first = record.problems[0].rstrip(".")
    return Failed(
        "drill-failed",
        f"The drill failed: {first}{rest}. Only the drill's own data is concerned; a real "
        "recovery could fail the same way.",
        f"See: mdr jobs show {record.job}; then drill again: mdr drill run",
    )


class SmallDrill(Drill):
    """Test data in a database of its own.

    Args:
        store: Where its snapshot goes.
        lock: Of the deployment, held.
    """

    kind, no_stream = "small", "live"

    def __init__(
        self, context: JobContext, client: Client, identity: Identity, store: Store, lock: DeploymentLock
    ) -> None:
        context = replace(context, report=lock.following(context.report))
        super().__init__(context, client, identity, store.name)
        self.store, self.lock = store, lock
        self.marked = False

    def remove(self) -> None:
        """What cannot be removed stays marked: the next drill removes it."""
        shutil.rmtree(self.context.folder / self.context.job, ignore_errors=True)
        ours = drill_place.read_mark(self.client)
        drill_place.clean(self.client, self.context.profile, self.report)
        if ours is not None and not self.marked:
            self.report(Note("what an earlier drill had left was removed", "warning"))

    def rehearse(self) -> None:
        self.marked = True
        drill_place.mark(self.client, self.context.job)
        with self.step("test-data"):
            drill_data.make(self.client)
        with self.step("snapshot"):
            manifest = take_snapshot(self._part(), self.store)
            self.facts["snapshot"] = manifest.name
        with self.step("writes"):
            since = datetime.now(UTC)
            series = drill_data.write_series(self.client, self.context.stop)
            state = drill_data.read(self.client)
            self.problems += compare(series.expected, state.documents, [], since).problems
        if manifest.window is None:
            raise Failed("drill-failed", "The snapshot has no window of oplog.")
        with self.step("wait-for-oplog"):
            self._wait_for_stream(manifest.window.end, series.last)
        dropped = time.monotonic()
        with self.step("drop"):
            self.lock.check()
            drop = drill_data.drop(self.client, state)
        with self.step("restore"):
            self._restore(manifest, series.last, drop)
        with self.step("compare"):
            self._compare(series, state, since)
        self.facts["rto_seconds"] = round(time.monotonic() - dropped, 3)

    def _part(self) -> JobContext:
        """The context of the backup and the restore within: what they journal for a resume of their own is
        kept apart, since a drill that is resumed starts over."""
        folder = self.context.folder / self.context.job
        if not folder.exists():
            folder.mkdir(mode=0o700)
            write_once(folder / PLAN, (self.context.folder / PLAN).read_bytes())

        def report(event: Progress) -> None:
            if isinstance(event, Checkpoint):
                if event.kind == NAMED:
                    name = str(event.facts["name"])
                    drill_place.mark_snapshot(self.client, str(event.facts["store"]), name)
                return
            self.report(event)

        request = {"databases": [DATABASE], "engine": "builtin", "compression": "gzip"}
        return replace(self.context, folder=folder, request=request, report=report, checkpoints=(), attempt=1)

    def _wait_for_stream(self, base: Position, through: Position) -> None:
        """Until what is kept outside the deployment goes on from the snapshot to the last write.

        Raises:
            Failed: ``drill-stream-gap``; ``drill-stream-late``.
        """
        if not self.streamed:
            self.report(Note("no stream is set up: the oplog comes from the deployment itself", "warning"))
            return
        segments = self.context.profile.oplog.segments
        deadline = time.monotonic() + _STREAM_SECONDS + (segments.seconds if segments is not None else 0)
        while True:
            kept = kept_oplog(self.context.profile, None, self.identity)
            reach = kept.reaches(base, through)
            if reach >= through:
                return
            if kept.latest is not None and kept.latest >= through:
                raise Failed(
                    "drill-stream-gap",
                    f"The stream has a gap after {reach}: entries of the drill are lost in it."
                    f"{kept.missing()}",
                )
            if time.monotonic() > deadline:
                raise Failed(
                    "drill-stream-late",
                    f"The stream came to {reach} and not to the drill's last write, {through}."
                    f"{kept.missing()}",
                    "See whether the agent runs: mdr status",
                )
            self.context.stop.check()
            time.sleep(_LOOK_SECONDS)

    def _restore(self, manifest: Manifest, last: Position, drop: Position) -> None:
        """As ``mdr restore run`` does it; where there is a stream, from the stream alone."""
        profile, name = self.context.profile, self.context.profile_name
        source, why = (None, self.no_deployment()) if self.streamed else (self.client, None)
        deployments = Deployments(
            source, self.identity, why, self.client, self.identity, name, profile, profile
        )
        limit = {"through": str(last)} if self.streamed else {"before": str(drop)}
        intent = Intent(
            snapshot=manifest.name, store=self.store.name, namespaces=(NAMESPACE,), engine="builtin", **limit
        )
        plan = make_plan(name, profile, intent, deployments)
        part = self._part()
        result = restore_under(self.lock, part, plan, deployments)
        missing = what_is_missing(part, result)
        if missing is not None:
            self.problems.append(missing)

    def _compare(self, series: Series, before: State, since: datetime) -> None:
        after = drill_data.read(self.client)
        found = compare(series.expected, after.documents, series.written, since)
        self.problems += found.problems
        self.problems += index_problems(before.indexes, after.indexes)
        if before.options != after.options:
            self.problems.append("the collection's options are not as before")
        self.facts |= {
            "rpo_seconds": found.rpo,
            "lost_writes": found.lost,
            "writes": len(series.written),
            "documents": len(series.expected),
            "indexes": len(before.indexes),
        }


def _write_ledger(context: JobContext, record: DrillRecord) -> None:
    """Into every store that answers: the history must outlive a store."""
    context.report(StepStarted("ledger"))
    stores, troubles = open_answering(context.profile)
    document = record.model_dump(mode="json", by_alias=True) | {"schema": "mdr.drill-record"}
    for name, store in stores.items():
        try:
            ledger.append(store, "drills", document)
        except (Trouble, OSError) as error:
            context.report(Note(f"the record could not be written to {name}: {error}", "warning"))
    for name, trouble in troubles.items():
        context.report(Note(f"the record could not be written to {name}: {trouble}", "warning"))
    context.report(StepDone("ledger"))
