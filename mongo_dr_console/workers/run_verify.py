"""The work of a verification job."""

from __future__ import annotations

from mongo_dr_console.engines.builtin.dump_rate import Throttle
from mongo_dr_console.model.progress import Note
from mongo_dr_console.model.trouble import Failed
from mongo_dr_console.stores.catalogue import list_snapshots
from mongo_dr_console.stores.open import choose_stores
from mongo_dr_console.stores.paced import PacedStore
from mongo_dr_console.stores.store import Store
from mongo_dr_console.stores.verification import verify
from mongo_dr_console.workers.claiming import reading_for
from mongo_dr_console.workers.context import JobContext, JobOutcome
from mongo_dr_console.workers.index_keeping import keep_index
from mongo_dr_console.workers.verify_deeper import deeper


def run(context: JobContext) -> JobOutcome:
    """Request: ``snapshot``, ``store`` (None for every store that has it), ``level``, ``rate`` (bytes in a
    second up to level 3; None for as many as go).

    Raises:
        Failed: ``snapshot-missing``; ``verification-failed``, with what was found.
    """
    name, level = str(context.request["snapshot"]), int(context.request.get("level", 2))
    wanted = context.request.get("store")
    stores = choose_stores(context.profile, [wanted] if wanted else None)
    holders = [s for s in stores.values() if wanted or any(e.name == name for e in list_snapshots(s))]
    if not holders:
        raise Failed("snapshot-missing", f"No store has a snapshot {name}.", "See: mdr snapshots list")
    with reading_for(context, holders, name):
        checks = deeper(context) if level > 3 else None
        paced = _paced(context, holders)
        results = [verify(s, name, level, context.report, context.stop, checks) for s in paced]
    keep_index(context.profile, holders)
    problems = [f"{r.store}: {problem}" for r in results for problem in r.problems]
    for problem in problems:
        context.report(Note(problem, "error"))
    if problems:
        raise Failed(
            "verification-failed",
            f"Snapshot {name} is damaged: {problems[0]}{_more(problems)}",
            "Do not restore from it; use another snapshot or another store's copy.",
        )
    return JobOutcome(
        result={
            "schema": "mdr.verification",
            "snapshot": name,
            "level": level,
            "good": True,
            "stores": [result.to_json() for result in results],
        }
    )


def _paced(context: JobContext, stores: list[Store]) -> list[Store]:
    rate = context.request.get("rate")
    if rate is None:
        return stores
    throttle = Throttle(int(rate))
    return [PacedStore(s, lambda size: throttle.passed(size, context.stop.check)) for s in stores]


def _more(problems: list[str]) -> str:
    return f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
