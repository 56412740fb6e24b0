"""What a job resulted in, for people: a line a fact, and what can be done next."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mongo_dr_console.model.jobview import JobView
from mongo_dr_console.model.plantext import when
from mongo_dr_console.model.position import Position
from mongo_dr_console.model.words import counted

_SHOWN = 5


def result_lines(view: JobView) -> list[str]:
    """The facts of a job's result that a person asks for; everything is in ``--json``. Empty without one."""
    if view.result is None:
        return []
    tell = _KINDS.get(view.kind, _plain)
    try:
        return [f"  {label:<12}  {text}" for label, text in tell(view.job, view.result)]
    except (AttributeError, LookupError, TypeError, ValueError):
        return ["  The journal is damaged: what is left of the result is in its last line."]


def _restore(job: str, result: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield from _from_and_into(result)
    for planned in _some(result["namespaces"]):
        source, target = planned["from"], planned["to"]
        name = target if source == target else f"{source} → {target}"
        yield "restored", f"{name} [{planned['mode']}]"
    yield from _more("restored", result["namespaces"])
    if result.get("last_applied"):
        yield "last applied", _when(result["last_applied"])
    for merged in _some(result.get("merged") or []):
        yield "merged", _merged(merged)
    yield from _more("merged", result.get("merged") or [])
    if result["skipped"]:
        some = counted(result["skipped_operations"], "operation")
        yield "left out", f"{some} of {', '.join(result['skipped'])}"
    yield from _conflicts([f"{c['namespace']}: {c['text']}" for c in result["conflicts"]])
    if result.get("conflicts_file"):
        yield (
            "conflicts",
            f"all {result['conflict_count']:,}, with why: {result['conflicts_file']} in the job's folder",
        )
    yield from _conflicts(result.get("late_conflicts") or [])
    for refused in result.get("rejected") or []:
        where = "the job's log" if result.get("engine") == "mongo_tools" else "rejected.jsonl"
        yield "refused", f"{refused['documents']:,} documents of {refused['namespace']}: see {where}"
    for index in _some(result.get("unbuilt_indexes") or []):
        yield "not built", f"index {index['index']} of {index['namespace']}: {index['why']}"
    yield from _more("not built", result.get("unbuilt_indexes") or [])
    logins = result.get("logins")
    if logins:
        yield "logins", f"{len(logins['users'])} users and {len(logins['roles'])} roles added"
    if result["safety_snapshot"]:
        yield "before it", f"safety snapshot {result['safety_snapshot']}"
    aside = result.get("set_aside") or []
    for kept in _some(aside):
        unexpected = " (made by somebody during the cut-over)" if kept.get("expected") is False else ""
        yield "set aside", f"{kept['namespace']} as {kept['kept_as']}{unexpected}"
    yield from _more("set aside", aside)
    if result.get("take_back"):
        yield "take it back", result["take_back"]
    if result.get("settle"):
        yield "settle it", f"{result['settle']}   (drops what is set aside)"


def _from_and_into(result: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "base", f"snapshot {result['snapshot']} in {result['store']}"
    if other := result.get("to_profile"):
        whose = result["identity"]
        yield "into", f"{other} ({whose['environment']}/{whose['set_name']})"


def _merged(row: dict[str, Any]) -> str:
    parts = [f"{row['brought_back']:,} brought back", f"{row['replaced']:,} put back to what they were"]
    if row["already"]:
        parts.append(f"{row['already']:,} were so already")
    parts.append(f"{row['conflicts']:,} conflicts")
    return f"{row['namespace']}{' (made again)' if row['made'] else ''}: {', '.join(parts)}"


def _undo(job: str, result: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "taken back", f"job {result['undone']}"
    for name in _some(result["namespaces"]):
        yield "back again", name
    yield from _more("back again", result["namespaces"])
    if result.get("merged"):
        yield from _unmerged(result)
        return
    writes = result["writes_since"]
    since = "not known: the oplog has rolled over" if writes is None else f"{writes:,}"
    yield "writes since", f"{since} (on the restored collections, which are set aside)"
    for kept in _some(result["set_aside"]):
        yield "set aside", f"{kept['namespace']} as {kept['kept_as']}"
    yield from _more("set aside", result["set_aside"])
    yield "settle it", f"mdr restore accept {result['undone']}   (drops what is set aside)"


def _unmerged(result: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for row in result["merged"]:
        parts = [f"{row['removed']:,} taken away", f"{row['put_back']:,} as before the merge"]
        parts += [f"{row['changed']:,} written since, they stay"] if row["changed"] else []
        parts += [f"{row['refused']:,} refused by the server"] if row["refused"] else []
        yield "documents", f"{row['namespace']}: {row['not_possible'] or ', '.join(parts)}"
    yield "note", result["hint"]


def _accept(job: str, result: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "settled", f"job {result['accepted']}; there is no undo any more"
    for name in _some(result["dropped"]):
        yield "dropped", name
    yield from _more("dropped", result["dropped"])


def _backup(job: str, result: dict[str, Any]) -> Iterator[tuple[str, str]]:
    import humanize

    stored, data = (humanize.naturalsize(result[k], binary=True) for k in ("stored_bytes", "bytes"))
    yield "snapshot", f"{result['snapshot']} in {', '.join(result['stores']) or 'no store'}"
    yield "holds", f"{result['documents']:,} documents, {stored} stored ({data} of BSON)"
    yield "state of", _when(result["window"]["end"])


def _verification(job: str, result: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield (
        "snapshot",
        f"{result['snapshot']}: {'good' if result['good'] else 'DAMAGED'}, level {result['level']}",
    )
    for store in result["stores"]:
        yield "store", f"{store['store']}, {store['files']:,} files"


def _prune(job: str, result: dict[str, Any]) -> Iterator[tuple[str, str]]:
    import humanize

    for store in result["removed"]:
        size = humanize.naturalsize(store["stored_bytes"], binary=True)
        counts = f"{len(store['snapshots'])} snapshots, {store['segments']:,} segments, {size}"
        yield "removed", f"from {store['store']}: {counts}"
        yield from (("left", f"{store['store']}: {text}") for text in _some(store["in_use"]))
    kept = sum(s["keep"] for s in result["snapshots"])
    yield "kept", f"{kept} snapshots, {sum(s['count'] for s in result['segments'] if s['keep']):,} segments"


def _drill(job: str, result: dict[str, Any]) -> Iterator[tuple[str, str]]:
    # A full one counts what the stream has added.
    compared = ", byte for byte" if result["kind"] == "small" else ""
    yield "drill", f"all came back{compared}" if result["success"] else "FAILED"
    for word, name in (("RTO", "rto"), ("RPO", "rpo")):
        value = result[f"{name}_seconds"]
        target = f"target {result[f'{name}_target_seconds']:,.0f} s"
        yield word, f"not measured ({target})" if value is None else f"{value:,.1f} s ({target})"
    if result["documents"] is not None:
        yield "compared", f"{result['documents']:,} documents, {result['indexes']} indexes"
    if result["lost_writes"] is not None:
        yield "writes lost", f"{result['lost_writes']} of {result['writes']}"
    for text in _some(result["problems"]):
        yield "problem", text
    yield from _more("problem", result["problems"])


def _plain(job: str, result: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in result.items():
        if name != "schema" and isinstance(value, str | int | float):
            number = isinstance(value, int) and not isinstance(value, bool)
            yield name.replace("_", " "), f"{value:,}" if number else str(value)


_KINDS = {
    "restore": _restore,
    "undo": _undo,
    "accept": _accept,
    "backup": _backup,
    "verify": _verification,
    "prune": _prune,
    "drill": _drill,
}


def _conflicts(texts: list[str]) -> Iterator[tuple[str, str]]:
    for text in _some(texts):
        yield "conflict", text
    yield from _more("conflict", texts)


def _some(items: list[Any]) -> list[Any]:
    return items[:_SHOWN]


def _more(label: str, items: list[Any]) -> Iterator[tuple[str, str]]:
    if len(items) > _SHOWN:
        yield label, f"and {len(items) - _SHOWN:,} more: --json shows all"


def _when(position: str) -> str:
    return when(Position.parse(position))
