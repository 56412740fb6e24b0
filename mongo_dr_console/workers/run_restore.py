"""The work of a restore job: check the plan again, lock, save the oplog, restore, report."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

from mongo_dr_console.config import Profile, load_config
from mongo_dr_console.engines.builtin import rejects
from mongo_dr_console.engines.builtin.merge import MergeRestore
from mongo_dr_console.engines.builtin.rejects import Rejects
from mongo_dr_console.engines.builtin.restore import BuiltinRestore, RestoreRequest
from mongo_dr_console.engines.builtin.snapshot import StoredSnapshot
from mongo_dr_console.engines.mongo_tools.abilities import ENGINE as TOOLS
from mongo_dr_console.engines.mongo_tools.restore import BEGUN, ToolRestore, ToolRestoreRequest
from mongo_dr_console.model import rawbson
from mongo_dr_console.model.catalogue import utc
from mongo_dr_console.model.journal import checkpoints
from mongo_dr_console.model.oplogentry import raw_entry
from mongo_dr_console.model.plan import Plan
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.progress import Checkpoint, Note, Report, StepDone, StepStarted
from mongo_dr_console.model.trouble import Failed, Refused, Trouble, Unreachable
from mongo_dr_console.mongo.client import Client
from mongo_dr_console.mongo.locks import DeploymentLock
from mongo_dr_console.mongo.oplog import majority_position
from mongo_dr_console.stores import ledger
from mongo_dr_console.stores.open import open_answering, open_store
from mongo_dr_console.stores.snapshot_reader import SnapshotReader, open_copies
from mongo_dr_console.stream.batch import last_entry
from mongo_dr_console.stream.follow import Follower, continue_from
from mongo_dr_console.stream.saved import SavedRange, SavedRangeWriter, recover, save_range
from mongo_dr_console.workers.access import require
from mongo_dr_console.workers.claiming import reading_for
from mongo_dr_console.workers.context import JobContext, JobOutcome
from mongo_dr_console.workers.jobs import JobFolder, read_lines, read_plan
from mongo_dr_console.workers.plan_sources import Deployments, history_between, open_deployments, source
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
    deployments.branch = plan.intent.branch
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
        result = restore_under(lock, context, plan, deployments)
    except Trouble as trouble:
        _leave_or_release(lock, context, trouble)
        raise
    except BaseException:
        lock.leave()
        raise
    lock.release()
    _write_ledger(context, plan, result, started)
    return JobOutcome(result, what_is_missing(context, result))


def restore_under(
    lock: DeploymentLock, context: JobContext, plan: Plan, deployments: Deployments
) -> dict[str, Any]:
    """The restore itself, under a lock that is held already; nothing is noted in a ledger.

    Args:
        context: Its folder takes the saved oplog and what the server refuses.
        deployments: Without a source the oplog comes from what the stream kept, and from nothing else.

    Raises:
        Failed, Unreachable, Interrupted: Not finished; what it means is said, and whether it can go on.
    """
    with _kept_from_pruning(context, plan):
        return _locked(context, plan, deployments, lock)


def what_is_missing(context: JobContext, result: dict[str, Any]) -> str | None:
    """In words, where the restore was done in part only."""
    parts = [f"{r['documents']} documents of {r['namespace']} were refused" for r in result["rejected"]]
    parts += [
        f"index {u['index']} of {u['namespace']} was not built: {u['why']}" for u in result["unbuilt_indexes"]
    ]
    if not parts:
        return _what_was_left_alone(context, result)
    shown = "; ".join(parts[:5]) + (f"; and {len(parts) - 5} more" if len(parts) > 5 else "")
    file = context.folder / rejects.FILE
    return f"Restored but for this: {shown}." + (f" The documents: {file}" if file.exists() else "")


def _what_was_left_alone(context: JobContext, result: dict[str, Any]) -> str | None:
    """Merge mode's conflicts: documents that did not come back."""
    if not result.get("conflicts_file"):
        return None
    count, file = result["conflict_count"], context.folder / result["conflicts_file"]
    some = "1 document was left as it is" if count == 1 else f"{count:,} documents were left as they are"
    return f"Brought back but for conflicts: {some} now. Each with why, and as it was before: {file}"


def owner_of(context: JobContext) -> str:
    """``user@host`` of whoever asked for the job."""
    return read_plan(JobFolder(context.folder)).owner or f"unknown@{socket.gethostname()}"


def check_unchanged(name: str, profile: Profile, plan: Plan, deployments: Deployments) -> None:
    """Makes the plan again and compares: identity, the base's checksums, limit, events, live collections.

    Raises:
        Refused: ``plan-changed``, with what is different.
    """
    fresh = make_plan(name, profile, plan.intent, deployments, counts=False)
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
        include={"identity", "source_identity", "snapshot", "limit", "scope", "tracked", "users", "intent"},
        exclude={"snapshot": {"documents", "bytes", "store"}, "intent": {"store"}, **moving},
    )
    work["skipped"] = [[e.id, e.selector.model_dump(mode="json")] for e in plan.skipped]
    work["namespaces"] = sorted(
        [n.source, n.target, n.kind, n.mode, n.live_uuid or "", n.uuid or ""] for n in plan.namespaces
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
    if old.intent.mode == "merge" and old.confirm != new.confirm:
        found.append("conflicts are foreseen" if new.confirm else "no conflicts are foreseen any more")
    if old.scope != new.scope:
        found.append(f"the scope is {new.scope or 'all'} instead of {old.scope or 'all'}")
    return found


def target_profile(context: JobContext, plan: Plan) -> Profile:
    """The profile of the deployment that is written to, read anew from the job's config file.

    Raises:
        Refused: The config does not have it any more, or its access does not reach.
    """
    name = plan.intent.to_profile
    if name is None:
        return context.profile
    config = load_config(Path(read_plan(JobFolder(context.folder)).config_file))
    if name not in config.profiles:
        raise Refused("profile-unknown", f"There is no profile {name!r} any more. Nothing was changed.")
    require(name, config.profiles[name], "restore")
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
    snapshot = StoredSnapshot(_open_base(context.profile, plan, report))
    with _Oplog(context, plan, deployments, snapshot, guard) as saved:
        report(Checkpoint("begun"))
        work = _engine(context, plan, deployments, snapshot, saved, report, guard)
        work.check_base()
        _take_safety_snapshot(context, plan, guard)
        try:
            facts = work.restore()
        except Failed:
            work.abandon()
            raise
    return {**_summary(context, plan), **facts, **_what_next(context.job, facts)}


def _engine(
    context: JobContext,
    plan: Plan,
    deployments: Deployments,
    snapshot: StoredSnapshot,
    saved: _Oplog,
    report: Report,
    guard: Callable[[], None],
) -> BuiltinRestore | ToolRestore:
    """What restores, as the plan says."""
    if plan.intent.engine == TOOLS:
        wanted = ToolRestoreRequest(
            job=context.job,
            plan=plan,
            reader=snapshot.reader,
            saved=saved.range,
            uri=deployments.target_profile.connection_uri(),
            work=context.folder,
            tools=deployments.target_profile.mongo_tools.path,
            checkpoints=context.checkpoints,
        )
        return ToolRestore(deployments.target, wanted, report, guard)
    request = RestoreRequest(
        job=context.job,
        plan=plan,
        snapshot=snapshot,
        saved=saved.range,
        follower=saved.follower,
        checkpoints=context.checkpoints,
        rejects=Rejects(context.folder / rejects.FILE),
        folder=context.folder,
    )
    work = MergeRestore if plan.intent.mode == "merge" else BuiltinRestore
    return work(deployments.target, request, report, guard)


def _what_next(job: str, facts: dict[str, Any]) -> dict[str, Any]:
    """In the result, so that it stands at the end of what a person sees."""
    count = len(facts["conflicts"]) + len(facts.get("late_conflicts", []))
    found: dict[str, Any] = {"conflict_count": facts.get("conflict_count", count)}
    if any(m["brought_back"] or m["replaced"] for m in facts.get("merged", [])):
        found["take_back"] = f"mdr restore undo {job}"
    if facts.get("set_aside"):
        found |= {"take_back": f"mdr restore undo {job}", "settle": f"mdr restore accept {job}"}
    return found


@contextmanager
def _kept_from_pruning(context: JobContext, plan: Plan) -> Iterator[None]:
    """The base, and the oplog from its end to the limit, wherever that lies."""
    base, (stores, _) = plan.snapshot, open_answering(context.profile)
    start, end = base.end, max(base.end, plan.limit.position)
    near = [store for name, store in stores.items() if name == base.store]
    rest = [store for name, store in stores.items() if name != base.store]
    # What another store has is wanted too, and the restore does not hang on it.
    with (
        reading_for(context, near, base.name, start=start, end=end),
        reading_for(context, rest, base.name, start=start, end=end, must=False),
    ):
        yield


def _open_base(profile: Profile, plan: Plan, report: Report) -> SnapshotReader:
    """The base in the store that was planned with, and in all others that have the same."""

    def tell(text: str) -> None:
        report(Note(text, "warning"))

    planned = plan.snapshot
    stores, troubles = open_answering(profile)
    if planned.store in troubles:
        tell(f"the copy in store {planned.store} is not read: {troubles[planned.store].message}")
    near = sorted(stores.values(), key=lambda store: store.name != planned.store)
    if not near:
        raise troubles[planned.store]
    reader = open_copies(near, planned.name, planned.checksum, tell)
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
        batches, first = self._begun(base.end, base.end_hash, self.plan.limit.position)
        entries = 0
        if first is not None:
            self.range = save_range(self._guarded(chain([first], batches)), path)
            entries = self.range.facts.count
        self.context.report(Checkpoint("oplog-saved", {"entries": entries}))
        self.context.report(StepDone("save-oplog", f"{entries} entries saved and verified"))

    def _begun(
        self, position: Position, entry_hash: str, through: Position
    ) -> tuple[Iterator[bytes], bytes | None]:
        """What follows an entry, and its first batch: from the live oplog, else from where it is kept."""
        client = self.deployments.source
        if client is not None and self.plan.intent.branch is None:
            batches = continue_from(client, position, entry_hash, through)
            try:
                return batches, next(batches, None)
            except Failed as trouble:
                if trouble.code != "gap":
                    raise
        known = history_between(self.deployments, position, through)
        batches = known.go_on(position, entry_hash, through)
        return batches, next(batches, None)

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
        client = source(self.deployments)
        position, end_hash = self._reach_live(client, position, end_hash)
        self.follower = Follower(client, self._writer, position, end_hash, others_only(self.context.job))
        self.follower.start()
        self.follower.wait_for(max(self.plan.limit.position, position), 3600, self._guard)
        self.range = SavedRange(path)
        self.range.verify()
        self.context.report(StepDone("save-oplog", f"saved through {self.follower.position}, and following"))

    def _reach_live(self, client: Client, position: Position, end_hash: str) -> tuple[Position, str]:
        """Where the live oplog does not reach back so far, the first part comes from what the stream kept."""
        assert self._writer is not None
        latest = majority_position(client)[0]
        batches, first = self._begun(position, end_hash, latest)
        if not self.deployments.histories or first is None:
            return position, end_hash
        for batch in self._guarded(chain([first], batches)):
            self._writer.append(batch)
            last = last_entry(batch)
            position, end_hash = Position.of(raw_entry(last)["ts"]), rawbson.entry_hash(last)
        self._writer.flush()
        return position, end_hash


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
    name = safety_snapshot(context, target_profile(context, plan), wanted)
    guard()
    context.report(Checkpoint("safety", {"snapshot": name}))


def _leave_or_release(lock: DeploymentLock, context: JobContext, trouble: Trouble) -> None:
    """The lock stays where the deployment is half-way through something that only this job's resume may
    finish: after a drop in place, in the cut-over, or with a part of the documents brought back."""
    kinds = [c.kind for c in _journalled(context.folder)]
    begun = {"ready", "dropped", "merge-session", BEGUN}
    half_way = bool(begun & set(kinds)) and "placed" not in kinds
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
        "to_profile": plan.intent.to_profile,
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
        "state": "partial" if what_is_missing(context, result) else "done",
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
    except (Trouble, OSError, KeyError) as error:
        context.report(Note(f"the report could not be written to the ledger: {error}", "warning"))
