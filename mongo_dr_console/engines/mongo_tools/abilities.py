"""What mongodump and mongorestore cannot do: said before anything is begun, with the engine that can."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from mongo_dr_console.model.oplogentry import Operation
from mongo_dr_console.model.plan import Intent
from mongo_dr_console.model.trouble import Refused

ENGINE = "mongo_tools"

_REPLAYED = frozenset(
    {"create", "drop", "dropDatabase", "collMod", "createIndexes", "commitIndexBuild", "dropIndexes"}
    | {"deleteIndex", "deleteIndexes", "dropIndex", "emptycapped"}
)
"""Commands that mongorestore replays to the same end as the server did."""
_PASSED_OVER = frozenset(
    {"startIndexBuild", "abortIndexBuild", "setMultikeyMetadata", "dropIdent", "dbCheck"}
)


def refuse_backup(compression: str, databases: Sequence[str] | None) -> None:
    """Raises Refused where mongodump cannot take this snapshot."""
    against = []
    if databases:
        against.append("single databases (mongodump has no oplog for one, so it would not be consistent)")
    if compression == "zstd":
        against.append("zstd")
    _refuse(against, "nothing was backed up")


def refuse_restore(
    intent: Intent, *, compression: str, part: Sequence[str] | None, changes: Iterable[Operation]
) -> None:
    """Raises Refused where mongorestore cannot do what is asked.

    Args:
        intent: What is asked.
        compression: Of the base.
        part: What the base holds, where that is not everything.
        changes: Every command and every change of a view from the window's start to the limit.
    """
    against = []
    if intent.mode != "in-place":
        against.append(f"mode {intent.mode} (it replays into the namespaces themselves)")
    if intent.namespaces or intent.exclude:
        against.append("a part of a snapshot (it refuses a filter together with replay)")
    if intent.renames:
        against.append("other names (it refuses renaming together with replay)")
    if intent.skip:
        against.append("leaving events out")
    if intent.users:
        against.append("users and roles without removing any")
    if intent.preserve_uuids:
        against.append("the same UUIDs (it keeps them only while it drops what was made meanwhile, too)")
    if compression == "zstd":
        against.append("a base that is packed with zstd")
    if part is not None:
        # Its oplog is that of the whole deployment, and would be replayed into what is live.
        against.append(f"a base that holds only {', '.join(part)} (it refuses a filter together with replay)")
    against += list(dict.fromkeys(_not_replayed(changes)))[:5]
    _refuse(against, "nothing was changed", "; or, for the whole snapshot, --mode in-place")


def _not_replayed(changes: Iterable[Operation]) -> Iterator[str]:
    for change in changes:
        if change.collection == "system.views":
            view = change.document_id
            yield f"replay of a change of the view or time series {view} at {change.position}"
        elif change.command and change.command not in _REPLAYED | _PASSED_OVER:
            yield f"replay of {change.command} in {change.database} at {change.position}"


def _refuse(against: Sequence[str], left: str, other: str = "") -> None:
    if against:
        raise Refused(
            "engine-cannot",
            f"The engine mongo_tools cannot do this: {'; '.join(against)}. {left.capitalize()}.",
            f"The builtin engine can: --engine builtin{other if 'mode' in against[0] else ''}",
        )
