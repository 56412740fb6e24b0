"""The work of a restore job: check the plan again, lock, save the oplog, restore, report."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

from mongo_dr_console.config import Profile, load_config
from mongo_dr_console.engines.builtin.restore import BuiltinRestore, RestoreRequest
from mongo_dr_console.engines.builtin.snapshot import StoredSnapshot
from mongo_dr_console.model import rawbson
from mongo_dr_console.model.catalogue import utc
from mongo_dr_console.model.journal import checkpoints
from mongo_dr_console.model.plan import Plan
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.progress import Checkpoint, Note, StepDone, StepStarted
from mongo_dr_console.model.trouble import Failed, Refused, Trouble, Unreachable
from mongo_dr_console.mongo.locks import DeploymentLock
from mongo_dr_console.stores import ledger
from mongo_dr_console.stores.open import open_store
from mongo_dr_console.stores.snapshot_reader import open_snapshot
from mongo_dr_console.stream.follow import Follower, continue_from
from mongo_dr_console.stream.saved import SavedRange, SavedRangeWriter, recover, save_range
from mongo_dr_console.workers.context import JobContext, JobOutcome
from mongo_dr_console.workers.jobs import JobFolder, read_lines, read_plan
from mongo_dr_console.workers.plan_sources import Deployments, open_deployments
from mongo_dr_console.workers.planning import make_plan
from mongo_dr_console.workers.safety import safety_snapshot


def run(context: JobContext) -> JobOutcome:
    """Restores as planned.

    Raises:
        Refused: The plan is not what it was, or another job has the deployment.
        Failed, Unreachable, Interrupted: Not finished; what it means is said, and whether it can go on.
    """
    plan = Plan.model_validate(context.request["plan"])
    deployments = open_deployments(context.profile_name, context.profile, _other(context, plan))
    started = datetime.now(UTC)
    kinds = {c.kind for c in context.checkpoints}
    if "begun" not in kinds:
        check_unchanged(context.profile_name, context.profile, plan, deployments)
    elif not deployments.target_identity.same_deployment(plan.identity):
        raise Refused(
            "other-deployment",
            f"This is {deployments.target_identity}, the plan is for {plan.identity}. Nothing was changed.",
            "Correct the profile.",
        )
    lock = DeploymentLock(deployments.target, context.job, "restore", owner_of(context))
    lock.acquire()
    try:
        result = _locked(context, plan, deployments, lock)
    except Trouble as trouble:
        _leave_or_release(lock, context, trouble)
        raise
    except BaseException:
        lock.leave()
        raise
    lock.release()
    _write_ledger(context, plan, result, started)
    return JobOutcome(result)


def owner_of(context: JobContext) -> str:
    """``user@host`` of whoever asked for the job."""
    return read_plan(JobFolder(context.folder)).owner or f"unknown@{socket.gethostname()}"


def check_unchanged(name: str, profile: Profile, plan: Plan, deployments: Deployments) -> None:
    """Makes the plan again and compares: identity, the base's checksums, limit, events, live collections.

    Raises:
        Refused: ``plan-changed``, with what is different.
    """
    fresh = make_plan(name, profile, plan.intent, deployments)
    if fresh.hash == plan.hash and fresh.confirm == plan.confirm and _work_of(fresh) == _work_of(plan):
        return
    raise Refused(
        "plan-changed",
        f"The plan is not valid any more: {'; '.join(differences(plan, fresh)) or 'it was edited'}. "
        "Nothing was changed.",
        "Make a new one: mdr restore plan",
    )


def _work_of(plan: Plan) -> dict[str, Any]:
    """All that a job takes from a plan. The hash alone would not do: it stands in the same file, so a
    plan that was edited still has it."""
    moving = {"limit": {"position"}} if plan.limit.follow else {}
    work = plan.model_dump(
        mode="json",
        include={"identity", "source_identity", "snapshot", "limit", "scope", "tracked", "intent"},
        exclude={"snapshot": {"documents", "bytes"}, **moving},
    )
    work["skipped"] = [[e.id, e.selector.model_dump(mode="json")] for e in plan.skipped]
    work["namespaces"] = sorted(
        [n.source, n.target, n.kind, n.mode, n.live_uuid or ""] for n in plan.namespaces
    )
    return work


def differences(old: Plan, new: Plan) -> list[str]:
    """What changed between two plans of one intent, in words."""
    found = []
    if old.identity != new.identity:
        found.append(f"the deployment is {new.identity} instead of {old.identity}")
    if old.snapshot.checksum != new.snapshot.checksum:
        found.append(f"snapshot {new.snapshot.name} is not the one that was planned with")
    if old.limit != new.limit and not new.limit.follow:
        found.append(f"the limit is {new.limit.limit} instead of {old.limit.limit}")
    if {e.id for e in old.skipped} != {e.id for e in new.skipped}:
        found.append("the skipped events differ")
    before = {n.target: n for n in old.namespaces}
    after = {n.target: n for n in new.namespaces}
    for target in sorted(before.keys() ^ after.keys()):
        found.append(f"{target} is {'in' if target in after else 'not in'} the new plan")
    for target in sorted(before.keys() & after.keys()):
        if before[target].live_uuid != after[target].live_uuid:
            found.append(f"the live {target} is another collection than before")
        if before[target].mode != after[target].mode or before[target].source != after[target].source:
            found.append(f"{target} is restored another way")
    if old.scope != new.scope:
        found.append(f"the scope is {new.scope or 'all'} instead of {old.scope or 'all'}")
    return found


def target_profile(context: JobContext, plan: Plan) -> Profile:
    """The profile of the deployment that is written to, read anew from the job's config file.

    Raises:
        Refused: The config does not have it any more.
    """
    name = plan.intent.to_profile
    if name is None:
        return context.profile
    config = load_config(Path(read_plan(JobFolder(context.folder)).config_file))
    if name not in config.profiles:
        raise Refused("profile-unknown", f"There is no profile {name!r} any more. Nothing was changed.")
    return config.profiles[name]


def _other(context: JobContext, plan: Plan) -> tuple[str, Profile] | None:
    name = plan.intent.to_profile
    return None if name is None else (name, target_profile(context, plan))


def _locked(
    context: JobContext, plan: Plan, deployments: Deployments, lock: DeploymentLock
) -> dict[str, Any]:
    def guard() -> None:
        context.stop.check()
        lock.check()

    report = lock.following(context.report)
    snapshot = StoredSnapshot(_open_base(context.profile, plan))
    with _Oplog(context, plan, deployments, snapshot, guard) as saved:
        report(Checkpoint("begun"))
        request = RestoreRequest(
            job=context.job,
            plan=plan,
            snapshot=snapshot,
            saved=saved.range,
            follower=saved.follower,
            checkpoints=context.checkpoints,
        )
        work = BuiltinRestore(deployments.target, request, report, guard)
        work.check_base()
        _take_safety_snapshot(context, plan, guard)
        try:
            facts = work.restore()
        except Failed:
            work.abandon()
            raise
    return {**_summary(context, plan), **facts, **_what_next(context.job, facts)}


def _what_next(job: str, facts: dict[str, Any]) -> dict[str, Any]:
    """In the result, so that it stands at the end of what a person sees."""
    found: dict[str, Any] = {"conflict_count": len(facts["conflicts"]) + len(facts.get("late_conflicts", []))}
    if facts.get("set_aside"):
        found |= {"take_back": f"mdr restore undo {job}", "settle": f"mdr restore accept {job}"}
    return found


def _open_base(profile: Profile, plan: Plan) -> Any:
    store = open_store(plan.snapshot.store, profile.stores[plan.snapshot.store])
    reader = open_snapshot(store, plan.snapshot.name)
    if reader.checksum != plan.snapshot.checksum:
        raise Refused(
            "plan-changed",
            f"Snapshot {plan.snapshot.name} is not the one that was planned with. Nothing was changed.",
            "Make a new plan: mdr restore plan",
        )
    return reader


@dataclass(slots=True)
class _Nothing:
    """No oplog is needed after the snapshot's own."""

    def read(self, start: Position, end: Position) -> Iterator[bytes]:
        return iter(())


class _Oplog:
    """The oplog after the base, on this host's disk before the first write: the restore's own writes roll the
    live one over."""

    def __init__(
        self,
        context: JobContext,
        plan: Plan,
        deployments: Deployments,
        snapshot: StoredSnapshot,
        guard: Callable[[], None],
    ) -> None:
        self.context, self.plan, self.deployments = context, plan, deployments
        self.range: Any = _Nothing()
        self.follower: Follower | None = None
        self._writer: SavedRangeWriter | None = None
        self._guard = guard

    def __enter__(self) -> _Oplog:
        folder = self.context.folder / "oplog"
        folder.mkdir(mode=0o700, exist_ok=True)
        if self.plan.limit.follow:
            self._follow(folder / "followed")
        elif self.plan.limit.position > self.plan.snapshot.end:
            self._save(folder / "range")
        return self

    def __exit__(self, *_: object) -> None:
        if self.follower is not None:
            self.follower.stop()
        if self._writer is not None:
            self._writer.close()

    def _save(self, path: Path) -> None:
        done = next((c for c in self.context.checkpoints if c.kind == "oplog-saved"), None)
        if done is not None:
            if done.facts["entries"]:
                self.range = SavedRange(path)
                self.range.verify()
            return
        base = self.plan.snapshot
        self.context.report(StepStarted("save-oplog"))
        assert self.deployments.source is not None
        batches = continue_from(self.deployments.source, base.end, base.end_hash, self.plan.limit.position)
        first = next(batches, None)
        entries = 0
        if first is not None:
            self.range = save_range(self._guarded(chain([first], batches)), path)
            entries = self.range.facts.count
        self.context.report(Checkpoint("oplog-saved", {"entries": entries}))
        self.context.report(StepDone("save-oplog", f"{entries} entries saved and verified"))

    def _guarded(self, batches: Iterator[bytes]) -> Iterator[bytes]:
        for batch in batches:
            self._guard()
            yield batch

    def _follow(self, path: Path) -> None:
        base = self.plan.snapshot
        position, end_hash = base.end, base.end_hash
        self.context.report(StepStarted("save-oplog"))
        if path.exists():
            last = recover(path)
            if last is not None:
                position, end_hash = last, _hash_at(SavedRange(path), last)
        self._writer = SavedRangeWriter(path)
        client = self.deployments.source
        assert client is not None
        self.follower = Follower(client, self._writer, position, end_hash, others_only(self.context.job))
        self.follower.start()
        self.follower.wait_for(max(self.plan.limit.position, position), 3600, self._guard)
        self.range = SavedRange(path)
        self.range.verify()
        self.context.report(StepDone("save-oplog", f"saved through {self.follower.position}, and following"))


def _hash_at(saved: SavedRange, position: Position) -> str:
    for batch in saved.read(position, position):
        return rawbson.entry_hash(batch)
    raise Failed("saved-range-corrupt", f"The saved oplog has no entry at {position}. Nothing was changed.")


def others_only(job: str) -> dict[str, Any]:
    """A query for the entries that a follower keeps: not the documents that this job writes itself. Commands
    are kept; among them are its own renames, which mark the cut-over."""
    ours = {"$regex": rf"^[^.]*\.mdr_{job}_"}
    batches = {"op": "c", "o.alwaysUpsert": False, "o.applyOps.0.ns": ours}
    return {"$nor": [{"ns": ours}, batches, {"op": "n"}]}


def _take_safety_snapshot(context: JobContext, plan: Plan, guard: Callable[[], None]) -> None:
    wanted = [n.target for n in plan.namespaces if n.mode == "in-place" and n.live_uuid]
    if not wanted or any(c.kind in ("safety", "dropped") for c in context.checkpoints):
        return
    name = safety_snapshot(context, wanted)
    guard()
    context.report(Checkpoint("safety", {"snapshot": name}))


def _leave_or_release(lock: DeploymentLock, context: JobContext, trouble: Trouble) -> None:
    """The lock stays where the deployment is half-way through something that only this job's resume may
    finish: after a drop in place, or in the cut-over."""
    kinds = [c.kind for c in _journalled(context.folder)]
    half_way = ("ready" in kinds or "dropped" in kinds) and "placed" not in kinds
    if half_way or isinstance(trouble, Unreachable):
        lock.leave()
    else:
        lock.release()


def _journalled(folder: Path) -> list[Checkpoint]:
    return list(checkpoints(read_lines(JobFolder(folder))))


def _summary(context: JobContext, plan: Plan) -> dict[str, Any]:
    safety = next((c.facts["snapshot"] for c in _journalled(context.folder) if c.kind == "safety"), None)
    return {
        "schema": "mdr.restore",
        "snapshot": plan.snapshot.name,
        "store": plan.snapshot.store,
        "identity": plan.identity.model_dump(mode="json"),
        "limit": plan.limit.model_dump(mode="json"),
        "skipped": [e.id for e in plan.skipped],
        "namespaces": [{"from": n.source, "to": n.target, "mode": n.mode} for n in plan.namespaces],
        "safety_snapshot": safety,
        "attempts": context.attempt,
    }


def _write_ledger(context: JobContext, plan: Plan, result: dict[str, Any], started: datetime) -> None:
    """Best effort: a restore that is done stays done when a store cannot be written."""
    document = {
        **result,
        "schema": "mdr.restore-record",
        "job": context.job,
        "state": "done",
        "started_at": utc(started),
        "finished_at": utc(datetime.now(UTC)),
        "seconds": round((datetime.now(UTC) - started).total_seconds(), 2),
        "documents": sum(n.documents or 0 for n in plan.namespaces),
        "bytes": sum(n.bytes or 0 for n in plan.namespaces),
        "operations": result.get("applied"),
    }
    try:
        store = open_store(plan.snapshot.store, context.profile.stores[plan.snapshot.store])
        ledger.append(store, "restores", document)
    except (Trouble, OSError) as error:
        context.report(Note(f"the report could not be written to the ledger: {error}", "warning"))
