"""The work of a prune job: claim the stores, look, decide, remove."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from mongo_dr_console.model.lifecycle import after_delete
from mongo_dr_console.model.progress import Note, StepDone, StepStarted
from mongo_dr_console.model.pruneview import prune_result
from mongo_dr_console.model.retention import Decision, Why
from mongo_dr_console.model.trouble import Refused, Trouble
from mongo_dr_console.stores.claims import claim_prune
from mongo_dr_console.stores.pruning import Removed, prune
from mongo_dr_console.stores.s3 import S3Store
from mongo_dr_console.stores.s3_lifecycle import read_facts
from mongo_dr_console.stores.store import Store
from mongo_dr_console.workers.claiming import claimant_of
from mongo_dr_console.workers.context import JobContext, JobOutcome
from mongo_dr_console.workers.index_keeping import keep_index
from mongo_dr_console.workers.prune_look import PruneLook, hold_branches, look, wanted_stores


def run(context: JobContext) -> JobOutcome:
    """Request: ``store`` (None for every store of the profile). Run again it looks again.

    Raises:
        Refused: ``prune-running``; ``prune-blind``; ``snapshot-in-use``: all that could go is read by others.
    """
    claimant = claimant_of(context)
    removed: dict[str, Removed] = {}
    with ExitStack() as stack:
        claims = []
        for store in wanted_stores(context.profile, context.request.get("store")).values():
            claim = claim_prune(store, claimant)
            stack.callback(claim.release)
            claims.append(claim)
        context.report(StepStarted("look"))
        seen = look(context.profile, context.request.get("store"))
        _tell(context, seen)
        going = sum(not d.keep for d in seen.decisions)
        context.report(StepDone("look", f"{going} of {len(seen.decisions)} may go", {"going": going}))
        facts = {"job": context.job, "by": claimant.owner, "days": seen.facts.days}
        for claim in claims:
            done = prune(claim, seen.decisions, facts, context.report, context.stop)
            removed[claim.store.name] = done
            _tell_versions(context, claim.store, done)
        keep_index(context.profile, [claim.store for claim in claims])
    return _outcome(seen, removed)


def _tell(context: JobContext, seen: PruneLook) -> None:
    for text in seen.unread:
        context.report(Note(f"could not be asked, and nothing goes for that: {text}", "warning"))
    for hold in hold_branches(seen):
        context.report(Note(f"hold {hold.id}: {hold.reason}"))


def _tell_versions(context: JobContext, store: Store, removed: Removed) -> None:
    if not isinstance(store, S3Store) or not (removed.snapshots or removed.segments):
        return
    try:
        removed.versions = after_delete(read_facts(store))
    except Trouble as trouble:
        # What is removed is removed; these credentials may not ask.
        context.report(Note(f"store {store.name}: whether versions stay is not known: {trouble}", "warning"))
        return
    if removed.versions:
        context.report(Note(f"store {store.name}: {removed.versions}", "warning"))


def _outcome(seen: PruneLook, removed: dict[str, Removed]) -> JobOutcome:
    in_use = [(store, name, who) for store, r in removed.items() for name, who in r.in_use]
    in_use += [(d.store, d.name, d.text) for d in seen.decisions if d.why is Why.IN_USE and d.snapshot]
    count = sum(len(r.snapshots) + r.segments for r in removed.values())
    words = "; ".join(
        dict.fromkeys(f"{name} in store {store}: {_who(who)}" for store, name, who in in_use[:3])
    )
    if in_use and not count:
        raise Refused(
            "snapshot-in-use",
            f"What could be removed is being read: {words}. Nothing was removed.",
            "Prune again when that has ended.",
        )
    result: dict[str, Any] = prune_result(
        _without(seen.decisions, removed), dry_run=False, holds=seen.facts.holds, unread=seen.unread
    )
    result["removed"] = [
        {
            "store": store,
            "snapshots": r.snapshots,
            "segments": r.segments,
            "stored_bytes": r.bytes,
            "in_use": [f"{name}: {who}" for name, who in r.in_use],
            "locked": r.locked,
            "versions": r.versions,
        }
        for store, r in removed.items()
    ]
    return JobOutcome(result, f"Not removed, since it is being read: {words}." if in_use else None)


def _who(text: str) -> str:
    return text if text.endswith("reads it") else f"{text} reads it"


def _without(decisions: tuple[Decision, ...], removed: dict[str, Removed]) -> list[Decision]:
    """The store's own lock is only met while removing."""
    locked = {(store, name) for store, r in removed.items() for name in r.locked}
    return [
        replace(d, keep=True, why=Why.LOCKED, text="the bucket does not let it go yet (Object Lock)")
        if (d.store, d.name) in locked
        else d
        for d in decisions
    ]
