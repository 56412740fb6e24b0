"""Writes that reached the old collections between the last look at the oplog and the renames.

With user writes blocked there are none, except from users who may pass the block. Without the block they are
the writes of some milliseconds. They were acknowledged, so they are carried over to the collections in place,
except where a document was written again since: that is listed, and the newer write stays.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import bson

from mongo_dr_console.model.namespace import Namespace
from mongo_dr_console.model.oplogentry import Operation, TransactionAssembler, raw_entry
from mongo_dr_console.model.position import Position
from mongo_dr_console.mongo.client import Client


def carry_over_late_writes(
    client: Client,
    entries: Iterable[bytes],
    assembler: TransactionAssembler,
    homes: dict[Namespace, Namespace],
    job: str,
    after: Position,
) -> dict[str, Any]:
    """Applies them.

    Args:
        client: To the deployment.
        entries: The oplog after what was applied before the renames, through now.
        assembler: Holds the transactions that were open there.
        homes: The namespace an application writes to, to where the restored collection is now.
        job: Tells the renames of this cut-over.
        after: What was applied before the renames.

    Returns:
        ``late_writes`` (how many were carried over) and ``late_conflicts`` (texts).
    """
    late, touched = _sorted_out(entries, assembler, homes, job, after)
    carried = 0
    conflicts = []
    for operation in late:
        namespace = Namespace(operation.database, operation.collection)
        if _identity(operation) in touched:
            conflicts.append(
                f"{operation.position} {namespace} _id={str(operation.document_id)[:80]!r} was written again "
                "after the cut-over; the newer write stays"
            )
            continue
        entry: dict[str, Any] = {"op": operation.op, "ns": str(homes[namespace]), "o": operation.document}
        if operation.key is not None:
            entry["o2"] = operation.key
        if operation.op == "u":
            entry["b"] = False
        # Not atomic: that would wait for every transaction that is open on the server.
        client.admin.command({"applyOps": [entry], "allowAtomic": False, "bypassDocumentValidation": True})
        carried += 1
    return {"late_writes": carried, "late_conflicts": conflicts}


def _sorted_out(
    entries: Iterable[bytes],
    assembler: TransactionAssembler,
    homes: dict[Namespace, Namespace],
    job: str,
    after: Position,
) -> tuple[list[Operation], set[bytes]]:
    """The operations before each namespace's rename, and the documents that were written after it."""
    renamed: set[Namespace] = set()
    late: list[Operation] = []
    touched: set[bytes] = set()
    for raw in entries:
        for operation in assembler.feed(raw_entry(raw)):
            if operation.position <= after:
                continue
            if operation.command == "renameCollection":
                source = Namespace.parse(operation.document["renameCollection"])
                target = Namespace.parse(operation.document["to"])
                if target.collection.startswith(f"mdr_aside_{job}_"):
                    renamed.add(source)
                if source.collection.startswith(f"mdr_{job}_"):
                    renamed.add(target)
                continue
            namespace = Namespace(operation.database, operation.collection)
            if operation.op == "c" or namespace not in homes:
                continue
            if namespace in renamed:
                touched.add(_identity(operation))
            else:
                late.append(operation)
    # Where the renames are not in these entries, nothing tells late writes from those made after them.
    return [o for o in late if Namespace(o.database, o.collection) in renamed], touched


def _identity(operation: Operation) -> bytes:
    return operation.namespace.encode() + b"\0" + bson.encode({"": operation.document_id})
