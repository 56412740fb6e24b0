"""The work of a copy job: a snapshot into another store of the profile."""

from __future__ import annotations

import time
from typing import Any

from mongo_dr_console.engines.builtin.dump_rate import Throttle
from mongo_dr_console.model.catalogue import SnapshotEntry, choose
from mongo_dr_console.model.progress import Note
from mongo_dr_console.model.trouble import WrongUse
from mongo_dr_console.stores.catalogue import list_all
from mongo_dr_console.stores.copies import as_one
from mongo_dr_console.stores.copying import copy_snapshot
from mongo_dr_console.stores.open import choose_stores, open_answering
from mongo_dr_console.workers.claiming import reading_for
from mongo_dr_console.workers.context import JobContext, JobOutcome
from mongo_dr_console.workers.index_keeping import keep_index


def run(context: JobContext) -> JobOutcome:
    """Request: ``snapshot``, ``target`` (name of a store), ``source`` (None for the nearest good copy, and
    the next one where a file of it is bad), ``rate`` (bytes in a second, None for as many as go). A resumed
    job, and another one of the same snapshot, goes on where the last one was.

    Raises:
        WrongUse: No such snapshot or store, or source and target are one.
        Failed: As ``stores.copying``.
    """
    name, target = str(context.request["snapshot"]), str(context.request["target"])
    to = choose_stores(context.profile, [target])[target]
    stores, silent = open_answering(context.profile)
    source = context.request.get("source")
    if source == target:
        raise WrongUse("copy-onto-itself", f"Source and target are store {target}.", "Name two stores.")
    begun = time.monotonic()
    entries, troubles = list_all({n: s for n, s in stores.items() if source in (None, n) or n == target})
    for store, trouble in (silent | troubles).items():
        if store in (target, source):
            raise trouble
        context.report(Note(f"store {store} was not looked into: {trouble}", "warning"))
    chosen = choose(entries, name=name)
    if any(e.store == target and _is_same(e, chosen) and e.problem is None for e in entries):
        context.report(Note(f"store {target} has it already"))
        return JobOutcome(_result(chosen, target, target, 0, begun))
    copies = [e for e in entries if e.store != target and _is_same(e, chosen) and e.problem is None]
    if not copies:
        raise WrongUse("copy-onto-itself", f"Only store {target} has snapshot {name}.", "Name another: --to")
    near = sorted(copies, key=lambda e: e.known_bad)
    known = near if chosen.checksum else near[:1]
    from_ = as_one([stores[e.store] for e in known], lambda text: context.report(Note(text, "warning")))
    throttle = Throttle(context.request.get("rate"))
    with reading_for(context, [stores[e.store] for e in known], name):
        copy_snapshot(
            from_,
            name,
            to,
            context.report,
            context.stop,
            lambda size: throttle.passed(size, context.stop.check),
        )
    keep_index(context.profile, [to])
    return JobOutcome(_result(chosen, from_.name, target, chosen.stored_bytes, begun))


def _is_same(one: SnapshotEntry, other: SnapshotEntry) -> bool:
    """Of a dump without a manifest nothing tells more than where it ends and how large it is."""
    facts = [(e.name, e.checksum, e.origin, e.end, e.checksum or e.stored_bytes) for e in (one, other)]
    return facts[0] == facts[1]


def _result(entry: SnapshotEntry, source: str, target: str, copied: int, begun: float) -> dict[str, Any]:
    return {
        "schema": "mdr.copy",
        "snapshot": entry.name,
        "source": source,
        "target": target,
        "copied_bytes": copied,
        "stored_bytes": entry.stored_bytes,
        "seconds": round(time.monotonic() - begun, 3),
    }
