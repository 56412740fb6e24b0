"""A twin: what a database must look like at a position, made from the oplog's own entries one by one.

It shares nothing with the restore but the server: no snapshot, no timeline, no batches over a snapshot. The
database must have been created within the oplog. Transactions are taken apart here, once more and simply.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import bson
from bson.raw_bson import RawBSONDocument
from bson.timestamp import Timestamp

from mongo_dr_console.model.rawbson import RAW

Entry = dict[str, Any]


def state_of(client: Any, database: str) -> dict[str, Any]:
    """Documents byte for byte (sorted), indexes and options of every collection; views by definition."""
    found: dict[str, Any] = {}
    for info in client[database].list_collections():
        name = info["name"]
        if name.startswith(("system.", "mdr_")):
            continue
        if info["type"] == "view":
            found[name] = ("view", bson.encode(info["options"]))
            continue
        raw = client[database].get_collection(name, codec_options=RAW)
        documents = sorted(bytes(d.raw) for d in raw.find())
        indexes = sorted(
            bson.encode({k: i[k] for k in sorted(i) if k not in ("v", "ns")})
            for i in client[database][name].list_indexes()
        )
        options = {k: v for k, v in info["options"].items() if k != "uuid"}
        found[name] = (documents, indexes, bson.encode(options))
    return found


def at_cluster_time(client: Any, database: str, moment: Timestamp) -> dict[str, Any]:
    """The state with documents read at a cluster time; the collections must not have been renamed since."""
    found = state_of(client, database)
    for name, state in found.items():
        if state[0] != "view":
            found[name] = (sorted(_read_at(client[database], name, moment)), *state[1:])
    return found


def _read_at(database: Any, name: str, moment: Timestamp) -> Iterator[bytes]:
    with database.client.start_session() as session:
        concern = {"level": "snapshot", "atClusterTime": moment}
        command = {"find": name, "readConcern": concern, "batchSize": 10_000}
        cursor = database.command(command, codec_options=RAW, session=session)["cursor"]
        batch = cursor["firstBatch"]
        while True:
            yield from (bytes(document.raw) for document in batch)
            if not cursor["id"]:
                return
            more = {"getMore": cursor["id"], "collection": name, "batchSize": 10_000}
            cursor = database.command(more, codec_options=RAW, session=session)["cursor"]
            batch = cursor["nextBatch"]


def differences(a: dict[str, Any], b: dict[str, Any]) -> list[str]:
    """Where two states differ, in words."""
    found = []
    for name in sorted(a.keys() | b.keys()):
        if a.get(name) == b.get(name):
            continue
        if name not in a or name not in b:
            found.append(f"{name}: only on one side")
            continue
        parts = ("documents", "indexes", "options")
        if a[name][0] == "view" or b[name][0] == "view":
            found.append(f"{name}: the view differs")
            continue
        for part, x, y in zip(parts, a[name], b[name], strict=True):
            if x != y and part == "documents":
                extra, missing = set(x) - set(y), set(y) - set(x)
                shown = [bson.decode(d) for d in [*list(extra)[:2], *list(missing)[:2]]]
                found.append(f"{name}: {len(extra)} only left, {len(missing)} only right: {shown}")
            elif x != y:
                found.append(f"{name}: {part} differ: {x!r} {y!r}")
    return found


def entries(
    client: Any, database: str, start: Timestamp, only: str | None = None
) -> Iterator[RawBSONDocument]:
    # Commands that clients sent as applyOps are those of restores and of twins, no part of the story.
    ours = {"op": {"$ne": "n"}, "o.alwaysUpsert": {"$exists": False}}
    # What a restore loads is many times what the story has: the server leaves it out.
    names: Entry = {"$regex": f"^{re.escape(database)}[.](?!mdr_)"}
    if only is not None:
        names = {"$in": [f"{database}.{only}", f"{database}.system.views"]}
    written = {"$or": [{"op": "c"}, {"ns": names}]}
    oplog = client.local.get_collection("oplog.rs", codec_options=RAW)
    yield from oplog.find({"ts": {"$gte": start}, **ours, **written}).sort("$natural", 1)


def operations(
    client: Any, database: str, start: Timestamp, only: str | None = None
) -> Iterator[tuple[Timestamp, int, Any, Entry]]:
    """(position, index, session id, operation) of a database, transactions at their commit."""
    pending: dict[bytes, list[RawBSONDocument]] = {}
    for entry in entries(client, database, start, only):
        if entry["op"] == "n":
            continue
        session = bytes(entry["lsid"]["id"]).hex() if "lsid" in entry else None
        if entry["op"] != "c" or not {"applyOps", "commitTransaction", "abortTransaction"} & set(entry["o"]):
            yield entry["ts"], 0, session, entry
            continue
        body = entry["o"]
        inner: list[RawBSONDocument] = list(body.get("applyOps", []))
        if "lsid" in entry and "txnNumber" in entry:
            key = bytes(entry["lsid"].raw) + bytes(bson.encode({"n": entry["txnNumber"]}))
            inner = pending.pop(key, []) + inner
            if body.get("partialTxn") or body.get("prepare"):
                pending[key] = inner
                continue
            if "abortTransaction" in body:
                continue
        for index, one in enumerate(inner):
            yield entry["ts"], index, session, one


def build(
    client: Any,
    database: str,
    twin: str,
    start: Timestamp,
    applies: Callable[[Timestamp], bool],
    skips: Callable[[Timestamp, Any, Entry], bool] = lambda ts, session, operation: False,
    only: str | None = None,
) -> dict[str, Any]:
    """Plays a database's operations into another one and returns its state.

    Args:
        applies: Whether a position is within the limit.
        skips: Whether an operation belongs to what is left out.
        only: Writes to this collection alone.
    """
    batch: list[Entry] = []

    def flush() -> None:
        if batch:
            client.admin.command({"applyOps": batch, "alwaysUpsert": False})
            batch.clear()

    for ts, _, session, operation in operations(client, database, start, only):
        if not applies(ts):
            break
        name, _, collection = operation["ns"].partition(".")
        if name != database or _is_ours(operation) or skips(ts, session, operation):
            continue
        if operation["op"] != "c" and collection != "system.views":
            if only not in (None, collection):
                continue
            if len(operation.raw) > 100_000:
                flush()
            batch.append({k: operation[k] for k in ("op", "o", "o2") if k in operation})
            batch[-1]["ns"] = f"{twin}.{collection}"
            if len(batch) >= 500 or len(operation.raw) > 100_000:
                flush()
            continue
        flush()
        _define(client, twin, operation)
    flush()
    return state_of(client, twin)


def _is_ours(operation: Entry) -> bool:
    """Staging collections and cut-overs: what a restore does is no part of the database's own story."""
    body = operation["o"]
    named = [operation["ns"], *(str(body.get(k, "")) for k in (next(iter(body), ""), "to"))]
    return any(".mdr_" in f".{name}" for name in named)


def _define(client: Any, twin: str, operation: Entry) -> None:
    body = operation["o"]
    if operation["op"] != "c":
        if operation["op"] == "i":
            options = {k: v for k, v in body.items() if k != "_id"}
            client[twin].command({"create": body["_id"].partition(".")[2], **options})
        else:
            client[twin].drop_collection(body["_id"].partition(".")[2])
        return
    command = next(iter(body))
    if command == "create" and body[command] != "system.views":
        existing = client[twin].list_collection_names(filter={"name": body[command]})
        if not existing:
            options = {k: v for k, v in body.items() if k not in ("create", "idIndex")}
            client[twin].command({"create": body[command], **options})
    elif command == "drop":
        client[twin].drop_collection(body[command])
    elif command == "dropDatabase":
        client.drop_database(twin)
    elif command == "commitIndexBuild":
        client[twin].command({"createIndexes": body[command], "indexes": list(body["indexes"])})
    elif command == "createIndexes":
        spec = {k: v for k, v in body.items() if k != command}
        client[twin].command({"createIndexes": body[command], "indexes": [spec]})
    elif command == "dropIndexes":
        client[twin].command({"dropIndexes": body[command], "index": body["index"]})
    elif command == "renameCollection":
        source, target = (f"{twin}.{body[k].partition('.')[2]}" for k in (command, "to"))
        client.admin.command(command, source, to=target, dropTarget=bool(body.get("dropTarget")))
    elif command == "collMod":
        client[twin].command(dict(body))
