"""Removing snapshots and segments from a store: safe to be stopped or killed anywhere.

What goes is put into the ledger first, so that a rerun, from whichever host, knows what was begun. Of a
snapshot the manifest goes first, then its oplog: nothing half-removed is ever offered. What says that it is
ours goes last. Of the segments the oldest go first, so that no hole arises.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from mongo_dr_console.model.catalogue import SnapshotEntry, parse_time, utc
from mongo_dr_console.model.manifest import MANIFEST_NAME
from mongo_dr_console.model.progress import Note, Report, StepDone, StepProgress, StepStarted, StopSignal
from mongo_dr_console.model.retention import Decision, Use
from mongo_dr_console.model.trouble import Refused
from mongo_dr_console.stores import ledger
from mongo_dr_console.stores.claims import PruneClaim
from mongo_dr_console.stores.snapshot_files import OPLOG_NAMES, PRELUDE_NAMES
from mongo_dr_console.stores.store import Store

RECORD = "mdr.prune-record"
_SEGMENTS_AT_A_TIME = 500


@dataclass(slots=True)
class Removed:
    """What a prune removed from one store.

    Args:
        bytes: As they lay in the store.
        in_use: What it left since another process reads it: name, and who.
        locked: What the store itself does not let go.
        versions: What becomes of it where the bucket keeps versions; None: it is gone.
    """

    snapshots: list[str] = field(default_factory=list)
    segments: int = 0
    bytes: int = 0
    in_use: list[tuple[str, str]] = field(default_factory=list)
    locked: list[str] = field(default_factory=list)
    versions: str | None = None


def begun(store: Store, entries: Sequence[SnapshotEntry]) -> frozenset[tuple[str, str]]:
    """The snapshots that an earlier prune began to remove and did not finish."""
    recorded = _recorded(store)
    return frozenset(
        (store.name, e.name)
        for e in entries
        if e.store == store.name and e.name in recorded and e.modified_at <= recorded[e.name]
    )


def _recorded(store: Store) -> dict[str, datetime]:
    """By name, when a prune last set out to remove it."""
    found: dict[str, datetime] = {}
    for document in ledger.read_all(store, "prunes"):
        at = parse_time(document.get("at"))
        if at is not None:
            # Whole seconds: what was written in the same one is meant too.
            at += timedelta(seconds=1)
            for snapshot in document.get("snapshots", []):
                name = str(snapshot.get("name"))
                found[name] = max(at, found.get(name, at))
    return found


def prune(
    claim: PruneClaim,
    decisions: Sequence[Decision],
    facts: Mapping[str, Any],
    report: Report,
    stop: StopSignal,
) -> Removed:
    """Removes what the decisions on this store let go.

    Args:
        facts: Who and which job, for the ledger.

    Raises:
        Refused: Another prune took over.
        Interrupted: As ``stop`` says; what is removed is removed.
    """
    store, removed = claim.store, Removed()
    going = [d for d in decisions if d.store == store.name and not d.keep]
    snapshots = sorted((d for d in going if d.snapshot), key=lambda d: d.name)
    segments = sorted((d for d in going if not d.snapshot), key=lambda d: (str(d.end), d.name))
    step = f"prune {store.name}"
    report(StepStarted(step, len(going)))
    if going:
        ledger.append(store, "prunes", _record(snapshots, segments, facts))
    for decision in snapshots:
        stop.check()
        _take_snapshot(claim, decision, removed, stop)
        report(StepProgress(step, len(removed.snapshots), len(going), detail=decision.name))
    for batch in _batches(segments):
        stop.check()
        _take_segments(claim, batch, removed)
        report(
            StepProgress(step, len(removed.snapshots) + removed.segments, len(going), detail=batch[-1].name)
        )
    _remove_leftovers(claim, {d.name for d in decisions if d.snapshot and d.store == store.name})
    for name, who in removed.in_use:
        report(Note(f"{name} in store {store.name} was not removed: {who} reads it", "warning"))
    counts = {"snapshots": len(removed.snapshots), "segments": removed.segments, "bytes": removed.bytes}
    report(StepDone(step, f"{len(removed.snapshots)} snapshots, {removed.segments} segments removed", counts))
    return removed


def _record(
    snapshots: Sequence[Decision], segments: Sequence[Decision], facts: Mapping[str, Any]
) -> dict[str, Any]:
    starts, ends = [d.start for d in segments if d.start], [d.end for d in segments if d.end]
    return {
        "schema": RECORD,
        **facts,
        "at": utc(datetime.now(UTC)),
        "snapshots": [
            {"name": d.name, "reason": d.why, "text": d.text, "stored_bytes": d.stored_bytes}
            for d in snapshots
        ],
        "segments": {
            "count": len(segments),
            "stored_bytes": sum(d.stored_bytes for d in segments),
            "start": str(min(starts)) if starts else None,
            "end": str(max(ends)) if ends else None,
        },
    }


def _take_snapshot(claim: PruneClaim, decision: Decision, removed: Removed, stop: StopSignal) -> None:
    readers = [u for u in claim.announce([decision.name]) if u.snapshot == decision.name]
    if readers:
        removed.in_use.append((decision.name, readers[0].who))
        # Who reads it may be waiting for this.
        claim.announce([])
        return
    try:
        remove_snapshot(claim.store, decision.name, stop)
    except Refused as refused:
        if refused.code != "object-locked":
            raise
        removed.locked.append(decision.name)
        return
    removed.snapshots.append(decision.name)
    removed.bytes += decision.stored_bytes


def remove_snapshot(store: Store, name: str, stop: StopSignal | None = None) -> None:
    """Removes a snapshot's files in the order in which it is never offered half."""
    paths = [o.path for o in store.list(f"{name}/")]
    # All or nothing: a lock on one file keeps the snapshot whole.
    require_unlocked = getattr(store, "require_unlocked", None)
    if require_unlocked is not None:
        require_unlocked(paths)
    for number, path in enumerate(sorted(paths, key=lambda p: (_turn(p.removeprefix(f"{name}/")), p))):
        if stop is not None and number:
            stop.check()
        store.delete(path)


def _turn(path: str) -> int:
    """The manifest, then the oplog, without which a plain dump is no base; what tells whose it is, last."""
    if path == MANIFEST_NAME:
        return 0
    if path in OPLOG_NAMES:
        return 1
    return 3 if path in PRELUDE_NAMES else 2


def _take_segments(claim: PruneClaim, batch: Sequence[Decision], removed: Removed) -> None:
    ends = [d.start for d in batch if d.start] + [d.end for d in batch if d.end]
    uses = claim.announce([], (min(ends), max(ends)))
    for decision in batch:
        reader = _reader(decision, uses)
        if reader is not None:
            removed.in_use.append((decision.name, reader.who))
            continue
        try:
            claim.store.delete(decision.name)
        except Refused as refused:
            if refused.code != "object-locked":
                raise
            removed.locked.append(decision.name)
            continue
        removed.segments += 1
        removed.bytes += decision.stored_bytes


def _reader(decision: Decision, uses: Sequence[Use]) -> Use | None:
    for use in uses:
        if use.start is None or use.end is None or decision.start is None or decision.end is None:
            continue
        if decision.start < use.end and use.start < decision.end:
            return use
    return None


def _batches(segments: Sequence[Decision]) -> Iterator[list[Decision]]:
    rest = iter(segments)
    while batch := list(islice(rest, _SEGMENTS_AT_A_TIME)):
        yield batch


def _remove_leftovers(claim: PruneClaim, known: set[str]) -> None:
    """Files that no catalogue shows, of snapshots that an earlier prune all but removed."""
    store = claim.store
    folders = set(store.folders())
    for name, at in _recorded(store).items():
        if name not in folders or name in known:
            continue
        left = list(store.list(f"{name}/"))
        if all(o.modified_at <= at for o in left) and not any(
            u.snapshot == name for u in claim.announce([name])
        ):
            remove_snapshot(store, name)
            for folder in store.folders(name):
                # A local store removes a folder with the last thing in it.
                store.delete(f"{name}/{folder}/{MANIFEST_NAME}")
